"""Efficiency: the probability that a signal event of a given reconstructed energy is accepted.

Whatever it is, nothing below `detector.threshold` is selected: see `Detector.acceptance`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting
from ..chain.codes import EFFICIENCY_TABLE, LOGISTIC, STEP
from ..errors import ExperimentError

Fraction = Annotated[float, Field(ge=0, le=1)]


TABLE_POINTS = 16385
"""Points of the table that kernels read of an efficiency that is no table itself."""
STEEPEST = 1e-3
"""Difference from a line between two of these points that is taken for a jump."""


class EfficiencyModel(Settings):
    """What efficiencies have in common; a new one gives `at`, and `edges` if it jumps."""

    at_threshold: ClassVar[bool] = False
    """Whether detector.threshold, which acts on all models, alone says where acceptance begins."""

    @abstractmethod
    def at(self, energy: ArrayLike) -> Array:
        """Acceptance at `energy` in the detector's unit."""

    def edges(self) -> list[float]:
        """Energies, in the detector's unit, at which the acceptance may jump or bend."""
        return []

    def cuts(self, energy: ArrayLike) -> NDArray[np.bool_]:
        """Whether no event of an energy passes, signal or not: by default where it is 0."""
        return np.asarray(self.at(energy) <= 0, np.bool_)

    def kernel_code(self) -> int:
        """Code, from `chain.codes`, of how kernels work it out."""
        return EFFICIENCY_TABLE

    def kernel_values(self) -> Array:
        """Plateau, slope, midpoint, cut, half_until, offset; shape (6,)."""
        return np.zeros(6)

    def kernel_table(self, top: float) -> Array:
        """Energies up to `top`, and acceptances, between which kernels interpolate; (2, n).

        A jump is two points of one energy, the value below and that at it.

        Raises
        ------
        ExperimentError
            If it jumps where `edges` does not say so, or is steeper than the table.
        """
        edges = np.unique([e for e in self.edges() if 0 < e < top])
        grid = np.setdiff1d(np.linspace(0.0, top, TABLE_POINTS), edges)
        energy = np.concatenate([grid, edges, edges])
        value = np.concatenate(
            [np.asarray(self.at(x), float) for x in (grid, np.nextafter(edges, 0.0), edges)]
        )
        order = np.argsort(energy, kind="stable")
        energy, value = energy[order], value[order]
        middle = (energy[1:] + energy[:-1]) / 2
        apart = np.abs(self.at(middle) - (value[1:] + value[:-1]) / 2) * (np.diff(energy) > 0)
        if apart.max() > STEEPEST:
            raise ExperimentError(
                f"detector.efficiency.model = '{type(self).__name__}': jumps near "
                f"{middle[np.argmax(apart)]:.6g}, which `edges` does not name"
            )
        return np.array([energy, value])


class Step(EfficiencyModel):
    """The same at all energies, so that detector.threshold is a step."""

    at_threshold = True
    model: Literal["step"] = setting(..., "step at detector.threshold")
    plateau: Fraction = setting(1.0, "acceptance above the threshold")

    def kernel_code(self) -> int:
        """Code of the step, which kernels know."""
        return STEP

    def kernel_values(self) -> Array:
        """Plateau, and zeros for what a step does not have; shape (6,)."""
        return np.array([self.plateau, 0.0, 0.0, 0.0, 0.0, 0.0])

    def kernel_table(self, top: float) -> Array:
        """Zeros in place of a table, shape (2, 2)."""
        return np.zeros((2, 2))

    def at(self, energy: ArrayLike) -> Array:
        """Acceptance above the threshold; `energy` in the detector's unit."""
        return np.full(np.shape(energy), self.plateau)


class Logistic(EfficiencyModel):
    """plateau/(1 + exp(−slope (E − midpoint))) + offset, and 0 where that is negative.

    It is 0 below `cut`, and half of itself from there to `half_until`.
    """

    model: Literal["logistic"] = setting(..., "logistic function of e_reco")
    plateau: NonNegativeFloat = setting(..., "acceptance at high energy, less the offset")
    slope: PositiveFloat = setting(..., "slope", "1/unit of e_reco")
    midpoint: float = setting(..., "energy of half the plateau", "unit of e_reco")
    cut: NonNegativeFloat = setting(0.0, "no event is accepted below", "unit of e_reco")
    half_until: NonNegativeFloat = setting(0.0, "half is lost below", "unit of e_reco")
    offset: float = setting(0.0, "added to all; where the sum is negative, nothing is accepted")

    @model_validator(mode="after")
    def _probability(self) -> Self:
        top = self.plateau + self.offset
        if not 0 < top <= 1 and self.plateau > 0:
            raise ValueError(
                f"plateau + offset is the acceptance at high energy, and must be above 0 and at "
                f"most 1, not {top:g}"
            )
        if self.offset > 0:
            raise ValueError(f"offset must be 0 or negative, not {self.offset:g}")
        return self

    def edges(self) -> list[float]:
        """Energies at which it jumps, or rises from 0 with a bend."""
        if self.offset == 0:
            return [self.cut, self.half_until]
        zero = self.midpoint - math.log(-self.plateau / self.offset - 1) / self.slope
        return [self.cut, self.half_until, zero]

    def cuts(self, energy: ArrayLike) -> NDArray[np.bool_]:
        """Whether an energy is below `cut`; with an offset the rest of the formula is no cut."""
        if self.offset == 0:
            return super().cuts(energy)
        return np.asarray(np.asarray(energy, float) < self.cut, np.bool_)

    def kernel_code(self) -> int:
        """Code of the logistic function, which kernels know."""
        return LOGISTIC

    def kernel_values(self) -> Array:
        """Plateau, slope, midpoint, cut, half_until, offset; shape (6,)."""
        return np.array(
            [self.plateau, self.slope, self.midpoint, self.cut, self.half_until, self.offset]
        )

    def kernel_table(self, top: float) -> Array:
        """Zeros in place of a table, shape (2, 2)."""
        return np.zeros((2, 2))

    def at(self, energy: ArrayLike) -> Array:
        """Acceptance at `energy` in the detector's unit."""
        e = np.asarray(energy, dtype=float)
        # 1/(1 + exp(-x)), written so that it cannot overflow
        value = self.plateau / 2 * (1 + np.tanh(self.slope * (e - self.midpoint) / 2))
        value = np.maximum(value + self.offset, 0.0)
        return np.where(e < self.cut, 0.0, np.where(e < self.half_until, value / 2, value))


class EfficiencyTable(EfficiencyModel):
    """Efficiency linear between points, zero below the first and constant above the last."""

    model: Literal["table"] = setting(..., "table in e_reco")
    energy: list[float] = setting(..., "energies, increasing", "unit of e_reco", min_length=2)
    efficiency: list[Fraction] = setting(..., "acceptance", min_length=2)

    def edges(self) -> list[float]:
        """Energies of its points, at which it jumps or bends."""
        return self.energy

    def kernel_table(self, top: float) -> Array:
        """Energies and acceptances of its points, shape (2, n)."""
        return np.array([self.energy, self.efficiency], float)

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.energy) != len(self.efficiency) or np.any(np.diff(self.energy) <= 0):
            raise ValueError("energy must increase, and efficiency have as many values")
        return self

    def at(self, energy: ArrayLike) -> Array:
        """Acceptance at `energy` in the detector's unit."""
        return np.interp(np.asarray(energy, dtype=float), self.energy, self.efficiency, left=0.0)


Efficiency = Annotated[Step | Logistic | EfficiencyTable, Field(discriminator="model")]
