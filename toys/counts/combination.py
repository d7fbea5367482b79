"""From experiments to one model: couplings times templates times nuisance parameters.

The couplings are those of `generator.coupling`, worked out with polynomials in the place of
numbers. Experiments are combined by putting their bins side by side; what has the same name is the
same nuisance parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ...generator.arrays import Array
from ...generator.coupling import Interaction, structure_couplings
from ...generator.settings import Settings, unchecked
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from .binning import Binning
from .effect import (
    SYSTEMATICS,
    BackgroundNormalisation,
    MeasuredInBeamOff,
    Nominal,
    SignalNormalisation,
    Template,
)
from .model import Model, Nuisance, Section
from .parameter import STRENGTH, Parameter, parameter, parameters_of
from .polynomial import Polynomial
from .rows import arranged, beam_rows, check_measurable, steady_rows
from .template import Templates, templates

T = TypeVar("T", bound=Settings)

Key = tuple[str, str, str]
"""Flavour, nucleus and structure of a template."""


def build(experiments: Sequence[Experiment], free: Sequence[str] = ()) -> Model:
    """Model of experiments with some parameters free, the others as in the experiments' files.

    Raises
    ------
    ExperimentError
        If the experiments disagree, a parameter has no effect, or a bin expects nothing.
    """
    if not experiments:
        raise ExperimentError("a model needs an experiment")
    interaction = experiments[0].interaction
    parameters = tuple(parameter(name, interaction) for name in free)
    for name in free:
        if list(free).count(name) > 1:
            raise ExperimentError(f"parameter '{name}' is given twice")
    _refuse_twice(experiments)
    experiments = _named_apart(experiments)
    _agree(experiments)
    nuisances = _nuisances(experiments)
    variables = len(parameters) + len(nuisances)
    space = _Space(parameters, nuisances, variables)
    pieces = [_piece(experiment, space) for experiment in experiments]
    bins = sum(piece.rows for piece in pieces)
    expected = leaked = Polynomial.constant(np.zeros(bins), variables)
    tau, background = np.zeros(bins), np.zeros(bins)
    sections = []
    start = 0
    for experiment, piece in zip(experiments, pieces, strict=True):
        stop = start + piece.rows
        expected = expected + _placed(piece.expected, start, stop, bins)
        leaked = leaked + _placed(piece.leaked, start, stop, bins)
        tau[start:stop], background[start:stop] = piece.tau, piece.background
        last = start + piece.binning.bins
        off = slice(last, stop) if last < stop else None
        sections.append(Section(experiment.name, slice(start, last), off, piece.binning))
        start = stop
    expected = expected.without_zeros()
    for i, p in enumerate(parameters):
        if not expected.depends_on(i):
            raise ExperimentError(
                f"{', '.join(e.name for e in experiments)}: parameter '{p.name}' changes nothing"
                + (" with radiative couplings" if p.name == "sin2w" else "")
            )
    values = {c.name: c.value for c in interaction.all_couplings()}
    own = [float(values.get(p.name, p.default)) for p in parameters]
    truth = np.array(own + [0.0] * len(nuisances))
    leaked = leaked.without_zeros()
    background = background + leaked.at(truth)
    model = Model(
        parameters, nuisances, expected, bins, truth, tau, background, tuple(sections), leaked
    )
    _not_empty(model)
    return model


def _placed(polynomial: Polynomial, start: int, stop: int, bins: int) -> Polynomial:
    """A piece's polynomial among the bins of all, which for the others is zero."""
    terms = {}
    for powers, counts in polynomial.terms.items():
        terms[powers] = np.zeros(bins)
        terms[powers][start:stop] = counts
    return polynomial.with_terms(terms)


@dataclass(frozen=True)
class _Space:
    """The variables while a model is built."""

    parameters: tuple[Parameter, ...]
    nuisances: tuple[Nuisance, ...]
    size: int

    def nuisance(self, nuisance: Nuisance) -> Polynomial:
        """A nuisance parameter as the polynomial that its effect is given."""
        number = len(self.parameters) + self.nuisances.index(nuisance)
        return Polynomial.variable(number, self.size, nuisance.rate)


@dataclass(frozen=True, eq=False)
class _Piece:
    """One experiment's part of a model, in rows."""

    expected: Polynomial
    rows: int
    tau: Array
    background: Array
    leaked: Polynomial
    binning: Binning


