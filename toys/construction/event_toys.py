"""Toys of events: the whole chain of generator, response and windows behind every count.

What binned toys take from quadrature (smearing, windows, vetoed exposures, the recoil spectrum)
happens here to single events. It is slower by orders of magnitude, and agrees with binned toys
where the templates do, in every ensemble:

- factors act on rates as in bins: they multiply one another, (1 + σ)^η or 1 + σ η each, and with
  shapes, which are refused here;
- with ``prior`` each toy has the pulls that the binned toy of its number has;
- a background that `on-off` leaves free in each bin is the steady-state one at the profiled rate.
  Where the profiled counts of a bin differ from its spectrum, selected events of it are left out or
  Poisson counts added; where they are less than what of the signal comes in beam-off, none is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.chain.codes import OFF, ON
from ...reco.cluster.workers import ALONE
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.response.background import SIGNAL
from ...reco.runs.run import Run, plan
from ..counts.model import Model, Section
from ..counts.parameter import STRENGTH
from ..counts.template import backgrounds
from ..effects.action import Action, actions_of, components_of
from ..kernels.throw import at_another_rate, event_seed
from .ensemble import Truth
from .throw import toy_key

UNSHIFTED = 1e-6
"""Standard deviations by which a response may be shifted without being noticed."""
ROUNDING = 1e-9
"""Relative difference of counts that is none."""


@dataclass(frozen=True, eq=False)
class Profiled:
    """A steady-state background with free counts in each bin."""

    rate: float
    """Factor on its rate."""
    keep: Array
    """Chance of a selected event to be kept, shape (bins,)."""
    extra: Array
    """Mean counts that are added in beam-on, shape (bins,)."""
    tau: Array
    """Length of beam-off over that of beam-on, shape (bins,)."""
    components: NDArray[np.int8]
    """Components that it is made of."""

    @property
    def as_it_is(self) -> bool:
        """Whether its spectrum is that of its events."""
        return bool(np.all(self.keep == 1) and np.all(self.extra == 0))


@dataclass(frozen=True, eq=False)
class EventSource:
    """Events of one experiment at a grid point, and how the rates of a toy differ."""

    run: Run
    """Run with the couplings of the point and the rates of the file."""
    section: Section
    components: tuple[str, ...]
    """Names of the signal and of each background."""
    base: Array
    """Factors on their rates without pulls, shape (1 + backgrounds,)."""
    factors: tuple[tuple[int, Action], ...]
    """Nuisance parameters that are factors, with their numbers among the variables."""
    profiled: Profiled | None

    def rates(self, values: Array) -> Array:
        """Factors on the rates of signal and backgrounds for the values of the variables."""
        rates = self.base.copy()
        for number, action in self.factors:
            acted_on = [name in action.on for name in self.components]
            rates[acted_on] *= np.maximum(action.nuisance.factor(values[number]), 0.0)
        return rates

    def counts(self, seed: int, values: Array) -> tuple[Array, Array]:
        """Counts of a toy in beam-on and beam-off, shape (bins,) each."""
        bins = self.section.binning
        run = self.run.with_seed(seed, self.rates(values))
        block = run.make(0, run.events, ALONE)
        parts = self.profiled
        if parts is None or parts.as_it_is:
            return bins.seen(block, ON), bins.seen(block, OFF)
        steady = np.isin(block["component"], parts.components)
        found = []
        for window, extra in ((ON, parts.extra), (OFF, parts.tau * parts.extra)):
            free = bins.seen(block, window, steady)
            at_another_rate(np.uint64(seed), np.uint64(window), parts.keep, extra, free)
            found.append(free + bins.seen(block, window, ~steady))
        return found[0], found[1]


def sources_at(model: Model, experiments: Sequence[Experiment], truth: Truth) -> list[EventSource]:
    """What makes the events of each experiment at a truth.

    Raises
    ------
    ExperimentError
        If the truth has a shifted response, which the chain does not know, or components are from
        files.
    """
    for experiment in experiments:
        if experiment.template:
            names = ", ".join(template.name for template in experiment.template)
            raise ExperimentError(
                f"{experiment.name}: templates from files ({names}) make no events; use binned toys"
            )
    for nuisance in model.nuisances:
        value = truth.values[model.number(nuisance.name)]
        if not nuisance.effect.is_factor and abs(value) > UNSHIFTED:
            raise _shifted(nuisance.name, nuisance.effect.name, value)
    return [
        _source(model, experiment, section, truth)
        for experiment, section in zip(experiments, model.sections, strict=True)
    ]


def _shifted(name: str, effect: str, value: float) -> ExperimentError:
    return ExperimentError(
        f"toys of events cannot shift {effect} ('{name}' = {value:g}); use --ensemble fixed, or "
        "binned toys"
    )


def _source(model: Model, experiment: Experiment, section: Section, truth: Truth) -> EventSource:
    values = dict(zip(model.names, truth.values.tolist(), strict=True))
    settings = {
        f"interaction.{p.name}": values[p.name] for p in model.parameters if p.name != STRENGTH.name
    }
    components = (SIGNAL, *(b.name for b in experiment.background))
    profiled = None
    if model.tau[section.on].any():
        profiled = _profiled(model, experiment, section, truth)
    base = np.ones(len(components))
    base[0] = values.get(STRENGTH.name, STRENGTH.default)
    if profiled is not None:
        steady = components_of(experiment, "background")
        base[[name in steady for name in components]] = profiled.rate
    factors = tuple(
        (model.number(action.nuisance.name), action)
        for action in actions_of(experiment)
        if action.nuisance.effect.is_factor
    )
    run = plan(experiment.replace(**settings))
    return EventSource(run, section, components, base, factors, profiled)


def _profiled(model: Model, experiment: Experiment, section: Section, truth: Truth) -> Profiled:
    """The steady-state background that makes a truth's free counts beside all that leaks."""
    on = section.on
    counts = backgrounds(experiment, section.binning)
    names = components_of(experiment, "background")
    steady = sum((counts[name].on for name in names), np.zeros(section.binning.bins))
    change = truth.background[on] - model.background_at(truth.values)[on]
    change[np.abs(change) <= ROUNDING * steady.sum()] = 0.0
    wanted = np.maximum(steady + change, 0.0)
    rate = wanted.sum() / steady.sum() if steady.any() else 1.0
    expected = rate * steady
    apart = np.abs(wanted - expected) > ROUNDING * expected.sum()
    keep, extra = np.ones(len(steady)), np.where(apart, np.maximum(wanted - expected, 0.0), 0.0)
    fewer = apart & (wanted < expected)
    keep[fewer] = wanted[fewer] / expected[fewer]
    components = [experiment.component_of(b) for b in experiment.background if b.timing == "steady"]
    return Profiled(rate, keep, extra, model.tau[on], np.array(components, np.int8))


