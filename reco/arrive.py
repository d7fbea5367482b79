"""Kernels of time: the pulse and time of events, and their order."""

from __future__ import annotations

import numpy as np

from ..generator.kernel import kernel
from ..generator.stream import (
    ATTEMPT,
    LOW,
    PURPOSE,
    SHIFT,
    TO_UNIT,
    fill_words,
    neg_log,
    piecewise_linear,
    uniform,
)
from .chain import DELAYED, PROFILE, PROMPT, STEADY

BATCH = 512
"""Events whose words are drawn at a time."""
TIME = np.uint64(2) * PURPOSE
"""Purpose of the words of pulse and time (the others are listed in `event`)."""


@kernel
def arrive(key, chain, source, c1, high, pulses, words, pulse, time, last):  # type: ignore[no-untyped-def]
    """Pulse in the slice and true time in the pulse of each event of a source.

    Two words make pulse and place in it (of the proton, or in what is recorded), two the decays;
    of a background the third goes to `last` as a uniform for its energy.
    """
    sources, timing = chain.sources, chain.timing
    n_pulses = np.uint64(pulses)
    kind = sources.timing[source]
    delay = sources.delay[source]
    background = source >= sources.n_channels
    on_length = timing.on_stop - timing.on_start
    recorded = on_length + timing.off_stop - timing.off_start
    table = sources.profile[:, sources.profile_start[source] : sources.profile_start[source + 1]]
    for start in range(0, pulse.size, BATCH):
        n = min(BATCH, pulse.size - start)
        c2 = TIME + high
        fill_words(key, np.uint64(start), c1, c2, sources.stream[source], n, words)
        w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
        here, when, uniforms = pulse[start:], time[start:], last[start:]
        for i in range(n):
            product = np.uint64(w0[i]) * n_pulses + ((np.uint64(w1[i]) * n_pulses) >> SHIFT)
            here[i] = product >> SHIFT
            when[i] = (np.float64(np.int64(product & LOW)) + 0.5) * TO_UNIT
        if kind == STEADY and background and timing.windows_only:
            skip = timing.off_start - timing.on_start - on_length
            for i in range(n):
                t = when[i] * recorded
                when[i] = timing.on_start + t + (skip if t >= on_length else 0.0)
        elif kind == STEADY:
            for i in range(n):
                when[i] = timing.first + when[i] * timing.period
        elif kind == PROFILE:
            for i in range(n):
                when[i] = delay + piecewise_linear(when[i], table[0], table[1], table[2])
        else:
            if timing.pulse_shape.shape[1] > 0:
                shape = timing.pulse_shape
                for i in range(n):
                    when[i] = delay + piecewise_linear(when[i], shape[0], shape[1], shape[2])
            else:
                for i in range(n):
                    when[i] = delay + when[i] * timing.pulse_width
            if kind == PROMPT:
                for i in range(n):
                    when[i] += timing.pion * neg_log(uniform(w2[i]))
            elif kind == DELAYED and not background:
                for i in range(n):
                    when[i] += timing.pion * neg_log(uniform(w2[i]))
                    when[i] += timing.muon * neg_log(uniform(w3[i]))
            elif kind == DELAYED:
                for i in range(n):
                    when[i] += timing.muon * neg_log(uniform(w3[i]))
        if background:
            for i in range(n):
                uniforms[i] = uniform(w2[i])
        if background and kind == DELAYED:  # the pion's life has no word left above
            fill_words(key, np.uint64(start), c1, c2 + ATTEMPT, sources.stream[source], n, words)
            for i in range(n):
                when[i] += timing.pion * neg_log(uniform(w0[i]))


@kernel
def time_order(timing, pulses, pulse, time, order, place, buckets):  # type: ignore[no-untyped-def]
    """Write to `order` the events in order of (pulse, true time): bucket sort, then insertion.

    `place` is scratch of the same length, `buckets` of a power of two at least as long, plus one.
    """
    n = pulse.size
    n_buckets = 1
    while n_buckets < n:
        n_buckets *= 2
    scale = n_buckets / pulses
    for i in range(n_buckets + 1):
        buckets[i] = 0
    for i in range(n):
        part = (time[i] - timing.first) / timing.period
        part = min(max(part, 0.0), 0.999999)
        place[i] = min(np.int32((pulse[i] + part) * scale), n_buckets - 1)
    for i in range(n):
        buckets[place[i] + 1] += 1
    for i in range(n_buckets):
        buckets[i + 1] += buckets[i]
    for i in range(n):
        where = buckets[place[i]]
        buckets[place[i]] = where + 1
        order[where] = i
    for i in range(1, n):
        this = order[i]
        j = i
        while j > 0:
            other = order[j - 1]
            if pulse[other] < pulse[this] or (
                pulse[other] == pulse[this] and time[other] <= time[this]
            ):
                break
            order[j] = other
            j -= 1
        order[j] = this
