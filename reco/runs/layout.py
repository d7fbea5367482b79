"""A run of events cut into parts: what decides them, each made in any process, and from a folder.

A part is a ROOT file of consecutive slices. Workers of a cluster write theirs to `.making/` in the
folder where they see it, and send it back where not.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from ...generator.coupling import Interaction
from ...generator.sampling.names import STREAMS
from ..cluster.workers import ALONE, Here
from ..errors import OutputError
from ..experiment import validate
from .folder import MANIFEST, Manifest, Piece, checksum, read_manifest, refuse_another
from .ntuple import write
from .run import Extent, Run
from .tree import Format

MAKING = ".making"
"""Folder of parts that are not whole."""


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
    extent: Extent

    @property
    def start(self) -> int:
        """Number of the first event."""
        return self.extent.start

    @property
    def stop(self) -> int:
        """Number of the event after the last."""
        return self.extent.stop

    @property
    def name(self) -> str:
        """File name."""
        return f"part-{self.number:05d}.root"


def part(run: Run, parts: int, number: int) -> Part:
    """One of a number of parts of equal numbers of slices."""
    first, stop = (run.slices * i // parts for i in (number, number + 1))
    return Part(number, run.extent_of_slices(first, stop))


def manifest_of(run: Run, options: Options) -> Manifest:
    """What decides the content of a run's files, and what is beside it."""
    experiment = run.experiment.model_dump(mode="json")
    analysis = experiment.pop("analysis")
    configuration = {
        "version": version("nuspill"),
        "streams": STREAMS,
        "seed": run.seed,
        "pulses": run.pulses,
        "fixed_signal": run.fixed_signal,
        "place": run.place,
        "weights": {name: model.model_dump(mode="json") for name, model in run.models.items()},
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
        self.run.make(0, min(self.run.events, 1), ALONE)
        _ = self.run.expected

    def __getstate__(self) -> dict[str, object]:
        """State without what is long and fast to count again."""
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
    workers: Here = ALONE,
) -> MadePart:
    """Write a part to a file of any name."""
    start = time.perf_counter()
    wanted = part(run, options.parts, number)
    counts = write(
        run,
        path,
        events=wanted.extent,
        format=options.format,
        compression=options.compression,
        selected_only=options.selected_only,
        overwrite=True,
        workers=workers,
    )
    seconds = time.perf_counter() - start
    size = wanted.stop - wanted.start
    piece = Piece(wanted.name, checksum(path), wanted.start, size, counts.table())
    return MadePart(piece, seconds, path.name, b"")
