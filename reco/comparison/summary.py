"""The numbers of the figure of an ntuple: counts, histograms, on minus off, and what is expected.

Everything comes from the file and its provenance. Steady-state background falls in beam-on and
beam-off in the ratio of their lengths, 1 : τ, so on − off/τ is what came with the beam, with the
Poisson error √(on + off/τ²) in each bin.

The residual holds the very events it is compared with, so they differ by the fluctuations of the
background alone: for a counts in beam-on and b in beam-off at one rate, the variance of a − b/τ
given a + b is (a + b)/τ, exactly. That is the variance in the χ² of the residual.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.display import Displayed
from ...generator.settings import unchecked
from ..chain.codes import OFF, ON
from ..columns import Block
from ..errors import ExperimentError
from ..expectation import selected_signal
from ..experiment import Experiment
from ..runs.provenance import Provenance
from ..runs.reading import Reading, reading
from .agreement import ChiSquared, chi_squared
from .axes import energy_edges, equal_bins

STEP = 500_000
"""Events read at a time."""
LEAST_EXPECTED = 5.0
"""Expected events of a bin that enters the χ² of the signal against quadrature."""
FIRST_BACKGROUND = 10
"""Component of the first background; those below are neutrinos."""


@dataclass(frozen=True, eq=False)
class Histograms:
    """Selected events of an ntuple, as `hist.Hist` objects with named axes."""

    e_reco: Any
    """Axes component, window (1 beam-on, 2 beam-off), e_reco in the detector's unit."""
    time: Any
    """Axes component, time (or time_true) in ns since the start of the pulse; beam-on."""
    e_nu: Any
    """Axes component, true neutrino energy in MeV; beam-on."""
    experiment: Experiment
    provenance: Provenance
    """Provenance of what was read; see `Reading.provenance`."""
    fraction: float
    """Part of the runs' pulses that was read."""


def histograms(path: str | Path) -> Histograms:
    """Histograms of the selected events of an ntuple (one file, or a folder of parts).

    It is read in steps, so that memory does not grow with its length. Where the detector knows no
    more than the exposure of an event, the true time takes the place of the measured one.

    Raises
    ------
    ExperimentError
        If there is no ntuple of nuspill, or its parts are not distinct.
    """
    ntuple = reading(path)
    if ntuple.imported:
        raise ExperimentError(f"{path}: is imported, without truth: see nuspill compare")
    h = _empty(ntuple)
    clock = h.time.axes[-1].name
    columns = ["component", "window", "selected", "e_reco", "e_nu", clock]
    for block in ntuple.blocks(columns, STEP):
        _fill(h, block)
    return h


def _empty(ntuple: Reading) -> Histograms:
    """Histograms with bins that suit the expected number of events."""
    from hist import Hist, axis, storage

    experiment, about = ntuple.experiment, ntuple.provenance
    signal = sum(
        row["selected"][ON] for row in about["expected"] if row["component"] < FIRST_BACKGROUND
    )
    bins = int(np.clip(2 * np.cbrt(signal), 20, 60))  # Rice's rule
    windows, flavours = experiment.beam_windows, experiment.source.flavours
    e_top = 5 * float(np.ceil(max(flavour.spectrum.end_point for flavour in flavours) / 5))
    clock = "time_true" if isinstance(experiment.detector.time_resolution, str) else "time"
    codes = axis.IntCategory(sorted(experiment.components), name="component", overflow=False)
    window = axis.IntCategory([ON, OFF], name="window", overflow=False)
    energy, time, e_nu = (
        axis.Variable(edges, name=name, label=unit)
        for edges, name, unit in (
            (energy_edges(experiment, bins), "e_reco", experiment.detector.unit),
            (equal_bins(windows.on_start, windows.on_stop, bins), clock, "ns"),
            (equal_bins(0.0, e_top, bins), "e_nu", "MeV"),
        )
    )
    whole = storage.Int64()
    return Histograms(
        Hist(codes, window, energy, storage=whole),
        Hist(codes, time, storage=whole),
        Hist(codes, e_nu, storage=whole),
        experiment,
        about,
        ntuple.part,
    )


def _fill(h: Histograms, block: Block) -> None:
    """Fill the selected events of a block in."""
    keep = block["selected"] & (block["window"] > 0)
    component, window = block["component"][keep], block["window"][keep]
    h.e_reco.fill(component, window, block["e_reco"][keep])
    on = window == ON
    h.time.fill(component[on], block[h.time.axes[-1].name][keep][on])
    on &= component < FIRST_BACKGROUND
    h.e_nu.fill(component[on], block["e_nu"][keep][on])


