"""The compiled fit: many data sets at once, by damped Newton with exact derivatives.

LANES data sets are fitted side by side; when one has converged, the next takes its lane. Results do
not depend on blocks or threads, see `deviance`.

A round is a few steps, each for all lanes: `evaluate` gives χ² and its derivatives at a trial
point, `accept` takes it if χ² did not rise, `judge` ends what has converged or failed,
`newton_step` solves for the next step, `find_saddles`
tells what has ended at one, `foresee` reads from it whether the fit is about to end, and
`propose` takes it, clipped to the bounds, to the next trial point. `store` and `reload` then change
the data sets of lanes whose fit has ended. All but the bins are copied into the loop: to pass all
the arrays costs 0.1 µs a call, of the 9 µs of a round (measured).

λ is 0 until a step fails, so that a smooth problem converges quadratically; where χ² is not convex,
λ grows until it falls. A step shortened by λ says nothing of convergence: the fall it promises is
taken times 1 + λ.
"""

from __future__ import annotations

import numpy as np

from ...generator.sampling.kernel import borrow, kernel, kernel_inline
from .deviance import evaluate
from .lanes import LANES, new_lanes, reload
from .newton import MOST_DAMPING, find_saddles, more, newton_step
from .status import CONVERGED, HIGHER, NO_STEP_LOWERS, NO_VALID_START, RUNNING, TOO_MANY_STEPS

MOST_STEPS = 200
"""Evaluations of χ² a fit."""
MOST_RELEASING = 50
"""Evaluations after which a fit ends though a variable would leave its bound."""
TOLERANCE = 1e-9
"""Predicted fall of χ² at which a fit has converged, and 1e-12 χ²; the step is still taken."""
QUADRATIC = 1e-6
"""The same where Newton's method converges quadratically: hardly its square is left."""
ROUNDING = 1e-12
"""Of χ², relative."""
RELEASE = 1e-11
"""Square of the slope, in units of the second derivative, that takes a variable off its bound."""
FALLS = 3.0
"""A fit ends early if χ² is too high by this many times the fall that its next step promises."""


@kernel
def minimise(objective, sets, results):  # type: ignore[no-untyped-def]
    """Fit an `Objective` to `DataSets`, and write `Results`; all three are of `lanes`."""
    lanes = new_lanes(objective)
    _minimise(objective, sets, results, lanes)


@kernel
def _minimise(objective, sets, results, lanes):  # type: ignore[no-untyped-def]
    """Fit in `Lanes`, which the caller owns for as long: so they can be borrowed."""
    objective, sets = borrow(objective), borrow(sets)  # type: ignore[call-arg]
    results, lanes = borrow(results), borrow(lanes)
    total = len(results.chi2)
    following = reload(lanes, sets, 0, total)
    ended = 0
    while ended < total:
        evaluate(objective, lanes)
        accept(lanes)
        judge(objective, lanes)
        newton_step(objective, lanes)
        find_saddles(lanes.now, lanes.newton, lanes.progress)
        foresee(lanes, sets.highest)
        propose(objective, lanes)
        ended += store(lanes, results)
        following = reload(lanes, sets, following, total)


@kernel_inline
def accept(lanes):  # type: ignore[no-untyped-def]
    """Take the trial points at which χ² is not higher, and adapt λ."""
    progress, damping = lanes.progress, lanes.newton.damping
    status, steps, good = progress.status, progress.steps, progress.good
    z, best = lanes.now.z, lanes.now.chi2
    gradient, hessian, scale = lanes.now.gradient, lanes.now.hessian, lanes.now.scale
    new_z, chi2 = lanes.trial.z, lanes.trial.chi2
    new_gradient, new_hessian = lanes.trial.gradient, lanes.trial.hessian
    new_scale = lanes.trial.scale
    for lane in range(LANES):
        good[lane] = 0.0
        if status[lane] != RUNNING:
            continue
        steps[lane] += 1
        noise = ROUNDING * (1.0 + abs(best[lane])) if best[lane] < np.inf else 0.0
        if chi2[lane] <= best[lane] + noise and chi2[lane] < np.inf:
            good[lane] = 1.0
            best[lane] = chi2[lane]
            damping[lane] = damping[lane] / 10 if damping[lane] > 1e-6 else 0.0
        else:
            damping[lane] = more(damping[lane])
    _take(good, new_z, z)
    _take(good, new_gradient, gradient)
    _take(good, new_hessian, hessian)
    _take(good, new_scale, scale)


