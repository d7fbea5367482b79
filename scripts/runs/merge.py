"""`nuspill merge`: join the toys of separate runs, or the parts of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..common import confidence_level, json_option, plot_option, progress_bar, write_json
from ..statistics.toys import tell


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True,
    help="Folder of toys, or file of events.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a file of events that is there.")
@click.option("--cl", type=float, default=0.9, show_default=True, callback=confidence_level)
@click.option(
    "--ordering",
    type=click.Choice(["likelihood-ratio", "central", "upper"]),
    default="likelihood-ratio",
    show_default=True,
)
@json_option
@plot_option
def command(
    folders: tuple[Path, ...],
    output: Path,
    overwrite: bool,
    cl: float,
    ordering: Any,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Join folders of one configuration: toys to a folder, parts of events to one file.

    The result is that of one job.
    """
    from ...reco.runs.folder import read_manifest

    kind = read_manifest(folders[0]).kind
    if kind == "events":
        _events(folders, output, overwrite, json_file)
        return
    if kind == "coverage":
        raise click.UsageError(f"{folders[0]}: holds coverage; join its toys by nuspill resume")
    from ...toys.construction.region import region
    from ...toys.records.record import merge
    from ...toys.records.restore import restore

    record = merge(folders, output)
    construction = restore(record)
    found = region(construction, record.by_point(len(construction.points)), cl, ordering)
    tell(construction, output, found, json_file, plot_file)


def _events(
    folders: tuple[Path, ...], output: Path, overwrite: bool, json_file: str | None
) -> None:
    from ...reco.files import interruptible
    from ...reco.runs.folder import read_manifest
    from ...reco.runs.verify import join_parts

    total = int(read_manifest(folders[0]).request["events"])
    with interruptible(), progress_bar(total, "events") as advance:
        counts = join_parts(folders, output, overwrite, advance)
    size = output.stat().st_size
    if json_file != "-":
        click.echo(f"{total} events, {size / 1e6:.1f} MB: {output}")
    content = {"output": str(output), "events": total, "bytes": size, "counts": counts.table()}
    write_json(json_file, content)
