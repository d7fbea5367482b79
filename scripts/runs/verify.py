"""`nuspill verify`: whether a folder holds what its run is."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import click

from ...reco.errors import OutputError
from ..common import json_option, progress_bar, write_json

SHOWN = 5
"""Wrong blocks in a message."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--share", type=click.FloatRange(0, 1), default=0.01, show_default=True,
    help="Part of the blocks that is made again and compared bit for bit; at least one if above 0.",
)  # fmt: skip
@click.option("--seed", type=int, help="Of the choice of blocks; by default another every time.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one a core.")
@json_option
def command(
    folder: Path, share: float, seed: int | None, threads: int | None, json_file: str | None
) -> None:
    """Compare all files with their checksums, and make some blocks again.

    Files that are wrong are named, with exit status 2; `nuspill resume` makes them again.
    """
    from ...reco.runs.folder import pieces, read_manifest
    from ...reco.runs.verify import wrong_files

    manifest = read_manifest(folder)
    choice = random.Random(seed)
    wrong = list(wrong_files(folder))
    files = len(pieces(folder))
    found = (_events if manifest.kind == "events" else _toys)(folder, wrong, share, choice, threads)
    again, differ = found
    content = {
        "folder": str(folder),
        "kind": manifest.kind,
        "files": files,
        "wrong_checksum": wrong,
        "made_again": again,
        "differ": differ,
    }
    write_json(json_file, content)
    bad = [f"{name} (checksum)" for name in wrong] + [f"{name} (content)" for name in differ]
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise OutputError(
            f"{folder}: wrong are {', '.join(bad[:SHOWN])}{more}; nuspill resume makes them again "
            "where the checksum shows it"
        )
    parts = manifest.configuration["parts"] if manifest.kind == "events" else files
    if files < parts:
        raise OutputError(
            f"{folder}: {parts - files} of {parts} parts are missing; nuspill resume makes them"
        )
    if json_file != "-":
        click.echo(f"{folder}: {files} files as written; {again} blocks made again, all the same")


def _chosen(blocks: list[Any], share: float, choice: random.Random) -> list[Any]:
    return sorted(choice.sample(blocks, math.ceil(share * len(blocks))))


def _events(
    folder: Path, wrong: list[str], share: float, choice: random.Random, threads: int | None
) -> tuple[int, list[str]]:
    from ...reco.runs.folder import pieces
    from ...reco.runs.layout import part, restore_run
    from ...reco.runs.verify import part_is_right

    run, options = restore_run(folder)
    names = {part(run, options.parts, number).name: number for number in range(options.parts)}
    there = [names[name] for name in pieces(folder) if name not in wrong]
    differ = []
    chosen = _chosen(there, share, choice)
    with progress_bar(len(chosen), "parts") as advance:
        for number in chosen:
            if not part_is_right(run, options, folder, number, threads):
                differ.append(part(run, options.parts, number).name)
            advance(1)
    return len(chosen), differ


def _toys(
    folder: Path, wrong: list[str], share: float, choice: random.Random, threads: int | None
) -> tuple[int, list[str]]:
    from ...toys.records.distribute import Thrower, throw_tasks
    from ...toys.records.record import load_record, read_file
    from ...toys.records.restore import restore

    record = load_record(folder)
    thrower: Thrower
    if record.manifest.kind == "coverage":
        from ...toys.coverage import restore_wanted

        thrower = restore_wanted(record).trials()
    else:
        thrower = restore(record)
    files = [path for path in record.files() if path.name not in wrong]
    where = {task: path for path in files for task, _ in read_file(path)}
    chosen = _chosen(list(where), share, choice)
    differ = []
    with progress_bar(len(chosen), "tasks") as advance:
        for task, made in throw_tasks(thrower, chosen, threads):
            kept = dict(read_file(where[task]))[task]
            if kept.value.tobytes() != made.value.tobytes() or kept.failed != made.failed:
                differ.append(where[task].name)
            advance(1)
    return len(chosen), list(dict.fromkeys(differ))
