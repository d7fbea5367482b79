"""Kernels of time: pulse, true and measured time of the events of a source, in order of time."""

from __future__ import annotations

import math

import numpy as np

from ...generator.sampling.draws import MUON_LIFE, PION_LIFE, PLACE_IN_SLICE, TIME_DEVIATE, draw_for
from ...generator.sampling.kernel import kernel
from ...generator.sampling.stream import BATCH, exponential, normals, piecewise_linear, uniform
from .codes import OFF, ON, PROFILE, STEADY
from .respond import between_points

BLOCK = 16
"""Events looked at together, whether any share a pulse."""


@kernel
def places(draws, count, place):  # type: ignore[no-untyped-def]
    """Cumulative exponential spacings into `place`, `count` and up to 3 more; returns the last."""
    words, steps, total = draws.words, draws.spare[0], 0.0
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        draw_for(PLACE_IN_SLICE, draws, start, n)
        for i in range(n):
            steps[i] = exponential(words[i])
        for i in range(n, (n + 3) // 4 * 4):
            steps[i] = np.float32(0.0)
        for i in range(0, n, 4):  # four at a time, or each would wait for the one before
            a, b, c = np.float64(steps[i]), np.float64(steps[i + 1]), np.float64(steps[i + 2])
            ab = a + b
            place[start + i] = total + a
            place[start + i + 1] = total + ab
            place[start + i + 2] = total + (ab + c)
            total += ab + (c + np.float64(steps[i + 3]))
            place[start + i + 3] = total
    return total


@kernel
def to_pulses(place, total, first, pulses, pulse):  # type: ignore[no-untyped-def]
    """Places on a line of length `total` become pulses, `pulses` from `first` on, and parts of one.

    Cumulative spacings over the sum of one more are the order statistics of uniform numbers.
    """
    scale = pulses / max(total, 1e-30)
    last = pulses * (1.0 - 2.0**-53)
    for i in range(pulse.size):
        at = min(place[i] * scale, last)
        whole = np.int32(at)
        pulse[i] = first + np.int64(whole)
        place[i] = at - np.float64(whole)


@kernel
def emitted(chain, source, part, time):  # type: ignore[no-untyped-def]
    """Time of emission, of protons or as measured if steady, of events at parts of a pulse.

    It grows with the part: events that share a pulse stay in order.
    """
    sources, timing = chain.sources, chain.timing
    kind, delay = sources.timing[source], sources.delay[source]
    table = sources.profile[:, sources.profile_start[source] : sources.profile_start[source + 1]]
    if kind == STEADY and source > 0 and timing.windows_only:
        on_length = timing.on_stop - timing.on_start
        recorded = on_length + timing.off_stop - timing.off_start
        skip = timing.off_start - timing.on_start - on_length
        for i in range(time.size):
            t = part[i] * recorded
            time[i] = timing.on_start + t + (skip if t >= on_length else 0.0)
    elif kind == STEADY:
        for i in range(time.size):
            time[i] = timing.first + part[i] * timing.period
    elif kind == PROFILE:
        for i in range(time.size):
            time[i] = delay + piecewise_linear(part[i], table[0], table[1], table[2])
    elif timing.pulse_shape.shape[1] > 0:
        shape = timing.pulse_shape
        for i in range(time.size):
            time[i] = delay + piecewise_linear(part[i], shape[0], shape[1], shape[2])
    else:
        for i in range(time.size):
            time[i] = delay + part[i] * timing.pulse_width


@kernel
def add_lives(draws, start, pion, muon, channel, time):  # type: ignore[no-untyped-def]
    """Add the lives of the pion and of the muon before each neutrino of a batch.

    Parameters
    ----------
    draws, start
        Words, and the number of the batch's first event.
    pion, muon
        Mean lives, ns: one of the pion, and of the muon by channel, shape (channels,).
    channel, time
        Channel and time of each event, shape (events,); the time, ns, grows by the lives.
    """
    words, first, second, n = draws.words, draws.spare[0], draws.spare[1], time.size
    draw_for(PION_LIFE, draws, start, n)
    for i in range(n):
        first[i] = pion * exponential(words[i])
    draw_for(MUON_LIFE, draws, start, n)
    for i in range(n):
        second[i] = muon[channel[i]]
    for i in range(n):
        first[i] += second[i] * exponential(words[i])
    for i in range(n):
        time[i] += first[i]


@kernel
def smear_time(draws, start, sigma, timing, time_true, time):  # type: ignore[no-untyped-def]
    """Measured time of a batch; what is steady is drawn as measured, and its true time made.

    Parameters
    ----------
    draws, start
        Words, and the number of the batch's first event.
    sigma
        Time resolution, ns.
    timing
        When the source's events come: STEADY or another code.
    time_true, time
        True and measured time, ns, shape (events,).
    """
    deviates, n = draws.spare[0], time.size
    draw_for(TIME_DEVIATE, draws, start, n)
    normals(draws.words, n, deviates)
    before, after = (sigma, 0.0) if timing == STEADY else (0.0, sigma)
    for i in range(n):
        time[i] = time_true[i] + after * deviates[i]
        time_true[i] -= before * deviates[i]


@kernel
def fold(timing, time_true, time):  # type: ignore[no-untyped-def]
    """Move times beyond the recorded period by whole periods; returns whether any was.

    What comes so late belongs to a later pulse. Pulses are alike, and an event is in any of them
    with equal chance, so that it keeps its number: the later pulse has as many from earlier ones.
    """
    measured = time_true if timing.sigma == 0.0 else time
    first, period = timing.first, timing.period
    outside = 0
    for i in range(measured.size):
        outside |= (measured[i] < first) | (measured[i] >= first + period)
    if outside == 0:
        return False
    for i in range(measured.size):
        late = math.floor((measured[i] - first) / period) * period
        time_true[i] -= late
        if timing.sigma > 0.0:
            time[i] -= late
    return True


@kernel
def find_windows(timing, time_true, time, window):  # type: ignore[no-untyped-def]
    """Window of each measured time, which without resolution is the true one, or its middle."""
    if timing.sigma == 0.0:
        for i in range(time.size):
            time[i] = time_true[i]
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
def keep_by_time(timing, kept, words, time, window, selected):  # type: ignore[no-untyped-def]
    """Leave of the selected events of a batch what the efficiency in time keeps.

    Parameters
    ----------
    timing
        Windows: a time in beam-off is as late as that at the same part of beam-on.
    kept
        Times in beam-on (ns) and efficiencies, shape (2, n).
    words
        A word an event.
    time, window, selected
        Measured time (ns), window, and whether it is selected, shape (events,); the last is
        written.
    """
    length = timing.on_stop - timing.on_start
    scale = length / (timing.off_stop - timing.off_start)
    for i in range(time.size):
        if selected[i]:
            late = time[i]
            if window[i] == OFF:
                late = timing.on_start + (late - timing.off_start) * scale
            selected[i] = uniform(words[i]) < between_points(kept, late)


@kernel
def settle(pulse, time_true, time, channel, signal, e_nu, e_nr):  # type: ignore[no-untyped-def]
    """Put events that share a pulse in order of true time; the columns go along.

    Energies of a background stay where they are: they do not depend on the time.
    """
    n = pulse.size
    low = 0
    while low < n - 1:
        if low % BLOCK == 0 and low + BLOCK < n:
            same = 0
            for i in range(low, low + BLOCK):
                same |= pulse[i] == pulse[i + 1]
            if same == 0:
                low += BLOCK
                continue
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
                    channel[k], channel[j] = channel[j], channel[k]
                    if signal:
                        e_nu[k], e_nu[j] = e_nu[j], e_nu[k]
                        e_nr[k], e_nr[j] = e_nr[j], e_nr[k]
                    j = k
            gap //= 3
        low = high
