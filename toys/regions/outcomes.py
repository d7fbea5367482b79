"""All outcomes of an experiment that counts, with their probabilities: no toys are needed.

Where data are a few counts, and no centre of a pull fluctuates, outcomes can be listed, and so can
q of each and its probability at any point θ: critical values and p-values are exact there. As θ
grows both jump, wherever two outcomes change their order; the limits are found with all the jumps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..construction.belt import ROUNDING, Ordering
from ..construction.ensemble import Truth
from ..construction.neyman import Construction
from ..counts.model import Data, Model
from ..fit.likelihood import bin_chi2

MOST_OUTCOMES = 1 << 15
MOST_FITTED = 1 << 12
"""Most outcomes where each is fitted at every point."""
TAIL = 1e-12
"""Probability of counts beyond those that are listed, on each side of each count."""
SAMPLED = 101
"""Points of the range in one parameter at which a search for limits begins, at least."""
CHANGED = 0.1
"""Probability that two neighbouring points may not have in common in a search for limits."""
FINEST = 1e-11
"""Part of the range to which a limit is found where the p-value jumps."""


class Listed(NamedTuple):
    """The outcomes at one point."""

    value: Array
    """Statistic of each, as `Statistic.value`, shape (outcomes,)."""
    probability: Array
    """Shape (outcomes,)."""
    seen: float
    """Statistic of the data."""

    def quantile(self, level: float) -> float:
        """The least value with at least the level of probability at or below it.

        For the likelihood ratio of one parameter it is of |r|.
        """
        order = np.argsort(self.value, kind="stable")
        below = np.cumsum(self.probability[order])
        place = int(np.searchsorted(below, level - 1e-12))
        return float(self.value[order[min(place, len(order) - 1)]])

    def sides(self, ordering: Ordering) -> list[NDArray[np.bool_]]:
        """For each end that an ordering tests: which outcomes are as far out as the data."""
        if ordering == "likelihood-ratio":
            return [self.value**2 >= self.seen**2 - ROUNDING]
        q, its = self.value * np.abs(self.value), self.seen * abs(self.seen)
        below = q <= its + ROUNDING
        return [below] if ordering == "upper" else [below, q >= its - ROUNDING]


class Place(NamedTuple):
    """A point on the way of a search for limits."""

    x: float
    excess: float
    """How far the p-value is below its limit: the point is in the region where ≤ 0."""
    members: NDArray[np.bool_]
    """Outcomes as far out as the data, shape (sides, outcomes)."""
    probability: Array


@dataclass(frozen=True, eq=False)
class Outcomes:
    """All outcomes of a construction, but for some of probability below 1e-9 at any point."""

    construction: Construction
    data: Data
    """Outcomes as data sets; the last is the observed one."""
    free: Array
    """χ² at the global minimum of each, shape (outcomes + 1,)."""
    fitted: Array
    """Value of the first scanned parameter there."""

    def __len__(self) -> int:
        """Number of outcomes."""
        return len(self.free) - 1

    @cached_property
    def _features(self) -> tuple[Array, Array]:
        """Counts of each outcome, beam-off included, and Σ log n!."""
        from scipy.special import gammaln

        measured = np.flatnonzero(self.construction.model.tau)
        counts = [self.data.counts[:-1]]
        if measured.size:
            counts.append(self.data.off[:-1, measured])
        features = np.concatenate(counts, axis=1)
        return features, gammaln(features + 1).sum(axis=1)

    def at(self, point: Array) -> Listed:
        """The outcomes at a point, of shape (scanned parameters,)."""
        from scipy.special import xlogy

        c = self.construction
        profiled, held = _held(c, self.data, point)
        features, factorials = self._features
        mean = _means(c.model, c.truth_of(profiled))
        log_p = xlogy(features, mean).sum(axis=1) - mean.sum() - factorials
        value = np.maximum(held - self.free, 0.0)
        if len(c.axes) == 1:
            value = np.where(self.fitted < point[0], -1.0, 1.0) * np.sqrt(value)
        return Listed(value[:-1], np.exp(log_p), float(value[-1]))

    def limits(self, point: Array, cl: float, ordering: Ordering) -> tuple[float, float]:
        """Acceptance at a point, of q or r as `Belt`: its low and its high limit."""
        listed = self.at(point)
        if ordering == "likelihood-ratio":
            q = listed.value**2 if len(point) == 1 else listed.value
            return -np.inf, listed._replace(value=q).quantile(cl)
        if ordering == "upper":
            return listed.quantile(1 - cl), np.inf
        return listed.quantile((1 - cl) / 2), listed.quantile((1 + cl) / 2)

    def p_value(self, point: Array, ordering: Ordering) -> float:
        """p-value of the data at a point; for a central interval twice that of the nearer end."""
        p = _chances(self.at(point), ordering, len(point))
        return min(len(p) * min(p), 1.0)

    def intervals(self, cl: float, ordering: Ordering) -> list[list[float]]:
        """The region of one parameter within the range of the grid, with its gaps.

        Cells are halved as long as a limit may be in them: where outcomes change their order, to
        FINEST of the range; a limit where the p-value jumps is the last point of the region.
        """
        c = self.construction
        (grid,) = (x for _, x in c.axes)
        best = c.best.values[0, c.held[0]]
        inside = [best] if grid[0] <= best <= grid[-1] else []
        x = np.unique(np.concatenate([grid, np.linspace(grid[0], grid[-1], SAMPLED), inside]))
        places = [self._place(t, cl, ordering) for t in x.tolist()]
        edges: list[float] = []
        for cell in pairwise(places):
            edges += self._edges(*cell, FINEST * (grid[-1] - grid[0]), cl, ordering)
        ends = [float(grid[0])] * (places[0].excess <= 0)
        ends += [*edges, *[float(grid[-1])] * (places[-1].excess <= 0)]
        pairs = [list(pair) for pair in zip(ends[::2], ends[1::2], strict=True)]
        for pair in pairs:
            if pair[0] == grid[0] and pair[1] - pair[0] < ROUNDING * (grid[-1] - grid[0]):
                pair[1] = pair[0]  # q does not tell points so near the end of the range from it
        return pairs

    def _place(self, x: float, cl: float, ordering: Ordering) -> Place:
        listed = self.at(np.array([x]))
        p = _chances(listed, ordering, 1)
        members = np.array(listed.sides(ordering))
        return Place(x, (1 - cl) / len(p) - min(p), members, listed.probability)

    def _edges(
        self, a: Place, b: Place, finest: float, cl: float, ordering: Ordering
    ) -> list[float]:
        """Limits between two places, in their order."""
        from scipy.optimize import brentq

        moved = (a.members != b.members).any(axis=0)
        jump = max(float(p[moved].sum()) for p in (a.probability, b.probability))
        changed = float(np.abs(a.probability - b.probability).sum()) / 2
        least, most = sorted((a.excess, b.excess))
        if changed > CHANGED or (moved.any() and least - jump <= 0 <= most + jump):
            middle = (a.x + b.x) / 2
            if b.x - a.x > finest and a.x < middle < b.x:
                m = self._place(middle, cl, ordering)
                halves = (self._edges(*h, finest, cl, ordering) for h in ((a, m), (m, b)))
                return [edge for half in halves for edge in half]
        if (a.excess <= 0) == (b.excess <= 0):
            return []
        if moved.any():
            return [a.x if a.excess <= 0 else b.x]
        return [float(brentq(lambda x: self._place(x, cl, ordering).excess, a.x, b.x, xtol=finest))]


def _chances(listed: Listed, ordering: Ordering, parameters: int) -> list[float]:
    """Probability of outcomes as far out as the data at each end; those not listed are farther."""
    if parameters > 1:
        return [1 - float(listed.probability[listed.value < listed.seen - ROUNDING].sum())]
    sides = listed.sides(ordering)
    if ordering == "upper":
        return [float(listed.probability[sides[0]].sum())]
    return [1 - float(listed.probability[~side].sum()) for side in sides]


def _means(model: Model, truth: Truth) -> Array:
    """Means of all counts, those in beam-off last."""
    expected = np.broadcast_to(model.expected.at(truth.values), (model.bins,)) + truth.background
    off = (model.tau * truth.background)[model.tau > 0]
    return np.maximum(np.concatenate([expected, off]), 0.0)


def _held(c: Construction, data: Data, point: Array) -> tuple[Array, Array]:
    """Variables fitted to the observed data at a point, and χ² of all outcomes held there."""
    model = c.model
    if model.variables > len(c.axes):
        profiled = c.fits_at(point[None]).values[0]
        return profiled, c.fit_held(data, profiled[None]).chi2
    z = np.empty(model.variables)
    z[c.held] = point
    signal = np.broadcast_to(model.expected.at(z), (model.bins,))
    pulls = (model.weight * (z - data.centre) ** 2).sum(axis=1)
    return z, bin_chi2(signal, model.tau, data.counts, data.off).sum(axis=1) + pulls


@lru_cache(maxsize=8)
def outcomes(construction: Construction) -> Outcomes | None:
    """The outcomes of a construction; none where they are too many, or pulls fluctuate."""
    c, model, ensemble = construction, construction.model, construction.ensemble
    fluctuate = ensemble.centres == "fluctuated" or ensemble.truth == "prior"
    if ensemble.level != "bins" or (model.weight.any() and fluctuate):
        return None
    ranges = _ranges(c)
    most = MOST_OUTCOMES if model.variables == len(c.axes) else MOST_FITTED
    if not ranges or np.prod([float(high - low + 1) for low, high in ranges]) > most:
        return None
    lists = np.meshgrid(*(np.arange(a, b + 1.0) for a, b in ranges), indexing="ij")
    listed = np.stack([n.ravel() for n in lists], axis=1)
    off = np.zeros((len(listed), model.bins))
    off[:, model.tau > 0] = listed[:, model.bins :]
    counts = np.concatenate([listed[:, : model.bins], c.data.counts[:1]])
    data = Data(counts, np.concatenate([off, c.data.off[:1]]), np.zeros((1, model.variables)))
    fits = c.search_free.fit(data, c.profiled.values[[len(c.points) // 2]])
    free, fitted = fits.chi2.copy(), fits.values[:, c.held[0]].copy()
    for point in _sampled(c, 21):
        chi2 = _held(c, data, c.position(point))[1]
        fitted[chi2 < free - ROUNDING] = c.position(point)[0]
        free = np.minimum(free, chi2)
    free[-1], fitted[-1] = c.best.chi2[0], c.best.values[0, c.held[0]]
    same = np.flatnonzero(
        (counts == counts[-1]).all(axis=1) & (data.off == data.off[-1]).all(axis=1)
    )
    free[-1], fitted[-1] = min(free[same[0]], free[-1]), fitted[same[0]]
    return Outcomes(c, data, free, fitted)


def _sampled(c: Construction, number: int) -> Iterable[int]:
    """Some points of the grid, all over it."""
    return np.unique(np.linspace(0, len(c.points) - 1, number).astype(int)).tolist()


def _ranges(c: Construction) -> list[tuple[int, int]]:
    """Least and greatest of each count that is listed, whatever the point of the range."""
    from scipy.stats import poisson

    axes = [np.linspace(x[0], x[-1], SAMPLED if len(c.axes) == 1 else 21) for _, x in c.axes]
    points = np.stack([g.ravel() for g in np.meshgrid(*axes)], axis=1)
    fitted = c.fits_at(points).values
    means = np.array([_means(c.model, c.truth_of(values)) for values in fitted])
    low = poisson.ppf(TAIL, means.min(axis=0))
    high = poisson.isf(TAIL, means.max(axis=0))
    return list(
        zip(np.maximum(low, 0).astype(int).tolist(), high.astype(int).tolist(), strict=True)
    )
