"""Scans of Δχ² and the regions below a threshold, by default on the Asimov data set.

Δχ² is χ² at a point, minimised over the nuisance parameters and over the couplings that are
profiled ("marginalised" in arXiv:1911.00762), less the global minimum. A region holds the points
with Δχ² below the χ² quantile (Wilks): 2.71 for one parameter and 4.61 for two at 90 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...generator.arrays import Array
from ...generator.display import Displayed
from ...reco.cluster.workers import HERE, Here
from ...reco.errors import ExperimentError
from ..counts.model import Data, Model
from ..kernels.status import CONVERGED
from .local import Fits
from .outline import is_clipped, open_ends, outlines, threshold, total_area
from .search import Search, search

POINTS_1D, POINTS_2D = 401, 201
MOST_POINTS_2D = 4_000_000
FARTHEST = 1e6
"""Greatest absolute value of the ends of a range that is given."""
MARGIN = 0.08
"""Margin beyond the region on each side of a range that is chosen, relative."""


@dataclass(frozen=True)
class Axis:
    """A parameter to be scanned, over a range or one that is to be found."""

    name: str
    low: float | None = None
    high: float | None = None
    points: int | None = None


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

    def facts(self) -> dict[str, object]:
        """Parameters, best values and area."""
        return {
            "parameters": ", ".join(self.names),
            "best": ", ".join(f"{value:.4g}" for value in self.best),
            "CL": f"{100 * self.cl:g} %",
            "area": f"{self.area:.5g}",
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

    @cached_property
    def contours(self) -> list[Array]:
        """Closed boundaries of the region, each of shape (points, 2); holes are among them."""
        return [line for outline in self._outlines for line in outline]

    @cached_property
    def area(self) -> float:
        """Area of the region, holes left out."""
        return total_area(self._outlines)

    @property
    def clipped(self) -> bool:
        """Whether the region reaches the limits of the plane."""
        d = self.delta_chi2
        edge = min(d[0].min(), d[-1].min(), d[:, 0].min(), d[:, -1].min())
        return bool(edge < self.threshold)

    @cached_property
    def _outlines(self) -> list[list[Array]]:
        return outlines(self.x, self.y, self.delta_chi2, self.threshold)


class Profile:
    """Δχ² of one data set as a function of some parameters, the others fitted."""

    def __init__(
        self,
        model: Model,
        names: Sequence[str],
        data: Data | None = None,
        workers: Here = HERE,
    ) -> None:
        self.model, self.names = model, tuple(names)
        self.data = model.asimov() if data is None else data
        self.workers = workers
        self.best = search(model).fit(self.data, workers=workers)
        self._failed_best = int(self.best.status[0] != CONVERGED)
        self.failed = self._failed_best
        """Fits of the last call that did not converge, that of the minimum included."""
        self._search: Search = search(model, self.names)
        self._known = self.best.values

    @property
    def minimum(self) -> float:
        """Least χ²."""
        return float(self.best.chi2[0])

    def best_of(self, name: str) -> float:
        """Value of a variable at the minimum."""
        return float(self.best.values[0, self.model.number(name)])

    def __call__(self, *values: Array) -> Array:
        """Δχ² at points: one array of shape (n,) for each name."""
        start = np.repeat(self.best.values, np.size(values[0]), axis=0)
        for name, value in zip(self.names, values, strict=True):
            start[:, self.model.number(name)] = np.ravel(value)
        fits = self._search.fit(self.data, start, self.workers)
        if self._search.straight is None:
            fits = self._continued(fits, start)
            if len(start) > 1 or len(self._known) == 1:
                self._known = fits.values
        self.failed = int(np.count_nonzero(fits.status != CONVERGED)) + self._failed_best
        return fits.chi2 - self.minimum

    def _continued(self, fits: Fits, start: Array) -> Fits:
        """Fit again from the minima of other points: along valleys, the starts are not enough."""
        held = [self.model.number(name) for name in self.names]
        apart = start[:, None, held] - self._known[None, :, held]
        nearby = self._known[np.argmin(np.sum(apart**2, axis=2), axis=1)]
        nearby[:, held] = start[:, held]
        fits = fits.better(self._search.local(self.data, nearby, self.workers))
        distance = 1
        while distance < len(start):
            for shift in (distance, -distance):
                nearby = np.roll(fits.values, shift, axis=0)
                nearby[:, held] = start[:, held]
                fits = fits.better(self._search.local(self.data, nearby, self.workers))
            distance *= 2
        return fits


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
    profile = Profile(model, [axis.name], data, workers)
    low, high = _range(axis, profile, level)
    x = np.linspace(low, high, axis.points or POINTS_1D)
    delta = profile(x)
    failed = profile.failed
    intervals = tuple(_intervals(lambda t: float(profile(np.array([t]))[0]), x, delta, level))
    i = model.number(axis.name)
    endless = (low > model.lower[i] and intervals and intervals[0][0] == low) or (
        high < model.upper[i] and intervals and intervals[-1][1] == high
    )
    if endless and (axis.low is None or axis.high is None):  # beyond, fits fail
        raise ExperimentError(_unlimited(axis))
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
    x, y = (grid(model, axis, level, POINTS_2D, data, workers) for axis in axes)
    if x.size * y.size > MOST_POINTS_2D:
        raise ExperimentError(
            f"{x.size} x {y.size} points: a plane may have {MOST_POINTS_2D} at most"
        )
    profile = Profile(model, names, data, workers)
    delta = profile(*np.meshgrid(x, y)).reshape(len(y), len(x))
    best = profile.best_of(names[0]), profile.best_of(names[1])
    return Scan2D(model, names, x, y, delta, level, cl, best, profile.failed)


def grid(
    model: Model,
    axis: Axis,
    level: float,
    points: int,
    data: Data | None = None,
    workers: Here = HERE,
) -> Array:
    """Values of a parameter: as given, or over what holds Δχ² below the level.

    Raises
    ------
    ExperimentError
        If the range is empty, or the data do not limit the parameter.
    """
    low, high = _range(axis, Profile(model, [axis.name], data, workers), level)
    return np.linspace(low, high, axis.points or points)


def _check(axis: Axis, model: Model) -> None:
    i = model.number(axis.name)
    lower, upper = model.lower[i], model.upper[i]
    assert axis.low is not None
    assert axis.high is not None
    if not axis.low < axis.high:
        raise ExperimentError(
            f"{axis.name} = {axis.low:g}:{axis.high:g}: the range is empty; give LOW:HIGH"
        )
    lower, upper = max(lower, -FARTHEST), min(upper, FARTHEST)
    if axis.low < lower or axis.high > upper:
        raise ExperimentError(
            f"{axis.name} = {axis.low:g}:{axis.high:g}: must be from {lower:g} to {upper:g}"
        )
    if axis.points is not None and not 2 <= axis.points <= 100_000:
        raise ExperimentError(f"{axis.name}: points must be from 2 to 100000, not {axis.points}")


def _range(axis: Axis, profile: Profile, level: float) -> tuple[float, float]:
    """The range given, or one that holds all points below the level, and a margin."""
    if axis.low is not None and axis.high is not None:
        _check(axis, profile.model)
        return axis.low, axis.high
    i = profile.model.number(axis.name)
    lower, upper = profile.model.lower[i], profile.model.upper[i]
    best = profile.best_of(axis.name)
    distance = np.geomspace(1e-5, 1e5, 400)
    ends = []
    for sign, bound in ((-1, lower), (1, upper)):
        x = np.clip(best + sign * distance, lower, upper)
        inside = np.flatnonzero(profile(x) < 1.2 * level)
        last = int(inside[-1]) if inside.size else 0
        if last == len(x) - 1 and not np.isfinite(bound):
            raise ExperimentError(_unlimited(axis))
        ends.append(float(x[min(last + 1, len(x) - 1)]))
    margin = MARGIN * (ends[1] - ends[0])
    return max(ends[0] - margin, lower), min(ends[1] + margin, upper)


def _unlimited(axis: Axis) -> str:
    return f"{axis.name}: the data do not limit it; give a range, {axis.name}=LOW:HIGH"


def _intervals(
    delta: Callable[[float], float], x: Array, y: Array, level: float
) -> list[tuple[float, float]]:
    """Intervals with Δχ² below the level; dips between points of the scan are looked for."""
    from scipy.optimize import brentq, minimize_scalar

    points = dict(zip(x.tolist(), y.tolist(), strict=True))
    for i in range(1, len(x) - 1):
        if y[i] >= level and y[i] <= y[i - 1] and y[i] <= y[i + 1]:
            dip = minimize_scalar(delta, bounds=(x[i - 1], x[i + 1]), method="bounded")
            points[float(dip.x)] = float(dip.fun)
    order = sorted(points)
    inside = [points[t] < level for t in order]
    ends = [order[0]] if inside[0] else []
    for a, b, was, now in zip(order[:-1], order[1:], inside[:-1], inside[1:], strict=True):
        if was != now:
            ends.append(float(brentq(lambda t: delta(t) - level, a, b, xtol=1e-10, rtol=1e-10)))
    if inside[-1]:
        ends.append(order[-1])
    return list(zip(ends[::2], ends[1::2], strict=True))
