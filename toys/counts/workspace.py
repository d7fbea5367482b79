"""The signal strength of experiments as a HistFactory workspace (JSON of pyhf).

Every part of the model has its exact counterpart, so that −2 ln L differs from our χ² (4.3, 4.4 of
arXiv:1911.00762) by a constant:

- strength: a normfactor on the signal.
- a pull, (1 + σ)^η with η Gaussian of width one: a `normsys`. Within one σ pyhf, as ROOT, takes by
  default a polynomial, which differs by less than 1e-11 for σ = 0.1 and 1e-7 for 0.5, relative
  (tested); its interpolation "code1" is the same everywhere.
- a linear one, 1 + σ η (`analysis.factors`): a `histosys` with symmetric templates (1 ± σ) × the
  nominal one. All of its interpolations are a straight line then, beyond one σ too.
- a background that beam-off measures up to a factor: a normfactor common to the channel and to the
  channel NAME_off of one bin. Ours is 1 + 0.01 z.
- a background free in each bin: a shapefactor common to NAME and NAME_off, of as many bins.

- templates at ±1 standard deviation that differ by as much: a `histosys` likewise.

What is quadratic in a pull, or has another uncertainty downwards, has no counterpart and is
refused: systematics whose effect has no `modifier`. Every monomial of the model is a sample.

Bounds of all parameters are in the measurement: ours where we have them, the 1 % of a factor at
which it is least, and else so far away that no fit gets there, as JSON has no infinity.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ...generator.arrays import Array, Json
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ..effects.effect import SYSTEMATICS
from .combination import build
from .model import Data, Model, Nuisance, Section
from .parameter import STRENGTH
from .polynomial import Powers

ROUNDING = 1e-9
"""Relative size of counts that are nothing but rounding."""
MOST_FACTOR = 1e3
"""Upper bound of the strength, and of a factor on a background; ours have none."""
MOST_PULL = 1e3
"""Upper bound of a pull, standard deviations; ours have none. pyhf's own bounds are -5 and 5."""


def workspace(experiments: Sequence[Experiment], data: Data | None = None) -> Json:
    """Workspace of experiments, combined; pulls of the same name are common to them.

    Parameters
    ----------
    data
        One data set of the model with the parameter `strength`; by default the Asimov data. The
        centres of its pulls are no part of a workspace: they are pyhf's auxiliary data.

    Returns
    -------
    dict
        Content to be written as JSON; ``pyhf.Workspace(result).model()`` is its likelihood.

    Raises
    ------
    ExperimentError
        If there are systematics that HistFactory does not have, or as `build`.
    """
    exported = [f"'{name}'" for name, effect in SYSTEMATICS.items() if effect.modifier]
    for experiment in experiments:
        for systematic in experiment.analysis.systematic:
            effect = SYSTEMATICS[systematic.effect].of(systematic)
            if effect.modifier is None:
                reason = "has uncertainty_down" if effect.is_factor else "is quadratic in its pull"
                raise ExperimentError(
                    f"{experiment.name}: analysis.systematic '{systematic.name}': effect = "
                    f"'{systematic.effect}' {reason}, which HistFactory does not "
                    f"have; only {', '.join(exported)} can be exported"
                )
    model = build(experiments, [STRENGTH.name])
    data = model.asimov() if data is None else data
    channels: list[Json] = []
    observations: list[Json] = []
    # without bounds here, pyhf has 0 to 10 for factors, and -5 to 5 for pulls
    parameters: list[Json] = [_bounded(STRENGTH.name, [0.0, MOST_FACTOR], inits=[1.0])]
    parameters += [_bounded(n.name, _bounds(n)) for n in model.nuisances]
    for section, experiment in zip(model.sections, experiments, strict=True):
        names = _Names(model, section, experiment)
        name, on = section.name, section.on
        beam_off = f"{name}_off"
        samples = _samples(model, names, on)
        if np.any(model.tau[on] > 0):
            factor = f"{name}.background"
            nominal = np.where(model.background[on] > 0, model.background[on], 1.0)
            seen = 1 + data.counts[0, on] + data.off[0, on] / model.tau[on]
            most = MOST_FACTOR * np.maximum(1.0, seen / nominal)
            parameters.append(_bounded(factor, *([0.0, float(top)] for top in most)))
            samples.append(_free(nominal, factor))
            beside = _free(nominal * model.tau[on], factor)
            channels.append({"name": beam_off, "samples": [beside]})
            observations.append({"name": beam_off, "data": data.off[0, on].tolist()})
        channels.append({"name": name, "samples": samples})
        observations.append({"name": name, "data": data.counts[0, on].tolist()})
        if section.off is not None:
            channels.append({"name": beam_off, "samples": _samples(model, names, section.off)})
            observations.append({"name": beam_off, "data": data.counts[0, section.off].tolist()})
    return {
        "version": "1.0.0",
        "channels": channels,
        "observations": observations,
        "measurements": [
            {"name": "nuspill", "config": {"poi": STRENGTH.name, "parameters": parameters}}
        ],
    }


