"""χ² as a function of some parameters, minimised over all other variables, with its slopes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from ...reco.cluster.workers import HERE, Here
from ..counts.model import Data, Model
from ..fit.careful import derivatives
from ..fit.local import NO_LIMIT, Fits, local_fit
from ..fit.search import Search, search
from ..kernels.lanes import DataSets, Objective
from ..kernels.status import CONVERGED

NEIGHBOURS = 3
"""Known points nearby whose minima are starts of fits at a point."""
LOWER = 1e-9
"""Of χ², by which a point must be lower than the least χ² to take its place."""


class Points(NamedTuple):
    """A profile at some points."""

    values: Array
    """Values of all variables, shape (points, variables)."""
    chi2: Array
    """Least χ², shape (points,)."""
    slopes: Array
    """Derivatives by the parameters, shape (points, parameters); nan where χ² is infinite."""


class Profile:
    """Δχ² of one data set as a function of some parameters, the others fitted."""

    def __init__(
        self,
        model: Model,
        names: Sequence[str],
        data: Data | None = None,
        workers: Here = HERE,
        best: Fits | None = None,
    ) -> None:
        self.model, self.names = model, tuple(names)
        self.data = model.asimov() if data is None else data
        self.workers = workers
        self.held = [model.number(name) for name in names]
        self.best = self._free.fit(self.data, workers=workers) if best is None else best
        self._failed_best = int(self.best.status[0] != CONVERGED)
        self.failed = self._failed_best
        """Fits of the last call that did not converge, that of the minimum included."""
        self._search: Search = search(model, self.names)
        self._known = self.best.values
        self._learned, self._doubted = False, False

    @property
    def minimum(self) -> float:
        """Least χ² that is known."""
        return float(self.best.chi2[0])

    def best_of(self, name: str) -> float:
        """Value of a variable at the minimum."""
        return float(self.best.values[0, self.model.number(name)])

    def __call__(self, *values: Array) -> Array:
        """Δχ² at points: one array of shape (n,) for each name."""
        fits = self._fits(*values)
        return fits.chi2 - self.minimum

    @property
    def straight(self) -> bool:
        """Whether fits with the parameters held find the least χ² from any start."""
        return self._search.straight is not None and not self._doubted

    def doubt(self) -> None:
        """Fit from known points nearby too, whatever the search is sure of."""
        self._doubted = True

    def points(self, *values: Array, near: Sequence[Array] = ()) -> Points:
        """χ² and its slopes at points: one array of shape (n,) for each name.

        Parameters
        ----------
        near
            Values of all variables at neighbours of each point, shape (n, variables) each.
        """
        return self._with_slopes(self._fits(*values, near=near))

    def between(self, x: Array, near: Sequence[Array]) -> Points:
        """Points of the only parameter between ones nearby, fitted from these alone if need be."""
        if self.straight:
            return self.points(x)
        starts = [self._held_as(x[:, None], values) for values in near]
        first, *others = (self._search.local(self.data, s, self.workers) for s in starts)
        for other in others:
            first = first.better(other)
        return self._with_slopes(first)

    def reached(self, starts: Array, highest: Array) -> Points:
        """Points that are reached from starts, shape (n, variables), the parameters held.

        Fits that would end above `highest`, a χ² for each, end early.
        """
        inner = self._search
        first = inner.coordinates.inward(starts)
        fits = local_fit(inner.model, self.data, first, inner.held, self.workers, highest=highest)
        fits = fits._replace(values=inner.coordinates.outward(fits.values, starts))
        self._note(fits)
        return self._with_slopes(fits)

    def learn(self, values: Array) -> None:
        """Know points, shape (n, variables), as starts of fits nearby."""
        self._known, self._learned = values, True

    def released(self, values: Array) -> Fits:
        """Minima that are reached from points, shape (n, variables), with nothing held."""
        return self._free.local(self.data, values, self.workers)

    @cached_property
    def _free(self) -> Search:
        """Fits with nothing held."""
        return search(self.model)

    def _with_slopes(self, fits: Fits) -> Points:
        slopes = np.where(np.isinf(fits.chi2)[:, None], np.nan, self._slopes(fits.values))
        return Points(fits.values, fits.chi2, slopes)

    def _fits(self, *values: Array, near: Sequence[Array] = ()) -> Fits:
        start = np.repeat(self.best.values, np.size(values[0]), axis=0)
        start = np.clip(start, self.model.lower, self.model.upper)
        for i, value in zip(self.held, values, strict=True):
            start[:, i] = np.ravel(value)
        fits = self._search.fit(self.data, start, self.workers)
        if not self.straight:
            fits = self._continued(fits, start, near)
        self.failed = int(np.count_nonzero(fits.status != CONVERGED)) + self._failed_best
        self._note(fits)
        return fits

    def _note(self, fits: Fits) -> None:
        """Put a point that is lower than the least χ² in its place, and go on from there."""
        lowest = int(np.argmin(fits.chi2))
        if fits.chi2[lowest] < self.minimum - LOWER * (1 + abs(self.minimum)):
            self.best = self.best.better(self.released(fits.values[[lowest]]))

    def _slopes(self, values: Array) -> Array:
        """Derivatives at minima over the other variables: those of χ² itself."""
        m = self.model
        objective = Objective(
            terms=m.terms(self.held),
            tau=m.tau,
            free=np.array(self.held, np.int64),
            weight=m.weight,
            lower=m.lower,
            upper=m.upper,
        )
        d = self.data
        sets = DataSets(
            counts=d.counts,
            off=d.off,
            centre=d.centre,
            start=np.ascontiguousarray(values),
            highest=NO_LIMIT,
        )
        return derivatives(objective, sets).gradient

    def _continued(self, fits: Fits, start: Array, near: Sequence[Array]) -> Fits:
        """Fit again from the minima of other points: along valleys, the starts are not enough."""
        at = start[:, self.held]
        for values in near or self._nearby(start):
            nearby = self._held_as(at, values)
            fits = fits.better(self._search.local(self.data, nearby, self.workers))
        distance = 1
        while distance < len(start) and not near and not self._learned:
            for shift in (distance, -distance):
                nearby = self._held_as(at, np.roll(fits.values, shift, axis=0))
                fits = fits.better(self._search.local(self.data, nearby, self.workers))
            distance *= 2
        return fits

    def _held_as(self, at: Array, values: Array) -> Array:
        """Values with those of the held parameters at points, shape (n, parameters)."""
        nearby = values.copy()
        nearby[:, self.held] = at
        return nearby

    def _nearby(self, start: Array) -> list[Array]:
        """Starts at the minima of the nearest points that are known."""
        from scipy.spatial import KDTree

        scale = np.ptp(start[:, self.held], axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        tree = KDTree(self._known[:, self.held] / scale)
        number = min(NEIGHBOURS, len(self._known))
        _, places = tree.query(start[:, self.held] / scale, k=range(1, number + 1))
        return [self._known[place] for place in places.T]
