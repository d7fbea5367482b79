"""Backgrounds: steady state, and those that come with the beam.

Energies are as measured, after cuts, so that neither resolution nor acceptance is applied again;
`measured = false` sends true recoil energies through the detector's response like the signal.
Rates are counts a kg and a day of live time, before the duty factor; for a background that comes
with the beam, a day of beam.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.beam import PulseShape
from ...generator.settings import Settings, setting
from .time_efficiency import TimeEfficiency

RAMP = 1e-6
"""Part of a bin of a histogram over which the density passes to that of the next."""

SIGNAL = "signal"
"""Name of the signal among the components; the others are the backgrounds by theirs."""


class SpectrumModel(Settings):
    """What spectra have in common; a new one gives `shape`."""

    own_range: ClassVar[bool] = False
    """Whether the spectrum brings its own range."""

    def highest(self) -> float:
        """Highest energy of its own range; 0 if it has none."""
        return 0.0

    @abstractmethod
    def shape(self, low: float, high: float) -> BackgroundShape:
        """Spectrum between two energies on the background's scale."""


class Flat(SpectrumModel):
    """The same rate at all energies of the range."""

    model: Literal["flat"] = setting("flat", "uniform")

    def shape(self, low: float, high: float) -> BackgroundShape:
        """Density of one everywhere."""
        return BackgroundShape(np.array([low, high]), np.ones(2), 0.0, high - low)


class Exponential(SpectrumModel):
    """Spectrum that falls as exp(−E/length) from the low end of the range."""

    model: Literal["exponential"] = setting(..., "exponential")
    length: PositiveFloat = setting(..., "energy in which it falls to 1/e", "unit of `scale`")

    def shape(self, low: float, high: float) -> BackgroundShape:
        """Exponential density, one at the low end."""
        edges, length = np.array([low, high]), self.length
        norm = -length * np.expm1(-(high - low) / length)
        return BackgroundShape(edges, np.exp(-(edges - low) / length), length, float(norm))


class SpectrumPoints(SpectrumModel):
    """Spectrum linear between points, times `rate`."""

    own_range = True
    model: Literal["table"] = setting(..., "table")
    energy: list[NonNegativeFloat] = setting(..., "energies, increasing", "unit of `scale`")
    density: list[NonNegativeFloat] = setting(..., "rate at the points, relative to `rate`")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        e, f = np.asarray(self.energy), np.asarray(self.density)
        if e.shape != f.shape or e.size < 2 or np.any(np.diff(e) <= 0) or not np.any(f > 0):
            raise ValueError("energy must increase, with as many densities, some positive")
        return self

    def highest(self) -> float:
        """Energy of the last point."""
        return self.energy[-1]

    def shape(self, low: float, high: float) -> BackgroundShape:
        """Spectrum of its points, whatever the range."""
        e, f = np.asarray(self.energy), np.asarray(self.density)
        return BackgroundShape(e, f, 0.0, float(np.sum((f[1:] + f[:-1]) / 2 * np.diff(e))))


class SpectrumBins(SpectrumModel):
    """Spectrum flat in bins, as a histogram of what was measured; `rate` is that of a count of 1.

    Between two bins it is a ramp of a millionth of them.
    """

    own_range = True
    model: Literal["histogram"] = setting(..., "histogram")
    edges: list[NonNegativeFloat] = setting(..., "edges of the bins, increasing", "unit of `scale`")
    counts: list[NonNegativeFloat] = setting(..., "counts in the bins, relative to `rate`")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.counts) < 1 or len(self.edges) != len(self.counts) + 1:
            raise ValueError(
                f"edges must be one more than counts, not {len(self.edges)} and {len(self.counts)}"
            )
        if np.any(np.diff(self.edges) <= 0) or not np.any(np.asarray(self.counts) > 0):
            raise ValueError("edges must increase, and some counts be positive")
        return self

    def highest(self) -> float:
        """Energy of the last edge."""
        return self.edges[-1]

    def shape(self, low: float, high: float) -> BackgroundShape:
        """Spectrum of its bins, whatever the range."""
        edges, counts = np.asarray(self.edges), np.asarray(self.counts)
        width = np.diff(edges)
        ends = np.stack([edges[:-1] + RAMP * width, edges[1:] - RAMP * width], axis=1).ravel()
        ends[0], ends[-1] = edges[0], edges[-1]
        return BackgroundShape(ends, np.repeat(counts / width, 2), 0.0, float(counts.sum()))


