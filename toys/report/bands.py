"""Sensitivity: how the regions of many experiments lie, by toys at the experiments' own couplings.

Each toy is an experiment: its Δχ² is found at every point of a grid, and from it the outermost ends
of its region, or its area. Their median is what an experiment may expect, and the bands of one and
two standard deviations hold 68 % and 95 % of the experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array, Json
from ...generator.display import Displayed
from ...reco.cluster.workers import HERE, Here
from ...reco.errors import ExperimentError
from ..construction.ensemble import Ensemble
from ..construction.neyman import Construction
from ..construction.numbering import AT_TRUTH
from ..construction.throw import throw
from ..counts.model import Model
from ..kernels.status import CONVERGED
from ..scan.outline import contours, open_ends, threshold
from ..scan.scan import Axis, grids

SIGMAS = (-2.0, -1.0, 0.0, 1.0, 2.0)
POINTS = {1: 201, 2: 41}
"""Grid points of an axis whose number is not given, in one and two parameters."""
BEYOND = 3.0
"""Standard deviations beyond the limits of the Asimov data that a range goes which is found."""
FINE = {1: 1000, 2: 160}
"""Least points of a finer grid, by splines, in one and two parameters."""
TOP = 100.0
"""Levels at which Δχ² is cut, where it may be infinite."""
MOST_VALUES = 10**8
"""Most toys times points; their Δχ² are held in memory."""


@dataclass(frozen=True, eq=False, repr=False)
class Bands(Displayed):
    """What regions the median experiment has, and those 1 and 2 standard deviations from it."""

    model: Model
    axes: tuple[tuple[str, Array], ...]
    """Names of the parameters, and their values."""
    cl: float
    seed: int
    delta_chi2: NDArray[np.float32]
    """Δχ² of each toy, shape (toys, points), the first axis running fastest."""
    failed: int
    """Fits that did not converge."""

    def facts(self) -> dict[str, object]:
        """Parameters, and the median limits or area."""
        middle = SIGMAS.index(0.0)
        if len(self.axes) == 1:
            low, high = self.limits[middle]
            median = {"median limits": f"{low:.4g}, {high:.4g}"}
        else:
            median = {"median area": f"{self.areas[middle]:.4g}"}
        names = ", ".join(name for name, _ in self.axes)
        level = f"{100 * self.cl:g} %"
        return {"parameters": names, "CL": level, "experiments": self.toys, **median}

    @property
    def toys(self) -> int:
        """Number of experiments."""
        return len(self.delta_chi2)

    @property
    def level(self) -> float:
        """Δχ² of the confidence level."""
        return threshold(self.cl, len(self.axes))

    @property
    def profile(self) -> Array:
        """Quantiles of Δχ² at each point, shape (sigmas, points)."""
        return _at_sigmas(self.delta_chi2)

    @property
    def held(self) -> Array:
        """Part of the experiments whose region holds a point, shape (points,)."""
        return np.mean(self.delta_chi2 <= self.level, axis=0)

    @property
    def limits(self) -> Array:
        """Quantiles of both outermost ends of the region of a parameter, shape (sigmas, 2).

        They are infinite beyond the grid.
        """
        name, x = self.axes[0]
        ends = open_ends(self.model, name, x)
        return _at_sigmas(outermost(*finer(x, self.delta_chi2, self.level), ends))

    @property
    def areas(self) -> Array:
        """Quantiles of the area of a region in a plane, shape (sigmas,)."""
        axes = [x for _, x in self.axes]
        return _at_sigmas(np.array([area(axes, q, self.level) for q in self.delta_chi2]))

    def as_json(self) -> Json:
        """Content for JSON, with null for limits beyond the grid."""
        shape = tuple(len(x) for _, x in reversed(self.axes))
        if len(self.axes) == 1:
            limits = np.where(np.isfinite(self.limits), self.limits, np.nan).T
            lower, upper = ([None if x != x else float(x) for x in row] for row in limits)
            numbers: Json = {"lower": lower, "upper": upper}
        else:
            numbers = {"area": self.areas.tolist()}
        return {
            "toys": self.toys,
            "seed": self.seed,
            "failed": self.failed,
            "sigma": list(SIGMAS),
            **numbers,
            "grid": {
                **dict(zip(("x", "y"), (x.tolist() for _, x in self.axes), strict=False)),
                "delta_chi2": [q.reshape(shape).tolist() for q in self.profile],
                "held": self.held.reshape(shape).tolist(),
            },
        }


def _at_sigmas(values: NDArray[np.floating]) -> Array:
    """Values of the experiments that are so many standard deviations from the median."""
    from scipy.special import ndtr

    return np.quantile(values.astype(float), ndtr(SIGMAS), axis=0, method="nearest")


def _fine(x: Array, points: int) -> Array:
    """A grid with so many points between its own that it has `points` of them at least."""
    parts = max(1, -(-points // (len(x) - 1)))
    return np.interp(np.arange(parts * (len(x) - 1) + 1) / parts, np.arange(len(x)), x)


def finer(x: Array, q: NDArray[np.floating], level: float) -> tuple[Array, NDArray[np.floating]]:
    """A finer grid, and how much Δχ² of toys is above a level there, by splines: χ² is smooth.

    Parameters
    ----------
    q
        Shape (toys, points).

    Returns
    -------
    array, shape (fine points,), and one of shape (toys, fine points)
    """
    from scipy.interpolate import make_interp_spline

    new = _fine(x, FINE[1])
    order = min(3, len(x) - 1)
    heights = make_interp_spline(x, np.minimum(q, TOP * level), order, axis=1)(new) - level
    return new, heights.astype(np.float32)


def area(axes: Sequence[Array], q: NDArray[np.floating], level: float) -> float:
    """Area where Δχ² is below a level, by splines through a grid.

    Parameters
    ----------
    q
        Of one data set, shape (points,), the first axis running fastest.
    """
    from scipy.interpolate import RectBivariateSpline

    x, y = axes
    kx, ky = min(3, len(x) - 1), min(3, len(y) - 1)
    values = np.minimum(q.astype(float), TOP * level).reshape(len(y), len(x))
    fine = [_fine(axis, FINE[2]) for axis in axes]
    return contours(fine, RectBivariateSpline(y, x, values, kx=ky, ky=kx)(*fine[::-1]) - level)[1]


def outermost(x: Array, outside: NDArray[np.floating], ends: Sequence[float]) -> Array:
    """Lowest and highest ends of where `outside` ≤ 0, linear between points, shape (toys, 2).

    Parameters
    ----------
    outside
        Of each toy at each point, shape (toys, points).
    ends
        Those of the range that are no bounds of the parameter: what reaches them goes on beyond.
    """
    toys, last = np.arange(len(outside)), len(x) - 1
    least = np.argmin(outside, axis=1)
    inside = outside <= 0
    inside[toys, least] = True  # between two points, if at none
    result = np.empty((len(outside), 2))
    beyond = -np.inf if x[0] in ends else x[0], np.inf if x[-1] in ends else x[-1]
    for side, first in ((0, inside.argmax(axis=1)), (1, last - inside[:, ::-1].argmax(axis=1))):
        other = first + (-1 if side == 0 else 1)
        reaches = (other < 0) | (other > last)
        other = np.clip(other, 0, last)
        a, b = outside[toys, first], outside[toys, other]
        step = np.where(reaches | (a > 0), 0.0, a / np.where(a == b, 1.0, a - b))
        result[:, side] = np.where(reaches, beyond[side], x[first] + step * (x[other] - x[first]))
    nowhere = outside[toys, least] > 0
    result[nowhere & (least == 0)] = beyond[0]
    result[nowhere & (least == last)] = beyond[1]
    return result


def bands(
    model: Model, axes: Sequence[Axis], cl: float, toys: int, seed: int, workers: Here = HERE
) -> Bands:
    """Regions of many experiments at the experiments' own couplings.

    Parameters
    ----------
    axes
        One or two parameters; ranges that are not given go beyond the limits of the Asimov data.
    workers
        Threads; their `progress` is told numbers of toys at a point.

    Raises
    ------
    ExperimentError
        As `grids`, or if toys and points are too many.
    """
    level = threshold(cl, len(axes))
    values = grids(model, axes, (np.sqrt(level) + BEYOND) ** 2, POINTS[len(axes)])
    planned = tuple((axis.name, x) for axis, x in zip(axes, values, strict=True))
    c = Construction(model, planned, Ensemble(), seed, model.asimov())
    if toys * len(c.points) > MOST_VALUES:
        raise ExperimentError(
            f"{toys} toys at {len(c.points)} points: at most {MOST_VALUES // len(c.points)} toys"
        )
    c.warm()
    data = throw(model, c.ensemble, c.truth_of(model.truth), seed, AT_TRUTH, 0, toys)
    free = c.search_free.around(model.truth).fit(data, model.truth[None], workers)
    chi2 = np.empty((toys, len(c.points)))

    def at_point(k: int) -> int:
        held = c.fit_held(data, c.profiled.values[[k]])
        chi2[:, k] = held.chi2
        workers.progress(toys)
        return int(np.count_nonzero(held.status != CONVERGED))

    failed = sum(workers.map(at_point, range(len(c.points))))
    failed += int(np.count_nonzero(free.status != CONVERGED))
    least = np.minimum(free.chi2, chi2.min(axis=1))
    return Bands(model, planned, cl, c.seed, (chi2 - least[:, None]).astype(np.float32), failed)
