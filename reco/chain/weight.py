"""Weights to other couplings, so that a sample need not be made again.

The weight of an event is dσ/dT of the other model over that of the sample, at its neutrino energy,
recoil, flavour and nucleus; 1 for background. It says nothing of recoils below the truth threshold,
which the sample does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.coupling import Interaction
from ...generator.cross_section import recoil_factors
from ..errors import ExperimentError, notice
from ..experiment import Experiment
from ..unused import without_effect


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
