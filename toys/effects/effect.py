"""Effects: what a nuisance parameter does to the expected counts of an experiment.

A further effect is a class here (a `Variation` with `shift`, another `Shape`, or a `Factor`), put
in `SYSTEMATICS`, and its name in `reco.analysis.EffectName`. It acts on components: the signal, or
backgrounds.

A factor on counts is (1 + σ)^η of the nuisance parameter η, log-normal, or by `analysis.factors =
"linear"`, as in the paper, 1 + σ η; factors multiply one another and all else. A shape is a
parabola in η through the expected counts at −1, 0 and +1 standard deviations, or the square of one
in bins where a parabola falls below zero: counts that are impossible would hold a fit. An
uncertainty so large that it does not lead to the counts at two standard deviations is refused.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np

from ...generator.arrays import Array
from ...reco.response.detector import Detector, Shift
from ...reco.response.efficiency import Efficiency
from ...reco.systematic import EffectName, Systematic
from ..counts.filed import filed
from ..counts.polynomial import Polynomial
from ..counts.template import Templates
from .interpolation import FARTHEST, ROUNDING, check, through

TWO = 2.0
"""Standard deviations at which an interpolation is compared with what it stands for."""
LEAST_FACTOR = 0.01
"""Least factor of a normalisation that is not log-normal."""
ALIKE = 1e-6
"""Relative difference of two uncertainties that are taken as one."""
Modifier = Literal["normsys", "histosys", "normfactor"]
Kind = Literal["signal", "background", "beam background"]
"""What an effect acts on: signal, steady-state backgrounds, or those that come with the beam."""


@dataclass(frozen=True, eq=False)
class Nominal:
    """Expected counts of a component before any nuisance parameter, as `rows` arranges them."""

    component: str
    templates: Templates
    """Templates of the experiment, in bins."""
    rows: Callable[[Templates], Polynomial]
    """The component of some templates in rows, coefficients of shape (rows,)."""

    @cached_property
    def counts(self) -> Polynomial:
        """The component as it is expected."""
        return self.rows(self.templates)

    def shifted(self, shift: Shift) -> Polynomial:
        """The component with another response."""
        return self.rows(self.templates.shifted(self.component, shift))

    def scaled(self, factors: Array) -> Polynomial:
        """The component with factors on its counts in each bin, shape (bins,)."""
        return self.rows(self.templates.scaled(self.component, factors))

    def variants(self, name: str) -> tuple[Polynomial, Polynomial]:
        """The component, which a file gives, by its variants at −1 and +1 standard deviation."""
        templates = self.templates
        own = templates.experiment.template_of(self.component)
        assert own is not None
        sides = filed(templates.experiment, templates.binning, own).variants[name]
        down, up = (self.rows(templates.varied(self.component, side)) for side in sides)
        return down, up


class Effect(Protocol):
    """What a nuisance parameter stands for."""

    @property
    def name(self) -> str:
        """Name in experiment files and in errors."""

    @property
    def acts_on(self) -> Kind:
        """The components that it changes, if it is not told which."""

    @property
    def is_factor(self) -> bool:
        """Whether it multiplies all counts of a component, whatever else acts on them."""

    @property
    def has_pull(self) -> bool:
        """Whether η has a Gaussian pull of width one."""

    @property
    def modifier(self) -> Modifier | None:
        """Kind of its modifier in a HistFactory workspace; None where that has no counterpart."""

    def of(self, systematic: Systematic) -> Effect:
        """The effect with what a systematic says of it."""

    def as_linear(self) -> Effect:
        """The same with a factor 1 + σ η if it is a factor whose distribution is not given."""

    def lowest(self, uncertainty: float) -> float:
        """The η at which a factor falls to LEAST_FACTOR; −∞ where it does not."""

    def factor(self, uncertainty: float, eta: Array) -> Array:
        """What multiplies the counts, of an effect that is a factor; of the shape of `eta`."""

    def rate(self, uncertainty: float) -> float:
        """The r if η comes as exp(r η), for an uncertainty σ, relative; 0 if it comes by itself."""

    def applied(
        self, template: Polynomial, nominal: Nominal, x: Polynomial, uncertainty: float
    ) -> Polynomial:
        """A component with what the nuisance parameter does to it.

        Parameters
        ----------
        template
            The component, with effects that were applied before; factors come last.
        x
            The η, or exp(r η).
        uncertainty
            The σ, relative.
        """


@dataclass(frozen=True)
class Factor:
    """A factor on a component: (1 + σ)^(power η), or 1 + σ η."""

    name: str = "factor"
    acts_on: Kind = "signal"
    is_factor: bool = True
    has_pull: bool = True
    modifier: Modifier | None = "normsys"
    power: int = 1
    """Power of what is uncertain that the counts go with."""
    linear: bool = False

    def of(self, systematic: Systematic) -> Effect:  # noqa: ARG002
        """The same: a factor has its uncertainty alone."""
        return self

    def as_linear(self) -> Self:
        """The linear one; counts that go with another power than one have none, and stay."""
        linear: Modifier = "histosys"
        return replace(self, linear=True, modifier=linear) if self.power == 1 else self

    def lowest(self, uncertainty: float) -> float:
        """The least η of the linear one."""
        return (LEAST_FACTOR - 1) / uncertainty if self.linear else -np.inf

    def factor(self, uncertainty: float, eta: Array) -> Array:
        """The factor itself, of the shape of `eta`."""
        rate = self.rate(uncertainty)
        return np.exp(rate * eta) if rate else 1 + uncertainty * eta

    def rate(self, uncertainty: float) -> float:
        """The r of exp(r η); 0 of the linear one."""
        return 0.0 if self.linear else self.power * math.log1p(uncertainty)

    def applied(
        self,
        template: Polynomial,
        nominal: Nominal,  # noqa: ARG002
        x: Polynomial,
        uncertainty: float,
    ) -> Polynomial:
        """The component times the factor."""
        return template * (1.0 + x * uncertainty if self.linear else x)


@dataclass(frozen=True)
class SignalNormalisation(Factor):
    """A factor on the signal, `analysis.signal_uncertainty`."""

    name: str = "signal"


@dataclass(frozen=True)
class BackgroundNormalisation(Factor):
    """A factor on the steady-state background, `analysis.background_uncertainty`."""

    name: str = "background"
    acts_on: Kind = "background"


@dataclass(frozen=True)
class MeasuredInBeamOff(Factor):
    """A factor on the steady-state background that beam-off measures, without a pull."""

    name: str = "background, measured in beam-off,"
    acts_on: Kind = "background"
    has_pull: bool = False
    modifier: Modifier | None = "normfactor"
    linear: bool = True

    def as_linear(self) -> Self:
        """The same, as it is linear, and has no pull in a workspace either."""
        return self


@dataclass(frozen=True)
class BeamBackground(Factor):
    """A factor on the backgrounds that come with the beam, neutrons for example."""

    name: str = "beam background"
    acts_on: Kind = "beam background"


@dataclass(frozen=True)
class Flux(Factor):
    """The number of neutrinos."""

    name: str = "flux"


@dataclass(frozen=True)
class Distance(Factor):
    """The distance of the detector from the source, by which the flux falls squared."""

    name: str = "distance"
    power: int = -2


@dataclass(frozen=True)
class Rate(Factor):
    """The rate of components: log-normal, normal, or with another uncertainty downwards."""

    name: str = "rate"
    is_given: bool = False
    """Whether the systematic itself says which distribution it has."""

    def of(self, systematic: Systematic) -> Effect:
        """The rate with the distribution that is given, if one is."""
        up, down = systematic.uncertainty, systematic.uncertainty_down
        if down is not None and up is not None:
            alike = abs(up - down) <= ALIKE * down
            return replace(self.as_linear(), is_given=True) if alike else Asymmetric(down=down)
        if systematic.distribution is None:
            return self
        given = self.as_linear() if systematic.distribution == "normal" else self
        return replace(given, is_given=True)

    def as_linear(self) -> Self:
        """The linear one, unless it is given otherwise."""
        return self if self.is_given else super().as_linear()


@dataclass(frozen=True)
class Asymmetric:
    """A factor of 1 + σ at +1 and 1 − σ' at −1 standard deviation, monotonic in between.

    It is a + b exp(r η), which a log-normal (a = 0) and a normal one (r → 0) are too.
    """

    name: str = "rate"
    acts_on: Kind = "signal"
    is_factor: bool = True
    has_pull: bool = True
    modifier: Modifier | None = None
    down: float = 0.0
    """The σ'."""

    def of(self, systematic: Systematic) -> Effect:  # noqa: ARG002
        """The same: it is made with what a systematic says."""
        return self

    def as_linear(self) -> Self:
        """The same, as its distribution is given."""
        return self

    def rate(self, uncertainty: float) -> float:
        """The r of exp(r η)."""
        return math.log(uncertainty / self.down)

    def _parts(self, uncertainty: float) -> tuple[float, float]:
        """The a and b."""
        b = uncertainty * self.down / (uncertainty - self.down)
        return 1 - b, b

    def lowest(self, uncertainty: float) -> float:
        """The η at which it falls to LEAST_FACTOR; −∞ if it never does."""
        a, b = self._parts(uncertainty)
        share = (LEAST_FACTOR - a) / b
        return math.log(share) / self.rate(uncertainty) if share > 0 else -np.inf

    def factor(self, uncertainty: float, eta: Array) -> Array:
        """The factor itself, of the shape of `eta`."""
        a, b = self._parts(uncertainty)
        return a + b * np.exp(self.rate(uncertainty) * eta)

    def applied(
        self,
        template: Polynomial,
        nominal: Nominal,  # noqa: ARG002
        x: Polynomial,
        uncertainty: float,
    ) -> Polynomial:
        """The component times the factor."""
        a, b = self._parts(uncertainty)
        return template * (x * b + a)


