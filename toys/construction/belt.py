"""Acceptance regions of one grid point: orderings, order statistics, and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError

Ordering = Literal["likelihood-ratio", "central", "upper"]

ROUNDING = 1e-9
"""Rounding of q: equal data may have q that differ by as much."""


class Belt(NamedTuple):
    """Acceptance of the statistic at grid points: `low` ≤ value ≤ `high`."""

    low: Array
    high: Array
    error: Array
    """Standard error of the limit that is finite, or of the greater, from the number of toys."""


def order_statistic(values: Array, level: float) -> tuple[float, float]:
    """Quantile of toys and its standard error from the binomial spread of the rank.

    The quantile is the least value with at least the level of the toys at or below it.
    """
    n = len(values)
    if n == 0:
        return float("nan"), float("inf")
    ordered = np.sort(values)
    rank = level * n
    spread = np.sqrt(n * level * (1 - level))
    value = ordered[min(max(int(np.ceil(rank - 1e-9)) - 1, 0), n - 1)]
    if rank + spread > n - 1 or rank - spread < 0:
        return float(value), float("inf")
    high = ordered[int(np.ceil(rank + spread)) - 1]
    low = ordered[max(int(np.ceil(rank - spread)) - 1, 0)]
    return float(value), float(high - low) / 2


def belt(values: Sequence[Array], cl: float, ordering: Ordering, parameters: int) -> Belt:
    """Belt from the toys of each grid point, of which there may be different numbers."""
    if ordering != "likelihood-ratio" and parameters > 1:
        raise ExperimentError(f"ordering '{ordering}' is for one parameter, not {parameters}")
    count = len(values)
    low, high, error = np.full(count, -np.inf), np.full(count, np.inf), np.zeros(count)
    for k, toys in enumerate(values):
        if ordering == "likelihood-ratio":
            q = toys**2 if parameters == 1 else toys
            high[k], error[k] = order_statistic(q, cl)
        elif ordering == "upper":
            low[k], error[k] = order_statistic(toys, 1 - cl)
        else:
            low[k], first = order_statistic(toys, (1 - cl) / 2)
            high[k], second = order_statistic(toys, (1 + cl) / 2)
            error[k] = max(first, second)
    return Belt(low, high, error)


def margin(observed: Array, found: Belt, ordering: Ordering, parameters: int) -> Array:
    """How far the data are outside of a belt at each point: in the region where ≤ 0."""
    value = observed**2 if ordering == "likelihood-ratio" and parameters == 1 else observed
    return np.maximum(value - found.high, found.low - value) - ROUNDING


def p_values(values: Sequence[Array], observed: Array, parameters: int) -> Array:
    """Part of the toys of each point with q at least that of the data."""
    square = 2 if parameters == 1 else 1
    return np.array(
        [
            np.mean(np.abs(toys) ** square >= np.abs(seen) ** square - ROUNDING)
            for toys, seen in zip(values, observed, strict=True)
        ]
    )
