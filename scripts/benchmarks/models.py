"""Models whose fits are checked: parameters of every kind, each at several experiments.

Every set of parameters is met by every second statistic, number of detectors and nuisance effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...toys.counts.model import Model


@dataclass(frozen=True)
class Checked:
    """A model, and a point far from its experiments' own couplings."""

    experiments: tuple[str, ...]
    parameters: tuple[str, ...]
    far: Mapping[str, float]
    """Values of some parameters, which are held there; the others are fitted."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    """What the settings are, in a word."""

    @property
    def name(self) -> str:
        """Experiments, parameters and settings."""
        return f"{'+'.join(self.experiments)} {','.join(self.parameters)} {self.label}".strip()

    def build(self) -> Model:
        """The model."""
        from ...reco.experiment import load
        from ...toys.counts.combination import build

        experiments = [load(name, self.settings) for name in self.experiments]
        return build(experiments, self.parameters)


def _systematics(**uncertainties: float) -> dict[str, Any]:
    effects = [
        {"name": f"{effect}, all", "effect": effect, "uncertainty": uncertainty}
        for effect, uncertainty in uncertainties.items()
    ]
    return {"analysis.systematic": effects}


PARAMETERS: tuple[tuple[tuple[str, ...], dict[str, float]], ...] = (
    (("strength",), {"strength": 0.2}),
    (("sin2w", "radius.emu"), {"sin2w": 0.2}),
    (("moment.numu", "sin2w"), {"moment.numu": 0.0}),
    (("nsi.u.ee", "nsi.u.mumu"), {"nsi.u.ee": 0.2, "nsi.u.mumu": 0.3}),
    (("nsi.u.ee", "nsi.d.ee"), {"nsi.d.ee": 0.1}),
    (("nsi.u.ee", "nsi.u.emu", "nsi.u.etau"), {"nsi.u.ee": 0.1}),
    (("nsi.u.ee", "nsi.d.ee", "nsi.u.mumu", "nsi.d.mumu"), {"nsi.u.mumu": 0.2}),
    (("radius.ee", "radius.mumu"), {"radius.ee": 20.0, "radius.mumu": -40.0}),
    (("radius.ee", "radius.mumu", "radius.emu"), {"radius.ee": 10.0}),
    (("moment.numu", "moment.nue"), {"moment.numu": 3.0}),
    (("strength", "nsi.u.emu"), {"nsi.u.emu": 0.3}),
    (("sin2w", "nsi.u.ee", "radius.ee"), {"nsi.u.ee": 0.3}),
)
"""Parameters, with those that are held and their values."""

WORLDS: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = (
    (("ess-csi",), "", {}),
    (("ess-csi", "ess-ar"), "", {}),
    (("ess-ge",), "on-off-scaled", {"analysis.statistic": "on-off-scaled"}),
    (
        ("ess-si",),
        "on-off, quenching and flux",
        {"analysis.statistic": "on-off", **_systematics(quenching=0.05, flux=0.05)},
    ),
    (("ess-ar",), "few counts", {"exposure.years": 0.02}),
    (
        ("ess-csi",),
        "five effects",
        _systematics(quenching=0.05, flux=0.05, resolution=0.05, threshold=0.05, distance=0.02),
    ),
    (("ess-xe", "ess-xe-ar"), "18 months", {"exposure.years": 1.5}),
    (("ess-csi", "ess-si", "ess-xe", "ess-ge", "ess-ar", "ess-c3f8"), "", {}),
    (("ess-c3f8",), "linear", {"analysis.factors": "linear"}),
    (("ess-xe",), "on-off", {"analysis.statistic": "on-off"}),
)
"""Experiments, what their settings are called, and the settings."""


def checked_models() -> tuple[Checked, ...]:
    """Every set of parameters in every second world, so that neighbours differ: 60 models."""
    return tuple(
        Checked(experiments, parameters, far, settings, label)
        for i, (parameters, far) in enumerate(PARAMETERS)
        for k, (experiments, label, settings) in enumerate(WORLDS)
        if (i + k) % 2 == 0
    )
