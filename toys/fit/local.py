"""Fits of many data sets from one start each, to the minimum that is reached from there.

The compiled fit (`kernels.minimise`) goes first; where it does not arrive, `careful` goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.cluster.workers import ALONE, HERE, Here
from ..counts.model import Data, Model
from ..kernels.lanes import DataSets, Objective, Results
from ..kernels.minimise import minimise
from ..kernels.status import CONVERGED, HIGHER, NO_VALID_START, SADDLE
from .careful import careful_fit

SETS_A_TASK = 2048
NO_LIMIT = np.full(1, np.inf)
"""χ² above which a minimum is of no interest, where any is."""


class Fits(NamedTuple):
    """Results of fits."""

    values: Array
    """Values of the variables at the minimum, shape (sets, variables)."""
    chi2: Array
    """χ² at the minimum, shape (sets,)."""
    status: NDArray[np.int64]
    """0 where the fit converged, see `kernels.status.STATUS`, shape (sets,)."""
    steps: NDArray[np.int64]
    """Evaluations of χ², shape (sets,)."""

    def better(self, other: Fits) -> Fits:
        """The better of two fits of each data set; one that converged, or the first, if as good."""
        margin = np.where((other.status == CONVERGED) & (self.status != CONVERGED), 1e-9, -1e-9)
        is_better = other.chi2 < self.chi2 + margin
        return Fits(
            np.where(is_better[:, None], other.values, self.values),
            np.where(is_better, other.chi2, self.chi2),
            np.where(is_better, other.status, self.status),
            self.steps + other.steps,
        )

    def of(self, sets: NDArray[np.int64] | NDArray[np.bool_]) -> Fits:
        """Fits of some of the data sets."""
        return Fits(self.values[sets], self.chi2[sets], self.status[sets], self.steps[sets])


def local_fit(
    model: Model,
    data: Data,
    start: Array,
    held: Sequence[int] = (),
    workers: Here = HERE,
    bounds: tuple[Array, Array] | None = None,
    highest: Array | None = None,
    only_saddles: bool = False,
) -> Fits:
    """Minimum that is reached from one start.

    Parameters
    ----------
    data
        One set, or as many as there are starts.
    start
        Values of the variables, shape (1, variables) or (sets, variables).
    held
        Numbers of the variables that stay at their start.
    workers
        Threads; results do not depend on them.
    bounds
        Lower and upper bounds in place of the model's, shape (variables,) each.
    highest
        χ² of each set, shape (sets,); fits that would end above it end early.
    only_saddles
        Go on with care only from saddles; where the compiled fit crawls, it is left.
    """
    fixed = set(held)
    free = [i for i in range(model.variables) if i not in fixed]
    sets = max(len(data), len(start))
    fits = Fits(
        values=np.empty((sets, model.variables)),
        chi2=np.empty(sets),
        status=np.empty(sets, np.int64),
        steps=np.empty(sets, np.int64),
    )
    lower, upper = bounds or (model.lower, model.upper)
    objective = Objective(
        terms=model.terms(free),
        tau=model.tau,
        free=np.array(free, np.int64),
        weight=model.weight,
        lower=lower,
        upper=upper,
    )
    top = NO_LIMIT if highest is None else highest
    whole = data.counts, data.off, data.centre, np.asarray(start, float), top

    def run(low: int) -> None:
        part = slice(low, min(low + SETS_A_TASK, sets))
        counts, off, centre, first, above = [
            np.ascontiguousarray(a[part]) if len(a) > 1 else a for a in whole
        ]
        minimise(
            objective,
            DataSets(counts=counts, off=off, centre=centre, start=first, highest=above),
            Results(
                values=fits.values[part],
                chi2=fits.chi2[part],
                status=fits.status[part],
                steps=fits.steps[part],
            ),
        )

    starts = range(0, sets, SETS_A_TASK)
    for _ in (workers if len(starts) > 1 else ALONE).map(run, starts):
        pass
    left = np.flatnonzero((fits.status != CONVERGED) & (fits.status != HIGHER))
    left = left[fits.status[left] != NO_VALID_START]
    if only_saddles:
        left = left[fits.status[left] == SADDLE]
    if left.size:
        _go_on(objective, take(data, left), fits, left, top[left] if len(top) > 1 else top)
    return fits


def _go_on(
    objective: Objective, data: Data, fits: Fits, left: NDArray[np.int64], highest: Array
) -> None:
    """Fit with care the data sets that the compiled fit has left, from where it was."""
    sets = DataSets(
        counts=data.counts,
        off=data.off,
        centre=data.centre,
        start=fits.values[left],
        highest=highest,
    )
    values, chi2, status, steps = careful_fit(objective, sets)
    fits.values[left], fits.chi2[left], fits.status[left] = values, chi2, status
    fits.steps[left] += steps


def take(data: Data, sets: NDArray[np.int64]) -> Data:
    """Some of the data sets."""
    counts, off, centre = (
        a[sets] if len(a) > 1 else a for a in (data.counts, data.off, data.centre)
    )
    return Data(counts, off, centre)
