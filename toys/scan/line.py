"""All intervals of a parameter in which a profile of χ² is below a level.

The profile is known with its slope at points, and between two of them it is the cubic through both
values and slopes (Hermite). A piece between two points is halved until that cubic foretells value
and slope in its middle: within EXACT of the level, or FAR of the distance to it where that is
greater. So the points are dense where the profile bends or meets the level, however far apart any
grid is; they do not come from one.

The first points are the vertices of the rate of each bin and where it is the bin's count, points
at distances from the best fit and from the ends of the range that grow by GROWTH, and every minimum
of χ² that is reached from any of them when the parameter is released: an interval has a
minimum of χ² in it, or an end of the range. Where the slopes at two points or the cubic say that
the profile turns on the other side of the level, the turn is found as a zero of the slope. Ends of
intervals are zeros of the profile less the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..fit.search import reach
from .profile import Profile
from .roots import roots

EXACT = 2e-3
"""Of the level, to which the cubic is right where it matters."""
FAR = 0.02
"""Of the distance to the level, to which it is right elsewhere."""
GROWTH = 1.6
"""Factor between distances of first points."""
NEAREST = 1e-9
"""Least distance of first points, relative to the range."""
EVEN = 33
"""First points at equal distances."""
MOST_POINTS = 30_000
NARROWEST = 1e-12
"""Width of pieces that are not halved, relative to their place."""
FINEST = 1e-14
"""The same, relative to the range."""
SMALL = 1e-10
"""Δχ² that counts as none, in zeros."""
NOTABLE = 30.0
"""Levels up to which minima are kept."""
STEEPER = 2.0
"""Times the steepest slope at its points that a piece may have, not to meet the level."""
LOWER = 1e-8
"""Of χ², by which a fit must be better to be one."""
SCATTERED = 48
"""Points that are fitted from starts far and wide."""
STARTS_A_POINT = 24
"""Starts of each of them."""
FARTHEST_START = 300.0
"""Of those starts, relative to what a parameter needs to move the counts."""
STEEP = 1000.0
"""Levels up to which points are released, to reach them."""
MOST_STARTS = 40
"""Of points that are released."""


@dataclass(frozen=True, eq=False)
class Line:
    """A profile along a parameter."""

    profile: Profile
    level: float
    minimum: float
    """Least χ²."""
    x: Array
    """Points, in increasing order, shape (points,)."""
    chi2: Array
    """Least χ² there, shape (points,)."""
    slope: Array
    """Its derivative, shape (points,)."""
    values: Array
    """Values of all variables there, shape (points, variables)."""

    @property
    def inside(self) -> Array:
        """Values of all variables at the points of the region, shape (points, variables)."""
        return self.values[self.delta_chi2 < self.level]

    @property
    def delta_chi2(self) -> Array:
        """Δχ² at the points."""
        return self.chi2 - self.minimum

    @cached_property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """Intervals with Δχ² below the level, in the range."""
        height = self.delta_chi2 - self.level
        inside = height < 0
        cut = np.flatnonzero(inside[1:] != inside[:-1])

        def above(x: Array, piece: NDArray[np.int64]) -> Array:
            near = self.values[cut[piece]], self.values[cut[piece] + 1]
            return self.profile.between(x, near).chi2 - self.minimum - self.level

        ends = np.stack([self.x[cut], self.x[cut + 1]])
        values = np.stack([height[cut], height[cut + 1]])
        edges = roots(above, ends, values, np.full(cut.size, SMALL))
        low, high = self.x[0], self.x[-1]
        finest = NARROWEST * (high - low)  # where χ² jumps at a bound
        edges = np.where(edges - low < finest, low, np.where(high - edges < finest, high, edges))
        every = [low] * bool(inside[0]) + edges.tolist() + [high] * bool(inside[-1])
        return tuple(
            (float(a) + 0.0, float(b) + 0.0) for a, b in zip(every[::2], every[1::2], strict=True)
        )

    @cached_property
    def minima(self) -> tuple[Array, Array]:
        """Minima of the profile below the level, or ends of the range, with their Δχ²."""
        y = np.pad(self.delta_chi2, 1, constant_values=np.inf)
        lowest = (y[1:-1] <= y[:-2]) & (y[1:-1] < y[2:]) & (y[1:-1] < self.level)
        return self.x[lowest], self.delta_chi2[lowest]

    def misses(self, x: Array, chi2: Array) -> bool:
        """Whether points of a grid are lower than the minimum, or not in the intervals as told."""
        small = 1e-6 * self.level
        height = chi2 - self.minimum - self.level
        inside = np.zeros(x.shape, bool)
        for low, high in self.intervals:
            inside |= (x >= low) & (x <= high)
        clear = (np.abs(height) > small) & ~np.isin(x, self.intervals)  # χ² may jump at a bound
        lower = np.min(chi2) < self.minimum - small
        return bool(lower or np.any(clear & (inside != (height < 0))))

    def unseen(self, grid: Array) -> Array:
        """The lowest points of intervals in whose depth no point of a grid is."""
        lowest = []
        for low, high in self.intervals:
            part = np.flatnonzero((self.x >= low) & (self.x <= high))
            delta = self.delta_chi2[part]
            x, least = self.x[part[np.argmin(delta)]], delta.min()
            near = grid[(grid >= low) & (grid <= high)]
            deep = np.interp(near, self.x[part], delta) < (least + self.level) / 2
            if not np.any(deep):
                lowest.append(x)
        return np.array(lowest)


class _Points:
    """Points that are known, in order."""

    def __init__(self, profile: Profile, low: float, high: float) -> None:
        self.profile, self.low, self.high = profile, low, high
        self.x, self.chi2, self.slope = np.empty(0), np.empty(0), np.empty(0)
        self.values = np.empty((0, profile.model.variables))

    def add(self, x: Array) -> None:
        """Evaluate points that are in the range and not yet known."""
        x = np.unique(x[(x >= self.low) & (x <= self.high)])
        x = x[~np.isin(x, self.x)]
        if x.size:
            new = self.profile.points(x, near=self._neighbours(x))
            self._join(x, new.chi2, new.slopes[:, 0], new.values)

    def _neighbours(self, x: Array) -> list[Array]:
        """Values at the points below and above others, of shape (n, variables)."""
        if self.profile.straight or not self.x.size:
            return []
        above = np.searchsorted(self.x, x)
        places = (np.maximum(above - 1, 0), np.minimum(above, self.x.size - 1))
        return [self.values[place] for place in places]

    def scatter(self) -> None:
        """Fit some of the points from starts far and wide."""
        profile, model = self.profile, self.profile.model
        fitted = [k for k in range(len(model.parameters)) if k not in profile.held]
        scale = np.array([reach(model, k) for k in fitted])
        some = np.unique(np.linspace(0, self.x.size - 1, SCATTERED).astype(int))
        for place in _sequence(2 * len(fitted), STARTS_A_POINT):
            far = FARTHEST_START ** (2 * place[::2] - 1) * scale * np.sign(place[1::2] - 0.5)
            start = self.values[some]
            start[:, fitted] = model.truth[fitted] + far
            self._reach(some, np.clip(start, model.lower, model.upper))

    def spread(self) -> bool:
        """Fit points from their neighbours' minima until none is lowered; whether any was."""
        changed = np.ones(self.x.size, bool)
        for number in range(self.x.size):
            lowered = np.zeros(self.x.size, bool)
            for step in (-1, 1):
                place = np.flatnonzero(changed) + step
                place = place[(place >= 0) & (place < self.x.size)]
                lowered[self._reach(place, self.values[place - step])] = True
            if not lowered.any():
                return number > 0
            changed = lowered
        return True

    def _reach(self, place: NDArray[np.int64], starts: Array) -> NDArray[np.int64]:
        """Fit points from starts, shape (n, variables); returns those that are lower now."""
        i = self.profile.held[0]
        starts = starts.copy()
        starts[:, i] = self.x[place]
        starts = np.clip(starts, self.profile.model.lower, self.profile.model.upper)
        new = self.profile.reached(starts, self.chi2[place])
        lower = new.chi2 + LOWER * (1 + np.abs(new.chi2)) < self.chi2[place]
        place = place[lower]
        self.chi2[place], self.values[place] = new.chi2[lower], new.values[lower]
        self.slope[place] = new.slopes[lower, 0]
        return place

    def add_best(self) -> None:
        """Add the minimum of χ², if it is in the range."""
        best, i, model = self.profile.best, self.profile.held[0], self.profile.model
        x, z = best.values[:, i], best.values[0]
        possible = np.all((z >= model.lower) & (z <= model.upper))
        if self.low <= x[0] <= self.high and x[0] not in self.x and possible:
            self._join(x, best.chi2, np.zeros(1), best.values)

    def _join(self, x: Array, chi2: Array, slope: Array, values: Array) -> None:
        order = np.argsort(np.concatenate([self.x, x]), kind="stable")
        self.x = np.concatenate([self.x, x])[order]
        self.chi2 = np.concatenate([self.chi2, chi2])[order]
        self.slope = np.concatenate([self.slope, slope])[order]
        self.values = np.concatenate([self.values, values])[order]

    def at(self, x: Array) -> tuple[Array, Array]:
        """χ² and slope at points that are known; the slope is none where χ² is infinite."""
        place = np.searchsorted(self.x, x)
        return self.chi2[place], self.slope[place]


