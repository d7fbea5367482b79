"""The fused chain: from the source to reconstructed columns, slice by slice.

A slice is a stretch of beam and a pure function of (experiment, seed, slice number). In it the
signal and each background draw their number of events from their own stream, then pulse and time
(in order, from exponential spacings), E and T, and the response, in loops over arrays that stay in
cache. A single source is written to the columns at once; several are merged run by run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.sampler import CANDIDATES, sample_recoils
from ..generator.stream import (
    ATTEMPT,
    LOW,
    PURPOSE,
    SHIFT,
    binomial,
    fill_words,
    neg_log,
    philox,
    piecewise_linear,
    poisson,
    uniform,
)
from .arrive import (
    BATCH,
    EXTRA,
    TIME,
    add_lives,
    emitted,
    find_windows,
    measure_time,
    settle,
    spacings,
    to_pulses,
)
from .chain import ELECTRON, RECOIL, TRUE, UNIT
from .merge import BLOCK, copy_runs, cut_runs, find_runs
from .respond import acceptance, quenched, smear, unquench, unquenched

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

# purposes of the words of a slice's streams, in the third counter
# (2 and 7 are those of `arrive`, 5 PHOTONS of `respond`)
COUNT, SAMPLE, RESPONSE, PLACE, VETO = (np.uint64(i) * PURPOSE for i in (0, 1, 3, 4, 6))


class Columns(NamedTuple):
    """The ntuple's columns, each of shape (n,)."""

    event: NDArray[np.int64]
    pulse: NDArray[np.int64]
    time_true: Array
    time: Array
    window: NDArray[np.int8]
    component: NDArray[np.int8]
    nu_pdg: NDArray[np.int16]
    target: NDArray[np.int32]
    e_nu: NDArray[np.float32]
    e_nr: NDArray[np.float32]
    e_ee: NDArray[np.float32]
    e_reco: NDArray[np.float32]
    e_reco_nr: NDArray[np.float32]
    selected: NDArray[np.bool_]


class Place(NamedTuple):
    """Module and place in it, mm; of length 0 unless asked for."""

    module: NDArray[np.int16]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]


class Scratch(NamedTuple):
    """What a thread needs while it makes a slice; its columns hold source after source."""

    columns: Columns
    channel: NDArray[np.int16]
    """Of signal events, or the code of a background, as of `Sources`."""
    place: Array
    """Cumulative spacings."""
    words: NDArray[np.uint32]
    spare: Array32
    """Two numbers for each event of a batch."""
    edges: NDArray[np.int64]
    """First event of each source, and the end."""
    head: NDArray[np.int64]
    run_from: NDArray[np.int32]
    run_length: NDArray[np.int32]


@kernel
def slice_counts(key, chain, number, fixed, counts):  # type: ignore[no-untyped-def]
    """Events of each source in slice `number`, into `counts`; returns their sum.

    `fixed` ≥ 0 is the number of signal events in the slice; with −1 it is Poisson, as all are.
    """
    sources = chain.sources
    length = chain.timing.slice_pulses
    pulses = min(length, chain.timing.pulses - number * length)
    block = np.uint64(number)
    c1, c2 = block & LOW, COUNT + (block >> SHIFT)
    total = np.int64(0)
    for i in range(sources.mean.size):
        n = np.int64(fixed)
        if i > 0 or fixed < 0:
            mean = sources.mean[i] * pulses
            n = poisson(key, np.uint64(0), c1, c2, sources.stream[i], mean)
        counts[i] = n
        total += n
    return total


@kernel
def slice_totals(key, chain, start, fixed, totals):  # type: ignore[no-untyped-def]
    """Events in each slice from number `start` on, into `totals`; `fixed` as in `slice_counts`."""
    counts = np.empty(chain.sources.mean.size, np.int64)
    for i in range(totals.size):
        wanted = fixed[start + i] if fixed.size > 0 else np.int64(-1)
        totals[i] = slice_counts(key, chain, start + i, wanted, counts)


@kernel
def share_out(key, timing, stream, events, fixed):  # type: ignore[no-untyped-def]
    """Share a fixed number of signal events among all slices: a multinomial by their pulses."""
    left, pulses = np.int64(events), timing.pulses
    for number in range(fixed.size):
        here = min(timing.slice_pulses, timing.pulses - number * timing.slice_pulses)
        block = np.uint64(number)
        c1, c2 = block & LOW, COUNT + (block >> SHIFT)
        share = 1.0 if here >= pulses else here / pulses
        fixed[number] = binomial(key, np.uint64(0), c1, c2, stream, left, share)
        left -= fixed[number]
        pulses -= here


