"""Limits of one parameter from toys at points: where they are, how well, and where more may help.

Where q varies smoothly, its critical value does too, and is interpolated between points; q of the
data is known everywhere. Where q is discrete (`DISCRETE` of the toys have the q of others), its
critical value jumps from one outcome's to another's wherever two of them change their order, and is
not interpolated: the part of the toys that are as far out as the data decides, which at each point
has the binomial error. Points within `DECIDED` of these errors of the level decide nothing alone:
they open no gap and are no island, and a limit among them is that of the monotone curve nearest to
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from ..construction.belt import ROUNDING, Belt, Ordering, belt, tails
from ..construction.numbering import PARTS, number_between
from ..scan.outline import intervals

DISCRETE = 0.2
DECIDED = 2.0
LEAST_CHANGE = 4.0
"""Errors by which the data's statistic changes where the slope of a critical value is taken."""
LARGE = 4.0
"""Errors that noise does not make."""
FAR = 50.0
"""Errors beyond which it does not matter how far out the data are."""


class Summary(NamedTuple):
    """What the toys of one point are needed for."""

    low: float
    """Limits of the statistic, and the error of the critical value, as `Belt`."""
    high: float
    error: float
    outside: float
    """How far the data are outside, in errors of the part of the toys as far out as they are."""
    repeated: float
    """Part of the toys with the statistic of another, of those where it is not 0."""


def summarise(toys: Array, seen: float, cl: float, ordering: Ordering, parameters: int) -> Summary:
    """Summary of toys whose statistic is `toys`, shape (toys,), and that of the data `seen`."""
    limits = belt([toys], cl, ordering, parameters)
    outside = np.inf
    if len(toys):
        sides = tails(toys, seen, cl, ordering, parameters)
        outside = max(
            (t.level - t.number / len(toys)) / np.sqrt(t.level * (1 - t.level) / len(toys))
            for t in sides
        )
    ordered = np.sort(toys[np.abs(toys) > 1e-4])
    alike = np.count_nonzero(np.diff(ordered) < ROUNDING) / max(len(ordered), 1)
    return Summary(limits.low[0], limits.high[0], limits.error[0], outside, float(alike))


class Nodes(NamedTuple):
    """Points of one parameter with toys, those of the grid and between, in their order."""

    x: Array
    cell: Array
    """Cell of the grid after whose first point each lies."""
    part: Array
    """Its place in the cell, in PARTS of it."""
    low: Array
    """`Summary.low` and so on of each."""
    high: Array
    error: Array
    outside: Array
    repeated: Array

    @property
    def belt(self) -> Belt:
        """The belt at the points."""
        return Belt(self.low, self.high, self.error)

    @property
    def discrete(self) -> bool:
        """Whether q is discrete."""
        return bool(np.median(self.repeated) > DISCRETE)

    def between(self, a: int, b: int) -> int | None:
        """Number of the point in the middle between two neighbours; none if they are as close."""
        start, stop = self.part[a], self.part[b]
        if self.cell[b] > self.cell[a]:
            stop = PARTS
        middle = round((start + stop) / 2)
        return number_between(int(self.cell[a]), middle) if start < middle < stop else None


class Limit(NamedTuple):
    """One end of an interval."""

    value: float
    error: float | None
    """Standard error, the grid's part included; none at an end of the scan, or where unknown."""
    wanted: int | None = None
    """Number of a point at which toys would make the error smaller by the grid's part."""


Pair = tuple[Limit, Limit]


def discrete_limits(nodes: Nodes, best: float | None) -> list[Pair]:
    """Limits where q is discrete.

    Parameters
    ----------
    best
        Where the data fit best, if in the range, and known to be in the region.
    """
    if best is not None and best not in nodes.x:
        nodes = _with(nodes, best)
    inside = _inside(nodes.outside)
    limits = [Limit(float(nodes.x[0]), None)] if inside[0] else []
    limits += [
        _discrete_limit(nodes, first, last, inside[first])
        for first, last in _borders(nodes.outside, inside)
    ]
    if inside[-1]:
        limits.append(Limit(float(nodes.x[-1]), None))
    return list(zip(limits[::2], limits[1::2], strict=True))