def expected_signal(h: Histograms) -> Array:
    """Signal in beam-on by bin of e_reco from quadrature, for the exposure that was read."""
    experiment, edges = h.experiment, h.e_reco.axes["e_reco"].edges
    low = h.provenance["truth_threshold_kev"]
    selected = {row["name"]: row["selected"][ON] for row in h.provenance["expected"]}
    everywhere = selected_signal(experiment, low)
    result = np.zeros(len(edges) - 1)
    for i, limits in enumerate(pairwise(edges)):
        region = np.clip(limits, *(experiment.detector.region or (None, None))).tolist()
        detector = unchecked(experiment.detector, region=region)
        inside = selected_signal(unchecked(experiment, detector=detector), low)
        result[i] = sum(selected[f] * n / everywhere[f] for f, n in inside.items() if n > 0)
    return result


@dataclass(frozen=True)
class ComponentCounts:
    """Selected events of a component, and how many are expected."""

    component: int
    name: str
    on: int
    expected_on: float
    off: int
    expected_off: float

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Stack:
    """Events by bin and component."""

    title: str
    unit: str
    edges: Array
    """Shape (bins + 1,)."""
    on: dict[str, NDArray[np.int64]]
    """Events in beam-on by component, shape (bins,) each."""

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "title": self.title,
            "unit": self.unit,
            "edges": self.edges.tolist(),
            "on": _lists(self.on),
        }


@dataclass(frozen=True, eq=False)
class Energies(Stack):
    """Reconstructed energies, also those in beam-off."""

    off: dict[str, NDArray[np.int64]]

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return super().as_json() | {"off": _lists(self.off)}


@dataclass(frozen=True, eq=False)
class Residual(Stack):
    """Beam-on minus beam-off over τ, beside the events that came with the beam; shape (bins,)."""

    value: Array
    error: Array
    expected_signal: Array

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return super().as_json() | {
            "value": self.value.tolist(),
            "error": self.error.tolist(),
            "expected_signal": self.expected_signal.tolist(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Displayed):
    """Every number of the figure of an ntuple."""

    experiment: str
    seed: int | None
    years_of_operation: float
    protons_on_target: float
    part_of_run: float
    """Part of the runs that is in the files; the exposure is that of this part."""
    missing: tuple[str, ...]
    """What of the runs is not there."""
    steady_source: bool
    tau: float
    """Length of beam-off over that of beam-on."""
    counts: tuple[ComponentCounts, ...]
    outside_axis: int
    """Selected events beyond the bins of energy."""
    on_minus_off: float
    on_minus_off_error: float
    chi2_residual: ChiSquared
    """χ² of on minus off with what was generated with the beam."""
    chi2_signal: ChiSquared
    """χ² of the generated signal with the expected one."""
    e_reco: Energies
    residual: Residual
    time: Stack
    e_nu: Stack

    def facts(self) -> dict[str, object]:
        """Exposure, counts and both χ²."""
        residual, signal = self.chi2_residual, self.chi2_signal
        return {
            "experiment": self.experiment,
            "length": f"{self.years_of_operation:.4g} years",
            "beam-on": sum(row.on for row in self.counts),
            "beam-off": sum(row.off for row in self.counts),
            "on - off/τ": f"{self.on_minus_off:.4g} ± {self.on_minus_off_error:.3g}",
            "χ²/ndf of the residual": f"{residual.value:.1f}/{residual.ndf}",
            "χ²/ndf of the signal": f"{signal.value:.1f}/{signal.ndf}",
        }

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "experiment": self.experiment,
            "seed": self.seed,
            "years_of_operation": self.years_of_operation,
            "protons_on_target": self.protons_on_target,
            "part_of_run": self.part_of_run,
            "missing": list(self.missing),
            "steady_source": self.steady_source,
            "tau": self.tau,
            "counts": [row.as_json() for row in self.counts],
            "outside_axis": self.outside_axis,
            "on_minus_off": self.on_minus_off,
            "on_minus_off_error": self.on_minus_off_error,
            "chi2_residual": self.chi2_residual.as_json(),
            "chi2_signal": self.chi2_signal.as_json(),
            "e_reco": self.e_reco.as_json(),
            "residual": self.residual.as_json(),
            "time": self.time.as_json(),
            "e_nu": self.e_nu.as_json(),
        }


