"""Toys in pieces of some seconds on the workers of a cluster, and whole tasks in their order back.

How tasks are cut decides nothing: a toy is named by point and number, and what comes back is put
together to the tasks that were asked for, so that the files of a run are the same for any cluster.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...reco.cluster.workers import HERE, Here, Workers
from ..construction.neyman import Statistic

PILOT_TOYS = 64
BLOCK_SECONDS = 2.0
"""Time that a block should take on one thread."""
SHARES = 4
"""Least number of blocks for each thread of the cluster, where there are toys enough."""
LEAST_TOYS = 64
"""Least number of toys of a block."""

Task = tuple[int, int, int]
"""Point, and range of toys."""


@dataclass(frozen=True, eq=False)
class ToyWork:
    """Toys of any points, to be thrown in any process."""

    thrower: Thrower

    def warm(self) -> None:
        """Compile the kernels."""
        self.thrower.warm()
        self.thrower.toys(0, 0, 1)

    def make(self, tasks: Sequence[Task]) -> list[Statistic]:
        """Throw toys of some tasks."""
        return [self.thrower.toys(*task) for task in tasks]


class Cutter:
    """Cuts tasks into blocks of about equal times, by the times of those that came back."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds, self.most = seconds, most
        """Seconds that a toy takes, and the most toys of a block."""

    def learn(self, toys: int, seconds: float) -> None:
        """Take in the time of a block; half of what is known is forgotten."""
        if toys > 0 and seconds > 0:
            self.seconds = 0.5 * (self.seconds + seconds / toys)

    def size(self) -> int:
        """Toys of a block."""
        return max(LEAST_TOYS, min(int(BLOCK_SECONDS / self.seconds), self.most))

    def blocks(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, ...]]:
        """Blocks of tasks or parts of them, in order."""
        block: list[Task] = []
        room = self.size()
        for point, start, stop in tasks:
            at = start
            while at < stop:
                end = min(at + room, stop)
                block.append((point, at, end))
                room -= end - at
                at = end
                if room <= 0:
                    yield tuple(block)
                    block, room = [], self.size()
        if block:
            yield tuple(block)


def throw_tasks(
    thrower: Thrower, tasks: Sequence[Task], workers: Workers = HERE
) -> Iterator[tuple[Task, Statistic]]:
    """Make the toys of tasks, in their order."""
    if isinstance(workers, Here):
        thrower.warm()
        yield from zip(tasks, workers.map(lambda task: thrower.toys(*task), tasks), strict=True)
    elif tasks:
        yield from _throw_blocks(thrower, tasks, workers)


def _throw_blocks(
    thrower: Thrower, tasks: Sequence[Task], workers: Workers
) -> Iterator[tuple[Task, Statistic]]:
    """Make the toys of tasks in blocks of some seconds, in other processes."""
    work = ToyWork(thrower)
    work.warm()
    point, start, stop = tasks[0]
    pilot = min(PILOT_TOYS, stop - start)
    begin = time.perf_counter()
    thrower.toys(point, start, start + pilot)
    seconds = (time.perf_counter() - begin) / pilot
    toys = sum(stop - start for _, start, stop in tasks)
    cutter = Cutter(seconds, -(-toys // (SHARES * max(workers.threads(), 1))))
    parts: list[Statistic] = []
    whole = iter(tasks)
    task, held = next(whole), 0
    for block, made in workers.compute(work, cutter.blocks(tasks)):
        cutter.learn(sum(stop - start for _, start, stop in block), made.seconds)
        for piece in made.result:
            parts.append(piece)
            held += len(piece.value)
            if held == task[2] - task[1]:
                values = np.concatenate([p.value for p in parts])
                yield task, Statistic(values, sum(p.failed for p in parts))
                parts, held = [], 0
                task = next(whole, task)


class Thrower(Protocol):
    """Maker of toys: a construction, or several."""

    def warm(self) -> None:
        """Compute what all toys share."""

    def toys(self, point: int, start: int, stop: int) -> Statistic:
        """Toys of a point by number."""
