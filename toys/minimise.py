"""The compiled fit: many data sets at once, by damped Newton with exact derivatives.

χ² = 2 Σ_i [N_i − n_i + n_i ln(n_i/N_i)] + Σ_k w_k (z_k − c_k)², N_i a polynomial of z (4.3, 4.4 of
arXiv:1911.00762). A bin with τ > 0 has a beam-off count m_i ~ Poisson(τ B_i) with B_i free:
B_i is solved for in closed form, and N_i is what comes on top of it.

LANES data sets are fitted side by side, an innermost loop over them doing the same step for all,
which the compiler vectorises; when one has converged, the next takes its lane. The arithmetic of a
data set does not depend on its lane or its neighbours: results do not depend on blocks or threads.

A step solves (H + λ diag H) p = −g for the variables that are not held at a bound by their
gradient (Bertsekas' projected Newton), and is clipped to the bounds. λ is 0 until a step fails,
so that a smooth problem converges quadratically; where χ² is not convex, λ grows until it falls.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.stream import neg_log

LANES = 64
MOST_STEPS = 200
TOLERANCE = 1e-9
"""Predicted fall of χ² at which a fit has converged, and 1e-12 χ²; the step is still taken."""
QUADRATIC = 1e-6
"""The same for an undamped step, after which hardly its square is left."""
LEAST = 1e-150
"""Counts that are expected at least in a logarithm or below a fraction: its square is not 0."""

CONVERGED, STEPS_EXHAUSTED, NO_START, STUCK = 0, 1, 2, 3


class Terms(NamedTuple):
    """A polynomial over bins, with the tables that its derivatives need."""

    coefficients: NDArray[np.float64]
    """Shape (terms, bins)."""
    parent: NDArray[np.int64]
    """A term is a variable times an earlier one, its parent; −1 for the constant, the first."""
    variable: NDArray[np.int64]
    """That variable."""
    first: NDArray[np.int64]
    """Rows (free variable, term, monomial, factor): a term's derivative, where not zero."""
    second: NDArray[np.int64]
    """Rows (free variable, free variable, place in `curved`, monomial, factor), likewise."""
    curved: NDArray[np.int64]
    """Terms with second derivatives."""
    filled: NDArray[np.int64]
    """Terms with coefficients; the others are derivatives of terms."""


@kernel
def minimise(  # type: ignore[no-untyped-def]
    terms, tau, free, weight, lower, upper, counts, off, centre, start, z, chi2, status, steps
):
    """Fit data sets; all arguments are arrays.

    Parameters
    ----------
    terms
        `Terms`.
    tau
        Shape (bins,); 0 where the bin has no beam-off count.
    free
        Numbers of the free variables, shape (p,).
    weight, lower, upper
        Of the pulls, and bounds, shape (variables,).
    counts, off, centre, start
        Shape (sets, bins), (sets, bins), (sets, variables) twice, or (1, ...) for all sets.
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
    owner = np.full(LANES, -1)
    taken = np.zeros(LANES, np.int64)
    finishing = np.zeros(LANES, np.int64)
    gradient = np.zeros((p, LANES))
    hessian = np.zeros((p * (p + 1) // 2, LANES))
    new_gradient = np.zeros_like(gradient)
    new_hessian = np.zeros_like(hessian)
    factor = np.zeros((p * (p + 1) // 2, LANES))
    step = np.zeros((p, LANES))
    held = np.zeros((p, LANES))
    work = _Work(
        np.zeros((size, LANES)),
        np.zeros((len(first), LANES)),
        np.zeros((p, LANES)),
        np.zeros((len(curved), LANES)),
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
        _evaluate(
            coefficients, parent, variable, first, second, curved, filled, tau, free, weight,
            trial, n, m_off, c, work, f, new_gradient, new_hessian,
        )  # fmt: skip
        for lane in range(LANES):
            if owner[lane] < 0:
                continue
            taken[lane] += 1
            noise = 1e-12 * (1.0 + abs(best[lane])) if best[lane] < np.inf else 0.0
            good = f[lane] <= best[lane] + noise and f[lane] < np.inf
            if good:
                best[lane] = f[lane]
                for k in range(variables):
                    now[k, lane] = trial[k, lane]
                for j in range(p):
                    gradient[j, lane] = new_gradient[j, lane]
                for k in range(p * (p + 1) // 2):
                    hessian[k, lane] = new_hessian[k, lane]
                damping[lane] = damping[lane] / 10 if damping[lane] > 1e-6 else 0.0
            else:
                damping[lane] = max(10 * damping[lane], 1e-4)
            result = -1
            if best[lane] == np.inf:
                result = NO_START
            elif finishing[lane] == 1 and (good or predicted[lane] < 1e-3 * TOLERANCE):
                result = CONVERGED
            elif damping[lane] > 1e12:
                result = STUCK
            elif taken[lane] >= MOST_STEPS:
                result = STEPS_EXHAUSTED
            if result >= 0:
                d = owner[lane]
                chi2[d], status[d], steps[d] = best[lane], result, taken[lane]
                for k in range(variables):
                    z[d, k] = now[k, lane]
                taken[lane], damping[lane], finishing[lane] = 0, 0.0, 0
                best[lane] = np.inf
                owner[lane] = -1
                if following < sets:
                    _load(lane, following, counts, off, centre, start, n, m_off, c, trial)
                    owner[lane] = following
                    following += 1
                else:
                    active -= 1
        _solve(
            free, lower, upper, now, gradient, hessian, damping, held, factor, step, predicted,
            positive,
        )  # fmt: skip
        for lane in range(LANES):
            if owner[lane] < 0 or best[lane] == np.inf:
                continue
            if positive[lane] == 0.0:  # not convex here: more damping, now
                while positive[lane] == 0.0 and damping[lane] <= 1e12:
                    damping[lane] = max(10 * damping[lane], 1e-4)
                    positive[lane] = _solve_lane(
                        lane, p, gradient, hessian, damping, held, factor, step, predicted
                    )
            enough = QUADRATIC if damping[lane] == 0.0 else TOLERANCE
            finishing[lane] = 1 if predicted[lane] < enough + 1e-12 * abs(best[lane]) else 0
            for k in range(variables):
                trial[k, lane] = now[k, lane]
            for j in range(p):
                k = free[j]
                trial[k, lane] = min(max(now[k, lane] + step[j, lane], lower[k]), upper[k])


class _Work(NamedTuple):
    """Scratch of `_evaluate`."""

    monomials: NDArray[np.float64]
    derived: NDArray[np.float64]
    slopes: NDArray[np.float64]
    pulls: NDArray[np.float64]
    expected: NDArray[np.float64]
    g: NDArray[np.float64]
    h: NDArray[np.float64]
    bad: NDArray[np.float64]


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
def _evaluate(  # type: ignore[no-untyped-def]
    coefficients, parent, variable, first, second, curved, filled, tau, free, weight, z, n, m_off,
    c, work, f, gradient, hessian,
):  # fmt: skip
    """χ², gradient and Hessian (lower triangle by rows) of every lane at z."""
    monomials, derived, slopes, pulls, expected, g, h, bad = work
    p = len(free)
    bins = coefficients.shape[1]
    for lane in range(LANES):
        monomials[0, lane] = 1.0
        f[lane] = 0.0
        bad[lane] = 0.0
    for t in range(1, len(parent)):
        a, k = parent[t], variable[t]
        for lane in range(LANES):
            monomials[t, lane] = monomials[a, lane] * z[k, lane]
    for r in range(len(first)):
        a, e = first[r, 2], float(first[r, 3])
        for lane in range(LANES):
            derived[r, lane] = e * monomials[a, lane]
    gradient[:] = 0.0
    hessian[:] = 0.0
    pulls[:] = 0.0
    for i in range(bins):
        t = filled[0]
        x = coefficients[t, i]
        for lane in range(LANES):
            expected[lane] = monomials[t, lane] * x
        for r in range(1, len(filled)):
            t = filled[r]
            x = coefficients[t, i]
            for lane in range(LANES):
                expected[lane] += monomials[t, lane] * x
        slopes[:] = 0.0
        for r in range(len(first)):
            j, x = first[r, 0], coefficients[first[r, 1], i]
            for lane in range(LANES):
                slopes[j, lane] += derived[r, lane] * x
        if tau[i] > 0:
            _on_off(n[i], m_off[i], tau[i], expected, f, g, h, bad)
        else:
            _poisson(n[i], expected, f, g, h, bad)
        for j in range(p):
            for lane in range(LANES):
                gradient[j, lane] += slopes[j, lane] * g[lane]
            row = j * (j + 1) // 2
            for k in range(j + 1):
                for lane in range(LANES):
                    hessian[row + k, lane] += slopes[j, lane] * slopes[k, lane] * h[lane]
        for r in range(len(curved)):
            x = coefficients[curved[r], i]
            for lane in range(LANES):
                pulls[r, lane] += g[lane] * x
    for r in range(len(second)):
        j, k, q, a, e = second[r, 0], second[r, 1], second[r, 2], second[r, 3], second[r, 4]
        row = j * (j + 1) // 2 + k
        for lane in range(LANES):
            hessian[row, lane] += float(e) * monomials[a, lane] * pulls[q, lane]
    for j in range(p):
        k = free[j]
        row = j * (j + 1) // 2 + j
        w = weight[k]
        for lane in range(LANES):
            gradient[j, lane] = 2.0 * (gradient[j, lane] + w * (z[k, lane] - c[k, lane]))
            hessian[row, lane] += w
    for r in range(p * (p + 1) // 2):
        for lane in range(LANES):
            hessian[r, lane] *= 2.0
    for lane in range(LANES):
        f[lane] = 2.0 * f[lane] if bad[lane] == 0.0 else np.inf
    for k in range(len(weight)):
        w = weight[k]
        if w > 0:
            for lane in range(LANES):
                f[lane] += w * (z[k, lane] - c[k, lane]) * (z[k, lane] - c[k, lane])


@kernel
def _poisson(n, expected, f, g, h, bad):  # type: ignore[no-untyped-def]
    """Half of χ² of a bin with expectation N, and its derivatives by N."""
    for lane in range(LANES):
        x, count = expected[lane], n[lane]
        bad[lane] += 1.0 if (x < 0.0 or (x == 0.0 and count > 0.0)) else 0.0
        x = x if x > LEAST else LEAST
        safe = count if count > 0.0 else 1.0
        f[lane] += x - count + count * neg_log(x / safe)
        g[lane] = 1.0 - count / x
        h[lane] = count / (x * x)


@kernel
def _on_off(n, m_off, tau, expected, f, g, h, bad):  # type: ignore[no-untyped-def]
    """The same of a bin with a beam-off count, its background B ≥ 0 solved for."""
    a = 1.0 + tau
    for lane in range(LANES):
        s, count, beside = expected[lane], n[lane], m_off[lane]
        bad[lane] += 1.0 if s < 0.0 else 0.0
        b = count + beside - a * s
        root = math.sqrt(b * b + 4.0 * a * beside * s)
        other = root - b
        low = 2.0 * beside * s / (other if other > 0.0 else 1.0)
        background = (b + root) / (2.0 * a) if b > 0.0 else low
        x = s + background
        bad[lane] += 1.0 if (x <= 0.0 and count > 0.0) else 0.0
        x = x if x > LEAST else LEAST
        safe = count if count > 0.0 else 1.0
        held = background if background > LEAST else LEAST
        safe_off = beside if beside > 0.0 else 1.0
        f[lane] += x - count + count * neg_log(x / safe)
        f[lane] += tau * background - beside + beside * neg_log(tau * held / safe_off)
        u = count / (x * x)
        v = beside / (held * held)
        inside = background > 0.0
        g[lane] = 1.0 - count / x
        total = u + v
        h[lane] = u * v / (total if total > 0.0 else 1.0) if inside else u


@kernel
def _solve(  # type: ignore[no-untyped-def]
    free, lower, upper, now, gradient, hessian, damping, held, factor, step, predicted, positive
):
    """Newton step of every lane, the fall of χ² it promises, and whether H + λ diag H > 0."""
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
                    factor[row + k, lane] += damping[lane] * abs(hessian[row + k, lane])
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
    lane, p, gradient, hessian, damping, held, factor, step, predicted
):
    """`_solve` of one lane, which needs more damping."""
    for j in range(p):
        row = j * (j + 1) // 2
        for k in range(j + 1):
            other = k * (k + 1) // 2
            x = hessian[row + k, lane]
            if j == k:
                x += damping[lane] * max(abs(x), 1e-300)
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
