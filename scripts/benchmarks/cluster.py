"""`nuspill benchmark cluster`: what a cluster costs, and how large a useful one is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...reco.cluster.workers import ALONE
from ..options.output import Output, json_option
from .stopwatch import machine

if TYPE_CHECKING:
    from ...reco.cluster.cluster import Cluster

NAME = "ess-csi"
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where files are written to compare workers: what a disk can take is measured on its own."""
LOSS = 0.05
"""Part of the time that overhead may take."""
LATENCY_BLOCKS, LATENCY_SECONDS = 100, 0.02
SIMULATED = (1, 4, 16, 64)
"""Numbers of workers that sleep."""
PROCESSES = 4
"""Greatest number of processes that hold the sleeping workers."""
SLEEP = 0.5
"""Seconds that a block of the sleeping workers takes."""
BLOCK = 3.0
"""Seconds of a block in the model, as parts and toys aim at."""
PULSES = 200_000
"""Beam pulses of a slice where memory is measured, few so that parts are small."""


@dataclass(frozen=True)
class Sleep:
    """Work that takes its time and does nothing."""

    seconds: float

    def warm(self) -> None:
        """Do nothing, as blocks share nothing."""

    def make(self, task: Any) -> Any:
        """Sleep, and return the task."""
        if self.seconds > 0:
            time.sleep(self.seconds)
        return task


@click.command()
@click.option("--quick", is_flag=True, help="Smaller numbers: seconds in place of minutes.")
@json_option
def command(quick: bool, output: Output) -> None:
    """Measure scaling, overhead, dead time, simulated clusters and memory on this machine."""
    from ...reco.cluster.connect import open_cluster

    with open_cluster("local:1") as one, open_cluster("local:2") as two:
        compared = scaling(one, two, 2 if quick else 3, 0.1 if quick else 2.0)
        dead, between = dead_time(two), overhead(one)
    shown = [[row.what, row.one_s, row.two_s, row.ratio] for row in compared]
    output.table("two workers beside one, best time", ["", "one, s", "two, s", "ratio"], shown)
    _tell_block(between, dead, output)
    slept = [simulated(n, 2 if quick else 10) for n in SIMULATED[:: 2 if quick else 1]]
    shown = [[r.workers, r.blocks_per_s, r.ideal_per_s, r.efficiency, r.empty_per_s] for r in slept]
    columns = ["workers", "blocks/s", "ideal", "efficiency", "empty blocks/s"]
    output.table(f"workers that sleep {SLEEP} s a block", columns, shown)
    speed = disk(1_000_000 if quick else 10_000_000)
    limits = largest(slept[-1], speed)
    _tell_disk(speed, limits, output)
    peaks = [memory(n) for n in ((30, 100) if quick else (100, 1000, 10_000))]
    columns = ["parts", "client, MB", "scheduler, MB", "worker, MB"]
    output.table("peak memory", columns, map(astuple, peaks))
    output.json(
        {
            "machine": machine(),
            "quick": quick,
            "scaling": [row.as_json() for row in compared],
            "dead_time_s": dead,
            "overhead_s": between,
            "simulated": [row.as_json() for row in slept],
            "disk": asdict(speed),
            "largest": limits,
            "memory_mb": [asdict(peak) for peak in peaks],
        }
    )


def _tell_block(between: float, dead: float, output: Output) -> None:
    rows = [
        ["overhead", between],
        [f"length at which it is {LOSS:.0%}", between / LOSS],
        ["from submission to the first result, warm", dead],
    ]
    output.table("of a block", ["", "s"], rows)


def _tell_disk(speed: Disk, limits: dict[str, int], output: Output) -> None:
    rows = [
        ["bytes of a thread that makes events", speed.thread_bytes_per_s / 1e6],
        ["bytes to this disk", speed.disk_bytes_per_s / 1e6],
        ["events of a thread", speed.thread_events_per_s / 1e6],
        ["events joined to one file", speed.join_events_per_s / 1e6],
    ]
    output.table("bytes and joining", ["", "million/s"], rows)
    output.table(
        f"threads at which a limit is reached, with blocks of {BLOCK:g} s",
        ["limit", "threads"],
        limits.items(),
    )


