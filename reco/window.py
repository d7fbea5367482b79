"""Beam-on and beam-off windows in the pulse period.

Beam-on opens with the pulse and stays open for the delayed tail; beam-off is anti-coincident, τ
times as long. Steady-state background falls in both in the ratio of their lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat

from ..generator.arrays import Array
from ..generator.beam import Source
from ..generator.settings import Settings, setting


class WindowSettings(Settings):
    """Settings of the windows in which the detector looks."""

    on_start: float = setting(0.0, "start of beam-on, from the start of the pulse", "ns")
    on_tail: NonNegativeFloat = setting(
        0.0, "time after source.window in which beam-on stays open, for a slow detector", "ns"
    )
    on_length: PositiveFloat | None = setting(
        None, "length; by default from on_start to source.window + on_tail", "ns"
    )
    off_start: float | None = setting(
        None, "start of beam-off; by default half a period after that of beam-on", "ns"
    )
    off_ratio: PositiveFloat = setting(1.0, "τ, length of beam-off over that of beam-on")
    record: Literal["windows", "all"] = setting(
        "windows", "steady-state background in the windows, or of the whole period"
    )


@dataclass(frozen=True)
class Windows:
    """Windows in ns from the start of each pulse."""

    on_start: float
    on_stop: float
    off_start: float
    off_stop: float
    first: float
    """Start of the recorded period, at or before the pulse."""
    period: float

    @property
    def on_length(self) -> float:
        """Length of beam-on, ns."""
        return self.on_stop - self.on_start

    @property
    def off_length(self) -> float:
        """Length of beam-off, ns."""
        return self.off_stop - self.off_start

    def as_in_on(self, time: Array) -> Array:
        """Times in beam-off (ns) as those at the same part of beam-on."""
        return self.on_start + (time - self.off_start) * (self.on_length / self.off_length)


def windows(settings: WindowSettings, source: Source) -> Windows:
    """Windows of a detector at a source.

    Raises
    ------
    ValueError
        If a window is longer than the period, or the two overlap or do not fit in a period.
    """
    period = source.period
    on_start = settings.on_start
    on_length = settings.on_length or source.beam_window + settings.on_tail - on_start
    if on_length <= 0:
        raise ValueError(
            f"windows.on_start {on_start:g} ns is not before the end of beam-on, "
            f"{on_start + on_length:g} ns"
        )
    off_length = on_length * settings.off_ratio
    off_start = on_start + period / 2 if settings.off_start is None else settings.off_start
    for name, length in (("on_length", on_length), ("off_length", off_length)):
        if length > period:
            raise ValueError(
                f"windows.{name} is {length:g} ns, longer than the pulse period {period:g} ns"
            )
    on_stop, off_stop = on_start + on_length, off_start + off_length
    if on_start < off_stop and off_start < on_stop:
        raise ValueError(
            f"windows: beam-on [{on_start:g}, {on_stop:g}] and beam-off "
            f"[{off_start:g}, {off_stop:g}] ns overlap"
        )
    first = min(on_start, off_start, 0.0)
    if max(on_stop, off_stop) > first + period:
        raise ValueError(
            f"windows: beam-on [{on_start:g}, {on_stop:g}] and beam-off "
            f"[{off_start:g}, {off_stop:g}] ns do not fit in one period of {period:g} ns"
        )
    return Windows(on_start, on_stop, off_start, off_stop, first, period)
