"""Toys on disk: a folder of numbered files with a manifest, resumed and merged by number.

A file holds the statistic of consecutive toys of some grid points. It appears when it is whole, so
that what an interrupted run leaves is used by the next. Two folders of one configuration hold the
same toys under the same numbers: merging is putting their files together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..reco.errors import OutputError
from ..reco.experiment import Experiment, validate
from ..reco.ntuple import replacing
from .combination import build
from .ensemble import Ensemble
from .model import Data
from .neyman import Construction, Statistic

MANIFEST = "manifest.json"
TOYS_A_FILE = 1 << 18
"""A file is closed at this number of toys."""
TOYS_A_TASK = 1 << 16
"""Of one point, made in one piece."""

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
    there: dict[int, list[Task]] = {}
    for task in sorted(done):
        there.setdefault(task[0], []).append(task)
    found: list[Task] = []
    for point in points:
        at = start
        for _, low, high in [*there.get(point, []), (point, stop, stop)]:
            found += tasks_of([point], at, min(low, stop))
            at = max(at, high)
    return found


def configuration(construction: Construction, experiments: Sequence[Experiment]) -> dict[str, Any]:
    """Everything that decides the toys of a construction."""
    data = construction.data
    return {
        "experiments": [e.model_dump(mode="json") for e in experiments],
        "axes": {name: x.tolist() for name, x in construction.axes},
        "parameters": [p.name for p in construction.model.parameters],
        "ensemble": construction.ensemble.describe(),
        "seed": construction.seed,
        "data": {"counts": data.counts[0].tolist(), "off": data.off[0].tolist()},
        "version": version("nuspill"),
    }


@dataclass(frozen=True, eq=False)
class Record:
    """A folder of toys."""

    folder: Path
    config: dict[str, Any]

    def files(self) -> list[Path]:
        """Its files, in the order of points and toys."""
        return sorted(self.folder.glob("toys-*.npz"))

    def done(self) -> set[Task]:
        """Tasks whose toys are there."""
        return {task for path in self.files() for task, _ in read_file(path)}

    def write(self, results: Iterable[tuple[Task, Statistic]]) -> Iterator[int]:
        """Write toys as they come; yields the number of toys of each task.

        What has come is written when the work ends, be it by an error or an interrupt.
        """
        waiting: list[tuple[Task, Statistic]] = []
        held = 0
        try:
            for task, statistic in results:
                waiting.append((task, statistic))
                held += len(statistic.value)
                if held >= TOYS_A_FILE:
                    self._write(waiting)
                    waiting, held = [], 0
                yield len(statistic.value)
        finally:
            if waiting:
                self._write(waiting)

    def _write(self, results: Sequence[tuple[Task, Statistic]]) -> None:
        tasks = np.array([task for task, _ in results], np.int64)
        first, last = tasks[:, 0].min(), tasks[:, 0].max()
        low, high = tasks[:, 1].min(), tasks[:, 2].max()
        name = f"toys-{first:07d}-{last:07d}-{low:010d}-{high:010d}"
        path, number = self.folder / f"{name}.npz", 1
        while path.exists():  # other toys in the same ranges
            number += 1
            path = self.folder / f"{name}-{number}.npz"
        with replacing(path) as temporary, temporary.open("wb") as f:
            np.savez(
                f,
                tasks=tasks,
                failed=np.array([s.failed for _, s in results], np.int64),
                values=np.concatenate([s.value for _, s in results]),
            )

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
            mine = [path for path, first, last in files if first <= point <= last]
            for path in [p for p in loaded if p not in mine]:
                del loaded[path]
            pieces = []
            for path in mine:
                if path not in loaded:
                    loaded[path] = list(read_file(path))
                pieces += [piece for piece in loaded[path] if piece[0][0] == point]
            yield _joined(self.folder, sorted(pieces, key=lambda piece: piece[0]))


def _joined(folder: Path, pieces: Sequence[tuple[Task, Statistic]]) -> Statistic:
    values: list[NDArray[np.float64]] = []
    failed, stop, before = 0, -1, None
    for task, statistic in pieces:
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


def open_record(folder: str | Path, config: dict[str, Any], resume: bool) -> Record:
    """A folder to write toys to: a new one, or with `resume` one of the same configuration.

    Raises
    ------
    OutputError
        If the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    if (folder / MANIFEST).exists():
        there = load_record(folder)
        _same(folder, there.config, config)
        if not resume:
            raise OutputError(f"{folder}: holds this run already; --resume goes on with it")
        return there
    if any(not f.name.startswith(".") for f in folder.iterdir()):
        raise OutputError(f"{folder}: is not empty and holds no {MANIFEST}")
    _save(folder, config)
    return Record(folder, config)


