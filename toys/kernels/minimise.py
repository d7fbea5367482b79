"""The compiled fit: many data sets at once, by damped Newton with exact derivatives.

LANES data sets are fitted side by side; when one has converged, the next takes its lane. Results do
not depend on blocks or threads, see `deviance`.

A step solves (H + λ D) p = −g for the variables that are not held at a bound by their gradient
(Bertsekas' projected Newton), and is clipped to the bounds. D is diag H, but at least what counts
of N, or 1, would give: H vanishes with the counts. λ is 0 until a step fails, so that a smooth
problem converges quadratically; where χ² is not convex, λ grows until it falls. A step shortened
by λ says nothing of convergence: the fall it promises is taken times 1 + λ.
"""

from __future__ import annotations

import math

import numpy as np

from ...generator.sampling.kernel import kernel
from .deviance import LANES, Work, evaluate

MOST_STEPS = 200
"""Evaluations of χ² a fit."""
TOLERANCE = 1e-9
"""Predicted fall of χ² at which a fit has converged, and 1e-12 χ²; the step is still taken."""
QUADRATIC = 1e-6
"""The same where Newton's method converges quadratically: hardly its square is left."""

FALLS = 3.0
"""A fit ends early if χ² is too high by this many times the fall that its next step promises."""

CONVERGED, STEPS_EXHAUSTED, NO_START, STUCK, HIGHER = 0, 1, 2, 3, 4
"""Status of a fit."""