def line(
    profile: Profile, low: float, high: float, level: float, grid: Array | None = None
) -> Line:
    """Points of a profile of one parameter, as many as tell all intervals below a level.

    Parameters
    ----------
    grid
        More points, shape (points,).
    """
    points = _Points(profile, low, high)
    points.add_best()
    points.add(np.concatenate([_first(profile, low, high), np.empty(0) if grid is None else grid]))
    if not profile.straight:
        points.scatter()
    if points.spread():
        profile.doubt()
    points.add(_released(points, level))
    minimum = np.inf
    while profile.minimum < minimum:
        minimum = profile.minimum
        _halve(points, level)
        if points.spread():
            _halve(points, level)
        points.add(_turns(points, level))
    points.add_best()
    profile.learn(points.values)
    return Line(profile, level, minimum, points.x, points.chi2, points.slope, points.values)


def _sequence(dimension: int, number: int) -> Array:
    """Points that fill a cube evenly, shape (number, dimension)."""
    from scipy.stats import qmc

    return qmc.Halton(dimension, scramble=False).random(number + 1)[1:]


def _first(profile: Profile, low: float, high: float) -> Array:
    """First points: what bins say, and distances from the best fit and the ends that grow."""
    best = float(np.clip(profile.best_of(profile.names[0]), low, high))
    places = np.append(_of_bins(profile), best)
    steps = int(np.ceil(np.log(1 / NEAREST) / np.log(GROWTH)))
    distance = (high - low) * np.geomspace(NEAREST, 1.0, steps)
    centre = np.median(np.clip(places, low, high))
    around = [c + s * distance for c in (best, centre) for s in (-1, 1)]
    even = np.linspace(low, high, EVEN)
    return np.concatenate([places, *around, low + distance, high - distance, even])


