"""How toys are thrown: pseudo-data sets at a point of the parameters, by number.

The convention decides the answer, so it is explicit and recorded:

- counts, and beam-off counts, are Poisson, or those of *events* that go through the whole chain;
- the truth of the nuisance parameters is *profiled* (fitted to the observed data, or to the Asimov
  data where there are none, with the parameters held at the point), *fixed* at given values, or
  drawn for each toy from its *prior* about the centre of the data (Highland and Cousins), within
  the bounds of the fit;
- the centres of the pulls, the results of auxiliary measurements, are *fluctuated* about the truth,
  or *fixed* at zero.

Toy number t of grid point k under a seed is the same whichever process makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ..counts.model import Data, Model
from ..fit.likelihood import background

MOST_TOYS = 2**32
"""Most toys of a grid point, and most grid points."""
MEANINGLESS = 0.9
"""A warning is given where the toys' q is expected to be below this part of what it should be."""


class Described(TypedDict):
    """An ensemble in a file."""

    counts: Literal["poisson", "events"]
    nuisance_truth: Literal["profiled", "fixed", "prior"]
    nuisance_values: dict[str, float]
    pull_centres: Literal["fluctuated", "fixed"]


@dataclass(frozen=True)
class Ensemble:
    """Convention of the toys."""

    truth: Literal["profiled", "fixed", "prior"] = "profiled"
    centres: Literal["fluctuated", "fixed"] = "fluctuated"
    nuisances: Mapping[str, float] = field(default_factory=dict)
    """True values with ``truth = "fixed"``, in standard deviations; 0 where not given."""
    level: Literal["bins", "events"] = "bins"
    """Whether counts are thrown, or events that are counted."""

    def __post_init__(self) -> None:
        """Refuse values that nothing would use."""
        if self.nuisances and self.truth != "fixed":
            raise ExperimentError(
                f"values of nuisance parameters ({', '.join(self.nuisances)}) are for a truth that "
                f"is fixed, not {self.truth}"
            )

    def describe(self) -> Described:
        """Description of the ensemble for files."""
        return {
            "counts": "poisson" if self.level == "bins" else "events",
            "nuisance_truth": self.truth,
            "nuisance_values": dict(self.nuisances),
            "pull_centres": self.centres,
        }


@dataclass(frozen=True, eq=False)
class Truth:
    """What the toys of one grid point are thrown from."""

    values: Array
    """Values of all variables, shape (variables,)."""
    background: Array
    """Background in beam-on where it is free, shape (bins,)."""


def truth_at(model: Model, ensemble: Ensemble, profiled: Array, data: Data) -> Truth:
    """Truth of toys at a point.

    Parameters
    ----------
    profiled
        Values of the variables with the parameters at the point and the nuisance parameters
        fitted to `data`, shape (variables,).
    data
        One data set, of which free backgrounds are profiled.

    Raises
    ------
    ExperimentError
        If the ensemble names a nuisance parameter that the model does not have, or gives it a value
        below its bound.
    """
    first = len(model.parameters)
    values = profiled.copy()
    if ensemble.truth == "fixed":
        names = {n.name for n in model.nuisances}
        for name in ensemble.nuisances:
            if name not in names:
                raise ExperimentError(
                    f"no nuisance parameter '{name}'; there are: {', '.join(sorted(names))}"
                )
        values[first:] = [ensemble.nuisances.get(n.name, 0.0) for n in model.nuisances]
        for nuisance, value in zip(model.nuisances, values[first:], strict=True):
            if value < nuisance.lower:
                raise ExperimentError(
                    f"nuisance parameter '{nuisance.name}' = {value:g}: must be at least "
                    f"{nuisance.lower:g}"
                )
        return Truth(values, model.background_at(values))
    if ensemble.truth == "prior":
        pulled = model.weight[first:] > 0
        values[first:] = np.where(pulled, data.centre[0, first:], values[first:])
    signal = np.broadcast_to(model.expected.at(profiled), (model.bins,))
    fitted = background(signal, model.tau, data.counts[0], data.off[0])
    return Truth(values, np.where(model.tau > 0, fitted, 0.0))


def warning(model: Model, truths: Iterable[Truth], ensemble: Ensemble) -> str | None:
    """What is wrong with the toys of an ensemble at some truths, if anything."""
    part = min(expected_mean_q(model, truth, ensemble) for truth in truths)
    if part >= MEANINGLESS:
        return None
    return (
        f"the truth of the nuisance parameters and the centres of their pulls are both fixed: toys "
        f"have {part:.2g} of the q that the fit allows for, and the region is too small to mean "
        "anything; let the centres fluctuate, or draw the truth from the prior"
    )


def expected_mean_q(model: Model, truth: Truth, ensemble: Ensemble) -> float:
    """Mean q of one parameter over the toys, by Fisher information; 1 for a sound ensemble.

    With the truth of the nuisance parameters and the centres of the pulls both fixed, toys
    fluctuate less than the fit allows for, and the region is too small.
    """
    if ensemble.truth == "prior" or ensemble.centres == "fluctuated":
        return 1.0
    from ..counts.polynomial import derivative

    z = truth.values
    bins = (model.bins,)
    expected = np.broadcast_to(model.expected.at(z), bins) + truth.background
    slopes = np.array(
        [np.broadcast_to(derivative(model.expected, k).at(z), bins) for k in range(model.variables)]
    )
    statistical = (slopes / np.maximum(expected, 1e-300)) @ slopes.T
    full = statistical + np.diag(model.weight)
    scale = np.sqrt(np.maximum(np.diag(full), 1e-300))
    covariance = np.linalg.pinv(full / np.outer(scale, scale)) / np.outer(scale, scale)
    spread = covariance @ statistical @ covariance
    number = len(model.parameters)
    sensitive = [k for k in range(number) if statistical[k, k] > 0 and covariance[k, k] > 0]
    ratios = [spread[k, k] / covariance[k, k] for k in sensitive]
    return float(min(ratios, default=1.0))
