"""COHERENT's release with arXiv:2110.07730: lines of photo-electrons and recoil time in µs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .shared.texts import pair, released, table

if TYPE_CHECKING:
    from ...generator.arrays import Array
    from ..columns import Block
    from .shared.source import Source

NAME = "coherent-2021"
DESCRIPTION = "COHERENT CsI[Na] 2021 release, unbinned events (text)"
EXTRA = ""
REQUIRES: tuple[str, ...] = ()
NEEDS: tuple[str, ...] = ()
KEEPS = "e_reco (PE), time; coincidence or not"
LOSES = "pulses (all -1), order in time"
PLACES = "either"
DEFAULT = "sns-csi-2021"

FILES = ("dataBeamOnC.txt", "dataBeamOnAC.txt")
PROTONS = 3.198e23
"""Protons on target, arXiv:2110.07730."""


def recognise(path: Path) -> bool:
    """Whether a path is one of the two files, or the folder of them, by name."""
    return path.name in FILES or (path / FILES[0]).is_file()


def read(source: Source) -> Iterator[Block]:
    """Events of both samples; pulses as many as bring the protons, at the experiment's average."""
    beam = source.experiment.source
    source.facts.protons_on_target = PROTONS
    source.facts.pulses = round(PROTONS / beam.protons * beam.pulses_per_year)
    on, off = (_events(path, source) for path in pair(source, *FILES))
    yield from released(source, on, off)


def _events(path: Path, source: Source) -> tuple[Array, Array]:
    energy, time_us = table(path, 2, source).T
    return energy, time_us * 1e3
