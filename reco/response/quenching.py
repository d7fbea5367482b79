"""Quenching: electron-equivalent energy of a nuclear recoil.

Which one: `constant` is the paper's choice for CsI, Xe and Ge; `lindhard` the usual one for
semiconductors above a keV; `power` follows silicon below; `polynomial` and `table` are for
measurements; `none` is for bubble chambers, where all of the recoil energy counts.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting


class QuenchingModel(Settings):
    """What quenching models have in common; a new one gives `electron_equivalent`."""

    sees_recoils: ClassVar[bool] = False
    """Whether the measured energy is that of the recoil, in keV_nr."""

    @abstractmethod
    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV_ee for recoils in keV_nr; increasing, and 0 at 0."""

    def kernel_factor(self) -> float:
        """Factor that kernels multiply with; 0 if they shall look up a table of the model."""
        return 0.0


class NoQuenching(QuenchingModel):
    """The detector sees the recoil energy itself."""

    sees_recoils = True
    model: Literal["none"] = setting(..., "none: e_ee equals e_nr")

    def kernel_factor(self) -> float:
        """Factor of one."""
        return 1.0

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV for recoils in keV."""
        return np.array(recoil, dtype=float)


class Constant(QuenchingModel):
    """The same quenching factor at all energies."""

    model: Literal["constant"] = setting(..., "constant quenching factor")
    factor: float = setting(..., "quenching factor", gt=0, le=1)

    def kernel_factor(self) -> float:
        """Return the factor itself."""
        return self.factor

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV_ee for recoils in keV_nr."""
        return self.factor * np.asarray(recoil, dtype=float)


class Lindhard(QuenchingModel):
    """Lindhard: QF = k g/(1 + k g), g = 3 ε^0.15 + 0.7 ε^0.6 + ε, ε = 11.5 T Z^(−7/3), T in keV."""

    model: Literal["lindhard"] = setting(..., "Lindhard theory")
    z: PositiveFloat = setting(..., "atomic number")
    a: PositiveFloat | None = setting(None, "mass number, for the default of k")
    k: float | None = setting(None, "k, at most 1; by default 0.133 Z^(2/3) A^(−1/2)", gt=0, le=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.k is None and self.a is None:
            raise ValueError("give k, or a for its default 0.133 Z^(2/3) A^(-1/2)")
        if self.a is not None and self.a < self.z:
            raise ValueError(f"a = {self.a:g} nucleons are fewer than z = {self.z:g} protons")
        if self.strength > 1:
            raise ValueError(f"k is {self.strength:.3g} by z and a, and must be at most 1")
        return self

    @property
    def strength(self) -> float:
        """k, as given or by default."""
        if self.k is not None:
            return self.k
        return float(0.133 * self.z ** (2 / 3) / np.sqrt(self.a or 1))

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV_ee for recoils in keV_nr."""
        t = np.asarray(recoil, dtype=float)
        k = self.strength
        eps = 11.5 * t * self.z ** (-7 / 3)
        g = 3 * eps**0.15 + 0.7 * eps**0.6 + eps
        return t * k * g / (1 + k * g)


class Power(QuenchingModel):
    """E_ee = coefficient × T^exponent (keV), with the quenching factor held below a limit."""

    model: Literal["power"] = setting(..., "power law")
    coefficient: PositiveFloat = setting(..., "E_ee at T = 1 keV_nr", "keV_ee")
    exponent: float = setting(..., "exponent of T", ge=1)
    limit: float = setting(1.0, "largest quenching factor", gt=0, le=1)

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV_ee for recoils in keV_nr."""
        t = np.asarray(recoil, dtype=float)
        return np.minimum(self.coefficient * t**self.exponent, self.limit * t)


class PolynomialQuenching(QuenchingModel):
    """E_ee = c1 T + c2 T² + ..., both in MeV (COHERENT's convention)."""

    model: Literal["polynomial"] = setting(..., "polynomial in MeV, without constant term")
    coefficients: list[float] = setting(..., "c1, c2, ... in MeV", min_length=1)

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV_ee for recoils in keV_nr."""
        t = np.asarray(recoil, dtype=float) * 1e-3
        value = np.polynomial.polynomial.polyval(t, [0.0, *self.coefficients])
        return np.asarray(value * 1e3, dtype=float)


class Table(QuenchingModel):
    """Points (T, E_ee): linear between, a line to the origin below, constant factor above."""

    model: Literal["table"] = setting(..., "table of points")
    recoil: list[PositiveFloat] = setting(..., "T, increasing", "keV_nr", min_length=1)
    energy: list[PositiveFloat] = setting(..., "E_ee, increasing", "keV_ee", min_length=1)

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.recoil) != len(self.energy):
            raise ValueError(
                f"recoil has {len(self.recoil)} values and energy {len(self.energy)}; "
                "they must be as many"
            )
        for name, values in (("recoil", self.recoil), ("energy", self.energy)):
            for before, value in pairwise(values):
                if value <= before:
                    raise ValueError(f"{name} must increase, but {value:g} follows {before:g}")
        return self

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Energy in keV_ee for recoils in keV_nr."""
        t = np.asarray(recoil, dtype=float)
        inside = np.interp(t, [0.0, *self.recoil], [0.0, *self.energy])
        return np.where(t > self.recoil[-1], t * self.energy[-1] / self.recoil[-1], inside)


Quenching = Annotated[
    NoQuenching | Constant | Lindhard | Power | PolynomialQuenching | Table,
    Field(discriminator="model"),
]
