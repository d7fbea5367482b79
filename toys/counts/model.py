"""A statistical model: expected counts as a polynomial of its variables, and constraints.

Variables are the free parameters (couplings, or the strength of the signal), then the nuisance
parameters. A nuisance parameter is in standard deviations, with a Gaussian pull of width one, but
for the factor of a background that beam-off measures, which has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ...generator.arrays import Array
from ...generator.display import Displayed
from ...reco.errors import ExperimentError
from ...reco.runs.origin import Origin
from ..effects.effect import LEAST_FACTOR as LEAST_FACTOR
from ..effects.effect import Effect
from ..kernels.terms import Terms, compile_terms
from .binning import Binning
from .parameter import Parameter
from .polynomial import ZERO, Polynomial


@dataclass(frozen=True)
class Nuisance:
    """A nuisance parameter."""

    name: str
    effect: Effect
    """What it stands for; the same wherever the name is the same."""
    uncertainty: float
    """Relative uncertainty, of one standard deviation."""

    @property
    def weight(self) -> float:
        """1/σ² of its pull; 0 for none."""
        return 1.0 if self.effect.has_pull else 0.0

    @property
    def rate(self) -> float:
        """The r if it comes as exp(r η), else 0."""
        return self.effect.rate(self.uncertainty)

    @property
    def lower(self) -> float:
        """Least value: a factor cannot fall below LEAST_FACTOR."""
        return self.effect.lowest(self.uncertainty)

    def factor(self, eta: ArrayLike) -> Array:
        """What multiplies the counts, of an effect that is a factor; of the shape of `eta`."""
        return self.effect.factor(self.uncertainty, np.asarray(eta, float))


@dataclass(frozen=True, eq=False)
class Section:
    """One experiment's part of a model."""

    name: str
    """Name of the experiment; NAME#2 and so on where it is combined with others of its name."""
    on: slice
    """Bins of the experiment in beam-on."""
    off: slice | None
    """The bin of its beam-off counts, all together; None where the model has no such bin."""
    binning: Binning
    """Bins of beam-on; those of beam-off are the same, on the time of beam-off."""


@dataclass(frozen=True, eq=False)
class Component:
    """What an experiment expects of the signal or of one background, in beam-on."""

    name: str
    """``signal``, or the name of the background."""
    section: str
    """Name of the section of the experiment."""
    on: Polynomial
    """Counts in beam-on at any values of the variables, coefficients of shape (bins,)."""
    is_free: bool = False
    """Whether it is free in each bin, so that beam-off measures it: `on` is by its rate alone."""


@dataclass(frozen=True, eq=False, repr=False)
class Model(Displayed):
    """Expected counts and constraints of one or several experiments."""

    parameters: tuple[Parameter, ...]
    nuisances: tuple[Nuisance, ...]
    expected: Polynomial
    """Counts a bin, coefficients of shape (bins,); with τ > 0 the signal alone."""
    bins: int
    truth: Array
    """Values of the variables in the experiments' files, shape (variables,)."""
    tau: Array
    """τ where a background B is free and measured in beam-off, else 0, shape (bins,)."""
    background: Array
    """Expected B in beam-on of those bins at `truth`, shape (bins,)."""
    sections: tuple[Section, ...]
    """Where the bins of each experiment lie, in their order."""
    leaked: Polynomial = ZERO
    """What of B varies with the variables: counts in beam-off over τ, shape (bins,); see `rows`."""
    components: tuple[Component, ...] = ()
    """Components of each experiment in their order, which add up to `counts` in beam-on."""

    def facts(self) -> dict[str, object]:
        """Experiments, variables, bins, and the counts expected at the files' own couplings."""
        return {
            "of": ", ".join(section.name for section in self.sections),
            "in": ", ".join(p.name for p in self.parameters) or "no parameter",
            "nuisances": ", ".join(n.name for n in self.nuisances) or "none",
            "bins": self.bins,
            "expected counts": f"{self.counts(self.truth).sum():.4g}",
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return (*(p.name for p in self.parameters), *(n.name for n in self.nuisances))

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(self.parameters) + len(self.nuisances)

    @cached_property
    def weight(self) -> Array:
        """1/σ² of the pull of each variable, shape (variables,)."""
        return np.array([p.weight for p in self.parameters] + [n.weight for n in self.nuisances])

    @cached_property
    def lower(self) -> Array:
        """Lower bounds of the variables."""
        return np.array([p.lower for p in self.parameters] + [n.lower for n in self.nuisances])

    @cached_property
    def upper(self) -> Array:
        """Upper bounds of the variables."""
        return np.array([p.upper for p in self.parameters] + [np.inf] * len(self.nuisances))

    def number(self, name: str) -> int:
        """Number of a variable."""
        return self.names.index(name)

    def section(self, name: str) -> Section:
        """Section of an experiment."""
        return next(section for section in self.sections if section.name == name)

    def background_at(self, values: Sequence[float] | Array) -> Array:
        """Expected B at a point, shape (bins,)."""
        return self.background + (self.leaked.at(values) - self.leaked.at(self.truth))

    def counts(self, values: Sequence[float] | Array) -> Array:
        """Expected counts in beam-on, background included, shape (bins,)."""
        return np.broadcast_to(self.expected.at(values), (self.bins,)) + self.background_at(values)

    def asimov(self) -> Data:
        """Data equal to what is expected of the experiments' own couplings."""
        return Data(
            self.counts(self.truth)[None], (self.tau * self.background)[None], self.truth[None]
        )

    def terms(self, free: Sequence[int]) -> Terms:
        """The polynomial and its derivatives by some variables, for the kernel; made once."""
        key = tuple(free)
        if key not in self._terms:
            self._terms[key] = compile_terms(self.expected, self.bins, key)
        return self._terms[key]

    @cached_property
    def _terms(self) -> dict[tuple[int, ...], Terms]:
        """Tables that have been made, by free variables."""
        return {}

    def fixed(self, values: Mapping[str, float]) -> Model:
        """The model with some parameters fixed, which are then no variables any more."""
        numbers = {self.number(name): value for name, value in values.items()}
        rest = [i for i in range(self.variables) if i not in numbers]
        point = self.truth.copy()
        point[list(numbers)] = list(numbers.values())
        return replace(
            self,
            parameters=tuple(p for p in self.parameters if p.name not in values),
            nuisances=tuple(n for n in self.nuisances if n.name not in values),
            expected=self.expected.restrict(numbers),
            truth=self.truth[rest],
            background=self.background_at(point),
            leaked=self.leaked.restrict(numbers),
            components=tuple(replace(c, on=c.on.restrict(numbers)) for c in self.components),
        )


@dataclass(frozen=True, eq=False)
class Data:
    """Data sets: counts, beam-off counts and centres of the pulls."""

    counts: Array
    """Counts, shape (sets, bins)."""
    off: Array
    """Beam-off counts, shape (sets, bins) or (1, bins)."""
    centre: Array
    """Centres of pulls, shape (sets, variables) or (1, variables); others are not used."""
    origins: tuple[Origin, ...] = ()
    """What ntuples the counts are from, if they are from any."""

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        for counts in (self.counts, self.off):
            if counts.size and not (counts.min() >= 0 and np.isfinite(counts.max())):
                raise ExperimentError("counts must be 0 or more, and finite")

    def __len__(self) -> int:
        """Number of data sets."""
        return max(len(self.counts), len(self.off), len(self.centre))
