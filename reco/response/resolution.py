"""Energy resolution: how the quenched energy is spread, and in which unit it is measured.

Which one: `sqrt` is the paper's, on the nuclear-recoil scale; `photoelectrons` counts quanta;
`fano` is for semiconductors; `table` for a measured width; `none` leaves the energy as it is.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting


class NoResolution(Settings):
    """The reconstructed energy is the true one."""

    model: Literal["none"] = setting(..., "no smearing")


class Sqrt(Settings):
    """Gaussian in keV_nr: σ(T) = r T_thr √(T/T_thr), with r at the threshold T_thr (the paper)."""

    model: Literal["sqrt"] = setting(..., "Gaussian, width as the root of T")
    relative: PositiveFloat = setting(..., "σ/T at the detector's threshold")


class Photoelectrons(Settings):
    """Poisson number of photo-electrons, the detector's own unit."""

    model: Literal["photoelectrons"] = setting(..., "Poisson photo-electrons")
    light_yield: PositiveFloat = setting(..., "mean number", "PE/keV_ee")


class Fano(Settings):
    """Gaussian in keV_ee: σ² = noise² + F ε E_ee."""

    model: Literal["fano"] = setting(..., "charge statistics and readout noise")
    fano: NonNegativeFloat = setting(..., "Fano factor F")
    pair_energy: PositiveFloat = setting(..., "energy a pair ε", "eV")
    noise: NonNegativeFloat = setting(..., "readout noise, rms", "eV_ee")
    unit: Literal["keV_ee", "electrons"] = setting("keV_ee", "unit of e_reco")

    def sigma(self, energy: ArrayLike) -> Array:
        """Width in keV_ee at an energy in keV_ee."""
        e = np.asarray(energy, dtype=float)
        return np.sqrt((self.noise * 1e-3) ** 2 + self.fano * self.pair_energy * 1e-3 * e)


class WidthTable(Settings):
    """Gaussian in keV_ee with a width linear between points, constant beyond them."""

    model: Literal["table"] = setting(..., "table of widths")
    energy: list[NonNegativeFloat] = setting(..., "E_ee, increasing", "keV_ee", min_length=1)
    width: list[NonNegativeFloat] = setting(..., "σ", "keV_ee", min_length=1)

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.energy) != len(self.width) or np.any(np.diff(self.energy) <= 0):
            raise ValueError("energy must increase, and width have as many values")
        return self

    def sigma(self, energy: ArrayLike) -> Array:
        """Width in keV_ee at an energy in keV_ee."""
        return np.interp(np.asarray(energy, dtype=float), self.energy, self.width)


Resolution = Annotated[
    NoResolution | Sqrt | Photoelectrons | Fano | WidthTable, Field(discriminator="model")
]
