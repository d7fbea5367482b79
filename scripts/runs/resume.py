"""`nuspill resume`: go on with a run from its folder alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options.computing import Computing, computing_options, interrupted_keeps
from ..options.output import Output, output_options
from ..output import progress_bar

if TYPE_CHECKING:
    from ...toys.records.record import Record


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@computing_options
@output_options
def command(folder: Path, computing: Computing, output: Output) -> None:
    """Make what is missing or damaged of a run of events, toys or coverage, here or on a cluster.

    The folder knows all else: what was asked for, and what is done.
    """
    from ...reco.runs.folder import read_manifest

    kind = read_manifest(folder).kind
    if kind == "events":
        if output.plot_file is not None:
            raise click.BadParameter("is for toys and coverage", param_hint="--plot")
        _events(folder, computing, output)
        return
    from ...toys.records.record import load_record

    (_coverage if kind == "coverage" else _toys)(load_record(folder), computing, output)


def _coverage(record: Record, computing: Computing, output: Output) -> None:
    from ...toys.coverage import restore_study
    from ..statistics.coverage import throw

    study = restore_study(record)
    _drop(record.folder)
    throw(study, record.folder, True, computing, output)


def _toys(record: Record, computing: Computing, output: Output) -> None:
    from ...toys.records.restore import restore
    from ..statistics.toys import Request, throw

    construction = restore(record)
    try:
        request = Request(**record.manifest.request)
    except TypeError:
        raise click.UsageError(
            f"{record.folder}: does not say which toys are wanted; call nuspill toys --resume"
        ) from None
    _drop(record.folder)
    throw(construction, lambda: record, request, computing, output)


def _drop(folder: Path) -> None:
    """Remove damaged files, whose toys are made again."""
    from ...reco.runs.verify import wrong_files

    for name in list(wrong_files(folder)):
        (folder / name).unlink(missing_ok=True)


def _events(folder: Path, computing: Computing, output: Output) -> None:
    from ...reco.runs.layout import restore_run
    from ...reco.runs.parts import write_parts
    from ..events.generate import tell

    begin = time.perf_counter()
    run, options = restore_run(folder)
    with (
        interrupted_keeps(folder),
        computing.opened() as workers,
        progress_bar(run.events, "events") as advance,
    ):
        counts = write_parts(
            run, folder, options.parts, format=options.format, compression=options.compression,
            selected_only=options.selected_only, existing="keep",
            workers=workers.reporting(advance),
        )  # fmt: skip
    tell(run, counts, folder, time.perf_counter() - begin, output)
