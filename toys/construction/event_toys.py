"""Toys of events: the whole chain of generator, response and windows behind every count.

What binned toys take from quadrature (smearing, windows, vetoed exposures, the recoil spectrum)
happens here to single events. It is slower by orders of magnitude, and agrees with binned toys
where the templates do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from ...generator.arrays import Array
from ...reco.chain.codes import OFF, ON
from ...reco.cluster.workers import ALONE
from ...reco.columns import Block, counted
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.runs.run import Run, plan
from ..counts.bins import column_and_edges
from ..counts.effect import Template
from ..counts.model import Model
from ..counts.parameter import STRENGTH
from ..kernels.throw import event_seed
from .ensemble import Truth


def runs_at(model: Model, experiments: Sequence[Experiment], truth: Truth) -> list[Run]:
    """Runs of the experiments with the couplings and normalisations of a truth.

    Raises
    ------
    ExperimentError
        If the truth has a shifted response, which the chain does not know.
    """
    values = dict(zip(model.names, truth.values.tolist(), strict=True))
    for nuisance in model.nuisances:
        if not nuisance.effect.is_factor and values[nuisance.name] != 0:
            raise ExperimentError(
                f"toys of events cannot shift {nuisance.effect.name} ('{nuisance.name}' = "
                f"{values[nuisance.name]:g}); use --ensemble fixed, or binned toys"
            )
    runs = []
    for experiment in experiments:
        analysis = experiment.analysis
        own = {analysis.signal_pull, experiment.background_pull}
        own |= {systematic.name for systematic in analysis.systematic}
        factors: dict[Template, float] = dict.fromkeys(get_args(Template), 1.0)
        factors["signal"] = values.get(STRENGTH.name, STRENGTH.default)
        for nuisance in model.nuisances:
            if nuisance.name in own and nuisance.effect.is_factor:
                factors[nuisance.effect.acts_on] *= float(nuisance.factor(values[nuisance.name]))
        distance = experiment.source.distance / max(factors["signal"], 1e-12) ** 0.5
        settings: dict[str, object] = {
            f"interaction.{p.name}": values[p.name]
            for p in model.parameters
            if p.name != STRENGTH.name
        }
        settings["source.distance"] = distance
        for b in experiment.background:
            template: Template = "background" if b.timing == "steady" else "beam background"
            settings[f"background.{b.name}.rate"] = b.rate * factors[template]
        runs.append(plan(experiment.replace(**settings)))
    return runs


def throw_events(
    model: Model,
    runs: Sequence[Run],
    seed: int,
    point: int,
    start: int,
    stop: int,
) -> tuple[Array, Array]:
    """Counts and beam-off counts of toys `start` to `stop` − 1 of a grid point.

    Parameters
    ----------
    runs
        Runs from `runs_at`; each toy has a seed of its own, from (seed, point, toy, experiment).

    Returns
    -------
    counts, off
        Arrays of shape (stop − start, bins); off (1, bins) where no background is measured.
    """
    counts = np.zeros((stop - start, model.bins))
    off = np.zeros((stop - start if model.tau.any() else 1, model.bins))
    for number, (run, section) in enumerate(zip(runs, model.sections, strict=True)):
        column, edges = column_and_edges(run.experiment, section.edges)
        for row, toy in enumerate(range(start, stop)):
            own = run.with_seed(int(event_seed(np.uint64(seed), toy, point, number)))
            block = own.make(0, own.events, ALONE)
            counts[row, section.on] = _histogram(block, column, edges, ON)
            if section.off is not None:
                counts[row, section.off] = _histogram(block, column, edges, OFF).sum()
            elif model.tau[section.on].any():
                off[row, section.on] = _histogram(block, column, edges, OFF)
    return counts, off


def _histogram(block: Block, column: str, edges: Array, window: int) -> Array:
    chosen = block["selected"] & (block["window"] == window)
    return counted(block[column][chosen], edges)