def _piece(experiment: Experiment, space: _Space) -> _Piece:
    on_off = experiment.analysis.statistic == "on-off"
    counts = templates(experiment)
    check_measurable(counts)
    nominal = _nominal(counts, space, _signal_rows)
    _refuse_without_effect(experiment, nominal)
    rows = len(nominal.steady)
    zeros = np.zeros(rows)
    leaked = Polynomial.constant(zeros, space.size)
    total = _changed("signal", nominal, space, experiment)
    total = total + _changed("beam background", nominal, space, experiment)
    if not on_off:
        total = total + _changed("background", nominal, space, experiment)
        return _Piece(total, rows, zeros, zeros, leaked, counts.binning)
    if any(off.any() for off in counts.signal_off.values()):
        leaked = _changed("signal", _nominal(counts, space, _leaked_rows), space, experiment)
    beam_off = counts.beam_off / counts.tau
    beside = replace(nominal, beam=beam_off)
    leaked = leaked + (_changed("beam background", beside, space, experiment) - beam_off)
    background = counts.steady + beam_off
    return _Piece(total, rows, zeros + counts.tau, background, leaked, counts.binning)


def _signal_rows(counts: Templates, key: Key) -> Array:
    """Signal of a template in rows."""
    return arranged(counts, counts.signal[key], counts.signal_off[key])


def _leaked_rows(counts: Templates, key: Key) -> Array:
    """What of the signal is part of a free background."""
    return counts.signal_off[key] / counts.tau


def _nominal(
    counts: Templates, space: _Space, rows_of: Callable[[Templates, Key], Array]
) -> Nominal:
    """Counts before any nuisance parameter, the signal in the rows that are asked for."""
    experiment = counts.experiment
    return Nominal(
        _signal(counts, space, rows_of),
        lambda shift: _signal(templates(experiment, shift), space, rows_of),
        steady_rows(counts),
        beam_rows(counts),
        counts.binning,
        counts.tau,
    )


def _changed(name: Template, nominal: Nominal, space: _Space, experiment: Experiment) -> Polynomial:
    """A template with all that nuisance parameters do to it: shapes, then factors on all."""
    template = nominal.template(name)
    if not isinstance(template, Polynomial):
        template = Polynomial.constant(template, space.size)
    for nuisance in sorted(nuisances_of(experiment), key=lambda n: n.effect.is_factor):
        if nuisance.effect.acts_on == name:
            x = space.nuisance(nuisance)
            try:
                template = nuisance.effect.applied(template, nominal, x, nuisance.uncertainty)
            except ValueError as error:
                raise ExperimentError(
                    f"{experiment.name}: analysis.systematic '{nuisance.name}' "
                    f"({nuisance.effect.name} of {nuisance.uncertainty:g}): {error}"
                ) from None
    return template


def _refuse_without_effect(experiment: Experiment, nominal: Nominal) -> None:
    """Refuse systematics of a background that is not there, or is free in each bin."""
    for number, systematic in enumerate(experiment.analysis.systematic):
        acts_on = SYSTEMATICS[systematic.effect].acts_on
        where = f"{experiment.name}: analysis.systematic.{number} ('{systematic.name}')"
        counts = {"background": nominal.steady, "beam background": nominal.beam}.get(acts_on)
        if counts is not None and not counts.any():
            raise ExperimentError(
                f"{where}: effect = '{systematic.effect}' acts on the {acts_on}, of which none is "
                "expected: give it a rate (background.<name>.rate)"
                + (", or, if it is as dense in beam-off, take statistic = 'pulls' or "
                   "'on-off-scaled': 'on-off' leaves it free in each bin"
                   if experiment.analysis.statistic == "on-off" else "")
            )  # fmt: skip
        if acts_on == "background" and experiment.analysis.statistic == "on-off":
            raise ExperimentError(
                f"{where}: effect = '{systematic.effect}' acts on the steady-state background, "
                "which statistic = 'on-off' leaves free in each bin; use pulls or on-off-scaled"
            )


SCALE = 0.01
"""A background factor that beam-off measures is 1 + SCALE z, so that z is of the order of one."""


def _signal(
    counts: Templates, space: _Space, rows_of: Callable[[Templates, Key], Array]
) -> Polynomial:
    """Signal of an experiment: couplings times templates."""
    interaction = _symbolic(counts.experiment.interaction, space)
    result = Polynomial.constant(np.zeros(len(steady_rows(counts))), space.size)
    couplings: dict[str, dict[str, Any]] = {}
    for key in counts.signal:
        flavour, _, structure = key
        if flavour not in couplings:
            couplings[flavour] = structure_couplings(interaction, flavour)
        result = result + couplings[flavour][structure] * rows_of(counts, key)
    for i, p in enumerate(space.parameters):
        if p.name == STRENGTH.name:
            result = result * Polynomial.variable(i, space.size)
    return result


