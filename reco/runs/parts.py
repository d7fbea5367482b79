"""Long runs of events: a folder of numbered parts, made here or on a cluster, and gone on with.

The one process that works on a folder takes each part into the log when it is whole. Parts of a
cluster's workers get their name from it, so that what a worker that was given up still writes is
never taken.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..cluster.workers import ALONE, HERE, Here, Workers
from ..errors import OutputError, whole_number
from ..files import replacing
from .folder import (
    LOG,
    MANIFEST,
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
from .layout import MAKING, Options, PartWork, make_part, manifest_of, part
from .run import Run
from .tree import Counts, Format

PART_SECONDS = 3.0
"""Time that a thread should take for a part on a cluster."""
PART_EVENTS = 200_000, 8_000_000
"""Least and most events of a part on a cluster."""
PARTS_A_THREAD = 4
MOST_PARTS = 99_999
"""Parts that have a number in their names."""
Existing = Literal["refuse", "keep", "replace"]
"""What becomes of a finished run."""


def write_parts(
    run: Run,
    folder: str | Path,
    parts: int | None,
    *,
    format: Format = "ttree",
    compression: str = "zstd",
    selected_only: bool = False,
    existing: Existing = "refuse",
    workers: Workers = HERE,
) -> Counts:
    """Write a run as numbered parts in a folder, going on from the parts that are there.

    Parameters
    ----------
    run, format, compression, selected_only
        The same as for `write`.
    folder
        The folder, made if missing. It holds the parts, `manifest.json` and `log.jsonl`.
    parts
        Number of parts, of equal numbers of slices. If none is given as many as the folder's run
        has, or so many that each takes some seconds.
    existing
        What becomes of a run that the folder holds, finished: it is refused, kept and counted if it
        is the same, or replaced, as another one is then. What is not finished is gone on with.
    workers
        Threads here, or a cluster; their `progress` is called with numbers of events made.

    Returns
    -------
    Counts
        Counts of all parts, which in order of time are together the single file, event by event.

    Raises
    ------
    OutputError
        If the folder holds something else, or cannot be written.
    """
    if parts is not None:
        parts = whole_number("parts", parts, 1, MOST_PARTS)
    folder = Path(folder)
    options = Options(parts or 1, format, compression, selected_only)
    if parts is None:
        present = None if existing == "replace" else _parts_there(folder)
        threads = workers.threads() if workers.remote else 1
        options = replace(options, parts=present or _parts(run, options, threads))
    wanted = manifest_of(run, options)
    fresh = _is_fresh(folder, wanted, existing)
    with open_log(folder, fresh) as log:
        if fresh:
            for left in folder.glob("part-*.root"):
                left.unlink()
            write_manifest(folder, wanted)
        return _go_on(run, options, folder, log, workers)


def remove_run(folder: Path) -> None:
    """Remove the files of a run of events, and the folder if nothing else is in it."""
    names = list(pieces(folder))
    for name in (*names, MANIFEST, LOG):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _parts_there(folder: Path) -> int | None:
    if not (folder / MANIFEST).exists():
        return None
    manifest = read_manifest(folder)
    return int(manifest.configuration["parts"]) if manifest.kind == "events" else None


def _parts(run: Run, options: Options, threads: int) -> int:
    """Number of parts that take some seconds each, from the time that a small one takes.

    There are some for each thread where the run is long enough.
    """
    least, most = PART_EVENTS
    run.make(0, min(run.events, 1), ALONE)
    with tempfile.TemporaryDirectory() as place:
        slices = max(1, run.slices * least // max(run.events, 1))
        pilot = replace(options, parts=max(1, run.slices // slices))
        made = make_part(run, pilot, 0, Path(place) / "part")
    shared = run.events / (PARTS_A_THREAD * max(threads, 1))
    events = max(min(made.piece.size / made.seconds * PART_SECONDS, shared, most), least)
    return max(1, min(round(run.events / events), run.slices))


def _is_fresh(folder: Path, wanted: Manifest, existing: Existing) -> bool:
    """Whether a run begins anew in a folder, which is made; refuses what may not be replaced."""
    try:
        if not make_folder(folder):
            return True
        refuse_another(folder, read_manifest(folder), wanted, "; --overwrite replaces it")
        complete = _complete(folder, int(wanted.configuration["parts"]))
    except OutputError:
        if existing == "replace" and folder.is_dir():
            return True
        raise
    if complete and existing == "refuse":
        raise OutputError(f"{folder}: holds this run, complete; --overwrite makes it anew")
    return complete and existing == "replace"


def _complete(folder: Path, parts: int) -> bool:
    """Whether all parts are there by the log."""
    done = pieces(folder)
    return len(done) == parts and all((folder / name).is_file() for name in done)


def _go_on(run: Run, options: Options, folder: Path, log: Log, workers: Workers) -> Counts:
    """Count the parts that are there, and make the others."""
    counts, todo = Counts(), []
    done = pieces(folder)
    for number in range(options.parts):
        wanted = part(run, options.parts, number)
        recorded, path = done.get(wanted.name), folder / wanted.name
        if recorded is not None and path.is_file() and checksum(path) == recorded.sha256:
            counts += Counts(recorded.generated)
            workers.progress(wanted.stop - wanted.start)
        else:
            todo.append(number)
    log.add("start", parts=options.parts, missing=len(todo), where=workers.name)
    try:
        for piece, about in _made(run, options, folder, todo, workers):
            log.piece(piece, **about)
            counts += Counts(piece.generated)
    except BaseException as error:
        with suppress(OutputError):
            log.add("stop", why=f"{type(error).__name__}: {error}")
        raise
    log.add("complete", parts=options.parts, events=run.events)
    return counts


def _made(
    run: Run, options: Options, folder: Path, todo: list[int], workers: Workers
) -> Iterator[tuple[Piece, dict[str, object]]]:
    """Make parts; yields each when it is whole, and what the log says of its making.

    Here they are made one by one, each on all threads; elsewhere each on a thread of its own.
    """
    if isinstance(workers, Here):
        for number in todo:
            path = folder / part(run, options.parts, number).name
            made = make_part(run, options, number, path, workers)
            yield made.piece, {"seconds": made.seconds}
    else:
        for piece, seconds, worker in _elsewhere(run, options, folder, todo, workers):
            workers.progress(piece.size)
            yield piece, {"seconds": seconds, "worker": worker}


def _elsewhere(
    run: Run, options: Options, folder: Path, todo: list[int], workers: Workers
) -> Iterator[tuple[Piece, float, str]]:
    """Have parts made in other processes, and give each its name when it is whole."""
    making = folder / MAKING
    shutil.rmtree(making, ignore_errors=True)
    token = secrets.token_hex(8)
    try:
        making.mkdir(exist_ok=True)
        (making / token).touch()
        work = PartWork(run, folder.resolve(), token, options)
        for _, made in workers.compute(work, todo, ordered=False, bulky=True):
            path = folder / made.result.piece.file
            if made.result.staged:
                (making / made.result.staged).replace(path)
            else:
                with replacing(path, overwrite=True) as temporary:
                    temporary.write_bytes(made.result.content)
            yield made.result.piece, made.seconds, made.worker
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
