"""When events come: their distribution in time, and what of them falls in which window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..generator.arrays import Array
from ..generator.beam import FlavourFlux
from ..generator.constants import MUON_LIFETIME, PION_LIFETIME
from .experiment import Experiment
from .response.background import Background
from .response.detector import Shift
from .response.time_efficiency import TimeEfficiency

FARTHEST_LIVES = 40.0
"""Mean lives after which nothing comes."""
FARTHEST_SIGMAS = 9.0
"""Standard deviations of the time beyond which nothing is smeared."""
PARTS = 601
"""Steps of a window in which the efficiency in time is that of the middle, at least."""
NOMINAL = Shift()
LEAST_SIGMA = 1e-6
"""Standard deviation of the time, ns, below which nothing is smeared: t/σ would overflow."""
LEAST = 1e-10
"""Part of a component in a bin that is nothing but rounding."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """Distribution of the measured time of what comes with the beam, ns after its pulse.

    A density linear between points is followed by decays and smeared by a Gaussian; its integrals
    are known in closed form.
    """

    time: Array
    """Points of the density, ns, shape (points,)."""
    density: Array
    """Density at the points, any unit, shape (points,)."""
    lives: tuple[float, ...] = ()
    """Mean lives of the decays that follow, ns; at most two, which differ."""
    delay: float = 0.0
    """Added to all times, ns."""
    sigma: float = 0.0
    """Gaussian σ of the measured time, ns."""

    def cumulative(self, time: ArrayLike) -> Array:
        """Part of the events that come before a time, ns after their own pulse."""
        t = np.asarray(time, float) - self.delay
        if not self.lives:
            return self._integral(t, 1, None)
        parts = [self._after_life(t, life) for life in self.lives]
        if len(parts) == 1:
            return parts[0]
        first, second = self.lives
        return (first * parts[0] - second * parts[1]) / (first - second)

    @property
    def ends(self) -> tuple[float, float]:
        """Times before and after which nothing comes, ns."""
        reach = FARTHEST_SIGMAS * self.sigma
        low = self.time[0] + self.delay - reach
        return low, self.time[-1] + self.delay + reach + FARTHEST_LIVES * max(self.lives, default=0)

    def _after_life(self, t: Array, life: float) -> Array:
        """The cumulative with one decay: F = C − life · F′, C that of the density alone."""
        return self._integral(t, 1, None) - life * self._integral(t, 0, life)

    def _integral(self, t: Array, order: int, life: float | None) -> Array:
        """Density (order 0) or cumulative (1) at times, with a decay or none.

        It is the sum over the points of what jumps there, and of what bends.
        """
        if life is None:  # beyond its ends it is constant: no rounding of great numbers
            reach = FARTHEST_SIGMAS * self.sigma
            t = np.clip(t, self.time[0] - reach, self.time[-1] + reach)
        x, f = self.time, self.density / self._norm
        slope = np.concatenate([[0.0], np.diff(f) / np.diff(x), [0.0]])
        ramps = _ramps(t[..., None] - x, self.sigma, life)
        result = ramps[order + 1] @ np.diff(slope)
        return result + ramps[order][..., 0] * f[0] - ramps[order][..., -1] * f[-1]

    @property
    def _norm(self) -> float:
        """Integral of the density."""
        f = self.density
        return float(np.sum((f[1:] + f[:-1]) / 2 * np.diff(self.time)))


def _ramps(t: Array, sigma: float, life: float | None) -> tuple[Array, Array, Array]:
    """A step at 0, its integral and that of it, each smeared by σ and an exponential life."""
    if sigma > 0:
        from scipy.special import log_ndtr, ndtr

        step, bell = ndtr(t / sigma), np.exp(-((t / sigma) ** 2) / 2) / np.sqrt(2 * np.pi)
        ramp = t * step + sigma * bell
        parabola = ((t**2 + sigma**2) * step + sigma * t * bell) / 2
    else:
        step, ramp = np.where(t >= 0, 1.0, 0.0), np.maximum(t, 0.0)
        parabola = ramp**2 / 2
    if life is None:
        return step, ramp, parabola
    if sigma > 0:
        ratio = sigma / life
        left = np.exp(ratio**2 / 2 - t / life + log_ndtr(t / sigma - ratio))
    else:
        left = np.where(t >= 0, np.exp(-np.maximum(t, 0.0) / life), 0.0)
    first = step - left
    second = ramp - life * first
    return first, second, parabola - life * second


def arrival(
    experiment: Experiment, component: FlavourFlux | Background, shift: Shift = NOMINAL
) -> Arrival | None:
    """Times of a flavour, or of a background; None of what is steady.

    A `shift` leaves the mean of the pulse, or of the profile, where another width is its own.
    """
    source, sigma = experiment.source, experiment.detector.time_resolution
    width = 0.0 if isinstance(sigma, str) or sigma < LEAST_SIGMA else sigma
    shape, delay = source.pulse_shape, 0.0
    if isinstance(component, Background):
        if component.timing == "steady":
            return None
        lives, delay = 2 if component.timing == "delayed" else 0, component.delay
        shape = component.profile or shape
    elif source.steady:
        return None
    else:
        lives = component.lives
    time, density = np.array([0.0, source.pulse_width]), np.ones(2)
    if shape is not None:
        time, density = np.asarray(shape.time, float), np.asarray(shape.intensity, float)
    decays = tuple(life for life in (source.pion_life, MUON_LIFETIME)[:lives] if life > 0)
    if shift.spread != 1:
        middle = _mean(time, density)
        time, width = middle + shift.spread * (time - middle), shift.spread * width
    return Arrival(time, density, decays, delay + shift.delay, width)


def _mean(time: Array, density: Array) -> float:
    """Mean of a density linear between points."""
    step, low, high = np.diff(time), density[:-1], density[1:]
    moments = step * (time[:-1] * (low + high) / 2 + step * (low + 2 * high) / 6)
    return float(moments.sum() / np.sum(step * (low + high) / 2))


def time_shares(
    experiment: Experiment,
    component: FlavourFlux | Background,
    edges: Array,
    shift: Shift = NOMINAL,
) -> tuple[Array, Array]:
    """Parts of a component in bins of time of beam-on, and in those of beam-off.

    Bins of beam-off are those of beam-on, mapped linearly into it. Of what is steady the parts are
    those of the whole period.

    Parameters
    ----------
    edges
        Edges of the bins in beam-on, ns after the start of the pulse, shape (bins + 1,).

    Returns
    -------
    on, off
        Shape (bins,) each.
    """
    w = experiment.beam_windows
    in_off = w.off_start + (edges - w.on_start) * (w.off_length / w.on_length)
    times = arrival(experiment, component, shift)
    if times is None and shift.moves_times:
        raise ValueError("what is steady has no arrival times that could be others")
    if times is None:
        return np.diff(edges) / w.period, np.diff(in_off) / w.period
    low, high = times.ends
    first, last = (low - w.first) // w.period, (high - w.first) // w.period
    on, off = (
        sum(np.diff(times.cumulative(at + n * w.period)) for n in np.arange(first, last + 1))
        for at in (edges, in_off)
    )
    return np.where(on > LEAST, on, 0.0), np.where(off > LEAST, off, 0.0)


def shares(
    experiment: Experiment,
    component: FlavourFlux | Background,
    edges: Array | None,
    shift: Shift = NOMINAL,
) -> tuple[Array, Array]:
    """Parts of a component that are kept in beam-on and beam-off, shape (bins of time,) each.

    Parameters
    ----------
    edges
        As `time_shares`; None for one bin, the whole window.
    shift
        Other times than the nominal ones.

    Raises
    ------
    ValueError
        If there are others of what is steady.
    """
    background = component if isinstance(component, Background) else None
    efficiency = experiment.time_efficiency(background)
    if not efficiency.keeps_all():
        return _kept_shares(experiment, component, edges, efficiency, shift)
    if edges is not None:
        return time_shares(experiment, component, edges, shift)
    if shift.moves_times:
        return _moved_shares(experiment, component, shift)
    if isinstance(component, Background):
        timing = component.timing if component.timing in {"steady", "table"} else None
        lives = 2 if component.timing == "delayed" else 0
        parts = window_shares(experiment, timing, lives, component.delay, component)
    else:
        timing = "steady" if experiment.source.steady else None
        parts = window_shares(experiment, timing, component.lives, 0.0)
    return np.array(parts[1:2]), np.array(parts[2:])


def _moved_shares(
    experiment: Experiment, component: FlavourFlux | Background, shift: Shift
) -> tuple[Array, Array]:
    """Parts in the whole windows at other times: the nominal ones and what is different."""
    ends = np.array([experiment.beam_windows.on_start, experiment.beam_windows.on_stop])
    nominal = shares(experiment, component, None)
    before, after = (time_shares(experiment, component, ends, s) for s in (NOMINAL, shift))
    on, off = (n + a - b for n, a, b in zip(nominal, after, before, strict=True))
    return np.maximum(on, 0.0), np.maximum(off, 0.0)


def _kept_shares(
    experiment: Experiment,
    component: FlavourFlux | Background,
    edges: Array | None,
    efficiency: TimeEfficiency,
    shift: Shift = NOMINAL,
) -> tuple[Array, Array]:
    """The same with an efficiency in time, which is that of the middle in steps of a window."""
    w = experiment.beam_windows
    ends = np.array([w.on_start, w.on_stop]) if edges is None else edges
    steps = efficiency.steps(ends, PARTS)
    middle = (steps[1:] + steps[:-1]) / 2
    chance, number = efficiency.at(middle), np.searchsorted(ends, middle) - 1
    on, off = (
        np.bincount(number, part * chance, minlength=len(ends) - 1).astype(float)
        for part in time_shares(experiment, component, steps, shift)
    )
    return on, off


def steady_shares(experiment: Experiment, background: Background, edges: Array | None) -> Array:
    """Parts of a steady background in beam-on that are kept in bins of time, shape (bins,).

    `edges` as of `shares`; they are parts of what is in all of beam-on.
    """
    w, efficiency = experiment.beam_windows, experiment.time_efficiency(background)
    if efficiency.keeps_all():
        return np.ones(1) if edges is None else np.diff(edges) / w.on_length
    on, _ = _kept_shares(experiment, background, edges, efficiency)
    return on * (w.period / w.on_length)


def background_shares(
    experiment: Experiment, background: Background, *, kept: bool = False
) -> tuple[float, float, float]:
    """Parts of what is recorded of a background in no window, beam-on and beam-off.

    `kept` leaves of the last two what the efficiency in time keeps.
    """
    if background.timing == "steady" and experiment.windows.record == "windows":
        w = experiment.beam_windows
        on = w.on_length / (w.on_length + w.off_length)
        part = float(steady_shares(experiment, background, None).sum()) if kept else 1.0
        return 0.0, on * part, (1 - on) * part
    if kept and not experiment.time_efficiency(background).keeps_all():
        in_on, in_off = shares(experiment, background, None)
        return 1 - float(in_on[0] + in_off[0]), float(in_on[0]), float(in_off[0])
    lives = 2 if background.timing == "delayed" else 0
    timing = background.timing if background.timing in {"steady", "table"} else None
    return window_shares(experiment, timing, lives, background.delay, background)


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
    decays = [life for life in (pion, MUON_LIFETIME)[:lives] if life > 0]
    if not decays:
        return np.zeros(1)
    u = (np.arange(number) + 0.5) / number
    if len(decays) == 1:
        return -decays[0] * np.log1p(-u)
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
    pion = source.pion_life
    after = emission_times(lives, pion=pion) + delay
    sigma = experiment.detector.time_resolution
    if not isinstance(sigma, str) and sigma > 0:
        from scipy.special import ndtri

        spread = sigma * ndtri((np.arange(1000) + 0.5) / 1000)
        after = (emission_times(lives, 500, pion)[:, None] + delay + spread).ravel()

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