Spectrum = Annotated[
    Flat | Exponential | SpectrumPoints | SpectrumBins, Field(discriminator="model")
]


class Background(Settings):
    """Settings of one background."""

    name: str = setting(..., "its name, which also names its random stream", min_length=1)
    enabled: bool = setting(True, "false leaves it out, and everything else as it was")
    timing: Literal["steady", "prompt", "delayed", "table"] = setting(
        "steady",
        "steady state; or with the beam: prompt with the protons, delayed like ν_e, or a table",
    )
    delay: float = setting(0.0, "added to the times of a beam-related background", "ns")
    profile: PulseShape | None = setting(
        None, "arrival times from the pulse, later than a period too, for timing = table"
    )
    rate: NonNegativeFloat = setting(
        ..., "counts, at the low end of the range if exponential", "1/(kg day) an energy unit"
    )
    total: bool = setting(False, "the rate is that of the whole range, not an energy unit")
    scale: Literal["keV_nr", "keV_ee", "reco"] = setting(
        "keV_nr", "energy of rate, range and spectrum: recoil, electron-equivalent, unit of e_reco"
    )
    range: Annotated[list[NonNegativeFloat], Field(min_length=2, max_length=2)] | None = setting(
        None, "lowest and highest energy; by default detector.threshold to detector.e_max"
    )
    spectrum: Spectrum = setting(Flat(), "shape")
    time_efficiency: TimeEfficiency | None = setting(
        None, "acceptance by the measured time; by default detector.time_efficiency"
    )
    uncertainty: NonNegativeFloat = setting(
        0.0,
        "of its rate, relative, one standard deviation; beside analysis.background_uncertainty",
        le=10,
    )
    pull: str | None = setting(
        None, "name of the pull of its rate; by default background.EXPERIMENT.NAME", min_length=1
    )
    measured: bool = setting(True, "energies are as measured; false: true recoils, to be smeared")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == SIGNAL:
            raise ValueError(f"'{SIGNAL}' is the name of the signal: give the background another")
        if (self.timing == "table") != (self.profile is not None):
            raise ValueError("give `profile` with timing = 'table', and only then")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range must increase, not {self.range}")
        if not self.measured and self.scale != "keV_nr":
            raise ValueError("true energies (measured = false) are on the scale keV_nr")
        if self.spectrum.own_range and self.range is not None:
            raise ValueError("a table brings its own range")
        return self

    @property
    def highest(self) -> float:
        """Highest energy on its scale, if given; else 0."""
        return self.range[1] if self.range else self.spectrum.highest()


@dataclass(frozen=True, eq=False)
class BackgroundShape:
    """A background's spectrum between two energies: linear pieces, or an exponential."""

    edges: Array
    density: Array
    """Relative density at the edges."""
    length: float
    """Energy in which an exponential falls to 1/e; 0 for linear pieces."""
    integral: float
    """Integral of the density over the range."""

    def cdf(self, energy: Array) -> Array:
        """Part of the background below `energy`."""
        e = np.clip(np.asarray(energy, float), self.edges[0], self.edges[-1])
        if self.length > 0:
            low, high = self.edges[0], self.edges[-1]
            return np.expm1(-(e - low) / self.length) / np.expm1(-(high - low) / self.length)
        steps = (self.density[1:] + self.density[:-1]) / 2 * np.diff(self.edges)
        cumulative = np.concatenate([[0], np.cumsum(steps)])
        i = np.clip(np.searchsorted(self.edges, e, side="right") - 1, 0, len(self.edges) - 2)
        x = e - self.edges[i]
        slope = (self.density[i + 1] - self.density[i]) / (self.edges[i + 1] - self.edges[i])
        return (cumulative[i] + x * (self.density[i] + slope * x / 2)) / cumulative[-1]


def shape(background: Background, low: float, high: float) -> BackgroundShape:
    """Spectrum of a background; `low` and `high` are the default range on its scale."""
    if background.range is not None:
        low, high = background.range
    return background.spectrum.shape(low, high)
