"""`nuspill export`: an ntuple in the format of a detector's data acquisition."""

from __future__ import annotations

from pathlib import Path

import click

from ..options.loading import Loading, setting_option
from ..options.output import Output, json_option


def _stretch(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[int, int] | None:
    if value is None:
        return None
    first, _, stop = value.partition(":")
    if not (first.isascii() and first.isdigit() and stop.isascii() and stop.isdigit()):
        raise click.BadParameter(f"'{value[:80]}' is not FIRST:STOP, e.g. 0:1000000")
    return int(first), int(stop)


@click.command()
@click.argument("events", metavar="EVENTS.root|FOLDER", type=click.Path(path_type=Path))
@click.option("--to", "name", required=True, metavar="FORMAT", help="See nuspill formats.")
@click.option("-o", "--output", "file", required=True, type=click.Path(path_type=Path))
@click.option(
    "--pulses",
    metavar="FIRST:STOP",
    callback=_stretch,
    help="Only this stretch of beam pulses; the clock starts with it.",
)
@click.option("--all", "everything", is_flag=True, help="Also events that are not selected.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@setting_option
@json_option
def command(
    events: Path,
    name: str,
    file: Path,
    pulses: tuple[int, int] | None,
    everything: bool,
    overwrite: bool,
    loading: Loading,
    output: Output,
) -> None:
    """Write the selected events of an ntuple in a DAQ's format.

    Run start, gain and channels are in the section [daq] of the experiment in the ntuple; --set
    daq.gain=0.01 changes them.
    """
    from ...reco.files import interruptible
    from ...reco.formats.shared.transfer import export_events

    with interruptible():
        number = export_events(
            events,
            name,
            file,
            settings=loading.settings,
            pulses=pulses,
            selected_only=not everything,
            overwrite=overwrite,
        )
    output.text(f"{number} events: {file}")
    output.json({"format": name, "output": str(file), "events": number})
