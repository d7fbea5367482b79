"""Toys on disk: a folder of numbered files with manifest and log, resumed and merged by number.

A file holds the statistic of consecutive toys of some grid points. It appears when it is whole, so
that what an interrupted run leaves is used by the next. Two folders of one configuration hold the
same toys under the same numbers: merging is putting their files together.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Json
from ...reco.errors import OutputError
from ...reco.files import replacing
from ...reco.runs.folder import (
    MANIFEST,
    Kind,
    Log,
    Manifest,
    Piece,
    checksum,
    make_folder,
    open_log,
    pieces,
    read_manifest,
    refuse_another,
    write_manifest,
)
from ..construction.neyman import Statistic
from ..construction.numbering import BETWEEN

TOYS_A_FILE = 1 << 18
"""A file is closed at this number of toys."""
FILE_SECONDS = 30.0
"""A file is closed too at the end of a task when so many seconds have passed."""
TOYS_A_TASK = 1 << 16
"""Most toys of one point that are made in one piece."""

Task = tuple[int, int, int]
"""Point, and range of toys."""


def tasks_of(points: Iterable[int], start: int, stop: int) -> list[Task]:
    """Tasks that make toys `start` to `stop` − 1 of points."""
    return [
        (point, low, min(low + TOYS_A_TASK, stop))
        for point in points
        for low in range(start, stop, TOYS_A_TASK)
    ]


def missing(points: Iterable[int], start: int, stop: int, done: Iterable[Task]) -> list[Task]:
    """Tasks that make those of toys `start` to `stop` − 1 of points that are not there yet."""
    made: dict[int, list[Task]] = {}
    for task in sorted(done):
        made.setdefault(task[0], []).append(task)
    tasks: list[Task] = []
    for point in points:
        at = start
        for _, low, high in [*made.get(point, []), (point, stop, stop)]:
            tasks += tasks_of([point], at, min(low, stop))
            at = max(at, high)
    return tasks


@dataclass(frozen=True, eq=False)
class Record:
    """A folder of toys."""

    folder: Path
    manifest: Manifest

    @property
    def config(self) -> Json:
        """Everything that decides the toys."""
        return self.manifest.configuration

    def files(self) -> list[Path]:
        """Files of toys, in the order of points and toys."""
        return sorted(self.folder.glob("toys-*.npz"))

    def done(self) -> set[Task]:
        """Tasks whose toys are there."""
        return {task for path in self.files() for task, _ in read_file(path)}

    def write(
        self, results: Iterable[tuple[Task, Statistic]], where: str = "here"
    ) -> Iterator[int]:
        """Write toys as they come, from anywhere; yields the number of toys of each task.

        What has come is written when the work ends, be it by an error or an interrupt.
        """
        with self.log() as log:
            waiting: list[tuple[Task, Statistic]] = []
            held, begun = 0, time.monotonic()
            log.add("start", where=where)
            try:
                for task, statistic in results:
                    waiting.append((task, statistic))
                    held += len(statistic.value)
                    if held >= TOYS_A_FILE or time.monotonic() - begun > FILE_SECONDS:
                        self._write(waiting, log)
                        waiting, held, begun = [], 0, time.monotonic()
                    yield len(statistic.value)
            except BaseException as error:
                with suppress(OutputError):
                    log.add("stop", why=f"{type(error).__name__}: {error}")
                raise
            finally:
                if waiting:
                    self._write(waiting, log)

    @contextmanager
    def log(self) -> Iterator[Log]:
        """The log, which takes in what a process left that died before it could tell."""
        with open_log(self.folder) as log:
            known = pieces(self.folder)
            for path in self.files():
                if path.name not in known:
                    toys = sum(task[2] - task[1] for task, _ in read_file(path))
                    log.piece(Piece(path.name, checksum(path), _points_of(path)[0], toys, []))
            yield log

    def _write(self, results: Sequence[tuple[Task, Statistic]], log: Log) -> None:
        tasks = np.array([task for task, _ in results], np.int64)
        first, last = tasks[:, 0].min(), tasks[:, 0].max()
        low, high = tasks[:, 1].min(), tasks[:, 2].max()
        name = f"toys-{first:07d}-{last:07d}-{low:010d}-{high:010d}"
        path, number = self.folder / f"{name}.npz", 1
        while path.exists():  # other toys in the same ranges
            number += 1
            path = self.folder / f"{name}-{number}.npz"
        values = np.concatenate([s.value for _, s in results])
        with replacing(path) as temporary, temporary.open("wb") as f:
            failed = np.array([s.failed for _, s in results], np.int64)
            np.savez(f, tasks=tasks, failed=failed, values=values)
        log.piece(Piece(path.name, checksum(path), int(first), len(values), []))

    def by_point(self, points: int) -> Iterator[Statistic]:
        """Toys of each point in the order of their numbers; a file is read about once.

        Raises
        ------
        OutputError
            If a toy is there twice with different values.
        """
        files = [(path, *_points_of(path)) for path in self.files()]
        loaded: dict[Path, list[tuple[Task, Statistic]]] = {}
        for point in range(points):
            paths = [path for path, first, last in files if first <= point <= last]
            for path in [p for p in loaded if p not in paths]:
                del loaded[path]
            parts = []
            for path in paths:
                if path not in loaded:
                    loaded[path] = list(read_file(path))
                parts += [piece for piece in loaded[path] if piece[0][0] == point]
            yield _joined(self.folder, sorted(parts, key=lambda piece: piece[0]))

    def of(self, point: int) -> Statistic:
        """Toys of one point in the order of their numbers.

        Raises
        ------
        OutputError
            As `by_point`.
        """
        paths = [path for path in self.files() if _holds(path, point)]
        parts = [piece for path in paths for piece in read_file(path) if piece[0][0] == point]
        return _joined(self.folder, sorted(parts, key=lambda piece: piece[0]))


def _joined(folder: Path, parts: Sequence[tuple[Task, Statistic]]) -> Statistic:
    values: list[NDArray[np.float64]] = []
    failed, stop, before = 0, -1, None
    for task, statistic in parts:
        if before is not None and task == before[0]:
            if not np.array_equal(statistic.value, before[1].value):
                raise OutputError(
                    f"{folder}: toys {task[1]} to {task[2]} of point {task[0]} differ"
                )
            continue
        if task[1] < stop:
            raise OutputError(f"{folder}: toys {task[1]} to {stop} of point {task[0]} overlap")
        values.append(statistic.value)
        failed += statistic.failed
        stop, before = task[2], (task, statistic)
    return Statistic(np.concatenate(values) if values else np.empty(0), failed)


def _holds(path: Path, point: int) -> bool:
    first, last = _points_of(path)
    return first <= point <= last


def _points_of(path: Path) -> tuple[int, int]:
    parts = path.stem.split("-")
    return int(parts[1]), int(parts[2])


def read_file(path: Path) -> Iterator[tuple[Task, Statistic]]:
    """Tasks and toys of a file.

    Raises
    ------
    OutputError
        If the file is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            tasks, failed, values = arrays["tasks"], arrays["failed"], arrays["values"]
        if tasks.shape != (len(failed), 3) or np.sum(tasks[:, 2] - tasks[:, 1]) != len(values):
            raise ValueError("its arrays do not fit together")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise OutputError(f"{path}: is not a file of toys, or damaged: {error}") from error
    place = 0
    for task, count in zip(tasks, failed, strict=True):
        size = int(task[2] - task[1])
        yield (
            (int(task[0]), int(task[1]), int(task[2])),
            Statistic(values[place : place + size], int(count)),
        )
        place += size


