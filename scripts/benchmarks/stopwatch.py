"""Times of things measured side by side, and what they were measured on."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of mallopt, malloc.h of glibc."""

Tasks = dict[str, Callable[[], int]]


@dataclass(frozen=True)
class Timing:
    """A task that was done several times."""

    rate: float
    """Events per second at its best."""
    spread: float
    """Extra time of the median turn, relative to the best turn."""
    cores: float
    """CPU time over time in the best turn: less than threads if others use the machine."""


def best_of(tasks: Tasks, repeat: int) -> dict[str, Timing]:
    """Times of tasks, which return numbers of events.

    They are called in turn; the first turn does not count.
    """
    seen: dict[str, list[tuple[float, float]]] = {key: [] for key in tasks}
    for turn in range(repeat + 1):
        for key, task in tasks.items():
            start, cpu = time.perf_counter(), time.process_time()
            events = task()
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            if turn > 0:
                seen[key].append((events / seconds, cpu / seconds))
    result = {}
    for key, turns in seen.items():
        rate, cores = max(turns)
        result[key] = Timing(rate, rate / sorted(turns)[len(turns) // 2][0] - 1, cores)
    return result


def keep_memory() -> None:
    """Have the C library keep freed memory, so that no task pays for pages by the luck of a heap.

    Plain NumPy gains up to a half by it. Only glibc has these options; elsewhere nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_THRESHOLD, 1 << 25)


def machine() -> dict[str, str | int | None]:
    """Processor, number of cores, and versions of Python and of libraries."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    libraries = {name: version(name) for name in ("numpy", "numba", "uproot", "nuspill")}
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), **libraries}
