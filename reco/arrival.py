"""When events come: their distribution in time, and what of them falls in which window."""

from __future__ import annotations

import numpy as np

from ..generator.arrays import Array
from ..generator.beam import FlavourFlux, PulseShape
from ..generator.constants import MUON_LIFETIME, PION_LIFETIME
from .experiment import Experiment
from .response.background import Background
from .response.time_efficiency import Always, TimeEfficiency
from .window import Windows

PARTS = 201
"""Times of a window between which the efficiency in time is that of the middle, at least."""


def background_shares(
    experiment: Experiment, background: Background, *, kept: bool = False
) -> tuple[float, float, float]:
    """Parts of what is recorded of a background in no window, beam-on and beam-off.

    `kept` leaves of the last two what the efficiency in time keeps.
    """
    efficiency = experiment.time_efficiency(background) if kept else Always()
    if background.timing == "steady" and experiment.windows.record == "windows":
        w = experiment.beam_windows
        on = w.on_length / (w.on_length + w.off_length)
        part = mean_efficiency(w, efficiency)
        return 0.0, on * part, (1 - on) * part
    lives = 2 if background.timing == "delayed" else 0
    timing = background.timing if background.timing in {"steady", "table"} else None
    return window_shares(experiment, timing, lives, background.delay, background, efficiency)


def signal_shares(experiment: Experiment, flavour: FlavourFlux) -> tuple[float, float]:
    """Parts of a flavour in beam-on and beam-off that the efficiency in time keeps."""
    timing = "steady" if experiment.source.steady else None
    efficiency = experiment.time_efficiency()
    _, on, off = window_shares(experiment, timing, flavour.lives, 0.0, efficiency=efficiency)
    return on, off


def mean_efficiency(w: Windows, efficiency: TimeEfficiency) -> float:
    """Part of what is flat in time in a window that the efficiency in time keeps."""
    times = efficiency.grid(w.on_start, w.on_stop, 10 * PARTS)
    middle = (times[1:] + times[:-1]) / 2
    return float(efficiency.at(middle) @ np.diff(times)) / w.on_length


def emission_times(lives: int, number: int = 2000, pion: float = PION_LIFETIME) -> Array:
    """Delays of a neutrino after the pulse at the middles of equal parts of probability, ns.

    Parameters
    ----------
    lives
        0 at once, 1 after the pion's life, 2 after pion and muon.
    number
        Number of parts.
    pion
        Mean life of the pion, ns; 0 if the pulse is that of prompt neutrinos.
    """
    if lives == 0 or (lives == 1 and pion == 0):
        return np.zeros(1)
    u = (np.arange(number) + 0.5) / number
    if lives == 1 or pion == 0:
        return -(pion if lives == 1 else MUON_LIFETIME) * np.log1p(-u)
    t = np.linspace(0, 40 * MUON_LIFETIME, 400_001)
    cdf = 1 - (MUON_LIFETIME * np.exp(-t / MUON_LIFETIME) - pion * np.exp(-t / pion)) / (
        MUON_LIFETIME - pion
    )
    return np.interp(u, cdf, t)


def window_shares(
    experiment: Experiment,
    timing: str | None,
    lives: int,
    delay: float,
    background: Background | None = None,
    efficiency: TimeEfficiency | None = None,
) -> tuple[float, float, float]:
    """Parts of a component in no window, beam-on and beam-off.

    `timing` is "steady", "table" (of `background`) or None for the proton pulse, followed by
    decays and `delay`. What comes later than a period is in the windows of later pulses. With an
    efficiency in time, the last two are what it keeps.
    """
    w, keeps_all = experiment.beam_windows, efficiency is None or efficiency.keeps_all()
    if timing == "steady":
        on, off = w.on_length / w.period, w.off_length / w.period
        part = mean_efficiency(w, efficiency or Always())
        return 1 - on - off, on * part, off * part
    profile = background.profile if timing == "table" and background is not None else None
    pulse = _pulse(experiment, profile)
    after = _delays(experiment, lives, 1000 if keeps_all else 200) + delay
    ends = np.array([w.on_start, w.on_stop]), np.array([w.off_start, w.off_stop])
    on, off = (float(_parts(w, times, *pulse, after)[0]) for times in ends)
    if efficiency is None or keeps_all:
        return 1 - on - off, on, off
    times = efficiency.grid(w.on_start, w.on_stop, PARTS)
    chance = efficiency.at((times[1:] + times[:-1]) / 2)
    late = w.off_start + (times - w.on_start) * (w.off_length / w.on_length)
    kept = [float(_parts(w, each, *pulse, after) @ chance) for each in (times, late)]
    return 1 - on - off, kept[0], kept[1]


def _pulse(experiment: Experiment, profile: PulseShape | None) -> tuple[Array, Array]:
    """Times (ns) and cumulative of a background's profile, or of the pulse."""
    source = experiment.source
    table = profile or source.pulse_shape
    if table is None:
        return np.array([0.0, source.pulse_width]), np.array([0.0, 1.0])
    return _dense(np.asarray(table.time), np.asarray(table.intensity))


def _delays(experiment: Experiment, lives: int, number: int) -> Array:
    """Delays from pulse to measured time, ns, of equal probability: decays and resolution."""
    pion, sigma = experiment.source.pion_life, experiment.detector.time_resolution
    if isinstance(sigma, str) or sigma == 0:
        return emission_times(lives, 2 * number, pion)
    from scipy.special import ndtri

    spread = sigma * ndtri((np.arange(number) + 0.5) / number)
    return np.ravel(emission_times(lives, number // 2, pion)[:, None] + spread)


def _parts(w: Windows, times: Array, starts: Array, cumulative: Array, after: Array) -> Array:
    """Parts that are measured between times of any period, shape (times − 1,)."""
    earliest, latest = starts[0] + after.min(), starts[-1] + after.max()
    numbers = np.arange((earliest - w.first) // w.period, (latest - w.first) // w.period + 1)
    below = [
        sum(float(np.interp(t + n * w.period - after, starts, cumulative).mean()) for n in numbers)
        for t in times
    ]
    return np.diff(below)


def _dense(x: Array, density: Array) -> tuple[Array, Array]:
    """Cumulative of a density linear between points, on a grid fine enough to be linear itself."""
    t = np.unique(np.concatenate([x, np.linspace(x[0], x[-1], 20_001)]))
    f = np.interp(t, x, density)
    c = np.concatenate([[0], np.cumsum((f[1:] + f[:-1]) / 2 * np.diff(t))])
    return t, c / c[-1]
