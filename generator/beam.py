"""Neutrino sources: protons, pulses, flavours and flux.

A source is data (`sources/*.toml`): ESS and its upgrades, SNS, or a user's own, also a steady one.
Decay at rest gives ν_μ, ν_e and ν̄_μ in equal numbers; tables a flavour may stand in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Self

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, field_validator, model_validator

from .constants import ELEMENTARY_CHARGE
from .coupling import PDG
from .settings import Settings, setting
from .spectrum import Spectrum, decay_at_rest, line, tabulated

COMPONENT: dict[str, int] = {
    "numu": 1,
    "nue": 2,
    "numubar": 3,
    "nuebar": 4,
    "nutau": 5,
    "nutaubar": 6,
}
"""Number of each flavour in the column `component`."""
DELAYED = {"nue", "numubar"}
"""Flavours that come from the muon, after its life, in decay at rest."""


class SpectrumTable(Settings):
    """Spectrum of one flavour: a line, or points between which it is linear."""

    line: PositiveFloat | None = setting(None, "energy of a line", "MeV")
    energy: list[NonNegativeFloat] | None = setting(None, "energies of the points", "MeV")
    density: list[NonNegativeFloat] | None = setting(None, "density at the points, any unit")
    per_year: PositiveFloat | None = setting(
        None, "neutrinos of this flavour a year; by default protons x neutrinos a proton"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.line is None) == (self.energy is None and self.density is None):
            raise ValueError("give either `line` or `energy` and `density`")
        _ = self.spectrum
        return self

    @cached_property
    def spectrum(self) -> Spectrum:
        """The spectrum, normalised to one."""
        if self.line is not None:
            return line(self.line)
        return tabulated(self.energy or [], self.density or [])


class PulseShape(Settings):
    """Proton intensity through the pulse, linear between points."""

    time: list[float] = setting(..., "time since the start of the pulse, increasing", "ns")
    intensity: list[NonNegativeFloat] = setting(..., "intensity at the points, any unit")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        t, f = np.asarray(self.time), np.asarray(self.intensity)
        if t.shape != f.shape or t.size < 2 or np.any(np.diff(t) <= 0) or not np.any(f > 0):
            raise ValueError("a pulse shape needs increasing times and an intensity at each")
        return self


class Source(Settings):
    """Where the neutrinos come from, and when."""

    name: str = setting("custom", "name of the source")
    power: PositiveFloat | None = setting(None, "beam power", "MW")
    proton_energy: PositiveFloat | None = setting(None, "kinetic energy of the protons", "GeV")
    protons_per_year: PositiveFloat | None = setting(
        None, "protons on target in a year of operation; by default from power and energy"
    )
    hours_per_year: PositiveFloat = setting(5000.0, "beam in a year of operation", "h", le=8784)
    neutrinos_per_proton: PositiveFloat = setting(0.3, "neutrinos of each flavour a proton")
    repetition: PositiveFloat = setting(14.0, "pulses a second", "Hz")
    pulse_width: PositiveFloat = setting(2.8e6, "width of the flat proton pulse", "ns")
    pulse_shape: PulseShape | None = setting(None, "tabulated pulse in place of the flat one")
    steady: bool = setting(False, "neutrinos arrive all the time, as from a reactor")
    window: PositiveFloat | None = setting(
        None, "beam-on window from the start of a pulse; by default the pulse width", "ns"
    )
    distance: PositiveFloat = setting(20.0, "from target to detector", "m")
    spectra: dict[str, SpectrumTable] | None = setting(
        None, "tabulated spectra by flavour (numu, nue, numubar, nuebar, nutau, nutaubar)"
    )

    @field_validator("spectra")
    @classmethod
    def _flavours(cls, spectra: dict[str, SpectrumTable] | None) -> dict[str, SpectrumTable] | None:
        if spectra is not None:
            unknown = [name for name in spectra if name not in PDG]
            if unknown or not spectra:
                raise ValueError(
                    f"flavours are {', '.join(PDG)}; not {', '.join(unknown) or 'none'}"
                )
        return spectra

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.protons_per_year is None and (self.power is None or self.proton_energy is None):
            raise ValueError("give protons_per_year, or both power and proton_energy")
        if self.pulse_width > self.period:
            raise ValueError(
                f"pulse_width {self.pulse_width:g} ns is longer than the period {self.period:g} ns"
            )
        shape = self.pulse_shape
        if shape is not None and shape.time[-1] - shape.time[0] > self.period:
            raise ValueError(
                f"pulse_shape of {shape.time[-1] - shape.time[0]:g} ns is longer than the period "
                f"{self.period:g} ns"
            )
        if self.beam_window > self.period:
            raise ValueError(
                f"window {self.beam_window:g} ns is longer than the period {self.period:g} ns"
            )
        return self

    @property
    def period(self) -> float:
        """Time from pulse to pulse, ns."""
        return 1e9 / self.repetition

    @property
    def beam_window(self) -> float:
        """Length of the beam-on window, ns."""
        return self.window or self.pulse_width

    @property
    def protons(self) -> float:
        """Protons on target in a year of operation."""
        if self.protons_per_year is not None:
            return self.protons_per_year
        assert self.power is not None
        assert self.proton_energy is not None
        joules = self.power * 1e6 * self.hours_per_year * 3600
        return joules / (self.proton_energy * 1e9 * ELEMENTARY_CHARGE)

    @property
    def pulses_per_year(self) -> float:
        """Pulses in a year of operation."""
        return self.hours_per_year * 3600 * self.repetition

    @property
    def days_per_year(self) -> float:
        """Days of beam in a year of operation."""
        return self.hours_per_year / 24

    @cached_property
    def flavours(self) -> tuple[FlavourFlux, ...]:
        """Flavours with spectrum, flux and lives, in the order of their component numbers."""
        shared = self.protons * self.neutrinos_per_proton
        if self.spectra is None:
            found = [
                FlavourFlux(name, spectrum, shared, 2 if name in DELAYED else 1)
                for name, spectrum in decay_at_rest().items()
            ]
        else:
            found = [
                FlavourFlux(name, table.spectrum, table.per_year or shared, 0)
                for name, table in self.spectra.items()
            ]
        return tuple(sorted(found, key=lambda flavour: flavour.component))

    def fluence_per_year(self, flavour: FlavourFlux) -> float:
        """Neutrinos of a flavour through a cm² at the detector in a year of operation."""
        return flavour.per_year / (4 * np.pi * (self.distance * 100) ** 2)


@dataclass(frozen=True)
class FlavourFlux:
    """One flavour of a source."""

    name: str
    spectrum: Spectrum
    per_year: float
    """Neutrinos made in a year of operation."""
    lives: int
    """Decays before it is emitted: 0 with the protons, 1 pion, 2 pion and muon."""

    @property
    def component(self) -> int:
        """Number in the column `component`."""
        return COMPONENT[self.name]

    @property
    def pdg(self) -> int:
        """PDG code."""
        return PDG[self.name]


def shipped_sources() -> tuple[str, ...]:
    """Names of the sources in the package."""
    folder = resources.files(__package__) / "sources"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def shipped_source_text(name: str) -> str:
    """TOML text of a source in the package."""
    return (resources.files(__package__) / "sources" / f"{name}.toml").read_text("utf-8")
