"""Bins of spectra."""

from __future__ import annotations

import numpy as np

from ...generator.arrays import Array
from ..experiment import Experiment


def energy_edges(experiment: Experiment, bins: int = 60) -> Array:
    """Edges of about `bins` bins of e_reco: equal, or logarithmic over two decades and more.

    They go from the least energy that is accepted to `detector.e_max`, or as `detector.region`
    says; photo-electrons are whole numbers and have bins of whole numbers.
    """
    detector = experiment.detector
    high = float(detector.electron_equivalent(experiment.e_max)) * detector.per_kev
    if detector.efficiency.at_threshold:
        low = float(detector.electron_equivalent(detector.threshold)) * detector.per_kev
    else:
        energy = np.linspace(0.0, high, 20_001)
        low = float(energy[np.argmax(detector.efficiency.at(energy) > 0)])
    if detector.region is not None:
        low, high = max(low, detector.region[0]), detector.region[1]
    if detector.resolution.whole_numbers:
        low, high = np.ceil(low), np.floor(high)
        number = int(high - low) + 1
        least = -(-number // 60)
        width = next((w for w in range(least, 2 * least) if number % w == 0), least)
        return np.arange(low, high + width + 1, width) - 0.5
    if low > 0 and high / low >= 100:
        edges = np.geomspace(low, high, bins + 1)
    else:
        edges = equal_bins(low, high, bins)
    edges[[0, -1]] *= 1 - 1e-6, 1 + 1e-6  # e_reco is rounded to float32
    return edges


def equal_bins(low: float, high: float, bins: int = 60) -> Array:
    """Edges of equal bins, at most `bins` and a third less, of the width shortest to write."""
    bins = min(range(bins, 2 * bins // 3, -1), key=lambda n: len(f"{(high - low) / n:.6g}"))
    return np.linspace(low, high, bins + 1)


def readable(edges: Array, unit: str) -> tuple[Array, str]:
    """Edges in ns as μs or ms where they are long; others as they are."""
    if unit != "ns":
        return edges, unit
    power = int(np.clip(np.log10(max(np.ptp(edges), 1.0)) // 3, 0, 2))
    return edges / 1e3**power, ("ns", "μs", "ms")[power]
