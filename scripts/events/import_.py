"""`nuspill import`: a file of a detector's data acquisition as an ntuple."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..common import json_option, print_table, setting_option, write_json


@click.command("import")
@click.argument("file", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--from", "name", metavar="FORMAT", help="By default what the file looks like.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="ROOT file.")
@click.option(
    "--experiment",
    metavar="NAME|FILE.toml",
    help="Beam, windows, cuts and [daq]; by default what nuspill wrote into the file.",
)
@click.option(
    "--pulses",
    type=click.IntRange(1),
    help="Beam pulses of the data; by default as the file says, or up to the last event.",
)
@click.option("--repair", is_flag=True, help="Drop damaged records, and say how many.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@setting_option
@json_option
def command(
    file: Path,
    name: str | None,
    output: Path,
    experiment: str | None,
    pulses: int | None,
    repair: bool,
    overwrite: bool,
    settings: dict[str, Any],
    json_file: str | None,
) -> None:
    """Read a file of a DAQ, a reconstruction or a data release into an ntuple."""
    from ...reco.files import interruptible
    from ...reco.formats.shared.transfer import import_events

    with interruptible():
        told = import_events(
            file,
            output,
            name,
            experiment=experiment,
            settings=settings,
            pulses=pulses,
            repair=repair,
            overwrite=overwrite,
        )
    rows = [
        [label, sum(r["in_window"][w] for r in told["generated"]), selected]
        for w, label in ((1, "on"), (2, "off"), (0, "none"))
        for selected in [sum(r["selected"][w] for r in told["generated"])]
    ]
    quiet = json_file == "-"
    source = told["imported"]
    print_table(f"{source['format']}", ["window", "events", "selected"], rows, quiet)
    if not quiet:
        for what, number in source["dropped"].items():
            click.echo(f"dropped: {number} {what}")
        known = f"{told['pulses']} pulses, by {source['pulses_from']}"
        click.echo(f"\n{told['events']} events, {known}: {output}")
    keys = ("imported", "events", "pulses", "live_time_s", "generated")
    write_json(json_file, {"output": str(output)} | {key: told[key] for key in keys})