@kernel
def background_energies(chain, source, word, e_nr, e_ee, e_reco, e_reco_nr):  # type: ignore[no-untyped-def]
    """Energies of a background from words; all but e_nr are left alone if they are true recoils."""
    sources, response = chain.sources, chain.response
    columns = slice(sources.spectrum_start[source], sources.spectrum_start[source + 1])
    table = sources.spectrum[:, columns]
    scale, length = sources.scale[source], sources.length[source]
    measured = e_nr if scale in (RECOIL, TRUE) else (e_ee if scale == ELECTRON else e_reco)
    low, high = table[0, 0], table[0, -1]
    n = e_nr.size
    if length > 0.0:
        lost = -math.expm1(-(high - low) / length)
        for i in range(n):
            measured[i] = low + length * neg_log(1.0 - uniform(word[i]) * lost)
    elif table.shape[1] == 2 and table[1, 0] == table[1, 1]:
        for i in range(n):
            measured[i] = low + uniform(word[i]) * (high - low)
    else:
        for i in range(n):
            measured[i] = piecewise_linear(uniform(word[i]), table[0], table[1], table[2])
    if scale == TRUE:
        return
    per_kev = np.float32(response.per_kev)
    if scale == RECOIL:
        quenched(response, e_nr, e_ee)
    elif scale == ELECTRON:
        unquenched(response, e_ee, e_nr)
    else:
        if response.resolution == 2:
            for i in range(n):
                e_reco[i] = np.floor(e_reco[i] + np.float32(0.5))
        for i in range(n):
            e_ee[i] = e_reco[i] / response.per_kev
            e_nr[i] = unquench(response, e_reco[i] / response.per_kev)
    for i in range(n):
        e_reco_nr[i] = e_nr[i]
    if scale != UNIT:
        for i in range(n):
            e_reco[i] = e_ee[i] * per_kev


@kernel
def observe(key, chain, source, c1, high, first, words, c):  # type: ignore[no-untyped-def]
    """Response and selection of the events of one source, whose pulses count from `first`."""
    sources, timing, response = chain.sources, chain.timing, chain.response
    stream = sources.stream[source]
    true = sources.scale[source] == TRUE
    low, width = np.float32(response.region_low), np.float32(response.region_high)
    for start in range(0, c.time.size, BATCH):
        n = min(BATCH, c.time.size - start)
        stop = start + n
        if true or timing.dead_time > 0.0:
            fill_words(key, np.uint64(start), c1, RESPONSE + high, stream, n, words)
        w1, w2 = words[1], words[2]
        window, selected = c.window[start:stop], c.selected[start:stop]
        e_reco, e_reco_nr = c.e_reco[start:stop], c.e_reco_nr[start:stop]
        if true:
            e_nr, e_ee = c.e_nr[start:stop], c.e_ee[start:stop]
            smear(key, response, stream, c1, high, start, words, e_nr, e_ee, e_reco, e_reco_nr)
            if response.efficiency == 0:
                threshold = np.float32(response.threshold)
                accepted = np.int64(response.logistic[0] * 2.0**32)
                for i in range(n):
                    selected[i] = (e_reco_nr[i] >= threshold) & (np.int64(w1[i]) < accepted)
            else:
                for i in range(n):
                    selected[i] = uniform(w1[i]) < acceptance(response, e_reco[i])
        else:
            for i in range(n):
                selected[i] = True
        for i in range(n):
            inside = (e_reco[i] >= low) & (e_reco[i] <= width)
            selected[i] = selected[i] & inside & (window[i] > 0)
        if timing.dead_time > 0.0 and timing.veto_exposures:
            pulse = c.pulse[start:stop]
            for i in range(n):
                c2 = VETO + high + ATTEMPT * np.uint64(window[i])
                w, _, _, _ = philox(key, np.uint64(pulse[i] - first), c1, c2, timing.veto_stream)
                selected[i] = selected[i] & (uniform(w) >= timing.dead_time)
        elif timing.dead_time > 0.0:
            for i in range(n):
                selected[i] = selected[i] & (uniform(w2[i]) >= timing.dead_time)


