"""`nuspill reproduce`: the results of arXiv:1911.00762 beside its printed numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...reco.errors import OutputError
from ..common import PLOT_FORMATS, json_option, print_table, show, write_json

if TYPE_CHECKING:
    from ...toys.reproduce import Table

NAMES = ("rates", "table3", "fig2", "fig7", "fig10", "fig12", "fig13", "fig14", "fig15")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice((*NAMES, "all")), metavar="[RESULT]...")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write DIR/RESULT.pdf and the tables as DIR/RESULT.md.",
)
@click.option(
    "--format", "form", type=click.Choice(PLOT_FORMATS), default="pdf", show_default=True,
    help="Of the plots.",
)  # fmt: skip
@json_option
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def command(
    names: tuple[str, ...], output: Path | None, form: str, json_file: str | None, overwrite: bool
) -> None:
    """The paper's results: rates, table3, fig2, fig7, fig10, fig12, fig13, fig14, fig15, or all.

    Everything is computed with the preset `paper` and printed beside the paper's numbers, with the
    ratio.
    """
    chosen = [n for n in NAMES if n in names] if names and "all" not in names else list(NAMES)
    if output is not None:
        _prepare(output, chosen, form, overwrite)
    from ...toys.plot import figure
    from ...toys.reproduce import RESULTS

    content = {}
    for name in chosen:
        result = RESULTS[name]()
        content[name] = result.content()
        if output is not None:
            with figure(output / f"{name}.{form}", overwrite, result.panels) as axes:
                result.draw(axes)
            _write(output / f"{name}.md", "\n".join(map(markdown, result.tables)), overwrite)
        for table in result.tables:
            print_table(table.title, list(table.columns), table.rows, json_file == "-")
            if json_file != "-":
                click.echo(f"{table.note}\n" if table.note else "")
        if result.failed:
            click.echo(f"warning: {name}: {result.failed} fits did not converge", err=True)
    write_json(json_file, content)


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


def _write(file: Path, text: str, overwrite: bool) -> None:
    from ...reco.files import replacing

    with replacing(file, overwrite) as temporary:
        temporary.write_text(text, "utf-8")


def markdown(table: Table) -> str:
    """A table in Markdown."""
    lines = [f"**{table.title}**", "", _row(table.columns), _row(["---"] * len(table.columns))]
    lines += [_row([show(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
