"""Ntuples: ROOT files with the columns of a run and their provenance.

A TTree `events` (default) or an RNTuple of that name, and beside it the string `provenance`, JSON.
A file is written under a temporary name and renamed when whole.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import numpy as np

from .errors import ExperimentError, OutputError
from .expectation import cross_sections
from .run import BLOCK_EVENTS, Block, Run, select

TREE = "events"
PROVENANCE = "provenance"
Format = Literal["ttree", "rntuple"]
Progress = Callable[[int], None]
HIGHEST_LEVEL = {"none": 0, "zstd": 22, "lz4": 12, "zlib": 9, "lzma": 9}
"""Of each compression; the lowest, and the default, is 1."""
LIBRARIES = ("nuspill", "numpy", "numba", "uproot", "awkward")


def parse_compression(text: str) -> tuple[str, int]:
    """Name and level of a compression such as ``zstd``, ``zstd:5`` or ``none``."""
    name, colon, digits = text.partition(":")
    highest = HIGHEST_LEVEL.get(name, 0)
    level = int(digits) if digits.isascii() and digits.isdigit() else min(highest, 1)
    wrong = colon and (not digits.isascii() or not digits.isdigit() or len(digits) > 2)
    if name not in HIGHEST_LEVEL or wrong or not min(highest, 1) <= level <= highest:
        allowed = ", ".join(f"{n}:1-{most}" if most else n for n, most in HIGHEST_LEVEL.items())
        raise ExperimentError(f"compression '{text}' is none of {allowed}")
    return name, level


def provenance(run: Run, start: int, stop: int, selected_only: bool = False) -> dict[str, Any]:
    """What a file says of itself: versions, seed, experiment, exposure, expectations, columns."""
    experiment, windows = run.experiment, run.experiment.beam_windows
    return {
        "program": "nuspill",
        "versions": {name: version(name) for name in LIBRARIES},
        "seed": run.seed,
        "experiment": experiment.model_dump(mode="json"),
        "years_of_operation": run.years,
        "protons_on_target": run.protons,
        "pulses": run.pulses,
        "pulse_period_ns": windows.period,
        "slice_pulses": int(run.chain.timing.slice_pulses),
        "fixed_signal_events": run.fixed_signal,
        "live_time_s": {
            "beam": run.pulses * windows.period * 1e-9,
            "on": run.pulses * windows.on_length * 1e-9,
            "off": run.pulses * windows.off_length * 1e-9,
        },
        "truth_threshold_kev": run.truth_threshold,
        "flux_averaged_cross_section_cm2": cross_sections(experiment),
        "components": {str(number): name for number, name in experiment.components.items()},
        "expected": [
            {
                "component": e.component,
                "name": e.name,
                "total": e.total * run.years,
                "in_window": [n * run.years for n in e.in_window],
                "selected": [n * run.years for n in e.selected],
            }
            for e in run.expected
        ],
        "run_events": run.events,
        "first_event": start,
        "events": stop - start,
        "selected_only": selected_only,
        "weights": {name: model.model_dump(mode="json") for name, model in run.models.items()},
        "columns": {
            name: {"type": kind, "unit": unit, "meaning": meaning}
            for name, (kind, unit, meaning) in run.columns.items()
        },
    }


def write(
    run: Run,
    path: str | Path,
    *,
    start: int = 0,
    stop: int | None = None,
    format: Format = "ttree",
    compression: str = "zstd",
    selected_only: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Write events of a run to a ROOT file.

    Parameters
    ----------
    run
        From `plan`.
    path
        The file; it appears when it is whole.
    start, stop
        Event numbers, by default all.
    format
        ``"ttree"`` or ``"rntuple"``.
    compression
        See `parse_compression`.
    selected_only
        Leave out events that are not selected.
    overwrite
        Replace a file that is there.
    progress
        Called with the number of events of each block written.

    Returns
    -------
    Counts
        Events made by component, window and selection, also in the provenance.

    Raises
    ------
    OutputError
        If the file exists or cannot be written; nothing is left behind.
    """
    path = Path(path)
    if format not in ("ttree", "rntuple"):
        raise ExperimentError(f"format must be 'ttree' or 'rntuple', not '{format}'")
    parse_compression(compression)
    stop = run.events if stop is None else stop
    told = provenance(run, start, stop, selected_only)
    with replacing(path, overwrite) as temporary, recreated(temporary, compression) as file:
        tree = (file.mktree if format == "ttree" else file.mkrntuple)(TREE, run.dtypes)
        counts = Counts()
        for block in run.blocks(start, stop, BLOCK_EVENTS, threads, reuse=True):
            counts.add(block)
            tree.extend(select(block) if selected_only else block)
            if progress is not None:
                progress(len(block["event"]))
        told["generated"] = counts.table()
        file[PROVENANCE] = json.dumps(told)
    return counts


