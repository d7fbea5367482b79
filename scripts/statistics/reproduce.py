"""`nuspill reproduce`: the results of arXiv:1911.00762 and of measurements beside their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...reco.errors import OutputError
from ..options.computing import Computing, threads_option
from ..options.output import PLOT_FORMATS, Output, json_option
from ..output import show

if TYPE_CHECKING:
    from ...toys.reproduce import Result, Table

MEASURED = "measured"
NAMES = ("rates", "table3", "fig2", "fig7", "fig10", "fig12", "fig13", "fig14", "fig15")


@click.command()
@click.argument(
    "names", nargs=-1, type=click.Choice((*NAMES, MEASURED, "all")), metavar="[RESULT]..."
)
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write DIR/RESULT.pdf and the tables as DIR/RESULT.md.",
)
@click.option(
    "--format", "form", type=click.Choice(PLOT_FORMATS), default="pdf", show_default=True,
    help="Of the plots.",
)  # fmt: skip
@click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path),
    help="Of `measured`: the folder of the releases' folders, coherent_csi_2021 and others.",
)  # fmt: skip
@click.option(
    "--toys", type=click.IntRange(0), metavar="N", default=0, show_default=True,
    help="Of `measured`: also Feldman-Cousins intervals, by N toys at each grid point.",
)  # fmt: skip
@threads_option
@json_option
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def command(
    names: tuple[str, ...],
    folder: Path | None,
    form: str,
    data: Path | None,
    toys: int,
    computing: Computing,
    output: Output,
    overwrite: bool,
) -> None:
    """The paper's results: rates, table3, fig2, fig7, fig10, fig12, fig13, fig14, fig15, or all.

    Everything is computed with the preset `paper` and printed beside the paper's numbers, with the
    ratio. `measured` are published measurements beside ours, for each release in --data.
    """
    from ...toys.reproduce import RESULTS
    from ...toys.reproduce.measured import measured

    chosen = [n for n in (*NAMES, MEASURED) if n in names] if "all" not in names else list(NAMES)
    chosen = chosen or list(NAMES)
    if (data is not None or toys) and MEASURED not in chosen:
        raise click.UsageError("--data and --toys are for the result `measured`")
    if data is None and MEASURED in chosen:
        raise click.UsageError("`measured` needs --data DIR, the folder of the releases")
    if folder is not None:
        _prepare(folder, chosen, form, overwrite)
    content = {}
    for name in chosen:
        if data is not None and name == MEASURED:
            result = measured(data, toys, workers=computing.here)
        else:
            result = RESULTS[name]()
        content[name] = result.as_json()
        if folder is not None:
            _keep(result, folder / f"{name}.{form}", overwrite)
        for table in result.tables:
            output.table(table.title, table.columns, table.rows)
            output.text(f"{table.note}\n" if table.note else "")
        if result.failed:
            click.echo(f"warning: {name}: {result.failed} fits did not converge", err=True)
    output.json(content)


def _prepare(output: Path, names: list[str], form: str, overwrite: bool) -> None:
    """Make the folder; refuse files that are there before the work begins."""
    if not overwrite:
        for name in names:
            for file in (output / f"{name}.{form}", output / f"{name}.md"):
                if file.exists():
                    raise OutputError(f"{file}: exists; --overwrite replaces it")
    try:
        output.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot be made: {error.strerror or error}") from error


def _keep(result: Result, file: Path, overwrite: bool) -> None:
    """Write the plot, and the tables in Markdown beside it."""
    from ...reco.files import replacing
    from ...toys.plot import figure

    with figure(file, overwrite, result.panels) as axes:
        result.draw(axes)
    with replacing(file.with_suffix(".md"), overwrite) as temporary:
        temporary.write_text("\n".join(map(markdown, result.tables)), "utf-8")


def markdown(table: Table) -> str:
    """A table in Markdown."""
    lines = [f"**{table.title}**", "", _row(table.columns), _row(["---"] * len(table.columns))]
    lines += [_row([show(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
