"""Effects: what a nuisance parameter does to the expected counts of an experiment.

A further effect is a class here, put in `SYSTEMATICS`, and its name in `reco.analysis.EffectName`.

A factor on counts is 1 + σ η, linear in the nuisance parameter η. Anything else is a parabola in η
through the expected counts at −1, 0 and +1 standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from ...generator.arrays import Array
from ...reco.analysis import EffectName
from ...reco.response.detector import Shift
from .polynomial import Polynomial

Modifier = Literal["histosys", "normfactor"]


@dataclass(frozen=True, eq=False)
class Nominal:
    """Expected counts of an experiment before any nuisance parameter, as `rows` arranges them."""

    signal: Polynomial
    """Coefficients of shape (rows,)."""
    shifted: Callable[[Shift], Polynomial]
    """The signal with another response."""
    steady: Array
    """Steady-state background, shape (rows,)."""


@dataclass(frozen=True, eq=False)
class Change:
    """What a nuisance parameter adds to the expected counts."""

    counts: Polynomial
    """Polynomial that holds η, coefficients of shape (rows,)."""


class Effect(Protocol):
    """What a nuisance parameter stands for."""

    @property
    def name(self) -> str:
        """In experiment files and in errors."""

    @property
    def acts_on(self) -> Literal["signal", "background"]:
        """The templates that it changes; the background is the steady-state one."""

    @property
    def is_factor(self) -> bool:
        """Whether it is a factor 1 + σ η on their counts, which then must stay positive."""

    @property
    def has_pull(self) -> bool:
        """Whether η has a Gaussian pull of width one."""

    @property
    def modifier(self) -> Modifier | None:
        """Kind of its modifier in a HistFactory workspace; None where that has no counterpart."""

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """What it adds to the expected counts, for an uncertainty σ, relative."""


@dataclass(frozen=True)
class SignalNormalisation:
    """A factor on the signal, `analysis.signal_uncertainty`."""

    name: str = "signal"
    acts_on: Literal["signal", "background"] = "signal"
    is_factor: bool = True
    has_pull: bool = True
    modifier: Modifier | None = "histosys"

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """σ η times the signal."""
        return Change(nominal.signal * (eta * uncertainty))


@dataclass(frozen=True)
class BackgroundNormalisation:
    """A factor on the steady-state background, `analysis.background_uncertainty`."""

    name: str = "background"
    acts_on: Literal["signal", "background"] = "background"
    is_factor: bool = True
    has_pull: bool = True
    modifier: Modifier | None = "histosys"

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """σ η times the background."""
        return Change(eta * (nominal.steady * uncertainty))


@dataclass(frozen=True)
class MeasuredInBeamOff:
    """A factor on the steady-state background that beam-off measures, without a pull."""

    name: str = "background, measured in beam-off,"
    acts_on: Literal["signal", "background"] = "background"
    is_factor: bool = True
    has_pull: bool = False
    modifier: Modifier | None = "normfactor"

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """σ η times the background, in beam-on and in beam-off."""
        return Change((eta * uncertainty) * nominal.steady)


@dataclass(frozen=True)
class Flux:
    """The number of neutrinos."""

    name: str = "flux"
    acts_on: Literal["signal", "background"] = "signal"
    is_factor: bool = True
    has_pull: bool = True
    modifier: Modifier | None = "histosys"

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """A signal in proportion."""
        return _parabola(nominal, eta, uncertainty, lambda factor: nominal.signal * factor)


@dataclass(frozen=True)
class Distance:
    """The distance of the detector from the source, by which the flux falls squared."""

    name: str = "distance"
    acts_on: Literal["signal", "background"] = "signal"
    is_factor: bool = False
    has_pull: bool = True
    modifier: Modifier | None = None

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """A signal as one over the distance squared."""
        return _parabola(nominal, eta, uncertainty, lambda factor: nominal.signal * factor**-2)


@dataclass(frozen=True)
class Quenching:
    """The scale of the mean reconstructed energy."""

    name: str = "quenching"
    acts_on: Literal["signal", "background"] = "signal"
    is_factor: bool = False
    has_pull: bool = True
    modifier: Modifier | None = None

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """The signal at another energy scale."""
        return _parabola(nominal, eta, uncertainty, lambda x: nominal.shifted(Shift(energy=x)))


@dataclass(frozen=True)
class Resolution:
    """The width of the resolution."""

    name: str = "resolution"
    acts_on: Literal["signal", "background"] = "signal"
    is_factor: bool = False
    has_pull: bool = True
    modifier: Modifier | None = None

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """The signal at another width."""
        return _parabola(nominal, eta, uncertainty, lambda x: nominal.shifted(Shift(width=x)))


@dataclass(frozen=True)
class Threshold:
    """The threshold of the acceptance."""

    name: str = "threshold"
    acts_on: Literal["signal", "background"] = "signal"
    is_factor: bool = False
    has_pull: bool = True
    modifier: Modifier | None = None

    def change(self, nominal: Nominal, eta: Polynomial, uncertainty: float) -> Change:
        """The signal at another threshold."""
        return _parabola(nominal, eta, uncertainty, lambda x: nominal.shifted(Shift(threshold=x)))


def _parabola(
    nominal: Nominal,
    eta: Polynomial,
    uncertainty: float,
    signal_at: Callable[[float], Polynomial],
) -> Change:
    """Parabola through the signal at factors 1 − σ, 1 and 1 + σ on what is uncertain."""
    up, down = signal_at(1 + uncertainty), signal_at(1 - uncertainty)
    linear = (up - down) * 0.5 * eta
    return Change(linear + (up + down - nominal.signal * 2.0) * 0.5 * eta**2)


SYSTEMATICS: Mapping[str, Effect] = {
    effect.name: effect for effect in (Flux(), Distance(), Quenching(), Resolution(), Threshold())
}
"""Effects of `analysis.systematic` by name."""

if set(SYSTEMATICS) != set(get_args(EffectName)):
    raise TypeError(
        f"effects here are {', '.join(SYSTEMATICS)}, and in reco.analysis "
        f"{', '.join(get_args(EffectName))}"
    )