@dataclass(frozen=True)
class Shape(ABC):
    """An effect that changes bins by different factors; η comes by itself."""

    name: str = "shape"
    acts_on: Kind = "signal"
    is_factor: bool = False
    has_pull: bool = True
    modifier: Modifier | None = None

    def of(self, systematic: Systematic) -> Effect:  # noqa: ARG002
        """The same: the shape has its uncertainty alone."""
        return self

    def as_linear(self) -> Self:
        """The same, as it is no factor."""
        return self

    def lowest(self, uncertainty: float) -> float:  # noqa: ARG002
        """No limit: it leaves no counts below zero."""
        return -np.inf

    def factor(self, uncertainty: float, eta: Array) -> Array:  # noqa: ARG002
        """No factor: each bin has its own."""
        raise TypeError(f"effect '{self.name}' is no factor on all bins")

    def rate(self, uncertainty: float) -> float:  # noqa: ARG002
        """Nought: η comes by itself."""
        return 0.0

    @abstractmethod
    def applied(
        self, template: Polynomial, nominal: Nominal, x: Polynomial, uncertainty: float
    ) -> Polynomial:
        """The component and what is added to it."""


@dataclass(frozen=True)
class Variation(Shape):
    """An effect by what is expected of another response."""

    @abstractmethod
    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:
        """The response at η standard deviations of an uncertainty σ."""

    def applied(
        self, template: Polynomial, nominal: Nominal, x: Polynomial, uncertainty: float
    ) -> Polynomial:
        """The component and what leads through its counts at −1, 0 and +1 standard deviations.

        Raises
        ------
        ValueError
            If that is far from the counts at two standard deviations.
        """
        detector = nominal.templates.experiment.detector
        down, up = (nominal.shifted(self.shift(detector, uncertainty, eta)) for eta in (-1.0, 1.0))
        change = through(nominal.counts, x, down, up)
        for eta in (-TWO, TWO):
            exact = nominal.shifted(self.shift(detector, uncertainty, eta))
            check(nominal.counts, change, x, eta, exact)
        return template + change


