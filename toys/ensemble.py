"""How toys are thrown: pseudo-data sets at a point of the parameters, by number.

The convention decides the answer, so it is explicit and recorded:

- counts, and beam-off counts, are Poisson;
- the truth of the nuisance parameters is *profiled* (fitted to the observed data, or to the Asimov
  data where there are none, with the parameters held at the point), *fixed* at given values, or
  drawn for each toy from its *prior* (Highland and Cousins);
- the centres of the pulls, the results of auxiliary measurements, are *fluctuated* about the truth,
  or *fixed* at zero.

Toy number t of grid point k under a seed is the same whichever process makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.stream import normal_quantile, philox, poisson, stream_number, uniform
from ..reco.errors import ExperimentError
from .likelihood import background
from .model import Data, Model

Array = NDArray[np.float64]

STREAM = np.uint64(stream_number("toys"))
MOST_TOYS = 2**32
"""Toys of a grid point, and grid points."""
MEANINGLESS = 0.9
"""A warning is given where the toys' q is expected to be below this part of what it should be."""


@dataclass(frozen=True)
class Ensemble:
    """Convention of the toys."""

    truth: Literal["profiled", "fixed", "prior"] = "profiled"
    centres: Literal["fluctuated", "fixed"] = "fluctuated"
    nuisances: Mapping[str, float] = field(default_factory=dict)
    """True values with ``truth = "fixed"``, in standard deviations; 0 where not given."""

    def describe(self) -> dict[str, object]:
        """For files."""
        return {
            "counts": "poisson",
            "nuisance_truth": self.truth,
            "nuisance_values": dict(self.nuisances),
            "pull_centres": self.centres,
        }


@dataclass(frozen=True, eq=False)
class Truth:
    """What the toys of one grid point are thrown from."""

    values: Array
    """Of all variables, shape (variables,)."""
    background: Array
    """In beam-on where it is free, shape (bins,)."""


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
        If the ensemble names a nuisance parameter that the model does not have.
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
        return Truth(values, model.background)
    if ensemble.truth == "prior":
        values[first:] = np.where(model.weight[first:] > 0, 0.0, values[first:])
    signal = np.broadcast_to(model.expected.at(profiled), (model.bins,))
    fitted = background(signal, model.tau, data.counts[0], data.off[0])
    return Truth(values, np.where(model.tau > 0, fitted, 0.0))


def throw(
    model: Model,
    ensemble: Ensemble,
    truth: Truth,
    seed: int,
    point: int,
    start: int,
    stop: int,
) -> Data:
    """Toys number `start` to `stop` − 1 of a grid point.

    Returns
    -------
    Data
        Arrays of shape (stop − start, bins), and (stop − start, variables) for the centres.
    """
    toys = stop - start
    counts = np.empty((toys, model.bins))
    off = np.zeros((toys if model.tau.any() else 1, model.bins))
    centre = np.zeros((toys, model.variables))
    _throw(
        np.uint64(seed), np.uint64(point), start, model.terms(()), truth.values, model.weight,
        model.tau, truth.background, ensemble.truth == "prior", ensemble.centres == "fluctuated",
        counts, off, centre,
    )  # fmt: skip
    return Data(counts, off, centre)


@kernel
def _throw(  # type: ignore[no-untyped-def]
    key, point, start, terms, truth, weight, tau, background, prior, fluctuated, counts, off, centre
):
    """Fill counts, off and centre; a draw is counted (toy, point, draw, stream)."""
    coefficients, parent, variable, _, _, _, filled = terms
    toys, bins = counts.shape
    variables = len(weight)
    monomials = np.ones(len(parent))
    expected = np.empty(bins)
    z = truth.copy()
    if not prior:
        _expect(coefficients, parent, variable, filled, z, monomials, expected)
    for row in range(toys):
        toy = np.uint64(start + row)
        draw = np.uint64(0)
        for k in range(variables):
            if weight[k] > 0:
                w0, w1, w2, w3 = philox(key, toy, point, draw, STREAM)
                draw += np.uint64(1)
                sigma = 1.0 / np.sqrt(weight[k])
                if prior:
                    z[k] = truth[k] + sigma * normal_quantile(uniform(w0))
                centre[row, k] = z[k] + sigma * normal_quantile(uniform(w1)) if fluctuated else 0.0
        if prior:
            _expect(coefficients, parent, variable, filled, z, monomials, expected)
        for i in range(bins):
            mean = expected[i] + background[i]
            counts[row, i] = poisson(key, toy, point, draw, STREAM, mean)
            draw += np.uint64(1)
            if tau[i] > 0:
                off[row, i] = poisson(key, toy, point, draw, STREAM, tau[i] * background[i])
                draw += np.uint64(1)


@kernel
def _expect(coefficients, parent, variable, filled, z, monomials, expected):  # type: ignore[no-untyped-def]
    """Expected counts at z."""
    for t in range(1, len(parent)):
        monomials[t] = monomials[parent[t]] * z[variable[t]]
    expected[:] = 0.0
    for r in range(len(filled)):
        t = filled[r]
        for i in range(len(expected)):
            expected[i] += monomials[t] * coefficients[t, i]


def expected_mean_q(model: Model, truth: Truth, ensemble: Ensemble) -> float:
    """Mean q of one parameter over the toys, by Fisher information; 1 for a sound ensemble.

    With the truth of the nuisance parameters and the centres of the pulls both fixed, toys
    fluctuate less than the fit allows for, and the region is too small.
    """
    if ensemble.truth == "prior" or ensemble.centres == "fluctuated":
        return 1.0
    from .likelihood import derivative

    z = truth.values
    bins = (model.bins,)
    expected = np.broadcast_to(model.expected.at(z), bins) + truth.background
    slopes = np.array(
        [
            np.broadcast_to(derivative(model.expected, k).at(z), bins)
            for k in range(model.variables)
        ]
    )
    statistical = (slopes / np.maximum(expected, 1e-300)) @ slopes.T
    full = statistical + np.diag(model.weight)
    scale = np.sqrt(np.maximum(np.diag(full), 1e-300))
    covariance = np.linalg.pinv(full / np.outer(scale, scale)) / np.outer(scale, scale)
    spread = covariance @ statistical @ covariance
    number = len(model.parameters)
    ratios = [spread[k, k] / covariance[k, k] for k in range(number) if covariance[k, k] > 0]
    return float(min(ratios, default=1.0))
