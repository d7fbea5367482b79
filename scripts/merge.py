"""`nuspill merge`: join the toys of separate runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .common import confidence_level, json_option, plot_option, write_json
from .toys import report


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
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
    cl: float,
    ordering: Any,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Join folders of toys of one configuration; the result is that of one job."""
    from ..toys.record import merge, restore
    from ..toys.region import region

    record = merge(folders, output)
    construction = restore(record)
    found = region(construction, record.by_point(len(construction.points)), cl, ordering)
    names = [e["name"] for e in record.config["experiments"]]
    content = found.describe() | {"experiments": names}
    report(found, content, " + ".join(names), json_file)
    write_json(str(output / "region.json"), content)
    if plot_file is not None:
        from ..toys.plot import plot_region

        plot_region(found, plot_file)
