"""Valleys of χ² that begin where a variable is at its lower bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..counts.model import Data, Model
from ..kernels.lanes import DataSets, Objective
from .careful import Point, derivatives
from .local import NO_LIMIT, Fits, take

RISES = (1e-2, 3e-2, 0.1, 1.0)
"""Of χ², by quadratic extrapolation, from a minimum to points up its valley."""
ROOM = (0.3, 0.5, 0.7, 0.9)
"""Parts of the way along a valley to where another variable meets its bound, at most, of each."""
CLOSE = 1e-6
"""Distance from a bound that counts as none."""
RIDGE = 1e-9
"""Least curvature, where the diagonal of the Hessian is scaled to 1."""


class Valley(NamedTuple):
    """How χ² rises as one variable leaves its lower bound, the others following the floor."""

    sets: NDArray[np.int64]
    """Numbers of the data sets whose minimum is at the bound, shape (n,)."""
    values: Array
    """Variables at points of the floor, shape (rises, n, variables)."""
    rise: Array
    """Of χ² from the minimum to these, by quadratic extrapolation: RISES or less, (rises, n)."""


def valleys(
    model: Model,
    data: Data,
    fits: Fits,
    numbers: Sequence[int],
    held: Sequence[int] = (),
    bounds: tuple[Array, Array] | None = None,
) -> dict[int, Valley]:
    """The valleys of some variables from minima of data sets, by second derivatives there.

    Parameters
    ----------
    numbers
        Numbers of the variables.
    held, bounds
        As of `local_fit`, by which the minima were found.
    """
    lower, upper = bounds or (model.lower, model.upper)
    start = np.where(fits.values - lower <= CLOSE, lower, fits.values)
    at_bound = {i: start[:, i] == lower[i] for i in numbers}
    sets = np.flatnonzero(np.any([*at_bound.values(), np.zeros(len(fits.chi2), bool)], axis=0))
    if not sets.size:
        return {}
    free = [i for i in range(model.variables) if i not in held]
    objective = Objective(
        model.terms(free), model.tau, np.array(free, np.int64), model.weight, lower, upper
    )
    some = take(data, sets)
    point = derivatives(
        objective, DataSets(some.counts, some.off, some.centre, start[sets], NO_LIMIT)
    )
    found = {}
    for i, at_its_bound in at_bound.items():
        chosen = at_its_bound[sets]
        part, ends = point.of(chosen), (lower[free], upper[free])
        values = np.tile(part.z, (len(RISES), 1, 1))
        values[:, :, free], rise = _floor(part, part.z[:, free], free.index(i), ends)
        found[i] = Valley(sets[chosen], values, rise)
    return found


def chi2_at(model: Model, data: Data, values: Array) -> Array:
    """χ² of data sets at values of the variables, shape (sets, variables)."""
    objective = Objective(
        model.terms([]), model.tau, np.empty(0, np.int64), model.weight, model.lower, model.upper
    )
    return derivatives(
        objective, DataSets(data.counts, data.off, data.centre, values, NO_LIMIT)
    ).chi2


def _floor(point: Point, z: Array, k: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
    """The free variables up the valley of the k-th from z, (rises, n, p), and how χ² rises."""
    gradient, size = point.gradient, z.shape[1]
    scale = 1 / np.sqrt(np.maximum(np.abs(np.einsum("sjj->sj", point.hessian)), 1e-30))
    stays = ((z <= ends[0]) & (gradient > 0)) | ((z >= ends[1]) & (gradient < 0))
    stays[:, k] = True
    scaled = point.hessian * scale[:, :, None] * scale[:, None, :]
    others = np.where(stays[:, :, None] | stays[:, None, :], 0.0, scaled)
    others[:, np.arange(size), np.arange(size)] += np.where(stays, 1.0, RIDGE)
    across = np.where(stays, 0.0, scaled[:, k])
    follow = -np.linalg.solve(others, across[:, :, None])[:, :, 0]
    follow[:, k] = 1.0
    curvature = np.maximum(np.einsum("sj,sjk,sk->s", follow, scaled, follow), RIDGE)
    slope = np.maximum(gradient[:, k] * scale[:, k], 0.0)
    rises = np.array(RISES)[:, None]
    step = (-slope + np.sqrt(slope**2 + 2 * curvature * rises)) / curvature
    follow = follow * scale
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(follow > 0, ends[1] - z, ends[0] - z) / follow
    most = np.min(np.where(follow == 0, np.inf, room), axis=1)
    step = np.minimum(step, np.array(ROOM)[:, None] * most)
    rise = step * (slope + 0.5 * curvature * step)
    return np.clip(z + step[:, :, None] * follow, *ends), rise