def throw_events(
    model: Model,
    sources: Sequence[EventSource],
    values: Array,
    seed: int,
    point: int,
    start: int,
) -> tuple[Array, Array]:
    """Counts and beam-off counts of toys from `start` on of a grid point.

    Parameters
    ----------
    sources
        From `sources_at`; each toy has a seed of its own, from (seed, point, toy, experiment).
    values
        True values of the variables of each toy, shape (toys, variables).

    Returns
    -------
    counts, off
        Arrays of shape (toys, bins); off (1, bins) where no background is measured.

    Raises
    ------
    ExperimentError
        If a toy has a shifted response.
    """
    for k, nuisance in enumerate(model.nuisances, len(model.parameters)):
        farthest = float(np.abs(values[:, k]).max(initial=0.0))
        if not nuisance.effect.is_factor and farthest > UNSHIFTED:
            raise _shifted(nuisance.name, nuisance.effect.name, farthest)
    counts = np.zeros((len(values), model.bins))
    off = np.zeros((len(values) if model.tau.any() else 1, model.bins))
    series = toy_key(model, seed)
    for number, source in enumerate(sources):
        section = source.section
        for row, true in enumerate(values):
            key = int(event_seed(series, start + row, point, number))
            in_on, in_off = source.counts(key, true)
            counts[row, section.on] = in_on
            if section.off is not None:
                counts[row, section.off] = in_off.sum()
            elif model.tau[section.on].any():
                off[row, section.on] = in_off
    return counts, off
