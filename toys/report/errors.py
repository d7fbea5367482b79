"""Errors of the variables of a fit: from the curvature of χ², and from its profile (MINOS).

Errors from the profile are where χ², minimised over all other variables, is higher by one than at
the best fit, on each side. The impact of a nuisance parameter is how far the parameters move when
it is held at its own errors and the others are fitted again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..counts.model import Data, Model
from ..fit.careful import derivatives
from ..fit.local import NO_LIMIT
from ..kernels.lanes import DataSets, Objective
from ..scan.line import line
from ..scan.profile import Profile
from ..scan.roots import roots
from ..scan.scan import REACH

LEVEL = 1.0
"""Δχ² of one standard deviation."""
SMALL = 1e-9
"""Of Δχ², to which its crossings are found."""
FARTHEST = 60
"""Most times that the distance is doubled in which a crossing is looked for."""
SIDES = np.array([-1.0, 1.0])


def covariance(model: Model, data: Data, values: Array) -> Array:
    """Covariance of the variables: twice the inverse of the second derivatives of χ².

    Parameters
    ----------
    data
        One data set.
    values
        Its best fit, shape (variables,).

    Returns
    -------
    Array
        Shape (variables, variables); nan in the rows of variables that are at a bound, and in all
        if χ² has no minimum there.
    """
    gradient, hessian = _derivatives(model, data, values)
    at_bound = ((values <= model.lower) & (gradient > 0)) | (
        (values >= model.upper) & (gradient < 0)
    )
    free = np.flatnonzero(~at_bound)
    result = np.full((model.variables, model.variables), np.nan)
    part = hessian[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(part), 1e-300))
    scaled = part / np.outer(scale, scale)
    if free.size and np.linalg.eigvalsh(scaled)[0] > 1e-12:
        inverse = 2 * np.linalg.inv(scaled) / np.outer(scale, scale)
        result[np.ix_(free, free)] = (inverse + inverse.T) / 2
    return result


def correlation(covariances: Array) -> Array:
    """Correlations, of the shape of the covariances; nan where these are."""
    sigma = np.sqrt(np.diag(covariances))
    return np.asarray(covariances / np.outer(sigma, sigma))


def _derivatives(model: Model, data: Data, values: Array) -> tuple[Array, Array]:
    """First and second derivatives of χ² by all variables, (variables,) and its square."""
    free = np.arange(model.variables)
    objective = Objective(
        terms=model.terms(free.tolist()),
        tau=model.tau,
        free=free,
        weight=model.weight,
        lower=model.lower,
        upper=model.upper,
    )
    sets = DataSets(
        counts=data.counts,
        off=data.off,
        centre=data.centre,
        start=np.ascontiguousarray(values[None]),
        highest=NO_LIMIT,
    )
    at = derivatives(objective, sets)
    return at.gradient[0], at.hessian[0]


def ends_of_parameter(profile: Profile, level: float = LEVEL) -> Array:
    """Where Δχ² of a parameter crosses a level on both sides of the best fit, shape (2,).

    Of the intervals below the level, which may be several where the rate is a square, these are the
    ends of that which holds the best fit; nan at a bound, or where the data do not limit it.
    """
    model, i = profile.model, profile.held[0]
    best = float(profile.best.values[0, i])
    low, high = max(best - REACH, model.lower[i]), min(best + REACH, model.upper[i])
    for ends in line(profile, low, high, level).intervals:
        if ends[0] <= best <= ends[1]:
            return np.where(np.isin(ends, (low, high)), np.nan, ends)
    return np.full(2, np.nan)


def ends_of_nuisance(profile: Profile, sigma: float, level: float = LEVEL) -> Array:
    """The same of a nuisance parameter, whose profile rises on both sides of the best fit.

    Parameters
    ----------
    sigma
        About its standard deviation; if it is not known, nan.

    Returns
    -------
    Array
        Nan where there is none, up to a bound or however far away.
    """
    model, i = profile.model, profile.held[0]
    best = profile.best.values[0]
    if not (np.isfinite(sigma) and sigma > 0):
        sigma = 1.0
    inner, inner_values = np.full(2, best[i]), np.repeat(best[None], 2, axis=0)
    outer, outer_values = inner.copy(), inner_values.copy()
    height = np.full((2, 2), -level)  # at the inner and outer ends, of both sides
    left, step = np.array([0, 1]), np.full(2, sigma * np.sqrt(level))
    for _ in range(FARTHEST):
        x = np.clip(outer[left] + SIDES[left] * step[left], model.lower[i], model.upper[i])
        moved = x != outer[left]
        left, x = left[moved], x[moved]
        if not left.size:
            break
        inner[left], inner_values[left] = outer[left], outer_values[left]
        height[0, left] = height[1, left]
        points = profile.points(x, near=[inner_values[left]])
        outer[left], outer_values[left] = x, points.values
        height[1, left] = points.chi2 - profile.minimum - level
        step[left] *= 2
        left = left[height[1, left] <= 0]
    result = np.full(2, np.nan)
    found = np.flatnonzero(height[1] > 0)

    def above(x: Array, piece: NDArray[np.int64]) -> Array:
        near = inner_values[found[piece]], outer_values[found[piece]]
        return profile.between(x, near).chi2 - profile.minimum - level

    ends = np.stack([inner[found], outer[found]])
    result[found] = roots(above, ends, height[:, found], np.full(found.size, SMALL))
    return result


def impacts(profile: Profile, ends: Array) -> Array:
    """How far the parameters move when a variable is held at two values, shape (2, parameters).

    The fits begin at the best one, and stay in its minimum.

    Parameters
    ----------
    ends
        The values, shape (2,); where one is nan, so is the impact.
    """
    model, i = profile.model, profile.held[0]
    number = len(model.parameters)
    result = np.full((2, number), np.nan)
    there = np.flatnonzero(np.isfinite(ends))
    if not there.size:
        return result
    best = profile.best.values
    starts = np.repeat(best, there.size, axis=0)
    starts[:, i] = ends[there]
    reached = profile.reached(starts, np.full(there.size, np.inf))
    result[there] = reached.values[:, :number] - best[:, :number]
    return result