def _with(nodes: Nodes, best: float) -> Nodes:
    """The points with that of the best fit, where all toys are as far out as the data."""
    i = int(np.searchsorted(nodes.x, best))
    a, b = nodes.x[i - 1], nodes.x[i]
    stop = PARTS if nodes.cell[i] > nodes.cell[i - 1] else nodes.part[i]
    part = nodes.part[i - 1] + (best - a) / (b - a) * (stop - nodes.part[i - 1])
    row = (best, nodes.cell[i - 1], part, np.nan, np.nan, np.nan, -np.inf, 0.0)
    return Nodes(*(np.insert(old, i, new) for old, new in zip(nodes, row, strict=True)))


def _inside(outside: Array) -> list[bool]:
    """Whether points are in a region: those that decide nothing follow their neighbours.

    Between two on one side they are there too; between one inside and one outside as many are
    inside as would be, in order (see `_borders`). If none would be, points are as they are.
    """
    seen = [bool(value <= 0) for value in outside]
    decided = {i for i, value in enumerate(outside) if abs(value) >= DECIDED}
    inside = seen.copy()
    for a, b in pairwise(sorted({0, *decided, len(outside) - 1})):
        if seen[a] == seen[b]:
            inside[a + 1 : b] = [seen[a]] * (b - a - 1)
        else:
            inside[a + 1 : b] = sorted(seen[a + 1 : b], reverse=seen[a])
    return inside if any(inside) else seen


def _borders(outside: Array, inside: Sequence[bool]) -> list[tuple[int, int]]:
    """For each limit the points about it: from the last that decide on either side of it."""
    borders = []
    for i in range(1, len(inside)):
        if inside[i] == inside[i - 1]:
            continue
        first, last = i - 1, i
        while first > 0 and abs(outside[first]) < DECIDED and inside[first - 1] == inside[i - 1]:
            first -= 1
        while (
            last < len(inside) - 1
            and abs(outside[last]) < DECIDED
            and inside[last + 1] == inside[i]
        ):
            last += 1
        borders.append((first, last))
    return borders


def _discrete_limit(nodes: Nodes, first: int, last: int, rising: bool) -> Limit:
    """The limit among points, from the monotone curve of `outside` nearest to theirs."""
    from scipy.optimize import isotonic_regression

    here = slice(first, last + 1)
    x, outside = nodes.x[here], nodes.outside[here]
    if np.isposinf(outside).any():  # points without toys
        i = int(np.argmax(np.isfinite(outside)))
        return Limit(
            float(x[i : i + 2].mean()) if rising else float(x[max(i - 1, 0) : i + 1].mean()), None
        )
    curve = isotonic_regression(np.clip(outside, -FAR, FAR), increasing=rising).x
    b = int(np.argmax((curve > 0) == rising))
    a = max(b - 1, 0)
    share = curve[a] / (curve[a] - curve[b]) if curve[a] != curve[b] else 0.5
    value = float(x[a] + share * (x[b] - x[a]))
    order = slice(None) if rising else slice(None, None, -1)
    statistical = float(np.abs(np.interp([-1.0, 1.0], curve[order], x[order]) - value).max())
    statistical = max(statistical, _over_a_wide_range(nodes, first, last))
    grid = float((x[b] - x[a]) / np.sqrt(12))
    wanted = nodes.between(first + a, first + b) if grid > statistical else None
    undecided = float(x[-1] - x[0]) / (2 * DECIDED)  # wide on a plateau at the level
    k = int(np.argmax(np.diff(x)))
    if wanted is None and undecided > statistical and x[k + 1] - x[k] > statistical:
        wanted = nodes.between(first + k, first + k + 1)
    return Limit(value, float(np.hypot(max(statistical, undecided), grid)), wanted)


def _over_a_wide_range(nodes: Nodes, first: int, last: int) -> float:
    """Change of x by which `outside` changes by 1, between the nearest points where it is large.

    Of points near a limit alone, noise may make a step.
    """
    while first > 0 and abs(nodes.outside[first]) < LARGE:
        first -= 1
    while last < len(nodes.x) - 1 and abs(nodes.outside[last]) < LARGE:
        last += 1
    low, high = np.clip(nodes.outside[[first, last]], -FAR, FAR)
    return float((nodes.x[last] - nodes.x[first]) / max(abs(high - low), DECIDED))


