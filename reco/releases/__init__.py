"""Releases of binned data with their templates, one file each.

A release is a module of this folder:

    NAME             what experiments call it, as `release.reader`
    ORIGIN           where it is published
    PROTONS          protons on target of its data
    DATA             name of the file with the observed counts in beam-on
    OFF              that of those in beam-off, or None
    recognise(path) -> bool             whether a folder is one
    read(name, folder) -> Histogram     a file as `reco.templates.histogram` has it, in nuspill's
                                        units and order of axes (energy, time, then others)
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol, cast

from ..templates.histogram import Histogram
from . import coherent_ge_2024, coherent_lar_2020

ReleaseName = Literal["coherent-ge-2024", "coherent-lar-2020"]


class ReleaseReader(Protocol):
    """What a module of this package says of itself; see the package."""

    NAME: str
    ORIGIN: str
    PROTONS: float
    DATA: str
    OFF: str | None

    def recognise(self, path: Path) -> bool:
        """Whether a folder is one."""

    def read(self, name: str, folder: Path) -> Histogram:
        """What a file of it holds."""


RELEASES = {
    module.NAME: cast(ReleaseReader, module) for module in (coherent_ge_2024, coherent_lar_2020)
}
"""Readers by name."""
