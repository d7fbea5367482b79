"""A detector's data acquisition: when a run starts, what a count is, which channel is which module.

The formats of `reco/formats` take their units, epochs and channel maps from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ..generator.settings import Settings, setting

CHANNELS_A_BOARD = 8
"""Channels of a board in the default map: modules 0-7 are on board 0, and so on."""
MOST_TICKS = 2**63 - 1


class Waveform(Settings):
    """Digitised pulse: a baseline and, from a quarter of the record on, a rise and a decay."""

    samples: int = setting(0, "samples a waveform; 0 for none", ge=0, le=65532)
    period: PositiveFloat = setting(4.0, "time between samples", "ns")
    baseline: int = setting(1000, "baseline", "ADC counts", ge=0, le=65535)
    rise: PositiveFloat = setting(100.0, "time constant of the rise", "ns")
    decay: PositiveFloat = setting(5000.0, "time constant of the decay", "ns")


class Ccd(Settings):
    """Skipper CCDs, read out in hardware-binned pixels."""

    rows: PositiveInt = setting(120, "binned rows of an image", le=10_000)
    columns: PositiveInt = setting(120, "binned columns of an image", le=10_000)
    binning: PositiveInt = setting(50, "physical pixels a binned one, in each direction", le=10_000)
    pixel: PositiveFloat = setting(0.015, "edge of a physical pixel", "mm")
    diffusion: NonNegativeFloat = setting(0.015, "Gaussian σ of the charge of an event", "mm")
    pair_energy: PositiveFloat = setting(3.75, "energy of an electron-hole pair", "eV")
    noise: PositiveFloat = setting(2.5, "readout noise of a single skip", "electrons")
    skips: PositiveInt = setting(400, "non-destructive readings of a pixel, averaged", le=65535)
    gain: PositiveFloat = setting(10.0, "output of an electron", "ADU")
    offset: NonNegativeFloat = setting(1000.0, "output without charge", "ADU")
    seed: int = setting(1, "key of the readout noise", ge=0, lt=2**63)
    threshold: PositiveFloat = setting(
        8.0, "least charge of a cluster's highest pixel, in standard deviations of averaged noise"
    )


class Daq(Settings):
    """Units, epochs and channel map of the recorded data."""

    run_start: str = setting("2030-01-01T00:00:00Z", "start of `first_pulse`, ISO 8601, UTC")
    first_pulse: int = setting(0, "pulse with which the recorded stretch starts", ge=0, lt=2**62)
    gain: PositiveFloat | None = setting(
        None,
        "energy of an ADC count; by default twice the largest energy fills 14 bits",
        "unit of e_reco",
    )
    calibrated: bool = setting(False, "also record calibrated energies, where the format can")
    header: int | None = setting(
        None,
        "of CoMPASS files that go on with a run and begin without it, e.g. 0xCAE1",
        ge=0xCAE1,
        le=0xCAEF,
    )
    channels: (
        Annotated[list[Annotated[list[int], Field(min_length=2, max_length=2)]], Field()] | None
    ) = setting(None, "[board, channel] of each module; by default eight modules a board")
    waveform: Waveform = setting(Waveform(), "digitised pulses, where the format can")
    ccd: Ccd = setting(Ccd(), "images of skipper CCDs")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            start = datetime.fromisoformat(self.run_start)
        except ValueError:
            raise ValueError(
                f"run_start is a time such as 2030-01-01T00:00:00Z, not '{self.run_start}'"
            ) from None
        if start.tzinfo is None or not 1970 <= start.astimezone(UTC).year < 2200:
            raise ValueError("run_start is from 1970 to 2199 and names its zone, e.g. Z")
        pairs = [tuple(pair) for pair in self.channels or []]
        if any(not 0 <= number < 65536 for pair in pairs for number in pair):
            raise ValueError("channels are [board, channel], each from 0 to 65535")
        if len(set(pairs)) < len(pairs) or self.channels == []:
            raise ValueError("channels must differ from each other, and there must be one at least")
        return self

    @property
    def epoch_ns(self) -> int:
        """Nanoseconds since 1970 at the run start."""
        since = datetime.fromisoformat(self.run_start) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000

    def board_and_channel(self, module: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Board and channel of modules (n,), as (n, 2).

        Raises
        ------
        ValueError
            If a module has no channel.
        """
        if self.channels is None:
            pair = np.divmod(module.astype(np.uint16), np.uint16(CHANNELS_A_BOARD))
            return np.stack(pair, axis=-1).astype(np.uint16)
        if module.size and not 0 <= module.min() <= module.max() < len(self.channels):
            raise ValueError(
                f"daq.channels has no channel of module {module.max()}, only {len(self.channels)}"
            )
        return np.asarray(self.channels, np.uint16)[module]

    def module(self, board: NDArray[np.uint16], channel: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Module of boards and channels; −1 where there is none."""
        if self.channels is None:
            number = board.astype(np.int64) * CHANNELS_A_BOARD + channel
            return np.where((channel < CHANNELS_A_BOARD) & (number < 32768), number, -1)
        code = board.astype(np.int64) << 16 | channel
        pairs = np.asarray(self.channels, np.int64)
        known = pairs[:, 0] << 16 | pairs[:, 1]
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known[order], code), len(known) - 1)
        return np.where(known[order][place] == code, order[place], -1)


@dataclass(frozen=True)
class Clock:
    """Pulses as counts of a clock that starts with a run's first pulse, in whole numbers.

    The period need not be a whole number of ticks: pulse n starts at the tick nearest to it.
    """

    period: float
    """Time from pulse to pulse, ticks."""
    border: float
    """Ticks since the start of a pulse at which an event belongs to the next one."""
    first: int
    """Number of the pulse at tick 0."""

    def start(self, pulse: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ticks at which pulses start.

        Raises
        ------
        ValueError
            If that is more than 2⁶³ ticks away.
        """
        n = pulse - self.first
        if n.size and max(-int(n.min()), int(n.max())) * self.period > MOST_TICKS - 2**40:
            raise ValueError(
                f"pulse {pulse.max()} is {float(n.max()) * self.period:.3g} ticks after the run "
                "start, and a clock counts to 2^63: take a stretch of the run of at most "
                f"{int((MOST_TICKS - 2**40) // self.period)} pulses (--pulses FIRST:STOP)"
            )
        whole = int(self.period)
        if whole == self.period:
            return n * whole
        return n * whole + np.rint(n * (self.period - whole)).astype(np.int64)

    def split(self, ticks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pulse of each time, and ticks since it started."""
        gap = int(self.border - self.period)  # negative: before the pulse
        n = np.floor((ticks - gap) / self.period).astype(np.int64) + self.first
        since = ticks - self.start(n)
        for step in (-1, 1):
            wrong = since < gap if step < 0 else since >= self.border
            if wrong.any():
                n = n + step * wrong
                since = ticks - self.start(n)
        return n, since
