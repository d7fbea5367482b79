"""Expected numbers of events by quadrature: by component, window and selection.

The signal above a true threshold is the paper's Table 1; with response, acceptance and windows it
is what an ntuple must hold, within Poisson errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..generator.arrays import Array
from ..generator.beam import FlavourFlux
from ..generator.rate import above, flux_averaged_cross_section, quadrature_nodes, recoil_grid
from .arrival import background_shares, shares, window_shares
from .experiment import Experiment
from .response.background import Background, BackgroundShape, shape
from .response.detector import Shift

TRUTH_LOSS = 1e-4
"""Part of the selected events that may lie below the derived truth threshold."""


@dataclass(frozen=True)
class Expectation:
    """Expected numbers of one component in a year of operation."""

    component: int
    name: str
    total: float
    """Events above the truth threshold; of a background, those that are recorded."""
    in_window: tuple[float, float, float]
    """Events in no window, beam-on and beam-off."""
    selected: tuple[float, float, float]
    """Selected events in no window (always 0), beam-on and beam-off."""


def background_shape(experiment: Experiment, background: Background) -> BackgroundShape:
    """Spectrum of a background on its own scale, with the experiment's default range."""
    ends = experiment.detector.threshold, experiment.e_max
    low, high = (_on_scale(experiment, background, e) for e in ends)
    return shape(background, low, high)


def background_per_kg_day(experiment: Experiment, background: Background) -> float:
    """Counts a kg and a day of live time (of beam, if it comes with the beam)."""
    if background.total:
        return background.rate
    return background.rate * background_shape(experiment, background).integral


def background_per_year(experiment: Experiment, background: Background) -> float:
    """Counts recorded in a year of operation."""
    counts = background_per_kg_day(experiment, background) * experiment.target.mass
    days = experiment.source.days_per_year
    if background.timing != "steady" or experiment.windows.record == "all":
        return counts * days
    w = experiment.beam_windows
    return counts * days * (w.on_length + w.off_length) / w.period


def truth_threshold(experiment: Experiment) -> float:
    """Least true recoil energy to be made, keV.

    As set, or such that at most 1e-4 of the selected events lie below it. It depends on source,
    target, interaction and detector, not on backgrounds.
    """
    if experiment.exposure.truth_threshold is not None:
        return experiment.exposure.truth_threshold
    start = max(experiment.detector.threshold, 1e-3 * experiment.end_point)
    jumps = experiment.detector.acceptance_edges(experiment.energy_top)
    edges = np.concatenate(
        [
            np.geomspace(1e-5 * start, start, 61),
            recoil_grid(start, experiment.end_point, *jumps)[1:],
        ]
    )
    nodes, weights = quadrature_nodes(edges)
    rate = np.zeros_like(nodes)
    for channel in experiment.channels:
        rate += channel.rate(nodes)
    chance = experiment.detector.selection_probability(nodes, experiment.energy_top)
    pieces = (rate * chance * weights).reshape(len(edges) - 1, -1).sum(axis=1)
    cumulative = np.cumsum(pieces)
    if cumulative[-1] <= 0:
        return float(start)
    below = np.searchsorted(cumulative, TRUTH_LOSS * cumulative[-1])
    return float(min(edges[below], start))


def mean_per_pulse(experiment: Experiment, low: float) -> Array:
    """Expected events a pulse: signal channels above `low` (keV), then recorded backgrounds."""
    per_year = [above(channel, low) for channel in experiment.channels]
    per_year += [background_per_year(experiment, b) for b in experiment.background]
    return np.array(per_year) / experiment.source.pulses_per_year


