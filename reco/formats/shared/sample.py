"""What a format's writer is given: events in blocks, and all that is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...columns import Block
from ...errors import ExperimentError
from ...experiment import Experiment
from ...runs.provenance import Provenance
from ...runs.reading import Reading, reading
from .about import About
from .digitiser import clock_of, lead


@dataclass(frozen=True, eq=False)
class Sample:
    """Events of a run, in order of time."""

    experiment: Experiment
    provenance: Provenance
    """Provenance of the ntuple."""
    first_pulse: int
    stop_pulse: int
    source: Callable[[Iterable[str]], Iterator[Block]]
    """Function that makes blocks of the columns that it is given."""
    selected_only: bool = True

    def blocks(self, columns: Iterable[str]) -> Iterator[Block]:
        """Blocks of the events of the stretch; only those selected, unless all are wanted.

        Columns of the place that the ntuple does not have are left out.
        """
        columns = list(columns)
        cut = {"pulse"} | ({"selected"} if self.selected_only else set())
        all_pulses = self.provenance.get("first_pulse", 0), self.provenance["pulses"]
        everything = (self.first_pulse, self.stop_pulse) == all_pulses
        for block in self.source([*columns, *(cut - set(columns))]):
            pulse = block["pulse"]
            keep = block["selected"] if self.selected_only else np.ones(len(pulse), np.bool_)
            if pulse.size and pulse.min() < 0:
                raise ValueError("there are events of unknown pulse, and a clock needs to know it")
            if not everything:
                keep = keep & (pulse >= self.first_pulse) & (pulse < self.stop_pulse)
            wanted = {name: block[name] for name in columns if name in block}
            yield wanted if keep.all() else {n: column[keep] for n, column in wanted.items()}

    @property
    def pulses(self) -> int:
        """Beam pulses in the stretch."""
        return self.stop_pulse - self.first_pulse

    @property
    def protons(self) -> float:
        """Protons on target in the stretch."""
        run_pulses = self.provenance["pulses"] - self.provenance.get("first_pulse", 0)
        return float(self.provenance["protons_on_target"] * self.pulses / max(run_pulses, 1))

    def ticks(self, block: Block, per_ns: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Time of each event since the recording of the stretch began, in ticks of 1/`per_ns` ns.

        Raises
        ------
        ValueError
            If an event is before the recording.
        """
        clock = clock_of(self.experiment, per_ns)
        ticks = clock.start(block["pulse"]) + np.rint(block["time"] * per_ns).astype(np.int64)
        if early := lead(self.experiment, per_ns):
            ticks += early
        if ticks.size and ticks.min() < 0:
            raise ValueError("there are events before the run starts; leave out --all")
        return ticks

    def about(self) -> str:
        """JSON of what makes a file of this sample complete, to be kept in it."""
        return About(
            experiment=self.experiment.model_dump(mode="json"),
            seed=self.provenance.get("seed"),
            first_pulse=self.first_pulse,
            pulses=self.pulses,
            protons_on_target=self.protons,
            selected_only=self.selected_only or bool(self.provenance.get("selected_only")),
        ).text()


def stretch(
    experiment: Experiment, provenance: Provenance, pulses: tuple[int, int] | None, origin: str
) -> tuple[Experiment, int, int]:
    """Experiment whose clock starts with a stretch of pulses, and its first pulse and stop."""
    begin, end = int(provenance.get("first_pulse", 0)), int(provenance["pulses"])
    first, stop = pulses or (begin, max(end, begin + 1))
    if not begin <= first < stop <= max(end, begin + 1):
        raise ExperimentError(
            f"{origin}: pulses {first} to {stop} are not a stretch of its pulses {begin} to {end}"
        )
    return experiment.replace(**{"daq.first_pulse": first}), first, stop


def sample_of(
    path: str | Path,
    settings: Mapping[str, object] | None = None,
    pulses: tuple[int, int] | None = None,
    selected_only: bool = True,
) -> Sample:
    """The sample in an ntuple (one file, or a folder of parts).

    Parameters
    ----------
    path
        ROOT file or folder.
    settings
        Keys of the experiment in the file to change: those of `daq`.
    pulses
        First pulse and the one after the last, by default all.
    selected_only
        Leave out what the detector did not select.

    Raises
    ------
    ExperimentError
        If there is no ntuple, something other than `daq` is to be changed, or pulses of the
        stretch are not there.
    """
    for key in settings or {}:
        if key.split(".")[0] != "daq":
            raise ExperimentError(f"{path}: {key}: the events are made; only daq can be set")
    ntuple = reading(path)
    if len(ntuple.runs) > 1:
        names = ", ".join(run.name for run in ntuple.runs[:3])
        raise ExperimentError(
            f"{path}: holds {len(ntuple.runs)} runs ({names}), each from its own first pulse on; "
            "export them one by one"
        )
    about = ntuple.runs[0].about
    if ntuple.imported:
        about = ntuple.provenance
    experiment = ntuple.experiment.replace(**(settings or {}))
    experiment, first, stop = stretch(experiment, about, pulses, str(path))
    _refuse_gaps(ntuple, first, stop)
    selected = any(share.about.get("selected_only", False) for share in ntuple.runs[0].shares)
    provenance: Provenance = {**about, "selected_only": selected}
    return Sample(experiment, provenance, first, stop, ntuple.blocks, selected_only)


def _refuse_gaps(ntuple: Reading, first: int, stop: int) -> None:
    """Refuse a stretch of pulses that are not all there."""
    stretches = ntuple.runs[0].stretches
    if ntuple.missing and not any(a <= first and stop <= b for a, b in stretches):
        a, b = max(stretches, key=lambda pulses: pulses[1] - pulses[0], default=(0, 0))
        hint = f"; --pulses {a}:{b} is there" if b > a else ""
        raise ExperimentError(f"{ntuple.path}: not there: {'; '.join(ntuple.missing)}{hint}")
