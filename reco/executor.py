"""Blocks of work on the workers of a Dask cluster, with the results in order.

Blocks are submitted a few ahead of the workers, so that neither scheduler nor client holds more
for a long run than for a short one. Dask gives a block of a worker that dies to another one; one
that has seen several workers die is submitted anew a few times, then the run ends with an error.
"""

from __future__ import annotations

import hashlib
import pickle
import queue
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import OutputError

if TYPE_CHECKING:
    from distributed import Client, Future

    from .worker import Made, Work

AHEAD = 4
"""Blocks that are submitted or wait for their turn, a thread of the cluster."""
PATIENCE = 60.0
"""Seconds without any worker after which a run ends."""
LOOK = 2.0
"""Seconds between looks at whether there are workers."""
AGAIN = 3
"""Times that a block is submitted anew after Dask has given it up."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """A cluster that is connected to."""

    client: Client
    name: str
    waits: bool
    """Whether workers may come late, as in a batch system."""

    def threads(self) -> int:
        """Of all workers."""
        return sum(self.client.nthreads().values())

    def compute(
        self, work: Work, tasks: Iterable[Any], ordered: bool = True
    ) -> Iterator[tuple[Any, Made]]:
        """Make blocks; yields tasks and what was made, in the order of tasks or as they come.

        Raises
        ------
        OutputError
            If there are no workers, or the scheduler is gone.
        """
        from distributed import CancelledError, KilledWorker

        from ..generator.kernel import source_stamp
        from .worker import SharedWork, make_block

        work.warm()
        packed = pickle.dumps(work)
        name = f"nuspill-{hashlib.sha256(packed).hexdigest()[:16]}"
        session = f"{name}-{time.time_ns():x}"
        todo = enumerate(tasks)
        running: dict[Future, tuple[int, Any, int]] = {}
        waiting: dict[int, tuple[Any, Made]] = {}
        finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        look = _Look(self)

        def submit(number: int, task: Any, attempt: int = 0) -> None:
            key = f"{session}-{number}-{attempt}"
            future = self.client.submit(make_block, name, task, key=key, pure=False)
            running[future] = number, task, attempt
            future.add_done_callback(finished.put)

        following = 0
        try:
            self.client.register_plugin(SharedWork(name, source_stamp(), packed), name=name)
            while True:
                look.at_times()
                room = AHEAD * max(look.threads, 1) - len(running) - len(waiting)
                for number, task in _first(todo, room):
                    submit(number, task)
                if not running:
                    return
                try:
                    future = finished.get(timeout=LOOK)
                except queue.Empty:
                    continue
                number, task, attempt = running.pop(future)
                try:
                    made: Made = future.result()
                except KilledWorker as error:
                    if attempt == AGAIN:
                        raise OutputError(
                            f"{self.name}: workers die in block {number} ({error.last_worker})"
                        ) from error
                    submit(number, task, attempt + 1)
                    continue
                except CancelledError as error:
                    raise OutputError(f"{self.name}: the scheduler is gone") from error
                finally:
                    future.release()
                waiting[number] = task, made
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


def _first(items: Iterator[Any], number: int) -> Iterator[Any]:
    for _ in range(number):
        try:
            yield next(items)
        except StopIteration:
            return


class _Look:
    """The threads of a cluster, counted now and then."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._last = self._seen = time.monotonic()
        self.threads = cluster.threads()

    def at_times(self) -> None:
        """Count them if it is time to; an error if there were none for long."""
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
