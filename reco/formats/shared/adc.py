"""What digitiser formats share: energies in ADC counts, channels, pulse shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ...daq import Waveform
    from .source import Source

SATURATED = 0x80
"""Flag of an energy beyond the range."""
HIGHEST = 65535


def counts_of(energy: NDArray[Any], gain: float) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Energies in counts of `gain`, and which are clipped to 16 bits."""
    counts = energy * energy.dtype.type(1 / gain)
    np.rint(counts, out=counts)
    high = counts > HIGHEST
    np.clip(counts, 0, HIGHEST, out=counts)
    return counts.astype(np.uint16), high


def modules_of(
    board: NDArray[Any], channel: NDArray[Any], source: Source
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Modules of channels, and which have one; those without are damage."""
    module = source.experiment.daq.module(
        np.asarray(board, np.uint16), np.asarray(channel, np.uint16)
    )
    known = module >= 0
    if not known.all():
        at = int(np.argmin(known))
        detail = f"the first on board {board[at]}, channel {channel[at]}"
        source.damage.found(int((~known).sum()), "records of no channel in daq.channels", detail)
    return module.astype(np.int16), known


def waveforms(counts: NDArray[np.uint16], settings: Waveform) -> NDArray[np.uint16]:
    """Pulses on a baseline, (n, samples), whose maxima are the counts, clipped to 16 bits."""
    time = (np.arange(settings.samples) - settings.samples // 4) * settings.period
    after = np.maximum(time, 0.0)
    shape = np.exp(-after / settings.decay) * -np.expm1(-after / settings.rise)
    shape /= max(shape.max(), 1e-300)
    pulses = settings.baseline + counts[:, None] * shape
    return np.minimum(np.rint(pulses), HIGHEST).astype(np.uint16)