def selected_signal(experiment: Experiment, low: float) -> dict[str, float]:
    """Accepted events a year by flavour, in any window or none, before the veto."""
    ends = {channel.end_point for channel in experiment.channels}
    jumps = experiment.detector.acceptance_edges(experiment.energy_top)
    edges = recoil_grid(low, experiment.end_point, *jumps, *ends)
    nodes, weights = quadrature_nodes(edges)
    chance = experiment.detector.selection_probability(nodes, experiment.energy_top)
    accepted = {flavour.name: 0.0 for flavour in experiment.source.flavours}
    for channel in experiment.channels:
        accepted[channel.flavour.name] += float(channel.rate(nodes) @ (chance * weights))
    return accepted


def expectations(experiment: Experiment, low: float | None = None) -> list[Expectation]:
    """Expected numbers of every component in a year of operation, in the order of their numbers.

    `low` is the truth threshold in keV, if it is known already.
    """
    low = truth_threshold(experiment) if low is None else low
    live = 1 - experiment.detector.dead_time
    accepted = selected_signal(experiment, low)
    result = []
    for flavour in experiment.source.flavours:
        total = sum(above(c, low) for c in experiment.channels if c.flavour is flavour)
        timing = "steady" if experiment.source.steady else None
        parts = window_shares(experiment, timing, flavour.lives, 0.0)
        selected = accepted[flavour.name] * live
        kept = [float(part[0]) for part in shares(experiment, flavour, None)]
        result.append(_expectation(flavour.component, flavour.name, total, selected, parts, kept))
    for background in experiment.background:
        if background.enabled:
            total = background_per_year(experiment, background)
            everything = np.array([-np.inf, np.inf])
            chance = float(background_in_bins(experiment, background, everything, "reco")[0])
            parts = background_shares(experiment, background)
            _, *kept = background_shares(experiment, background, kept=True)
            number, selected = experiment.component_of(background), total * chance * live
            result.append(_expectation(number, background.name, total, selected, parts, kept))
    return result


def _expectation(
    number: int,
    name: str,
    total: float,
    selected: float,
    parts: tuple[float, float, float],
    kept: Sequence[float],
) -> Expectation:
    none, on, off = parts
    return Expectation(
        number,
        name,
        total,
        (total * none, total * on, total * off),
        (0.0, selected * kept[0], selected * kept[1]),
    )


def background_in_bins(
    experiment: Experiment,
    background: Background,
    edges: Array,
    scale: str,
    shift: Shift | None = None,
) -> Array:
    """Part of a background that is selected in each bin of reconstructed energy.

    Parameters
    ----------
    edges
        Increasing, shape (bins + 1,); infinite ones are allowed.
    scale
        ``keV_nr`` for bins of e_reco_nr, ``reco`` for bins of e_reco.
    shift
        A response other than the nominal one.

    Returns
    -------
    array, shape (bins,)
        Windows and veto not included.

    Raises
    ------
    ValueError
        If energies are as measured, and the shift is of what comes before.
    """
    shift = shift or Shift()
    spectrum = background_shape(experiment, background)
    detector, top = experiment.detector, experiment.energy_top
    if not background.measured:
        x = np.linspace(spectrum.edges[0], spectrum.edges[-1], 4001)
        middle = (x[1:] + x[:-1]) / 2
        parts = [
            detector.bin_probability(
                part, edges, "reco" if scale == "reco" else "keV_nr", top, shift
            )
            for part in np.array_split(middle, 8)
        ]
        return np.diff(spectrum.cdf(x)) @ np.concatenate(parts)
    if shift.quenching or shift.efficiency or shift.width != 1:
        raise ValueError(
            f"the energies of background '{background.name}' are as measured, so that only their "
            "scale and the threshold can be others"
        )
    limits = np.asarray(edges, float)
    if scale == "keV_nr":
        limits = detector.reconstructed(limits)
    low, high = detector.region or (-np.inf, np.inf)
    least = _on_scale(experiment, background, detector.threshold * shift.threshold)
    if detector.resolution.whole_numbers and background.scale == "reco":  # which are whole numbers
        limits, low, high = np.ceil(limits) - 0.5, np.ceil(low) - 0.5, np.floor(high) + 0.5
        least = np.ceil(least) - 0.5
    limits = np.clip(limits, low, high)
    if background.scale != "reco" and detector.unit != "keV_nr":
        limits = limits / detector.per_kev
        if background.scale == "keV_nr":
            finite = np.isfinite(limits)
            limits[finite] = detector.recoil_equivalent(limits[finite], top)
    limits = np.maximum(limits, least)
    if shift.energy != 1:
        limits = _scaled(experiment, background, limits, 1 / shift.energy)
    return np.diff(spectrum.cdf(limits))