@kernel
def minimise(  # type: ignore[no-untyped-def]
    terms, tau, free, weight, lower, upper, counts, off, centre, start, highest, z, chi2, status,
    steps,
):  # fmt: skip
    """Fit data sets; all arguments are arrays.

    Parameters
    ----------
    terms
        `deviance.Terms`.
    tau
        Shape (bins,); 0 where the bin has no beam-off count.
    free
        Numbers of the free variables, shape (p,).
    weight, lower, upper
        Of the pulls, and bounds, shape (variables,).
    counts, off, centre, start
        Shape (sets, bins), (sets, bins), (sets, variables) twice, or (1, ...) for all sets.
    highest
        Minima above are of no interest, shape (sets,) or (1,).
    z, chi2, status, steps
        Results, shape (sets, variables), and (sets,) for the others.
    """
    coefficients, parent, variable, first, second, curved, filled = terms
    sets, variables = z.shape
    size, bins = coefficients.shape
    p = len(free)
    n = np.zeros((bins, LANES))
    m_off = np.zeros((bins, LANES))
    c = np.zeros((variables, LANES))
    now = np.zeros((variables, LANES))
    trial = np.zeros((variables, LANES))
    best = np.zeros(LANES)
    f = np.zeros(LANES)
    damping = np.zeros(LANES)
    before = np.zeros(LANES)
    owner = np.full(LANES, -1)
    taken = np.zeros(LANES, np.int64)
    finishing = np.zeros(LANES, np.int64)
    good = np.zeros(LANES, np.bool_)
    gradient = np.zeros((p, LANES))
    hessian = np.zeros((p * (p + 1) // 2, LANES))
    scale = np.zeros((p, LANES))
    new_gradient = np.zeros_like(gradient)
    new_hessian = np.zeros_like(hessian)
    new_scale = np.zeros_like(scale)
    factor = np.zeros((p * (p + 1) // 2, LANES))
    step = np.zeros((p, LANES))
    held = np.zeros((p, LANES))
    work = Work(
        np.zeros((size, LANES)),
        np.zeros((len(first), LANES)),
        np.zeros((p, LANES)),
        np.zeros((len(curved), LANES)),
        np.zeros(LANES),
        np.zeros(LANES),
        np.zeros(LANES),
        np.zeros(LANES),
        np.zeros(LANES),
    )
    predicted = np.zeros(LANES)
    positive = np.zeros(LANES)
    following, active = 0, 0
    for lane in range(LANES):
        if following < sets:
            _load(lane, following, counts, off, centre, start, n, m_off, c, trial)
            owner[lane], best[lane] = following, np.inf
            following += 1
            active += 1
        else:
            _load(lane, 0, counts, off, centre, start, n, m_off, c, trial)
    while active > 0:
        evaluate(
            coefficients, parent, variable, first, second, curved, filled, tau, free, weight,
            trial, n, m_off, c, work, f, new_gradient, new_hessian, new_scale,
        )  # fmt: skip
        for lane in range(LANES):
            if owner[lane] < 0:
                continue
            taken[lane] += 1
            noise = 1e-12 * (1.0 + abs(best[lane])) if best[lane] < np.inf else 0.0
            good[lane] = f[lane] <= best[lane] + noise and f[lane] < np.inf
            if good[lane]:
                best[lane] = f[lane]
                for k in range(variables):
                    now[k, lane] = trial[k, lane]
                for j in range(p):
                    gradient[j, lane] = new_gradient[j, lane]
                    scale[j, lane] = new_scale[j, lane]
                for k in range(p * (p + 1) // 2):
                    hessian[k, lane] = new_hessian[k, lane]
                damping[lane] = damping[lane] / 10 if damping[lane] > 1e-6 else 0.0
            else:
                damping[lane] = max(10 * damping[lane], 1e-4)
        _solve(
            free, lower, upper, now, gradient, hessian, scale, damping, held, factor, step,
            predicted, positive,
        )  # fmt: skip
        for lane in range(LANES):
            d = owner[lane]
            if d < 0:
                continue
            result = -1
            if best[lane] == np.inf:
                result = NO_START
            elif finishing[lane] == 1 and (good[lane] or damping[lane] > 1.0):
                result = CONVERGED
            elif damping[lane] > 1e12:
                result = STUCK
            elif taken[lane] >= MOST_STEPS:
                result = STEPS_EXHAUSTED
            else:
                while positive[lane] == 0.0 and damping[lane] <= 1e12:  # not convex: more damping
                    damping[lane] = max(10 * damping[lane], 1e-4)
                    positive[lane] = _solve_lane(
                        lane, p, gradient, hessian, scale, damping, held, factor, step, predicted
                    )
                fall = predicted[lane] * (1.0 + damping[lane])
                quick = damping[lane] == 0.0 and fall < 0.01 * before[lane]
                enough = QUADRATIC if quick else TOLERANCE
                finishing[lane] = 1 if fall < enough + 1e-12 * abs(best[lane]) else 0
                before[lane] = fall
                top = highest[d if len(highest) > 1 else 0]
                if damping[lane] == 0.0 and best[lane] - FALLS * fall > top:
                    result = HIGHER
            if result < 0:
                for k in range(variables):
                    trial[k, lane] = now[k, lane]
                for j in range(p):
                    k = free[j]
                    trial[k, lane] = min(max(now[k, lane] + step[j, lane], lower[k]), upper[k])
                continue
            chi2[d], status[d], steps[d] = best[lane], result, taken[lane]
            for k in range(variables):
                z[d, k] = now[k, lane]
            taken[lane], damping[lane], finishing[lane], before[lane] = 0, 0.0, 0, 0.0
            best[lane] = np.inf
            owner[lane] = -1
            if following < sets:
                _load(lane, following, counts, off, centre, start, n, m_off, c, trial)
                owner[lane] = following
                following += 1
            else:
                active -= 1


@kernel
def _load(lane, d, counts, off, centre, start, n, m_off, c, trial):  # type: ignore[no-untyped-def]
    """Put data set d into a lane."""
    row = d if len(counts) > 1 else 0
    for i in range(counts.shape[1]):
        n[i, lane] = counts[row, i]
    row = d if len(off) > 1 else 0
    for i in range(off.shape[1]):
        m_off[i, lane] = off[row, i]
    row = d if len(centre) > 1 else 0
    for k in range(centre.shape[1]):
        c[k, lane] = centre[row, k]
    row = d if len(start) > 1 else 0
    for k in range(start.shape[1]):
        trial[k, lane] = start[row, k]


@kernel
def _solve(  # type: ignore[no-untyped-def]
    free, lower, upper, now, gradient, hessian, scale, damping, held, factor, step, predicted,
    positive,
):  # fmt: skip
    """Newton step of every lane, the fall of χ² it promises, and whether H + λ D > 0."""
    p = len(free)
    for j in range(p):
        k = free[j]
        lo, hi = lower[k], upper[k]
        for lane in range(LANES):
            x, slope = now[k, lane], gradient[j, lane]
            held[j, lane] = 1.0 if ((x <= lo and slope > 0) or (x >= hi and slope < 0)) else 0.0
    for lane in range(LANES):
        positive[lane] = 1.0
        predicted[lane] = 0.0
    for j in range(p):
        row = j * (j + 1) // 2
        for k in range(j + 1):
            other = k * (k + 1) // 2
            for lane in range(LANES):
                factor[row + k, lane] = hessian[row + k, lane]
                if j == k:
                    factor[row + k, lane] += damping[lane] * max(
                        abs(hessian[row + k, lane]), scale[j, lane]
                    )
                if held[j, lane] + held[k, lane] > 0.0:
                    factor[row + k, lane] = 1.0 if j == k else 0.0
            for i in range(k):
                for lane in range(LANES):
                    factor[row + k, lane] -= factor[row + i, lane] * factor[other + i, lane]
            if j == k:
                for lane in range(LANES):
                    pivot = factor[row + k, lane]
                    least = 1e-13 * abs(hessian[row + k, lane]) if held[j, lane] == 0.0 else 0.0
                    fine = pivot > least
                    positive[lane] = positive[lane] if fine else 0.0
                    factor[row + k, lane] = math.sqrt(pivot if fine else 1.0)
            else:
                for lane in range(LANES):
                    factor[row + k, lane] /= factor[other + k, lane]
    for j in range(p):
        row = j * (j + 1) // 2
        for lane in range(LANES):
            step[j, lane] = -gradient[j, lane] if held[j, lane] == 0.0 else 0.0
        for i in range(j):
            for lane in range(LANES):
                step[j, lane] -= factor[row + i, lane] * step[i, lane]
        for lane in range(LANES):
            step[j, lane] /= factor[row + j, lane]
            predicted[lane] += step[j, lane] * step[j, lane] / 2
    for j in range(p - 1, -1, -1):
        for i in range(j + 1, p):
            row = i * (i + 1) // 2
            for lane in range(LANES):
                step[j, lane] -= factor[row + j, lane] * step[i, lane]
        row = j * (j + 1) // 2
        for lane in range(LANES):
            step[j, lane] /= factor[row + j, lane]


@kernel
def _solve_lane(  # type: ignore[no-untyped-def]
    lane, p, gradient, hessian, scale, damping, held, factor, step, predicted
):
    """`_solve` of one lane, which needs more damping."""
    for j in range(p):
        row = j * (j + 1) // 2
        for k in range(j + 1):
            other = k * (k + 1) // 2
            x = hessian[row + k, lane]
            if j == k:
                x += damping[lane] * max(abs(x), scale[j, lane], 1e-300)
            if held[j, lane] + held[k, lane] > 0.0:
                x = 1.0 if j == k else 0.0
            for i in range(k):
                x -= factor[row + i, lane] * factor[other + i, lane]
            if j == k:
                least = 1e-13 * abs(hessian[row + k, lane]) if held[j, lane] == 0.0 else 0.0
                if not x > least:
                    return 0.0
                factor[row + k, lane] = math.sqrt(x)
            else:
                factor[row + k, lane] = x / factor[other + k, lane]
    predicted[lane] = 0.0
    for j in range(p):
        row = j * (j + 1) // 2
        x = -gradient[j, lane] if held[j, lane] == 0.0 else 0.0
        for i in range(j):
            x -= factor[row + i, lane] * step[i, lane]
        step[j, lane] = x / factor[row + j, lane]
        predicted[lane] += step[j, lane] * step[j, lane] / 2
    for j in range(p - 1, -1, -1):
        x = step[j, lane]
        for i in range(j + 1, p):
            x -= factor[i * (i + 1) // 2 + j, lane] * step[i, lane]
        step[j, lane] = x / factor[j * (j + 1) // 2 + j, lane]
    return 1.0
