"""`nuspill import`: a file of a detector's data acquisition as an ntuple."""

from __future__ import annotations

from pathlib import Path

import click

from ..options.loading import Loading, setting_option
from ..options.output import Output, json_option


@click.command("import")
@click.argument("file", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--from", "name", metavar="FORMAT", help="By default what the file looks like.")
@click.option(
    "-o", "--output", "ntuple", required=True, type=click.Path(path_type=Path), help="ROOT file."
)
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
    ntuple: Path,
    experiment: str | None,
    pulses: int | None,
    repair: bool,
    overwrite: bool,
    loading: Loading,
    output: Output,
) -> None:
    """Read a file of a DAQ, a reconstruction or a data release into an ntuple."""
    from ...reco.files import interruptible
    from ...reco.formats.shared.transfer import import_events

    with interruptible():
        about = import_events(
            file,
            ntuple,
            name,
            experiment=experiment,
            settings=loading.settings,
            pulses=pulses,
            repair=repair,
            overwrite=overwrite,
        )
    made, source = about["generated"], about["imported"]
    rows = [
        [label, sum(row["in_window"][w] for row in made), sum(row["selected"][w] for row in made)]
        for w, label in ((1, "on"), (2, "off"), (0, "none"))
    ]
    output.table(f"{source['format']}", ["window", "events", "selected"], rows)
    for what, number in source["dropped"].items():
        output.text(f"dropped: {number} {what}")
    known = f"{about['pulses']} pulses, by {source['pulses_from']}"
    output.text(f"\n{about['events']} events, {known}: {ntuple}")
    output.json(
        {
            "output": str(ntuple),
            "imported": source,
            "events": about["events"],
            "pulses": about["pulses"],
            "live_time_s": about["live_time_s"],
            "generated": about["generated"],
        }
    )