def _factor(uncertainty: float, eta: float) -> float:
    """The factor (1 + σ)^η."""
    factor = (1 + uncertainty) ** abs(eta)
    return factor if eta > 0 else 1 / factor


@dataclass(frozen=True)
class Quenching(Variation):
    """The scale of the mean reconstructed energy."""

    name: str = "quenching"

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:  # noqa: ARG002
        """Another energy scale."""
        return Shift(energy=_factor(uncertainty, eta))


@dataclass(frozen=True)
class EnergyScale(Quenching):
    """The same by another name, as backgrounds are not quenched."""

    name: str = "energy scale"


@dataclass(frozen=True)
class QuenchingParameters(Variation):
    """Parameters of the quenching model, changed together: one of the eigen-variations of a fit."""

    name: str = "quenching parameters"
    change: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """What is added to each key at one standard deviation."""

    def of(self, systematic: Systematic) -> Effect:
        """The effect with what is added to which keys."""
        given = systematic.change or {}
        change = [(key, tuple(np.atleast_1d(value).tolist())) for key, value in given.items()]
        return replace(self, change=tuple(change))

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:
        """The quenching at η standard deviations.

        Raises
        ------
        ValueError
            If the model has no such numbers.
        """
        old = detector.quenching.model_dump()
        new = {}
        for key, change in self.change:
            value: Any = old.get(key)
            numbers = value if isinstance(value, list) else [value]
            known = all(isinstance(number, float) for number in numbers)
            if not known or len(numbers) != len(change):
                raise ValueError(
                    f"change.{key} has {len(change)} numbers, and detector.quenching "
                    f"'{old['model']}' has {key} = {value}: they must be as many"
                )
            changed = (np.array(numbers) + eta * uncertainty * np.array(change)).tolist()
            new[key] = changed if isinstance(value, list) else changed[0]
        return Shift(quenching=detector.quenching.model_copy(update=new))


