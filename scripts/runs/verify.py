"""`nuspill verify`: whether a folder holds what its run is."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ...reco.errors import OutputError
from ..options.computing import Computing, threads_option
from ..options.group import group_options, option
from ..options.output import Output, json_option
from ..output import progress_bar

if TYPE_CHECKING:
    from ...reco.cluster.workers import Here
    from ...toys.records.distribute import Thrower
    from ...toys.records.record import Record

SHOWN = 5
"""Greatest number of wrong blocks that a message names."""

T = TypeVar("T", int, tuple[int, int, int])


@dataclass(frozen=True)
class Choice:
    """Which blocks are made again."""

    share: float = option(
        "--share", type=click.FloatRange(0, 1), default=0.01, show_default=True,
        help="Part of the blocks that is made again and compared bit for bit; at least one if "
        "above 0.",
    )  # fmt: skip
    seed: int | None = option(
        "--seed", type=int, help="Of the choice of blocks; by default another every time."
    )

    def of(self, blocks: list[T]) -> list[T]:
        """A random part of the blocks, in their order."""
        number = math.ceil(self.share * len(blocks))
        return sorted(random.Random(self.seed).sample(blocks, number))


@dataclass(frozen=True)
class Verified:
    """Result of the verification of a folder."""

    folder: str
    kind: str
    files: int
    wrong_checksum: list[str]
    made_again: int
    differ: list[str]
    strays: list[str]
    """Parts that are none of the run, though in its folder."""

    def refuse(self, parts: int) -> None:
        """Refuse files that are wrong, or fewer than a number of parts."""
        bad = [f"{name} (checksum)" for name in self.wrong_checksum]
        bad += [f"{name} (content)" for name in self.differ]
        if bad:
            more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
            raise OutputError(
                f"{self.folder}: wrong are {', '.join(bad[:SHOWN])}{more}; nuspill resume makes "
                "them again where the checksum shows it"
            )
        if self.strays:
            raise OutputError(
                f"{self.folder}: {', '.join(self.strays[:SHOWN])} is no part of its run, and would "
                "be read with it; move it elsewhere"
            )
        if self.files < parts:
            raise OutputError(
                f"{self.folder}: {parts - self.files} of {parts} parts are missing; "
                "nuspill resume makes them"
            )


@click.command()
@click.argument("folder", metavar="FOLDER|OUT.root", type=click.Path(path_type=Path))
@group_options(Choice)
@threads_option
@json_option
def command(folder: Path, choice: Choice, computing: Computing, output: Output) -> None:
    """Compare all files with their checksums, and make some blocks again.

    Files that are wrong are named, with exit status 2; `nuspill resume` makes them again. Of
    ntuples without a manifest the rows are compared with their provenance, and all of it must be
    there.
    """
    from ...reco.runs.folder import MANIFEST, pieces, read_manifest
    from ...reco.runs.reading import is_ntuple
    from ...reco.runs.verify import strays, wrong_files

    if not (folder / MANIFEST).exists() and is_ntuple(folder):
        _ntuple(folder, output)
        return
    manifest = read_manifest(folder)
    wrong = list(wrong_files(folder))
    files = len(pieces(folder))
    make_again = _events if manifest.kind == "events" else _toys
    again, differ = make_again(folder, wrong, choice, computing.here)
    others = strays(folder) if manifest.kind == "events" else []
    verified = Verified(str(folder), manifest.kind, files, wrong, again, differ, others)
    output.json(asdict(verified))
    verified.refuse(manifest.configuration["parts"] if manifest.kind == "events" else files)
    output.text(f"{folder}: {files} files as written; {again} blocks made again, all the same")


def _ntuple(path: Path, output: Output) -> None:
    """Read all rows of an ntuple, which must be whole."""
    from ...reco.runs.reading import reading

    ntuple = reading(path)
    events = sum(len(block["event"]) for block in ntuple.blocks(["event"]))
    names = [run.name for run in ntuple.runs]
    output.json(
        {
            "path": str(path),
            "events": events,
            "runs": names,
            "pulses": ntuple.pulses,
            "years": ntuple.years,
            "protons_on_target": ntuple.protons,
            "missing": list(ntuple.missing),
        }
    )
    if ntuple.missing:
        raise OutputError(f"{path}: not there: {'; '.join(ntuple.missing)}")
    output.text(
        f"{path}: {events} events of {', '.join(names)}, {ntuple.years:.6g} years of operation, "
        "as the provenance tells"
    )


def _events(folder: Path, wrong: list[str], choice: Choice, workers: Here) -> tuple[int, list[str]]:
    from ...reco.runs.folder import pieces
    from ...reco.runs.layout import part, restore_run
    from ...reco.runs.verify import part_is_right

    run, options = restore_run(folder)
    names = {part(run, options.parts, number).name: number for number in range(options.parts)}
    intact = [names[name] for name in pieces(folder) if name not in wrong]
    differ = []
    chosen = choice.of(intact)
    with progress_bar(len(chosen), "parts") as advance:
        for number in chosen:
            if not part_is_right(run, options, folder, number, workers):
                differ.append(part(run, options.parts, number).name)
            advance(1)
    return len(chosen), differ


def _toys(folder: Path, wrong: list[str], choice: Choice, workers: Here) -> tuple[int, list[str]]:
    from ...toys.records.distribute import throw_tasks
    from ...toys.records.record import load_record, read_file

    record = load_record(folder)
    thrower = _thrower(record)
    files = [path for path in record.files() if path.name not in wrong]
    where = {task: path for path in files for task, _ in read_file(path)}
    chosen = choice.of(list(where))
    differ = []
    with progress_bar(len(chosen), "tasks") as advance:
        for task, made in throw_tasks(thrower, chosen, workers):
            kept = dict(read_file(where[task]))[task]
            if kept.value.tobytes() != made.value.tobytes() or kept.failed != made.failed:
                differ.append(where[task].name)
            advance(1)
    return len(chosen), list(dict.fromkeys(differ))


def _thrower(record: Record) -> Thrower:
    """What makes the toys of a record."""
    if record.manifest.kind == "coverage":
        from ...toys.coverage import restore_study

        return restore_study(record).trials
    from ...toys.records.restore import restore

    return restore(record)
