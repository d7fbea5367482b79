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
    """χ² of a difference by bin, where neighbours are joined up to `LEAST` expected counts.

    Each of the `fitted` parameters takes a degree of freedom.
    """
    value, ndf, joined = 0.0, -fitted, np.zeros(3)
    for row in zip(difference, variance, expected, strict=True):
        joined += row
        if joined[2] >= LEAST and joined[1] > 0:
            value, ndf, joined = value + joined[0] ** 2 / joined[1], ndf + 1, np.zeros(3)
    return chi_squared(float(value), max(ndf, 0))


def chi_squared(value: float, ndf: int) -> ChiSquared:
    """A χ² with its p-value."""
    from scipy.special import chdtrc

    return ChiSquared(value, ndf, float(chdtrc(ndf, value)) if ndf > 0 else None)


def ks_of(a: Array, b: Array, edges: Array | None) -> KolmogorovSmirnov | None:
    """Kolmogorov-Smirnov test of two samples, or, with edges, of the numbers of their bins."""
    from scipy.stats import ks_2samp

    if edges is not None:
        a, b = (
            np.searchsorted(edges, values[(values >= edges[0]) & (values < edges[-1])], "right")
            for values in (a, b)
        )
    if len(a) == 0 or len(b) == 0:
        return None
    test = ks_2samp(a, b, method="asymp")
    return KolmogorovSmirnov(float(test.statistic), float(test.pvalue))
