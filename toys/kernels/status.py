"""How a fit ended, as the integers that kernels write."""

from __future__ import annotations

RUNNING = -1
"""A fit that has not ended; never a result."""
CONVERGED, TOO_MANY_STEPS, NO_VALID_START, NO_STEP_LOWERS, HIGHER, SADDLE = range(6)

STATUS = {
    CONVERGED: "converged",
    TOO_MANY_STEPS: "too many steps",
    NO_VALID_START: "no valid start",
    NO_STEP_LOWERS: "no step lowers chi2",
    HIGHER: "higher than another minimum",
    SADDLE: "at a saddle",
}
"""What a status means."""