@dataclass(frozen=True)
class EfficiencyCurves(Shape):
    """The efficiency, between the curves that are given for −1 and +1 standard deviations.

    Counts are linear in it, so that nothing is known of two, and nothing is to be checked there.
    """

    name: str = "efficiency"
    down: Efficiency | None = field(default=None, hash=False)
    up: Efficiency | None = field(default=None, hash=False)

    def of(self, systematic: Systematic) -> Effect:
        """The effect with its curves."""
        return replace(self, down=systematic.efficiency_down, up=systematic.efficiency_up)

    def applied(
        self,
        template: Polynomial,
        nominal: Nominal,
        x: Polynomial,
        uncertainty: float,  # noqa: ARG002
    ) -> Polynomial:
        """The component and what leads through its counts by the three curves."""
        down, up = (nominal.shifted(Shift(efficiency=curve)) for curve in (self.down, self.up))
        return template + through(nominal.counts, x, down, up)


@dataclass(frozen=True)
class TimeShift(Variation):
    """A shift of all arrival times; its uncertainty is in ns."""

    name: str = "time shift"

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:  # noqa: ARG002
        """Later times."""
        return Shift(delay=uncertainty * eta)


@dataclass(frozen=True)
class TimeWidth(Variation):
    """The width of arrival times about their mean; decays keep their lives."""

    name: str = "time width"

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:  # noqa: ARG002
        """Times further from their mean."""
        return Shift(spread=_factor(uncertainty, eta))


@dataclass(frozen=True)
class Radius(Variation):
    """The rms radius of the neutrons in all nuclei, by which the form factor falls."""

    name: str = "radius"

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:  # noqa: ARG002
        """Another radius."""
        return Shift(radius=_factor(uncertainty, eta))


