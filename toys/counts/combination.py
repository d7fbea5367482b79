"""From experiments to one model: couplings times templates times nuisance parameters.

The couplings are those of `generator.coupling`, worked out with polynomials in the place of
numbers. Experiments are combined by putting their bins side by side; what has the same name is the
same nuisance parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ...generator.arrays import Array
from ...generator.coupling import Interaction, structure_couplings
from ...generator.settings import Settings, unchecked
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.response.background import SIGNAL
from ..effects.action import actions_of, nuisances, refuse_without_effect
from ..effects.effect import Nominal
from .binning import Binning
from .model import Component, Model, Nuisance, Section
from .parameter import STRENGTH, Parameter, parameter
from .polynomial import Polynomial
from .rows import arranged, beam_rows, check_beam, check_measurable, leaked_rows, steady_rows
from .template import Templates, templates

T = TypeVar("T", bound=Settings)


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
    _refuse_couplings(experiments, free)
    pulls = nuisances(experiments)
    variables = len(parameters) + len(pulls)
    space = _Space(parameters, pulls, variables)
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
            )
    values = {c.name: c.value for c in interaction.all_couplings()}
    own = [float(values.get(p.name, p.default)) for p in parameters]
    truth = np.array(own + [0.0] * len(pulls))
    leaked = leaked.without_zeros()
    background = background + leaked.at(truth)
    components = tuple(component for piece in pieces for component in piece.components)
    model = Model(
        parameters, pulls, expected, bins, truth, tau, background, tuple(sections), leaked,
        components,
    )  # fmt: skip
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
    components: tuple[Component, ...]


def _piece(experiment: Experiment, space: _Space) -> _Piece:
    counts = templates(experiment)
    check_measurable(counts)
    check_beam(counts)
    refuse_without_effect(counts)
    on_off = experiment.analysis.statistic == "on-off"
    beam, steady = (counts.named(steady=steady) for steady in (False, True))
    rows = len(steady_rows(counts, counts.steady, counts.tau * counts.steady))
    zeros = np.zeros(rows)
    none = Polynomial.constant(zeros, space.size)
    signal = _changed(counts, SIGNAL, space, arranged)
    of_beam = {name: _changed(counts, name, space, beam_rows) for name in beam}
    of_steady = {name: _rows(counts, name, space, steady_rows) for name in steady}
    total = signal + sum(of_beam.values(), none)
    if not on_off:
        of_steady = {name: _changed(counts, name, space, steady_rows) for name in steady}
        total = total + sum(of_steady.values(), none)
        components = {SIGNAL: signal, **of_beam, **of_steady}
        return _Piece(
            total, rows, zeros, zeros, none, counts.binning, _components(counts, components)
        )
    leaked = none
    if any(off.any() for off in counts.signal_off.values()):
        leaked = _changed(counts, SIGNAL, space, leaked_rows)
    beside = {name: _changed(counts, name, space, leaked_rows) for name in beam}
    components = {SIGNAL: signal + leaked}
    components |= {name: of_beam[name] + beside[name] for name in beam} | of_steady
    for name, off in beside.items():
        leaked = leaked + (off - leaked_rows(counts, *_both(counts, name)))
    background = counts.steady + counts.beam_off / counts.tau
    return _Piece(
        total, rows, zeros + counts.tau, background, leaked, counts.binning,
        _components(counts, components),
    )  # fmt: skip


def _components(counts: Templates, rows: Mapping[str, Polynomial]) -> tuple[Component, ...]:
    """Components in the order of the file, by their counts in rows, of which beam-on is first."""
    bins = counts.binning.bins
    section = counts.experiment.name
    on_off = counts.experiment.analysis.statistic == "on-off"
    free = counts.named(steady=True) if on_off else ()
    result = []
    for name in (SIGNAL, *counts.backgrounds):
        in_on = {powers: np.asarray(c)[:bins] for powers, c in rows[name].terms.items()}
        on = rows[name].with_terms(in_on).without_zeros()
        result.append(Component(name, section, on, name in free))
    return tuple(result)


Arrangement = Callable[[Templates, Array, Array], Array]
"""Rows of what has some counts in beam-on and in beam-off."""


def _rows(counts: Templates, name: str, space: _Space, arrangement: Arrangement) -> Polynomial:
    """A component in rows, before any nuisance parameter."""
    if name == SIGNAL:
        return _signal(counts, space, arrangement)
    return Polynomial.constant(arrangement(counts, *_both(counts, name)), space.size)


def _both(counts: Templates, name: str) -> tuple[Array, Array]:
    """Counts of a background in beam-on and in beam-off, shape (bins,) each."""
    return counts.backgrounds[name].on, counts.backgrounds[name].off


def _changed(counts: Templates, name: str, space: _Space, arrangement: Arrangement) -> Polynomial:
    """A component with all that nuisance parameters do to it: shapes, then factors on all."""
    nominal = Nominal(name, counts, lambda changed: _rows(changed, name, space, arrangement))
    rows = nominal.counts
    experiment = counts.experiment
    for action in sorted(actions_of(experiment), key=lambda a: a.nuisance.effect.is_factor):
        nuisance = action.nuisance
        if name in action.on:
            x = space.nuisance(nuisance)
            try:
                rows = nuisance.effect.applied(rows, nominal, x, nuisance.uncertainty)
            except ValueError as error:
                raise ExperimentError(
                    f"{experiment.name}: analysis.systematic '{nuisance.name}' "
                    f"({nuisance.effect.name} of {nuisance.uncertainty:g}) on '{name}': {error}"
                ) from None
    return rows


def _signal(counts: Templates, space: _Space, arrangement: Arrangement) -> Polynomial:
    """Signal of an experiment in rows: couplings times templates."""
    if counts.filed is not None:
        rows = arrangement(counts, counts.filed, np.zeros(counts.binning.bins))
        return _with_strength(Polynomial.constant(rows, space.size), space)
    interaction = _symbolic(counts.experiment.interaction, space)
    nothing = np.zeros(counts.binning.bins)
    result = Polynomial.constant(np.zeros(len(arrangement(counts, nothing, nothing))), space.size)
    couplings: dict[str, dict[str, Any]] = {}
    for key in counts.signal:
        flavour, _, structure = key
        if flavour not in couplings:
            couplings[flavour] = structure_couplings(interaction, flavour)
        rows = arrangement(counts, counts.signal[key], counts.signal_off[key])
        result = result + couplings[flavour][structure] * rows
    return _with_strength(result, space)


def _with_strength(signal: Polynomial, space: _Space) -> Polynomial:
    """A signal times its strength, if that is a variable."""
    for i, p in enumerate(space.parameters):
        if p.name == STRENGTH.name:
            return signal * Polynomial.variable(i, space.size)
    return signal


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


def _refuse_couplings(experiments: Sequence[Experiment], free: Sequence[str]) -> None:
    """Refuse couplings as parameters where the signal is from a file."""
    couplings = [name for name in free if name != STRENGTH.name]
    for experiment in experiments:
        if couplings and experiment.template_of(SIGNAL) is not None:
            raise ExperimentError(
                f"{experiment.name}: parameter '{couplings[0]}': its signal is from a file "
                f"(template.{SIGNAL}), which says nothing of couplings, and scales with "
                f"'{STRENGTH.name}' alone"
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
