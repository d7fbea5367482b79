"""χ² as a function of some parameters, minimised over all other variables, with its slopes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from ...reco.cluster.workers import HERE, Here
from ..counts.model import Data, Model
from ..kernels.lanes import DataSets, Objective
from ..kernels.status import CONVERGED
from .careful import derivatives
from .local import NO_LIMIT, Fits
from .search import Search, search

NEIGHBOURS = 3
"""Known points nearby whose minima are starts of fits at a point."""
MOST_KNOWN = 20_000
LOWER = 1e-9
"""Of χ², by which a point must be lower than the least χ² to take its place."""


class Points(NamedTuple):
    """A profile at some points."""

    values: Array
    """Values of all variables, shape (points, variables)."""
    chi2: Array
    """Least χ², shape (points,)."""
    slopes: Array
    """Derivatives by the parameters of the profile, shape (points, parameters)."""


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

    def points(self, *values: Array) -> Points:
        """χ² and its slopes at points: one array of shape (n,) for each name."""
        fits = self._fits(*values)
        return Points(fits.values, fits.chi2, self._slopes(fits.values))

    def released(self, values: Array) -> Fits:
        """Minima that are reached from points, shape (n, variables), with nothing held."""
        return self._free.local(self.data, values, self.workers)

    @cached_property
    def _free(self) -> Search:
        """Fits with nothing held."""
        return search(self.model)

    def _fits(self, *values: Array) -> Fits:
        start = np.repeat(self.best.values, np.size(values[0]), axis=0)
        start = np.clip(start, self.model.lower, self.model.upper)
        for i, value in zip(self.held, values, strict=True):
            start[:, i] = np.ravel(value)
        fits = self._search.fit(self.data, start, self.workers)
        if self._search.straight is None:
            fits = self._continued(fits, start)
            self._known = np.concatenate([self._known, fits.values])[-MOST_KNOWN:]
        self.failed = int(np.count_nonzero(fits.status != CONVERGED)) + self._failed_best
        lowest = int(np.argmin(fits.chi2))
        if fits.chi2[lowest] < self.minimum - LOWER * (1 + abs(self.minimum)):
            self.best = self.best.better(self.released(fits.values[[lowest]]))
        return fits

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

    def _continued(self, fits: Fits, start: Array) -> Fits:
        """Fit again from the minima of other points: along valleys, the starts are not enough."""
        for nearby in self._nearby(start):
            fits = fits.better(self._search.local(self.data, nearby, self.workers))
        distance = 1
        while distance < len(start):
            for shift in (distance, -distance):
                nearby = np.roll(fits.values, shift, axis=0)
                nearby[:, self.held] = start[:, self.held]
                fits = fits.better(self._search.local(self.data, nearby, self.workers))
            distance *= 2
        return fits

    def _nearby(self, start: Array) -> list[Array]:
        """Starts at the minima of the nearest points that are known."""
        from scipy.spatial import KDTree

        scale = np.ptp(start[:, self.held], axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        tree = KDTree(self._known[:, self.held] / scale)
        number = min(NEIGHBOURS, len(self._known))
        _, places = tree.query(start[:, self.held] / scale, k=range(1, number + 1))
        starts = []
        for place in places.T:
            nearby = self._known[place]
            nearby[:, self.held] = start[:, self.held]
            starts.append(nearby)
        return starts
