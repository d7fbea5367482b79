"""`nuspill benchmark generate`: beside plain NumPy, the bare limit and uproot."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...reco.cluster.workers import Here
from ..options.loading import Loading, setting_options
from ..options.output import Output, json_option
from .stopwatch import Tasks, Timing, best_of, keep_memory, machine

if TYPE_CHECKING:
    from ...reco.columns import Block
    from ...reco.experiment import Experiment
    from ...reco.runs.run import Run

MEMORY = {
    "events_per_second_1_thread": "whole chain, 1 thread",
    "events_per_second_2_threads": "whole chain, 2 threads",
    "numpy_events_per_second": "plain NumPy, 1 thread",
    "limit_events_per_second_1_thread": "bare limit, 1 thread",
    "limit_events_per_second_2_threads": "bare limit, 2 threads",
}
DISK = {
    "disk_events_per_second": "whole chain to disk",
    "uproot_events_per_second": "bare uproot",
}
RATIOS = {
    "ratio_to_numpy": ("events_per_second_2_threads", "numpy_events_per_second"),
    "ratio_to_limit": ("events_per_second_2_threads", "limit_events_per_second_2_threads"),
    "ratio_to_limit_1_thread": ("events_per_second_1_thread", "limit_events_per_second_1_thread"),
    "ratio_to_uproot": ("disk_events_per_second", "uproot_events_per_second"),
}


@click.command()
@click.argument("name", default="ess-csi", metavar="[NAME|FILE.toml]")
@click.option(
    "--events",
    type=click.IntRange(10_000),
    default=5_000_000,
    show_default=True,
    help="Events made in memory each time; to disk twice as many.",
)
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    help="Times that everything is measured, in turn; the best counts.",
)
@click.option("--quick", is_flag=True, help="Fewer events, three times: for CI.")
@setting_options
@json_option
def command(
    name: str,
    events: int,
    repeat: int,
    quick: bool,
    loading: Loading,
    output: Output,
) -> None:
    """Measure events per second, of an experiment as it is and of its signal alone.

    Side by side: the whole chain in memory on one and on two threads; the same physics in plain
    NumPy on one; the bare limit, which only draws as many random words and stores the same columns;
    the chain into a ROOT file; and bare uproot, which writes columns that are there already.

    Everything is measured in turn, again and again, and the best of each counts. Columns in memory
    are reused, tables and compiled code are at hand before the clock starts.
    """
    if quick:
        events, repeat = 300_000, 3
    disk = 1_000_000 if quick else events * 2
    keep_memory()
    experiment = loading.load(name)
    workloads = {"as_shipped": experiment}
    if any(b.enabled for b in experiment.background):
        off = {f"background.{b.name}.enabled": False for b in experiment.background}
        workloads["signal_only"] = replace(loading, settings={**loading.settings, **off}).load(name)
    speeds = {}
    for workload, chosen in workloads.items():
        speeds[workload] = measure(chosen, events, disk, repeat)
        title = f"{chosen.name}, {workload.replace('_', ' ')}"
        show(title, speeds[workload], output)
    shipped, host = speeds["as_shipped"], machine()
    top = {
        key: shipped.ratio(key) for key in ("ratio_to_numpy", "ratio_to_limit", "ratio_to_uproot")
    }
    output.text("\n" + ", ".join(f"{key} {value}" for key, value in host.items()))
    numbers = {key: speed.as_json() for key, speed in speeds.items()}
    output.json({"experiment": experiment.name, **top, "workloads": numbers, "machine": host})


@dataclass(frozen=True)
class Speeds:
    """The chain beside its peers, of one experiment."""

    events: int
    events_to_disk: int
    repeats: int
    words_per_event: float
    """Random words that the chain draws."""
    times: dict[str, Timing]
    """Timings by the keys of `MEMORY` and `DISK`."""

    def ratio(self, key: str) -> float:
        """Ratio of two rates, by its key in `RATIOS`."""
        ours, peer = RATIOS[key]
        return self.times[ours].rate / self.times[peer].rate

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "events": self.events,
            "events_to_disk": self.events_to_disk,
            "repeats": self.repeats,
            "statistic": "best",
            "words_per_event": self.words_per_event,
            **{key: timing.rate for key, timing in self.times.items()},
            **{key: self.ratio(key) for key in RATIOS},
            "spread": {key: timing.spread for key, timing in self.times.items()},
            "cores": {key: timing.cores for key, timing in self.times.items()},
        }


def measure(experiment: Experiment, events: int, disk: int, repeat: int) -> Speeds:
    """Time the chain and its peers for one experiment."""
    from ...reco.runs.ntuple import write
    from ...reco.runs.run import plan

    a_year = sum(e.total for e in plan(experiment).expected)
    run = plan(experiment, years=events / a_year)
    words = words_per_event(run)
    times = best_of(in_memory(run, words), repeat)
    filed = plan(experiment, years=disk / a_year)
    columns = filed.make(0, filed.events)

    with tempfile.TemporaryDirectory(prefix="nuspill-benchmark-") as folder:
        chain, bare = Path(folder) / "chain.root", Path(folder) / "bare.root"

        def to_disk() -> int:
            write(filed, chain, overwrite=True)
            return filed.events

        peers = (to_disk, lambda: write_bare(columns, bare))
        times |= best_of(dict(zip(DISK, peers, strict=True)), repeat)

    return Speeds(run.events, filed.events, repeat, words, times)


def in_memory(run: Run, words: float) -> Tasks:
    """The chain, NumPy and the bare limit on one and two threads, all into the same columns."""
    import numpy as np

    from ...reco.chain.reference import Reference
    from ...reco.chain.reference import generate as generate_numpy

    room = run.events + 10 * int(run.events**0.5) + 100
    out = {name: np.zeros(room, kind) for name, kind in run.dtypes.items()}
    reference, rng = Reference(run.experiment), np.random.Generator(np.random.Philox(1))
    limit = bare_limit(run, words, out)

    def chain(threads: int) -> int:
        return len(run.make(0, run.events, Here(threads), out)["event"])

    def plain() -> int:
        return len(generate_numpy(reference, rng, years=run.years, out=out)["event"])

    peers = (lambda: chain(1), lambda: chain(2), plain, lambda: limit(1), lambda: limit(2))
    return dict(zip(MEMORY, peers, strict=True))


def words_per_event(run: Run) -> float:
    """Random words an event needs in the chain, averaged over the components of a run."""
    import numpy as np

    from ...generator.sampling.draws import new_draws
    from ...generator.sampling.sampler import new_candidates, sample_recoils
    from ...reco.chain.codes import PHOTOELECTRONS, ROOT_T, TRUE, WIDTH_TABLE

    sources, timing, response = run.chain.sources, run.chain.timing, run.chain.response
    true = sources.scale == TRUE
    words = np.full(len(sources.mean), 1.0 + (timing.sigma > 0))  # place in the run, measured time
    words += 2.0 * sources.decays
    words[1:] += 1  # energy
    words[true] += 1 + (response.resolution in (ROOT_T, WIDTH_TABLE))
    words[true] += 4 * (response.resolution == PHOTOELECTRONS)
    words += (4 if timing.veto_exposures else 1) * (timing.dead_time > 0)
    if sources.mean[0] > 0:
        draws, count = new_draws(0, int(sources.stream[0])), 1 << 16
        channel, energies = np.empty(count, np.int16), np.empty((2, count), np.float32)
        drawn = sample_recoils(
            draws, count, run.chain.recoils, new_candidates(), channel, *energies
        )
        words[0] += 4 * drawn / count
    return float(np.average(words, weights=sources.mean))


BATCH = 512
"""Events, and counters of random words, that the bare limit takes at a time."""
TASK_EVENTS = 65536
"""Events a thread takes over at a time, or one slice."""


@cache
def limit_kernel() -> Any:
    """Compiled function that draws words and stores columns of some slices, and nothing else."""
    import numpy as np
    from numba import literal_unroll, njit

    from ...generator.sampling.kernel import OPTIONS
    from ...generator.sampling.stream import fill_words

    @njit(**OPTIONS)  # type: ignore[untyped-decorator]
    def store(column: Any, word: Any) -> None:
        for i in range(column.size):
            column[i] = word[i]

    @njit(**OPTIONS)  # type: ignore[untyped-decorator]
    def slices(edges: Any, first: int, counters: float, words: Any, columns: Any) -> None:
        for number in range(edges.size - 1):
            low, high, drawn = edges[number], edges[number + 1], 0
            block, zero = np.uint64(first + number), np.uint64(0)
            for start in range(low, high, BATCH):
                stop = min(start + BATCH, high)
                while drawn < (stop - low) * counters:
                    fill_words(np.uint64(1), np.uint64(drawn), block, zero, zero, BATCH, words)
                    drawn += BATCH
                for column in literal_unroll(columns):
                    store(column[start:stop], words[0])

    return slices


def bare_limit(run: Run, words: float, out: Block) -> Callable[[int], int]:
    """Draw the words of a run's events and store its columns, on some threads."""
    import numpy as np

    from ...reco.columns import COLUMNS

    columns = tuple(out[name] for name in COLUMNS)
    edges = [*range(0, run.slices, max(TASK_EVENTS * run.slices // run.events, 1)), run.slices]

    def task(edges: tuple[int, int]) -> None:
        first, last = edges
        scratch = np.empty((4, BATCH), np.uint32)
        limit_kernel()(run.offsets[first : last + 1], first, words / 4, scratch, columns)

    def limit(threads: int) -> int:
        for _ in Here(threads).map(task, pairwise(edges)):
            pass
        return run.events

    return limit


def write_bare(columns: Block, path: Path) -> int:
    """Write columns with uproot alone, compressed, in extends and to the disk as `ntuple` does."""
    import uproot

    from ...reco.columns import BLOCK_EVENTS

    events = len(columns["event"])
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        tree = file.mktree("events", {name: column.dtype for name, column in columns.items()})
        for start in range(0, events, BLOCK_EVENTS):
            stop = start + BLOCK_EVENTS
            tree.extend({name: column[start:stop] for name, column in columns.items()})
    with path.open("rb+") as written:
        os.fsync(written.fileno())
    return events


def show(title: str, speeds: Speeds, output: Output) -> None:
    """Print a table of rates."""
    peers = {peer: key for key, (_, peer) in RATIOS.items()}
    rows = []
    for key, label in (MEMORY | DISK).items():
        timing = speeds.times[key]
        ratio = speeds.ratio(peers[key]) if key in peers else None
        spread, cores = f"{100 * timing.spread:.0f} %", f"{timing.cores:.2f}"
        rows.append([label, timing.rate / 1e6, spread, cores, ratio])
    title += f": {speeds.events} events, {speeds.words_per_event:.3g} random words an event"
    columns = ["million events/s", "median slower by", "cores in use", "chain over it"]
    output.table(title, [f"best of {speeds.repeats}", *columns], rows)