def _symbolic(interaction: Interaction, space: _Space) -> Interaction:
    """The interaction with polynomials in the place of the free couplings."""
    for i, p in enumerate(space.parameters):
        if p.name != STRENGTH.name:
            interaction = _with(interaction, p.name.split("."), Polynomial.variable(i, space.size))
    return interaction


def _with(settings: T, path: Sequence[str], value: Any) -> T:
    """Settings with one value replaced, unchecked: it may be a polynomial."""
    first, *rest = path
    return unchecked(
        settings, **{first: _with(getattr(settings, first), rest, value) if rest else value}
    )


def nuisances_of(experiment: Experiment) -> tuple[Nuisance, ...]:
    """Nuisance parameters of an experiment, those of the background last."""
    analysis = experiment.analysis
    nuisances = []
    if analysis.signal_uncertainty > 0:
        effect = SignalNormalisation()
        nuisances.append(Nuisance(analysis.signal_pull, effect, analysis.signal_uncertainty))
    nuisances += [
        Nuisance(s.name, SYSTEMATICS[s.effect], s.uncertainty) for s in analysis.systematic
    ]
    name, uncertainty = experiment.background_pull, analysis.background_uncertainty
    if analysis.statistic == "pulls" and uncertainty > 0:
        nuisances.append(Nuisance(name, BackgroundNormalisation(), uncertainty))
    elif analysis.statistic == "on-off-scaled":
        nuisances.append(Nuisance(name, MeasuredInBeamOff(), SCALE))
    if analysis.factors == "linear":
        return tuple(replace(n, effect=n.effect.as_linear()) for n in nuisances)
    return tuple(nuisances)


def _nuisances(experiments: Sequence[Experiment]) -> tuple[Nuisance, ...]:
    """Nuisance parameters of all experiments; the same name is the same parameter.

    Raises
    ------
    ExperimentError
        If experiments give one name two meanings or uncertainties.
    """
    known: dict[str, tuple[Nuisance, str]] = {}

    for experiment in experiments:
        for nuisance in nuisances_of(experiment):
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


def _refuse_twice(experiments: Sequence[Experiment]) -> None:
    """Refuse an experiment that is there twice, and two detectors of one name."""
    first: dict[str, Experiment] = {}
    for number, experiment in enumerate(experiments):
        other = first.setdefault(experiment.name, experiment)
        if experiment.target.material != other.target.material:
            raise ExperimentError(
                f"two experiments are called {experiment.name}, of {other.target.material} and "
                f"{experiment.target.material}: give them names, by which their backgrounds have "
                "pulls of their own"
            )
        if experiment in experiments[:number]:
            raise ExperimentError(
                f"{experiment.name} is given twice with the same settings, which would count its "
                "data twice: for a longer run give exposure.years, for another detector a name"
            )


def _named_apart(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Experiments of one name as NAME#2 and so on: the same detector at other settings.

    Their background is the same too, and has the pull that it has by the name in their files.
    """
    named: list[Experiment] = []
    seen: dict[str, int] = {}
    for experiment in experiments:
        seen[experiment.name] = seen.get(experiment.name, 0) + 1
        number = seen[experiment.name]
        if number > 1:
            pull = experiment.analysis.background_pull or experiment.name
            analysis = experiment.analysis.model_copy(update={"background_pull": pull})
            name = f"{experiment.name}#{number}"
            experiment = experiment.model_copy(update={"name": name, "analysis": analysis})
        named.append(experiment)
    return named


def _agree(experiments: Sequence[Experiment]) -> None:
    """Refuse experiments whose couplings differ: one truth for all."""
    first, *others = experiments
    of_first = {c.name: c.value for c in first.interaction.all_couplings()}
    for other in others:
        of_other = {c.name: c.value for c in other.interaction.all_couplings()}
        for name in of_first | of_other:
            a, b = of_first.get(name), of_other.get(name)
            if a != b:
                raise ExperimentError(
                    f"{first.name} and {other.name} disagree on interaction.{name} "
                    f"({a} and {b}): what is combined must have the same couplings"
                )


def _not_empty(model: Model) -> None:
    """Refuse bins that expect neither signal nor background: a count there has no likelihood."""
    counts = model.counts(model.truth)
    for section in model.sections:
        places = [
            (number, section.binning.describe(i))
            for i, number in enumerate(range(section.on.start, section.on.stop))
        ]
        if section.off is not None:
            places.append((section.off.start, "beam-off"))
        for number, place in places:
            if not counts[number] > 0:
                raise ExperimentError(
                    f"{section.name}: {place} expects {counts[number]:.3g} counts, which must be "
                    "positive: give it a background (background.<name>.rate), or other bins "
                    "(analysis.edges, analysis.axes, detector.e_max)"
                )
