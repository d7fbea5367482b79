"""Times of things measured side by side, and what they were measured on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Tasks = dict[str, Callable[[], int]]


def best_of(tasks: Tasks, repeat: int) -> dict[str, tuple[float, float, float]]:
    """Events per second of each task at its best, how much longer its median takes, cores in use.

    The tasks, which return numbers of events, are called in turn; the first turn does not count.
    Cores are CPU time over time in the best turn: less than threads if others use the machine.
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
        result[key] = rate, rate / sorted(turns)[len(turns) // 2][0] - 1, cores
    return result


def machine() -> dict[str, Any]:
    """Processor and versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    libraries = {name: version(name) for name in ("numpy", "numba", "uproot", "nuspill")}
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), **libraries}
