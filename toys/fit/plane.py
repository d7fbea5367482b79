"""Regions in a plane, from grids that are refined along their outlines.

A region lies within the intervals of each of its two parameters, the other one fitted (`line`):
their products are boxes, and each gets a grid of its own. Cells where Δχ² is below the level at
some corners but not at all are cut; so are ones where the cubics along their edges through values
and slopes meet the level, and those with a minimum of χ² below the level that no corner tells.
Cells that are cut, and their neighbours, are halved both ways, and the outline is followed where it
leaves them, until the area changes by less than GOAL and no cell is cut that its corners do not
tell. Everywhere else, values between points are interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from .outline import outlines, total_area
from .profile import Profile

CELLS = 64
"""Cells of a box along each side, at first."""
GOAL = 1e-3
"""Change of the area by the last refinement, relative to it."""
MOST_POINTS = 5_000_000
"""Of a grid, most of them interpolated."""
MOST_FITS = 400_000
"""Points of a box that are fitted."""
ALONG = np.linspace(0.0, 1.0, 9)[1:-1]
"""Where on an edge its cubic is looked at."""
RELEASED = 300
"""Points of the first grid of a box from which minima are reached, about."""

STEEP = 1000.0
"""Levels up to which points are released, to reach minima."""
NARROW = 0.95
"""Correlation of the parameters in a region from which it is a narrow band."""
HIGHEST = 1e30
"""In the place of what is infinite, in interpolating."""

Cells = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Refined:
    """A region in a plane."""

    pieces: list[list[Array]]
    """For each piece its outer boundary, then its holes, all closed, each of shape (points, 2)."""
    area: float
    error: float
    """Change of the area by the last refinement; its own error is a third of that or less."""
    untold: int
    """Cells with a part of the region that is too narrow even for the finest grid."""


@dataclass(frozen=True)
class Box:
    """A part of the plane; with a tilt t its second coordinate is y − t x."""

    x: Interval
    y: Interval
    tilt: float = 0.0


class _Grid:
    """A grid over a box: Δχ² less the level, and its slopes where points were fitted."""

    def __init__(self, plane: _Plane, tilt: float, x: Array, y: Array, height: Array) -> None:
        self.plane, self.tilt, self.x, self.y, self.height = plane, tilt, x, y, height
        self.slope = np.full((2, *height.shape), np.nan)
        self.fitted = np.zeros(height.shape, bool)
        self.fits = 0

    def fit(self, wanted: Cells) -> int:
        """Fit the wanted points that have not been; returns how many."""
        rows, columns = np.nonzero(wanted & ~self.fitted)
        if rows.size:
            x, y = self.x[columns], self.y[rows] + self.tilt * self.x[columns]
            height, slopes = self.plane.at(x, y)
            self.height[rows, columns] = height
            self.slope[:, rows, columns] = slopes[0] + self.tilt * slopes[1], slopes[1]
            self.fitted[rows, columns] = True
        self.fits += rows.size
        return rows.size

    def cut(self) -> Cells:
        """Cells with corners on both sides of the level."""
        below = self.height < 0
        corners = _corners(below)
        return np.any(corners, axis=0) & ~np.all(corners, axis=0)

    def untold(self) -> Cells:
        """Cells that the outline enters although their corners are all on one side of it."""
        cells = np.zeros((len(self.y) - 1, len(self.x) - 1), bool)
        across = self._turns(self.height, self.slope[0], np.diff(self.x))
        cells |= across[:-1] | across[1:]
        along = self._turns(self.height.T, self.slope[1].T, np.diff(self.y)).T
        cells |= along[:, :-1] | along[:, 1:]
        x, y = self.plane.inside.T
        column = np.searchsorted(self.x, x, "right") - 1
        row = np.searchsorted(self.y, y - self.tilt * x, "right") - 1
        here = (row >= 0) & (row < len(self.y) - 1) & (column >= 0) & (column < len(self.x) - 1)
        row, column = row[here], column[here]
        outside = ~np.any(_corners(self.height < 0), axis=0)
        cells[row, column] |= outside[row, column]
        return cells

    @staticmethod
    def _turns(height: Array, slope: Array, width: Array) -> Cells:
        """Edges along the last axis whose cubics cross the level between ends on one side."""
        f, g = height[:, :-1], slope[:, :-1] * width
        h, k = height[:, 1:], slope[:, 1:] * width
        dips, bumps = (f > 0) & (h > 0) & (g < 0) & (k > 0), (f < 0) & (h < 0) & (g > 0) & (k < 0)
        turn = np.nonzero(dips | bumps)
        f, g, h, k = (a[turn][:, None] for a in (f, g, h, k))
        t = ALONG
        cubic = (
            f * (1 + 2 * t) * (1 - t) ** 2
            + g * t * (1 - t) ** 2
            + h * t**2 * (3 - 2 * t)
            + k * t**2 * (t - 1)
        )
        edges = np.zeros(dips.shape, bool)
        edges[turn] = np.any((cubic < 0) != (f < 0), axis=1)
        return edges

    def finer(self, cells: Cells) -> _Grid:
        """The grid with cells half as wide, fitted in some cells and interpolated elsewhere."""
        x, y = _halved(self.x), _halved(self.y)
        finite = np.minimum(self.height, HIGHEST)
        height = _halved(_halved(finite).T.copy()).T.copy()
        grid = _Grid(self.plane, self.tilt, x, y, height)
        grid.fitted[::2, ::2] = self.fitted
        grid.slope[:, ::2, ::2] = self.slope
        wanted = np.zeros(height.shape, bool)
        rows, columns = np.nonzero(_wider(cells))
        for i in range(3):
            for j in range(3):
                wanted[2 * rows + i, 2 * columns + j] = True
        grid.fits = self.fits
        grid.fit(wanted)
        grid.follow()
        return grid

    def follow(self) -> None:
        """Fit points wherever the outline goes, until all points beside it are fitted."""
        while True:
            beside = np.zeros(self.height.shape, bool)
            rows, columns = np.nonzero(_wider(self.cut()))
            for i in range(2):
                for j in range(2):
                    beside[rows + i, columns + j] = True
            if not self.fit(beside):
                return

    def pieces(self) -> list[list[Array]]:
        """The region, in the coordinates of the plane."""
        found = outlines(self.x, self.y, self.height, 0.0)
        tilt = np.array([[1.0, self.tilt], [0.0, 1.0]])
        return [[boundary @ tilt for boundary in piece] for piece in found]


class _Plane:
    """Δχ² less a level in the plane within a range, and points of the region that are known."""

    def __init__(
        self, profile: Profile, level: float, inside: Array, ranges: tuple[Interval, Interval]
    ) -> None:
        self.profile, self.level, self.inside, self.ranges = profile, level, inside, ranges
        self.known = self.values = np.empty((0, profile.model.variables))

    def at(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Height at points, shape (n,), infinite out of the range, and its slopes, (2, n)."""
        height, slopes = np.full(x.shape, np.inf), np.full((2, x.size), np.nan)
        (left, right), (low, high) = self.ranges
        here = (x >= left) & (x <= right) & (y >= low) & (y <= high)
        if np.any(here):
            points = self.profile.points(x[here], y[here])
            height[here] = points.chi2 - self.profile.minimum - self.level
            slopes[:, here] = points.slopes.T
            self.known = np.concatenate([self.known, points.values])
            self.profile.learn(self.known)
            self.values = points.values[height[here] < STEEP * self.level]
        return height, slopes

    def release(self) -> None:
        """Reach minima of χ² from the last points, and know those that are in the region."""
        if not len(self.values):
            return
        fits = self.profile.released(self.values[:: 1 + len(self.values) // RELEASED])
        new = fits.values[fits.chi2 < self.profile.minimum + self.level]
        self.inside = np.concatenate([self.inside, new[:, self.profile.held]])


def refined(
    profile: Profile,
    spans: tuple[Sequence[Interval], Sequence[Interval]],
    ranges: tuple[Interval, Interval],
    level: float,
    inside: Array,
) -> Refined:
    """The region of a plane in which a profile is below a level.

    Parameters
    ----------
    spans
        For each parameter the intervals within which the region lies.
    ranges
        The range of each.
    inside
        Points of the region that are known, shape (n, 2).
    """
    plane = _Plane(profile, level, inside, ranges)
    grids = [
        _resolved(plane, Box(across, along))
        for across in _with_margins(spans[0], ranges[0])
        for along in _with_margins(spans[1], ranges[1])
    ]
    pieces = [piece for grid, _ in grids for piece in grid.pieces()]
    untold = sum(int(np.count_nonzero(grid.untold())) for grid, _ in grids)
    return Refined(pieces, total_area(pieces), sum(error for _, error in grids), untold)


def _with_margins(spans: Sequence[Interval], limits: Interval) -> list[Interval]:
    """Intervals with a cell more on each side, where there is room."""
    ends = [limits[0], *(end for span in spans for end in span), limits[1]]
    wide = []
    for n, (low, high) in enumerate(spans):
        margin = (high - low) / CELLS
        below, above = low - ends[2 * n], ends[2 * n + 3] - high
        wide.append((low - min(margin, below / 2), high + min(margin, above / 2)))
    return wide


def _resolved(plane: _Plane, box: Box) -> tuple[_Grid, float]:
    """The grid of a box, as fine as is needed, and the last change of its area."""
    grid = _first(plane, box)
    tilted = _tilted(plane, box)
    if tilted is not None:
        grid = _first(plane, tilted)
    error, area = np.inf, total_area(grid.pieces())
    while True:
        untold = grid.untold()
        small = error <= GOAL * area and not untold.any()
        cells = grid.cut() | untold
        if small or not cells.any():
            return grid, 0.0 if np.isinf(error) else error
        if 4 * grid.height.size > MOST_POINTS or grid.fits > MOST_FITS:
            return grid, area if np.isinf(error) else error
        grid = grid.finer(cells)
        before, area = area, total_area(grid.pieces())
        error = abs(area - before)


def _first(plane: _Plane, box: Box) -> _Grid:
    """The first grid of a box; a tilted one is made wider until the region is within it."""
    x, y = (np.linspace(*side, CELLS + 1) for side in (box.x, box.y))
    grid = _Grid(plane, box.tilt, x, y, np.full((y.size, x.size), np.inf))
    grid.fit(np.ones(grid.height.shape, bool))
    plane.release()
    touched = bool(np.any(grid.height[[0, -1]] < 0))
    if box.tilt and touched:
        wider = 0.5 * (box.y[1] - box.y[0])
        return _first(plane, Box(box.x, (box.y[0] - wider, box.y[1] + wider), box.tilt))
    return grid


def _tilted(plane: _Plane, box: Box) -> Box | None:
    """A tilted box about the region, if it is a narrow band across the box."""
    x, y = plane.inside.T
    here = (x >= box.x[0]) & (x <= box.x[1]) & (y >= box.y[0]) & (y <= box.y[1])
    x, y = x[here], y[here]
    if x.size < 3 or not np.ptp(x) or not np.ptp(y) or abs(np.corrcoef(x, y)[0, 1]) < NARROW:
        return None
    tilt = float(np.polyfit(x, y, 1)[0])
    across = y - tilt * x
    margin = np.ptp(across)
    return Box(box.x, (float(across.min() - margin), float(across.max() + margin)), tilt)


def _corners(points: Cells) -> Cells:
    """The four corners of each cell."""
    return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, :-1], points[1:, 1:]])


def _wider(cells: Cells) -> Cells:
    """Cells and their neighbours."""
    rows = np.pad(cells, ((1, 1), (0, 0)))
    rows = rows[:-2] | rows[1:-1] | rows[2:]
    both = np.pad(rows, ((0, 0), (1, 1)))
    return both[:, :-2] | both[:, 1:-1] | both[:, 2:]


def _halved(values: Array) -> Array:
    """Values along the last axis, and what is between them."""
    result = np.empty((*values.shape[:-1], 2 * values.shape[-1] - 1))
    result[..., ::2] = values
    result[..., 1::2] = (values[..., :-1] + values[..., 1:]) / 2
    return result
