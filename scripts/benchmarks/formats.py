"""`nuspill benchmark formats`: fast writers beside the bare packages, with the same arrays."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...reco.experiment import load
from ..options.loading import Loading, setting_options
from ..options.output import Output, json_option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...reco.columns import Block
    from ...reco.experiment import Experiment
    from ...reco.formats.shared.sample import Sample
    from ...reco.runs.provenance import Provenance

FAST = ("compass", "nexus", "lh5")
BLOCK = 1_000_000
"""Events a block; the arrays of one block are written again and again."""
FEW = 3
MOST_PULSES = 120_000_000
"""Greatest number in all: a clock of 63 bits of ps ends after 129 million pulses of the ESS."""


@click.command()
@click.argument("name", default="ess-csi", metavar="[NAME|FILE.toml]")
@click.option(
    "--events", type=click.IntRange(BLOCK), default=10_000_000, show_default=True, help="Written."
)
@click.option(
    "--repeat", type=click.IntRange(1), default=3, show_default=True, help="Times; the best counts."
)
@click.option("--quick", is_flag=True, help="A million events, once: for CI.")
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
    """Measure events per second of the writers of CoMPASS, NeXus and LH5 to the disk.

    Each beside the bare package (NumPy, h5py, LEGEND's own), that writes arrays of the file's own
    columns, of the same types, which are there already. Peak memory is that of a process of its own
    that writes all events, and of ones that write three times as many and three blocks only: in the
    first blocks the packages' caches fill.
    """
    from ...reco.formats.shared.door import available, missing
    from .stopwatch import machine

    events, repeat = (BLOCK, 1) if quick else (events // BLOCK * BLOCK, repeat)
    experiment = loading.load(name)
    speeds: dict[str, Speed] = {}
    for key in FAST:
        if lacking := missing(available()[key]):
            raise click.ClickException(f"format '{key}' needs {', '.join(lacking)}")
        speeds[key] = measure(key, experiment, events, repeat)
    rows = [
        [
            key,
            speed.events_per_second,
            speed.bare_events_per_second,
            speed.ratio_to_bare,
            speed.bytes_per_event,
            *speed.peak_megabytes.values(),
        ]
        for key, speed in speeds.items()
    ]
    columns = ["", "events/s", "bare events/s", "ratio", "bytes/event"]
    columns += [f"MB of {number:.0e}".replace("e+0", "e") for number in sizes(events)]
    output.table(f"{events} events, best of {repeat}", columns, rows)
    formats = {key: speed.as_json() for key, speed in speeds.items()}
    output.json({"events": events, "formats": formats, "machine": machine()})


@dataclass(frozen=True)
class Speed:
    """A writer beside its bare package."""

    events_per_second: float
    bare_events_per_second: float
    bytes_per_event: float
    peak_megabytes: dict[int, float]
    """Peak memory by number of events, MB."""

    @property
    def ratio_to_bare(self) -> float:
        """Rate of the writer over that of the bare package."""
        return self.events_per_second / self.bare_events_per_second

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "events_per_second": self.events_per_second,
            "bare_events_per_second": self.bare_events_per_second,
            "ratio_to_bare": self.ratio_to_bare,
            "bytes_per_event": self.bytes_per_event,
            "peak_megabytes": self.peak_megabytes,
        }


def measure(key: str, experiment: Experiment, events: int, repeat: int) -> Speed:
    """Rates of a writer and of its bare package, and peak memory."""
    from ...reco.formats.shared.door import find

    pulses = MOST_PULSES // (FEW * events // BLOCK)
    writer, sample = find(key, "write"), repeated(experiment, events, pulses)
    with tempfile.TemporaryDirectory(prefix="nuspill-benchmark-") as folder:
        ours, bare = Path(folder) / "ours", Path(folder) / "bare"
        writer.write(repeated(experiment, BLOCK, pulses), ours)
        again = BARE[key](ours)

        def own() -> None:
            writer.write(sample, ours)
            flush(ours)

        def peer() -> None:
            again(bare, events // BLOCK)
            flush(bare)

        best = [float("inf")] * 2
        for _ in range(repeat):
            for i, task in enumerate((own, peer)):
                start = time.perf_counter()
                task()
                best[i] = min(best[i], time.perf_counter() - start)
        size = ours.stat().st_size
    return Speed(
        events_per_second=events / best[0],
        bare_events_per_second=events / best[1],
        bytes_per_event=size / events,
        peak_megabytes={n: peak(key, experiment.name, n, pulses) for n in sizes(events)},
    )


def sizes(events: int) -> list[int]:
    """Numbers of events of which the peak memory is measured."""
    return sorted({FEW * BLOCK, events, FEW * events})


def repeated(experiment: Experiment, events: int, pulses: int) -> Sample:
    """A sample that repeats one block, so many pulses later each time; made before the clock."""
    import numpy as np

    from ...reco.formats.shared.sample import Sample

    rng, times = np.random.default_rng(1), events // BLOCK
    geometry = experiment.detector.geometry
    block: Block = {
        "pulse": np.sort(rng.integers(0, pulses, BLOCK)),
        "time": rng.uniform(0, experiment.beam_windows.on_length, BLOCK),
        "module": np.zeros(BLOCK, np.int16),
        "e_reco": rng.exponential(0.5, BLOCK).astype(np.float32),
        "selected": np.ones(BLOCK, np.bool_),
    }
    if geometry is not None:
        block["module"] = rng.integers(0, geometry.modules, BLOCK).astype(np.int16)
    blocks = [block | {"pulse": block["pulse"] + i * pulses} for i in range(times)]

    def source(columns: Iterable[str]) -> Iterator[Block]:
        for later in blocks:
            yield {name: later[name] for name in columns if name in later}

    provenance: Provenance = {"pulses": pulses * times, "protons_on_target": 1e20, "seed": 1}
    return Sample(experiment, provenance, 0, pulses * times, source)


def flush(path: Path) -> None:
    """Wait for the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


Again = Callable[[Path, int], None]


def bare_compass(path: Path) -> Again:
    """NumPy: fill records from columns that are in the file's types, and write them."""
    import numpy as np

    from ...reco.formats.compass import record

    kind = record(0xCAE1)
    rows = np.fromfile(path, kind, offset=2)
    columns = {name: rows[name].copy() for name in kind.names or ()}

    def write(path: Path, times: int) -> None:
        with path.open("wb") as file:
            file.write(b"\xe1\xca")
            for _ in range(times):
                for start in range(0, len(rows), 1 << 16):
                    out = np.empty(min(1 << 16, len(rows) - start), kind)
                    for name, column in columns.items():
                        out[name] = column[start : start + len(out)]
                    out.tofile(file)

    return write


def bare_nexus(path: Path) -> Again:
    """h5py: append arrays to chunked columns."""
    import h5py

    columns: dict[str, NDArray[Any]] = {}
    with h5py.File(path) as file:
        for group in ("entry/instrument/detector/events", "entry/energy"):
            columns |= {name: data[()] for name, data in file[group].items()}

    def write(path: Path, times: int) -> None:
        with h5py.File(path, "w") as file:
            datasets = {
                name: file.create_dataset(
                    name, (0,), values.dtype, maxshape=(None,), chunks=(1 << 17,)
                )
                for name, values in columns.items()
            }
            for _ in range(times):
                for name, values in columns.items():
                    rows = len(datasets[name])
                    datasets[name].resize((rows + len(values),))
                    datasets[name][rows:] = values

    return write


def bare_lh5(path: Path) -> Again:
    """LEGEND's package: append its own tables, as they are in the file."""
    import lh5

    with_tables = [name for name in lh5.ls(str(path)) if name.startswith("ch")]
    tables = [(name, "hit", lh5.read(f"{name}/hit", str(path))) for name in with_tables]
    tables += [("/", name, lh5.read(name, str(path))) for name in ("hardware_tcm_1", "evt")]

    def write(path: Path, times: int) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            for _ in range(times):
                for group, name, table in tables:
                    lh5.write(table, name, file, group=group, wo_mode="append")

    return write


BARE: dict[str, Callable[[Path], Again]] = {
    "compass": bare_compass,
    "nexus": bare_nexus,
    "lh5": bare_lh5,
}


def peak(key: str, name: str, events: int, pulses: int) -> float:
    """Peak memory, MB, of a process that writes so many events, with the two blocks it has."""
    arguments = f"{key!r}, {name!r}, {events}, {pulses}"
    code = f"from nuspill.scripts.benchmarks.formats import alone; alone({arguments})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def alone(key: str, name: str, events: int, pulses: int) -> None:
    """Write a sample that makes its blocks as they are asked for; print the peak memory in MB."""
    from ...reco.formats.shared.door import find
    from ...reco.formats.shared.sample import Sample

    template, times = repeated(load(name), BLOCK, pulses), events // BLOCK

    def source(columns: Iterable[str]) -> Iterator[Block]:
        wanted = list(columns)
        for i in range(times):
            for block in template.source(wanted):
                yield block | {"pulse": block["pulse"] + i * template.stop_pulse}

    stop = template.stop_pulse * times
    provenance: Provenance = {**template.provenance, "pulses": stop}
    sample = Sample(template.experiment, provenance, 0, stop, source)
    with tempfile.TemporaryDirectory(prefix="nuspill-benchmark-") as folder:
        find(key, "write").write(sample, Path(folder) / "out")
    status = Path("/proc/self/status")  # the resource usage begins with that of the parent
    lines = status.read_text("utf-8").splitlines() if status.is_file() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    click.echo((peaks or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0] / 1024)
