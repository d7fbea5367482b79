"""Whether two samples agree: χ² of binned differences, Kolmogorov-Smirnov."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...generator.arrays import Array

LEAST = 5
"""Expected counts, in the smaller sample, of a bin that enters a χ²."""


def chi2_of(difference: Array, variance: Array, expected: Array, fitted: int = 0) -> dict[str, Any]:
    """χ² of a difference, joining neighbouring bins up to `LEAST` expected; its ndf, p-value."""
    from scipy.special import chdtrc

    value, ndf, room = 0.0, -fitted, np.zeros(3)
    for row in zip(difference, variance, expected, strict=True):
        room += row
        if room[2] >= LEAST and room[1] > 0:
            value, ndf, room = value + room[0] ** 2 / room[1], ndf + 1, np.zeros(3)
    p = float(chdtrc(ndf, value)) if ndf > 0 else None
    return {"value": float(value), "ndf": max(ndf, 0), "p_value": p}


def ks_of(a: Array, b: Array, edges: Array | None) -> dict[str, Any] | None:
    """Kolmogorov-Smirnov of two samples; of the numbers of their bins where edges are given."""
    from scipy.stats import ks_2samp

    if edges is not None:
        a, b = (np.searchsorted(edges, x[(x >= edges[0]) & (x < edges[-1])], "right")
                for x in (a, b))  # fmt: skip
    if len(a) == 0 or len(b) == 0:
        return None
    found = ks_2samp(a, b, method="asymp")
    return {"distance": float(found.statistic), "p_value": float(found.pvalue)}
