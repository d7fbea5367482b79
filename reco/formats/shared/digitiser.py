"""What digitisers have in common: a clock, energies in ADC counts, channels, pulse shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...daq import Clock

if TYPE_CHECKING:
    from ...daq import Waveform
    from ...experiment import Experiment
    from .source import Source

SATURATED = 0x80
"""Flag of an energy beyond the range."""
HIGHEST = 65535


def clock_of(experiment: Experiment, per_ns: int) -> Clock:
    """Clock of ticks of 1/`per_ns` ns.

    An event before the start of a pulse belongs to it if it is nearer to its beam-on window than
    to the last window before; where the whole period is recorded, if the period starts with it.
    """
    windows, period = experiment.beam_windows, experiment.beam_windows.period
    if experiment.windows.record == "all":
        border = windows.first + period
    else:
        last = max(windows.on_stop, windows.off_stop)
        border = (last + period + windows.first) / 2
    return Clock(period * per_ns, border * per_ns, experiment.daq.first_pulse)


def lead(experiment: Experiment, per_ns: int) -> int:
    """Ticks for which a run is recorded before its first pulse, where a window opens before it."""
    return math.ceil(-min(experiment.beam_windows.first, 0.0) * per_ns)


def gain_of(experiment: Experiment) -> float:
    """Energy of an ADC count in the unit of e_reco: `daq.gain`, or 14 bits for twice the range."""
    if experiment.daq.gain is not None:
        return experiment.daq.gain
    detector = experiment.detector
    highest = float(detector.electron_equivalent(experiment.e_max)) * detector.per_kev
    return float(f"{2 * highest / 2**14:.3g}")


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