def _of_bins(profile: Profile) -> Array:
    """Where the rate of each bin has its vertex, and where it is the bin's count."""
    model, i = profile.model, profile.held[0]
    best = profile.best.values[0]
    others = {k: float(best[k]) for k in range(model.variables) if k != i}
    terms = {powers[0]: c for powers, c in model.expected.restrict(others).terms.items()}
    rate = np.zeros((max(terms) + 1, model.bins))
    for power, coefficient in terms.items():
        rate[power] += coefficient
    rate[0] += model.background - profile.data.counts[0]
    steepness = rate[1:] * np.arange(1, len(rate))[:, None]
    places = [np.roots(p[::-1]) for q in (rate, steepness) for p in q.T if np.any(p[1:])]
    return np.concatenate([*(np.real(p[np.isfinite(p)]) for p in places), np.empty(0)])


def _released(points: _Points, level: float) -> Array:
    """Minima of χ² that are reached from the points, if they are low enough to matter."""
    starts = np.flatnonzero(points.chi2 < points.profile.minimum + STEEP * level)
    if not starts.size:
        return np.empty(0)
    fits = points.profile.released(points.values[starts[:: 1 + starts.size // MOST_STARTS]])
    low = fits.chi2 < points.profile.minimum + NOTABLE * level
    x = fits.values[low, points.profile.held[0]]
    order = np.argsort(x)
    if not x.size:
        return x
    return x[order][np.diff(x[order], prepend=-np.inf) > 1e-7 * np.ptp(x)]


def _halve(points: _Points, level: float) -> None:
    """Halve pieces until the cubic is right in the middle of each."""
    a, b = points.x[:-1], points.x[1:]
    while a.size and points.x.size < MOST_POINTS:
        middle = 0.5 * (a + b)
        points.add(middle)
        wrong = _wrong(points, a, middle, b, level)
        a, b = np.concatenate([a[wrong], middle[wrong]]), np.concatenate([middle[wrong], b[wrong]])
        order = np.argsort(a)
        a, b = a[order], b[order]


def _wrong(points: _Points, a: Array, middle: Array, b: Array, level: float) -> NDArray[np.bool_]:
    """Whether the cubics through a and b are not right in the middle, and may become so."""
    (fa, ga), (fm, gm), (fb, gb) = (points.at(x) for x in (a, middle, b))
    width = b - a
    with np.errstate(invalid="ignore"):
        value = (fa + fb) / 2 + width * (ga - gb) / 8
        slope = 1.5 * (fb - fa) / width - (ga + gb) / 4
        error = np.maximum(np.abs(fm - value), np.abs(gm - slope) * width / 4)
        top = points.profile.minimum + level
        distance = np.min(np.abs([fa - top, fm - top, fb - top]), axis=0)
        steepest = np.max(np.abs([ga, gm, gb]), axis=0)
        same = ((fa > top) == (fm > top)) & ((fm > top) == (fb > top))
        beyond = same & (distance > STEEPER * steepest * width)
        right = error <= np.maximum(EXACT * level, FAR * distance)
    nowhere = np.isinf(fa) & np.isinf(fb) & np.isinf(fm)
    least = np.maximum(NARROWEST * (np.abs(a) + np.abs(b)), FINEST * (points.high - points.low))
    return ~right & ~nowhere & ~beyond & (width > least)


def _turns(points: _Points, level: float) -> Array:
    """Extrema between points on one side of the level that may be on its other side."""
    x, f, g = points.x, points.chi2 - points.profile.minimum - level, points.slope
    down, up = (f[:-1] > 0) & (f[1:] > 0), (f[:-1] < 0) & (f[1:] < 0)
    dips, bumps = down & (g[:-1] < 0) & (g[1:] > 0), up & (g[:-1] > 0) & (g[1:] < 0)
    reach = 0.5 * np.diff(x) * np.maximum(np.abs(g[:-1]), np.abs(g[1:]))
    near = np.minimum(np.abs(f[:-1]), np.abs(f[1:])) < reach + EXACT * level
    turn = np.flatnonzero((dips | bumps) & near)
    ends, slopes = np.stack([x[turn], x[turn + 1]]), np.stack([g[turn], g[turn + 1]])
    small = SMALL / np.maximum(np.diff(ends, axis=0)[0], 1e-300)

    def slope(place: Array, piece: NDArray[np.int64]) -> Array:
        near = points.values[turn[piece]], points.values[turn[piece] + 1]
        return points.profile.between(place, near).slopes[:, 0]

    return roots(slope, ends, slopes, small)
