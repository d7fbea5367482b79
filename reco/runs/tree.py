"""Names and layout of ntuples in ROOT files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..columns import Block
from ..errors import ExperimentError
from .provenance import Generated, Provenance

TREE = "events"

PROVENANCE = "provenance"

Format = Literal["ttree", "rntuple"]

HIGHEST_LEVEL = {"none": 0, "zstd": 22, "lz4": 12, "zlib": 9, "lzma": 9}
"""Highest level of each compression; the lowest, and the default, is 1."""


def names_in(path: Path) -> set[str]:
    """Names of what is in a ROOT file; none where a file is not one, or cannot be read."""
    with path.open("rb") as file:
        if file.read(4) != b"root":
            return set()
    import uproot

    try:
        with uproot.open(path) as root:
            return set(root.keys(recursive=False, cycle=False))
    except Exception:  # whatever uproot finds wrong: the readers tell
        return set()


def parse_compression(text: str) -> tuple[str, int]:
    """Name and level of a compression such as ``zstd``, ``zstd:5`` or ``none``."""
    name, colon, digits = text.partition(":")
    highest = HIGHEST_LEVEL.get(name, 0)
    level = int(digits) if digits.isascii() and digits.isdigit() else min(highest, 1)
    wrong = colon and (not digits.isascii() or not digits.isdigit() or len(digits) > 2)
    if name not in HIGHEST_LEVEL or wrong or not min(highest, 1) <= level <= highest:
        allowed = ", ".join(f"{n}:1-{most}" if most else n for n, most in HIGHEST_LEVEL.items())
        raise ExperimentError(f"compression '{text}' is none of {allowed}")
    return name, level


class Counts:
    """Numbers of events made, by component, window and selection."""

    def __init__(self, table: list[Generated] | None = None) -> None:
        self._numbers = np.zeros((2, 128, 3), np.int64)
        for row in table or []:
            self._numbers[1, row["component"]] += row["selected"]
            self._numbers[0, row["component"]] += np.subtract(row["in_window"], row["selected"])

    def add(self, block: Block) -> None:
        """Count a block."""
        code = block["component"].astype(np.int16) * 3 + block["window"]
        code += 384 * block["selected"].astype(np.int16)
        self._numbers += np.bincount(code, minlength=768).reshape(2, 128, 3)

    def __iadd__(self, other: Counts) -> Counts:
        """Add the counts of another part."""
        self._numbers += other._numbers
        return self

    def table(self) -> list[Generated]:
        """Rows: component, and numbers in no window, beam-on and beam-off, all and selected."""
        both = self._numbers.sum(axis=0)
        return [
            {
                "component": int(number),
                "total": int(both[number].sum()),
                "in_window": both[number].tolist(),
                "selected": self._numbers[1, number].tolist(),
            }
            for number in np.flatnonzero(both.sum(axis=1))
        ]


def provenances(file: Any) -> list[Provenance]:
    """Provenance of an open file: one, or after `hadd` that of each, in order of the rows."""
    keys = file.keys(recursive=False, filter_name=PROVENANCE)
    keys.sort(key=lambda key: int(key.partition(";")[2] or 0))
    return [json.loads(str(file[key])) for key in keys or [PROVENANCE]]


@contextmanager
def recreated(path: Path, compression: str) -> Iterator[Any]:
    """A new ROOT file of a compression, see `parse_compression`."""
    import uproot

    name, level = parse_compression(compression)
    method = None if name == "none" else getattr(uproot, name.upper())(level)
    with uproot.recreate(path, compression=method) as file:
        yield file
