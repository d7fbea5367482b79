"""Toys at points round every limit of one parameter, so that the grid does not decide it.

Points lie between two of the grid that bracket a limit, at 4096ths of the cell; they have numbers
(`construction.numbering`), under which their toys are kept beside those of the grid. Which points
are taken depends on the toys alone, so that the region is the same for any workers, and for runs
that are resumed or merged; toys of other points that a folder holds are not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...reco.cluster.workers import HERE, Workers
from ..construction.belt import Ordering
from ..construction.neyman import Construction, Statistic
from ..construction.numbering import place_between
from ..regions.region import Region, region
from .distribute import throw_tasks
from .record import Record, Task, missing

MOST_ROUNDS = 40
"""Most times that points are added."""


def refined_region(
    construction: Construction,
    record: Record,
    cl: float,
    ordering: Ordering,
    workers: Workers = HERE,
) -> Region:
    """Region from the toys of a record, with more at its limits until the grid's part is small.

    At each point there are the toys, by number, that the point of the grid below it has.
    """
    size = len(construction.points)
    found = region(construction, record.by_point(size), cl, ordering)
    between: dict[int, Statistic] = {}
    for _ in range(MOST_ROUNDS):
        new = [number for number in found.wanted if number not in between]
        if not new:
            break
        between |= _toys(construction, record, new, workers)
        found = replace(found, between=dict(between))
    return found


def _toys(
    construction: Construction, record: Record, numbers: Iterable[int], workers: Workers
) -> dict[int, Statistic]:
    """Toys of some points between those of the grid, thrown where the record lacks them."""
    done = record.done()
    ranges = {number: _ranges(done, place_between(number)[0]) for number in numbers}
    todo = [
        task
        for number, pieces in ranges.items()
        for start, stop in pieces
        for task in missing([number], start, stop, done)
    ]
    for _ in record.write(throw_tasks(construction, todo, workers), workers.name):
        pass
    return {number: record.of(number) for number in ranges}


def _ranges(done: Iterable[Task], point: int) -> list[tuple[int, int]]:
    """Ranges of the toys of a point that are there, joined where they touch."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted({(start, stop) for number, start, stop in done if number == point}):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined
