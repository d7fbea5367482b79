"""How toys are thrown: pseudo-data sets at a point of the parameters, by number.

The convention decides the answer, so it is explicit and recorded:

- counts, and beam-off counts, are Poisson, or those of *events* that go through the whole chain;
- the truth of the nuisance parameters is *profiled* (fitted to the observed data, or to the Asimov
  data where there are none, with the parameters held at the point), *fixed* at given values, or
  drawn for each toy from its *prior* (Highland and Cousins);
- the centres of the pulls, the results of auxiliary measurements, are *fluctuated* about the truth,
  or *fixed* at zero.

Toy number t of grid point k under a seed is the same whichever process makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.stream import (
    LOW,
    normal_quantile,
    philox,
    poisson,
    stream_number,
    uniform,
    uniform_53,
)
from ..reco.errors import ExperimentError
from .likelihood import background
from .model import Data, Model

Array = NDArray[np.float64]

STREAM = np.uint64(stream_number("toys"))
MOST_TOYS = 2**32
"""Toys of a grid point, and grid points."""
LARGEST_TABLE = 1 << 16
MEANINGLESS = 0.9
"""A warning is given where the toys' q is expected to be below this part of what it should be."""


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

    def describe(self) -> dict[str, object]:
        """For files."""
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
    terms = model.terms(())
    expected = np.empty(model.bins)
    _expect(terms, truth.values, np.empty(len(terms.parent)), expected)
    means = [expected + truth.background, (model.tau * truth.background)[model.tau > 0]]
    tables = alias_tables(np.maximum(np.concatenate(means), 0.0))  # −1e-17 where a rate vanishes
    prior, fluctuated = ensemble.truth == "prior", ensemble.centres == "fluctuated"
    where = np.uint64(seed), np.uint64(point), start
    if prior or len(tables.chance) == 0:
        _throw_each(
            *where, terms, truth.values, model.weight, model.tau, truth.background, prior,
            fluctuated, counts, off, centre,
        )  # fmt: skip
    else:
        _throw_alike(
            *where, truth.values, model.weight, model.tau, *tables, fluctuated, counts, off, centre
        )
    return Data(counts, off, centre)


class AliasTables(NamedTuple):
    """Poisson distributions of several means, to be drawn from in constant time (Walker 1977)."""

    first: NDArray[np.int64]
    """Place of each distribution's table, and the end of the last, shape (means + 1,)."""
    lowest: Array
    """Number that the first entry of each stands for."""
    chance: Array
    """Probability to stay at an entry, else its alias."""
    alias: NDArray[np.int64]


def alias_tables(means: Array) -> AliasTables:
    """Tables of numbers within 9 standard deviations and 30 of each mean; what is left is < 1e-17.

    They are empty if a mean is so large that they would not pay.
    """
    reach = 9 * np.sqrt(means) + 30
    low = np.maximum(np.floor(means - reach), 0.0)
    sizes = (np.ceil(means + reach) - low + 1).astype(int)
    if len(means) == 0 or sizes.max() > LARGEST_TABLE:
        sizes = np.zeros(len(means), int)
    first = np.concatenate([[0], np.cumsum(sizes)])
    chance, alias = np.empty(first[-1]), np.empty(first[-1], np.int64)
    _fill_alias(means, first, low, chance, alias)
    return AliasTables(first, low, chance, alias)


@kernel
def _fill_alias(means, first, lowest, chance, alias):  # type: ignore[no-untyped-def]
    """Vose's construction, table by table; probabilities by recursion from the most probable."""
    for k in range(len(first) - 1):
        a, size = first[k], first[k + 1] - first[k]
        if size == 0:
            continue
        probability = np.empty(size)
        middle = min(int(means[k] - lowest[k]), size - 1)
        probability[middle] = 1.0
        for i in range(middle + 1, size):
            probability[i] = probability[i - 1] * means[k] / (lowest[k] + i)
        for i in range(middle - 1, -1, -1):
            probability[i] = probability[i + 1] * (lowest[k] + i + 1) / means[k]
        total = 0.0
        for i in range(size):
            total += probability[i]
        small, large = np.empty(size, np.int64), np.empty(size, np.int64)
        n_small, n_large = 0, 0
        for i in range(size):
            chance[a + i] = probability[i] * size / total
            alias[a + i] = i
            if chance[a + i] < 1.0:
                small[n_small] = i
                n_small += 1
            else:
                large[n_large] = i
                n_large += 1
        while n_small > 0 and n_large > 0:
            n_small -= 1
            i, j = small[n_small], large[n_large - 1]
            alias[a + i] = j
            chance[a + j] -= 1.0 - chance[a + i]
            if chance[a + j] < 1.0:
                n_large -= 1
                small[n_small] = j
                n_small += 1
        for i in range(n_small):
            chance[a + small[i]] = 1.0
        for i in range(n_large):
            chance[a + large[i]] = 1.0


