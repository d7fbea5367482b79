"""Mixture importance sampling: every toy is used at every grid point, with its weight.

L. Berns, arXiv:2303.11290. Toys thrown at all points of the grid are one sample of the mixture of
their densities. At a point g a toy x counts with w_g(x) = p_g(x) / Σ_s (N_s/N) p_s(x), N_s of the N
toys being from point s, so that neighbours, and points that predict nearly the same, share theirs.
Only the fit at g is made again, for toys drawn with a chance w/w₀ where w is below w₀, which then
count with w₀: each point has enough of them, and none is left out with certainty. Points far from
all others share no toys; there, as everywhere, most of the error is saved by a control variate
(`surrogate`, `control`), which needs toys only for the difference of q and a function with known
distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.cluster.workers import ALONE, HERE, Here
from ...reco.errors import ExperimentError
from ..construction.belt import Belt, Ordering
from ..construction.neyman import Construction
from ..construction.throw import throw, toy_key
from ..counts.model import Data
from ..fit.local import take
from ..kernels.status import CONVERGED
from ..kernels.weigh import chances, mixture_density, point_density
from ..regions.region import Region, Weighted, exact_region
from .control import Compared, controlled_quantile
from .surrogate import RAYS, Lattice, asimov_fits, lattice, surrogate

LEAST_WEIGHT = 1e-4
"""Least weight: toys of less are drawn with a chance, and then have this one."""
MOST_USED = 4096
"""Most toys fitted again at a point, about, or four times its own: the least weight rises."""
LEAST_TOYS = 30
"""Least effective number of toys at a point for a surrogate."""
MOST_TOYS = 5_000_000
"""Most toys in all; they are held in memory."""


class Mixture(NamedTuple):
    """Toys of all grid points, and what their weights need."""

    data: Data
    free: Array
    """χ² at the global minimum of each toy, shape (toys,)."""
    failed: NDArray[np.bool_]
    features: Array
    """What log p is linear in, shape (toys, features)."""
    slopes: Array
    """log p_g = features · slopes[g] + offsets[g], but for what all points have in common."""
    offsets: Array
    log_mixture: Array
    """log of the mixture's density, but for what all points have in common, shape (toys,)."""


def importance_region(
    construction: Construction,
    cl: float,
    toys: int,
    first_toy: int = 0,
    workers: Here = HERE,
    ordering: Ordering = "likelihood-ratio",
) -> Region:
    """Region by importance sampling.

    Parameters
    ----------
    toys, first_toy
        Toys thrown at each grid point, and number of the first.
    workers
        Threads; their `progress` is told numbers of toys.

    Returns
    -------
    Region
        Region with `weighted`: the effective number of toys, and the fits beside theirs.

    Raises
    ------
    ExperimentError
        If the ensemble has no density to weigh with, or the toys do not fit into memory.
    """
    check(construction, toys, ordering)
    size = len(construction.points)
    construction.warm()
    mixture = throw_mixture(construction, toys, first_toy, workers)
    dimension = len(construction.axes)
    on = lattice(dimension, cl) if dimension in RAYS else None

    def at_point(g: int) -> tuple[float, float, float, float, int, int]:
        return _at_point(construction, mixture, first_toy, g, cl, on)

    rows = np.array(list(workers.map(at_point, range(size))))
    critical, error, effective, p_value, failed, expected_fits = rows.T
    number = np.full(size, toys, np.int64)
    limits = Belt(np.full(size, -np.inf), critical, error)
    outside = (1 - cl - p_value) / np.sqrt(cl * (1 - cl) / np.maximum(effective, 1.0))
    own = mixture.features.reshape(size, toys, -1)
    repeated = np.array([1 - len(np.unique(rows, axis=0)) / toys for rows in own])
    return exact_region(
        Region(
            construction, cl, "likelihood-ratio", limits,
            np.maximum(p_value, 1 / (effective + 1)), number, failed.astype(np.int64),
            outside, repeated, Weighted(effective, int(expected_fits.sum())),
        )
    )  # fmt: skip


def check(construction: Construction, toys: int, ordering: Ordering) -> None:
    """Refuse what importance sampling cannot do.

    Raises
    ------
    ExperimentError
        As `importance_region`.
    """
    if construction.ensemble.truth == "prior":
        raise ExperimentError(
            "importance sampling needs the toys' density, which --ensemble prior has not in closed "
            "form; use profiled or fixed"
        )
    if ordering != "likelihood-ratio":
        raise ExperimentError(f"importance sampling is for the likelihood ratio, not '{ordering}'")
    size = len(construction.points)
    if toys * size > MOST_TOYS:
        raise ExperimentError(
            f"importance sampling holds its toys in memory: at most {MOST_TOYS // size} at each "
            f"of {size} points, not {toys}"
        )