def load_record(folder: str | Path) -> Record:
    """A folder of toys as it is.

    Raises
    ------
    OutputError
        If it is none.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text("utf-8"))
        config = content["configuration"]
        if content["hash"] != _hash(config):
            raise ValueError("its hash does not fit")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is not a manifest of toys: {error}") from error
    return Record(folder, config)


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
        _same(other.folder, records[0].config, other.config)
    there_already = (Path(output) / MANIFEST).exists()
    _fit_together([*records, load_record(output)] if there_already else records)
    result = open_record(output, records[0].config, resume=True)
    there = result.done()
    for record in records:
        for path in record.files():
            pieces = [piece for piece in read_file(path) if piece[0] not in there]
            if pieces:
                result._write(pieces)
                there |= {task for task, _ in pieces}
    return result


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
        if task[0] == before[0] and task[1] < before[2]:
            raise OutputError(
                f"toys {task[1]} to {min(task[2], before[2])} of point {task[0]} overlap: they are "
                "in two of the runs"
            )


def restore(record: Record) -> Construction:
    """The construction that a record's toys are of."""
    config = record.config
    origin = str(record.folder / MANIFEST)
    experiments = [validate(dict(e), origin) for e in config["experiments"]]
    model = build(experiments, config["parameters"])
    told = config["ensemble"]
    ensemble = Ensemble(
        told["nuisance_truth"],
        told["pull_centres"],
        told["nuisance_values"],
        "events" if told["counts"] == "events" else "bins",
    )
    counts, off = (np.array(config["data"][name])[None] for name in ("counts", "off"))
    axes = tuple((name, np.array(x)) for name, x in config["axes"].items())
    centre = np.zeros((1, model.variables))
    data = Data(counts, off, centre)
    return Construction(model, axes, ensemble, config["seed"], data, tuple(experiments))


def write_ntuple(construction: Construction, record: Record, path: Path) -> None:
    """Write the toys of a record as a ROOT ntuple `toys`, fitted again by their numbers.

    Columns: ``point``, ``toy``, ``q``, ``status`` (0 where both fits converged), ``chi2`` of the
    global minimum, and ``fit_NAME`` of each variable there.
    """
    import uproot

    names = [f"fit_{name.replace('.', '_')}" for name in construction.model.names]
    kinds = {"point": np.int32, "toy": np.int64, "q": float, "status": np.int8, "chi2": float}
    branches = {name: np.dtype(kind) for name, kind in kinds.items()}
    branches |= {name: np.dtype(float) for name in names}
    with replacing(path, overwrite=True) as temporary, uproot.recreate(temporary) as file:
        tree = file.mktree("toys", branches)
        for point, start, stop in sorted(record.done()):
            at, free = construction.fits(point, start, stop)
            tree.extend(
                {
                    "point": np.full(stop - start, point, np.int32),
                    "toy": np.arange(start, stop),
                    "q": at.chi2 - free.chi2,
                    "status": np.maximum(at.status, free.status).astype(np.int8),
                    "chi2": free.chi2,
                    **dict(zip(names, free.values.T, strict=True)),
                }
            )


def _same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if there.get(key) != value:
            shown = [json.dumps(x)[:120] for x in (there.get(key), value)]
            raise OutputError(f"{folder}: holds toys of another {key}: {shown[0]}, not {shown[1]}")


def _save(folder: Path, config: dict[str, Any]) -> None:
    with replacing(folder / MANIFEST, overwrite=True) as temporary:
        content = {"hash": _hash(config), "configuration": config}
        temporary.write_text(json.dumps(content, indent=1), "utf-8")


def _hash(config: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