@kernel
def make_source(key, chain, number, source, s, channel, place, c):  # type: ignore[no-untyped-def]
    """Fill the columns of the events of one source in a slice, in order of time, but for `event`.

    `channel`, `place` and the columns `c` are as long as there are events (`place` has one more).
    """
    sources, timing = chain.sources, chain.timing
    first = number * timing.slice_pulses
    pulses = min(timing.slice_pulses, timing.pulses - first)
    block = np.uint64(number)
    c1, high = block & LOW, block >> SHIFT
    stream, n, code = sources.stream[source], channel.size, sources.channels + source - 1
    if source == 0:
        sample_recoils(
            key, c1, SAMPLE + high, stream, n, chain.recoils, s.words, channel, c.e_nu, c.e_nr
        )
    else:
        channel[:] = code
        c.e_nu[:] = np.float32(0.0)
    lives = source == 0 and sources.pion[: sources.channels].max() > 0.0
    total = 0.0
    for start in range(0, n + 1, BATCH):
        stop = min(start + BATCH, n + 1)
        fill_words(key, np.uint64(start), c1, TIME + high, stream, stop - start, s.words)
        total = spacings(s.words, s.spare, total, place[start:stop])
        stop = min(stop, n)
        true = c.time_true[start:stop]
        emitted(chain, source, s.words, true)
        if lives:
            add_lives(s.words, channel[start:stop], sources.pion, sources.muon, s.spare, true)
        elif source > 0:
            e_nr, e_ee = c.e_nr[start:stop], c.e_ee[start:stop]
            e_reco, e_reco_nr = c.e_reco[start:stop], c.e_reco_nr[start:stop]
            background_energies(chain, source, s.words[2], e_nr, e_ee, e_reco, e_reco_nr)
            if sources.muon[code] > 0.0:
                fill_words(key, np.uint64(start), c1, EXTRA + high, stream, stop - start, s.words)
                add_lives(s.words, channel[start:stop], sources.pion, sources.muon, s.spare, true)
        time = c.time[start:stop]
        measure_time(key, chain, source, start, c1, high, s.words, true, time)
        find_windows(timing, time, c.window[start:stop])
    to_pulses(place, total, first, pulses, c.pulse)
    settle(c.pulse, c.time_true, c.time, c.window, channel, source == 0, c.e_nu, c.e_nr)
    observe(key, chain, source, c1, high, first, s.words, c)
    if source == 0:
        for i in range(n):
            code = channel[i]
            c.component[i] = sources.component[code]
            c.nu_pdg[i] = sources.nu_pdg[code]
            c.target[i] = sources.target[code]
    else:
        c.component[:] = sources.component[code]
        c.nu_pdg[:] = sources.nu_pdg[code]
        c.target[:] = sources.target[code]


@kernel
def rows_of(c, low, high):  # type: ignore[no-untyped-def]
    """Columns of rows low ... high − 1."""
    return Columns(
        c.event[low:high],
        c.pulse[low:high],
        c.time_true[low:high],
        c.time[low:high],
        c.window[low:high],
        c.component[low:high],
        c.nu_pdg[low:high],
        c.target[low:high],
        c.e_nu[low:high],
        c.e_nr[low:high],
        c.e_ee[low:high],
        c.e_reco[low:high],
        c.e_reco_nr[low:high],
        c.selected[low:high],
    )


@kernel
def merge(s, edges, skip, to):  # type: ignore[no-untyped-def]
    """Write the slice in the scratch in order to the columns `to`, but for its first events.

    Returns the number of runs of one source, which are then in the scratch.
    """
    c, run_from, run_length = s.columns, s.run_from, s.run_length
    runs = find_runs(edges, c.pulse, c.time_true, s.head, run_from, run_length)
    runs = cut_runs(run_from, run_length, runs, skip, to.pulse.size)
    copy_runs(to.pulse, c.pulse, run_from, run_length, runs)
    copy_runs(to.time_true, c.time_true, run_from, run_length, runs)
    copy_runs(to.time, c.time, run_from, run_length, runs)
    copy_runs(to.window, c.window, run_from, run_length, runs)
    copy_runs(to.component, c.component, run_from, run_length, runs)
    copy_runs(to.nu_pdg, c.nu_pdg, run_from, run_length, runs)
    copy_runs(to.target, c.target, run_from, run_length, runs)
    copy_runs(to.e_nu, c.e_nu, run_from, run_length, runs)
    copy_runs(to.e_nr, c.e_nr, run_from, run_length, runs)
    copy_runs(to.e_ee, c.e_ee, run_from, run_length, runs)
    copy_runs(to.e_reco, c.e_reco, run_from, run_length, runs)
    copy_runs(to.e_reco_nr, c.e_reco_nr, run_from, run_length, runs)
    copy_runs(to.selected, c.selected, run_from, run_length, runs)
    return runs


