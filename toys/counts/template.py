"""Templates: expected counts a bin by flavour, nucleus and coupling structure, and of backgrounds.

The structures are those of `generator.cross_section`, by quadrature; what multiplies them
comes from `generator.coupling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...generator.arrays import Array
from ...generator.cross_section import energy_min, structure_factors
from ...generator.rate import quadrature_nodes, recoil_grid
from ...reco.arrival import background_shares, mean_efficiency, signal_shares
from ...reco.expectation import background_in_bins, background_per_kg_day, background_per_year
from ...reco.experiment import Experiment
from ...reco.response.detector import Shift
from .bins import bin_edges

if TYPE_CHECKING:
    import hist


MOST_NODES = 16384
"""Recoil energies for which the response is computed at once."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Expected counts of an experiment in its bins, over its exposure, veto included."""

    experiment: Experiment
    edges: Array
    """Edges of the bins, shape (bins + 1,)."""
    signal: Mapping[tuple[str, str, str], Array]
    """Signal in beam-on by (flavour, nucleus, structure), shape (bins,), for couplings of one."""
    signal_off: Mapping[tuple[str, str, str], Array]
    """Signal in beam-off: what of it comes so late."""
    steady: Array
    """Steady-state backgrounds in beam-on, shape (bins,); τ times as many are in beam-off."""
    beam: Array
    """Backgrounds that come with the beam, in beam-on."""
    beam_off: Array
    """Backgrounds that come with the beam, in beam-off."""
    tau: float
    """Length of beam-off over that of beam-on."""

    def hist(self) -> hist.Hist[Any]:
        """The signal in beam-on, with axes flavour, nucleus, structure and energy."""
        from hist import Hist

        names = [sorted({key[i] for key in self.signal}) for i in range(3)]
        unit = self.experiment.detector.unit if self.on_reco else "keV_nr"
        result: Hist[Any] = Hist.new.StrCat(names[0], name="flavour").StrCat(
            names[1], name="nucleus"
        ).StrCat(names[2], name="structure").Var(
            self.edges, name="energy", label=f"reconstructed energy, {unit}", flow=False
        ).Double()  # fmt: skip
        for key, counts in self.signal.items():
            result[(*key, slice(None))] = counts
        return result

    @property
    def on_reco(self) -> bool:
        """Whether bins are of e_reco, else of e_reco_nr."""
        return self.experiment.analysis.scale == "reco"


def templates(experiment: Experiment, shift: Shift | None = None) -> Templates:
    """Templates by quadrature; smearing is integrated exactly.

    Parameters
    ----------
    shift
        A response other than the nominal one, for the signal.
    """
    edges = bin_edges(experiment)
    detector, scale = experiment.detector, experiment.analysis.scale
    years, live = experiment.exposure.years, 1 - detector.dead_time
    end_points = {channel.end_point for channel in experiment.channels}
    nodes, weights = quadrature_nodes(
        recoil_grid(
            1e-5 * experiment.end_point,
            experiment.end_point,
            *end_points,
            *_breaks(experiment, edges, shift or Shift()),
        )
    )
    parts = np.array_split(nodes, 1 + nodes.size // MOST_NODES)  # memory: nodes times fine bins
    chance = np.concatenate(
        [detector.bin_probability(p, edges, scale, experiment.energy_top, shift) for p in parts]
    )
    response = chance * (weights * years * live)[:, None]
    signal, signal_off = {}, {}
    for channel in experiment.channels:
        flavour, nucleus = channel.flavour, channel.nucleus
        on, off = signal_shares(experiment, flavour)
        moments = flavour.spectrum.moments(energy_min(nodes, nucleus.mass))
        factors = structure_factors(nodes, nucleus, experiment.interaction, flavour.name)
        for structure, factor in factors.items():
            counts = channel.exposure * (factor * moments).sum(axis=0) @ response
            signal[flavour.name, nucleus.name, structure] = counts * on
            signal_off[flavour.name, nucleus.name, structure] = counts * off
    steady, beam, beam_off = backgrounds(experiment, edges)
    w = experiment.beam_windows
    tau = w.off_length / w.on_length
    return Templates(experiment, edges, signal, signal_off, steady, beam, beam_off, tau)


def _breaks(experiment: Experiment, edges: Array, shift: Shift) -> Array:
    """Recoil energies near which the response to a bin changes: edges, and some σ beside them."""
    detector = experiment.detector
    high = experiment.end_point
    marks = edges[np.isfinite(edges)]
    if experiment.analysis.scale == "reco" and detector.unit != "keV_nr":
        marks = detector.recoil_equivalent(marks / detector.per_kev, high)
    jumps = detector.acceptance_edges(high)
    marks = np.concatenate([marks, jumps, [detector.threshold * shift.threshold]])
    marks = detector.quenched_alike(marks[np.isfinite(marks)], 1 / shift.energy)
    if not detector.resolution.has_width:
        return marks
    marks = marks[(marks > 0) & (marks < 2 * high)]
    spread = np.array([float(detector.recoil_sigma(m)) for m in marks]) * shift.width
    return (marks[:, None] + spread[:, None] * np.array([-6, -3, -1, 0, 1, 3, 6])).ravel()


def backgrounds(experiment: Experiment, edges: Array) -> tuple[Array, Array, Array]:
    """Steady-state counts in beam-on, and beam-related ones in beam-on and beam-off, (bins,)."""
    steady, beam, beam_off = (np.zeros(len(edges) - 1) for _ in range(3))
    live = 1 - experiment.detector.dead_time
    w = experiment.beam_windows
    for background in experiment.background:
        if not background.enabled:
            continue
        share = background_in_bins(experiment, background, edges, experiment.analysis.scale)
        if background.timing == "steady":
            counts = background_per_kg_day(experiment, background) * experiment.target.mass
            kept = mean_efficiency(w, experiment.time_efficiency(background))
            on = counts * experiment.source.days_per_year * w.on_length / w.period * kept
            steady += on * share * experiment.exposure.years * live
        else:
            _, on, off = background_shares(experiment, background, kept=True)
            counts = background_per_year(experiment, background)
            beam += counts * on * share * experiment.exposure.years * live
            beam_off += counts * off * share * experiment.exposure.years * live
    return steady, beam, beam_off
