"""What commands write: tables, JSON and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ..reco.errors import OutputError


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table to standard output."""
    cells = [list(columns), *([show(cell) for cell in row] for row in rows)]
    first, *others = (max(map(len, column)) for column in zip(*cells, strict=True))
    click.echo(click.style(title, italic=True))
    for name, *values in cells:  # rich's tables take 60 ms to import
        line = [name.ljust(first), *map(str.rjust, values, others)]
        click.echo("  ".join(line).rstrip())


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


def interval_text(
    interval: Sequence[float],
    ends: Sequence[float],
    digits: int,
    errors: Sequence[float | None] = (None, None),
) -> str:
    """An interval with errors of its limits, and a word where an end of the scan cuts it off."""
    edges = []
    for limit, error in zip(interval, errors, strict=True):
        note = " (end of the scan)" if limit in ends else "" if error is None else f" ± {error:.2g}"
        edges.append(f"{limit:.{digits}g}{note}")
    return f"[{', '.join(edges)}]"


def write_json(file: str, content: Any) -> None:
    """Write JSON to a file, or to standard output for ``-``."""
    text = json.dumps(content, indent=1)
    if file == "-":
        click.echo(text)
        return
    try:
        Path(file).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from error


class progress_bar:
    """A progress bar with rate and time left on standard error; nothing where it is no terminal."""

    def __init__(self, total: int, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.what = what
        self.task = self.bar.add_task(what, total=total, rate="")

    def __enter__(self) -> Callable[[int], None]:
        """Show the bar; returns the function that is called with each number of things done."""
        self.bar.start()
        return self._advance

    def _advance(self, number: int) -> None:
        speed = self.bar.tasks[0].speed
        rate = f"{speed:.3g} {self.what}/s" if speed else ""
        self.bar.update(self.task, advance=number, rate=rate)

    def __exit__(self, *error: object) -> None:
        """Remove the bar."""
        self.bar.stop()


def warn_of_missing(name: object, missing: Iterable[str]) -> None:
    """Say what of an ntuple is not there; its exposure is that of the rest."""
    for what in missing:
        click.echo(f"nuspill: warning: {name}: not there: {what}", err=True)
