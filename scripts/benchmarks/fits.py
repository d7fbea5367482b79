"""`nuspill benchmark fits`: toys of many models, each fit tried again by independent searches.

Parameters of every kind are met by every second statistic, number of detectors and nuisance effect.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..options.computing import Computing, threads_option
from ..options.output import Output, json_option
from ..output import progress_bar
from .stopwatch import machine

if TYPE_CHECKING:
    from ...generator.arrays import Array
    from ...toys.counts.model import Data, Model

BLOCK = 50_000
"""Toys that are in memory at once."""
LIBRARY_STARTS = 12
"""Starts of iminuit, of each toy."""


@dataclass(frozen=True)
class Checked:
    """A model, and a point far from its experiments' own couplings."""

    experiments: tuple[str, ...]
    parameters: tuple[str, ...]
    far: Mapping[str, float]
    """Values of some parameters, which are held there; the others are fitted."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    """What the settings are, in a word."""

    @property
    def name(self) -> str:
        """Experiments, parameters and settings."""
        return f"{'+'.join(self.experiments)} {','.join(self.parameters)} {self.label}".strip()

    def build(self) -> Model:
        """The model."""
        from ...reco.experiment import load
        from ...toys.counts.combination import build

        experiments = [load(name, self.settings) for name in self.experiments]
        return build(experiments, self.parameters)


def _systematics(**uncertainties: float) -> dict[str, Any]:
    effects = [
        {"name": f"{effect}, all", "effect": effect, "uncertainty": uncertainty}
        for effect, uncertainty in uncertainties.items()
    ]
    return {"analysis.systematic": effects}


PARAMETERS: tuple[tuple[tuple[str, ...], dict[str, float]], ...] = (
    (("strength",), {"strength": 0.2}),
    (("sin2w", "radius.emu"), {"sin2w": 0.2}),
    (("moment.numu", "sin2w"), {"moment.numu": 0.0}),
    (("nsi.u.ee", "nsi.u.mumu"), {"nsi.u.ee": 0.2, "nsi.u.mumu": 0.3}),
    (("nsi.u.ee", "nsi.d.ee"), {"nsi.d.ee": 0.1}),
    (("nsi.u.ee", "nsi.u.emu", "nsi.u.etau"), {"nsi.u.ee": 0.1}),
    (("nsi.u.ee", "nsi.d.ee", "nsi.u.mumu", "nsi.d.mumu"), {"nsi.u.mumu": 0.2}),
    (("radius.ee", "radius.mumu"), {"radius.ee": 20.0, "radius.mumu": -40.0}),
    (("radius.ee", "radius.mumu", "radius.emu"), {"radius.ee": 10.0}),
    (("moment.numu", "moment.nue"), {"moment.numu": 3.0}),
    (("strength", "nsi.u.emu"), {"nsi.u.emu": 0.3}),
    (("sin2w", "nsi.u.ee", "radius.ee"), {"nsi.u.ee": 0.3}),
)
"""Parameters, with those that are held and their values."""

WORLDS: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = (
    (("ess-csi",), "", {}),
    (("ess-csi", "ess-ar"), "", {}),
    (("ess-ge",), "on-off-scaled", {"analysis.statistic": "on-off-scaled"}),
    (
        ("ess-si",),
        "on-off, quenching and flux",
        {"analysis.statistic": "on-off", **_systematics(quenching=0.05, flux=0.05)},
    ),
    (("ess-ar",), "few counts", {"exposure.years": 0.02}),
    (
        ("ess-csi",),
        "five effects",
        _systematics(quenching=0.05, flux=0.05, resolution=0.05, threshold=0.05, distance=0.02),
    ),
    (("ess-xe", "ess-xe-ar"), "18 months", {"exposure.years": 1.5}),
    (("ess-csi", "ess-si", "ess-xe", "ess-ge", "ess-ar", "ess-c3f8"), "", {}),
    (("ess-c3f8",), "linear", {"analysis.factors": "linear"}),
    (("ess-xe",), "on-off", {"analysis.statistic": "on-off"}),
)
"""Experiments, what their settings are called, and the settings."""


def checked_models() -> tuple[Checked, ...]:
    """Every set of parameters in every second world, so that neighbours differ: 60 models."""
    return tuple(
        Checked(experiments, parameters, far, settings, label)
        for i, (parameters, far) in enumerate(PARAMETERS)
        for k, (experiments, label, settings) in enumerate(WORLDS)
        if (i + k) % 2 == 0
    )


@dataclass(frozen=True)
class Verdict:
    """How the fits of a model's toys did."""

    model: str
    truth: str
    """Where the toys were thrown: at the experiments' own couplings, or far."""
    fits: int
    microseconds: float
    """A fit, on all threads."""
    failed: int
    improvable: int
    """By more than `audit.GAIN`, by our slower search."""
    improvable_by_iminuit: int
    checked_by_iminuit: int
    largest_gain: float
    """Of χ², by either."""


