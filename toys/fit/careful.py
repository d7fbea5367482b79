"""Fits along eigenvectors: for the few data sets where the compiled fit does not arrive.

Its damping is by variables, one by one, and crawls along a narrow valley that runs across them; and
it ends at a saddle, where the gradient vanishes by symmetry. Here a step is Newton's in the basis
of the Hessian's eigenvectors, with the absolute value of each eigenvalue (Dauphin et al.,
arXiv:1406.2572), and leaves a saddle along the direction of most negative curvature, to both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..kernels.derivatives import differentiate
from ..kernels.lanes import DataSets, Objective
from ..kernels.minimise import FALLS
from ..kernels.status import (
    CONVERGED,
    HIGHER,
    NO_STEP_LOWERS,
    NO_VALID_START,
    RUNNING,
    TOO_MANY_STEPS,
)

MOST_STEPS = 300
LENGTHS = np.array([4.0, 2.0, 1.0, 0.7, 0.4, 0.2, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6])
"""Lengths of the steps that are tried, in units of Newton's."""
TOLERANCE = 1e-9
"""Predicted fall of χ² at which a fit has converged, and ROUNDING of χ²."""
NEARLY = 1e-6
"""Predicted fall of χ² at which a fit has converged where no step lowers χ² any more."""
ROUNDING = 1e-12
NEGATIVE = 1e-7
"""Least negative eigenvalue that is one, where the diagonal of the Hessian is scaled to 1."""
SMALLEST = 1e-13
"""Least eigenvalue by which a gradient is divided."""


class Arrived(NamedTuple):
    """Where fits have ended, as `search.Fits`."""

    values: Array
    chi2: Array
    status: NDArray[np.int64]
    steps: NDArray[np.int64]


class Point(NamedTuple):
    """Points, one a data set, with χ² and its derivatives by the free variables."""

    z: Array
    """Values of all variables, shape (sets, variables)."""
    chi2: Array
    """χ², shape (sets,)."""
    gradient: Array
    """First derivatives, shape (sets, p)."""
    hessian: Array
    """Second derivatives, shape (sets, p, p)."""

    def of(self, chosen: NDArray[Any]) -> Point:
        """Points of some data sets."""
        return Point(*(a[chosen] for a in self))


class Basis(NamedTuple):
    """What the eigenvectors of the scaled Hessian say of the way from points."""

    newton: Array
    """Newton's step with the absolute eigenvalues, shape (sets, p)."""
    escape: Array
    """A step along the most negative curvature, shape (sets, p)."""
    fall: Array
    """Fall of χ² that Newton's step promises, shape (sets,)."""
    saddle: NDArray[np.bool_]
    """Whether there is negative curvature, shape (sets,)."""

    def of(self, chosen: NDArray[Any]) -> Basis:
        """Steps of some data sets."""
        return Basis(
            self.newton[chosen], self.escape[chosen], self.fall[chosen], self.saddle[chosen]
        )


def careful_fit(objective: Objective, sets: DataSets) -> Arrived:
    """Minimum that is reached from the start of each data set, of which each has its own."""
    now = derivatives(objective, sets)
    end = Arrived(
        values=sets.start.copy(),
        chi2=now.chi2.copy(),
        status=np.where(np.isinf(now.chi2), NO_VALID_START, RUNNING),
        steps=np.zeros(len(sets.start), np.int64),
    )
    left = np.flatnonzero(end.status == RUNNING)
    now = now.of(left)
    highest = np.broadcast_to(sets.highest, len(sets.start))
    for _ in range(MOST_STEPS if left.size else 0):
        basis = _basis(objective, now)
        end.status[left] = _judged(now, basis, highest[left])
        going = end.status[left] == RUNNING
        left, now, basis = left[going], now.of(going), basis.of(going)
        if not left.size:
            break
        new = _best_step(objective, sets, left, now, basis)
        end.steps[left] += len(LENGTHS)
        better = new.chi2 < now.chi2 - 0.1 * ROUNDING * (1 + np.abs(now.chi2))
        near = basis.fall < NEARLY * (1 + NEARLY * np.abs(now.chi2))
        end.status[left[~better]] = np.where(near, CONVERGED, NO_STEP_LOWERS)[~better]
        left, now = left[better], new.of(better)
        end.values[left], end.chi2[left] = now.z, now.chi2
    end.status[left] = TOO_MANY_STEPS
    return end