@dataclass(frozen=True)
class Scaling:
    """Something done with one and with two workers, best times in s."""

    what: str
    one_s: float
    two_s: float

    @property
    def ratio(self) -> float:
        """Speed of two workers over that of one."""
        return self.one_s / self.two_s

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True)
class Simulated:
    """A scheduler with workers that sleep."""

    workers: int
    blocks_per_s: float
    empty_per_s: float
    """Blocks that do not even sleep."""

    @property
    def ideal_per_s(self) -> float:
        """Blocks a second of workers that never wait."""
        return self.workers / SLEEP

    @property
    def efficiency(self) -> float:
        """Measured rate over the ideal one."""
        return self.blocks_per_s / self.ideal_per_s

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "workers": self.workers,
            "blocks_per_s": self.blocks_per_s,
            "ideal_per_s": self.ideal_per_s,
            "efficiency": self.efficiency,
            "empty_per_s": self.empty_per_s,
        }


@dataclass(frozen=True)
class Disk:
    """What one thread makes, what the disk takes, and how fast parts are joined, a second."""

    thread_bytes_per_s: float
    disk_bytes_per_s: float
    thread_events_per_s: float
    join_events_per_s: float


@dataclass(frozen=True)
class Memory:
    """Peak memory for a number of parts, MB."""

    parts: int
    client: float
    scheduler: float
    worker: float
    """Greater value of two workers."""


def scaling(one: Cluster, two: Cluster, repeat: int, size: float) -> list[Scaling]:
    """Events to files and toys with one and with two workers, in turn."""
    import numpy as np

    from ...reco.experiment import load
    from ...reco.runs.parts import write_parts
    from ...reco.runs.run import plan
    from ...toys.construction.ensemble import Ensemble
    from ...toys.construction.neyman import Construction
    from ...toys.counts.combination import build
    from ...toys.records.distribute import throw_tasks

    run = plan(load(NAME), 1, years=60 * size)
    model = build([load(NAME)], ["nsi.u.ee", "nsi.u.mumu"])
    line = np.linspace(-0.5, 0.5, 5)
    axes = (("nsi.u.ee", line), ("nsi.u.mumu", line))
    construction = Construction(model, axes, Ensemble(), 1, model.asimov())
    tasks = [(point, 0, int(12_000 * size)) for point in range(24)]

    def events(cluster: Cluster) -> None:
        with tempfile.TemporaryDirectory(dir=IN_MEMORY) as place:
            write_parts(run, Path(place) / "parts", 2 * max(4, round(5 * size)), workers=cluster)

    def toys(cluster: Cluster) -> None:
        for _ in throw_tasks(construction, tasks, cluster):
            pass

    scalings = []
    place = "files in memory" if IN_MEMORY else "disk"
    for what, task in ((f"{run.events} events to {place}", events), ("toys of a plane", toys)):
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(repeat + 1):
            for number, cluster in ((1, one), (2, two)):
                begin = time.perf_counter()
                task(cluster)
                if turn > 0:
                    seconds[number].append(time.perf_counter() - begin)
        scalings.append(Scaling(what, min(seconds[1]), min(seconds[2])))
    return scalings


