"""Templates: expected counts a bin by flavour, nucleus and coupling structure, and of backgrounds.

The structures are those of `generator.cross_section`, by quadrature; what multiplies them
comes from `generator.coupling`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...generator.arrays import Array
from ...generator.coupling import Interaction
from ...generator.cross_section import energy_min, structure_factors
from ...generator.rate import quadrature_nodes, recoil_grid
from ...reco.arrival import shares, steady_shares
from ...reco.errors import ExperimentError
from ...reco.expectation import background_in_bins, background_per_kg_day, background_per_year
from ...reco.experiment import Experiment
from ...reco.response.background import SIGNAL
from ...reco.response.detector import Shift
from .binning import Binning, binning
from .filed import filed

if TYPE_CHECKING:
    import hist


MOST_NODES = 16384
"""Recoil energies for which the response is computed at once."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Expected counts of one component in bins."""

    on: Array
    """In beam-on, shape (bins,)."""
    off: Array
    """In beam-off, shape (bins,)."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Expected counts of an experiment in its bins, over its exposure, veto included."""

    experiment: Experiment
    binning: Binning
    signal: Mapping[tuple[str, str, str], Array]
    """Signal in beam-on by (flavour, nucleus, structure), shape (bins,), for couplings of one.

    Nothing if it is `filed`.
    """
    signal_off: Mapping[tuple[str, str, str], Array]
    """Signal in beam-off: what of it comes so late."""
    backgrounds: Mapping[str, Counts]
    """Backgrounds by name, in the order of the file; those that are not enabled are left out."""
    tau: float
    """Length of beam-off over that of beam-on."""
    filed: Array | None = None
    """Signal in beam-on as a file gives it, shape (bins,); None if it is computed."""

    def named(self, *, steady: bool) -> tuple[str, ...]:
        """Names of the steady-state backgrounds, or of all others: of the beam, and from files."""
        timing = {b.name: b.timing for b in self.experiment.background}
        return tuple(n for n in self.backgrounds if (timing.get(n) == "steady") == steady)

    @property
    def steady(self) -> Array:
        """Steady-state backgrounds in beam-on, shape (bins,); τ times as many are in beam-off."""
        return self._sum(self.backgrounds[name].on for name in self.named(steady=True))

    @property
    def beam(self) -> Array:
        """Backgrounds that come with the beam, in beam-on, shape (bins,)."""
        return self._sum(self.backgrounds[name].on for name in self.named(steady=False))

    @property
    def beam_off(self) -> Array:
        """Backgrounds that come with the beam, in beam-off, shape (bins,)."""
        return self._sum(self.backgrounds[name].off for name in self.named(steady=False))

    def _sum(self, counts: Iterable[Array]) -> Array:
        return sum(counts, np.zeros(self.binning.bins))

    def shifted(self, component: str, shift: Shift) -> Templates:
        """The templates with another response to one of the components.

        Raises
        ------
        ValueError
            If a file gives the component, of which no response is known.
        """
        if self.experiment.template_of(component) is not None:
            raise ValueError(
                f"'{component}' is from a file, whose shape changes by template.variant alone"
            )
        if component == SIGNAL:
            return templates(self.experiment, shift)
        shifted = backgrounds(self.experiment, self.binning, shift, [component])
        return replace(self, backgrounds={**self.backgrounds, **shifted})

    def scaled(self, component: str, factors: Array) -> Templates:
        """The templates with factors on the counts of a component in each bin, shape (bins,)."""
        if component == SIGNAL and self.filed is not None:
            return replace(self, filed=self.filed * factors)
        if component == SIGNAL:
            signal, signal_off = (
                {key: counts * factors for key, counts in part.items()}
                for part in (self.signal, self.signal_off)
            )
            return replace(self, signal=signal, signal_off=signal_off)
        old = self.backgrounds[component]
        changed = {component: Counts(old.on * factors, old.off * factors)}
        return replace(self, backgrounds={**self.backgrounds, **changed})

    def varied(self, component: str, counts: Array) -> Templates:
        """The templates with other counts of a component that a file gives, shape (bins,)."""
        if component == SIGNAL:
            return replace(self, filed=counts)
        changed = {component: Counts(counts, np.zeros_like(counts))}
        return replace(self, backgrounds={**self.backgrounds, **changed})

    def hist(self) -> hist.Hist[Any]:
        """The signal in beam-on, with axes flavour, nucleus, structure and those of the bins.

        Raises
        ------
        ExperimentError
            If a file gives it, which has no flavours.
        """
        from hist import Hist, axis, storage

        if self.filed is not None:
            raise ExperimentError(f"{self.experiment.name}: its signal is from a file")

        names = [sorted({key[i] for key in self.signal}) for i in range(3)]
        kinds = ("flavour", "nucleus", "structure")
        axes: list[Any] = [
            axis.StrCategory(of, name=name) for name, of in zip(kinds, names, strict=True)
        ]
        axes += [
            axis.Variable(a.edges, name=a.name, label=f"{a.label}, {a.unit}", flow=False)
            for a in self.binning.axes
        ]
        result: Hist[Any] = Hist(*axes, storage=storage.Double())
        for key, counts in self.signal.items():
            result[(*key, ...)] = counts.reshape(self.binning.shape)
        return result


