"""`nuspill export-workspace`: the signal strength of experiments for pyhf."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ...reco.errors import OutputError
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.observed import Observed, observed_options
from ..options.output import check_suffix


@click.command()
@experiments_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Workspace: FILE.json, or - for standard output.",
)
@observed_options
@loading_options
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def command(
    names: tuple[str, ...], output: Path, observed: Observed, loading: Loading, overwrite: bool
) -> None:
    """Write experiments as a HistFactory workspace whose likelihood in pyhf equals ours.

    Its parameter of interest is the strength of the signal, its data are those of --data, or else
    the Asimov data. Several experiments are combined; pulls of the same name are common to them.
    """
    from ...reco.files import replacing
    from ...toys.counts.combination import build
    from ...toys.counts.parameter import STRENGTH
    from ...toys.counts.workspace import workspace

    if str(output) != "-":
        check_suffix(output, ".json")
    if str(output) != "-" and output.exists() and not overwrite:
        raise OutputError(f"{output}: exists; --overwrite replaces it")
    experiments = loading.load_all(names, observed.files)
    data = observed.data(build(experiments, [STRENGTH.name]), experiments)
    content = json.dumps(workspace(experiments, data), indent=1)
    if str(output) == "-":
        click.echo(content)
        return
    with replacing(output, overwrite) as temporary:
        temporary.write_text(content + "\n", "utf-8")
