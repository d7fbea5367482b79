"""Nuisance parameters of experiments: which there are, and on what components each acts.

Of an experiment's components, the signal and the backgrounds, each systematic acts on those that
its effect names, or those that it is told by `on`. What has the same name in several experiments
is the same parameter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.response.background import SIGNAL, Background
from ...reco.templates.template import Template
from ..counts.model import Nuisance
from ..counts.parameter import parameters_of
from ..counts.template import Templates
from .effect import (
    SYSTEMATICS,
    BackgroundNormalisation,
    FileVariant,
    Kind,
    MeasuredInBeamOff,
    SignalNormalisation,
)

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
        effect = SYSTEMATICS[systematic.effect].of(systematic)
        nuisance = Nuisance(systematic.name, effect, systematic.uncertainty or 1.0)
        on = systematic.on or components_of(experiment, effect.acts_on)
        actions.append(Action(nuisance, on, f"analysis.systematic.{number} ('{systematic.name}')"))
    actions += _variants(experiment) + _on_steady(experiment) + _on_each(experiment)
    if analysis.factors == "linear":
        actions = [replace(a, nuisance=_linear(a.nuisance)) for a in actions]
    _refuse_twice(experiment, actions)
    return tuple(actions)


def _linear(nuisance: Nuisance) -> Nuisance:
    return replace(nuisance, effect=nuisance.effect.as_linear())


def _on_steady(experiment: Experiment) -> list[Action]:
    """The factor that all steady-state backgrounds have in common."""
    analysis, name = experiment.analysis, experiment.background_pull
    on = components_of(experiment, "background")
    if experiment.template and not on:
        return []
    if analysis.statistic == "pulls" and analysis.background_uncertainty > 0:
        common = Nuisance(name, BackgroundNormalisation(), analysis.background_uncertainty)
        return [Action(common, on, "analysis.background_uncertainty")]
    if analysis.statistic == "on-off-scaled":
        measured = Nuisance(name, MeasuredInBeamOff(), SCALE)
        return [Action(measured, on, "analysis.statistic")]
    return []


def _on_each(experiment: Experiment) -> list[Action]:
    """The rates of single backgrounds, but for those that `on-off` leaves free."""
    free = experiment.analysis.statistic == "on-off"
    own = re.sub(r"#\d+$", "", experiment.name)  # the same detector at other settings
    actions = []
    components: list[tuple[str, Background | Template]] = [
        ("background", b)
        for b in experiment.background
        if b.enabled and not (free and b.timing == "steady")
    ]
    components += [("template", t) for t in experiment.template]
    for section, background in components:
        if background.uncertainty > 0:
            pull = background.pull or f"background.{own}.{background.name}"
            nuisance = Nuisance(pull, BackgroundNormalisation(), background.uncertainty)
            key = f"{section}.{background.name}.uncertainty"
            actions.append(Action(nuisance, (background.name,), key))
    return actions


def _variants(experiment: Experiment) -> list[Action]:
    """The shapes that files give: a pull for each name, on all components that have it."""
    names = {v.name: None for t in experiment.template for v in t.variant}
    actions = []
    for name in names if experiment.analysis.variants else ():
        on = tuple(t.name for t in experiment.template if name in [v.name for v in t.variant])
        nuisance = Nuisance(name, FileVariant(variant=name), 1.0)
        actions.append(Action(nuisance, on, f"template.{on[0]}.variant.{name}"))
    return actions


def _refuse_twice(experiment: Experiment, actions: Sequence[Action]) -> None:
    """Refuse a pull that would act twice on one component."""
    seen: dict[tuple[str, str], Action] = {}
    for action in actions:
        for component in action.on:
            other = seen.setdefault((action.nuisance.name, component), action)
            if other is not action and other.nuisance == action.nuisance:
                raise ExperimentError(
                    f"{experiment.name}: {action.key} and {other.key}: pull "
                    f"'{action.nuisance.name}' acts twice on '{component}': give one of them "
                    "another name"
                )


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
    for action in actions_of(experiment):
        _refuse_missing(counts, action, free=free)
    for number, systematic in enumerate(experiment.analysis.systematic):
        if systematic.on is not None:
            continue
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


def _refuse_missing(counts: Templates, action: Action, *, free: bool) -> None:
    """Refuse what acts on a component that is told by its name, and is not there or free."""
    where = f"{counts.experiment.name}: {action.key}"
    steady = counts.named(steady=True)
    for name in action.on:
        if name != SIGNAL and name not in counts.backgrounds:
            there = ", ".join((SIGNAL, *counts.backgrounds))
            raise ExperimentError(f"{where}: on: no component '{name}'; there are: {there}")
        if free and name in steady:
            raise ExperimentError(
                f"{where}: acts on '{name}', which statistic = 'on-off' leaves free in each bin; "
                "use pulls or on-off-scaled"
            )