@kernel
def fill(key, chain, start, totals, fixed, event, low, high, columns, place):  # type: ignore[no-untyped-def]
    """Write events low ... high − 1 of the run to `columns` (and `place`, unless empty).

    `totals` are the numbers of events of the slices from `start` on, the first of which begins
    with event number `event`; only slices that overlap [low, high) are made.
    """
    room = (totals.max() if totals.size > 0 else 0) + BLOCK
    sources = chain.sources
    k = sources.mean.size
    c = Columns(
        np.empty(0, np.int64),
        np.empty(room, np.int64),
        np.empty(room),
        np.empty(room),
        np.empty(room, np.int8),
        np.empty(room, np.int8),
        np.empty(room, np.int16),
        np.empty(room, np.int32),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.bool_),
    )
    s = Scratch(
        c,
        np.empty(room, np.int16),
        np.empty(room),
        np.empty((4, CANDIDATES), np.uint32),
        np.empty((2, BATCH), np.float32),
        np.empty(k + 1, np.int64),
        np.empty(k, np.int64),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )
    counts, edges = np.empty(k, np.int64), s.edges
    for i in range(totals.size):
        number, n = start + i, totals[i]
        first, last = max(event, low), min(event + n, high)
        if first < last:
            wanted = fixed[number] if fixed.size > 0 else np.int64(-1)
            slice_counts(key, chain, number, wanted, counts)
            to = rows_of(columns, first - low, last - low)
            alone = counts.max() == n and last - first == n
            runs = 1
            s.run_from[0], s.run_length[0] = 0, n
            edges[0] = 0
            for j in range(k):
                edges[j + 1] = edges[j] + counts[j]
                if counts[j] > 0:
                    a, b = edges[j], edges[j + 1]
                    part = to if alone else rows_of(c, a, b)
                    make_source(
                        key, chain, number, j, s, s.channel[a:b], s.place[: b - a + 1], part
                    )
            if not alone:
                runs = merge(s, edges, first - event, to)
            for j in range(last - first):
                to.event[j] = first + j
            if place.module.size > 0:
                put_slice(key, chain, number, s, runs, first - low, place)
        event += n


@kernel
def put_slice(key, chain, number, s, runs, row, place):  # type: ignore[no-untyped-def]
    """Places of the events of the runs of a slice, from `row` on."""
    block = np.uint64(number)
    c1, c2 = block & LOW, PLACE + (block >> SHIFT)
    for k in range(runs):
        source = 0
        while s.run_from[k] >= s.edges[source + 1]:
            source += 1
        stream = chain.sources.stream[source]
        for i in range(s.run_length[k]):
            c0 = np.uint64(s.run_from[k] + i - s.edges[source])
            put(key, chain.response, c0, c1, c2, stream, place, row)
            row += 1


@kernel
def put(key, response, c0, c1, c2, stream, place, to):  # type: ignore[no-untyped-def]
    """Module and place of one event, uniform in the active volume, in mm from its centre."""
    w0, w1, w2, w3 = philox(key, c0, c1, c2, stream)
    size = response.size
    place.module[to] = (w0 * np.uint64(response.modules)) >> SHIFT
    if response.cylinder:
        radius = 0.5 * size[0] * math.sqrt(uniform(w1))
        angle = 2.0 * math.pi * uniform(w2)
        place.x[to] = radius * math.cos(angle)
        place.y[to] = radius * math.sin(angle)
        place.z[to] = size[1] * (uniform(w3) - 0.5)
    else:
        place.x[to] = size[0] * (uniform(w1) - 0.5)
        place.y[to] = size[1] * (uniform(w2) - 0.5)
        place.z[to] = size[2] * (uniform(w3) - 0.5)
