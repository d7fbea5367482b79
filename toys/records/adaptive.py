"""More toys where the region's edge is uncertain, none where it is not."""

from __future__ import annotations

import numpy as np

from ...reco.cluster.workers import HERE, Workers
from ..construction.belt import Ordering
from ..construction.neyman import Construction
from ..regions.region import region
from .distribute import throw_tasks
from .record import Record, missing

FIRST_TOYS = 500
"""Toys thrown at every point."""
NEAR = 4.0
"""A point is uncertain if the data are within as many errors of the critical value."""


def throw_adaptively(
    construction: Construction,
    record: Record,
    cl: float,
    ordering: Ordering,
    error: float,
    start: int,
    most: int,
    workers: Workers = HERE,
) -> None:
    """Throw toys in rounds of doubled numbers, into a record.

    Parameters
    ----------
    error
        Error of the critical value that is wanted; a point is done when it is reached, or when the
        data are more than NEAR errors away from the critical value.
    start, most
        Number of the first toy, and the most toys of a point.
    workers
        Threads here, or a cluster; their `progress` is told how many toys are made, or not needed.
    """
    size = len(construction.points)
    points = np.arange(size)
    low, high = 0, min(FIRST_TOYS, most)
    while points.size:
        todo = missing((int(p) for p in points), start + low, start + high, record.done())
        workers.progress(points.size * (high - low) - sum(b - a for _, a, b in todo))
        for number in record.write(throw_tasks(construction, todo, workers)):
            workers.progress(number)
        estimate = region(construction, record.by_point(size), cl, ordering)
        reached = estimate.belt.error <= error
        far = np.abs(estimate.margin) > NEAR * estimate.belt.error
        left = points[~(reached | far)[points]] if high < most else points[:0]
        workers.progress((points.size - left.size) * (most - high))
        points = left
        low, high = high, min(2 * high, most)
