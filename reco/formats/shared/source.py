"""What a format's reader is given: a file, the experiment, and what to do with damage."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ExperimentError
from .clock import clock_of, lead

if TYPE_CHECKING:
    from ...daq import Clock
    from ...experiment import Experiment

LONGEST_TEXT = 10_000_000
"""Characters of JSON that are read from a file."""


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
class Source:
    """A file to be read."""

    path: Path
    experiment: Experiment
    damage: Damage
    facts: dict[str, Any] = field(default_factory=dict)
    """What the reader learns: pulses, protons_on_target and such."""

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


def gain_of(experiment: Experiment) -> float:
    """Energy of an ADC count in the unit of e_reco: `daq.gain`, or 14 bits for twice the range."""
    if experiment.daq.gain is not None:
        return experiment.daq.gain
    detector = experiment.detector
    highest = float(detector.electron_equivalent(experiment.e_max)) * detector.per_kev
    return float(f"{2 * highest / 2**14:.3g}")


def parsed(text: str, path: Path) -> dict[str, Any] | None:
    """What nuspill wrote of a sample in a file of another format; None if that is something else.

    Raises
    ------
    ExperimentError
        If it begins as nuspill's but is damaged.
    """
    if len(text) > LONGEST_TEXT or '"nuspill"' not in text:
        return None
    try:
        told = json.loads(text)
        for key in ("first_pulse", "pulses"):
            if not 0 <= int(told[key]) < 2**62:
                raise ValueError(key)
        told["protons_on_target"] = float(told["protons_on_target"])
        if not isinstance(told["experiment"], dict):
            raise TypeError("experiment")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExperimentError(f"{path}: what nuspill wrote of it is damaged: {error}") from None
    return dict(told)


def in_order(pulse: NDArray[np.int64], last: int) -> NDArray[np.bool_]:
    """Events to keep of a block after pulse `last`, so that no pulse comes before another.

    Earlier ones go, and then the fewest: those later than one that follows, or those earlier than
    one before.
    """
    keep = pulse >= last
    rest = pulse[keep]
    if rest.size:
        ahead = rest > np.minimum.accumulate(rest[::-1])[::-1]
        behind = rest < np.maximum.accumulate(rest)
        keep[keep] = ~(ahead if ahead.sum() < behind.sum() else behind)
    return keep