@dataclass(frozen=True)
class TemplatePair(Shape):
    """Any change of shape: factors on the counts of each bin at −1 and +1 standard deviation.

    Where they are 1 ∓ δ and nowhere a bin would be empty within FARTHEST, counts are linear in η.
    """

    name: str = "templates"
    modifier: Modifier | None = "histosys"
    down: tuple[float, ...] = ()
    up: tuple[float, ...] = ()

    def of(self, systematic: Systematic) -> Effect:
        """The effect with its factors."""
        return replace(self, down=tuple(systematic.down or ()), up=tuple(systematic.up or ()))

    def applied(
        self,
        template: Polynomial,
        nominal: Nominal,
        x: Polynomial,
        uncertainty: float,  # noqa: ARG002
    ) -> Polynomial:
        """The component and what leads through its counts times the factors.

        Raises
        ------
        ValueError
            If there are not as many factors as bins.
        """
        bins = nominal.templates.binning.bins
        if {len(self.down), len(self.up)} != {bins}:
            raise ValueError(
                f"up has {len(self.up)} factors and down {len(self.down)}; there are {bins} bins"
            )
        down, up = np.array(self.down), np.array(self.up)
        least = 1 - FARTHEST * np.abs(up - 1).max()
        if np.allclose(up + down, 2.0, rtol=0, atol=ROUNDING) and least >= 0:
            return template + (nominal.scaled(up) - nominal.counts) * x
        return template + through(nominal.counts, x, nominal.scaled(down), nominal.scaled(up))


@dataclass(frozen=True)
class FileVariant(Shape):
    """A ±1σ pair of shapes of components from files; each component has its own by this name."""

    name: str = "template.variant"
    modifier: Modifier | None = "histosys"
    variant: str = ""

    def applied(
        self,
        template: Polynomial,
        nominal: Nominal,
        x: Polynomial,
        uncertainty: float,  # noqa: ARG002
    ) -> Polynomial:
        """The component and what leads through its counts and those of the two files.

        Where the files differ from it by as much and leave nothing negative, it is linear.
        """
        down, up = nominal.variants(self.variant)
        pairs = [
            [np.asarray(p.terms.get(powers, 0.0) + np.zeros(np.shape(value))) for p in (down, up)]
            for powers, value in nominal.counts.terms.items()
        ]
        values = [np.asarray(value) for value in nominal.counts.terms.values()]
        even = all(
            np.allclose(low + high, 2 * value, rtol=ROUNDING, atol=0)
            and np.all(value >= FARTHEST * np.abs(high - value))
            for value, (low, high) in zip(values, pairs, strict=True)
        )
        if even:
            return template + (up - nominal.counts) * x
        return template + through(nominal.counts, x, down, up)


@dataclass(frozen=True)
class Resolution(Variation):
    """The width of the resolution."""

    name: str = "resolution"

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:  # noqa: ARG002
        """Another width."""
        return Shift(width=_factor(uncertainty, eta))


@dataclass(frozen=True)
class Threshold(Variation):
    """The threshold of the acceptance."""

    name: str = "threshold"

    def shift(self, detector: Detector, uncertainty: float, eta: float) -> Shift:  # noqa: ARG002
        """Another threshold."""
        return Shift(threshold=_factor(uncertainty, eta))


SYSTEMATICS: Mapping[str, Effect] = {
    effect.name: effect
    for effect in (
        Flux(),
        Distance(),
        Quenching(),
        Resolution(),
        Threshold(),
        BeamBackground(),
        Rate(),
        EnergyScale(),
        QuenchingParameters(),
        EfficiencyCurves(),
        TimeShift(),
        TimeWidth(),
        Radius(),
        TemplatePair(),
    )
}
"""Effects of `analysis.systematic` by name."""

if set(SYSTEMATICS) != set(get_args(EffectName)):
    raise TypeError(
        f"effects here are {', '.join(SYSTEMATICS)}, and in reco.systematic "
        f"{', '.join(get_args(EffectName))}"
    )
