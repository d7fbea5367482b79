"""Whether two samples agree: χ² of binned differences, Kolmogorov-Smirnov."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ...generator.arrays import Array

LEAST = 5
"""Expected counts, in the smaller sample, of a bin that enters a χ²."""


@dataclass(frozen=True)
class ChiSquared:
    """χ² of a difference, and how probable a larger one is."""

    value: float
    ndf: int
    p_value: float | None
    """None without degrees of freedom."""

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """Largest distance of two cumulative distributions, and how probable a larger one is."""

    distance: float
    p_value: float

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return asdict(self)


def chi2_of(difference: Array, variance: Array, expected: Array, fitted: int = 0) -> ChiSquared:
    """χ² of a difference, joining neighbouring bins up to `LEAST` expected; `fitted` parameters."""
    value, ndf, room = 0.0, -fitted, np.zeros(3)
    for row in zip(difference, variance, expected, strict=True):
        room += row
        if room[2] >= LEAST and room[1] > 0:
            value, ndf, room = value + room[0] ** 2 / room[1], ndf + 1, np.zeros(3)
    return chi_squared(float(value), max(ndf, 0))


def chi_squared(value: float, ndf: int) -> ChiSquared:
    """A χ² with its p-value."""
    from scipy.special import chdtrc

    return ChiSquared(value, ndf, float(chdtrc(ndf, value)) if ndf > 0 else None)


def ks_of(a: Array, b: Array, edges: Array | None) -> KolmogorovSmirnov | None:
    """Kolmogorov-Smirnov of two samples; of the numbers of their bins where edges are given."""
    from scipy.stats import ks_2samp

    if edges is not None:
        a, b = (np.searchsorted(edges, x[(x >= edges[0]) & (x < edges[-1])], "right")
                for x in (a, b))  # fmt: skip
    if len(a) == 0 or len(b) == 0:
        return None
    test = ks_2samp(a, b, method="asymp")
    return KolmogorovSmirnov(float(test.statistic), float(test.pvalue))
