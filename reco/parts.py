"""Long runs of events: a folder of numbered parts, made here or on a cluster, resumed and verified.

A part is a ROOT file of consecutive slices. The process that works on the folder takes each part
into the log when it is whole. Workers of a cluster write theirs to `.making/` in the folder where
they see it, and send it back where not; the part gets its name from the one process that collects
them, so that what a worker that was given up still writes is never taken.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..generator.coupling import Interaction
from ..generator.form_factor import MODELS
from .errors import OutputError
from .experiment import validate
from .folder import (
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
from .ntuple import Counts, Format, Progress, replacing, write
from .run import Run

if TYPE_CHECKING:
    from .executor import Cluster

MAKING = ".making"
"""Folder of parts that are not whole."""
PART_SECONDS = 3.0
"""Aim of a part on a cluster, of a thread."""
PART_EVENTS = 200_000, 8_000_000
"""Least and most events of such a part."""
PARTS_A_THREAD = 4


@dataclass(frozen=True)
class Options:
    """How the events of a run are written in parts."""

    parts: int
    format: Format = "ttree"
    compression: str = "zstd"
    selected_only: bool = False


class Part(NamedTuple):
    """Range of events of a part."""

    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """File name."""
        return f"part-{self.number:05d}.root"


def part(run: Run, parts: int, number: int) -> Part:
    """One of a number of parts of equal numbers of slices."""
    edges = (run.slices * i // parts for i in (number, number + 1))
    return Part(number, *(int(run.offsets[edge]) for edge in edges))


def manifest_of(run: Run, options: Options) -> Manifest:
    """What decides the content of a run's files, and what is beside it."""
    tables = {
        model.form_factor: checksum(Path(model.form_factor))
        for model in (run.experiment.interaction, *run.models.values())
        if model.form_factor not in MODELS
    }
    experiment = run.experiment.model_dump(mode="json")
    analysis = experiment.pop("analysis")
    configuration = {
        "version": version("nuspill"),
        "seed": run.seed,
        "pulses": run.pulses,
        "fixed_signal": run.fixed_signal,
        "place": run.place,
        "weights": {name: model.model_dump(mode="json") for name, model in run.models.items()},
        "tables": tables,
        **asdict(options),
        "experiment": experiment,
    }
    return Manifest("events", configuration, {"analysis": analysis, "events": run.events})


def restore_run(folder: Path) -> tuple[Run, Options]:
    """The run and options that a folder's parts are of.

    Raises
    ------
    OutputError
        If it holds no run of events, or one that this version would not make.
    """
    manifest = read_manifest(folder)
    if manifest.kind != "events":
        raise OutputError(f"{folder}: holds {manifest.kind}, not events")
    c = manifest.configuration
    origin = str(folder / MANIFEST)
    try:
        experiment = validate({**c["experiment"], "analysis": manifest.request["analysis"]}, origin)
        models = {n: Interaction.model_validate(m, strict=False) for n, m in c["weights"].items()}
        run = Run(experiment, c["seed"], c["pulses"], c["fixed_signal"], c["place"], models)
        options = Options(c["parts"], c["format"], c["compression"], c["selected_only"])
    except KeyError as error:
        raise OutputError(f"{origin}: {error} is missing") from error
    refuse_another(folder, manifest, manifest_of(run, options))
    return run, options


@dataclass(frozen=True)
class MadePart:
    """A part as a worker leaves it: a file in the folder, or its bytes where it sees none."""

    piece: Piece
    seconds: float
    staged: str
    content: bytes


@dataclass(frozen=True, eq=False)
class PartWork:
    """Parts of a run, to be made in any process."""

    run: Run
    folder: Path
    token: str
    """A file of this name in `.making/` shows that it is the folder meant."""
    options: Options

    def warm(self) -> None:
        """Compile; count the events of all slices."""
        self.run.make(0, min(self.run.events, 1), threads=1)
        _ = self.run.expected

    def __getstate__(self) -> dict[str, Any]:
        """Without what is long and fast to count again."""
        run = self.run.with_seed(self.run.seed)
        run.__dict__["expected"] = self.run.expected
        return self.__dict__ | {"run": run}

    def make(self, number: int) -> MadePart:
        """Make a part."""
        making = self.folder / MAKING
        if (making / self.token).exists():
            return make_part(self.run, self.options, number, making / secrets.token_hex(8))
        with tempfile.TemporaryDirectory() as place:
            made = make_part(self.run, self.options, number, Path(place) / "part")
            return replace(made, content=(Path(place) / "part").read_bytes(), staged="")


def make_part(
    run: Run,
    options: Options,
    number: int,
    path: Path,
    threads: int | None = 1,
    progress: Progress | None = None,
) -> MadePart:
    """Write a part to a file of any name."""
    start = time.perf_counter()
    mine = part(run, options.parts, number)
    counts = write(
        run,
        path,
        start=mine.start,
        stop=mine.stop,
        format=options.format,
        compression=options.compression,
        selected_only=options.selected_only,
        overwrite=True,
        threads=threads,
        progress=progress,
    )
    seconds = time.perf_counter() - start
    size = mine.stop - mine.start
    piece = Piece(mine.name, checksum(path), mine.start, size, counts.table())
    return MadePart(piece, seconds, path.name, b"")


