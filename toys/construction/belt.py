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
    if high - low <= ROUNDING:
        return float(value), _error_of_an_atom(ordered, float(value), rank, spread)
    return float(value), float(high - low) / 2


def _error_of_an_atom(ordered: Array, value: float, rank: float, spread: float) -> float:
    """Error of a quantile at a value that many toys have: how likely it is a neighbouring value."""
    from scipy.special import ndtr

    first, last = np.searchsorted(ordered, [value - ROUNDING, value + ROUNDING])
    square = 0.0
    if first > 0:
        square += ndtr((first - rank) / spread) * (value - ordered[first - 1]) ** 2
    if last < len(ordered):
        square += ndtr((rank - last) / spread) * (ordered[last] - value) ** 2
    return float(np.sqrt(square)) or float("inf")


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


class Tail(NamedTuple):
    """Toys as far out as the data, on one side that an ordering tests."""

    number: int
    """Of toys whose statistic is as far out as that of the data, or farther."""
    level: float
    """Part of the toys that are this far out where the data just leave the region."""


def tails(toys: Array, seen: float, cl: float, ordering: Ordering, parameters: int) -> list[Tail]:
    """Toys as far out as the data: in q, or in r from below and from above.

    Parameters
    ----------
    toys, seen
        The statistic of toys, shape (toys,), and of the data, as `Statistic.value`.
    """
    if ordering == "likelihood-ratio":
        square = 2 if parameters == 1 else 1
        out = np.abs(toys) ** square >= abs(seen) ** square - ROUNDING
        return [Tail(int(np.count_nonzero(out)), 1 - cl)]
    q, its = toys * np.abs(toys), seen * abs(seen)
    below = Tail(int(np.count_nonzero(q <= its + ROUNDING)), 1 - cl)
    if ordering == "upper":
        return [below]
    above = Tail(int(np.count_nonzero(q >= its - ROUNDING)), (1 - cl) / 2)
    return [below._replace(level=above.level), above]


def p_value(toys: Array, seen: float, ordering: Ordering, parameters: int) -> float:
    """p-value of the data at a point, (k + 1)/(N + 1) for k of N toys as far out.

    Of q for the likelihood ratio; of r from below for an upper limit; for a central interval twice
    that of the nearer end, at most 1. Without toys it is 1.
    """
    sides = tails(toys, seen, 0.5, ordering, parameters)
    least = min(tail.number for tail in sides)
    return min(len(sides) * (least + 1) / (len(toys) + 1), 1.0)
