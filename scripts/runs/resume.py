"""`nuspill resume`: go on with a run from its folder alone."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..common import cluster_option, json_option, plot_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one a core.")
@cluster_option
@json_option
@plot_option
def command(
    folder: Path,
    threads: int | None,
    cluster: str | None,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Make what is missing or damaged of a run of events, toys or coverage, here or on a cluster.

    The folder knows all else: what was asked for, and what is done.
    """
    from ...reco.runs.folder import read_manifest

    manifest = read_manifest(folder)
    if manifest.kind == "events":
        if plot_file is not None:
            raise click.BadParameter("is for toys and coverage", param_hint="--plot")
        _events(folder, threads, cluster, json_file)
        return
    from ...toys.records.record import load_record
    from ...toys.records.restore import restore

    record = load_record(folder)
    if manifest.kind == "coverage":
        from ...toys.coverage import restore_wanted
        from ..statistics.coverage import throw

        wanted = restore_wanted(record)
        _drop(folder)
        throw(wanted, folder, True, threads, cluster, json_file, plot_file)
        return
    from ..statistics.toys import Request
    from ..statistics.toys import throw as throw_toys

    construction = restore(record)
    try:
        request = Request(**manifest.request)
    except TypeError:
        raise click.UsageError(
            f"{folder}: does not say which toys are wanted; call nuspill toys --resume"
        ) from None
    _drop(folder)
    throw_toys(construction, lambda: record, request, threads, cluster, json_file, plot_file)


def _drop(folder: Path) -> None:
    """Remove damaged files, whose toys are made again."""
    from ...reco.runs.verify import wrong_files

    for name in list(wrong_files(folder)):
        (folder / name).unlink(missing_ok=True)


def _events(folder: Path, threads: int | None, cluster: str | None, json_file: str | None) -> None:
    from ...reco.runs.layout import restore_run
    from ...reco.runs.parts import write_parts
    from ..common import interrupted_keeps, opened, progress_bar
    from ..events.generate import tell

    begin = time.perf_counter()
    run, options = restore_run(folder)
    with (
        interrupted_keeps(folder),
        opened(cluster) as on,
        progress_bar(run.events, "events") as advance,
    ):
        counts = write_parts(
            run,
            folder,
            options.parts,
            format=options.format,
            compression=options.compression,
            selected_only=options.selected_only,
            again=True,
            threads=threads,
            progress=advance,
            cluster=on,
        )
    tell(run, counts, folder, time.perf_counter() - begin, json_file)
