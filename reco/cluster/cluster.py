"""Blocks of work on the workers of a Dask cluster, with the results in order.

Blocks are submitted a few ahead of the workers, so that neither scheduler nor client holds more
for a long run than for a short one. Dask gives a block of a worker that dies to another one; one
that has seen several workers die is submitted anew a few times, then the run ends with an error.
"""

from __future__ import annotations

import pickle
import queue
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import OutputError
from .workers import AHEAD, Made, Progress, Work, Workers, nothing

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 60.0
"""Seconds without any worker after which a run ends."""
LOOK = 2.0
"""Seconds between looks at whether there are workers."""
TOGETHER = 64
"""Results that are fetched in one go."""
AGAIN = 3
"""Times that a block is submitted anew after Dask has given it up."""


@dataclass(frozen=True, eq=False)
class Cluster(Workers):
    """A cluster that is connected to."""

    remote: ClassVar[bool] = True

    client: Client
    """Client of Dask."""
    name: str
    """Name of the cluster in messages."""
    waits: bool
    """Whether workers may come late, as in a batch system."""
    progress: Progress = field(default=nothing, repr=False)

    def threads(self) -> int:
        """Number of threads of all workers."""
        try:
            return sum(self.client.nthreads().values())
        except OSError as error:
            raise OutputError(f"{self.name}: the scheduler is gone: {error}") from error

    def compute(
        self, work: Work, tasks: Iterable[Any], ordered: bool = True, bulky: bool = False
    ) -> Iterator[tuple[Any, Made]]:
        """Make blocks, as `Workers` say; the work is sent to each process once.

        Raises
        ------
        OutputError
            If there are no workers, or the scheduler is gone.
        """
        from .worker import SharedWork, make_block, sources_digest

        work.warm()
        packed = pickle.dumps(work)
        name = f"nuspill-{secrets.token_hex(8)}"  # others may have the same work on the cluster
        todo = enumerate(tasks)
        running: dict[Future[Any], tuple[int, Any, int]] = {}
        waiting: dict[int, tuple[Any, Made]] = {}
        finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        look = _Look(self)

        def submit(number: int, task: Any, attempt: int = 0) -> None:
            key = f"{name}-{number}-{attempt}"
            future = self.client.submit(make_block, name, task, key=key, pure=False)
            running[future] = number, task, attempt
            future.add_done_callback(finished.put)

        following = 0
        try:
            self.client.register_plugin(SharedWork(name, sources_digest(), packed), name=name)
            while True:
                look.at_times()
                room = AHEAD * max(look.threads, 1) - len(running) - len(waiting)
                for number, task in islice(todo, max(room, 0)):
                    submit(number, task)
                if not running:
                    return
                for future, made in self._collect(_taken(finished, 1 if bulky else TOGETHER)):
                    number, task, attempt = running.pop(future)
                    future.release()
                    if made is not None:
                        waiting[number] = task, made
                    elif attempt < AGAIN:
                        submit(number, task, attempt + 1)
                    else:
                        raise OutputError(f"{self.name}: workers die in block {number}")
                while waiting:
                    number = following if ordered else next(iter(waiting))
                    if number not in waiting:
                        break
                    following += 1
                    yield waiting.pop(number)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{self.name}: the connection is lost: {error}") from error
        finally:
            with suppress(Exception):
                self.client.cancel(list(running), force=True)
                self.client.unregister_worker_plugin(name)

    def _collect(self, futures: list[Future[Any]]) -> list[tuple[Future[Any], Made | None]]:
        """Results of blocks that have ended, none where too many workers died."""
        from distributed import CancelledError, KilledWorker

        results: list[tuple[Future[Any], Made | None]] = []
        whole = [future for future in futures if future.status == "finished"]
        if len(whole) == len(futures) > 1:
            with suppress(CancelledError, KilledWorker):
                return list(zip(futures, self.client.gather(futures), strict=True))
        for future in futures:
            try:
                results.append((future, future.result()))
            except KilledWorker:
                results.append((future, None))
            except CancelledError as error:
                raise OutputError(f"{self.name}: the scheduler is gone") from error
        return results


def _taken(finished: queue.SimpleQueue[Future[Any]], most: int) -> list[Future[Any]]:
    """Futures that have ended, none if it takes long."""
    ended = []
    with suppress(queue.Empty):
        ended.append(finished.get(timeout=LOOK))
        while len(ended) < most:
            ended.append(finished.get_nowait())
    return ended


class _Look:
    """The threads of a cluster, counted now and then."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._last = self._seen = time.monotonic()
        self.threads = cluster.threads()

    def at_times(self) -> None:
        """Count the threads if it is time to; an error if there were none for long."""
        now = time.monotonic()
        if now - self._last < LOOK:
            return
        self._last = now
        if self._cluster.client.status not in ("running", "connecting"):
            raise OutputError(f"{self._cluster.name}: the scheduler is gone")
        self.threads = self._cluster.threads()
        if self.threads or self._cluster.waits:
            self._seen = now
        elif now - self._seen > PATIENCE:
            raise OutputError(f"{self._cluster.name}: no worker for {PATIENCE:.0f} s")
