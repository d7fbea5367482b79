"""Efficiency in time: the probability that an event of a given measured time is kept.

Times are those after the start of the pulse. An event in beam-off is as late as one at the same
part of beam-on: windows are looked at alike, whether a pulse came or not.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, NonNegativeFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting
from .efficiency import Fraction

TABLE_POINTS = 4097
"""Points of the table that kernels read."""


class TimeEfficiencyModel(Settings):
    """What efficiencies in time have in common; a new one gives `at`, and `bends`."""

    @abstractmethod
    def at(self, time: ArrayLike) -> Array:
        """Probability at a time in ns after the start of the pulse."""

    def bends(self) -> list[float]:
        """Times in ns at which it bends."""
        return []

    def keeps_all(self) -> bool:
        """Whether it is one at all times."""
        return False

    def steps(self, edges: Array, points: int) -> Array:
        """Times (ns) from the first edge to the last: so many, the edges, and those of its bends.

        Those closer to one another than a millionth of a step are one.
        """
        equal = np.linspace(edges[0], edges[-1], points)
        inside = [t for t in self.bends() if edges[0] < t < edges[-1]]
        own = np.unique(np.concatenate([edges, inside]))
        near = np.abs(equal[:, None] - own).min(axis=1) < 1e-6 * (equal[1] - equal[0])
        return np.sort(np.concatenate([equal[~near], own]))

    def kernel_table(self, start: float, stop: float) -> Array:
        """Times from `start` to `stop`, and probabilities, between which kernels interpolate.

        Shape (2, n); n is 0 if it keeps all.
        """
        if self.keeps_all():
            return np.zeros((2, 0))
        time = self.steps(np.array([start, stop]), TABLE_POINTS)
        return np.array([time, self.at(time)])


class Always(TimeEfficiencyModel):
    """One at all times."""

    model: Literal["none"] = setting("none", "none: events of all times are kept")

    def at(self, time: ArrayLike) -> Array:
        """Probability of one at all times."""
        return np.ones(np.shape(time))

    def keeps_all(self) -> bool:
        """Whether it is one at all times: it is."""
        return True


class Falling(TimeEfficiencyModel):
    """One up to a time, then exp(−rate (t − start)): a cut on what came before the event."""

    model: Literal["exponential"] = setting(..., "constant, then exponential")
    start: float = setting(..., "time up to which it is one", "ns")
    rate: NonNegativeFloat = setting(..., "rate at which it then falls", "1/ns")

    def at(self, time: ArrayLike) -> Array:
        """Probability at a time in ns after the start of the pulse."""
        return np.exp(-self.rate * np.maximum(np.asarray(time, float) - self.start, 0.0))

    def bends(self) -> list[float]:
        """Time in ns at which it begins to fall."""
        return [self.start]


class TimeTable(TimeEfficiencyModel):
    """Linear between points, constant beyond them."""

    model: Literal["table"] = setting(..., "table")
    time: list[float] = setting(..., "times, increasing", "ns", min_length=2)
    efficiency: list[Fraction] = setting(..., "probability at each", min_length=2)

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.time) != len(self.efficiency):
            raise ValueError(
                f"time has {len(self.time)} values and efficiency {len(self.efficiency)}; "
                "they must be as many"
            )
        for before, value in pairwise(self.time):
            if value <= before:
                raise ValueError(f"time must increase, but {value:g} follows {before:g}")
        return self

    def at(self, time: ArrayLike) -> Array:
        """Probability at a time in ns after the start of the pulse."""
        return np.interp(np.asarray(time, float), self.time, self.efficiency)

    def bends(self) -> list[float]:
        """Times of its points, ns."""
        return self.time


TimeEfficiency = Annotated[Always | Falling | TimeTable, Field(discriminator="model")]