def write_parts(
    run: Run,
    folder: str | Path,
    parts: int | None,
    *,
    format: Format = "ttree",
    compression: str = "zstd",
    selected_only: bool = False,
    overwrite: bool = False,
    again: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> Counts:
    """Write a run as numbered parts in a folder, going on from the parts that are there.

    Parameters
    ----------
    run, format, compression, selected_only, threads, progress
        As for `write`.
    folder
        Made if missing. It holds the parts, `manifest.json` and `log.jsonl`.
    parts
        Number of parts, of equal numbers of slices. If none is given as many as the folder's run
        has, or so many that each takes some seconds.
    overwrite
        Begin anew if the folder holds a finished run or another one.
    again
        If the folder holds this run, finished, count it.
    cluster
        Make the parts on its workers.

    Returns
    -------
    Counts
        Of all parts. The parts, in order of time, are together the single file, event by event.

    Raises
    ------
    OutputError
        If the folder holds something else, or cannot be written.
    """
    if parts is not None and parts < 1:
        raise ValueError(f"parts must be at least 1, not {parts}")
    folder = Path(folder)
    options = Options(parts or 1, format, compression, selected_only)
    if parts is None:
        there = _parts_there(folder, overwrite)
        threads_there = cluster.threads() if cluster is not None else 1
        options = replace(options, parts=there or _parts(run, options, threads_there))
    wanted = manifest_of(run, options)
    fresh = _is_fresh(folder, wanted, overwrite, again)
    with open_log(folder, fresh) as log:
        if fresh:
            for left in folder.glob("part-*.root"):
                left.unlink()
            write_manifest(folder, wanted)
        return _go_on(run, options, folder, log, threads, progress, cluster)


def _parts_there(folder: Path, overwrite: bool) -> int | None:
    if overwrite or not (folder / MANIFEST).exists():
        return None
    there = read_manifest(folder)
    return int(there.configuration["parts"]) if there.kind == "events" else None


def _parts(run: Run, options: Options, threads: int) -> int:
    """Number of parts that take some seconds each, from the time that a small one takes.

    There are some for each thread where the run is long enough.
    """
    least, most = PART_EVENTS
    run.make(0, min(run.events, 1), threads=1)
    with tempfile.TemporaryDirectory() as place:
        slices = max(1, run.slices * least // max(run.events, 1))
        pilot = replace(options, parts=max(1, run.slices // slices))
        made = make_part(run, pilot, 0, Path(place) / "part")
    shared = run.events / (PARTS_A_THREAD * max(threads, 1))
    events = max(min(made.piece.size / made.seconds * PART_SECONDS, shared, most), least)
    return max(1, min(round(run.events / events), run.slices))


def _is_fresh(folder: Path, wanted: Manifest, overwrite: bool, again: bool) -> bool:
    """Whether a run begins anew in a folder, which is made; refuses what may not be replaced."""
    try:
        if not make_folder(folder):
            return True
        refuse_another(folder, read_manifest(folder), wanted, "; --overwrite replaces it")
        complete = _complete(folder, int(wanted.configuration["parts"]))
    except OutputError:
        if overwrite and folder.is_dir():
            return True
        raise
    if complete and not overwrite and not again:
        raise OutputError(f"{folder}: holds this run, complete; --overwrite makes it anew")
    return complete and not again


def _complete(folder: Path, parts: int) -> bool:
    """Whether all parts are there by the log."""
    done = pieces(folder)
    return len(done) == parts and all((folder / name).is_file() for name in done)


def _go_on(
    run: Run,
    options: Options,
    folder: Path,
    log: Log,
    threads: int | None,
    progress: Progress | None,
    cluster: Cluster | None,
) -> Counts:
    counts, todo = Counts(), []
    done = pieces(folder)
    for number in range(options.parts):
        mine = part(run, options.parts, number)
        there, path = done.get(mine.name), folder / mine.name
        if there is not None and path.is_file() and checksum(path) == there.sha256:
            counts += Counts(there.generated)
            if progress is not None:
                progress(mine.stop - mine.start)
        else:
            todo.append(number)
    where = "here" if cluster is None else cluster.name
    log.add("start", parts=options.parts, missing=len(todo), where=where)
    try:
        if cluster is None:
            for number in todo:
                path = folder / part(run, options.parts, number).name
                made = make_part(run, options, number, path, threads, progress)
                log.piece(made.piece, seconds=made.seconds)
                counts += Counts(made.piece.generated)
        else:
            for piece, seconds, worker in _on_cluster(run, options, folder, todo, cluster):
                log.piece(piece, seconds=seconds, worker=worker)
                counts += Counts(piece.generated)
                if progress is not None:
                    progress(piece.size)
    except BaseException as error:
        with suppress(OutputError):
            log.add("stop", why=f"{type(error).__name__}: {error}")
        raise
    log.add("complete", parts=options.parts, events=run.events)
    return counts


def _on_cluster(
    run: Run, options: Options, folder: Path, todo: list[int], cluster: Cluster
) -> Iterator[tuple[Piece, float, str]]:
    """Have parts made by workers, and give each its name when it is whole."""
    making = folder / MAKING
    shutil.rmtree(making, ignore_errors=True)
    token = secrets.token_hex(8)
    try:
        making.mkdir(exist_ok=True)
        (making / token).touch()
        work = PartWork(run, folder.resolve(), token, options)
        for _, made in cluster.compute(work, todo, ordered=False, bulky=True):
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
