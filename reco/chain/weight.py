"""Weights to other couplings, so that a sample need not be made again.

The weight of an event is dσ/dT of the other model over that of the sample, at its neutrino energy,
recoil, flavour and nucleus; 1 for background. It says nothing of recoils below the truth threshold,
which the sample does not hold, nor of anything else that the sample holds none of: where its own
rate vanishes, of a flavour whose couplings cancel, there is nothing to be weighed. `reweighting`
tells by quadrature how many events count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.coupling import Interaction
from ...generator.cross_section import recoil_factors
from ...generator.rate import Channel, quadrature_nodes, recoil_grid
from ..configuration.unused import without_effect
from ..errors import ExperimentError, notice
from ..experiment import Experiment

HEAVY = 30.0
"""Weight, over the mean one, from which a cell of recoil energy, flavour and nucleus is heavy."""
FEW_EVENTS = 25.0
"""Events of a flavour and nucleus in heavy cells that are too few to stand for the others."""
MOST_LOST = 1e-3
"""Part of what the other model expects that few events may stand for."""
SMALL_PART = 0.1
"""Part of the events below which the effective number is worth a warning."""


@dataclass(frozen=True)
class Reweighting:
    """What is expected of a sample that is weighed to another model."""

    name: str
    """Name of the weight."""
    events: float
    """Expected signal events of the sample."""
    wanted: float
    """Expected signal events of the other model, the sum of the weights."""
    effective: float
    """Effective number of events, (Σw)²/Σw²."""
    lost: float
    """Part of the other model's events of whose kind the sample holds too few."""
    where: tuple[str, ...]
    """Flavours and nuclei of these, most first."""

    def check(self) -> None:
        """Refuse a sample that does not hold what the other model expects; tell of uneven weights.

        Raises
        ------
        ExperimentError
            Naming the weight, and where events are missing.
        """
        if self.lost > MOST_LOST:
            raise ExperimentError(
                f"weight '{self.name}': {100 * self.lost:.2g} % of the {self.wanted:.4g} signal "
                f"events that it expects are of a kind ({', '.join(self.where)}) of which the "
                "sample has hardly any, as its own couplings cancel there: weights cannot make up "
                "for them; make a sample of that model, or weigh one without such a cancellation"
            )
        if self.effective < SMALL_PART * self.events:
            notice(
                f"weight '{self.name}': of {self.events:.4g} expected signal events only "
                f"{self.effective:.3g} count effectively, so uneven are their weights"
            )


def reweighting(
    experiment: Experiment, name: str, interaction: Interaction, low: float, years: float
) -> Reweighting:
    """What is expected of a sample that is weighed, by recoil energy, flavour and nucleus.

    Parameters
    ----------
    low
        Least true recoil energy of the sample, keV.
    years
        Years of operation of the sample.
    """
    channels = [c for c in experiment.channels if c.end_point > low]
    others = [replace(c, interaction=interaction) for c in channels]
    pairs = [
        (years * _in_cells(a, low), years * _in_cells(b, low))
        for a, b in zip(channels, others, strict=True)
    ]
    events, wanted = (float(sum(pair[i].sum() for pair in pairs)) for i in (0, 1))
    squares, lost = 0.0, {}
    for channel, (old, new) in zip(channels, pairs, strict=True):
        heavy = (new > 0) & (new * events >= HEAVY * old * wanted)
        squares += float(np.sum(new[new > 0] ** 2 / np.maximum(old[new > 0], 1e-300)))
        place = f"{channel.flavour.name} on {channel.nucleus.name}"
        lost[place] = float(new[heavy].sum()) if old[heavy].sum() < FEW_EVENTS else 0.0
    total = sum(lost.values()) / max(wanted, 1e-300)
    where = sorted((place for place, n in lost.items() if n > 0), key=lambda place: -lost[place])
    effective = wanted**2 / squares if squares > 0 else events
    return Reweighting(name, events, wanted, effective, total, tuple(where))


def _in_cells(channel: Channel, low: float) -> NDArray[np.float64]:
    """Events of a channel a year of operation in cells of recoil energy, shape (cells,)."""
    edges = recoil_grid(low, channel.end_point)
    nodes, weights = quadrature_nodes(edges)
    return np.asarray((channel.rate(nodes) * weights).reshape(len(edges) - 1, -1).sum(axis=1))


def other_interaction(
    experiment: Experiment, name: str, settings: Mapping[str, Any]
) -> Interaction:
    """Interaction of a model given by settings, e.g. ``{"interaction.nsi.u.ee": 0.1}``."""
    if not name.isidentifier():
        raise ExperimentError(f"weight '{name}': a name has letters, digits and _ only")
    for key in settings:
        if not key.startswith("interaction."):
            raise ExperimentError(f"weight '{name}': {key} is not a setting of interaction")
    other = experiment.replace(**settings)
    for line in without_effect(other, settings):
        notice(f"weight '{name}': {line}")
    return other.interaction


def weights(
    experiment: Experiment, interaction: Interaction, block: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32]:
    """Weights of the events of a block to another interaction.

    Parameters
    ----------
    experiment
        The experiment of the sample.
    interaction
        The other model.
    block
        Columns ``component``, ``target``, ``e_nu`` and ``e_nr``, shape (n,).

    Returns
    -------
    array, shape (n,)
        Ratio of cross sections. At the kinematic limit, where rounding may leave nothing of
        either, that of their values at infinite energy.
    """
    result = np.ones(len(block["component"]), np.float32)
    for channel in experiment.channels:
        chosen = np.flatnonzero(
            (block["component"] == channel.flavour.component)
            & (block["target"] == channel.nucleus.pdg)
        )
        if chosen.size == 0:
            continue
        e = block["e_nu"][chosen].astype(float)
        t = block["e_nr"][chosen].astype(float)
        powers = np.stack([np.ones_like(e), 1 / e, 1 / e**2])
        before = channel.factors(t)
        after = recoil_factors(t, channel.nucleus, interaction, channel.flavour.name)
        old, new = (before * powers).sum(axis=0), (after * powers).sum(axis=0)
        lost = (old <= 1e-6 * before[0]) | (new < 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(lost, after[0] / before[0], new / old)
        result[chosen] = ratio
    return result
