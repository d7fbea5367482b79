"""What a reproduction gives: tables beside the paper's numbers, and a plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Numbers of a result beside the paper's."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    """What the numbers need to be understood, or what cannot be reproduced."""


@dataclass(frozen=True, eq=False)
class Result:
    """One result of the paper."""

    name: str
    title: str
    tables: tuple[Table, ...]
    draw: Callable[[Any], None]
    """Draws the plot on axes of Matplotlib, an array of them if there are several panels."""
    panels: int = 1
    failed: int = 0
    """Fits that did not converge."""

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "title": self.title,
            "failed": self.failed,
            "tables": [
                {
                    "title": table.title,
                    "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
                    "note": table.note,
                }
                for table in self.tables
            ],
        }


def ratio(ours: float, theirs: float | None) -> float | None:
    """Our number over a published one, None where there is none."""
    return None if theirs is None else ours / theirs
