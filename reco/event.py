"""The fused chain: from the source to reconstructed columns, slice by slice.

A slice is a stretch of beam and a pure function of (experiment, seed, slice number). In it every
component draws its number of events from its own stream, then E and T, pulse and time, and the
response, in loops over arrays that stay in cache; a bucket sort puts the slice in order of time,
and the columns are written once.
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
    normal_quantile,
    philox,
    piecewise_linear,
    poisson,
    uniform,
)
from .arrive import BATCH, arrive, time_order
from .chain import ELECTRON, RECOIL, STEADY, TRUE, UNIT
from .respond import acceptance, quenched, smear, unquenched
from .window import OFF, ON

Array = NDArray[np.float64]

# purposes of the words of a slice's streams, in the third counter
# (2 is TIME of `arrive`, 5 PHOTONS of `respond`)
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
    """Events of a slice before they are in order."""

    words: NDArray[np.uint32]
    source: NDArray[np.int16]
    pulse: NDArray[np.uint32]
    """In the slice."""
    time_true: Array
    time: Array
    window: NDArray[np.int8]
    selected: NDArray[np.bool_]
    e_nu: Array
    e_nr: Array
    e_ee: Array
    e_reco: Array
    e_reco_nr: Array
    order: NDArray[np.int32]
    """Number of the event in its source."""


@kernel
def slice_counts(key, chain, number, fixed, counts):  # type: ignore[no-untyped-def]
    """Events of each source in slice `number`, into `counts`; returns their sum.

    `fixed` ≥ 0 is the number of signal events in the slice, shared among the channels as a
    multinomial; with −1 every number is Poisson.
    """
    sources = chain.sources
    length = chain.timing.slice_pulses
    pulses = min(length, chain.timing.pulses - number * length)
    block = np.uint64(number)
    c1, c2 = block & LOW, COUNT + (block >> SHIFT)
    total = np.int64(0)
    left = np.int64(fixed)
    rest = sources.mean[: sources.n_channels].sum()
    for i in range(sources.mean.size):
        n = np.int64(0)
        if fixed >= 0 and i < sources.n_channels:
            share = min(sources.mean[i] / rest, 1.0) if i < sources.n_channels - 1 else 1.0
            n = binomial(key, np.uint64(0), c1, c2, sources.stream[i], left, share)
            left -= n
            rest -= sources.mean[i]
        else:
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
def background_energies(chain, source, u, e_nr, e_ee, e_reco, e_reco_nr):  # type: ignore[no-untyped-def]
    """Energies of a background from uniforms `u`; all but e_nr are left alone if they are true."""
    sources, response = chain.sources, chain.response
    columns = slice(sources.spectrum_start[source], sources.spectrum_start[source + 1])
    table = sources.spectrum[:, columns]
    scale, length = sources.scale[source], sources.length[source]
    measured = e_nr if scale in (RECOIL, TRUE) else (e_ee if scale == ELECTRON else e_reco)
    low, high = table[0, 0], table[0, -1]
    if length > 0.0:
        lost = -math.expm1(-(high - low) / length)
        for i in range(u.size):
            measured[i] = low + length * neg_log(1.0 - u[i] * lost)
    elif table.shape[1] == 2 and table[1, 0] == table[1, 1]:
        for i in range(u.size):
            measured[i] = low + u[i] * (high - low)
    else:
        for i in range(u.size):
            measured[i] = piecewise_linear(u[i], table[0], table[1], table[2])
    if scale == TRUE:
        return
    if scale == RECOIL:
        quenched(response, e_nr, e_ee)
    elif scale == ELECTRON:
        unquenched(response, e_ee, e_nr)
    else:
        if response.resolution == 2:
            for i in range(u.size):
                e_reco[i] = np.floor(e_reco[i] + 0.5)
        for i in range(u.size):
            e_ee[i] = e_reco[i] / response.per_kev
        unquenched(response, e_ee, e_nr)
    for i in range(u.size):
        e_reco_nr[i] = e_nr[i]
    if scale != UNIT:
        for i in range(u.size):
            e_reco[i] = e_ee[i] * response.per_kev


@kernel
def observe(key, chain, source, c1, high, words, s):  # type: ignore[no-untyped-def]
    """Measured time and window, response and selection of the events of one source.

    `s` is the part of the scratch that holds them, with true energies and times filled.
    """
    sources, timing, response = chain.sources, chain.timing, chain.response
    stream = sources.stream[source]
    true = sources.scale[source] == TRUE
    steady = sources.timing[source] == STEADY
    width = np.float64(response.region_high)
    needs_words = true or timing.sigma > 0.0 or timing.dead_time > 0.0
    for start in range(0, s.time.size, BATCH):
        n = min(BATCH, s.time.size - start)
        stop = start + n
        if needs_words:
            fill_words(key, np.uint64(start), c1, RESPONSE + high, stream, n, words)
        w1, w2, w3 = words[1], words[2], words[3]
        time_true, time = s.time_true[start:stop], s.time[start:stop]
        window, selected = s.window[start:stop], s.selected[start:stop]
        e_reco, e_reco_nr = s.e_reco[start:stop], s.e_reco_nr[start:stop]
        for i in range(n):
            time[i] = time_true[i]
        if timing.sigma > 0.0 and steady:  # drawn flat in measured time, where the windows are
            for i in range(n):
                time_true[i] = time[i] - timing.sigma * normal_quantile(uniform(w2[i]))
        elif timing.sigma > 0.0:
            for i in range(n):
                time[i] = time_true[i] + timing.sigma * normal_quantile(uniform(w2[i]))
        for i in range(n):
            on = (time[i] >= timing.on_start) & (time[i] < timing.on_stop)
            off = (time[i] >= timing.off_start) & (time[i] < timing.off_stop)
            window[i] = ON * np.int8(on) + OFF * np.int8(off)
        if timing.exposures:
            for i in range(n):
                if window[i] == ON:
                    time[i] = 0.5 * (timing.on_start + timing.on_stop)
                elif window[i] == OFF:
                    time[i] = 0.5 * (timing.off_start + timing.off_stop)
        if true:
            smear(
                key,
                response,
                stream,
                c1,
                high,
                start,
                words,
                s.e_nr[start:stop],
                s.e_ee[start:stop],
                e_reco,
                e_reco_nr,
            )
            if response.efficiency == 0:
                plateau = response.logistic[0]
                for i in range(n):
                    selected[i] = (e_reco_nr[i] >= response.threshold) & (uniform(w1[i]) < plateau)
            else:
                for i in range(n):
                    selected[i] = uniform(w1[i]) < acceptance(response, e_reco[i])
        else:
            for i in range(n):
                selected[i] = True
        for i in range(n):
            inside = (e_reco[i] >= response.region_low) & (e_reco[i] <= width)
            selected[i] = selected[i] & inside & (window[i] > 0)
        if timing.dead_time > 0.0 and timing.veto_exposures:
            pulse = s.pulse[start:stop]
            for i in range(n):
                c2 = VETO + high + ATTEMPT * np.uint64(window[i])
                w, _, _, _ = philox(key, np.uint64(pulse[i]), c1, c2, timing.veto_stream)
                selected[i] = selected[i] & (uniform(w) >= timing.dead_time)
        elif timing.dead_time > 0.0:
            for i in range(n):
                selected[i] = selected[i] & (uniform(w3[i]) >= timing.dead_time)


@kernel
def make_slice(key, chain, number, counts, s):  # type: ignore[no-untyped-def]
    """Fill the scratch with the events of a slice, source by source."""
    sources, timing = chain.sources, chain.timing
    pulses = min(timing.slice_pulses, timing.pulses - number * timing.slice_pulses)
    block = np.uint64(number)
    c1, high = block & LOW, block >> SHIFT
    done = 0
    for source in range(sources.mean.size):
        n = counts[source]
        if n == 0:
            continue
        stop = done + n
        stream = sources.stream[source]
        if source < sources.n_channels:
            recoils = chain.recoils
            sample_recoils(
                key,
                c1,
                SAMPLE + high,
                stream,
                n,
                recoils.alias[source],
                recoils.bound[source],
                recoils.energy[source],
                recoils.recoil[source],
                recoils.mass[source],
                s.words,
                s.e_nu[done:],
                s.e_nr[done:],
            )
        part = Scratch(
            s.words,
            s.source[done:stop],
            s.pulse[done:stop],
            s.time_true[done:stop],
            s.time[done:stop],
            s.window[done:stop],
            s.selected[done:stop],
            s.e_nu[done:stop],
            s.e_nr[done:stop],
            s.e_ee[done:stop],
            s.e_reco[done:stop],
            s.e_reco_nr[done:stop],
            s.order[done:stop],
        )
        arrive(key, chain, source, c1, high, pulses, s.words, part.pulse, part.time_true, part.time)
        if source >= sources.n_channels:
            for i in range(n):
                part.e_nu[i] = 0.0
            background_energies(
                chain, source, part.time, part.e_nr, part.e_ee, part.e_reco, part.e_reco_nr
            )
        observe(key, chain, source, c1, high, s.words, part)
        for i in range(n):
            part.source[i] = source
            part.order[i] = i
        done = stop


@kernel
def take(result, column, order):  # type: ignore[no-untyped-def]
    """Column of the scratch in order of time."""
    for i in range(order.size):
        result[i] = column[order[i]]


@kernel
def write(sources, s, order, columns, event, to, pulse):  # type: ignore[no-untyped-def]
    """Write events of the scratch to the columns from row `to` on; one column after the other.

    Fourteen columns at once take half as long again as one by one (measured).
    """
    stop = to + order.size
    numbers, pulses = columns.event[to:stop], columns.pulse[to:stop]
    for i in range(order.size):
        numbers[i] = event + i
    for i in range(order.size):
        pulses[i] = pulse + np.int64(s.pulse[order[i]])
    component, nu_pdg = columns.component[to:stop], columns.nu_pdg[to:stop]
    target = columns.target[to:stop]
    for i in range(order.size):
        source = s.source[order[i]]
        component[i] = sources.component[source]
        nu_pdg[i] = sources.nu_pdg[source]
        target[i] = sources.target[source]
    take(columns.time_true[to:stop], s.time_true, order)
    take(columns.time[to:stop], s.time, order)
    take(columns.window[to:stop], s.window, order)
    take(columns.e_nu[to:stop], s.e_nu, order)
    take(columns.e_nr[to:stop], s.e_nr, order)
    take(columns.e_ee[to:stop], s.e_ee, order)
    take(columns.e_reco[to:stop], s.e_reco, order)
    take(columns.e_reco_nr[to:stop], s.e_reco_nr, order)
    take(columns.selected[to:stop], s.selected, order)


@kernel
def fill(key, chain, start, totals, fixed, event, low, high, columns, place):  # type: ignore[no-untyped-def]
    """Write events low ... high − 1 of the run to `columns` (and `place`, unless empty).

    `totals` are the numbers of events of the slices from `start` on, the first of which begins
    with event number `event`; only slices that overlap [low, high) are made.
    """
    most = totals.max() if totals.size > 0 else 0
    room = most + CANDIDATES
    s = Scratch(
        np.empty((4, CANDIDATES), np.uint32),
        np.empty(room, np.int16),
        np.empty(room, np.uint32),
        np.empty(room),
        np.empty(room),
        np.empty(room, np.int8),
        np.empty(room, np.bool_),
        np.empty(room),
        np.empty(room),
        np.empty(room),
        np.empty(room),
        np.empty(room),
        np.empty(room, np.int32),
    )
    order, spare = np.empty(room, np.int32), np.empty(room, np.int32)
    buckets = np.empty(2 * room + 2, np.int32)
    counts = np.empty(chain.sources.mean.size, np.int64)
    sources, timing = chain.sources, chain.timing
    for i in range(totals.size):
        number = start + i
        n = totals[i]
        first, last = max(event, low), min(event + n, high)
        if first < last:
            wanted = fixed[number] if fixed.size > 0 else np.int64(-1)
            slice_counts(key, chain, number, wanted, counts)
            make_slice(key, chain, number, counts, s)
            pulses = min(timing.slice_pulses, timing.pulses - number * timing.slice_pulses)
            time_order(timing, pulses, s.pulse[:n], s.time_true[:n], order, spare, buckets)
            write(
                sources,
                s,
                order[first - event : last - event],
                columns,
                first,
                first - low,
                number * timing.slice_pulses,
            )
            if place.module.size > 0:
                block = np.uint64(number)
                c1, c2 = block & LOW, PLACE + (block >> SHIFT)
                for k in range(first, last):
                    j = order[k - event]
                    stream = sources.stream[s.source[j]]
                    put(key, chain.response, np.uint64(s.order[j]), c1, c2, stream, place, k - low)
        event += n


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