def open_record(
    folder: str | Path,
    config: Json,
    resume: bool,
    request: Json | None = None,
    kind: Kind = "toys",
) -> Record:
    """A folder to write toys to: a new one, or with `resume` one of the same configuration.

    Parameters
    ----------
    config
        Everything that decides the toys.
    request
        How many toys are wanted and what for; that of an earlier call is replaced.

    Raises
    ------
    OutputError
        If the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    wanted = Manifest(kind, config, request or {})
    if make_folder(folder):
        existing = read_manifest(folder)
        refuse_another(folder, existing, wanted)
        if not resume:
            raise OutputError(f"{folder}: holds this run already; --resume goes on with it")
        if request is None or request == existing.request:
            return Record(folder, existing)
    with open_log(folder):
        write_manifest(folder, wanted)
    return Record(folder, wanted)


def load_record(folder: str | Path) -> Record:
    """A folder of toys as it is.

    Raises
    ------
    OutputError
        If it holds no toys.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest.kind == "events":
        raise OutputError(f"{folder}: holds events, not toys")
    return Record(folder, manifest)


def merge(folders: Sequence[str | Path], output: str | Path) -> Record:
    """Put the toys of several runs of one configuration into one folder.

    Raises
    ------
    OutputError
        If configurations differ, or a toy is there twice with different values.
    """
    records = [load_record(folder) for folder in folders]
    if not records:
        raise OutputError("nothing to merge")
    for other in records[1:]:
        refuse_another(other.folder, other.manifest, records[0].manifest)
    output_exists = (Path(output) / MANIFEST).exists()
    _fit_together([*records, load_record(output)] if output_exists else records)
    first = records[0].manifest
    result = open_record(output, first.configuration, resume=True, kind=first.kind)
    done = result.done()
    with result.log() as log:
        for record in records:
            for path in record.files():
                new = [piece for piece in read_file(path) if not _is_there(piece[0], done)]
                if new:
                    result._write(new, log)
                    done |= {task for task, _ in new}
    return result


def _is_there(task: Task, done: Iterable[Task]) -> bool:
    """Whether a task is done, or round limits any of its toys: the others can be made again."""
    if task[0] < BETWEEN:
        return task in done
    return any(task[0] == point and task[1] < b and a < task[2] for point, a, b in done)


def _fit_together(records: Sequence[Record]) -> None:
    """Refuse toys that are there twice with different values, before anything is written."""
    seen: dict[Task, bytes] = {}
    for record in records:
        for path in record.files():
            for task, statistic in read_file(path):
                digest = hashlib.sha256(statistic.value.tobytes()).digest()
                if seen.setdefault(task, digest) != digest:
                    raise OutputError(
                        f"{path}: toys {task[1]} to {task[2]} of point {task[0]} differ"
                    )
    for before, task in pairwise(sorted(seen)):
        if task[0] == before[0] < BETWEEN and task[1] < before[2]:
            raise OutputError(
                f"toys {task[1]} to {min(task[2], before[2])} of point {task[0]} overlap: they are "
                "in two of the runs"
            )