def throw_mixture(
    construction: Construction,
    toys: int,
    first_toy: int,
    workers: Here = HERE,
) -> Mixture:
    """Toys of every grid point with their global minima and the density of the mixture."""
    c, model = construction, construction.model
    size = len(c.points)
    truths = [c.truth(g) for g in range(size)]
    numbers = first_toy, first_toy + toys

    def make(g: int) -> tuple[Data, Array, NDArray[np.bool_]]:
        data = throw(model, c.ensemble, truths[g], c.seed, c.first_point + g, *numbers)
        fits = c.search_free.fit(data, truths[g].values[None], workers=ALONE)
        workers.progress(toys)
        return data, fits.chi2, fits.status != CONVERGED

    made = list(workers.map(make, range(size)))
    on_off = bool(model.tau.any())
    data = Data(
        np.concatenate([d.counts for d, *_ in made]),
        np.concatenate([d.off for d, *_ in made]) if on_off else made[0][0].off,
        np.concatenate([d.centre for d, *_ in made]),
    )
    fluctuated = c.ensemble.centres == "fluctuated"
    pulled = np.flatnonzero(model.weight * fluctuated)
    measured = np.flatnonzero(model.tau)
    features = [data.counts, data.centre[:, pulled]]
    slopes = np.empty((size, model.bins + len(pulled) + len(measured)))
    offsets = np.empty(size)
    for g, truth in enumerate(truths):
        mean = np.broadcast_to(model.expected.at(truth.values), (model.bins,)) + truth.background
        off = (model.tau * truth.background)[measured]
        pull, weight = truth.values[pulled], model.weight[pulled]
        logs = (np.log(np.maximum(x, 1e-300)) for x in (mean, off))
        slopes[g] = np.concatenate([next(logs), weight * pull, next(logs)])
        offsets[g] = -mean.sum() - off.sum() - np.sum(weight * pull**2) / 2
    if on_off:
        features.append(data.off[:, measured])
    table = np.ascontiguousarray(np.concatenate(features, axis=1))
    log_mixture = np.empty(len(table))
    edges = range(0, len(table), 1024)
    parts = [(table[a : a + 1024], log_mixture[a : a + 1024]) for a in edges]
    list(workers.map(lambda p: mixture_density(p[0], slopes.T.copy(), offsets, p[1]), parts))
    free, bad = (np.concatenate(column) for column in list(zip(*made, strict=True))[1:])
    return Mixture(data, free, bad, table, slopes, offsets, log_mixture)


def _at_point(
    construction: Construction,
    mixture: Mixture,
    first_toy: int,
    g: int,
    cl: float,
    on: Lattice | None,
) -> tuple[float, float, float, float, int, int]:
    """Critical value of q at a point, its error, effective toys, p-value, failed and other fits."""
    c = construction
    log_p = np.empty(len(mixture.free))
    point_density(mixture.features, mixture.slopes[g], mixture.offsets[g], log_p)
    weight = np.exp(log_p - mixture.log_mixture)
    own = len(weight) // len(c.points)
    least = _least_weight(weight, max(MOST_USED, 4 * own))
    chance = np.empty(len(weight))
    chances(toy_key(c.model, c.seed), np.uint64(c.first_point + g), np.uint64(first_toy), chance)
    used = np.flatnonzero(chance * least < weight)
    weight = np.maximum(weight[used], least)
    if not used.size:
        return float("nan"), float("inf"), 0.0, 0.0, 0, 0
    drawn = take(mixture.data, used)
    at = c.search_held.fit(drawn, c.truth(g).values[None], workers=ALONE)
    q = np.maximum(at.chi2 - mixture.free[used], 0.0)
    failed = np.count_nonzero((at.status != CONVERGED) | mixture.failed[used])
    critical, error = weighted_quantile(q, weight, cl)
    effective = float(weight.sum() ** 2 / np.sum(weight**2))
    p_value = float(weight[q >= c.delta_chi2[g] - 1e-9].sum() / weight.sum())
    features = mixture.features[used]
    expected_fits, repeat = 0, _repeat(mixture.features[g * own : (g + 1) * own])
    if on is not None and effective >= LEAST_TOYS and not repeat:
        model = surrogate(c, g, on)
        if model is not None:
            expected_fits = asimov_fits(on.dimension)
            toys = Compared(q, model.q(features), weight, len(mixture.free), effective)
            quantile = controlled_quantile(model, toys, cl)
            if quantile is not None:
                critical, error = quantile
                p_value = toys.above(model, max(float(c.delta_chi2[g]), 0.0))
    return critical, error, effective, p_value, int(failed), expected_fits


def _least_weight(weight: Array, most: int) -> float:
    """Least weight w₀ at which Σ min(1, w/w₀), the number of toys drawn, is at most so many."""
    ordered = np.sort(weight)
    drawn = np.cumsum(ordered) / np.maximum(ordered, 1e-300) + np.arange(len(weight))[::-1]
    place = int(np.argmax(drawn <= most)) if drawn[-1] <= most else len(weight) - 1
    return max(float(ordered[place]), LEAST_WEIGHT)


def _repeat(features: Array) -> bool:
    """Whether toys are alike so often that q is discrete."""
    return len(np.unique(features, axis=0)) < 0.99 * len(features)


def weighted_quantile(values: Array, weights: Array, level: float) -> tuple[float, float]:
    """Quantile of weighted toys and its standard error, from that of the part below it."""
    order = np.argsort(values, kind="stable")
    v, w = values[order], weights[order]
    below = np.cumsum(w) / w.sum()
    k = min(int(np.searchsorted(below, level - 1e-12)), len(v) - 1)
    inside = np.arange(len(v)) <= k
    spread = float(np.sqrt(np.sum((w * (inside - level)) ** 2)) / w.sum())
    if len(v) < 2 or level + spread >= below[-2] or level - spread <= below[0]:
        return float(v[k]), float("inf")
    low, high = np.searchsorted(below, [level - spread, level + spread])
    if low == high:  # inside of one toy's weight
        low, high = low - 1, high + 1
    return float(v[k]), float(v[high] - v[low]) / 2
