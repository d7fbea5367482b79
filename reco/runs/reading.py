"""The one reader of ntuples: which events are there, and for what exposure they stand.

An ntuple is a ROOT file, a file that was joined from several (`hadd` keeps the provenance of each),
or a folder of parts. The rules, for everything that reads one:

- Every file has its provenance, and as many rows as that tells, each event once and in order.
- All files are of one experiment (see `belonging`), and of distinct parts: no pulse or event of a
  run is there twice, and no run twice, be it of another length.
- Runs of several seeds, and imported files, are added: their exposures are summed.
- The exposure is that of the pulses that were read, and `missing` says which pulses of the runs
  were not. An ntuple from which something is missing stands for less; who cannot use that refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import BLOCK_EVENTS, PLACE_COLUMNS, Block
from ..errors import ExperimentError
from ..experiment import Experiment, validate
from .belonging import refuse_another_experiment
from .folder import MANIFEST, read_manifest
from .provenance import Expected, Provenance, live_time
from .tree import PROVENANCE, TREE, Counts, names_in, provenances

PARTS = "part-*.root"
Pulses = tuple[int, int]
"""First pulse, and the one after the last."""


@dataclass(frozen=True)
class Share:
    """Consecutive rows of a file that one provenance tells of."""

    file: Path
    rows: tuple[int, int]
    """First row, and the one after the last."""
    about: Provenance

    @property
    def imported(self) -> bool:
        """Whether the events are not nuspill's own."""
        return "imported" in self.about

    @property
    def events(self) -> tuple[int, int]:
        """Number of the first event, and of the one after the last."""
        first = int(self.about["first_event"])
        return first, first + int(self.about["events"])

    @property
    def all_pulses(self) -> Pulses:
        """Pulses of its run."""
        return int(self.about.get("first_pulse", 0)), int(self.about["pulses"])

    @property
    def pulses(self) -> Pulses | None:
        """Pulses whose events it holds; None where an earlier version did not write them."""
        if "covered_pulses" in self.about:
            first, stop = self.about["covered_pulses"]
            return int(first), int(stop)
        is_whole = self.events == (0, int(self.about["run_events"]))
        return self.all_pulses if is_whole or self.imported else None

    @property
    def run(self) -> str:
        """What tells its run from others: the seed, or the file that was imported."""
        seed = self.about.get("seed")
        return f"seed {seed}" if seed is not None else str(self.about["imported"]["file"])


