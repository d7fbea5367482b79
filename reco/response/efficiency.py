"""Efficiency: the probability that a signal event of a given reconstructed energy is accepted."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting

Fraction = Annotated[float, Field(ge=0, le=1)]


class Step(Settings):
    """A step at the detector's threshold, on the reconstructed nuclear-recoil scale."""

    model: Literal["step"] = setting(..., "step at detector.threshold")
    plateau: Fraction = setting(1.0, "acceptance above the threshold")

    def at(self, energy: ArrayLike) -> Array:
        """Acceptance above the threshold; `energy` in the detector's unit."""
        return np.full(np.shape(energy), self.plateau)


class Logistic(Settings):
    """plateau/(1 + exp(−slope (E − midpoint))); 0 below `cut`, half from there to `half_until`."""

    model: Literal["logistic"] = setting(..., "logistic function of e_reco")
    plateau: Fraction = setting(..., "acceptance at high energy")
    slope: PositiveFloat = setting(..., "slope", "1/unit of e_reco")
    midpoint: float = setting(..., "energy of half the plateau", "unit of e_reco")
    cut: NonNegativeFloat = setting(0.0, "no event is accepted below", "unit of e_reco")
    half_until: NonNegativeFloat = setting(0.0, "half is lost below", "unit of e_reco")

    def at(self, energy: ArrayLike) -> Array:
        """Acceptance at `energy` in the detector's unit."""
        e = np.asarray(energy, dtype=float)
        # 1/(1 + exp(-x)), written so that it cannot overflow
        value = self.plateau / 2 * (1 + np.tanh(self.slope * (e - self.midpoint) / 2))
        return np.where(e < self.cut, 0.0, np.where(e < self.half_until, value / 2, value))


class EfficiencyTable(Settings):
    """Linear between points, zero below the first and constant above the last."""

    model: Literal["table"] = setting(..., "table in e_reco")
    energy: list[float] = setting(..., "energies, increasing", "unit of e_reco", min_length=2)
    efficiency: list[Fraction] = setting(..., "acceptance", min_length=2)

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.energy) != len(self.efficiency) or np.any(np.diff(self.energy) <= 0):
            raise ValueError("energy must increase, and efficiency have as many values")
        return self

    def at(self, energy: ArrayLike) -> Array:
        """Acceptance at `energy` in the detector's unit."""
        return np.interp(np.asarray(energy, dtype=float), self.energy, self.efficiency, left=0.0)


Efficiency = Annotated[Step | Logistic | EfficiencyTable, Field(discriminator="model")]
