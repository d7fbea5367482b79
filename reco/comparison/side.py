"""A sample to be compared: the selected events of an ntuple, or of a file of a format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..columns import Block, counted
from ..errors import ExperimentError
from ..experiment import Experiment
from ..formats.shared.transfer import blocks_of, opened_source
from ..runs.reading import is_ntuple, reading
from ..window import Windows

SECONDS_A_DAY = 86_400.0
NEEDS = ("pulse", "time", "window", "selected", "e_reco")


@dataclass(frozen=True, eq=False)
class Side:
    """Selected events of one sample."""

    name: str
    experiment: Experiment
    pulses: int
    """Beam pulses of its exposure."""
    first_pulse: int
    pulse: NDArray[np.int64]
    """Number of the pulse of each event; of ntuples, of those that were read."""
    since: Array
    """Time since the start of the window that the event is in, ns."""
    window: NDArray[np.int8]
    e_reco: Array
    missing: tuple[str, ...] = ()
    """What of its runs is not there; the exposure is that of the rest."""

    @property
    def windows(self) -> Windows:
        """Windows of beam-on and beam-off."""
        return self.experiment.beam_windows

    @property
    def tau(self) -> float:
        """Length of beam-off over that of beam-on."""
        return self.windows.off_length / self.windows.on_length

    @property
    def live_days(self) -> float:
        """Days for which the beam-on window was open."""
        return self.pulses * self.windows.on_length * 1e-9 / SECONDS_A_DAY

    def counts(self, values: Array, window: int, edges: Array) -> Array:
        """Histogram of a column in one window; the last bin does not hold its upper edge."""
        return counted(values[self.window == window], edges)


def side_of(
    path: str | Path,
    name: str | None = None,
    *,
    experiment: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    repair: bool = False,
    fallback: Experiment | None = None,
) -> Side:
    """The selected events of an ntuple, or of a file of a format.

    Parameters
    ----------
    path
        ROOT ntuple, folder of parts, or a file of a format.
    name
        Its format; by default what it looks like.
    experiment
        Experiment of a format that does not tell; see `formats.import_events`.
    settings, repair
        Keys to change, and whether to drop damaged records; see there.
    fallback
        Experiment of a file that does not tell, if `experiment` does not either.

    Raises
    ------
    ExperimentError
        If it is neither an ntuple nor of a format.
    """
    path = Path(path)
    if name is None and is_ntuple(path):
        ntuple = reading(path)
        rows = _selected(ntuple.blocks(NEEDS, elapsed=True), path)
        side = _side(path.name, ntuple.experiment, ntuple.pulses, 0, rows)
        return replace(side, missing=ntuple.missing)
    form, source = opened_source(
        path,
        name,
        experiment=experiment,
        settings=settings,
        repair=repair,
        fallback=fallback,
    )
    rows = _selected(blocks_of(form, source), path)
    first = source.experiment.daq.first_pulse
    return _side(path.name, source.experiment, source.pulses, first, rows)


def _selected(blocks: Iterable[Block], path: Path) -> Block:
    """Selected events in a window, as one block."""
    kept: list[Block] = []
    for block in blocks:
        chosen = block["selected"] & (block["window"] > 0)
        kept.append({column: block[column][chosen] for column in NEEDS if column != "selected"})
    if not kept:
        raise ExperimentError(f"{path}: has no events to compare")
    return {column: np.concatenate([part[column] for part in kept]) for column in kept[0]}


def _side(name: str, experiment: Experiment, pulses: int, first: int, rows: Block) -> Side:
    windows = experiment.beam_windows
    start = np.array([np.nan, windows.on_start, windows.off_start])[rows["window"]]
    return Side(
        name,
        experiment,
        max(pulses, 0),
        first,
        rows["pulse"],
        rows["time"] - start,
        rows["window"],
        rows["e_reco"].astype(float),
    )


def both(
    a: str | Path,
    b: str | Path,
    names: tuple[str | None, str | None] = (None, None),
    *,
    experiment: str | None = None,
    settings: Mapping[str, object] | None = None,
    repair: bool = False,
) -> tuple[Side, Side]:
    """Two samples; where a format does not tell the experiment, it is `experiment`, else A's."""
    first = side_of(a, names[0], experiment=experiment, settings=settings, repair=repair)
    second = side_of(
        b,
        names[1],
        experiment=experiment,
        settings=settings,
        repair=repair,
        fallback=first.experiment,
    )
    if first.experiment.detector.unit != second.experiment.detector.unit:
        raise ExperimentError(
            f"{b}: has energies in {second.experiment.detector.unit}, and {first.name} in "
            f"{first.experiment.detector.unit}"
        )
    return first, second
