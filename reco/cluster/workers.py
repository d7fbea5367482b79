"""Where work is done: on threads of this process (`Here`), or by a cluster (`cluster.Cluster`).

Whatever takes long takes `workers`, and tells them how far it is. Results never depend on them.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar, Protocol, Self, TypeVar, cast

from .cores import cores

Progress = Callable[[int], object]
"""Function that is called with numbers of events, toys or parts, as they are done."""

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 4
"""Tasks for each thread that are handed out or wait for their turn."""


class Work(Protocol):
    """Something that can be done in blocks, in any process."""

    def warm(self) -> None:
        """Compile and compute what all blocks share."""

    def make(self, task: Any) -> Any:
        """Make a block."""


@dataclass(frozen=True)
class Made:
    """A block that came back."""

    result: Any
    seconds: float
    """Time that the thread that made it took."""
    worker: str
    """Name of the process that made it."""


def nothing(_: int) -> None:
    """Show no progress."""


class Workers(ABC):
    """Threads here, or a cluster."""

    remote: ClassVar[bool]
    """Whether work is sent to other processes, so that small tasks should go together."""

    name: str
    """Name of the workers in messages and logs."""
    progress: Progress
    """Function that is called with how much is done."""

    @abstractmethod
    def threads(self) -> int:
        """Number of threads, of all processes."""

    @abstractmethod
    def compute(
        self, work: Work, tasks: Iterable[Any], ordered: bool = True, bulky: bool = False
    ) -> Iterator[tuple[Any, Made]]:
        """Make blocks; yields tasks and what was made.

        Parameters
        ----------
        work
            The work to do in blocks.
        tasks
            Tasks of the blocks; they are taken as workers get free.
        ordered
            Whether results are in the order of tasks, or as they come.
        bulky
            Whether results are so large that they should come one by one.
        """

    def reporting(self, progress: Progress) -> Self:
        """The same workers, with another progress."""
        changed: Any = replace(cast(Any, self), progress=progress)
        return cast(Self, changed)


@dataclass(frozen=True, eq=False)
class Here(Workers):
    """Threads of this process.

    Examples
    --------
    >>> list(Here(2).map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """

    remote: ClassVar[bool] = False

    number: int | None = None
    """Number of threads; by default one for each core that the process may use."""
    progress: Progress = field(default=nothing, repr=False)
    name: str = "here"

    def __post_init__(self) -> None:
        """Refuse a number of threads below 1."""
        if self.number is not None and self.number < 1:
            raise ValueError(f"threads: {self.number} must be at least 1")

    def threads(self) -> int:
        """Number of threads."""
        return self.number or cores()

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results in the order of tasks, of which some are made ahead."""
        threads = self.threads()
        if threads == 1:
            yield from map(function, tasks)
            return
        todo = iter(tasks)
        with ThreadPoolExecutor(threads) as pool:
            pending = deque(pool.submit(function, task) for task in islice(todo, AHEAD * threads))
            try:
                while pending:
                    result = pending.popleft().result()
                    pending.extend(pool.submit(function, task) for task in islice(todo, 1))
                    yield result
            finally:
                for future in pending:
                    future.cancel()

    def compute(
        self,
        work: Work,
        tasks: Iterable[Any],
        ordered: bool = True,  # noqa: ARG002
        bulky: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[Any, Made]]:
        """Make blocks, in the order of tasks."""
        work.warm()

        def make(task: Any) -> tuple[Any, Made]:
            start = time.perf_counter()
            result = work.make(task)
            return task, Made(result, time.perf_counter() - start, self.name)

        return self.map(make, tasks)


HERE = Here()
"""One thread for each core that the process may use."""
ALONE = Here(1)
"""One thread."""


def one_ahead(results: Iterator[Result]) -> Iterator[Result]:
    """The same results, each made by a thread while the one before is used."""
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        following: Future[Result] = pool.submit(next, results, end)
        while (result := following.result()) is not end:
            following = pool.submit(next, results, end)
            yield result
