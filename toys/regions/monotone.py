"""Which orderings a model allows."""

from __future__ import annotations

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ..construction.belt import Ordering
from ..construction.neyman import Construction
from ..counts.model import Model

SAMPLED = 2001
"""Values of the parameter at which expected counts are compared."""
RELATIVE = 1e-9
"""Changes of this part of the greatest are rounding."""


def refuse_unfit(construction: Construction, ordering: Ordering) -> None:
    """Refuse orderings of r = sign(θ̂ − θ) √q where the counts do not tell the side of θ̂.

    Raises
    ------
    ExperimentError
        If there are two parameters, or the expected counts rise and fall with the one.
    """
    if ordering == "likelihood-ratio":
        return
    if len(construction.axes) > 1:
        raise ExperimentError(
            f"ordering '{ordering}' is for one parameter, not {len(construction.axes)}"
        )
    ((name, x),) = construction.axes
    turn = _turn(construction.model, name, x)
    if turn is not None:
        raise ExperimentError(
            f"ordering '{ordering}': the expected counts rise and fall with {name} from {x[0]:g} "
            f"to {x[-1]:g} (they turn near {turn:.4g}); scan one side, or take likelihood-ratio"
        )


def _turn(model: Model, name: str, x: Array) -> float | None:
    """Where expected counts turn from falling to rising or back, the others at their truth."""
    values = np.linspace(x[0], x[-1], SAMPLED)
    rate = model.expected.restrict(
        {i: float(z) for i, z in enumerate(model.truth) if i != model.number(name)}
    )
    counts = np.array([np.broadcast_to(rate.at([v]), (model.bins,)) for v in values])
    steps = np.diff(counts, axis=0)
    rounding = RELATIVE * float(np.abs(steps).max()) + 8 * np.finfo(float).eps * counts.max()
    rises, falls = (steps > rounding).any(axis=1), (steps < -rounding).any(axis=1)
    if not (rises.any() and falls.any()):
        return None
    first = rises[np.argmax(rises | falls)]
    return float(values[np.argmax(falls if first else rises)])
