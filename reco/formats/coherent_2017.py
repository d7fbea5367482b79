"""COHERENT's release of its first measurement, arXiv:1804.09459: counts in bins of 2 PE and 0.5 µs.

An event comes back at the centre of its bin. The folder, or a file taken with the beam on, gives
beam-on coincidence and anti-coincidence; a file taken with the beam off gives that pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .shared.texts import pair, released, table

if TYPE_CHECKING:
    from ...generator.arrays import Array
    from ..columns import Block
    from .shared.source import Source

NAME = "coherent-2017"
DESCRIPTION = "COHERENT CsI[Na] 2017 release, binned counts (text)"
EXTRA = ""
REQUIRES: tuple[str, ...] = ()
NEEDS: tuple[str, ...] = ()
KEEPS = "e_reco (PE) and time to the centre of a bin, 2 PE and 0.5 µs; coincidence or not"
LOSES = "pulses (all -1), order in time"
PLACES = "either"
DEFAULT = "sns-csi-2017"
GRID = {"e_reco": 2.0, "time": 500.0}

MOST_COUNTS = 1_000_000
BEAM_OFF_DAYS = 153.5
"""Live days without beam, Science 357 (2017) 1123."""


def recognise(path: Path) -> bool:
    """Whether a path is one of the four files, or the folder of them, by name."""
    names = {f"data_{c}_beam{b}.txt" for c in ("coincidence", "anticoincidence") for b in STATES}
    return path.name in names or (path / "data_coincidence_beamOn.txt").is_file()


STATES = ("On", "Off")


def read(source: Source) -> Iterator[Block]:
    """Events of both samples: for each count one at the centre of its bin."""
    state = "Off" if source.path.is_file() and source.path.stem.endswith("Off") else "On"
    paths = pair(source, *(f"data_{c}_beam{state}.txt" for c in ("coincidence", "anticoincidence")))
    source.facts.pulses = round(source.experiment.source.pulses_per_year)
    if state == "Off":
        source.facts.pulses = round(BEAM_OFF_DAYS * 86_400 * source.experiment.source.repetition)
        source.facts.protons_on_target = 0.0
    on, off = (_events(path, source) for path in paths)
    yield from released(source, on, off)


def _events(path: Path, source: Source) -> tuple[Array, Array]:
    energy, time_us, counts = table(path, 3, source, ",").T
    wrong = ~((counts >= 0) & (counts == np.rint(counts)))
    source.damage.found(int(wrong.sum()), "bins without a whole number of counts", path.name)
    counts[wrong] = 0
    if counts.sum() > MOST_COUNTS:
        raise source.wrong(f"{path.name} claims {counts.sum():.3g} counts, at most {MOST_COUNTS}")
    number = counts.astype(np.int64)
    return np.repeat(energy, number), np.repeat(time_us * 1e3, number)
