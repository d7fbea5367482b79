"""`nuspill export-workspace`: the signal strength of experiments for pyhf."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ...reco.errors import OutputError
from ..common import experiments_argument, load_all, setting_options


@click.command()
@experiments_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Workspace: FILE.json, or - for standard output.",
)
@click.option("--years", type=float, metavar="Y", help="Years of operation of each experiment.")
@setting_options
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def command(
    names: tuple[str, ...],
    output: Path,
    years: float | None,
    settings: dict[str, Any],
    preset: str | None,
    source: str | None,
    overwrite: bool,
) -> None:
    """Write experiments as a HistFactory workspace whose likelihood in pyhf equals ours.

    Its parameter of interest is the strength of the signal, its data are the Asimov data.
    Several experiments are combined; pulls of the same name are common to them.
    """
    from ...reco.files import replacing
    from ...toys.counts.workspace import workspace

    if str(output) != "-" and output.exists() and not overwrite:
        raise OutputError(f"{output}: exists; --overwrite replaces it")
    content = json.dumps(workspace(load_all(names, settings, preset, source, years)), indent=1)
    if str(output) == "-":
        click.echo(content)
        return
    with replacing(output, overwrite) as temporary:
        temporary.write_text(content + "\n", "utf-8")
