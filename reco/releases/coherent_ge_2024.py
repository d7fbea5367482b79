"""Counts that figure 5 of arXiv:2406.13806 prints: on_counts_10x9.csv and off_counts_10x9.csv.

Each is a line a bin of time, with the counts in bins of energy.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ExperimentError
from ..templates.histogram import Histogram, as_histogram, read_text

NAME = "coherent-ge-2024"
ORIGIN = "arXiv:2406.13806, figure 5"
PROTONS = 9.94e22
"""10.22 GWh kg of 2.20 kg, protons of 1.05 GeV."""
DATA = "on_counts_10x9.csv"
OFF = "off_counts_10x9.csv"
SHAPE = (10, 9)


def recognise(path: Path) -> bool:
    """Whether a folder holds the counts of beam-on and of beam-off."""
    return all((path / name).is_file() for name in (DATA, OFF))


def read(name: str, folder: Path) -> Histogram:
    """Counts by energy and time.

    Raises
    ------
    ExperimentError
        If the text is not one of these.
    """
    path = folder / name
    counts = read_text(path)
    if counts.shape != SHAPE:
        raise ExperimentError(
            f"{path}: has {len(counts)} lines of {counts.shape[1]} counts, not 10 of 9: "
            "a line a bin of time"
        )
    return as_histogram(str(path), counts.T, is_text=False)
