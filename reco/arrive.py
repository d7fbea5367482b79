"""Kernels of time: pulse, true and measured time of the events of a source, in order of time."""

from __future__ import annotations

import numpy as np

from ..generator.kernel import kernel
from ..generator.stream import (
    ATTEMPT,
    PURPOSE,
    exponential,
    fill_words,
    normal,
    piecewise_linear,
    uniform,
)
from .chain import PROFILE, STEADY
from .window import OFF, ON

BATCH = 512
"""Events whose words are drawn at a time."""
TIME, SMEAR = np.uint64(2) * PURPOSE, np.uint64(7) * PURPOSE
"""Purposes of the words of time: pulse, place in it and decays; and its measurement."""
EXTRA = TIME + ATTEMPT
"""Further words of time of backgrounds, since the third of `TIME` are their energies."""


@kernel
def emitted(chain, source, words, time):  # type: ignore[no-untyped-def]
    """Time of emission, of protons or as measured if steady, from the second words of a batch."""
    sources, timing = chain.sources, chain.timing
    kind, delay = sources.timing[source], sources.delay[source]
    table = sources.profile[:, sources.profile_start[source] : sources.profile_start[source + 1]]
    w1 = words[1]
    if kind == STEADY and source > 0 and timing.windows_only:
        on_length = timing.on_stop - timing.on_start
        recorded = on_length + timing.off_stop - timing.off_start
        skip = timing.off_start - timing.on_start - on_length
        for i in range(time.size):
            t = uniform(w1[i]) * recorded
            time[i] = timing.on_start + t + (skip if t >= on_length else 0.0)
    elif kind == STEADY:
        for i in range(time.size):
            time[i] = timing.first + uniform(w1[i]) * timing.period
    elif kind == PROFILE:
        for i in range(time.size):
            time[i] = delay + piecewise_linear(uniform(w1[i]), table[0], table[1], table[2])
    elif timing.pulse_shape.shape[1] > 0:
        shape = timing.pulse_shape
        for i in range(time.size):
            time[i] = delay + piecewise_linear(uniform(w1[i]), shape[0], shape[1], shape[2])
    else:
        for i in range(time.size):
            time[i] = delay + uniform(w1[i]) * timing.pulse_width


@kernel
def add_lives(words, channel, pion, muon, spare, time):  # type: ignore[no-untyped-def]
    """Add the lives of pion (third words) and muon (fourth) before each neutrino of a batch."""
    w2, w3 = words[2], words[3]
    first, second = spare[0], spare[1]
    for i in range(time.size):
        first[i] = exponential(w2[i])
    for i in range(time.size):
        second[i] = exponential(w3[i])
    for i in range(time.size):
        code = channel[i]
        time[i] += pion[code] * first[i] + muon[code] * second[i]


@kernel
def measure_time(key, chain, source, start, c1, high, words, time_true, time):  # type: ignore[no-untyped-def]
    """Measured time of a batch; what is steady is drawn as measured, and its true time made."""
    sigma, n = chain.timing.sigma, time.size
    for i in range(n):
        time[i] = time_true[i]
    if sigma > 0.0:
        stream = chain.sources.stream[source]
        fill_words(key, np.uint64(start), c1, SMEAR + high, stream, n, words)
        w0 = words[0]
        if chain.sources.timing[source] == STEADY:
            for i in range(n):
                time_true[i] -= sigma * normal(w0[i])
        else:
            for i in range(n):
                time[i] += sigma * normal(w0[i])


@kernel
def find_windows(timing, time, window):  # type: ignore[no-untyped-def]
    """Window of each measured time; all that an exposure tells is its middle."""
    for i in range(time.size):
        on = (time[i] >= timing.on_start) & (time[i] < timing.on_stop)
        off = (time[i] >= timing.off_start) & (time[i] < timing.off_stop)
        window[i] = ON * np.int8(on) + OFF * np.int8(off)
    if timing.exposures:
        for i in range(time.size):
            if window[i] == ON:
                time[i] = 0.5 * (timing.on_start + timing.on_stop)
            elif window[i] == OFF:
                time[i] = 0.5 * (timing.off_start + timing.off_stop)


@kernel
def spacings(words, spare, before, place):  # type: ignore[no-untyped-def]
    """Cumulative exponential spacings from the first words of a batch; returns the last."""
    w0, steps = words[0], spare[0]
    for i in range(place.size):
        steps[i] = exponential(w0[i])
    for i in range(place.size):
        before += np.float64(steps[i])
        place[i] = before
    return before


@kernel
def to_pulses(place, total, first, pulses, pulse):  # type: ignore[no-untyped-def]
    """Pulses in order: places on a line of length `total` become one of `pulses` from `first` on.

    Cumulative spacings over the sum of one more are the order statistics of uniform numbers.
    """
    scale = pulses / max(total, 1e-30)
    for i in range(pulse.size):
        pulse[i] = first + min(np.int64(place[i] * scale), pulses - 1)


@kernel
def settle(pulse, time_true, time, window, channel, signal, e_nu, e_nr):  # type: ignore[no-untyped-def]
    """Put events that share a pulse in order of true time; the columns go along.

    Energies of a background stay where they are: they do not depend on the time.
    """
    n = pulse.size
    low = 0
    while low < n - 1:
        if pulse[low] != pulse[low + 1]:
            low += 1
            continue
        high = low + 2
        while high < n and pulse[high] == pulse[low]:
            high += 1
        gap = 1
        while 9 * gap < high - low:
            gap = 3 * gap + 1
        while gap > 0:  # Shell's sort: for few events that of neighbours
            for i in range(low + gap, high):
                j = i
                while j >= low + gap and time_true[j - gap] > time_true[j]:
                    k = j - gap
                    time_true[k], time_true[j] = time_true[j], time_true[k]
                    time[k], time[j] = time[j], time[k]
                    window[k], window[j] = window[j], window[k]
                    channel[k], channel[j] = channel[j], channel[k]
                    if signal:
                        e_nu[k], e_nu[j] = e_nu[j], e_nu[k]
                        e_nr[k], e_nr[j] = e_nr[j], e_nr[k]
                    j = k
            gap //= 3
        low = high