@click.command()
@click.option("--toys", type=click.IntRange(1), default=1000, show_default=True, help="A truth.")
@click.option(
    "--iminuit", "library", type=click.IntRange(0), default=3, show_default=True,
    help="Toys that iminuit fits as well, from many starts.",
)  # fmt: skip
@click.option("--only", metavar="TEXT", default="", help="Models whose name holds TEXT.")
@click.option(
    "--shipped", metavar="N", type=click.IntRange(1), default=None,
    help="Instead: N toys of every shipped experiment, and how many fits fail.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=7, show_default=True)
@threads_option
@json_option
def command(
    toys: int,
    library: int,
    only: str,
    shipped: int | None,
    seed: int,
    computing: Computing,
    output: Output,
) -> None:
    """Fit toys of 60 models, and look for lower minima with searches that know nothing of ours.

    Every fit is tried again from 32 starts in the model's own variables; some by iminuit.
    """
    models = [m for m in (_shipped() if shipped else checked_models()) if only in m.name]
    if not models:
        raise click.BadParameter(f"no model's name holds '{only}'", param_hint="--only")
    verdicts: list[Verdict] = []
    with progress_bar(2 * len(models), "models") as advance:
        for model in models:
            for far in (False, True):
                count = shipped or toys
                verdicts.append(_judge(model, far, count, not shipped, library, seed, computing))
                advance(1)
    rows = [tuple(asdict(verdict).values()) for verdict in verdicts]
    columns = [
        "model", "truth", "fits", "µs", "failed", "improvable", "iminuit", "of", "by up to",
    ]  # fmt: skip
    output.table("Fits of toys, tried again", columns, rows)
    total = sum(verdict.fits for verdict in verdicts)
    failed = sum(verdict.failed for verdict in verdicts)
    improvable = sum(v.improvable + v.improvable_by_iminuit for v in verdicts)
    output.text(f"\n{len(models)} models, {total} fits: {failed} failed, {improvable} improvable")
    output.json(
        {
            "models": len(models),
            "fits": total,
            "failed": failed,
            "improvable": improvable,
            "verdicts": [asdict(verdict) for verdict in verdicts],
            "machine": machine(),
        }
    )


def _shipped() -> tuple[Checked, ...]:
    """Every shipped experiment whose signal is computed, in a plane of NSI couplings."""
    from ...generator.coupling import LEPTON
    from ...reco.experiment import load, shipped_experiments

    checked = []
    for name in shipped_experiments():
        experiment = load(name)
        if experiment.template:
            continue
        leptons = {LEPTON[flavour.name] for flavour in experiment.source.flavours}
        far = {"nsi.u.ee": 0.2, "nsi.u.mumu" if "mu" in leptons else "nsi.d.ee": 0.3}
        checked.append(Checked((name,), tuple(far), far))
    return tuple(checked)


def _judge(
    checked: Checked,
    far: bool,
    toys: int,
    audited: bool,
    library: int,
    seed: int,
    computing: Computing,
) -> Verdict:
    """Fit toys with the parameters of `far` held and free, and try the fits again."""
    import numpy as np

    from ...toys.construction.ensemble import Ensemble, Truth
    from ...toys.construction.throw import throw
    from ...toys.fit.audit import GAIN, gains
    from ...toys.fit.search import search

    model, here = checked.build(), computing.here
    truth = model.truth.copy()
    for name, value in checked.far.items() if far else ():
        truth[model.number(name)] = value
    source = partial(throw, model, Ensemble(), Truth(truth, model.background_at(truth)), seed, 0)
    verdict = Verdict(checked.name, "far" if far else "own", 0, 0.0, 0, 0, 0, 0, 0.0)
    for held, first in itertools.product(((), tuple(checked.far)), range(0, toys, BLOCK)):
        if len(held) == model.variables:
            continue
        data = source(first, min(first + BLOCK, toys))
        finder = search(model, held).around(truth)
        begin = time.perf_counter()
        fits = finder.fit(data, truth[None], workers=here)
        seconds = time.perf_counter() - begin
        verdict = replace(
            verdict,
            fits=verdict.fits + len(data),
            microseconds=max(verdict.microseconds, 1e6 * seconds / len(data)),
            failed=verdict.failed + int(np.count_nonzero(fits.status)),
        )
        if not audited:
            continue
        gain = gains(model, data, fits, [model.number(name) for name in held], here)
        chosen = np.linspace(0, len(data) - 1, min(library, len(data))).astype(int)
        least = np.array([by_iminuit(model, data, int(t), truth, held) for t in chosen])
        more = fits.chi2[chosen] - least if len(chosen) else np.zeros(0)
        verdict = replace(
            verdict,
            improvable=verdict.improvable + int(np.count_nonzero(gain > GAIN)),
            improvable_by_iminuit=verdict.improvable_by_iminuit + int(np.sum(more > GAIN)),
            checked_by_iminuit=verdict.checked_by_iminuit + len(chosen),
            largest_gain=max(verdict.largest_gain, *gain, *more),
        )
    return verdict


def by_iminuit(
    model: Model, data: Data, toy: int, truth: Array, held: tuple[str, ...] = ()
) -> float:
    """Least χ² of a data set that MIGRAD finds from some starts around the truth."""
    import numpy as np
    from iminuit import Minuit

    from ...toys.fit.likelihood import Chi2
    from ...toys.fit.search import reach

    cost = Chi2(model, data, toy)
    rng = np.random.default_rng(toy)
    parameters = range(len(model.parameters))
    scale = np.array([reach(model, i) for i in parameters])
    least = np.inf
    for number in range(LIBRARY_STARTS):
        start = truth.copy()
        width = (0.0, 0.5, 2.0, 4.0)[number % 4]
        start[parameters] += width * scale * rng.standard_normal(len(scale))
        start = np.clip(start, model.lower, model.upper)
        minuit = Minuit(_finite(cost), start, name=model.names, grad=cost.gradient)
        minuit.limits = list(zip(model.lower, model.upper, strict=True))
        for name in held:
            minuit.values[name] = truth[model.number(name)]
            minuit.fixed[name] = True
        minuit.strategy = 0
        minuit.migrad(iterate=3)
        least = min(least, cost(np.array(minuit.values)))
    return least


def _finite(cost: Callable[[Array], float]) -> Callable[[Array], float]:
    """A cost for MIGRAD, which takes no infinities."""
    return lambda values: min(cost(values), 1e10)
