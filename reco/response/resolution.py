"""Energy resolution: how the quenched energy is spread, and in which unit it is measured.

Which one: `sqrt` is the paper's, on the nuclear-recoil scale; `photoelectrons` counts quanta;
`gamma` is COHERENT's for CsI[Na], wider than Poisson; `fano` is for semiconductors; `table` for a
measured width; `none` leaves the energy as it is.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting
from ..chain.codes import GAMMA, NO_SMEARING, PHOTOELECTRONS, ROOT_T, WIDTH_TABLE
from ..errors import ExperimentError


class ResolutionModel(Settings):
    """What resolutions have in common: by default a Gaussian in keV_ee, of which `sigma` is given.

    A new one is a class with `sigma`, named in `Resolution` below; events and templates follow.
    """

    on_recoil: ClassVar[bool] = False
    """Whether the energy that is spread is that of the recoil, in keV_nr."""
    has_width: ClassVar[bool] = True
    """Whether energies are spread at all."""
    whole_numbers: ClassVar[bool] = False
    """Whether e_reco is a whole number."""
    needs_threshold: ClassVar[bool] = False
    """Whether the width is relative to the detector's threshold, which then is above 0."""
    needs_quenching: ClassVar[bool] = False
    """Whether the resolution takes electron-equivalent energies alone."""

    def unit_of_reco(self) -> str:
        """Unit of `e_reco`."""
        return "keV_ee"

    def per_kev(self) -> float:
        """Units of `e_reco` in a keV_ee."""
        return 1.0

    def is_anchored(self, threshold: float) -> bool:
        """Whether the width is known, with a threshold in keV_nr."""
        return threshold > 0 or not self.needs_threshold

    def is_gamma(self) -> bool:
        """Whether energies of this mean and width follow a gamma distribution, not a Gaussian."""
        return False

    @abstractmethod
    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width at an energy, both in keV_ee (keV_nr if `on_recoil`).

        `threshold` is the detector's, keV_nr.
        """

    def root_width(self, threshold: float) -> float:
        """σ/√T of a width that grows as √T, √keV_nr; for kernels."""
        return 0.0

    def kernel_code(self) -> int:
        """Code, from `chain.codes`, of how kernels smear: as the attributes above say.

        Raises
        ------
        ExperimentError
            If the recoil is spread by another width than `root_width`, which no kernel knows.
        """
        if self.on_recoil:
            raise ExperimentError(
                f"detector.resolution.model = '{type(self).__name__}': events spread the recoil "
                "(on_recoil) by 'sqrt' alone; give sigma of the electron-equivalent energy"
            )
        if self.whole_numbers:
            return PHOTOELECTRONS
        if not self.has_width:
            return NO_SMEARING
        return GAMMA if self.is_gamma() else WIDTH_TABLE

    def kernel_widths(self, e_ee: Array, threshold: float = 0.0) -> Array:
        """Widths at energies in keV_ee, between which kernels interpolate.

        `threshold` is the detector's, keV_nr.
        """
        return self.sigma(e_ee, threshold)


class NoResolution(ResolutionModel):
    """The reconstructed energy is the true one."""

    has_width = False
    model: Literal["none"] = setting(..., "no smearing")

    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width of zero at all energies."""
        return np.zeros(np.shape(energy))

    def kernel_code(self) -> int:
        """Code of no smearing."""
        return NO_SMEARING

    def kernel_widths(self, e_ee: Array, threshold: float = 0.0) -> Array:
        """Zeros in place of a table, shape (2,)."""
        return np.zeros(2)