@kernel_inline
def _take(good, new, old):  # type: ignore[no-untyped-def]
    """Copy the lanes that are good, of arrays whose last axis they are."""
    for k in range(len(new)):
        for lane in range(LANES):
            old[k, lane] = new[k, lane] if good[lane] == 1.0 else old[k, lane]


@kernel_inline
def judge(objective, lanes):  # type: ignore[no-untyped-def]
    """End the fits that have converged or failed.

    Where the last step leaves a variable at its bound that would go inward now, a fit goes on.
    """
    progress, best, damping = lanes.progress, lanes.now.chi2, lanes.newton.damping
    status, steps = progress.status, progress.steps
    good, finishing = progress.good, progress.finishing
    for lane in range(LANES):
        if status[lane] != RUNNING:
            continue
        if best[lane] == np.inf:
            status[lane] = NO_VALID_START
        elif (
            finishing[lane]
            and (good[lane] == 1.0 or damping[lane] > 1.0)
            and (
                good[lane] == 0.0
                or steps[lane] > MOST_RELEASING
                or not _released(objective, lanes, lane)
            )
        ):
            status[lane] = CONVERGED
        elif damping[lane] > MOST_DAMPING:
            status[lane] = NO_STEP_LOWERS
        elif steps[lane] >= MOST_STEPS:
            status[lane] = TOO_MANY_STEPS


@kernel
def _released(objective, lanes, lane):  # type: ignore[no-untyped-def]
    """Whether the gradient, beyond rounding, no longer holds what it held for the last step.

    `objective` and `lanes` are of `lanes`, `lane` a number.
    """
    free, upper = objective.free, objective.upper
    held, gradient, z = lanes.newton.held, lanes.now.gradient, lanes.now.z
    for j in range(len(free)):
        if held[j, lane] == 1.0:
            slope, k = gradient[j, lane], free[j]
            inward = slope > 0.0 if z[k, lane] >= upper[k] else slope < 0.0
            bend = lanes.now.hessian[j * (j + 1) // 2 + j, lane]
            if inward and slope * slope > RELEASE * bend:
                return True
    return False


@kernel_inline
def foresee(lanes, highest):  # type: ignore[no-untyped-def]
    """See by the fall of χ² that the step promises whether a fit is about to end.

    `highest` is of `DataSets`; a fit that would end above ends here.
    """
    progress, newton, best = lanes.progress, lanes.newton, lanes.now.chi2
    owner, status, finishing = progress.owner, progress.status, progress.finishing
    before, damping, predicted = progress.fall, newton.damping, newton.predicted
    for lane in range(LANES):
        if status[lane] != RUNNING:
            continue
        fall = predicted[lane] * (1.0 + damping[lane])
        quick = damping[lane] == 0.0 and fall < 0.01 * before[lane]
        enough = QUADRATIC if quick else TOLERANCE
        finishing[lane] = fall < enough + ROUNDING * abs(best[lane])
        before[lane] = fall
        top = highest[owner[lane] if len(highest) > 1 else 0]
        if damping[lane] == 0.0 and best[lane] - FALLS * fall > top:
            status[lane] = HIGHER


@kernel_inline
def propose(objective, lanes):  # type: ignore[no-untyped-def]
    """Take the step, clipped to the bounds, as the next trial point."""
    free, lower, upper = objective.free, objective.lower, objective.upper
    z, new_z = lanes.now.z, lanes.trial.z
    step, status = lanes.newton.step, lanes.progress.status
    for k in range(len(z)):
        for lane in range(LANES):
            new_z[k, lane] = z[k, lane] if status[lane] == RUNNING else new_z[k, lane]
    for j in range(len(free)):
        k = free[j]
        lo, hi = lower[k], upper[k]
        for lane in range(LANES):
            x = min(max(z[k, lane] + step[j, lane], lo), hi)
            new_z[k, lane] = x if status[lane] == RUNNING else new_z[k, lane]


@kernel_inline
def store(lanes, results):  # type: ignore[no-untyped-def]
    """Write the fits that have ended to the `Results`, free their lanes, and return how many."""
    progress, z, best = lanes.progress, lanes.now.z, lanes.now.chi2
    owner, status, steps = progress.owner, progress.status, progress.steps
    values, chi2 = results.values, results.chi2
    how, taken = results.status, results.steps
    ended = 0
    for lane in range(LANES):
        d = owner[lane]
        if d < 0 or status[lane] == RUNNING:
            continue
        chi2[d], how[d], taken[d] = best[lane], status[lane], steps[lane]
        for k in range(len(z)):
            values[d, k] = z[k, lane]
        owner[lane] = -1
        ended += 1
    return ended
