"""Regions in a plane, from grids that are refined along their outlines.

A region lies within the intervals of each of its two parameters, the other one fitted (`line`):
their products are boxes, and each gets a grid of its own. Cells where Δχ² is below the level at
some corners but not at all are cut; so are ones where the cubics along their edges through values
and slopes meet the level, and those with a minimum of χ² below the level that no corner tells.
Cells that are cut, and their neighbours, are halved both ways, and the outline is followed where it
leaves them, until the area changes by less than GOAL and no cell is cut that its corners do not
tell. Other cells need no room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from .profile import Profile
from .squares import Corners, Flags, Integers, boundaries, pieces, signed_area

CELLS = 64
"""Cells of a box along each side, at first."""
GOAL = 1e-3
"""Change of the area by the last refinement, relative to it."""
FINEST = 1 << 20
"""Cells of the finest grid along each side."""
MOST_FITS = 400_000
"""Points of a box that are fitted."""
RELEASED = 300
"""Points of the first grid of a box from which minima are reached, about."""

STEEP = 1000.0
"""Levels up to which points are released, to reach minima."""
NARROW = 0.95
"""Correlation of the parameters in a region from which it is a narrow band."""
Interval = tuple[float, float]
Level = Callable[[Array, Array], tuple[Array, Array]]
"""Δχ² up to which points of shape (n,) are in a region, nan for never, and its slopes, (2, n)."""


def everywhere(level: float) -> Level:
    """The same level at all points."""
    return lambda x, _: (np.full(x.shape, level), np.zeros((2, x.size)))


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

    @property
    def contours(self) -> list[Array]:
        """Closed boundaries of the region, each of shape (points, 2); holes are among them."""
        return [line for piece in self.pieces for line in piece]


@dataclass(frozen=True)
class Box:
    """A part of the plane; with a tilt t its second coordinate is y − t x."""

    x: Interval
    y: Interval
    tilt: float = 0.0


class _Grid:
    """Cells of a box that matter, and Δχ² less the level at their corners.

    Rows and columns of cells run from 0 to n − 1. There is one more around them, whose outer points
    are at the edge of the box and outside of the region: so every boundary is closed.
    """

    def __init__(self, plane: _Plane, box: Box, n: int) -> None:
        self.plane, self.box, self.n, self.fits = plane, box, n, 0
        self.cells = np.empty(0, np.int64)
        self.points = np.empty(0, np.int64)
        self.height, self.slope = np.empty(0), np.empty((2, 0))

    def add(self, rows: Integers, columns: Integers) -> Integers:
        """Add cells, and fit their corners; returns those that were not there."""
        real = (rows >= -1) & (rows <= self.n) & (columns >= -1) & (columns <= self.n)
        new = _missing(self.cells, (rows[real] + 1) * (self.n + 3) + columns[real] + 1)
        self.cells = np.insert(self.cells, np.searchsorted(self.cells, new), new)
        wanted = _missing(self.points, new[:, None] + self._to_corners)
        if wanted.size:
            self.know(wanted, *self._fitted(wanted))
        return new

    def know(self, points: Integers, height: Array, slope: Array) -> None:
        """Know points by their numbers."""
        place = np.searchsorted(self.points, points)
        self.points = np.insert(self.points, place, points)
        self.height = np.insert(self.height, place, height)
        self.slope = np.insert(self.slope, place, slope, axis=1)

    @property
    def _to_corners(self) -> Integers:
        """What is added to the number of a cell for those of its corners."""
        return np.array([0, 1, self.n + 4, self.n + 3])

    def _places(self, points: Integers) -> tuple[Array, Array]:
        """Coordinates of points in the box."""
        row, column = (np.clip(k - 1, 0, self.n) for k in np.divmod(points, self.n + 3))
        (left, right), (low, high) = self.box.x, self.box.y
        return left + column * ((right - left) / self.n), low + row * ((high - low) / self.n)

    def _fitted(self, points: Integers) -> tuple[Array, Array]:
        """Height and slopes of points; outside of the box the height is infinite."""
        row, column = np.divmod(points, self.n + 3)
        within = (row > 0) & (row < self.n + 2) & (column > 0) & (column < self.n + 2)
        height, slope = np.full(points.shape, np.inf), np.full((2, points.size), np.nan)
        x, y = self._places(points[within])
        tilt = self.box.tilt
        height[within], slopes = self.plane.at(x, y + tilt * x)
        slope[:, within] = slopes[0] + tilt * slopes[1], slopes[1]
        self.fits += x.size
        return height, slope

    def corners(self, cells: Integers) -> Corners:
        """The corners of cells, by their numbers."""
        number = cells[:, None] + self._to_corners
        x, y = self._places(number)
        place = np.searchsorted(self.points, number)
        return Corners(number, x, y, self.height[place], *self.slope[:, place])

    def untold(self, corners: Corners) -> Flags:
        """Cells that the outline enters although their corners are all on one side of it."""
        x, y = self.plane.inside.T
        (left, right), (low, high) = self.box.x, self.box.y
        y = y - self.box.tilt * x
        here = (x >= left) & (x <= right) & (y >= low) & (y <= high)
        column = ((x[here] - left) * (self.n / (right - left))).astype(np.int64)
        row = ((y[here] - low) * (self.n / (high - low))).astype(np.int64)
        known = (row + 1) * (self.n + 3) + column + 1
        return corners.turning() | ((corners.code == 0) & np.isin(self.cells, known))

    def finer(self, chosen: Flags) -> _Grid:
        """The grid with cells half as wide: some of the cells, and wherever the outline goes."""
        grid = _Grid(self.plane, self.box, 2 * self.n)
        grid.fits = self.fits
        row, column = (k - 1 for k in np.divmod(self.points, self.n + 3))
        kept = (row >= 0) & (row <= self.n) & (column >= 0) & (column <= self.n)
        same = (2 * row[kept] + 1) * (grid.n + 3) + 2 * column[kept] + 1
        grid.know(same, self.height[kept], self.slope[:, kept])
        rows, columns = _with_neighbours(self._numbered(self.cells[chosen]))
        lower, left = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
        new = grid.add((2 * rows[:, None] + lower).ravel(), (2 * columns[:, None] + left).ravel())
        while new.size:
            cut = new[grid.corners(new).cut]
            new = grid.add(*_with_neighbours(grid._numbered(cut)))
        return grid

    def _numbered(self, cells: Integers) -> tuple[Integers, Integers]:
        """Rows and columns of cells."""
        row, column = np.divmod(cells, self.n + 3)
        return row - 1, column - 1

    def lines(self) -> list[Array]:
        """Boundaries of the region, in the coordinates of the plane."""
        tilt = np.array([[1.0, self.box.tilt], [0.0, 1.0]])
        return [line @ tilt for line in boundaries(self.corners(self.cells))]


def _missing(known: Integers, numbers: Integers) -> Integers:
    """Those of numbers that are not among ones that are known, both of them in order."""
    numbers = np.unique(numbers)
    if not known.size:
        return numbers
    place = np.minimum(np.searchsorted(known, numbers), known.size - 1)
    return numbers[known[place] != numbers]


def _with_neighbours(cells: tuple[Integers, Integers]) -> tuple[Integers, Integers]:
    """Rows and columns of cells and of the eight around each, perhaps several times."""
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]).T
    rows, columns = (k[:, None] + step for k, step in zip(cells, steps, strict=True))
    return rows.ravel(), columns.ravel()


class _Plane:
    """Δχ² less a level in the plane within a range, and points of the region that are known."""

    def __init__(
        self, profile: Profile, level: Level, inside: Array, ranges: tuple[Interval, Interval]
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
            level, slopes_of_level = self.level(x[here], y[here])
            above = np.nan_to_num(points.chi2 - self.profile.minimum - level, nan=np.inf)
            height[here], slopes[:, here] = above, points.slopes.T - slopes_of_level
            self.known = np.concatenate([self.known, points.values])
            self.profile.learn(self.known)
            self.values = points.values[above < STEEP * level]
        return height, slopes

    def release(self) -> None:
        """Reach minima of χ² from the last points, and know those that are in the region."""
        if not len(self.values):
            return
        fits = self.profile.released(self.values[:: 1 + len(self.values) // RELEASED])
        new = fits.values[:, self.profile.held]
        level, _ = self.level(new[:, 0], new[:, 1])
        new = new[fits.chi2 < self.profile.minimum + level]
        self.inside = np.concatenate([self.inside, new])


def refined(
    profile: Profile,
    spans: tuple[Sequence[Interval], Sequence[Interval]],
    ranges: tuple[Interval, Interval],
    level: Level,
    inside: Array,
) -> Refined:
    """The region of a plane in which a profile is below a level, the same everywhere or not.

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
    parts = [
        _resolved(plane, Box(across, along))
        for across in _with_margins(spans[0], ranges[0])
        for along in _with_margins(spans[1], ranges[1])
    ]
    whole = pieces([line for part in parts for line in part.lines])
    return Refined(
        whole,
        sum(part.area for part in parts),
        sum(part.error for part in parts),
        sum(part.untold for part in parts),
    )


