"""`nuspill import`: a file of a detector's data acquisition as an ntuple."""

from __future__ import annotations

from pathlib import Path

import click

from ..options.loading import Loading, setting_option
from ..options.output import Output, check_suffix, json_option


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
    check_suffix(ntuple, ".root")
    from ...reco.files import interruptible
    from ...reco.formats.shared.transfer import import_events

    with interruptible():
        provenance = import_events(
            file,
            ntuple,
            name,
            experiment=experiment,
            settings=loading.settings,
            pulses=pulses,
            repair=repair,
            overwrite=overwrite,
        )
    generated, imported = provenance["generated"], provenance["imported"]
    rows = [
        [
            label,
            sum(row["in_window"][w] for row in generated),
            sum(row["selected"][w] for row in generated),
        ]
        for w, label in ((1, "on"), (2, "off"), (0, "none"))
    ]
    output.table(f"{imported['format']}", ["window", "events", "selected"], rows)
    for what, number in imported["dropped"].items():
        output.text(f"dropped: {number} {what}")
    known = f"{provenance['pulses']} pulses, by {imported['pulses_from']}"
    output.text(f"\n{provenance['events']} events, {known}: {ntuple}")
    output.json(
        {
            "output": str(ntuple),
            "imported": imported,
            "events": provenance["events"],
            "pulses": provenance["pulses"],
            "live_time_s": provenance["live_time_s"],
            "generated": provenance["generated"],
        }
    )