class Counts:
    """Numbers of events made, by component, window and selection."""

    def __init__(self, table: list[dict[str, Any]] | None = None) -> None:
        self._numbers = np.zeros((2, 128, 3), np.int64)
        for row in table or []:
            self._numbers[1, row["component"]] += row["selected"]
            self._numbers[0, row["component"]] += np.subtract(row["in_window"], row["selected"])

    def add(self, block: Block) -> None:
        """Count a block."""
        code = block["component"].astype(np.int16) * 3 + block["window"]
        code += 384 * block["selected"].astype(np.int16)
        self._numbers += np.bincount(code, minlength=768).reshape(2, 128, 3)

    def __iadd__(self, other: Counts) -> Counts:
        """Add the counts of another part."""
        self._numbers += other._numbers
        return self

    def table(self) -> list[dict[str, Any]]:
        """Rows: component, and numbers in no window, beam-on and beam-off, all and selected."""
        both = self._numbers.sum(axis=0)
        return [
            {
                "component": int(number),
                "total": int(both[number].sum()),
                "in_window": both[number].tolist(),
                "selected": self._numbers[1, number].tolist(),
            }
            for number in np.flatnonzero(both.sum(axis=1))
        ]


def provenances(file: Any) -> list[dict[str, Any]]:
    """Provenance of an open file: one, or after ROOT's `hadd` that of each part, in their order."""
    keys = file.keys(recursive=False, filter_name=PROVENANCE)
    found = [json.loads(str(file[key])) for key in keys or [PROVENANCE]]
    return sorted(found, key=lambda told: int(told.get("first_event", 0)))


@contextmanager
def recreated(path: Path, compression: str) -> Iterator[Any]:
    """A new ROOT file of a compression, see `parse_compression`."""
    import uproot

    name, level = parse_compression(compression)
    method = None if name == "none" else getattr(uproot, name.upper())(level)
    with uproot.recreate(path, compression=method) as file:
        yield file


@contextmanager
def replacing(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` on success and vanishes otherwise."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; --overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}")
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        if not _alive(left.suffixes[-2].removeprefix(".")):
            left.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def read(path: str | Path, columns: list[str] | None = None) -> tuple[Block, dict[str, Any]]:
    """Columns and provenance of an ntuple (one file, or a folder of parts).

    Raises
    ------
    ExperimentError
        If the file is not an ntuple of nuspill.
    """
    import uproot

    path = Path(path)
    files = sorted(path.glob("part-*.root")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise ExperimentError(f"{path}: there is no ntuple")
    blocks, told = [], {}
    for name in files:
        try:
            with uproot.open(name) as file:
                told = json.loads(str(file[PROVENANCE]))
                tree = file[TREE]
                wanted = columns or list(told["columns"])
                arrays = tree.arrays(wanted)
                blocks.append({c: np.asarray(arrays[c]) for c in wanted})
        except (OSError, KeyError, ValueError, uproot.DeserializationError) as error:
            raise ExperimentError(f"{name}: is not an ntuple of nuspill: {error}") from error
    return {c: np.concatenate([b[c] for b in blocks]) for c in blocks[0]}, told


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: with an `OutputError`, and no half file."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise OutputError("interrupted; no unfinished file is left") from None
    finally:
        signal.signal(signal.SIGTERM, before)