def templates(experiment: Experiment, shift: Shift | None = None) -> Templates:
    """Templates by quadrature; smearing is integrated exactly.

    Parameters
    ----------
    shift
        A response other than the nominal one, for the signal.
    """
    shift = shift or Shift()
    bins = binning(experiment)
    w = experiment.beam_windows
    tau = w.off_length / w.on_length
    own = experiment.template_of(SIGNAL)
    if own is not None:
        counts = filed(experiment, bins, own).counts
        return Templates(experiment, bins, {}, {}, backgrounds(experiment, bins), tau, counts)
    edges = bins.energy
    detector, scale = experiment.detector, experiment.analysis.scale
    years, live = experiment.exposure.years, 1 - detector.dead_time
    end_points = {channel.end_point for channel in experiment.channels}
    nodes, weights = quadrature_nodes(
        recoil_grid(
            1e-5 * experiment.end_point,
            experiment.end_point,
            *end_points,
            *_breaks(experiment, edges, shift),
        )
    )
    parts = np.array_split(nodes, 1 + nodes.size // MOST_NODES)  # memory: nodes times fine bins
    chance = np.concatenate(
        [detector.bin_probability(p, edges, scale, experiment.energy_top, shift) for p in parts]
    )
    response = chance * (weights * years * live)[:, None]
    interaction = _at_radius(experiment.interaction, shift.radius)
    arrivals = {f.name: shares(experiment, f, bins.time, shift) for f in experiment.source.flavours}
    signal, signal_off = {}, {}
    for channel in experiment.channels:
        flavour, nucleus = channel.flavour, channel.nucleus
        moments = flavour.spectrum.moments(energy_min(nodes, nucleus.mass))
        factors = structure_factors(nodes, nucleus, interaction, flavour.name)
        for structure, factor in factors.items():
            counts = channel.exposure * (factor * moments).sum(axis=0) @ response
            key = flavour.name, nucleus.name, structure
            in_on, in_off = arrivals[flavour.name]
            signal[key], signal_off[key] = bins.joined(counts, in_on), bins.joined(counts, in_off)
    return Templates(experiment, bins, signal, signal_off, backgrounds(experiment, bins), tau)


def _at_radius(interaction: Interaction, factor: float) -> Interaction:
    """An interaction with other radii of the neutrons.

    Raises
    ------
    ValueError
        If the radii are those of the form factor's own formula.
    """
    if factor == 1:
        return interaction
    old = interaction.neutron_radius
    if old is None or interaction.form_factor == "unity":
        raise ValueError("give interaction.neutron_radius, fm, and a form factor that has a radius")
    new = {n: factor * r for n, r in old.items()} if isinstance(old, dict) else factor * old
    return interaction.model_copy(update={"neutron_radius": new})


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
    if shift.quenching is not None:
        other = detector.model_copy(update={"quenching": shift.quenching})
        marks = other.recoil_equivalent(detector.electron_equivalent(marks), 2 * high)
    if not detector.resolution.has_width:
        return marks
    marks = marks[(marks > 0) & (marks < 2 * high)]
    spread = np.array([float(detector.recoil_sigma(m)) for m in marks]) * shift.width
    return (marks[:, None] + spread[:, None] * np.array([-6, -3, -1, 0, 1, 3, 6])).ravel()


def backgrounds(
    experiment: Experiment,
    bins: Binning,
    shift: Shift | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Counts]:
    """Counts of each background that is enabled, by name, in the order of the file.

    Parameters
    ----------
    shift
        A response other than the nominal one.
    names
        Those that are asked for; by default all.
    """
    live = 1 - experiment.detector.dead_time
    w = experiment.beam_windows
    shift = shift or Shift()
    if shift.radius != 1:
        raise ValueError("a background has no nuclear radius")
    result = {}
    for background in experiment.background:
        if not background.enabled or (names is not None and background.name not in names):
            continue
        scale = experiment.analysis.scale
        share = background_in_bins(experiment, background, bins.energy, scale, shift)
        if background.timing == "steady" and not shift.moves_times:
            counts = background_per_kg_day(experiment, background) * experiment.target.mass
            on = counts * experiment.source.days_per_year * w.on_length / w.period
            kept = steady_shares(experiment, background, bins.time)
            in_on = bins.joined(share, on * kept) * experiment.exposure.years * live
            result[background.name] = Counts(in_on, in_on * (w.off_length / w.on_length))
        else:
            times = shares(experiment, background, bins.time, shift)
            counts = background_per_year(experiment, background)
            in_on, in_off = (
                bins.joined(share, counts * part) * experiment.exposure.years * live
                for part in times
            )
            result[background.name] = Counts(in_on, in_off)
    for template in experiment.template:
        if template.name != SIGNAL and (names is None or template.name in names):
            of_file = filed(experiment, bins, template).counts
            result[template.name] = Counts(of_file, np.zeros_like(of_file))
    return result
