"""Scans of Δχ² and the regions below a threshold, by default on the Asimov data set.

Δχ² is χ² at a point, minimised over the nuisance parameters and over the couplings that are
profiled ("marginalised" in arXiv:1911.00762), less the global minimum. A region holds the points
with Δχ² below the χ² quantile (Wilks): 2.71 for one parameter and 4.61 for two at 90 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.display import Displayed
from ...reco.cluster.workers import HERE, Here
from ...reco.errors import ExperimentError
from ..counts.model import Data, Model
from .line import Line, line
from .outline import is_clipped, open_ends, threshold
from .plane import Interval, Level, Refined, everywhere, refined
from .profile import Profile

POINTS_1D, POINTS_2D = 401, 201
MOST_POINTS_2D = 4_000_000
FARTHEST = 1e6
"""Greatest absolute value of the ends of a range that is given."""
REACH = 1e5
"""Greatest distance from the best fit of a range that is found."""
DRAWN = 129
"""Points in an interval of a region that is drawn."""
FARTHER = 3.0
"""Levels up to which intervals are drawn: critical values of toys may be above that of Wilks."""
MARGIN = 0.1
"""Margin beyond the region on each side of a range that is chosen, relative."""


@dataclass(frozen=True)
class Axis:
    """A parameter to be scanned, over a range or one that is to be found."""

    name: str
    low: float | None = None
    high: float | None = None
    points: int | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The range, if it is given."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, eq=False, repr=False)
class Scan1D(Displayed):
    """Δχ² along a parameter."""

    model: Model
    name: str
    x: Array
    delta_chi2: Array
    threshold: float
    cl: float
    best: float
    intervals: tuple[tuple[float, float], ...]
    """Intervals of the region, clipped to the range."""
    failed: int
    """Points whose fit did not converge."""

    def facts(self) -> dict[str, object]:
        """Parameter, best value and intervals."""
        return {
            "parameter": self.name,
            "best": f"{self.best:.4g}",
            "CL": f"{100 * self.cl:g} %",
            "intervals": ", ".join(f"[{a:.4g}, {b:.4g}]" for a, b in self.intervals) or "none",
            "points": len(self.x),
            "failed fits": self.failed,
        }

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "parameter": self.name,
            "unit": self.model.parameters[self.model.number(self.name)].unit,
            "best": self.best,
            "intervals": [list(interval) for interval in self.intervals],
            "clipped": self.clipped,
            "cl": self.cl,
            "delta_chi2": self.threshold,
            "grid": {"x": self.x.tolist(), "delta_chi2": self.delta_chi2.tolist()},
            "failed": self.failed,
        }

    @property
    def clipped(self) -> bool:
        """Whether the region goes on beyond the range."""
        return is_clipped(self.intervals, open_ends(self.model, self.name, self.x))


@dataclass(frozen=True, eq=False, repr=False)
class Scan2D(Displayed):
    """Δχ² over a plane."""

    model: Model
    names: tuple[str, str]
    x: Array
    y: Array
    delta_chi2: Array
    """Δχ² at each point, shape (len(y), len(x))."""
    threshold: float
    cl: float
    best: tuple[float, float]
    failed: int
    region: Refined
    """The region, from grids that are finer than `x` and `y` along its outline."""
    clipped: bool
    """Whether the region goes on beyond the plane."""

    def facts(self) -> dict[str, object]:
        """Parameters, best values and area."""
        return {
            "parameters": ", ".join(self.names),
            "best": ", ".join(f"{value:.4g}" for value in self.best),
            "CL": f"{100 * self.cl:g} %",
            "area": f"{self.area:.5g} ± {self.region.error:.1g}",
            "contours": len(self.contours),
            "points": f"{len(self.x)} x {len(self.y)}",
            "failed fits": self.failed,
        }

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "parameters": list(self.names),
            "units": [self.model.parameters[self.model.number(n)].unit for n in self.names],
            "best": list(self.best),
            "contours": [line.tolist() for line in self.contours],
            "area": self.area,
            "area_error": self.region.error,
            "clipped": self.clipped,
            "cl": self.cl,
            "delta_chi2": self.threshold,
            "grid": {
                "x": self.x.tolist(),
                "y": self.y.tolist(),
                "delta_chi2": self.delta_chi2.tolist(),
            },
            "failed": self.failed,
        }

    @property
    def contours(self) -> list[Array]:
        """Closed boundaries of the region, each of shape (points, 2); holes are among them."""
        return self.region.contours

    @property
    def area(self) -> float:
        """Area of the region, holes left out."""
        return self.region.area


def scan_1d(
    model: Model,
    axis: Axis,
    cl: float = 0.9,
    data: Data | None = None,
    workers: Here = HERE,
) -> Scan1D:
    """Scan one parameter; all other variables of the model are profiled.

    Parameters
    ----------
    model
        Model in which the parameter, and those to be profiled, are free.
    data
        One data set; by default the Asimov data.

    Raises
    ------
    ExperimentError
        If the range is empty, or the data do not limit the parameter.
    """
    level = threshold(cl, 1)
    along = _along(axis, Profile(model, [axis.name], data, workers), level)
    profile = along.profile
    x = np.linspace(*_range(axis, along), axis.points or POINTS_1D)
    delta = profile(x)
    failed = profile.failed
    if along.misses(x, profile.minimum + delta):
        along = line(profile, along.x[0], along.x[-1], level, x)
    intervals = tuple((max(a, float(x[0])), min(b, float(x[-1]))) for a, b in along.intervals)
    best = profile.best_of(axis.name)
    return Scan1D(model, axis.name, x, delta, level, cl, best, intervals, failed)


def scan_2d(
    model: Model,
    axes: tuple[Axis, Axis],
    cl: float = 0.9,
    data: Data | None = None,
    workers: Here = HERE,
) -> Scan2D:
    """Scan the plane of two parameters; all other variables of the model are profiled.

    Parameters and errors are those of `scan_1d`.
    """
    level = threshold(cl, 2)
    names = axes[0].name, axes[1].name
    if names[0] == names[1]:
        raise ExperimentError(f"parameter '{names[0]}' is scanned twice")
    if (axes[0].points or POINTS_2D) * (axes[1].points or POINTS_2D) > MOST_POINTS_2D:
        raise ExperimentError(
            f"{axes[0].points} x {axes[1].points} points: a plane may have {MOST_POINTS_2D} at most"
        )
    profile = Profile(model, names, data, workers)
    lines = _lines(axes, profile, level)
    ranges = _range(axes[0], lines[0]), _range(axes[1], lines[1])
    spans = lines[0].intervals, lines[1].intervals
    inside = np.concatenate([along.inside[:, profile.held] for along in lines])
    region = refined(profile, spans, ranges, everywhere(level), inside)
    x, y = (
        np.linspace(*ends, axis.points or POINTS_2D)
        for axis, ends in zip(axes, ranges, strict=True)
    )
    delta = profile(*np.meshgrid(x, y)).reshape(len(y), len(x))
    best = profile.best_of(names[0]), profile.best_of(names[1])
    clipped = any(
        is_clipped(span, open_ends(model, name, points))
        for span, name, points in zip(spans, names, (x, y), strict=True)
    )
    return Scan2D(model, names, x, y, delta, level, cl, best, profile.failed, region, clipped)


def region_within(
    model: Model,
    names: tuple[str, str],
    ranges: tuple[Interval, Interval],
    level: Level,
    highest: float,
    data: Data,
    workers: Here = HERE,
) -> tuple[Refined, bool]:
    """The region of a plane, within ranges, where Δχ² of data is below a level that may vary.

    Parameters
    ----------
    highest
        A level that is nowhere exceeded; infinite if none is known.

    Returns
    -------
    Refined
        The region.
    bool
        Whether it goes on beyond the ranges.
    """
    profile = Profile(model, names, data, workers)
    axes = Axis(names[0], *ranges[0]), Axis(names[1], *ranges[1])
    spans: tuple[Sequence[Interval], Sequence[Interval]] = [ranges[0]], [ranges[1]]
    inside = profile.best.values[:, profile.held]
    if np.isfinite(highest):
        lines = _lines(axes, profile, highest)
        spans = lines[0].intervals, lines[1].intervals
        inside = np.concatenate([along.inside[:, profile.held] for along in lines])
    inside = inside[_below(profile, inside, level)]
    region = refined(profile, spans, ranges, level, inside)
    return region, bool(np.any(_below(profile, _open_edges(model, names, ranges), level)))


def _below(profile: Profile, points: Array, level: Level) -> NDArray[np.bool_]:
    """Whether Δχ² of points, shape (n, 2), is below a level."""
    if not len(points):
        return np.zeros(0, bool)
    x, y = points.T
    return np.asarray(profile(x, y) < level(x, y)[0])


def _open_edges(model: Model, names: tuple[str, str], ranges: tuple[Interval, Interval]) -> Array:
    """Points on those edges of a plane that are no bounds of the parameters, shape (n, 2)."""
    along = [np.linspace(*ends, POINTS_2D) for ends in ranges]
    edges = [np.empty((0, 2))]
    for i, name in enumerate(names):
        for end in open_ends(model, name, along[i]):
            edge = np.full((POINTS_2D, 2), end)
            edge[:, 1 - i] = along[1 - i]
            edges.append(edge)
    return np.concatenate(edges)


def _lines(axes: tuple[Axis, Axis], profile: Profile, level: float) -> tuple[Line, Line]:
    """The profile along each parameter, the other one fitted within its range."""

    def along(axis: Axis, other: Axis) -> Line:
        model = _within(profile.model, other)
        alone = Profile(model, [axis.name], profile.data, profile.workers, profile.best)
        return _along(axis, alone, level)

    return along(*axes), along(*axes[::-1])


def _within(model: Model, axis: Axis) -> Model:
    """A model with the bounds of a parameter at the ends of a range, if one is given."""
    if axis.ends is None:
        return model
    low, high = _checked(axis, axis.ends, model)
    parameters = tuple(
        replace(p, lower=low, upper=high) if p.name == axis.name else p for p in model.parameters
    )
    return replace(model, parameters=parameters)


def grids(
    model: Model,
    axes: Sequence[Axis],
    level: float,
    points: int,
    data: Data | None = None,
    workers: Here = HERE,
) -> tuple[Array, ...]:
    """Values of each of one or two parameters, for a construction.

    They are as given, or over what holds Δχ² below the level, at equal distances. Where an interval
    of a parameter would have none of them in its depth, its lowest point is one more; and so is
    the best fit, if no point of a plane would be near it.

    Parameters
    ----------
    points
        Number of values of an axis that has none.

    Raises
    ------
    ExperimentError
        If a range is empty, or the data do not limit a parameter.
    """
    profile = Profile(model, [axis.name for axis in axes], data, workers)
    if len(axes) == 1:
        lines: tuple[Line, ...] = (_along(axes[0], profile, level),)
    else:
        lines = _lines((axes[0], axes[1]), profile, level)
    values = []
    for axis, along in zip(axes, lines, strict=True):
        x = np.linspace(*_range(axis, along), axis.points or points)
        values.append(np.union1d(x, along.unseen(x)))
    nodes = [g.ravel() for g in np.meshgrid(*values)]
    if len(axes) > 1 and not np.any(profile(*nodes) < level / 2):
        best = [profile.best_of(axis.name) for axis in axes]
        if all(x[0] <= b <= x[-1] for x, b in zip(values, best, strict=True)):
            values = [np.union1d(x, b) for x, b in zip(values, best, strict=True)]
    return tuple(values)


def islands(model: Model, name: str, x: Array, level: float, data: Data) -> Array:
    """Points within the range of a grid that tell where Δχ² of data is below a level, and beyond.

    They lie DRAWN to an interval of Δχ² below FARTHER levels, with the minima: also in intervals
    between two points of the grid.
    """
    along = line(Profile(model, [name], data), x[0], x[-1], FARTHER * level)
    within = [np.linspace(low, high, DRAWN) for low, high in along.intervals]
    return np.unique(np.concatenate([*within, along.minima[0]]))


def _checked(axis: Axis, ends: tuple[float, float], model: Model) -> tuple[float, float]:
    """The ends of a range, if a parameter may be there."""
    i, (low, high) = model.number(axis.name), ends
    lower, upper = max(model.lower[i], -FARTHEST), min(model.upper[i], FARTHEST)
    if not low < high:
        raise ExperimentError(f"{axis.name} = {low:g}:{high:g}: the range is empty; give LOW:HIGH")
    if low < lower or high > upper:
        raise ExperimentError(
            f"{axis.name} = {low:g}:{high:g}: must be from {lower:g} to {upper:g}"
        )
    if axis.points is not None and not 2 <= axis.points <= 100_000:
        raise ExperimentError(f"{axis.name}: points must be from 2 to 100000, not {axis.points}")
    return low, high


def _along(axis: Axis, profile: Profile, level: float) -> Line:
    """The profile over the range that is given, or over all that may be in a region.

    Raises
    ------
    ExperimentError
        If the range is empty, or none is given and the data do not limit the parameter.
    """
    if axis.ends is not None:
        return line(profile, *_checked(axis, axis.ends, profile.model), level)
    i, best = profile.held[0], profile.best_of(axis.name)
    lower, upper = profile.model.lower[i], profile.model.upper[i]
    along = line(profile, max(best - REACH, lower), min(best + REACH, upper), level)
    first, last = _ends(along)
    if lower < first == along.x[0] or upper > last == along.x[-1]:
        raise ExperimentError(
            f"{axis.name}: the data do not limit it; give a range, {axis.name}=LOW:HIGH"
        )
    return along


def _range(axis: Axis, along: Line) -> tuple[float, float]:
    """The range given, or one that holds all intervals, and a margin."""
    if axis.ends is not None:
        return axis.ends
    low, high = _ends(along)
    margin = MARGIN * (high - low)
    return max(low - margin, float(along.x[0])), min(high + margin, float(along.x[-1]))


def _ends(along: Line) -> tuple[float, float]:
    """The outermost ends of intervals; where there are none, of all that was looked at."""
    every = [end for pair in along.intervals for end in pair]
    return (min(every), max(every)) if every else (float(along.x[0]), float(along.x[-1]))
