"""What runs in a worker of Dask: work that comes once, and blocks of it by number.

The work (an experiment with its tables, a statistical model) is sent once to every worker, also to
those that join later, as a plugin. It is unpacked in the thread of the first block, not in the
event loop: imports and compilation would stop the worker's heartbeat.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import threading
import time
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from ..errors import ExperimentError
from .workers import Made, Work


@functools.lru_cache(maxsize=1)
def sources_digest() -> str:
    """SHA-256 over every source file that decides what a block holds."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in ("generator", "reco", "toys"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class SharedWork(WorkerPlugin):
    """Work in pickled form, and the sources that it needs to be the same; it reads no files."""

    idempotent = True

    def __init__(self, name: str, sources: str, packed: bytes) -> None:
        self.name, self.sources, self.packed = name, sources, packed

    def setup(self, worker: Worker) -> None:
        """Get ready in a worker, which must not take long."""
        self.where = worker.address
        self._lock = threading.Lock()
        self._work: Work | None = None

    def work(self) -> Work:
        """Work of the plugin, which is unpacked the first time."""
        with self._lock:
            if self._work is None:
                if sources_digest() != self.sources:
                    raise ExperimentError(
                        f"the worker {self.where} has other sources of nuspill than the client; "
                        "install the same version on all machines"
                    )
                work: Work = pickle.loads(self.packed)
                work.warm()
                self._work = work
            return self._work


def make_block(name: str, task: Any) -> Made:
    """Make a block of the work of a name, in a worker."""
    worker = get_worker()
    plugin = worker.plugins[name]
    assert isinstance(plugin, SharedWork)
    work = plugin.work()
    start = time.perf_counter()
    result = work.make(task)
    return Made(result, time.perf_counter() - start, worker.address)
