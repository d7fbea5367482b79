"""Neutrino sources: protons, pulses, flavours and flux.

A source is data (`sources/*.toml`): ESS and its upgrades, SNS, or a user's own, also a steady one.
Decay at rest gives ν_μ, ν_e and ν̄_μ in equal numbers; tables a flavour may stand in its place.
`Source.changed` is the one place that says what follows when a value of a source changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Literal, Self

import numpy as np
from pydantic import (
    NonNegativeFloat,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from .arrays import Json
from .constants import ELEMENTARY_CHARGE, PION_LIFETIME
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
NEUTRINOS_PER_PROTON = {0.94: 0.08, 2.0: 0.3}
"""Neutrinos of each flavour a proton, by proton energy in GeV.

arXiv:1911.00762, section 2 and figure 3: mercury at the SNS, tungsten at the ESS. Nothing is
interpolated between two targets.
"""
ROUNDING = 0.01
"""Relative difference up to which two published numbers are the same one, rounded."""
SIZES = (
    "power",
    "proton_energy",
    "protons_per_year",
    "hours_per_year",
    "neutrinos_per_proton",
    "repetition",
    "pulse_width",
    "window",
)
"""Positive numbers of a source that others depend on."""


class SpectrumTable(Settings):
    """Spectrum of one flavour: a line, or points between which it is linear."""

    line: PositiveFloat | None = setting(None, "energy of a line", "MeV")
    energy: list[NonNegativeFloat] | None = setting(None, "energies of the points", "MeV")
    density: list[NonNegativeFloat] | None = setting(None, "density at the points, any unit")
    per_year: PositiveFloat | None = setting(
        None, "neutrinos of this flavour a year; by default protons x neutrinos a proton"
    )
    flux: PositiveFloat | None = setting(
        None, "in place of `per_year`, at the detector while the source is on", "1/(cm² s)"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.line is None) == (self.energy is None and self.density is None):
            raise ValueError("give either `line` or `energy` and `density`")
        if self.per_year is not None and self.flux is not None:
            raise ValueError("give `per_year` or `flux`, not both")
        _ = self.spectrum
        return self

    @property
    def has_number(self) -> bool:
        """Whether it says how many neutrinos there are."""
        return self.per_year is not None or self.flux is not None

    @cached_property
    def spectrum(self) -> Spectrum:
        """The spectrum, normalised to one."""
        if self.line is not None:
            return line(self.line)
        return tabulated(self.energy or [], self.density or [])


class PulseShape(Settings):
    """Intensity through the pulse, linear between points."""

    time: list[float] = setting(..., "time since the start of the pulse, increasing", "ns")
    intensity: list[NonNegativeFloat] = setting(..., "intensity at the points, any unit")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        t, f = np.asarray(self.time), np.asarray(self.intensity)
        if t.shape != f.shape or t.size < 2 or np.any(np.diff(t) <= 0) or not np.any(f > 0):
            raise ValueError("a pulse shape needs increasing times and an intensity at each")
        return self

    @property
    def end(self) -> float:
        """Time of the last point, ns."""
        return self.time[-1]


class Source(Settings):
    """Where the neutrinos come from, and when.

    `power` × `hours_per_year` / `proton_energy` are `protons_per_year`; times
    `neutrinos_per_proton` they are the neutrinos of each flavour, unless its spectrum has a
    `per_year`. `pulse_width` is the default of `window`, and `repetition` × `window` the duty
    factor. A number that is not given follows from the others; one that is given and differs from
    them by more than 1 % is refused. `changed` says what follows from a change.
    """

    name: str = setting("custom", "name of the source")
    power: PositiveFloat | None = setting(None, "beam power", "MW")
    proton_energy: PositiveFloat | None = setting(None, "kinetic energy of the protons", "GeV")
    protons_per_year: PositiveFloat | None = setting(
        None, "protons on target in a year of operation; by default from power, energy and hours"
    )
    hours_per_year: PositiveFloat = setting(5000.0, "beam in a year of operation", "h", le=8784)
    neutrinos_per_proton: PositiveFloat | None = setting(
        None, "neutrinos of each flavour a proton; by default 0.08 at 0.94 GeV and 0.3 at 2 GeV"
    )
    repetition: PositiveFloat = setting(14.0, "pulses a second", "Hz")
    pulse_width: PositiveFloat = setting(
        2.8e6, "width of the flat proton pulse; by default the end of pulse_shape, if given", "ns"
    )
    pulse_shape: PulseShape | None = setting(None, "tabulated pulse in place of the flat one")
    pulse_of: Literal["protons", "numu"] = setting(
        "protons", "whose times the pulse is: of protons, or of prompt neutrinos as measured"
    )
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

    @model_validator(mode="before")
    @classmethod
    def _pulse_of_shape(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "pulse_width" not in data:
            return {**data, **_width_of(data.get("pulse_shape"))}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.protons_per_year is None and (self.power is None or self.proton_energy is None):
            raise ValueError("give protons_per_year, or both power and proton_energy")
        self._check_protons()
        self._check_neutrinos()
        self._check_pulse()
        return self

    def _check_protons(self) -> None:
        """Refuse protons a year that the power does not bring."""
        if self.power is None or self.proton_energy is None or self.protons_per_year is None:
            return
        brought = self.power * self.hours_per_year / _energy_per_proton(self.proton_energy)
        if not math.isclose(self.protons_per_year, brought, rel_tol=ROUNDING):
            raise ValueError(
                f"source.power = {self.power:g} MW at source.proton_energy = "
                f"{self.proton_energy:g} GeV brings {brought:.4g} protons in "
                f"{self.hours_per_year:g} h, not source.protons_per_year = "
                f"{self.protons_per_year:.4g}: give one of them, or let them agree within 1 %"
            )

    def _check_neutrinos(self) -> None:
        """Refuse a flavour whose number of neutrinos is not known."""
        tables = self.spectra.values() if self.spectra is not None else [None]
        if self.neutrinos is None and any(t is None or not t.has_number for t in tables):
            known = ", ".join(f"{n:g} at {e:g} GeV" for e, n in NEUTRINOS_PER_PROTON.items())
            energy = self.proton_energy
            shown = "not given" if energy is None else f"{energy:g} GeV"
            raise ValueError(
                f"give source.neutrinos_per_proton: source.proton_energy is {shown}, and neutrinos "
                f"a proton are known as {known}"
            )

    def _check_pulse(self) -> None:
        """Refuse a pulse or a window longer than the period, or a width that is not the shape's."""
        shape, width = self.pulse_shape, self.pulse_width
        if width > self.period:
            raise ValueError(
                f"pulse_width {width:g} ns is longer than the period {self.period:g} ns"
            )
        if shape is not None and shape.end - shape.time[0] > self.period:
            raise ValueError(
                f"pulse_shape of {shape.end - shape.time[0]:g} ns is longer than the period "
                f"{self.period:g} ns"
            )
        ends_with_shape = shape is None or math.isclose(width, shape.end, rel_tol=ROUNDING)
        if shape is not None and self.window is None and not ends_with_shape:
            raise ValueError(
                f"source.pulse_width = {width:g} ns is not the end of source.pulse_shape, "
                f"{shape.end:g} ns: leave it out, or give source.window"
            )
        if self.beam_window > self.period:
            raise ValueError(
                f"window {self.beam_window:g} ns is longer than the period {self.period:g} ns"
            )

    @property
    def period(self) -> float:
        """Time from pulse to pulse, ns."""
        return 1e9 / self.repetition

    @property
    def pion_life(self) -> float:
        """Mean time by which prompt neutrinos are later than the pulse, ns."""
        return PION_LIFETIME if self.pulse_of == "protons" else 0.0

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
    def beam_power(self) -> float | None:
        """Beam power in MW, as given or from the protons; None if their energy is not known."""
        if self.power is not None or self.proton_energy is None:
            return self.power
        return self.protons * _energy_per_proton(self.proton_energy) / self.hours_per_year

    @property
    def neutrinos(self) -> float | None:
        """Neutrinos of each flavour a proton, as given or by its energy; None if not known."""
        if self.neutrinos_per_proton is not None or self.proton_energy is None:
            return self.neutrinos_per_proton
        for energy, number in NEUTRINOS_PER_PROTON.items():
            if math.isclose(energy, self.proton_energy, rel_tol=ROUNDING):
                return number
        return None

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
        shared = self.protons * (self.neutrinos or 0.0)  # 0 only if each flavour has its own
        if self.spectra is None:
            fluxes = [
                FlavourFlux(name, spectrum, shared, 2 if name in DELAYED else 1)
                for name, spectrum in decay_at_rest().items()
            ]
        else:
            fluxes = [
                FlavourFlux(name, table.spectrum, self._per_year(table) or shared, 0)
                for name, table in self.spectra.items()
            ]
        return tuple(sorted(fluxes, key=lambda flavour: flavour.component))

    def _per_year(self, table: SpectrumTable) -> float | None:
        """Neutrinos a year that a flavour's table says, if it does."""
        if table.flux is None:
            return table.per_year
        on = 1.0 if self.steady else self.pulse_width / self.period
        sphere = 4 * np.pi * (self.distance * 100) ** 2
        return float(table.flux * sphere * self.hours_per_year * 3600 * on)

    def fluence_per_year(self, flavour: FlavourFlux) -> float:
        """Neutrinos of a flavour through a cm² at the detector in a year of operation."""
        return flavour.per_year / (4 * np.pi * (self.distance * 100) ** 2)

    def changed(self, given: Mapping[str, Any]) -> Json:
        """Plain data of the source with some values given anew, and what follows from them.

        What is given stands; of the rest, what depends on it is derived anew:

        - `protons_per_year`, where the source states it, goes as power × hours / proton energy, so
          that a published number, rounded as it is, is kept while none of them changes.
        - `power`, where the source states it, goes with `protons_per_year` if that is given.
        - `neutrinos_per_proton` is that of `NEUTRINOS_PER_PROTON` at another `proton_energy`.
        - `per_year` of a spectrum goes as protons × neutrinos a proton; its `flux` as the beam
          power, if that is known, over the square of the distance.
        - `window` keeps its tail after the pulse of another `pulse_width` or `pulse_shape`.

        Parameters
        ----------
        given
            Values by key; wrong ones are left to the validation of what is returned.

        Raises
        ------
        ValueError
            Naming both keys, if what follows is not clear: `repetition` without power or protons
            (a pulse may keep its protons, or the beam its power), `proton_energy` without them at
            a source that states protons alone, `power` where the proton energy is not known,
            `pulse_width` beside a `pulse_shape` or where the window ends within the pulse.
        """
        data = self.model_dump() | dict(given)
        absent = {key for key, field in Source.model_fields.items() if field.default is None}
        if not all(_is_size(data[key]) or (data[key] is None and key in absent) for key in SIZES):
            return data
        self._refuse_repetition(data, given)
        data |= self._protons_after(data, given)
        if data["proton_energy"] != self.proton_energy and "neutrinos_per_proton" not in given:
            data["neutrinos_per_proton"] = None
        data |= self._pulse_after(data, given)
        if self.spectra is not None and "spectra" not in given:
            data |= self._spectra_after(data)
        return data

    def _refuse_repetition(self, data: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """Refuse another repetition rate that leaves the power open."""
        ratio = data["repetition"] / self.repetition
        settled = given.get("power") is not None or given.get("protons_per_year") is not None
        if ratio == 1 or settled or data["steady"] is True:
            return
        key, now, unit = "protons_per_year", self.protons, ""
        if self.power is not None:
            key, now, unit = "power", self.power, " MW"
        raise ValueError(
            f"source.repetition = {data['repetition']:g} Hz leaves source.{key} open: give it as "
            f"well, {now:.4g}{unit} as before, or {now * ratio:.4g}{unit} if each pulse keeps its "
            "protons"
        )

    def _protons_after(self, data: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
        """`power` or `protons_per_year` that go with the values given."""
        energy, before = data["proton_energy"], self.proton_energy or data["proton_energy"]
        energies = 1.0 if energy is None else energy / before
        hours = data["hours_per_year"] / self.hours_per_year
        if "protons_per_year" in given:
            protons = given["protons_per_year"]
            if protons is None or self.power is None or "power" in given:
                return {}
            return {"power": self.power * (protons / self.protons) * energies / hours}
        if self.protons_per_year is None:
            return {}
        power, old_power = data["power"], self.beam_power
        if power is not None and old_power is None:
            if energy is not None:
                return {"protons_per_year": None}
            raise ValueError(
                f"source.power = {power:g} MW cannot change source.protons_per_year = "
                f"{self.protons_per_year:.4g} while source.proton_energy is not known: give one of "
                "these as well"
            )
        if power is None and energies != 1:
            raise ValueError(
                f"source.proton_energy = {energy:g} GeV leaves source.protons_per_year open: give "
                f"it as well, {self.protons_per_year:.4g} as before, or source.power"
            )
        powers = 1.0 if power is None or old_power is None else power / old_power
        return {"protons_per_year": self.protons_per_year * powers * hours / energies}

    def _pulse_after(self, data: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
        """`pulse_width` and `window` that go with the values given."""
        width = data["pulse_width"]
        if "pulse_width" not in given and "pulse_shape" in given:
            width = _width_of(data["pulse_shape"]).get("pulse_width", width)
        shape = None if "pulse_shape" in given else self.pulse_shape
        if shape is not None and width not in (self.pulse_width, shape.end):
            raise ValueError(
                f"source.pulse_width = {width:g} ns contradicts source.pulse_shape, which ends at "
                f"{shape.end:g} ns: give another shape"
            )
        if self.window is None or "window" in given or width == self.pulse_width:
            return {"pulse_width": width}
        if self.window < self.pulse_width:
            raise ValueError(
                f"source.pulse_width = {width:g} ns leaves source.window open, which at "
                f"{self.window:g} ns ends within the pulse of {self.pulse_width:g} ns: give it as "
                "well"
            )
        return {"pulse_width": width, "window": width + (self.window - self.pulse_width)}

    def _spectra_after(self, data: Mapping[str, Any]) -> Json:
        """`spectra` with each `per_year` or `flux` in proportion to what makes neutrinos."""
        tables = self.spectra or {}
        own = [name for name, table in tables.items() if table.has_number]
        try:
            after = Source.model_validate(data)
        except ValidationError:
            return {}
        ratio = after.protons / self.protons
        if self.neutrinos is not None and after.neutrinos is not None:
            ratio *= after.neutrinos / self.neutrinos
        for key in ("proton_energy", "neutrinos_per_proton") if own else ():
            if None in (self.neutrinos, after.neutrinos) and data[key] != getattr(self, key):
                raise ValueError(
                    f"source.{key} = {data[key]} leaves source.spectra.{own[0]}."
                    f"{'flux' if tables[own[0]].flux else 'per_year'} open: give it as well"
                )
        spectra = {name: dict(table) for name, table in data["spectra"].items()}
        flux_ratio = (self.distance / after.distance) ** 2
        if self.beam_power is not None and after.beam_power is not None:
            flux_ratio *= after.beam_power / self.beam_power
        for name in own:
            key, factor = ("per_year", ratio) if tables[name].flux is None else ("flux", flux_ratio)
            spectra[name][key] *= factor
        return {"spectra": spectra}


def _is_size(value: Any) -> bool:
    """Whether a value is a positive number that products of such numbers can hold."""
    return isinstance(value, int | float) and value is not True and 0 < value < 1e100


def _energy_per_proton(proton_energy: float) -> float:
    """Energy of a proton of so many GeV, in MW h."""
    return proton_energy * 1e9 * ELEMENTARY_CHARGE / 3.6e9


def _width_of(shape: Any) -> dict[str, float]:
    """`pulse_width` of a tabulated pulse, if it is a valid one."""
    try:
        end = PulseShape.model_validate(shape).end
    except ValidationError:
        return {}
    return {"pulse_width": end} if end > 0 else {}


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
        """PDG code of the flavour."""
        return PDG[self.name]


def shipped_sources() -> tuple[str, ...]:
    """Names of the sources in the package."""
    folder = resources.files(__package__) / "sources"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def shipped_source_text(name: str) -> str:
    """TOML text of a source in the package."""
    return (resources.files(__package__) / "sources" / f"{name}.toml").read_text("utf-8")
