"""Tables in text files, and the events of coincidence and anti-coincidence of a data release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....generator.arrays import Array

if TYPE_CHECKING:
    from ...columns import Block
    from .source import Source

LONGEST = 5_000_000
"""Bytes of a text file that is read, at most."""
UNKNOWN_PULSE = -1
"""Pulse of events of which only the time since the pulse is known."""


def table(path: Path, columns: int, source: Source, separator: str | None = None) -> Array:
    """Numbers of a text file, (rows, columns); lines that begin with # are left out.

    Lines with something else are damage.
    """
    size = path.stat().st_size
    if size > LONGEST:
        raise source.wrong(f"{path.name} of {size} bytes is no such text, at most {LONGEST}")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise source.wrong(f"{path.name} is not UTF-8 text") from None
    rows, wrong = [], []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        try:
            row = [float(part) for part in content.split(separator)]
        except ValueError:
            row = []
        if len(row) == columns:
            rows.append(row)
        else:
            wrong.append(f"{path.name}, line {number}: {content[:40]!r}")
    source.damage.found(len(wrong), f"lines without {columns} numbers", wrong[0] if wrong else "")
    if not rows:
        raise source.wrong(f"{path.name} has no line of {columns} numbers")
    return np.array(rows)


def pair(source: Source, coincidence: str, anticoincidence: str) -> tuple[Path, Path]:
    """Two files of a release, side by side in the folder that is given, or in the file's."""
    folder = source.path if source.path.is_dir() else source.path.parent
    paths = folder / coincidence, folder / anticoincidence
    for path in paths:
        if not path.is_file():
            raise source.wrong(f"there is no {path.name} in {folder}")
    return paths


def released(source: Source, on: tuple[Array, Array], off: tuple[Array, Array]) -> Iterator[Block]:
    """Energies and times (ns since the start of the window) of both samples as a block.

    Coincidences are put in the beam-on window, anti-coincidences in beam-off. The pulses are not
    known.
    """
    windows = source.experiment.beam_windows
    parts = ((*on, windows.on_start), (*off, windows.off_start))
    energy = np.concatenate([e for e, _, _ in parts])
    time = np.concatenate([t + start for _, t, start in parts])
    yield {
        "pulse": np.full(len(energy), UNKNOWN_PULSE, np.int64),
        "time": time,
        "e_reco": energy,
    }
