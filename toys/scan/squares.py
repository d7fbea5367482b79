"""Closed boundaries of a region from the values at the corners of some cells of a grid.

Marching squares, with the cells that the boundary enters given as a list: the others need no room,
however fine the grid is. Where an edge is crossed is a zero of the cubic through the values and
slopes at its ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Key = tuple[int, ...]
"""Numbers of the ends of an edge."""

ALONG = np.linspace(0.0, 1.0, 9)[1:-1]
"""Where on an edge its cubic is looked at."""
STEPS = 40
"""Halvings of an edge in finding where it is crossed."""
# corners: 0 lower left, 1 lower right, 2 upper right, 3 upper left
# edges: 0 bottom, 1 right, 2 top, 3 left, each from one of these corners to the next
Segments = tuple[tuple[int, int], ...]
SEGMENTS: Mapping[int, Segments] = {
    1: ((0, 3),), 2: ((1, 0),), 3: ((1, 3),), 4: ((2, 1),), 6: ((2, 0),), 7: ((2, 3),),
    8: ((3, 2),), 9: ((0, 2),), 11: ((1, 2),), 12: ((3, 1),), 13: ((0, 1),), 14: ((3, 0),),
}  # fmt: skip
"""Edges where the boundary enters and leaves a cell, the region on its left, by corners in it."""
SADDLES: Mapping[tuple[int, bool], Segments] = {
    (5, False): ((0, 3), (2, 1)), (5, True): ((0, 1), (2, 3)),
    (10, False): ((1, 0), (3, 2)), (10, True): ((1, 2), (3, 0)),
}  # fmt: skip
"""The same where opposite corners are in it, and whether the middle is."""


@dataclass(frozen=True, eq=False)
class Corners:
    """Values at the four corners of cells, each of shape (cells, 4), and where they are."""

    number: Integers
    """The number of each point, by which cells know that a corner is the same."""
    x: Array
    y: Array
    height: Array
    """Below zero in the region; infinite outside of what is known."""
    slope_x: Array
    """Derivatives; none where they are not known."""
    slope_y: Array

    @property
    def code(self) -> Integers:
        """Which corners are in the region, as the bits of a number."""
        return np.sum((self.height < 0) << np.arange(4), axis=1)

    @property
    def cut(self) -> Flags:
        """Cells with corners in the region and out of it."""
        return (self.code != 0) & (self.code != 15)

    def turning(self) -> Flags:
        """Cells with an edge that crosses the boundary twice, by the cubic along it."""
        edges = [self._edge(a, b, self.x, self.slope_x) for a, b in ((0, 1), (3, 2))]
        edges += [self._edge(a, b, self.y, self.slope_y) for a, b in ((0, 3), (1, 2))]
        return np.any(edges, axis=0)

    def _edge(self, a: int, b: int, along: Array, slopes: Array) -> Flags:
        width = along[:, b] - along[:, a]
        f, g = self.height[:, [a, b]].T, slopes[:, [a, b]].T * width
        dips = np.all(f > 0, axis=0) & (g[0] < 0) & (g[1] > 0)
        bumps = np.all(f < 0, axis=0) & (g[0] > 0) & (g[1] < 0)
        turns = np.zeros(width.shape, bool)
        some = np.flatnonzero(dips | bumps)
        values = [_cubic(t, f[:, some], g[:, some]) for t in ALONG]
        turns[some] = np.any((np.array(values) < 0) == dips[some], axis=0)
        return turns


def boundaries(corners: Corners) -> list[Array]:
    """Closed lines, each of shape (points, 2), the region on their left."""
    enters, leaves = [], []
    code, middle = corners.code, np.mean(np.minimum(corners.height, 1e30), axis=1) < 0
    cases = [(k, code == k, v) for k, v in SEGMENTS.items()]
    cases += [(k, (code == k) & (middle == m), v) for (k, m), v in SADDLES.items()]
    for _, here, segments in cases:
        cells = np.flatnonzero(here)
        for start, end in segments:
            enters.append(_crossing(corners, cells, start))
            leaves.append(_crossing(corners, cells, end))
    if not enters:
        return []
    first = np.concatenate([keys for keys, _ in enters])
    second = np.concatenate([keys for keys, _ in leaves])
    points = np.concatenate([xy for _, xy in enters])
    keys = [tuple(key) for key in first.tolist()]
    following = dict(zip(keys, [tuple(key) for key in second.tolist()], strict=True))
    return _loops(following, dict(zip(keys, points.tolist(), strict=True)))


def _loops(following: dict[Key, Key], place: Mapping[Key, list[float]]) -> list[Array]:
    """Closed lines from what follows each crossing, by their keys."""
    lines = []
    while following:
        start, key = following.popitem()
        line = [place[start]]
        while key != start:
            line.append(place[key])
            key = following.pop(key)
        lines.append(np.array([*line, line[0]]))
    return lines


def _crossing(corners: Corners, cells: Integers, edge: int) -> tuple[Integers, Array]:
    """A key of an edge of cells, shape (cells, 2), and the point where it is crossed."""
    one, other = edge, (edge + 1) % 4
    number, row = corners.number[cells], cells
    flip = number[:, one] > number[:, other]  # the same from both sides
    a, b = np.where(flip, other, one), np.where(flip, one, other)
    x = np.stack([corners.x[row, a], corners.x[row, b]])
    y = np.stack([corners.y[row, a], corners.y[row, b]])
    slopes = corners.slope_x if edge % 2 == 0 else corners.slope_y
    width = (x if edge % 2 == 0 else y)[1] - (x if edge % 2 == 0 else y)[0]
    f = np.stack([corners.height[row, a], corners.height[row, b]])
    g = np.stack([slopes[row, a], slopes[row, b]]) * width
    t = _zero(f, g)
    keys = np.stack([corners.number[row, a], corners.number[row, b]], axis=1)
    return keys, np.stack([x[0] + t * (x[1] - x[0]), y[0] + t * (y[1] - y[0])], axis=1)


def _zero(f: Array, g: Array) -> Array:
    """Where the cubic from f[0] to f[1], with slopes g, is zero; at the finite end of others."""
    finite = np.all(np.isfinite(f), axis=0)
    known = finite & np.all(np.isfinite(g), axis=0)
    f0, f1 = np.where(finite, f, [[1.0], [-1.0]])
    chord = f1 - f0
    g0, g1 = (np.where(known, slope, chord) for slope in g)
    low, high = np.zeros_like(f0), np.ones_like(f0)
    for _ in range(STEPS):
        t = 0.5 * (low + high)
        before = (_cubic(t, (f0, f1), (g0, g1)) < 0) == (f0 < 0)
        low, high = np.where(before, t, low), np.where(before, high, t)
    end = np.where(np.isfinite(f[0]), 0.0, 1.0)
    return np.where(finite, 0.5 * (low + high), end)


def _cubic(t: Any, f: Sequence[Array] | Array, g: Sequence[Array] | Array) -> Array:
    """The cubic through values f at 0 and 1 with slopes g there."""
    left, right = (1 - t) ** 2, t**2
    value = f[0] * (1 + 2 * t) * left + g[0] * t * left
    return np.asarray(value + f[1] * (3 - 2 * t) * right + g[1] * (t - 1) * right)


def signed_area(line: Array) -> float:
    """Area within a closed line; negative where it runs clockwise, round a hole."""
    x, y = line[:, 0] - line[0, 0], line[:, 1] - line[0, 1]
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def pieces(lines: list[Array]) -> list[list[Array]]:
    """For each piece of a region its outer boundary, then its holes."""
    areas = [signed_area(line) for line in lines]
    outer = sorted((k for k, area in enumerate(areas) if area > 0), key=lambda k: areas[k])
    groups = {k: [lines[k]] for k in outer}
    for k, area in enumerate(areas):
        if area <= 0:
            home = next((o for o in outer if _contains(lines[o], lines[k][0])), None)
            if home is not None and area < 0:
                groups[home].append(lines[k])
    return list(groups.values())


def _contains(line: Array, point: Array) -> bool:
    """Whether a point is within a closed line."""
    x, y = line[:, 0], line[:, 1]
    over = (y[:-1] > point[1]) != (y[1:] > point[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x[:-1] + (point[1] - y[:-1]) / (y[1:] - y[:-1]) * (x[1:] - x[:-1])
    return bool(np.count_nonzero(over & (at > point[0])) % 2)
