"""The clock of an experiment's pulses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...daq import Clock

if TYPE_CHECKING:
    from ...experiment import Experiment


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