class Curve(NamedTuple):
    """The statistic of the data along the parameter, and how far it is outside of the belt."""

    x: Array
    value: Array
    outside: Array


def smooth_limits(nodes: Nodes, curve: Curve, same_toys: bool) -> list[Pair]:
    """Limits where q is smooth, from critical values that are interpolated between points.

    Parameters
    ----------
    same_toys
        Whether all points use the same toys, so that their errors are not independent.
    """
    pairs: list[Pair] = []
    for ends in intervals(curve.x, curve.outside):
        low, high = (_smooth_limit(nodes, curve, end, same_toys) for end in ends)
        pairs = _joined([*pairs, (low, high)])
    return pairs


def _joined(pairs: list[Pair]) -> list[Pair]:
    """Intervals, the last two as one if the gap between them is but noise.

    If one of them is less than the gap, it is the noise.
    """
    if len(pairs) < 2:
        return pairs
    (low, end), (begin, high) = pairs[-2:]
    gap = begin.value - end.value
    if end.error is None or begin.error is None:
        return pairs
    if gap >= DECIDED * np.hypot(end.error, begin.error):
        return pairs
    if high.value - begin.value < gap:
        return pairs[:-1]
    if end.value - low.value < gap:
        return [*pairs[:-2], pairs[-1]]
    return [*pairs[:-2], (low, high)]


def _smooth_limit(nodes: Nodes, curve: Curve, edge: float, same_toys: bool) -> Limit:
    """A limit with its error; the grid's part is what critical values change beyond their noise."""
    x = curve.x
    if edge in (x[0], x[-1]):
        return Limit(edge, None)
    i, b = int(np.searchsorted(x, edge)), int(np.searchsorted(nodes.x, edge))
    a = b - 1
    if not np.isfinite(curve.outside[[i - 1, i]]).all():  # beside points without toys
        return Limit(edge, None)
    out = i if curve.outside[i] > 0 else i - 1
    is_high = curve.value[out] > np.interp(x[out], nodes.x, nodes.high)
    critical = nodes.high if is_high else nodes.low
    slope = _slope(nodes, critical, (curve.value[i] - curve.value[i - 1]) / (x[i] - x[i - 1]), a)
    share = (edge - nodes.x[a]) / (nodes.x[b] - nodes.x[a])
    parts = np.array([(1 - share) * nodes.error[a], share * nodes.error[b]])
    statistical = abs(float(parts.sum() if same_toys else np.hypot(*parts)) / slope)
    if not np.isfinite(statistical):
        return Limit(edge, None)
    noise = nodes.error[a] ** 2 + nodes.error[b] ** 2
    change = np.sqrt(max((critical[b] - critical[a]) ** 2 - noise, 0.0))
    grid = abs(2 * share * (1 - share) * change / slope)
    alone = nodes.part[a] % PARTS == 0 and nodes.part[b] % PARTS == 0
    wanted = nodes.between(a, b) if grid > statistical or alone else None
    return Limit(edge, float(np.hypot(statistical, grid)), wanted)


def _slope(nodes: Nodes, critical: Array, slope: float, a: int) -> float:
    """Slope of what decides at a limit after point `a`: of the data's statistic less the critical.

    That of the critical value is between the nearest points of the same cell of the grid from one
    to the other of which the data's statistic, of slope `slope`, changes more than its noise.
    """
    before, after = a, a + 1
    while abs(slope) * (nodes.x[after] - nodes.x[before]) < LEAST_CHANGE * np.hypot(
        nodes.error[before], nodes.error[after]
    ):
        wider = before - (nodes.part[before] % PARTS != 0), after + (nodes.part[after] % PARTS != 0)
        if wider == (before, after):
            break
        before, after = wider
    if not np.isfinite(critical[[before, after]]).all():
        return slope
    return slope - float((critical[after] - critical[before]) / (nodes.x[after] - nodes.x[before]))