def _bounded(name: str, *bounds: list[float], **others: list[float]) -> Json:
    """A parameter in a measurement, with the bounds of each of its components."""
    return {"name": name, "bounds": list(bounds), **others}


def _bounds(nuisance: Nuisance) -> list[float]:
    """Bounds of a nuisance parameter; those of one without a pull are of the factor 1 + σ z."""
    low, high = max(nuisance.lower, -MOST_PULL), MOST_PULL
    if nuisance.effect.modifier == "normfactor":
        return [1 + nuisance.uncertainty * low, MOST_FACTOR]
    return [low, high]


def _samples(model: Model, names: _Names, part: slice) -> list[Json]:
    """Signal and backgrounds of a channel, a sample a monomial of the model's polynomial."""
    first = len(model.parameters)
    counts, changes = _monomials(model, part)
    samples: list[Json] = []
    for powers in sorted(counts, key=sum, reverse=True):
        nuisances = [n for power, n in zip(powers[first:], model.nuisances, strict=True) if power]
        nominal = counts[powers]
        name = names.name(powers, {sample["name"] for sample in samples})
        sample = _sample(name, nominal, strength=bool(powers[0]))
        sample["modifiers"] += [_factor(nuisance) for nuisance in nuisances]
        sample["modifiers"] += [_pull(n, nominal, change) for n, change in changes[powers].items()]
        if any(sample["data"]) or sample["modifiers"]:
            samples.append(sample)
    return samples


def _monomials(
    model: Model, part: slice
) -> tuple[dict[Powers, Array], dict[Powers, dict[Nuisance, Array]]]:
    """Counts by monomial without linear pulls, and what those pulls change of each."""
    terms = {p: np.asarray(c, float)[part] for p, c in model.expected.terms.items()}
    largest = max(float(np.abs(c).max()) for c in terms.values())
    numbered = list(enumerate(model.nuisances, len(model.parameters)))
    counts: dict[Powers, Array] = {}
    changes: dict[Powers, dict[Nuisance, Array]] = {}
    for powers, values in terms.items():
        if np.abs(values).max() <= ROUNDING * largest:
            continue
        pulls = [(i, n) for i, n in numbered if powers[i] and n.rate == 0 and n.weight]
        _refuse_products(powers, pulls)
        base = powers
        for i, nuisance in pulls:
            base = (*powers[:i], 0, *powers[i + 1 :])
            changes.setdefault(base, {})[nuisance] = values
        counts.setdefault(base, np.zeros(part.stop - part.start))
        changes.setdefault(base, {})
        if not pulls:
            counts[powers] = values
    for i, nuisance in numbered:  # of 1 + σ z without a pull, z σ is in one sample with the 1
        if nuisance.effect.modifier == "normfactor":
            for powers in [q for q in counts if q[i]]:
                base = (*powers[:i], 0, *powers[i + 1 :])
                counts[powers] = counts[powers] / nuisance.uncertainty
                rest = counts[base] - counts[powers]
                counts[base] = np.where(rest > ROUNDING * counts[base], rest, 0.0)
                for pull, change in changes[powers].items():
                    changes[powers][pull] = change / nuisance.uncertainty
                    left = changes[base].pop(pull) - changes[powers][pull]
                    if np.abs(left).max() > ROUNDING * largest:
                        changes[base][pull] = left
    return counts, changes


