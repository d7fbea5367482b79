"""Nuisance parameters of experiments: which there are, and on what components each acts.

Of an experiment's components, the signal and the backgrounds, each systematic acts on those that
its effect names, or those that it is told by `on`. What has the same name in several experiments
is the same parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from .effect import (
    SYSTEMATICS,
    BackgroundNormalisation,
    Kind,
    MeasuredInBeamOff,
    SignalNormalisation,
)
from .model import Nuisance
from .parameter import parameters_of
from .template import SIGNAL, Templates

SCALE = 0.01
"""A background factor that beam-off measures is 1 + SCALE z, so that z is of the order of one."""


@dataclass(frozen=True)
class Action:
    """A nuisance parameter in an experiment."""

    nuisance: Nuisance
    on: tuple[str, ...]
    """Names of the components that it changes."""
    key: str
    """The key of the experiment that it is from."""


def components_of(experiment: Experiment, kind: Kind) -> tuple[str, ...]:
    """Names of an experiment's components of a kind, those that are not enabled left out."""
    if kind == "signal":
        return (SIGNAL,)
    steady = kind == "background"
    enabled = [b for b in experiment.background if b.enabled]
    return tuple(b.name for b in enabled if (b.timing == "steady") == steady)


def actions_of(experiment: Experiment) -> tuple[Action, ...]:
    """What nuisance parameters an experiment has, those of the backgrounds last.

    Raises
    ------
    ExperimentError
        If one would act twice on a component.
    """
    analysis = experiment.analysis
    actions = []
    if analysis.signal_uncertainty > 0:
        signal = Nuisance(analysis.signal_pull, SignalNormalisation(), analysis.signal_uncertainty)
        actions.append(Action(signal, (SIGNAL,), "analysis.signal_uncertainty"))
    for number, systematic in enumerate(analysis.systematic):
        effect = SYSTEMATICS[systematic.effect]
        nuisance = Nuisance(systematic.name, effect, systematic.uncertainty)
        on = components_of(experiment, effect.acts_on)
        actions.append(Action(nuisance, on, f"analysis.systematic.{number} ('{systematic.name}')"))
    actions += _on_steady(experiment)
    if analysis.factors == "linear":
        actions = [replace(a, nuisance=_linear(a.nuisance)) for a in actions]
    return tuple(actions)


def _linear(nuisance: Nuisance) -> Nuisance:
    return replace(nuisance, effect=nuisance.effect.as_linear())


def _on_steady(experiment: Experiment) -> list[Action]:
    """The factor that all steady-state backgrounds have in common."""
    analysis, name = experiment.analysis, experiment.background_pull
    on = components_of(experiment, "background")
    if analysis.statistic == "pulls" and analysis.background_uncertainty > 0:
        common = Nuisance(name, BackgroundNormalisation(), analysis.background_uncertainty)
        return [Action(common, on, "analysis.background_uncertainty")]
    if analysis.statistic == "on-off-scaled":
        measured = Nuisance(name, MeasuredInBeamOff(), SCALE)
        return [Action(measured, on, "analysis.statistic")]
    return []


def nuisances(experiments: Sequence[Experiment]) -> tuple[Nuisance, ...]:
    """Nuisance parameters of all experiments; the same name is the same parameter.

    Raises
    ------
    ExperimentError
        If experiments give one name two meanings or uncertainties, or that of a parameter.
    """
    known: dict[str, tuple[Nuisance, str]] = {}
    for experiment in experiments:
        for action in actions_of(experiment):
            nuisance = action.nuisance
            old, owner = known.get(nuisance.name, (nuisance, ""))
            if old != nuisance:
                raise ExperimentError(
                    f"{experiment.name}: analysis: pull '{nuisance.name}' is "
                    f"{nuisance.effect.name} of {nuisance.uncertainty:g}, but in {owner} "
                    f"{old.effect.name} of {old.uncertainty:g}; "
                    "a shared pull must be the same, another one needs another name"
                )
            known.setdefault(nuisance.name, (nuisance, experiment.name))
    clash = {n.name for n, _ in known.values()} & set(parameters_of(experiments[0].interaction))
    if clash:
        raise ExperimentError(f"a pull may not have the name of a parameter: {', '.join(clash)}")
    return tuple(nuisance for nuisance, _ in known.values())


def refuse_without_effect(counts: Templates) -> None:
    """Refuse systematics of a background that is not there, or is free in each bin."""
    experiment = counts.experiment
    free = experiment.analysis.statistic == "on-off"
    for number, systematic in enumerate(experiment.analysis.systematic):
        acts_on = SYSTEMATICS[systematic.effect].acts_on
        where = f"{experiment.name}: analysis.systematic.{number} ('{systematic.name}')"
        expected = {"background": counts.steady, "beam background": counts.beam}.get(acts_on)
        if expected is not None and not expected.any():
            raise ExperimentError(
                f"{where}: effect = '{systematic.effect}' acts on the {acts_on}, of which none is "
                "expected: give it a rate (background.<name>.rate)"
                + (", or, if it is as dense in beam-off, take statistic = 'pulls' or "
                   "'on-off-scaled': 'on-off' leaves it free in each bin" if free else "")
            )  # fmt: skip
        if acts_on == "background" and free:
            raise ExperimentError(
                f"{where}: effect = '{systematic.effect}' acts on the steady-state background, "
                "which statistic = 'on-off' leaves free in each bin; use pulls or on-off-scaled"
            )