def derivatives(objective: Objective, sets: DataSets) -> Point:
    """χ² and its derivatives at the starts of data sets."""
    n, p = len(sets.start), len(objective.free)
    point = Point(sets.start, np.empty(n), np.empty((n, p)), np.empty((n, p, p)))
    if n:
        differentiate(objective, sets, point.chi2, point.gradient, point.hessian)
    return point


def _judged(now: Point, basis: Basis, highest: Array) -> NDArray[np.int64]:
    """Status of fits at points: converged, to be left since they would end above, or running."""
    arrived = basis.fall < TOLERANCE + ROUNDING * np.abs(now.chi2)
    above = now.chi2 - FALLS * basis.fall > highest
    status = np.where(arrived, CONVERGED, np.where(above, HIGHER, RUNNING))
    return np.where(basis.saddle, RUNNING, status)


def _basis(objective: Objective, now: Point) -> Basis:
    """Eigenvectors of the Hessian, scaled to a diagonal of 1, and the steps that follow."""
    z, gradient = now.z[:, objective.free], now.gradient
    lower, upper = objective.lower[objective.free], objective.upper[objective.free]
    held = ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))
    scale = 1 / np.sqrt(np.maximum(np.abs(np.einsum("sjj->sj", now.hessian)), 1e-30))
    scaled = now.hessian * scale[:, :, None] * scale[:, None, :]
    scaled[held[:, :, None] | held[:, None, :]] = 0.0
    sets, places = np.nonzero(held)
    scaled[sets, places, places] = 1.0
    values, vectors = np.linalg.eigh(scaled)
    slope = np.where(held, 0.0, gradient * scale)
    along = (vectors.swapaxes(1, 2) @ slope[:, :, None])[:, :, 0]
    size = np.maximum(np.abs(values), SMALLEST)
    return Basis(
        newton=-(vectors @ (along / size)[:, :, None])[:, :, 0] * scale,
        escape=vectors[:, :, 0] * scale / np.sqrt(size[:, :1]),
        fall=0.5 * np.sum(along**2 / size, axis=1),
        saddle=values[:, 0] < -NEGATIVE,
    )


def _best_step(
    objective: Objective, sets: DataSets, chosen: NDArray[np.int64], now: Point, basis: Basis
) -> Point:
    """The lowest point of steps of several lengths; at a saddle, in all four directions."""
    best = _lowest(objective, sets, chosen, now, [basis.newton])
    saddles = np.flatnonzero(basis.saddle)
    if saddles.size:
        unstable = basis.of(saddles)
        directions = [-unstable.newton, unstable.escape, -unstable.escape]
        other = _lowest(objective, sets, chosen[saddles], now.of(saddles), directions)
        better = other.chi2 < best.chi2[saddles]
        for whole, new in zip(best, other, strict=True):
            whole[saddles[better]] = new[better]
    return best


def _lowest(
    objective: Objective,
    sets: DataSets,
    chosen: NDArray[np.int64],
    now: Point,
    directions: Sequence[Array],
) -> Point:
    """The lowest point of steps of several lengths in some directions, each of shape (sets, p)."""
    steps = LENGTHS[:, None, None] * np.stack(directions)[:, None]
    trials = np.tile(now.z, (len(directions), len(LENGTHS), 1, 1))
    trials[..., objective.free] += steps
    trials = np.clip(trials, objective.lower, objective.upper).reshape(
        -1, len(chosen), len(now.z.T)
    )
    counts, off, centre = (
        a[chosen] if len(a) > 1 else a for a in (sets.counts, sets.off, sets.centre)
    )
    many = DataSets(
        counts=_repeated(counts, len(trials)),
        off=_repeated(off, len(trials)),
        centre=_repeated(centre, len(trials)),
        start=trials.reshape(-1, trials.shape[-1]),
        highest=sets.highest,
    )
    chi2 = derivatives(_without_derivatives(objective), many).chi2.reshape(len(trials), -1)
    best = trials[np.argmin(chi2, axis=0), np.arange(len(chosen))]
    there = DataSets(counts=counts, off=off, centre=centre, start=best, highest=sets.highest)
    return derivatives(objective, there)


def _repeated(rows: Array, times: int) -> Array:
    """Rows of data sets several times, or the only one as it is."""
    return np.tile(rows, (times, 1)) if len(rows) > 1 else rows


def _without_derivatives(objective: Objective) -> Objective:
    """The objective with nothing free, of which only χ² is worked out."""
    none = np.empty(0, np.int64)
    terms = objective.terms._replace(
        first=none.reshape(0, 3),
        first_factor=np.empty(0),
        second=none.reshape(0, 4),
        second_factor=np.empty(0),
        curved=none,
    )
    return objective._replace(terms=terms, free=none)
