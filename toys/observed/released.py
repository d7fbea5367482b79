"""Observed counts of the folder of a release that has them in bins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.releases import RELEASES
from ..counts.binning import Binning
from ..counts.filed import counts_of_histogram


@dataclass(frozen=True, eq=False)
class Released:
    """Counts of a release, and for what they stand."""

    on: Array
    """In beam-on, shape (bins,)."""
    off: Array | None
    """In beam-off, shape (bins,), if it has them."""
    protons: float
    """Protons on target."""


def released(folder: Path, bins: Binning, experiment: Experiment) -> Released | None:
    """Counts of the release in a folder, in the bins of its experiment; None if it has none.

    Raises
    ------
    ExperimentError
        If it is of another experiment, or not the release that the experiment is of.
    """
    own = experiment.release.reader if experiment.release else None
    for name, reader in RELEASES.items():
        if not reader.recognise(folder):
            continue
        if name != own:
            raise ExperimentError(
                f"{folder}: is the release {name}, in whose bins {experiment.name} is not: the "
                f"model must have release.reader = '{name}'"
            )
        on = counts_of_histogram(reader.read(reader.DATA, folder), bins)
        off = None
        if reader.OFF is not None:
            off = counts_of_histogram(reader.read(reader.OFF, folder), bins)
        return Released(on, off, reader.PROTONS)
    if own is not None:
        raise ExperimentError(
            f"{folder}: is not the release {own}, {RELEASES[own].ORIGIN}: it has no "
            f"{RELEASES[own].DATA}"
        )
    return None
