"""The signal strength of experiments as a HistFactory workspace (JSON of pyhf).

Every part of the model has its exact counterpart, so that −2 ln L differs from our χ² (4.3, 4.4 of
arXiv:1911.00762) by a constant:

- strength: a normfactor on the signal.
- a pull, 1 + σ η with η Gaussian of width one: a `histosys` with symmetric templates (1 ± σ) × the
  nominal one. All of its interpolations are a straight line then, beyond one σ too; a `normsys`
  would be (1 + σ)^η.
- a background that beam-off measures up to a factor: a normfactor common to the channel and to the
  channel NAME_off of one bin. Ours is 1 + 0.01 z.
- a background free in each bin: a shapefactor common to NAME and NAME_off, of as many bins.

Bounds of all parameters are in the measurement: ours where we have them, the 1 % of a factor at
which it is least, and else so far away that no fit gets there, as JSON has no infinity.

A pull is linear in the model, so what is quadratic has no counterpart and is refused: systematics
whose effect has no `modifier`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...generator.arrays import Array, Json
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from .combination import build
from .effect import SYSTEMATICS
from .model import Data, Model, Nuisance
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
            if SYSTEMATICS[systematic.effect].modifier is None:
                raise ExperimentError(
                    f"{experiment.name}: analysis.systematic '{systematic.name}': effect = "
                    f"'{systematic.effect}' is quadratic in its pull, which HistFactory does not "
                    f"have; only {', '.join(exported)} can be exported"
                )
    model = build(experiments, [STRENGTH.name])
    data = model.asimov() if data is None else data
    channels: list[Json] = []
    observations: list[Json] = []
    # without bounds here, pyhf has 0 to 10 for factors, and -5 to 5 for pulls
    parameters: list[Json] = [_bounded(STRENGTH.name, [0.0, MOST_FACTOR], inits=[1.0])]
    parameters += [_bounded(n.name, _bounds(n)) for n in model.nuisances]
    for section in model.sections:
        name, on = section.name, section.on
        beam_off = f"{name}_off"
        samples = _samples(model, on)
        if np.any(model.tau[on] > 0):
            factor = f"{name}.background"
            nominal = np.where(model.background[on] > 0, model.background[on], 1.0)
            seen = 1 + data.counts[0, on] + data.off[0, on] / model.tau[on]
            most = MOST_FACTOR * np.maximum(1.0, seen / nominal)
            parameters.append(_bounded(factor, *([0.0, float(top)] for top in most)))
            samples.append(_sample("steady", nominal, "shapefactor", factor))
            beside = _sample("steady", nominal * model.tau[on], "shapefactor", factor)
            channels.append({"name": beam_off, "samples": [beside]})
            observations.append({"name": beam_off, "data": data.off[0, on].tolist()})
        channels.append({"name": name, "samples": samples})
        observations.append({"name": name, "data": data.counts[0, on].tolist()})
        if section.off is not None:
            channels.append({"name": beam_off, "samples": _samples(model, section.off)})
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


def _samples(model: Model, part: slice) -> list[Json]:
    """Signal and background of a channel, from the polynomial of the model."""
    terms = {p: np.asarray(c, float)[part] for p, c in model.expected.terms.items()}
    nothing = np.zeros(part.stop - part.start)
    signal = _sample("signal", terms.pop(_powers(model, 0), nothing), "normfactor", STRENGTH.name)
    fixed = terms.pop(_powers(model), nothing)
    samples = [signal]
    for i, nuisance in enumerate(model.nuisances, 1):
        if nuisance.effect.modifier == "normfactor":  # 1 + σ z without a pull
            measured = terms.pop(_powers(model, i), nothing) / nuisance.uncertainty
            fixed = np.where(fixed - measured > ROUNDING * fixed, fixed - measured, 0.0)
            samples.append(
                _sample(nuisance.name, measured, nuisance.effect.modifier, nuisance.name)
            )
    background = _sample("background", fixed)
    for i, nuisance in enumerate(model.nuisances, 1):
        for sample, powers in ((signal, _powers(model, 0, i)), (background, _powers(model, i))):
            change = terms.pop(powers, nothing)
            if np.any(change != 0):
                sample["modifiers"].append(_pull(nuisance, sample, change))
    rest = max((float(np.abs(c).max()) for c in terms.values()), default=0.0)
    assert rest <= ROUNDING * max(signal["data"], default=0.0)
    samples.append(background)
    return [s for s in samples if any(s["data"]) or (s is background and s["modifiers"])]


def _powers(model: Model, *variables: int) -> Powers:
    return tuple(variables.count(i) for i in range(model.variables))


def _sample(name: str, counts: Array, kind: str = "", factor: str = "") -> Json:
    modifiers = [{"type": kind, "name": factor, "data": None}] if kind else []
    return {"name": name, "data": counts.tolist(), "modifiers": modifiers}


def _pull(nuisance: Nuisance, sample: Json, change: Array) -> Json:
    nominal = np.array(sample["data"])
    return {
        "type": nuisance.effect.modifier,
        "name": nuisance.name,
        "data": {"hi_data": (nominal + change).tolist(), "lo_data": (nominal - change).tolist()},
    }