@kernel
def _throw_alike(  # type: ignore[no-untyped-def]
    key, point, start, truth, weight, tau, first, lowest, chance, alias, fluctuated, counts, off,
    centre,
):  # fmt: skip
    """Toys of one truth; the draw is the number of the centre, then two bins each."""
    toys, bins = counts.shape
    step = 512
    words = np.empty((4, step), np.uint32)
    for low in range(0, toys, step):
        size = min(step, toys - low)
        draw = 0
        for k in range(len(weight)):
            if weight[k] > 0:
                _words(key, start + low, point, draw, words)
                draw += 1
                sigma = 1.0 / np.sqrt(weight[k])
                for row in range(size):
                    x = sigma * normal_quantile(uniform(np.uint64(words[1, row])))
                    centre[low + row, k] = truth[k] + x if fluctuated else 0.0
        beside = bins
        for i in range(bins):
            if i % 2 == 0:
                _words(key, start + low, point, draw, words)
                draw += 1
            _look_up(words, 2 * (i % 2), first, lowest, chance, alias, i, counts, low, size, i)
        for i in range(bins):
            if tau[i] > 0:
                _words(key, start + low, point, draw, words)
                draw += 1
                _look_up(words, 0, first, lowest, chance, alias, beside, off, low, size, i)
                beside += 1


@kernel
def _words(key, start, point, draw, words):  # type: ignore[no-untyped-def]
    """Words of a draw of consecutive toys."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    for i in range(words.shape[1]):
        a, b, c, d = philox(key, np.uint64(start + i) & LOW, point, np.uint64(draw), STREAM)
        w0[i] = a
        w1[i] = b
        w2[i] = c
        w3[i] = d


@kernel
def _look_up(words, half, first, lowest, chance, alias, k, result, low, size, i):  # type: ignore[no-untyped-def]
    """Numbers of distribution k from two words each."""
    a = first[k]
    length = float(first[k + 1] - a)
    for row in range(size):
        u = uniform_53(np.uint64(words[half, row]), np.uint64(words[half + 1, row])) * length
        entry = np.int64(u)
        stay = u - entry < chance[a + entry]
        result[low + row, i] = lowest[k] + float(entry if stay else alias[a + entry])


@kernel
def _throw_each(  # type: ignore[no-untyped-def]
    key, point, start, terms, truth, weight, tau, background, prior, fluctuated, counts, off, centre
):
    """Toys of which each may have its own truth; a draw is counted (toy, point, draw, stream)."""
    bins = counts.shape[1]
    monomials = np.ones(len(terms.parent))
    expected = np.empty(bins)
    z = truth.copy()
    _expect(terms, z, monomials, expected)
    for row in range(len(counts)):
        toy = np.uint64(start + row)
        draw = np.uint64(0)
        for k in range(len(weight)):
            if weight[k] > 0:
                w0, w1, _, _ = philox(key, toy, point, draw, STREAM)
                draw += np.uint64(1)
                sigma = 1.0 / np.sqrt(weight[k])
                if prior:
                    z[k] = truth[k] + sigma * normal_quantile(uniform(w0))
                centre[row, k] = z[k] + sigma * normal_quantile(uniform(w1)) if fluctuated else 0.0
        if prior:
            _expect(terms, z, monomials, expected)
        for i in range(bins):
            mean = expected[i] + background[i]
            counts[row, i] = poisson(key, toy, point, draw, STREAM, mean)
            draw += np.uint64(1)
            if tau[i] > 0:
                off[row, i] = poisson(key, toy, point, draw, STREAM, tau[i] * background[i])
                draw += np.uint64(1)


@kernel
def _expect(terms, z, monomials, expected):  # type: ignore[no-untyped-def]
    """Expected counts at z."""
    monomials[0] = 1.0
    for t in range(1, len(terms.parent)):
        monomials[t] = monomials[terms.parent[t]] * z[terms.variable[t]]
    expected[:] = 0.0
    for r in range(len(terms.filled)):
        t = terms.filled[r]
        for i in range(len(expected)):
            expected[i] += monomials[t] * terms.coefficients[t, i]


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
    from .likelihood import derivative

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
