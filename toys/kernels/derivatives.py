"""χ² with its exact first and second derivatives at given points, compiled."""

from __future__ import annotations

from ...generator.sampling.kernel import borrow, kernel
from .deviance import evaluate
from .lanes import LANES, copy_row, new_lanes


@kernel
def differentiate(objective, sets, chi2, gradient, hessian):  # type: ignore[no-untyped-def]
    """χ² and its derivatives by the free variables at the starts of data sets.

    Parameters
    ----------
    objective, sets
        `Objective` and `DataSets` of `lanes`; `sets.start` has a row for each point.
    chi2
        To be written, shape (points,).
    gradient
        To be written, shape (points, p).
    hessian
        To be written, shape (points, p, p).
    """
    lanes = new_lanes(objective)
    _differentiate(objective, sets, chi2, gradient, hessian, lanes)


@kernel
def _differentiate(objective, sets, chi2, gradient, hessian, lanes):  # type: ignore[no-untyped-def]
    """The same in `Lanes`, which the caller owns for as long: so they can be borrowed."""
    objective, sets = borrow(objective), borrow(sets)  # type: ignore[call-arg]
    lanes = borrow(lanes)
    p = gradient.shape[1]
    for low in range(0, len(chi2), LANES):
        used = min(LANES, len(chi2) - low)
        for lane in range(LANES):
            d = low + min(lane, used - 1)
            copy_row(sets.counts, d, lanes.counts, lane)
            copy_row(sets.off, d, lanes.off, lane)
            copy_row(sets.centre, d, lanes.centre, lane)
            copy_row(sets.start, d, lanes.trial.z, lane)
        evaluate(objective, lanes)
        for lane in range(used):
            d = low + lane
            chi2[d] = lanes.trial.chi2[lane]
            for j in range(p):
                gradient[d, j] = lanes.trial.gradient[j, lane]
                for k in range(j + 1):
                    x = lanes.trial.hessian[j * (j + 1) // 2 + k, lane]
                    hessian[d, j, k] = x
                    hessian[d, k, j] = x