def dead_time(cluster: Cluster) -> float:
    """Seconds from submission to the first block of a run that the workers have not seen."""
    from ...reco.experiment import load
    from ...reco.runs.layout import MAKING, Options, PartWork
    from ...reco.runs.run import plan

    run = plan(load("ess-xe"), 3, years=1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        (Path(place) / MAKING).mkdir()
        (Path(place) / MAKING / "here").touch()
        begin = time.perf_counter()
        work = PartWork(run, Path(place), "here", Options(100))
        next(iter(cluster.compute(work, range(20), ordered=False)))
        return time.perf_counter() - begin


def overhead(cluster: Cluster) -> float:
    """Seconds of one worker between two blocks."""
    list(cluster.compute(Sleep(0), range(20)))
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        list(cluster.compute(Sleep(LATENCY_SECONDS), range(LATENCY_BLOCKS)))
        best = min(best, (time.perf_counter() - begin) / LATENCY_BLOCKS - LATENCY_SECONDS)
    return best


def simulated(workers: int, rounds: int) -> Simulated:
    """Blocks a second by a scheduler and workers of a thread, up to 16 in a process."""
    from ...reco.cluster.connect import open_cluster

    with (
        tempfile.TemporaryDirectory() as place,
        started(Path(place), workers) as (address, _),
        open_cluster(address) as cluster,
    ):
        while cluster.threads() < workers:
            time.sleep(0.05)
        list(cluster.compute(Sleep(0), range(10 * workers)))
        begin = time.perf_counter()
        blocks = sum(1 for _ in cluster.compute(Sleep(SLEEP), range(rounds * workers)))
        rate = blocks / (time.perf_counter() - begin)
        begin = time.perf_counter()
        blocks = sum(1 for _ in cluster.compute(Sleep(0), range(100 * rounds)))
        empty = blocks / (time.perf_counter() - begin)
    return Simulated(workers, rate, empty)


def disk(events: int) -> Disk:
    """Bytes a second of one thread that makes events, of the disk, and of joining parts."""
    from ...reco.experiment import load
    from ...reco.runs.parts import write_parts
    from ...reco.runs.run import plan
    from ...reco.runs.verify import join_parts

    years = events / plan(load(NAME), 1, years=1).events
    run = plan(load(NAME), 1, years=years)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "parts"
        begin = time.perf_counter()
        write_parts(run, folder, max(1, events // 1_000_000), workers=ALONE)
        seconds = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in folder.glob("part-*.root"))
        begin = time.perf_counter()
        join_parts([folder], Path(place) / "one.root")
        joined = time.perf_counter() - begin
        block = os.urandom(1 << 24)
        begin = time.perf_counter()
        with (Path(place) / "bytes").open("wb") as file:
            for _ in range(16):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        raw = 16 * len(block) / (time.perf_counter() - begin)
    return Disk(
        thread_bytes_per_s=size / seconds,
        disk_bytes_per_s=raw,
        thread_events_per_s=run.events / seconds,
        join_events_per_s=run.events / joined,
    )


def largest(most: Simulated, speed: Disk) -> dict[str, int]:
    """Threads at which scheduler and client, or the disk, have no more to give.

    n threads finish n/BLOCK blocks a second, and write n times the bytes of one. The scheduler's
    rate is that of empty blocks with the most simulated workers.
    """
    return {
        "blocks a second of scheduler and client": int(most.empty_per_s * BLOCK),
        "bytes a second of this disk": int(speed.disk_bytes_per_s / speed.thread_bytes_per_s),
    }


SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"
WORKERS = """
import asyncio, sys
from distributed import Worker

async def main():
    options = {"nthreads": 1, "host": "127.0.0.1", "dashboard": False, "local_directory": "."}
    workers = [await Worker(sys.argv[1], **options) for _ in range(int(sys.argv[2]))]
    await asyncio.gather(*(worker.finished() for worker in workers))

asyncio.run(main())
"""


@contextmanager
def started(folder: Path, workers: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and workers in processes of their own: address, and numbers of the processes."""
    file = folder / "scheduler.json"

    def start(code: str, *arguments: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        command = [sys.executable, "-c", code, *arguments]
        environment = os.environ | {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
        return subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=folder, env=environment)

    scheduler = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    processes = [start(SCHEDULER, *scheduler, "--scheduler-file", str(file))]
    try:
        address = ""
        while not address:
            time.sleep(0.05)
            try:
                address = json.loads(file.read_text())["address"]
            except (OSError, ValueError):
                continue
        count = min(workers, PROCESSES)
        threads = [workers // count + (k < workers % count) for k in range(count)]
        processes += [start(WORKERS, address, str(number)) for number in threads]
        yield address, [process.pid for process in processes]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def memory(parts: int) -> Memory:
    """Peak memory of client, scheduler and the greater of two workers for a number of parts, MB."""
    with tempfile.TemporaryDirectory() as place, started(Path(place), 2) as (address, pids):
        code = "from nuspill.scripts.cli import main; main()"
        options = ["--years", str(parts / 350), "--set", f"exposure.slice_pulses={PULSES}"]
        command = [
            sys.executable, "-c", code, "generate", NAME, "-o", f"{place}/run",
            "--parts", str(parts), "--cluster", address, "--json", os.devnull, *options,
        ]  # fmt: skip
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peak = 0.0
        while client.poll() is None:
            peak = max(peak, _peak(client.pid))
            time.sleep(0.05)
        if client.returncode:
            raise click.ClickException(f"a run of {parts} parts failed")
        peaks = [_peak(pid) for pid in pids]
    return Memory(parts, peak, peaks[0], max(peaks[1:]))


def _peak(pid: int) -> float:
    """Peak resident memory of a process, MB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0  # it has just ended
