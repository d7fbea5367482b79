"""Options and output that commands share."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..reco.errors import OutputError

F = TypeVar("F", bound=Callable[..., Any])


def setting_value(text: str) -> Any:
    """Value of ``--set KEY=VALUE``: TOML if it is, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Settings from texts such as ``source.distance=25``."""
    settings = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise click.BadParameter(f"'{text}' is not KEY=VALUE, e.g. source.distance=25")
        settings[key.strip()] = setting_value(value.strip())
    return settings


def _settings(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, Any]:
    return parse_settings(values)


def setting_option(function: F) -> F:
    """Add ``--set``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_settings,
        help="Change a setting, e.g. target.mass=30; may be repeated.",
    )(function)


def experiment_options(function: F) -> F:
    """Add ``--set``, ``--preset``, ``--source`` and ``--json``."""
    options = [
        json_option,
        click.option("--source", metavar="NAME", help="A shipped source in place of the own one."),
        click.option("--preset", metavar="NAME", help="A preset of the experiment, e.g. paper."),
        setting_option,
    ]
    for option in options:
        function = option(function)
    return function


def print_table(title: str, columns: list[str], rows: Iterable[Iterable[Any]], quiet: bool) -> None:
    """Print a table to standard output, unless JSON goes there."""
    if quiet:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(show(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def show(value: Any) -> str:
    """A cell of a table: numbers to a sensible number of digits."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:.4g}"


def json_option(function: F) -> F:
    """Add ``--json``; a file that cannot be written is refused before the work begins."""
    return click.option(
        "--json",
        "json_file",
        metavar="FILE",
        callback=_writable,
        help="Write all numbers to FILE; - for standard output.",
    )(function)


def _writable(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> str | None:
    if value is not None and value != "-":
        path = Path(value)
        try:
            reason = "it is a directory" if path.is_dir() else ""
            if not path.parent.is_dir():
                reason = f"there is no folder {path.parent}"
            elif not os.access(path.parent, os.W_OK):
                reason = f"{path.parent} is read-only"
        except OSError as error:
            reason = error.strerror or "no such name"
        if reason:
            raise OutputError(f"{value}: cannot be written: {reason}")
    return value


def write_json(json_file: str | None, content: Any) -> None:
    """Write JSON to a file, or to standard output for ``-``."""
    if json_file is None:
        return
    text = json.dumps(content, indent=1)
    if json_file == "-":
        click.echo(text)
        return
    try:
        Path(json_file).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{json_file}: cannot be written: {error.strerror}") from error