def _with_margins(spans: Sequence[Interval], limits: Interval) -> list[Interval]:
    """Intervals with a cell more on each side, where there is room."""
    ends = [limits[0], *(end for span in spans for end in span), limits[1]]
    wide = []
    for n, (low, high) in enumerate(spans):
        margin = (high - low) / CELLS
        below, above = low - ends[2 * n], ends[2 * n + 3] - high
        wide.append((low - min(margin, below / 2), high + min(margin, above / 2)))
    return wide


class _Part(NamedTuple):
    """The region in a box."""

    lines: list[Array]
    """Boundaries, the region on their left."""
    area: float
    error: float
    """Last change of the area."""
    untold: int
    """Cells that are not resolved."""


def _resolved(plane: _Plane, box: Box) -> _Part:
    """The region in a box, with a grid as fine as is needed."""
    grid = _first(plane, box)
    tilted = _tilted(plane, box)
    if tilted is not None:
        grid = _first(plane, tilted)
    before = np.inf
    while True:
        corners, lines = grid.corners(grid.cells), grid.lines()
        area, untold = sum(map(signed_area, lines)), grid.untold(corners)
        cells, change = corners.cut | untold, abs(area - before)
        done = change <= GOAL * area and not untold.any()
        if not cells.any() or done or grid.fits > MOST_FITS or grid.n > FINEST:
            change = 0.0 if not cells.any() else min(change, area)
            return _Part(lines, area, change, int(np.count_nonzero(untold)))
        grid, before = grid.finer(cells), area


def _first(plane: _Plane, box: Box) -> _Grid:
    """The first grid of a box; a tilted one is made wider until the region is within it."""
    grid = _Grid(plane, box, CELLS)
    grid.add(*(k.ravel() for k in np.indices((CELLS + 2, CELLS + 2)) - 1))
    plane.release()
    row = grid.points // (CELLS + 3)
    if box.tilt and np.any(grid.height[(row == 1) | (row == CELLS + 1)] < 0):
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