def _scaled(experiment: Experiment, background: Background, energy: Array, factor: float) -> Array:
    """Energies on the scale of a background whose measured energies are `factor` times theirs."""
    if background.scale != "keV_nr":
        return factor * energy
    scaled = np.array(energy)
    finite = np.isfinite(energy)
    scaled[finite] = experiment.detector.quenched_alike(energy[finite], factor)
    return scaled


def _on_scale(experiment: Experiment, background: Background, recoil: float) -> float:
    """Energy in keV_nr on the scale of a background."""
    detector = experiment.detector
    if background.scale == "keV_nr":
        return recoil
    if background.scale == "reco":
        return float(detector.reconstructed(recoil))
    return float(detector.electron_equivalent(recoil))


def steady_background(experiment: Experiment) -> tuple[float, float]:
    """Steady-state counts a year in beam-on and beam-off, before acceptance and veto."""
    w = experiment.beam_windows
    counts = sum(
        background_per_kg_day(experiment, b)
        for b in experiment.background
        if b.enabled and b.timing == "steady"
    )
    counts *= experiment.target.mass * experiment.source.days_per_year / w.period
    return counts * w.on_length, counts * w.off_length


def rates(experiment: Experiment) -> dict[str, object]:
    """Numbers a year of operation that `nuspill rates` prints.

    Returns
    -------
    dict
        ``above_threshold`` (true T above the detector's threshold, no acceptance, no smearing:
        Table 1 of arXiv:1911.00762), the same by flavour, ``selected`` (after response
        and windows, as `Detector.acceptance` says), ``steady_on`` and ``steady_off`` (background
        in the windows, before acceptance), ``beam_background``, ``figure_of_merit``
        (above_threshold over the root of steady_on), and ``flux_averaged_cross_section_cm2`` by
        nucleus.
    """
    by_flavour: dict[FlavourFlux, float] = {}
    for channel in experiment.channels:
        n = above(channel, experiment.detector.threshold)
        by_flavour[channel.flavour] = by_flavour.get(channel.flavour, 0.0) + n
    total = sum(by_flavour.values())
    on, off = steady_background(experiment)
    expected = expectations(experiment)
    signal = [e for e in expected if e.component < 10]
    result: dict[str, object] = {"above_threshold": total}
    result |= {flavour.name: n for flavour, n in by_flavour.items()}
    result |= {
        "selected": sum(sum(e.selected) for e in signal),
        "steady_on": on,
        "steady_off": off,
        "beam_background": sum(
            background_per_year(experiment, b)
            for b in experiment.background
            if b.enabled and b.timing != "steady"
        ),
        "figure_of_merit": float(total / np.sqrt(on)) if on > 0 else None,
        "truth_threshold_kev": truth_threshold(experiment),
        "flux_averaged_cross_section_cm2": cross_sections(experiment),
        "unit": "per year of operation",
    }
    return result


def cross_sections(experiment: Experiment) -> dict[str, float]:
    """Flux-averaged cross section of each nucleus over all flavours, cm²."""
    weights: dict[str, list[tuple[float, float]]] = {}
    for channel in experiment.channels:
        flux = channel.flavour.per_year
        sigma = flux_averaged_cross_section(channel, 1e-6)
        weights.setdefault(channel.nucleus.name, []).append((flux, sigma))
    return {
        name: sum(f * s for f, s in pairs) / sum(f for f, _ in pairs)
        for name, pairs in weights.items()
    }
