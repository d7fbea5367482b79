"""Parameters that a prediction may depend on, by the names used on the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...generator.coupling import Interaction
from ...reco.errors import ExperimentError


@dataclass(frozen=True)
class Parameter:
    """A coupling, or the strength of the signal."""

    name: str
    """Key below `interaction` of an experiment, or ``strength``."""
    unit: str
    label: str
    """Label in plots."""
    lower: float = -math.inf
    upper: float = math.inf
    default: float = 0.0
    """Value of `strength`; the couplings' are the experiment's own."""
    weight: float = 0.0
    """1/σ² of a direct measurement, whose result is the centre of the data."""


STRENGTH = Parameter("strength", "", "signal strength", 0.0, default=1.0)
"""Factor on the whole signal."""


def parameters_of(interaction: Interaction) -> dict[str, Parameter]:
    """Parameters by name: the strength, and every coupling of an interaction that is a number."""
    parameters = [STRENGTH]
    parameters += [
        Parameter(c.name, c.unit.replace("²", "2"), c.label, c.lower, c.upper)
        for c in interaction.all_couplings()
        if c.is_number
    ]
    return {p.name: p for p in parameters}


PARAMETERS = parameters_of(Interaction())


def parameter(name: str, interaction: Interaction | None = None) -> Parameter:
    """Parameter of a name, among those of an interaction; by default of `Interaction` itself.

    Raises
    ------
    ExperimentError
        If there is none, naming those that there are.
    """
    known = PARAMETERS if interaction is None else parameters_of(interaction)
    if name not in known:
        import difflib

        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ExperimentError(f"no parameter '{name[:80]}'; {hint}there are: {', '.join(known)}")
    return known[name]
