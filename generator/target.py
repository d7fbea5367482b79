"""Nuclei of a target: natural isotopes of any compound or mixture, in nuclei per kg.

Masses and abundances are those of `periodictable` (NIST; IUPAC abundances).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import PositiveFloat, field_validator

from .constants import ATOMIC_MASS_UNIT, AVOGADRO, ELECTRON_MASS
from .settings import Settings, setting


@dataclass(frozen=True)
class Nucleus:
    """A target nucleus; averages over an element may have fractional `z` and `n`."""

    name: str
    z: float
    """Number of protons."""
    n: float
    """Number of neutrons."""
    mass_u: float
    """Mass of the neutral atom, u."""
    per_kg: float
    """Number of these nuclei in a kilogram of the target."""

    @property
    def a(self) -> float:
        """Number of nucleons."""
        return self.z + self.n

    @property
    def mass(self) -> float:
        """Nuclear mass, MeV (atomic mass less the electrons; their binding is below 1e-6 of it)."""
        return self.mass_u * ATOMIC_MASS_UNIT - self.z * ELECTRON_MASS

    @property
    def pdg(self) -> int:
        """PDG code 10LZZZAAAI, from the nearest integers."""
        return 1_000_000_000 + round(self.z) * 10_000 + round(self.a) * 10


MOST_ALIKE = 12
"""Most atoms in a formula of one element; a greater number is a mass number gone astray."""


FRACTION_ROUNDING = 0.01
"""Difference of the sum of mass fractions from one that is rounding."""


class NucleusSpec(Settings):
    """A nucleus given by hand, in place of the natural isotopes."""

    name: str = setting(..., "name of the nucleus")
    z: PositiveFloat = setting(..., "protons")
    n: float = setting(..., "neutrons", ge=0)
    mass: PositiveFloat = setting(..., "mass of the atom", "u")
    count: PositiveFloat = setting(1.0, "atoms of it in a formula unit")


class Target(Settings):
    """The active material and its mass."""

    material: str | dict[str, PositiveFloat] | list[NucleusSpec] = setting(
        ..., "formula (CsI), mass fractions ({Xe = 0.9, He = 0.1}), or a list of nuclei"
    )
    mass: PositiveFloat = setting(..., "active mass", "kg")

    @field_validator("material")
    @classmethod
    def _known(
        cls, material: str | dict[str, float] | list[NucleusSpec]
    ) -> str | dict[str, float] | list[NucleusSpec]:
        if isinstance(material, list):
            if not material:
                raise ValueError("the list of nuclei is empty")
        else:
            nuclei_of(material)
        if isinstance(material, dict):
            total = sum(material.values())
            if abs(total - 1) > FRACTION_ROUNDING:
                shown = " + ".join(f"{fraction:g}" for fraction in material.values())
                raise ValueError(f"mass fractions must sum to 1, not {shown} = {total:g}")
        return material

    @cached_property
    def nuclei(self) -> tuple[Nucleus, ...]:
        """Nuclei of the target with their number per kg."""
        return nuclei_of(self.material)


def nuclei_of(
    material: str | dict[str, float] | list[NucleusSpec],
) -> tuple[Nucleus, ...]:
    """Nuclei of a material, isotope by isotope.

    Parameters
    ----------
    material
        A formula of any stoichiometry (``"C3F8"``, ``"Ge[76]"`` for one isotope), mass fractions
        of such formulas (normalised to one), or nuclei given by hand.

    Returns
    -------
    tuple of Nucleus
        Nuclei in the order of the formula and of mass number.

    Raises
    ------
    ValueError
        If a formula cannot be read or an element has no natural isotopes.
    """
    if isinstance(material, list):
        unit = sum(item.count * item.mass for item in material)
        return _merged(
            Nucleus(i.name, i.z, i.n, i.mass, 1e3 * AVOGADRO * i.count / unit) for i in material
        )
    if isinstance(material, dict):
        if not material:
            raise ValueError("a mixture needs at least one part")
        total = sum(material.values())
        return _merged(
            replace(nucleus, per_kg=nucleus.per_kg * fraction / total)
            for formula, fraction in material.items()
            for nucleus in _nuclei_of_formula(formula)
        )
    return _merged(_nuclei_of_formula(material))


def _merged(nuclei: Iterable[Nucleus]) -> tuple[Nucleus, ...]:
    """Each nucleus once, under its name, which also names its random streams."""
    merged: dict[str, Nucleus] = {}
    for nucleus in nuclei:
        same = merged.get(nucleus.name)
        if same is None:
            merged[nucleus.name] = nucleus
        elif (same.z, same.n, same.mass_u) == (nucleus.z, nucleus.n, nucleus.mass_u):
            merged[nucleus.name] = replace(same, per_kg=same.per_kg + nucleus.per_kg)
        else:
            raise ValueError(f"two different nuclei are called '{nucleus.name}'")
    return tuple(merged.values())


def _nuclei_of_formula(formula: str) -> list[Nucleus]:
    import periodictable  # slow to import: not needed to describe settings

    try:
        compound = periodictable.formula(formula)
        atoms = list(compound.atoms.items())
        molar_mass = float(compound.mass)
    except Exception as error:  # the parser raises several kinds
        raise ValueError(
            f"'{formula}' is not a chemical formula such as CsI, C3F8 or Ge[76]"
        ) from error
    if not atoms or not molar_mass > 0:
        raise ValueError(f"'{formula}' is not a chemical formula such as CsI, C3F8 or Ge[76]")
    if len(atoms) == 1 and atoms[0][1] > MOST_ALIKE:
        raise ValueError(
            f"'{formula}' is {atoms[0][1]:g} atoms of {atoms[0][0]}; an isotope is written "
            f"{atoms[0][0]}[{atoms[0][1]:g}]"
        )
    nuclei = []
    for element, count in atoms:
        if not count > 0:
            raise ValueError(f"'{formula}' has no atoms of {element}")
        if getattr(element, "charge", 0):
            raise ValueError(f"'{formula}' has ions; write its atoms without charges")
        if getattr(element, "isotope", 0):
            shares = [(element, 1.0)]
        else:
            shares = [(iso, iso.abundance / 100) for iso in element if iso.abundance > 0]
        total = sum(share for _, share in shares)
        if not shares or element.number < 1:
            raise ValueError(
                f"'{element}' in '{formula}' has no natural isotopes; name one: {element}[A]"
            )
        nuclei += [
            Nucleus(
                f"{iso.symbol}{iso.isotope}",
                float(iso.number),
                float(iso.isotope - iso.number),
                float(iso.mass),
                1e3 * AVOGADRO / molar_mass * float(count) * share / total,
            )
            for iso, share in shares
        ]
    return nuclei
