"""Observed counts of a release's folder, binned as it is read: no ntuple is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...generator.arrays import Array
from ...reco.chain.codes import OFF, ON
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.formats.shared.door import recognised
from ...reco.formats.shared.transfer import blocks_of, opened_source
from ...reco.releases import RELEASES
from .binning import Binning
from .filed import counts_of_histogram


@dataclass(frozen=True, eq=False)
class Released:
    """Counts of a release, and what it says of them."""

    on: Array
    """In beam-on, shape (bins,)."""
    off: Array | None
    """In beam-off, shape (bins,), if it has them."""
    experiment: Experiment
    """What the data are of."""
    protons: float
    """Protons on target."""


def released(folder: Path, bins: Binning, experiment: Experiment) -> Released:
    """Counts of the release in a folder, in the bins of a model's experiment.

    Raises
    ------
    ExperimentError
        If it is none, or one of binned data of which the experiment is not.
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
        counts = counts_of_histogram(reader.read(reader.DATA, folder), bins)
        return Released(counts, None, experiment, reader.PROTONS)
    if own is not None:
        raise ExperimentError(
            f"{folder}: is not the release {own}, {RELEASES[own].ORIGIN}: it has no "
            f"{RELEASES[own].DATA}"
        )
    return _of_events(folder, bins, experiment)


def _of_events(folder: Path, bins: Binning, experiment: Experiment) -> Released:
    """Counts of a release, or of a detector's data, of events."""
    try:
        name = recognised(folder)
    except ExperimentError:
        raise ExperimentError(
            f"{folder}: there is no ntuple, nor data of one format that nuspill knows (nuspill "
            "formats; of several, nuspill import --from)"
        ) from None
    form, source = opened_source(folder, name, fallback=experiment)
    counts = {window: np.zeros(bins.bins) for window in (ON, OFF)}
    for block in blocks_of(form, source):
        for window, sums in counts.items():
            sums += bins.seen(block, window)
    data, protons = source.experiment, source.facts.protons_on_target
    if protons is None:
        protons = data.source.protons * source.pulses / data.source.pulses_per_year
    return Released(counts[ON], counts[OFF], data, protons)