def _refuse_products(powers: Powers, pulls: Sequence[tuple[int, Nuisance]]) -> None:
    """Refuse a monomial with more than one of the pulls that come by themselves."""
    if sum(powers[i] for i, _ in pulls) < 2:
        return
    names = " and ".join(f"'{nuisance.name}'" for _, nuisance in pulls)
    for i, nuisance in pulls:
        if powers[i] > 1:
            raise ExperimentError(
                f"'{nuisance.name}': effect = '{nuisance.effect.name}' is not linear in its pull: "
                "up and down are not 1 + δ and 1 - δ with δ of at most 0.125, and what HistFactory "
                "has in place of our square is another function"
            )
    raise ExperimentError(
        f"{names}: analysis.factors = 'linear', or distribution = 'normal': the product of two "
        "linear factors is not in HistFactory; leave factors log-normal"
    )


@dataclass(frozen=True, eq=False)
class _Names:
    """Names of samples by what they are: the signal, or backgrounds.

    Where pulls act on single backgrounds these have their own names, else that of their kind.
    """

    model: Model
    section: Section
    experiment: Experiment

    def name(self, powers: Powers, taken: Collection[str]) -> str:
        """Name of the sample of a monomial beside those that are taken."""
        name = "signal" if powers[0] else self._background(powers)
        same = [other for other in taken if other.split(" without pull")[0] == name]
        return name + " without pull" * bool(same) + (f" {len(same)}" if len(same) > 1 else "")

    def _background(self, powers: Powers) -> str:
        model, e = self.model, self.experiment
        single = (
            any(b.uncertainty for b in e.background)
            or any(s.on for s in e.analysis.systematic)
            or bool(e.template)
        )
        if single:
            owners = [
                component.name
                for component in model.components
                if component.section == self.section.name and component.on.holds(powers)
            ]
            return " + ".join(owners) or "background"
        first = len(model.parameters)
        nuisances = [n for power, n in zip(powers[first:], model.nuisances, strict=True) if power]
        return nuisances[0].effect.acts_on if nuisances else "background"


def _factor(nuisance: Nuisance) -> Json:
    """A factor (1 + σ)^η, or one without a pull."""
    if nuisance.effect.modifier == "normfactor":
        return {"type": "normfactor", "name": nuisance.name, "data": None}
    up = float(nuisance.factor(1.0))
    return {"type": "normsys", "name": nuisance.name, "data": {"hi": up, "lo": 1 / up}}


def _sample(name: str, counts: Array, strength: bool = False) -> Json:
    """A sample, the signal with the factor of its strength."""
    factor = {"type": "normfactor", "name": STRENGTH.name, "data": None}
    return {"name": name, "data": counts.tolist(), "modifiers": [factor] if strength else []}


def _free(nominal: Array, factor: str) -> Json:
    """A background that is free in each bin."""
    shape = {"type": "shapefactor", "name": factor, "data": None}
    return {"name": "steady", "data": nominal.tolist(), "modifiers": [shape]}


def _pull(nuisance: Nuisance, nominal: Array, change: Array) -> Json:
    """A linear pull."""
    return {
        "type": nuisance.effect.modifier,
        "name": nuisance.name,
        "data": {"hi_data": (nominal + change).tolist(), "lo_data": (nominal - change).tolist()},
    }
