"""Critical values by importance sampling beside those of brute force, point by point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from ...reco.cluster.workers import HERE, Here
from ..construction.belt import order_statistic
from ..construction.neyman import Construction
from ..records.distribute import throw_tasks
from ..regions.region import Region
from .mixture import importance_region
from .surrogate import asimov_fits


class Comparison(NamedTuple):
    """Importance sampling and brute force at each point of a grid."""

    region: Region
    """Region by importance sampling."""
    fits: int
    """Data sets that it fits at each point: its toys, and the expected ones of the surrogate."""
    brute_toys: int
    """Toys of brute force at each point."""
    brute_critical: Array
    brute_error: Array
    pull: Array
    """Pull of the part of brute force's toys above the critical value by importance sampling.

    In units of its binomial error, and of what the error of the critical value makes of it. A pull
    of the two critical values would have an error that depends on the value itself.
    """

    @property
    def ratio(self) -> Array:
        """Stated error over brute force's, shape (points,)."""
        return self.region.belt.error / self.brute_error


def compare(
    construction: Construction,
    cl: float,
    toys: int,
    times: int = 10,
    workers: Here = HERE,
) -> Comparison:
    """Compare with brute force that fits so many times the data sets, with toys of its own.

    Parameters
    ----------
    toys
        Toys of importance sampling, at each point.
    workers
        Threads; their `progress` is told numbers of toys, `toys` and those of brute force at each
        point.
    """
    fits = toys + asimov_fits(len(construction.axes))
    many = times * fits
    sampled = importance_region(construction, cl, toys, many, workers)
    size = len(construction.points)
    critical, error, pull = (np.empty(size) for _ in range(3))
    tasks = [(g, 0, many) for g in range(size)]
    for (g, *_), statistic in throw_tasks(construction, tasks, workers):
        q = statistic.value ** (2 if len(construction.axes) == 1 else 1)
        critical[g], error[g] = order_statistic(q, cl)
        value, sigma = sampled.critical[g], sampled.belt.error[g]
        above = np.mean(q > value)
        slope = np.mean(np.abs(q - value) < 0.5)  # of the probability: the part within ±0.5
        pull[g] = (above - (1 - cl)) / np.hypot(np.sqrt(cl * (1 - cl) / many), slope * sigma)
        workers.progress(many)
    return Comparison(sampled, fits, many, critical, error, pull)