class Sqrt(ResolutionModel):
    """Gaussian in keV_nr: σ(T) = r T_ref √(T/T_ref), with r at the reference energy T_ref.

    The paper's T_ref is the threshold. It is a key of its own, so that another threshold is no
    other resolution; without it, it is the threshold of the experiment's file.
    """

    on_recoil = True
    model: Literal["sqrt"] = setting(..., "Gaussian, width as the root of T")
    relative: PositiveFloat = setting(..., "σ/T at the reference energy")
    reference: PositiveFloat | None = setting(
        None, "reference energy T; by default the detector.threshold of the file", "keV_nr"
    )

    def is_anchored(self, threshold: float) -> bool:
        """Whether there is a reference energy, or a threshold to take its place."""
        return self.reference is not None or threshold > 0

    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width in keV_nr at recoils in keV_nr."""
        reference = self.reference or threshold
        return np.asarray(self.relative * np.sqrt(np.asarray(energy, dtype=float) * reference))

    def root_width(self, threshold: float) -> float:
        """Return σ/√T = r √T_ref, √keV_nr."""
        return float(self.relative * np.sqrt(self.reference or threshold))

    def kernel_code(self) -> int:
        """Code of a width that grows as √T, which kernels know."""
        return ROOT_T

    def kernel_widths(self, e_ee: Array, threshold: float = 0.0) -> Array:
        """Zeros in place of a table, shape (2,)."""
        return np.zeros(2)


class Photoelectrons(ResolutionModel):
    """Poisson number of photo-electrons, the detector's own unit."""

    whole_numbers = True
    needs_quenching = True
    model: Literal["photoelectrons"] = setting(..., "Poisson photo-electrons")
    light_yield: PositiveFloat = setting(..., "mean number", "PE/keV_ee")

    def unit_of_reco(self) -> str:
        """Unit of `e_reco`: photo-electrons."""
        return "PE"

    def per_kev(self) -> float:
        """Photo-electrons in a keV_ee: the light yield."""
        return self.light_yield

    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width in keV_ee at an energy in keV_ee."""
        return np.sqrt(np.asarray(energy, dtype=float) / self.light_yield)

    def kernel_code(self) -> int:
        """Code of Poisson photo-electrons."""
        return PHOTOELECTRONS

    def kernel_widths(self, e_ee: Array, threshold: float = 0.0) -> Array:
        """Zeros in place of a table, shape (2,)."""
        return np.zeros(2)


class Gamma(ResolutionModel):
    """Gamma distribution of the light: mean λ E, shape 1 + b E, so that σ = E/√(1 + b E).

    COHERENT's for CsI[Na], arXiv:2110.07730, P(x) ∝ x^(bE) exp(−a (1 + bE) x) with a = 1/(λ E).
    """

    needs_quenching = True
    model: Literal["gamma"] = setting(..., "gamma distribution of photo-electrons")
    light_yield: PositiveFloat = setting(..., "λ, mean number", "PE/keV_ee")
    b: PositiveFloat = setting(..., "b, by which the shape grows with energy", "1/keV_ee")

    def is_gamma(self) -> bool:
        """Whether it is a gamma distribution: it is."""
        return True

    def unit_of_reco(self) -> str:
        """Unit of `e_reco`: photo-electrons, not only whole numbers of them."""
        return "PE"

    def per_kev(self) -> float:
        """Photo-electrons in a keV_ee: the light yield."""
        return self.light_yield

    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width in keV_ee at an energy in keV_ee."""
        e = np.asarray(energy, dtype=float)
        return e / np.sqrt(1 + self.b * e)


class Fano(ResolutionModel):
    """Gaussian in keV_ee: σ² = noise² + F ε E_ee."""

    needs_quenching = True
    model: Literal["fano"] = setting(..., "charge statistics and readout noise")
    fano: NonNegativeFloat = setting(..., "Fano factor F")
    pair_energy: PositiveFloat = setting(..., "energy a pair ε", "eV")
    noise: NonNegativeFloat = setting(..., "readout noise, rms", "eV_ee")
    unit: Literal["keV_ee", "electrons"] = setting("keV_ee", "unit of e_reco")

    def unit_of_reco(self) -> str:
        """Unit of `e_reco` as chosen in the settings."""
        return self.unit

    def per_kev(self) -> float:
        """Units of `e_reco` in a keV_ee: electrons, or one."""
        return 1e3 / self.pair_energy if self.unit == "electrons" else 1.0

    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width in keV_ee at an energy in keV_ee."""
        e = np.asarray(energy, dtype=float)
        return np.sqrt((self.noise * 1e-3) ** 2 + self.fano * self.pair_energy * 1e-3 * e)


class WidthTable(ResolutionModel):
    """Gaussian or gamma in keV_ee, of a width linear between points and constant beyond them."""

    model: Literal["table"] = setting(..., "table of widths")
    energy: list[NonNegativeFloat] = setting(..., "E_ee, increasing", "keV_ee", min_length=1)
    width: list[NonNegativeFloat] = setting(..., "σ", "keV_ee", min_length=1)
    distribution: Literal["gaussian", "gamma"] = setting(
        "gaussian", "what energies of this width follow; a gamma distribution is never below 0"
    )

    def is_gamma(self) -> bool:
        """Whether it is a gamma distribution, as chosen in the settings."""
        return self.distribution == "gamma"

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.energy) != len(self.width) or np.any(np.diff(self.energy) <= 0):
            raise ValueError("energy must increase, and width have as many values")
        return self

    def sigma(self, energy: ArrayLike, threshold: float = 0.0) -> Array:
        """Width in keV_ee at an energy in keV_ee."""
        return np.interp(np.asarray(energy, dtype=float), self.energy, self.width)


def with_reference(detector: Any) -> Any:
    """Settings of a detector with the reference energy of a √T resolution: see `Sqrt`."""
    if not isinstance(detector, dict):
        return detector
    resolution, threshold = detector.get("resolution"), detector.get("threshold")
    if not isinstance(resolution, dict) or resolution.get("model") != "sqrt":
        return detector
    if resolution.get("reference") is not None or not isinstance(threshold, (int, float)):
        return detector
    if not threshold > 0:
        return detector
    return detector | {"resolution": resolution | {"reference": threshold}}


Resolution = Annotated[
    NoResolution | Sqrt | Photoelectrons | Gamma | Fano | WidthTable, Field(discriminator="model")
]
