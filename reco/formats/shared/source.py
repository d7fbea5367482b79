"""What a format's reader is given: a file, the experiment, and what to do with damage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import ExperimentError
from .digitiser import clock_of, gain_of, lead

if TYPE_CHECKING:
    from ...daq import Clock
    from ...experiment import Experiment


@dataclass(eq=False)
class Damage:
    """What is wrong with a file: an error, or, for a repair, a count of what was dropped."""

    path: Path
    repair: bool = False
    dropped: Counter[str] = field(default_factory=Counter)

    def found(self, number: int, what: str, detail: str = "") -> None:
        """Drop `number` records; the plural `what` says of what and why.

        Raises
        ------
        ExperimentError
            Unless the file is to be repaired.
        """
        if number <= 0:
            return
        if not self.repair:
            more = f" ({detail})" if detail else ""
            raise ExperimentError(f"{self.path}: {number} {what}{more}; --repair drops them")
        self.dropped[what] += number


@dataclass(eq=False)
class Facts:
    """What a file says of its run, as far as it does, and what its events say."""

    pulses: int | None = None
    protons_on_target: float | None = None
    seed: int | None = None
    """Seed of the run that the file was written from."""
    last_pulse: int = -1
    events: int = 0


@dataclass(eq=False)
class Source:
    """A file to be read."""

    path: Path
    experiment: Experiment
    damage: Damage
    facts: Facts = field(default_factory=Facts)
    """What the reader learns of the run."""

    @property
    def pulses(self) -> int:
        """Beam pulses by the file, else up to the last event, which is known when all are read."""
        if self.facts.pulses is not None:
            return self.facts.pulses
        return self.facts.last_pulse + 1 - self.experiment.daq.first_pulse

    def clock(self, per_ns: int) -> Clock:
        """Clock of ticks of 1/`per_ns` ns since the run start."""
        return clock_of(self.experiment, per_ns)

    def split(
        self, ticks: NDArray[np.int64], per_ns: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Pulse, and ns since it, of times since the recording began in ticks of 1/`per_ns` ns."""
        pulse, since = self.clock(per_ns).split(ticks - lead(self.experiment, per_ns))
        return pulse, since / per_ns

    @cached_property
    def gain(self) -> float:
        """Energy of an ADC count, in the unit of e_reco."""
        return gain_of(self.experiment)

    def wrong(self, what: str) -> ExperimentError:
        """An error of one line that names the file."""
        return ExperimentError(f"{self.path}: {' '.join(what.split())[:400]}")
