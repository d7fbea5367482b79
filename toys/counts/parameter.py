"""Parameters that a prediction may depend on, by the names used on the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...generator.coupling import Matrix, Moment
from ...reco.errors import ExperimentError


@dataclass(frozen=True)
class Parameter:
    """A coupling, or the strength of the signal."""

    name: str
    """Key below `interaction` of an experiment, or ``strength``."""
    unit: str
    label: str
    """For plots."""
    lower: float = -math.inf
    upper: float = math.inf
    default: float = 0.0
    """Of `strength`; the couplings' are the experiment's own."""
    weight: float = 0.0
    """1/σ² of a direct measurement, whose result is the centre of the data."""


_LABELS = {
    "ee": "ee", "mumu": r"\mu\mu", "tautau": r"\tau\tau",
    "emu": r"e\mu", "etau": r"e\tau", "mutau": r"\mu\tau",
}  # fmt: skip
_NEUTRINOS = {"numu": r"\nu_\mu", "nue": r"\nu_e", "nutau": r"\nu_\tau"}


def _all() -> dict[str, Parameter]:
    found = [
        Parameter("sin2w", "", r"$\sin^2\theta_W$", 0.0, 1.0),
        Parameter("strength", "", "signal strength", 0.0, default=1.0),
    ]
    for quark in ("u", "d"):
        found += [
            Parameter(f"nsi.{quark}.{entry}", "", rf"$\epsilon^{{{quark},V}}_{{{_LABELS[entry]}}}$")
            for entry in Matrix.model_fields
        ]
    found += [
        Parameter(
            f"radius.{entry}",
            "1e-32 cm2",
            rf"$\langle r^2_{{{_LABELS[entry]}}}\rangle$ [$10^{{-32}}$ cm$^2$]",
        )
        for entry in Matrix.model_fields
    ]
    found += [
        Parameter(
            f"moment.{entry}",
            "1e-10 mu_B",
            rf"$\mu_{{{_NEUTRINOS[entry]}}}$ [$10^{{-10}}\mu_B$]",
            lower=0.0,
        )
        for entry in Moment.model_fields
    ]
    return {parameter.name: parameter for parameter in found}


PARAMETERS = _all()


def parameter(name: str) -> Parameter:
    """Parameter of a name.

    Raises
    ------
    ExperimentError
        Naming those that are.
    """
    if name not in PARAMETERS:
        import difflib

        close = difflib.get_close_matches(name, PARAMETERS, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ExperimentError(
            f"no parameter '{name[:80]}'; {hint}there are: {', '.join(PARAMETERS)}"
        )
    return PARAMETERS[name]
