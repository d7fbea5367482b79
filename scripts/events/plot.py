"""`nuspill plot`: one figure of an ntuple."""

from __future__ import annotations

from pathlib import Path

import click

from ..options.output import Output, json_option
from ..output import warn_of_missing


@click.command()
@click.argument("ntuple", metavar="OUT.root|FOLDER", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "figure",
    required=True,
    type=click.Path(path_type=Path),
    help="Figure: .pdf, .png or .svg.",
)
@json_option
@click.option("--overwrite", is_flag=True, help="Replace a figure that is there.")
def command(ntuple: Path, figure: Path, output: Output, overwrite: bool) -> None:
    """Plot an ntuple: spectra, beam-on minus beam-off, time in the pulse, neutrino energies.

    Only selected events are drawn. The JSON holds every histogram with its edges, the counts
    beside the expected ones, and the χ² on the figure.
    """
    from ...reco.comparison.plot import plot

    numbers = plot(ntuple, figure, overwrite)
    warn_of_missing(ntuple, numbers.missing)
    rows = [
        [row.name, row.on, row.expected_on, row.off, row.expected_off] for row in numbers.counts
    ]
    title = f"{numbers.experiment}: selected events"
    columns = ["component", "beam-on", "expected", "beam-off", "expected"]
    output.table(title, columns, rows)
    output.text(f"\n{figure}")
    output.json(numbers.as_json())
