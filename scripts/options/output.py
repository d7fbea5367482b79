"""Where results go: ``--json``, ``--plot``, and the tables on standard output."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ...reco.errors import OutputError
from ..output import print_table, write_json
from .group import group_options, option

PLOT_FORMATS = ("pdf", "png", "svg")


def check_suffix(path: Path, *suffixes: str) -> None:
    """Refuse the name of a file whose ending is that of another format; one without any may be."""
    if path.suffix.lower() not in ("", *suffixes):
        raise click.BadParameter(f"'{path}' must end in {' or '.join(suffixes)}", param_hint="-o")


def _writable(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> str | None:
    """Refuse a file that cannot be written before the work begins."""
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


def _plottable(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and Path(value).suffix.lstrip(".") not in PLOT_FORMATS:
        raise click.BadParameter(f"'{value}' must end in one of .{', .'.join(PLOT_FORMATS)}")
    return _writable(ctx, option, value)


@dataclass(frozen=True)
class Output:
    """Files of results; tables are left out where JSON goes to standard output."""

    json_file: str | None = option(
        "--json",
        metavar="FILE",
        callback=_writable,
        help="Write all numbers to FILE; - for standard output.",
    )
    plot_file: str | None = option(
        "--plot",
        metavar="FILE",
        callback=_plottable,
        help=f"Plot to FILE.{'|'.join(PLOT_FORMATS)}.",
    )

    @property
    def quiet(self) -> bool:
        """Whether standard output is for JSON."""
        return self.json_file == "-"

    def table(self, title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        """Print a table."""
        if not self.quiet:
            print_table(title, columns, rows)

    def text(self, text: str) -> None:
        """Print one line of text, or several."""
        if not self.quiet:
            click.echo(text)

    def json(self, content: Any) -> None:
        """Write the file of ``--json``, if it is asked for."""
        if self.json_file is not None:
            write_json(self.json_file, content)


output_options = group_options(Output)
"""Add ``--json`` and ``--plot``."""
json_option = group_options(Output, without=["plot_file"])
"""Add ``--json``."""
