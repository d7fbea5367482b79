"""When events come: their distribution in time, and what of them falls in which window."""

from __future__ import annotations

import numpy as np

from ..generator.arrays import Array
from ..generator.constants import MUON_LIFETIME, PION_LIFETIME
from .experiment import Experiment
from .response.background import Background


def background_shares(experiment: Experiment, background: Background) -> tuple[float, float, float]:
    """Parts of what is recorded of a background in no window, beam-on and beam-off."""
    if background.timing == "steady" and experiment.windows.record == "windows":
        w = experiment.beam_windows
        on = w.on_length / (w.on_length + w.off_length)
        return 0.0, on, 1 - on
    lives = 2 if background.timing == "delayed" else 0
    timing = background.timing if background.timing in {"steady", "table"} else None
    return window_shares(experiment, timing, lives, background.delay, background)


def emission_times(lives: int, number: int = 2000) -> Array:
    """Delays of a neutrino after its proton at the middles of equal parts of probability, ns.

    Parameters
    ----------
    lives
        0 at once, 1 after the pion's life, 2 after pion and muon.
    number
        Number of parts.
    """
    if lives == 0:
        return np.zeros(1)
    u = (np.arange(number) + 0.5) / number
    if lives == 1:
        return -PION_LIFETIME * np.log1p(-u)
    t = np.linspace(0, 40 * MUON_LIFETIME, 400_001)
    cdf = 1 - (
        MUON_LIFETIME * np.exp(-t / MUON_LIFETIME) - PION_LIFETIME * np.exp(-t / PION_LIFETIME)
    ) / (MUON_LIFETIME - PION_LIFETIME)
    return np.interp(u, cdf, t)


def window_shares(
    experiment: Experiment,
    timing: str | None,
    lives: int,
    delay: float,
    background: Background | None = None,
) -> tuple[float, float, float]:
    """Parts of a component in no window, beam-on and beam-off.

    `timing` is "steady", "table" (of `background`) or None for the proton pulse, followed by
    decays and `delay`. What comes later than a period is in the windows of later pulses.
    """
    source, w = experiment.source, experiment.beam_windows
    if timing == "steady":
        on, off = w.on_length / w.period, w.off_length / w.period
        return 1 - on - off, on, off
    table = source.pulse_shape
    if timing == "table" and background is not None:
        table = background.profile
    if table is not None:
        starts, cumulative = _dense(np.asarray(table.time), np.asarray(table.intensity))
    else:
        starts = np.array([0.0, source.pulse_width])
        cumulative = np.array([0.0, 1.0])
    after = emission_times(lives) + delay
    sigma = experiment.detector.time_resolution
    if not isinstance(sigma, str) and sigma > 0:
        from scipy.special import ndtri

        spread = sigma * ndtri((np.arange(1000) + 0.5) / 1000)
        after = (emission_times(lives, 500)[:, None] + delay + spread).ravel()

    def between(start: float, stop: float) -> float:
        low, high = (float(np.interp(t - after, starts, cumulative).mean()) for t in (start, stop))
        return high - low

    earliest, latest = starts[0] + after.min(), starts[-1] + after.max()
    numbers = np.arange((earliest - w.first) // w.period, (latest - w.first) // w.period + 1)
    on = sum(between(w.on_start + n * w.period, w.on_stop + n * w.period) for n in numbers)
    off = sum(between(w.off_start + n * w.period, w.off_stop + n * w.period) for n in numbers)
    return 1 - on - off, on, off


def _dense(x: Array, density: Array) -> tuple[Array, Array]:
    """Cumulative of a density linear between points, on a grid fine enough to be linear itself."""
    t = np.unique(np.concatenate([x, np.linspace(x[0], x[-1], 20_001)]))
    f = np.interp(t, x, density)
    c = np.concatenate([[0], np.cumsum((f[1:] + f[:-1]) / 2 * np.diff(t))])
    return t, c / c[-1]