def summary(h: Histograms) -> Summary:
    """Every number of the figure: counts, histograms with their edges, residual and χ²."""
    about, experiment = h.provenance, h.experiment
    codes, windows = np.array(sorted(experiment.components)), experiment.beam_windows
    with_beam, tau = _with_beam(experiment, codes), windows.off_length / windows.on_length
    every = h.e_reco.view(flow=True)
    on, off = every[:, 0, 1:-1], every[:, 1, 1:-1]
    energies, residual = _energies(h, on, off), _residual(h, on, off, with_beam, tau)
    curve, variance = residual.expected_signal, (on[~with_beam].sum(0) + off.sum(0)) / tau
    clock = "True time" if h.time.axes[-1].name == "time_true" else "Time"
    return Summary(
        experiment=experiment.name,
        seed=about["seed"],
        years_of_operation=about["years_of_operation"],
        protons_on_target=about["protons_on_target"],
        part_of_run=h.fraction,
        missing=tuple(about.get("missing", ())),
        steady_source=experiment.source.steady,
        tau=tau,
        counts=_counts(h, every),
        outside_axis=int(every.sum() - on.sum() - off.sum()),
        on_minus_off=float((every[:, 0] - every[:, 1] / tau).sum()),
        on_minus_off_error=float(np.sqrt((every[:, 0] + every[:, 1] / tau**2).sum())),
        chi2_residual=_chi2(residual.value - on[with_beam].sum(0), variance, 0.0),
        chi2_signal=_chi2(on[codes < FIRST_BACKGROUND].sum(0) - curve, curve, LEAST_EXPECTED),
        e_reco=energies,
        residual=residual,
        time=_stack(h, f"{clock} since the start of the pulse", h.time),
        e_nu=_stack(h, "True neutrino energy", h.e_nu),
    )


def _with_beam(experiment: Experiment, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the events of components fall in beam-on alone."""
    steady = [experiment.component_of(b) for b in experiment.background if b.timing == "steady"]
    return ~np.isin(codes, steady) & ~((codes < FIRST_BACKGROUND) & experiment.source.steady)


def _counts(h: Histograms, every: NDArray[np.int64]) -> tuple[ComponentCounts, ...]:
    """Counts of all components, from those by bin (component, window, bin)."""
    names = h.experiment.components
    expected = {row["component"]: row["selected"] for row in h.provenance["expected"]}
    return tuple(
        ComponentCounts(
            component=code,
            name=names[code],
            on=int(by_window[0].sum()),
            expected_on=expected[code][ON],
            off=int(by_window[1].sum()),
            expected_off=expected[code][OFF],
        )
        for code, by_window in zip(sorted(names), every, strict=True)
    )


def _energies(h: Histograms, on: NDArray[np.int64], off: NDArray[np.int64]) -> Energies:
    """Reconstructed energies, from counts (component, bin)."""
    return Energies(*_axis_of_energy(h), _by_name(h, on), _by_name(h, off))


def _residual(
    h: Histograms,
    on: NDArray[np.int64],
    off: NDArray[np.int64],
    with_beam: NDArray[np.bool_],
    tau: float,
) -> Residual:
    """Residual, on minus off, from counts (component, bin)."""
    return Residual(
        *_axis_of_energy(h),
        _by_name(h, on * with_beam[:, None]),
        value=on.sum(0) - off.sum(0) / tau,
        error=np.sqrt(on.sum(0) + off.sum(0) / tau**2),
        expected_signal=expected_signal(h),
    )


def _axis_of_energy(h: Histograms) -> tuple[str, str, Array]:
    """Title, unit and edges of the axis of energy."""
    axis, counting = h.e_reco.axes[-1], h.experiment.detector.unit == "keV_nr"
    title = "Recoil energy (true: not measured)" if counting else "Reconstructed energy"
    return title, axis.label, axis.edges


def _stack(h: Histograms, title: str, filled: Any) -> Stack:
    """A histogram of beam-on."""
    axis = filled.axes[-1]
    return Stack(title, axis.label, axis.edges, _by_name(h, filled.values()))


def _by_name(h: Histograms, counts: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Counts (component, bin) by the component's name."""
    names = h.experiment.components
    return {names[code]: row.copy() for code, row in zip(sorted(names), counts, strict=True)}


def _lists(counts: dict[str, NDArray[np.int64]]) -> dict[str, list[int]]:
    return {name: row.tolist() for name, row in counts.items()}


def _chi2(difference: Array, variance: Array, above: float) -> ChiSquared:
    """χ² in the bins whose variance is above a limit."""
    used = variance > above
    return chi_squared(float((difference[used] ** 2 / variance[used]).sum()), int(used.sum()))
