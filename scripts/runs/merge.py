"""`nuspill merge`: join the toys of separate runs, or the parts of events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options.output import Output, check_suffix, output_options
from ..options.statistics import confidence_level
from ..output import progress_bar

if TYPE_CHECKING:
    from ...toys.construction.belt import Ordering


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "joined", type=click.Path(path_type=Path), required=True,
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
@output_options
def command(
    folders: tuple[Path, ...],
    joined: Path,
    overwrite: bool,
    cl: float,
    ordering: Ordering,
    output: Output,
) -> None:
    """Join folders of one configuration: toys to a folder, parts of events to one file.

    The result is that of one job.
    """
    from ...reco.runs.folder import read_manifest

    kind = read_manifest(folders[0]).kind
    if kind == "events":
        _join_events(folders, joined, overwrite, output)
    elif kind == "toys":
        _join_toys(folders, joined, cl, ordering, output)
    else:
        raise click.UsageError(f"{folders[0]}: holds coverage; join its toys by nuspill resume")


def _join_toys(
    folders: tuple[Path, ...], joined: Path, cl: float, ordering: Ordering, output: Output
) -> None:
    from ...toys.records.record import merge
    from ...toys.records.refine import refined_region
    from ...toys.records.restore import restore
    from ..statistics.toys import tell

    record = merge(folders, joined)
    construction = restore(record)
    tell(construction, joined, refined_region(construction, record, cl, ordering), output)


def _join_events(folders: tuple[Path, ...], joined: Path, overwrite: bool, output: Output) -> None:
    check_suffix(joined, ".root")
    from ...reco.files import interruptible
    from ...reco.runs.folder import read_manifest
    from ...reco.runs.verify import join_parts

    total = int(read_manifest(folders[0]).request["events"])
    with interruptible(), progress_bar(total, "events") as advance:
        counts = join_parts(folders, joined, overwrite, advance)
    size = joined.stat().st_size
    output.text(f"{total} events, {size / 1e6:.1f} MB: {joined}")
    content = {"output": str(joined), "events": total, "bytes": size, "counts": counts.table()}
    output.json(content)
