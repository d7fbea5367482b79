"""Kernels of a damped Newton step: (H + λ D) p = −g, by Cholesky's decomposition.

Variables that the gradient holds at a bound are left out (Bertsekas' projected Newton). D is
diag H, but at least what counts of N, or 1, would give: H vanishes with the counts.

The algorithm is written once, for the lanes from `low` to `high` − 1, and copied into its two uses:
all lanes at once, where the compiler vectorises it, and single lanes that need more damping. A copy
with numbers for `low` and `high` is as fast as if it were written for them.
"""

from __future__ import annotations

import math

from ...generator.sampling.kernel import kernel, kernel_inline
from .lanes import LANES
from .status import CONVERGED, RUNNING, SADDLE

MOST_DAMPING = 1e12
"""λ above which no step lowers χ²."""
NO_FLOOR, FLOOR = 0.0, 1e-300
"""Least D: the second where damping must make H + λ D positive, even for an idle variable."""
FLAT = 1e-8
"""Negative curvature that counts as none, in units of D."""
FEW = 6
"""Lanes that are sooner decomposed one by one than all at once (measured)."""
PIVOT = 1e-13
"""Least pivot that counts as positive, relative to H."""


@kernel_inline
def newton_step(objective, lanes):  # type: ignore[no-untyped-def]
    """Newton step of every lane from `lanes.now`, and the fall of χ² it promises.

    `objective` is of `lanes.Objective`, `lanes` of `lanes.Lanes`. Where H + λ D is not positive
    definite, running fits are damped until it is.
    """
    now, newton, status = lanes.now, lanes.newton, lanes.progress.status
    _hold(objective, lanes)
    _factorise(now, newton, 0, LANES, NO_FLOOR)
    _substitute(now, newton, 0, LANES)
    _damp(now, newton, status)


@kernel_inline
def find_saddles(now, newton, progress):  # type: ignore[no-untyped-def]
    """Tell fits that have converged where χ² falls to both sides from those at a minimum.

    `now`, `newton` and `progress` are of `lanes`; H + λ D has been decomposed, and is once more
    where it was not positive definite, or damped: where χ² is flat, H + FLAT D is.
    """
    status, positive, damping = progress.status, newton.positive, newton.damping
    for lane in range(LANES):
        if progress.owner[lane] >= 0 and status[lane] == CONVERGED:
            if damping[lane] > 0.0 or positive[lane] == 0.0:
                damping[lane] = FLAT
                _factorise(now, newton, lane, lane + 1, FLOOR)
            if positive[lane] == 0.0:
                status[lane] = SADDLE


@kernel_inline
def more(damping):  # type: ignore[no-untyped-def]
    """The next greater λ."""
    return max(10 * damping, 1e-4)


@kernel_inline
def _damp(now, newton, status):  # type: ignore[no-untyped-def]
    """Increase λ of running fits until H + λ D is positive definite, and step there."""
    positive, damped = newton.positive, newton.damped
    damped[:] = 0.0
    left = _raise(newton, status)
    while left > 0:
        if left > FEW:  # the factors of the others come out as they were
            _factorise(now, newton, 0, LANES, FLOOR)
        else:
            for lane in range(LANES):
                if damped[lane] == 1.0 and positive[lane] == 0.0:
                    _factorise(now, newton, lane, lane + 1, FLOOR)
        left = _raise(newton, status)
    for lane in range(LANES):
        if damped[lane] == 1.0 and positive[lane] == 1.0:
            _substitute(now, newton, lane, lane + 1)


@kernel
def _raise(newton, status):  # type: ignore[no-untyped-def]
    """Increase λ once where H + λ D is not positive definite, and return in how many lanes."""
    positive, damping, damped = newton.positive, newton.damping, newton.damped
    raised = 0
    for lane in range(LANES):
        if status[lane] == RUNNING and positive[lane] == 0.0 and damping[lane] <= MOST_DAMPING:
            damping[lane] = more(damping[lane])
            damped[lane] = 1.0
            raised += 1
    return raised


@kernel_inline
def _hold(objective, lanes):  # type: ignore[no-untyped-def]
    """Find the free variables that the gradient holds at a bound."""
    free, lower, upper = objective.free, objective.lower, objective.upper
    z, gradient, held = lanes.now.z, lanes.now.gradient, lanes.newton.held
    for j in range(len(free)):
        k = free[j]
        lo, hi = lower[k], upper[k]
        for lane in range(LANES):
            x, slope = z[k, lane], gradient[j, lane]
            held[j, lane] = 1.0 if ((x <= lo and slope > 0) or (x >= hi and slope < 0)) else 0.0


@kernel_inline
def _factorise(now, newton, low, high, floor):  # type: ignore[no-untyped-def]
    """Decompose H + λ D, and see whether it is positive definite.

    Parameters
    ----------
    now
        `lanes.Point` with H and the least D of each variable.
    newton
        `lanes.Newton`, of which `factor` and `positive` are written.
    low, high
        The first lane, and the end of the lanes.
    floor
        Least D at all, in units of H.
    """
    hessian, scale = now.hessian, now.scale
    damping, held, factor, positive = newton.damping, newton.held, newton.factor, newton.positive
    for lane in range(low, high):
        positive[lane] = 1.0
    for j in range(len(held)):
        row = j * (j + 1) // 2
        for k in range(j + 1):
            other = k * (k + 1) // 2
            for lane in range(low, high):
                x = hessian[row + k, lane]
                if j == k:
                    x += damping[lane] * max(abs(x), scale[j, lane], floor)
                if held[j, lane] + held[k, lane] > 0.0:
                    x = 1.0 if j == k else 0.0
                factor[row + k, lane] = x
            for i in range(k):
                for lane in range(low, high):
                    factor[row + k, lane] -= factor[row + i, lane] * factor[other + i, lane]
            if j == k:
                for lane in range(low, high):
                    pivot = factor[row + k, lane]
                    least = PIVOT * abs(hessian[row + k, lane]) if held[j, lane] == 0.0 else 0.0
                    fine = pivot > least
                    positive[lane] = positive[lane] if fine else 0.0
                    factor[row + k, lane] = math.sqrt(pivot if fine else 1.0)
            else:
                for lane in range(low, high):
                    factor[row + k, lane] /= factor[other + k, lane]


@kernel_inline
def _substitute(now, newton, low, high):  # type: ignore[no-untyped-def]
    """Solve for the steps of lanes `low` ... `high` − 1 with the factor, and what they promise."""
    gradient, held, factor = now.gradient, newton.held, newton.factor
    step, predicted = newton.step, newton.predicted
    p = len(held)
    for lane in range(low, high):
        predicted[lane] = 0.0
    for j in range(p):
        row = j * (j + 1) // 2
        for lane in range(low, high):
            step[j, lane] = -gradient[j, lane] if held[j, lane] == 0.0 else 0.0
        for i in range(j):
            for lane in range(low, high):
                step[j, lane] -= factor[row + i, lane] * step[i, lane]
        for lane in range(low, high):
            step[j, lane] /= factor[row + j, lane]
            predicted[lane] += step[j, lane] * step[j, lane] / 2
    for j in range(p - 1, -1, -1):
        for i in range(j + 1, p):
            row = i * (i + 1) // 2
            for lane in range(low, high):
                step[j, lane] -= factor[row + j, lane] * step[i, lane]
        row = j * (j + 1) // 2
        for lane in range(low, high):
            step[j, lane] /= factor[row + j, lane]