@dataclass(frozen=True, eq=False)
class RunRead:
    """What is there of a run."""

    name: str
    shares: tuple[Share, ...]
    """In order of events."""
    stretches: tuple[Pulses, ...]
    """Pulses that are there, in order and apart from each other."""

    @property
    def about(self) -> Provenance:
        """Provenance of its first file; what it tells of the run is that of the whole run."""
        return self.shares[0].about

    @property
    def pulses(self) -> int:
        """Number of pulses that are there."""
        return sum(stop - first for first, stop in self.stretches)

    @property
    def all_pulses(self) -> int:
        """Number of pulses of the whole run; of what was imported that is what is there."""
        if self.shares[0].imported:
            return self.pulses
        first, stop = self.shares[0].all_pulses
        return stop - first

    @property
    def part(self) -> float:
        """Part of the pulses of the first file's provenance that is there; above 1 for imports."""
        first, stop = self.shares[0].all_pulses
        return self.pulses / (stop - first) if stop > first else 1.0

    @property
    def missing(self) -> str:
        """Pulses that are not there; empty if all are."""
        if self.shares[0].imported or self.pulses == self.all_pulses:
            return ""
        first, stop = self.shares[0].all_pulses
        marks = [first, *(mark for stretch in self.stretches for mark in stretch), stop]
        gaps = [(a, b) for a, b in zip(marks[::2], marks[1::2], strict=True) if b > a]
        shown = ", ".join(f"{a}:{b}" for a, b in gaps[:3])
        more = f" and {len(gaps) - 3} more stretches" if len(gaps) > 3 else ""
        there = 100 * self.pulses / self.all_pulses
        return f"pulses {shown}{more} of {first}:{stop} of {self.name} ({there:.3g} % are there)"

    def elapsed(self, pulse: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pulses that are there before given ones; −1 where the pulse is not known."""
        if len(self.stretches) == 1:
            ((start, stop),) = self.stretches
            return np.where(pulse < 0, -1, np.minimum(pulse - start, stop - start - 1))
        starts, stops = np.array(self.stretches or ((0, 0),)).T
        before = np.concatenate([[0], np.cumsum(stops - starts)])
        number = np.maximum(np.searchsorted(starts, pulse, side="right") - 1, 0)
        since = np.minimum(pulse - starts[number], stops[number] - starts[number] - 1)
        return np.where(pulse < 0, -1, before[number] + since)


@dataclass(frozen=True, eq=False)
class Reading:
    """An ntuple that has been looked at: its runs and exposure. Rows are read by `blocks`."""

    path: Path
    runs: tuple[RunRead, ...]
    columns: tuple[str, ...]
    """Columns that all files have."""
    lost_parts: tuple[str, ...]
    """Names of parts that the folder's manifest knows and that are not there."""

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that all files are of."""
        share = self.runs[0].shares[0]
        return validate(share.about["experiment"], str(share.file))

    @property
    def files(self) -> tuple[Path, ...]:
        """Files, in the order in which they are read."""
        return tuple(share.file for run in self.runs for share in run.shares)

    @property
    def imported(self) -> bool:
        """Whether some events are not nuspill's own."""
        return any(share.imported for run in self.runs for share in run.shares)

    @property
    def formats(self) -> set[str]:
        """Formats of the files that were imported."""
        shares = [share for run in self.runs for share in run.shares if share.imported]
        return {share.about["imported"]["format"] for share in shares}

    @property
    def pulses(self) -> int:
        """Number of beam pulses that are there, of all runs."""
        return sum(run.pulses for run in self.runs)

    @property
    def part(self) -> float:
        """Part of the runs' pulses that is there."""
        return self.pulses / max(sum(run.all_pulses for run in self.runs), 1)

    @property
    def years(self) -> float:
        """Years of operation that are there."""
        return sum(run.about["years_of_operation"] * run.part for run in self.runs)

    @property
    def protons(self) -> float:
        """Protons on target of the pulses that are there."""
        return sum(run.about["protons_on_target"] * run.part for run in self.runs)

    @property
    def missing(self) -> tuple[str, ...]:
        """What of the runs is not there; empty if all is."""
        texts = [run.missing for run in self.runs if run.missing]
        if texts and self.lost_parts:
            names = ", ".join(self.lost_parts[:3])
            more = f" and {len(self.lost_parts) - 3} more" if len(self.lost_parts) > 3 else ""
            texts[0] += f": there is no {names}{more}"
        return tuple(texts)

    @cached_property
    def provenance(self) -> Provenance:
        """Provenance of all that is there; its exposure and expectations are of what was read."""
        shares = [share for run in self.runs for share in run.shares]
        first = shares[0].about
        if len(shares) == 1 and not self.missing:
            return first
        counts = Counts()
        for share in shares:
            counts += Counts(share.about["generated"])
        scale = self.pulses / max(int(first["pulses"]) - int(first.get("first_pulse", 0)), 1)
        start, stop = self.runs[0].stretches[0] if self._is_one_stretch else (0, self.pulses)
        return first | {
            "seed": first.get("seed") if len(self.runs) == 1 else None,
            "years_of_operation": self.years,
            "protons_on_target": self.protons,
            "first_pulse": start,
            "pulses": stop,
            "covered_pulses": [start, stop],
            "live_time_s": live_time(self.pulses, self.experiment.beam_windows),
            "expected": [_scaled(row, scale) for row in first.get("expected", [])],
            "first_event": shares[0].events[0],
            "events": sum(int(share.about["events"]) for share in shares),
            "run_events": sum(int(run.about["run_events"]) for run in self.runs),
            "selected_only": any(share.about.get("selected_only", False) for share in shares),
            "generated": counts.table(),
            "missing": list(self.missing),
        }

    @property
    def _is_one_stretch(self) -> bool:
        return len(self.runs) == 1 and len(self.runs[0].stretches) == 1

    def blocks(
        self, columns: Iterable[str], step: int | None = None, elapsed: bool = False
    ) -> Iterator[Block]:
        """Blocks of rows, runs one after another, each in order of events.

        Parameters
        ----------
        columns
            Names; those of the place are left out where the ntuple has none.
        step
            Most rows of a block; by default `BLOCK_EVENTS`.
        elapsed
            Give as `pulse` the number of pulses that were read before, from 0 to `pulses`.

        Raises
        ------
        ExperimentError
            If rows are not the events that the provenance tells of.
        """
        wanted = [name for name in columns if name in self.columns or name not in PLACE_COLUMNS]
        checked = [*wanted, "event"] if "event" not in wanted else wanted
        before = 0
        for run in self.runs:
            for shares in _spans(run.shares):
                for block in _checked(shares, checked, step or BLOCK_EVENTS):
                    if elapsed:
                        block["pulse"] = before + run.elapsed(block["pulse"])
                    yield {name: block[name] for name in wanted}
            before += run.pulses


def reading(path: str | Path) -> Reading:
    """Look at an ntuple, and refuse what is none, or not of distinct parts of one experiment.

    Raises
    ------
    ExperimentError
        Naming the file and what is wrong.
    """
    path = Path(path)
    files = files_of(path)
    found = [_opened(file) for file in files]
    shares = [share for each, _ in found for share in each]
    for share in shares[1:]:
        if share.about["experiment"] != shares[0].about["experiment"]:
            a, b = (validate(s.about["experiment"], str(s.file)) for s in (share, shares[0]))
            refuse_another_experiment(share.file, a, b)
    by_run: dict[str, list[Share]] = {}
    for share in shares:
        by_run.setdefault(share.run, []).append(share)
    runs = tuple(_run(name, each) for name, each in by_run.items())
    columns = [name for name in found[0][1] if all(name in names for _, names in found)]
    return Reading(path, runs, tuple(columns), _lost_parts(path, files))


def read(path: str | Path, columns: list[str] | None = None) -> tuple[Block, Provenance]:
    """Columns and provenance of an ntuple (one file, joined ones, or a folder of parts).

    The provenance has the exposure of what was read, and says as `missing` what was not there.

    Raises
    ------
    ExperimentError
        If the file is not an ntuple of nuspill, or its parts are not distinct.
    """
    ntuple = reading(path)
    wanted = columns or list(ntuple.provenance["columns"])
    absent = [name for name in wanted if name not in ntuple.columns]
    if absent:
        raise ExperimentError(f"{path}: is not an ntuple of nuspill: it has no {absent[0]}")
    blocks = list(ntuple.blocks(wanted)) or [_no_rows(ntuple.files[0], wanted)]
    if len(blocks) == 1:
        return blocks[0], ntuple.provenance
    return {c: np.concatenate([b[c] for b in blocks]) for c in wanted}, ntuple.provenance


def _no_rows(file: Path, columns: list[str]) -> Block:
    """Columns of a file, without rows."""
    import uproot

    with uproot.open(file) as root:
        arrays = root[TREE].arrays(columns, entry_stop=0)
        return {name: np.asarray(arrays[name]) for name in columns}


def files_of(path: Path) -> list[Path]:
    """Files of an ntuple: itself, the parts in a folder, or else all ROOT files in it."""
    files = [path]
    if path.is_dir():
        files = sorted(path.glob(PARTS)) or sorted(path.glob("*.root"))
    if not files or not path.exists():
        raise ExperimentError(f"{path}: there is no ntuple")
    return files


def is_ntuple(path: Path) -> bool:
    """Whether a file, or all ROOT files of a folder, have what an ntuple has."""
    if path.is_dir():
        if any(path.glob(PARTS)):
            return True
        files = sorted(path.glob("*.root"))
        return bool(files) and all(is_ntuple(file) for file in files)
    return path.is_file() and {TREE, PROVENANCE} <= names_in(path)


def _opened(file: Path) -> tuple[list[Share], list[str]]:
    """Rows of a file by provenance, and its columns."""
    import uproot

    try:
        with uproot.open(file) as root:
            every = provenances(root)
            tree = root[TREE]
            rows, names = int(tree.num_entries), list(tree.keys())
        shares, stop = [], 0
        for about in every:
            start, stop = stop, stop + _rows(about)
            shares.append(Share(file, (start, stop), about))
        for share in shares:
            _ = share.events, share.pulses, share.run, about["experiment"]
    except Exception as error:  # uproot and the codecs raise errors of many kinds
        raise ExperimentError(f"{file}: is not an ntuple of nuspill: {error}") from error
    if stop != rows:
        raise ExperimentError(
            f"{file}: has {rows} events, and its provenance tells of {stop}: some are cut away, or "
            "it was joined without the provenance of each file"
        )
    return shares, names


def _rows(about: Provenance) -> int:
    """Rows that a file of this provenance has."""
    if about.get("selected_only", False):
        return sum(sum(row["selected"]) for row in about["generated"])
    return int(about["events"])


def _run(name: str, shares: Sequence[Share]) -> RunRead:
    """A run of parts, which must be distinct and of one length."""
    first = shares[0]
    for share in shares[1:]:
        if not (share.imported or first.imported) and _length(share) != _length(first):
            raise ExperimentError(
                f"{share.file}: is of {name}, as {first.file} is, but of a run of "
                f"{share.all_pulses[1]} pulses, not {first.all_pulses[1]}: what they share would "
                "count twice"
            )
    shares = sorted(shares, key=lambda share: (share.pulses or (0, 0), share.events))
    _refuse_twice(name, [(s.events, s) for s in shares if not s.imported], "events")
    known = [(s.pulses, s) for s in shares if s.pulses is not None]
    _refuse_twice(name, known, "pulses")
    if len(known) < len(shares):
        return RunRead(name, tuple(sorted(shares, key=lambda s: s.events)), (_whole(name, shares),))
    stretches: list[Pulses] = []
    for (start, stop), _ in known:
        if stretches and stretches[-1][1] == start:
            start = stretches.pop()[0]
        if stop > start:
            stretches.append((start, stop))
    return RunRead(name, tuple(shares), tuple(stretches))


def _length(share: Share) -> tuple[object, ...]:
    about = share.about
    return about["pulses"], about["run_events"], about.get("fixed_signal_events")


def _refuse_twice(name: str, ranges: Iterable[tuple[tuple[int, int], Share]], what: str) -> None:
    """Refuse ranges of events, or pulses, that overlap."""
    ordered = sorted(((r, s) for r, s in ranges if r[1] > r[0]), key=lambda pair: pair[0])
    for (before, a), (after, b) in pairwise(ordered):
        if after[0] < before[1]:
            where = "twice" if a.file == b.file else f"and {a.file} holds them too"
            raise ExperimentError(
                f"{b.file}: holds {what} {after[0]}:{min(before[1], after[1])} of {name} {where}; "
                "nothing may count twice"
            )


def _whole(name: str, shares: Sequence[Share]) -> Pulses:
    """Pulses of a run whose files do not tell theirs: all of them, or nothing is known."""
    there = sum(share.events[1] - share.events[0] for share in shares)
    run_events = int(shares[0].about["run_events"])
    if there != run_events:
        raise ExperimentError(
            f"{shares[0].file}: {run_events - there} of {run_events} events of {name} are missing, "
            "and the file is of an earlier nuspill, which did not write of which pulses"
        )
    return shares[0].all_pulses


def _lost_parts(path: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Parts that a folder's manifest knows and that are not there."""
    if not (path / MANIFEST).is_file():
        return ()
    manifest = read_manifest(path)
    if manifest.kind != "events":
        raise ExperimentError(f"{path}: holds {manifest.kind}, not events")
    there = {file.name for file in files}
    names = (f"part-{number:05d}.root" for number in range(int(manifest.configuration["parts"])))
    return tuple(name for name in names if name not in there)


def _spans(shares: Sequence[Share]) -> Iterator[list[Share]]:
    """Shares whose rows follow each other in one file."""
    span: list[Share] = []
    for share in shares:
        if span and (span[-1].file, span[-1].rows[1]) != (share.file, share.rows[0]):
            yield span
            span = []
        span.append(share)
    yield span


def _checked(shares: Sequence[Share], columns: list[str], step: int) -> Iterator[Block]:
    """Blocks of rows that follow each other, each event of which is where it belongs."""
    import uproot

    file, at = shares[0].file, shares[0].rows[0]
    last: dict[int, int] = {}
    try:
        with uproot.open(file, object_cache=None, array_cache=None) as root:
            rows: Iterator[dict[str, NDArray[Any]]] = root[TREE].iterate(
                columns,
                step_size=step,
                library="np",
                entry_start=at,
                entry_stop=shares[-1].rows[1],
                decompression_executor=_decompressing(),
            )
            for block in rows:
                _check_events(shares, block["event"], at, last)
                at += len(block["event"])
                yield block
    except ExperimentError:
        raise
    except Exception as error:  # uproot and the codecs raise errors of many kinds
        raise ExperimentError(
            f"{file}: is not an ntuple of nuspill, or damaged: {error}"
        ) from error


@cache
def _decompressing() -> Any:
    """Threads that decompress columns side by side, so that checking the events costs no time."""
    import uproot

    return uproot.ThreadPoolExecutor(min(4, os.cpu_count() or 1))


def _check_events(
    shares: Sequence[Share], event: NDArray[np.int64], at: int, last: dict[int, int]
) -> None:
    """Refuse rows, from row `at` on, that are not the events of their provenance, each once."""
    for number, share in enumerate(shares):
        rows = event[max(share.rows[0] - at, 0) : max(share.rows[1] - at, 0)]
        if not len(rows):
            continue
        first, stop = share.events
        if (
            rows[0] <= last.get(number, first - 1)
            or rows[-1] >= stop
            or not np.all(rows[1:] > rows[:-1])
        ):
            raise ExperimentError(
                f"{share.file}: its rows {share.rows[0]}:{share.rows[1]} are not the events "
                f"{first}:{stop} of {share.run}, each once and in order, which the provenance tells"
            )
        last[number] = int(rows[-1])


def _scaled(row: Expected, scale: float) -> Expected:
    return {
        "component": row["component"],
        "name": row["name"],
        "total": row["total"] * scale,
        "in_window": [n * scale for n in row["in_window"]],
        "selected": [n * scale for n in row["selected"]],
    }
