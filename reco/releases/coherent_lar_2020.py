"""COHERENT's release with arXiv:2003.10630 (arXiv:2006.12659), analysis A.

Templates and data are lines of centres of bins, keV_ee, F90 and µs, and the counts.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ExperimentError
from ..templates.histogram import Histogram, as_histogram, read_text

NAME = "coherent-lar-2020"
ORIGIN = "Zenodo 3903810"
PROTONS = 1.38e23
"""LArParametersAnlA.yaml."""
DATA = "datanobkgsub.txt"
OFF = None
COLUMNS = 4
NS = 1e3
"""Nanoseconds in a µs."""


def recognise(path: Path) -> bool:
    """Whether a folder holds the data and the signal's template."""
    return all((path / name).is_file() for name in (DATA, "cevnspdf.txt"))


def read(name: str, folder: Path) -> Histogram:
    """Lines of keV_ee, ns, F90 and counts.

    Raises
    ------
    ExperimentError
        If there is no such file, or it is another one.
    """
    path = folder / name
    if not path.is_file():
        raise ExperimentError(
            f"{path}: there is no such file; the release is {ORIGIN}, all of its files in a folder"
        )
    lines = read_text(path)
    if lines.shape[1] != COLUMNS:
        raise ExperimentError(
            f"{path}: has lines of {lines.shape[1]} numbers, not keV_ee, F90, µs and counts"
        )
    energy, f90, time, counts = range(COLUMNS)
    lines[:, time] *= NS
    return as_histogram(str(path), lines[:, [energy, time, f90, counts]], is_text=True)
