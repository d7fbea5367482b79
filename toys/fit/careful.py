"""Fits by a trust in eigenvectors: for the few data sets where the compiled fit does not arrive.

Its damping is by variables, one by one, and crawls along a narrow valley that runs across them; and
it ends at a saddle, where the gradient vanishes by symmetry. Here a step is Newton's in the basis
of the Hessian's eigenvectors, with the absolute value of each eigenvalue (Dauphin et al.,
arXiv:1406.2572), and leaves a saddle along the directions of negative curvature, on both sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..kernels.derivatives import differentiate
from ..kernels.lanes import DataSets, Objective
from ..kernels.minimise import FALLS
from ..kernels.status import CONVERGED, HIGHER, NO_STEP_LOWERS, NO_VALID_START, TOO_MANY_STEPS

MOST_STEPS = 300
LENGTHS = np.array([4.0, 2.0, 1.0, 0.7, 0.4, 0.2, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6])
"""Of steps that are tried, in units of Newton's."""
TOLERANCE = 1e-9
"""Predicted fall of χ² at which a fit has converged, and 1e-12 χ²."""
NEGATIVE = 1e-7
"""Least negative eigenvalue that is one, where the diagonal of the Hessian is scaled to 1."""
SMALLEST = 1e-13
"""Least eigenvalue by which a gradient is divided."""


class Point(NamedTuple):
    """Points, one a data set, with χ² and its derivatives by the free variables."""

    z: Array
    """Shape (sets, variables)."""
    chi2: Array
    """Shape (sets,)."""
    gradient: Array
    """Shape (sets, p)."""
    hessian: Array
    """Shape (sets, p, p)."""


def derivatives(objective: Objective, sets: DataSets) -> Point:
    """χ² and its derivatives at the starts of data sets."""
    n, p = len(sets.start), len(objective.free)
    point = Point(sets.start, np.empty(n), np.empty((n, p)), np.empty((n, p, p)))
    differentiate(objective, sets, point.chi2, point.gradient, point.hessian)
    return point


def rows(sets: DataSets, chosen: NDArray[np.int64], start: Array) -> DataSets:
    """Some of the data sets, with other starts."""
    part = [a[chosen] if len(a) > 1 else a for a in (sets.counts, sets.off, sets.centre)]
    return DataSets(*part, start=np.ascontiguousarray(start), highest=np.full(1, np.inf))


def careful_fit(
    objective: Objective, sets: DataSets
) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """Minimum that is reached from the starts: values, χ², status and steps, as `search.Fits`.

    Every data set has a start of its own.
    """
    n = len(sets.start)
    z = sets.start.copy()
    status = np.full(n, TOO_MANY_STEPS)
    steps = np.zeros(n, np.int64)
    left = np.arange(n)
    highest = np.broadcast_to(sets.highest, n)
    now = derivatives(objective, sets)
    chi2 = now.chi2.copy()
    status[np.isinf(chi2)] = NO_VALID_START
    left = left[np.isfinite(chi2)]
    now = Point(*(a[np.isfinite(chi2)] for a in now))
    for _ in range(MOST_STEPS):
        if not left.size:
            break
        basis = _eigen(objective, now)
        done = ~basis.saddle & (basis.fall < TOLERANCE + 1e-12 * np.abs(now.chi2))
        status[left[done]] = CONVERGED
        above = now.chi2 - FALLS * basis.fall > highest[left]
        above &= ~basis.saddle & ~done
        status[left[above]] = HIGHER
        done |= above
        left, now = left[~done], Point(*(a[~done] for a in now))
        basis = Basis(*(a[~done] for a in basis))
        if not left.size:
            break
        new = _step(objective, sets, left, now, basis)
        steps[left] += len(LENGTHS)
        better = new.chi2 < now.chi2 - 1e-13 * (1 + np.abs(now.chi2))
        stuck = ~better
        ended = left[stuck]
        fine = basis.fall[stuck] < 1e-6 * (1 + 1e-6 * np.abs(now.chi2[stuck]))
        status[ended] = np.where(fine, CONVERGED, NO_STEP_LOWERS)
        z[left[better]], chi2[left[better]] = new.z[better], new.chi2[better]
        left, now = left[better], Point(*(a[better] for a in new))
    return z, chi2, status, steps


class Basis(NamedTuple):
    """Eigenvectors of the scaled Hessian, and Newton's step in them."""

    newton: Array
    """Shape (sets, p)."""
    escape: Array
    """Direction of the most negative curvature, of a length that promises a fall, (sets, p)."""
    fall: Array
    """Promised by Newton's step, shape (sets,)."""
    saddle: NDArray[np.bool_]
    """Whether there is negative curvature, shape (sets,)."""


def _eigen(objective: Objective, now: Point) -> Basis:
    z, gradient, hessian = now.z[:, objective.free], now.gradient, now.hessian
    lower, upper = objective.lower[objective.free], objective.upper[objective.free]
    held = ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))
    diagonal = np.abs(np.einsum("sjj->sj", hessian))
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-30))
    scaled = hessian * scale[:, :, None] * scale[:, None, :]
    scaled[held] = 0.0
    scaled.swapaxes(1, 2)[held] = 0.0
    s, j = np.nonzero(held)
    scaled[s, j, j] = 1.0
    slope = np.where(held, 0.0, gradient * scale)
    values, vectors = np.linalg.eigh(scaled)
    along = np.einsum("sjk,sj->sk", vectors, slope)
    size = np.maximum(np.abs(values), SMALLEST)
    newton = -np.einsum("sjk,sk->sj", vectors, along / size) * scale
    fall = 0.5 * np.sum(along**2 / size, axis=1)
    least = np.abs(values[:, 0])
    escape = vectors[:, :, 0] * scale / np.sqrt(np.maximum(least, SMALLEST))[:, None]
    return Basis(newton, escape, fall, values[:, 0] < -NEGATIVE)


def _step(
    objective: Objective, sets: DataSets, chosen: NDArray[np.int64], now: Point, basis: Basis
) -> Point:
    """The best of steps of several lengths, and, at a saddle, to both sides of it."""
    n = len(chosen)
    directions = [basis.newton, -basis.newton]
    if basis.saddle.any():
        directions += [basis.escape, -basis.escape]
    else:
        directions = directions[:1]
    trials = []
    for direction in directions:
        for length in LENGTHS:
            z = now.z.copy()
            z[:, objective.free] += length * direction
            trials.append(np.clip(z, objective.lower, objective.upper))
    many = np.concatenate(trials)
    point = derivatives(objective, rows(sets, np.tile(chosen, len(trials)), many))
    best = np.argmin(point.chi2.reshape(len(trials), n), axis=0)
    place = best * n + np.arange(n)
    return Point(*(a[place] for a in point))
