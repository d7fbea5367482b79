"""Regions by toys that are kept no longer than it takes to find them."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from ...reco.cluster.workers import HERE, Here
from ..construction.belt import Ordering
from ..construction.neyman import Construction
from ..regions.region import Region
from .distribute import throw_tasks
from .record import open_record, tasks_of
from .refine import refined_region


def thrown_region(
    construction: Construction,
    toys: int,
    cl: float,
    workers: Here = HERE,
    ordering: Ordering = "likelihood-ratio",
) -> Region:
    """Region by toys, the same as that of `nuspill toys`, with its toys in a temporary folder.

    Parameters
    ----------
    toys
        Of each grid point.
    workers
        Threads; their `progress` is told numbers of toys.
    """
    points = range(len(construction.points))
    with TemporaryDirectory(prefix="nuspill-") as folder:
        record = open_record(f"{folder}/toys", {}, resume=False)
        results = throw_tasks(construction, tasks_of(points, 0, toys), workers)
        for number in record.write(results, workers.name):
            workers.progress(number)
        return refined_region(construction, record, cl, ordering, workers)
