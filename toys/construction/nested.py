"""Toys of toys: whether data are in the region that toys profiled on themselves would give.

`nuspill toys --data` throws its toys at the nuisance parameters, and the background, that are
fitted to the data. So the critical value differs from one data set to the next, and the coverage of
the procedure is that of a nested loop: each toy that is tried is data, of which other toys are
thrown. The loop is exact. It is affordable since it only asks on which side of the quantile the
data lie: most data sets are decided by a few toys, and only those beside the quantile need all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...generator.arrays import Array
from ..counts.model import Data, Model
from ..fit.local import take
from ..kernels.status import CONVERGED
from ..kernels.throw import nested_seed
from .belt import ROUNDING
from .ensemble import Ensemble, Truth, truth_at
from .neyman import Construction, Statistic
from .throw import throw

FIRST_LOOK = 100
"""Toys of a data set before it is asked whether it is decided; then twice as many, and so on."""
DECIDED = 4.0
"""Standard deviations from a level at which a data set is."""


def follows_the_data(model: Model, held: Sequence[str], ensemble: Ensemble) -> bool:
    """Whether the toys of an ensemble are others for other data, the parameters `held` given."""
    if any(p.name not in held for p in model.parameters):
        return True
    return ensemble.truth != "fixed" and bool(model.nuisances or model.tau.any())


@dataclass(frozen=True, eq=False)
class Nested:
    """Toys that are tried at one point, each with toys of its own."""

    tried: Construction
    """A grid of one point, whose toys are tried."""
    ensemble: Ensemble
    """Ensemble of the toys of each."""
    levels: tuple[float, ...]
    """Confidence levels that are asked for; they decide how many toys are thrown."""
    toys_each: int
    """Most toys of each."""

    def warm(self) -> None:
        """Compute what all toys share."""
        self.tried.warm()

    @cached_property
    def looks(self) -> list[int]:
        """Numbers of toys after which it is asked whether a data set is decided."""
        numbers = [FIRST_LOOK]
        while numbers[-1] < self.toys_each:
            numbers.append(2 * numbers[-1])
        return [*numbers[:-1], self.toys_each]

    def toys(self, point: int, start: int, stop: int) -> Statistic:
        """Part of its own toys that lies below each toy in q: it is held where that is < CL."""
        data = self.tried.thrown(point, start, stop)
        at, free = self.tried.fit_toys(data, self.tried.truth(point).values[None])
        bad = (at.status != CONVERGED) | (free.status != CONVERGED)
        q = at.chi2 - free.chi2
        below = np.empty(stop - start)
        for t in range(stop - start):
            one = take(data, np.array([t]))
            truth = truth_at(self.tried.model, self.ensemble, at.values[t], one)
            below[t] = self._below(float(q[t]), one, truth, start + t)
        return Statistic(below, int(np.count_nonzero(bad)))

    def _below(self, q: float, data: Data, truth: Truth, number: int) -> float:
        """Part of the toys of a data set whose q is below its own, of as many as decide it."""
        levels = np.array(self.levels)
        below, made = 0, 0
        for toys in self.looks:
            values = self._q(data, truth, number, made, toys)
            below, made = below + int(np.count_nonzero(values < q - ROUNDING)), toys
            spread = DECIDED * np.sqrt(toys * levels * (1 - levels))
            if np.all(np.abs(below - levels * toys) > spread):
                break
        return below / made

    def _q(self, data: Data, truth: Truth, number: int, start: int, stop: int) -> Array:
        """The q of toys number `start` to `stop` − 1 of the data set of a number."""
        c = self.tried
        seed = int(nested_seed(np.uint64(c.seed), number, c.first_point))
        made = throw(c.model, self.ensemble, truth, seed, c.first_point, start, stop)
        if self.ensemble.centres == "fixed":  # where the data have theirs
            made = Data(made.counts, made.off, data.centre)
        at, free = c.fit_toys(made, truth.values[None])
        return at.chi2 - free.chi2
