"""Neyman constructions: at every point of a grid, which data are ordinary there.

At a point θ the statistic is q = χ²(θ, nuisance parameters fitted) − the global minimum of χ², the
likelihood-ratio ordering of Feldman and Cousins. A point belongs to the region if q of the data is
not above the critical value, the quantile of q of toys thrown at that point. In one parameter the
signed root r = sign(θ̂ − θ) √q also gives central intervals and upper limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from ...reco.cluster.workers import ALONE
from ...reco.errors import ExperimentError, whole_number
from ...reco.experiment import Experiment
from ..counts.model import Data, Model
from ..fit.audit import Audit, gains, summed
from ..fit.local import Fits, take
from ..fit.search import Search, search
from ..kernels.status import CONVERGED
from .ensemble import MOST_TOYS, Ensemble, Truth, truth_at
from .event_toys import EventSource, sources_at, throw_events
from .numbering import BETWEEN, PARTS, place_between
from .throw import throw, true_values

TOYS_AT_ONCE = 4096
"""Most toys of one point in a block of arrays."""


class Statistic(NamedTuple):
    """Toys of one grid point."""

    value: Array
    """r in one parameter, else q, shape (toys,)."""
    failed: int
    """Toys with a fit that did not converge, after it was tried again; they are counted as is."""


@dataclass(frozen=True, eq=False)
class Construction:
    """A grid of points, and how toys are thrown and ordered at each."""

    model: Model
    """Scanned and profiled parameters are free."""
    axes: tuple[tuple[str, Array], ...]
    """Names of the scanned parameters, and their values."""
    ensemble: Ensemble
    seed: int
    data: Data
    """The observed data set, or the Asimov data: what the region is for."""
    experiments: tuple[Experiment, ...] = ()
    """Experiments, needed where the toys are of events."""
    first_point: int = 0
    """Number of the first grid point in naming toys."""

    def __post_init__(self) -> None:
        """Check the seed, which no array would."""
        seed = whole_number("seed", self.seed, 0, 2**64 - 1)
        object.__setattr__(self, "seed", seed)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scanned parameters."""
        return tuple(name for name, _ in self.axes)

    @cached_property
    def points(self) -> Array:
        """Scanned values of each grid point, the first axis running fastest."""
        grids = np.meshgrid(*(x for _, x in self.axes), indexing="ij")
        return np.stack([g.ravel(order="F") for g in grids], axis=1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of arrays over the grid: the last axis first."""
        return tuple(len(x) for _, x in reversed(self.axes))

    @cached_property
    def held(self) -> list[int]:
        """Numbers of the scanned parameters."""
        return [self.model.number(name) for name in self.names]

    @cached_property
    def _first(self) -> Fits:
        return self.search_free.fit(self.data)

    @cached_property
    def best(self) -> Fits:
        """Global minimum of the data, no worse than at any grid point."""
        nearest = self.profiled.values[[int(np.argmin(self.profiled.chi2))]]
        return self._first.better(self.search_free.local(self.data, nearest))

    @cached_property
    def profiled(self) -> Fits:
        """Fits to the data at every point, the scanned parameters held."""
        return self.fits_at(self.points)

    @cached_property
    def delta_chi2(self) -> Array:
        """The q of the data at every point, shape (points,)."""
        return self.profiled.chi2 - self.best.chi2[0]

    @cached_property
    def observed(self) -> Array:
        """The statistic of the data at every point, as `Statistic.value`."""
        return self._signed(self.delta_chi2, self.best.values, self.points)

    def observed_at(self, points: Array) -> tuple[Array, Array]:
        """The q and statistic of the data at other points, of shape (n, scanned parameters)."""
        q = self.fits_at(points).chi2 - self.best.chi2[0]
        return q, self._signed(q, self.best.values, points)

    def fits_at(self, points: Array) -> Fits:
        """Fits to the data with the scanned parameters held at points, of shape (n, scanned)."""
        start = np.repeat(self._first.values, len(points), axis=0)
        start[:, self.held] = points
        return self.search_held.fit(self.data, start)

    def position(self, point: int) -> Array:
        """Values of the scanned parameters at a point of the grid, or at one between two.

        Points between those of the grid of one parameter are numbered by `numbering`.
        """
        if point < BETWEEN:
            return self.points[point]
        cell, part = place_between(point)
        low, high = self.points[cell], self.points[cell + 1]
        return low + part / PARTS * (high - low)

    def truth(self, point: int) -> Truth:
        """Truth of the toys of a point."""
        if point < BETWEEN:
            return self.truth_of(self.profiled.values[point])
        if point not in self._between:
            fits = self.fits_at(self.position(point)[None])
            self._between[point] = self.truth_of(fits.values[0])
        return self._between[point]

    def truth_of(self, profiled: Array) -> Truth:
        """Truth of the toys of a point, given the fit to the data there, shape (variables,)."""
        return truth_at(self.model, self.ensemble, profiled, self.data)

    @cached_property
    def _between(self) -> dict[int, Truth]:
        """Truths at points between those of the grid, as far as they were needed."""
        return {}

    def toys(self, point: int, start: int, stop: int) -> Statistic:
        """Toys number `start` to `stop` − 1 of a point: the same whichever process makes them."""
        if not 0 <= start <= stop <= MOST_TOYS:
            raise ExperimentError(f"toys must be from 0 to {MOST_TOYS}, not {start} to {stop}")
        parts = [
            self._toys(point, low, min(low + TOYS_AT_ONCE, stop))
            for low in range(start, stop, TOYS_AT_ONCE)
        ]
        if not parts:
            return Statistic(np.empty(0), 0)
        return Statistic(np.concatenate([p.value for p in parts]), sum(p.failed for p in parts))

    def _toys(self, point: int, start: int, stop: int) -> Statistic:
        at, free = self.fits(point, start, stop)
        bad = (at.status != CONVERGED) | (free.status != CONVERGED)
        q = at.chi2 - free.chi2
        value = self._signed(q, free.values, self.position(point)[None])
        return Statistic(value, int(np.count_nonzero(bad)))

    def audit(self, first: int, toys: int, checked: int = 200) -> Audit:
        """Try again some of the fits of toys `first` to `first + toys` − 1, of all the points.

        Parameters
        ----------
        checked
            Number of fits, half of them with the scanned parameters held; at most so many.
        """
        size = len(self.points) * toys
        places = np.unique(np.linspace(0, size - 1, min(size, checked // 2)).astype(int))
        chosen = [(int(place // toys), int(first + place % toys)) for place in places]
        data = [self.thrown(point, number, number + 1) for point, number in chosen]
        truths = [self.truth(point).values[None] for point, _ in chosen]
        both = [self.fit_toys(toy, truth) for toy, truth in zip(data, truths, strict=True)]
        counts, off, centre = (
            np.concatenate(part) for part in zip(*map(_arrays, data), strict=True)
        )
        joined = Data(counts, off, centre)
        at, free = (
            Fits(*(np.concatenate(part) for part in zip(*fits, strict=True)))
            for fits in zip(*both, strict=True)
        )
        return summed(gains(self.model, joined, at, self.held), gains(self.model, joined, free))

    def fits(self, point: int, start: int, stop: int) -> tuple[Fits, Fits]:
        """Fits of toys of a point, with the scanned parameters held there and free."""
        data = self.thrown(point, start, stop)
        return self.fit_toys(data, self.truth(point).values[None])

    def thrown(self, point: int, start: int, stop: int) -> Data:
        """Toys of a point as data sets."""
        truth = self.truth(point)
        number = self.first_point + point
        data = throw(self.model, self.ensemble, truth, self.seed, number, start, stop)
        if self.ensemble.level == "events":
            values = true_values(self.model, self.ensemble, truth, self.seed, number, start, stop)
            sources = _events_at(self, point)
            counts, off = throw_events(self.model, sources, values, self.seed, number, start)
            data = Data(counts, off, data.centre)
        return data

    def fit_toys(self, data: Data, values: Array) -> tuple[Fits, Fits]:
        """Fits of data sets with the scanned parameters held at `values`, and free.

        The free fit is global, and never above the other.
        """
        thrown_at = tuple(values[0].tolist())
        at = self.fit_held(data, values)
        free = _around(self.search_free, thrown_at).fit(data, at.values, workers=ALONE)
        above = np.flatnonzero((free.chi2 > at.chi2) | (free.status != CONVERGED))
        if above.size:
            again = self.search_free.local(take(data, above), at.values[above], ALONE)
            for whole, new in zip(free, free.of(above).better(again), strict=True):
                whole[above] = new
        return at, free

    def fit_held(self, data: Data, values: Array) -> Fits:
        """Fits of data sets with the scanned parameters held at `values`, (1, variables)."""
        search_there = _around(self.search_held, tuple(values[0].tolist()))
        return search_there.fit(data, values, workers=ALONE)

    @cached_property
    def search_held(self) -> Search:
        """Fits with the scanned parameters held."""
        return search(self.model, self.names)

    @cached_property
    def search_free(self) -> Search:
        """Fits of all variables."""
        return search(self.model)

    def _signed(self, q: Array, fitted: Array, at: Array) -> Array:
        if len(self.axes) > 1:
            return q
        return np.where(fitted[:, self.held[0]] < at[:, 0], -1.0, 1.0) * np.sqrt(np.maximum(q, 0))

    def warm(self) -> None:
        """Compute what all toys share, before threads ask for it."""
        _ = self.observed, self.search_held, self.search_free, self._between


@lru_cache(maxsize=16)
def _around(search: Search, values: tuple[float, ...]) -> Search:
    """The search for toys thrown at some values, kept for the next toys of the same."""
    return search.around(np.array(values))


@lru_cache(maxsize=16)
def _events_at(construction: Construction, point: int) -> list[EventSource]:
    """What makes the events of a point's toys, kept for the next toys of the same."""
    return sources_at(construction.model, construction.experiments, construction.truth(point))


def _arrays(data: Data) -> tuple[Array, Array, Array]:
    """Arrays of data sets."""
    return data.counts, data.off, data.centre
