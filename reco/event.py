"""The fused chain: from the source to reconstructed columns, slice by slice.

A slice is a stretch of beam and a pure function of (experiment, seed, slice number). In it the
signal and each background draw their number of events from their own stream, then pulse and time
(in order, from exponential spacings), E and T, and the response, in loops over arrays that stay in
cache. Sources are merged in a stage of some thousand rows, from which they are written out past
the caches. The largest background is finished there, not before, so that little of it is copied.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.sampler import sample_recoils
from ..generator.stream import (
    ATTEMPT,
    BATCH,
    LOW,
    PURPOSE,
    SHIFT,
    binomial,
    draw,
    neg_log,
    philox,
    piecewise_linear,
    poisson,
    uniform,
)
from .arrive import add_lives, emitted, find_windows, places, settle, smear_time, to_pulses
from .chain import ELECTRON, RECOIL, TRUE, UNIT
from .merge import BLOCK, cut_runs, fence, find_runs, spread, stream
from .respond import acceptance, quenched, smear, unquench, unquenched

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

# purposes of the words of a slice's streams, in the third counter
# (2, 7, 8 and 9 are those of `arrive`, 5 and 3 of `respond`)
COUNT, SAMPLE, POSITION, VETO, ENERGY, ACCEPT = (
    np.uint64(i) * PURPOSE for i in (0, 1, 4, 6, 10, 11)
)

STAGE = 2048
"""Events written out at a time, at least."""


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
    """What a thread needs while it makes events."""

    columns: Columns
    """Of a slice, source after source."""
    stage: Columns
    """Events in order, until there are enough of them to be written out."""
    channel: NDArray[np.int16]
    """Of signal events, or the code of a background, as of `Sources`."""
    place: Array
    """Cumulative spacings, then parts of a pulse."""
    words: NDArray[np.uint32]
    candidates: NDArray[np.uint32]
    """Words of recoils, four each; and the next, see `sample_recoils`."""
    where: NDArray[np.uint32]
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
def column_of(scale, c):  # type: ignore[no-untyped-def]
    """Column in which the energies of a background of this scale are drawn."""
    if scale == ELECTRON:
        return c.e_ee
    return c.e_reco if scale == UNIT else c.e_nr


@kernel
def draw_energies(chain, source, word, measured):  # type: ignore[no-untyped-def]
    """Energies of a background from words, in its own scale."""
    sources = chain.sources
    columns = slice(sources.spectrum_start[source], sources.spectrum_start[source + 1])
    table = sources.spectrum[:, columns]
    length = sources.length[source]
    low, high = table[0, 0], table[0, -1]
    n = measured.size
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


@kernel
def convert_energies(response, scale, e_nr, e_ee, e_reco, e_reco_nr):  # type: ignore[no-untyped-def]
    """Energies of a background in the other scales, of events that are measured."""
    n = e_nr.size
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
def begin_source(key, chain, number, source, s, channel, place, c):  # type: ignore[no-untyped-def]
    """Pulse, true time and drawn energies of the events of one source in a slice.

    `channel` and the columns `c` are as long as there are events, `place` is at least 4 longer.
    """
    sources, timing = chain.sources, chain.timing
    first = number * timing.slice_pulses
    pulses = min(timing.slice_pulses, timing.pulses - first)
    block = np.uint64(number)
    c1, high = block & LOW, block >> SHIFT
    stream, n, pion = sources.stream[source], channel.size, sources.pion[source]
    words, spare = s.words, s.spare
    if source == 0:
        sample_recoils(
            key, c1, SAMPLE + high, stream, n, chain.recoils, s.candidates, s.where,
            channel, c.e_nu, c.e_nr,
        )  # fmt: skip
    elif pion > 0.0:
        channel[:] = sources.channels + source - 1
    total = places(key, c1, high, stream, n + 1, words, spare, place)
    to_pulses(place, total, first, pulses, c.pulse)
    measured = column_of(sources.scale[source], c)
    for start in range(0, n, BATCH):
        stop = min(start + BATCH, n)
        time = c.time_true[start:stop]
        emitted(chain, source, place[start:stop], time)
        if pion > 0.0:
            code = channel[start:stop]
            add_lives(key, start, c1, high, stream, words, spare, pion, sources.muon, code, time)
        if timing.sigma > 0.0:
            seen = c.time[start:stop]
            smear_time(key, chain, source, start, c1, high, words, spare[0], time, seen)
        if source > 0:
            draw(key, start, c1, ENERGY + high, stream, stop - start, words)
            draw_energies(chain, source, words, measured[start:stop])
    if pion > 0.0 or timing.sigma > 0.0:
        settle(c.pulse, c.time_true, c.time, channel, source == 0, c.e_nu, c.e_nr)


@kernel
def in_place(chain, source):  # type: ignore[no-untyped-def]
    """Whether to finish events of a source takes no words, so that their place does not matter."""
    measured = chain.sources.scale[source] != TRUE
    return measured and chain.timing.sigma == 0.0 and chain.timing.dead_time == 0.0


@kernel
def finish_source(key, chain, number, source, s, channel, c):  # type: ignore[no-untyped-def]
    """All other columns of the events of one source but `event`, in order of time."""
    sources, timing, response = chain.sources, chain.timing, chain.response
    first = number * timing.slice_pulses
    block = np.uint64(number)
    c1, high = block & LOW, block >> SHIFT
    stream, scale = sources.stream[source], sources.scale[source]
    words, spare = s.words, s.spare
    low, top = np.float32(response.region_low), np.float32(response.region_high)
    for start in range(0, c.time.size, BATCH):
        stop = min(start + BATCH, c.time.size)
        n = stop - start
        window, selected = c.window[start:stop], c.selected[start:stop]
        e_nr, e_ee = c.e_nr[start:stop], c.e_ee[start:stop]
        e_reco, e_reco_nr = c.e_reco[start:stop], c.e_reco_nr[start:stop]
        find_windows(timing, c.time_true[start:stop], c.time[start:stop], window)
        if scale == TRUE:
            smear(
                key, response, stream, c1, high, start, words, spare, e_nr, e_ee, e_reco, e_reco_nr
            )
            draw(key, start, c1, ACCEPT + high, stream, n, words)
            if response.efficiency == 0:
                threshold = np.float32(response.threshold)
                accepted = np.int64(response.logistic[0] * 2.0**32)
                for i in range(n):
                    selected[i] = (e_reco_nr[i] >= threshold) & (np.int64(words[i]) < accepted)
            else:
                for i in range(n):
                    selected[i] = uniform(words[i]) < acceptance(response, e_reco[i])
        else:
            convert_energies(response, scale, e_nr, e_ee, e_reco, e_reco_nr)
            for i in range(n):
                selected[i] = True
        for i in range(n):
            inside = (e_reco[i] >= low) & (e_reco[i] <= top)
            selected[i] = selected[i] & inside & (window[i] > 0)
        if timing.dead_time > 0.0 and timing.veto_exposures:
            pulse = c.pulse[start:stop]
            for i in range(n):
                c2 = VETO + high + ATTEMPT * np.uint64(window[i])
                w, _, _, _ = philox(key, np.uint64(pulse[i] - first), c1, c2, timing.veto_stream)
                selected[i] = selected[i] & (uniform(w) >= timing.dead_time)
        elif timing.dead_time > 0.0:
            draw(key, start, c1, VETO + high, stream, n, words)
            for i in range(n):
                selected[i] = selected[i] & (uniform(words[i]) >= timing.dead_time)
    if source == 0:
        for i in range(channel.size):
            code = channel[i]
            c.component[i] = sources.component[code]
            c.nu_pdg[i] = sources.nu_pdg[code]
            c.target[i] = sources.target[code]
    else:
        code = sources.channels + source - 1
        c.component[:] = sources.component[code]
        c.nu_pdg[:] = sources.nu_pdg[code]
        c.target[:] = sources.target[code]
        c.e_nu[:] = np.float32(0.0)


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
def copy_runs(to, c, run_from, run_length, low, high):  # type: ignore[no-untyped-def]
    """Copy all columns but `event` of runs one after the other, but for rows low ... high − 1."""
    row = 0
    for k in range(run_from.size):
        start, count = run_from[k], run_length[k]
        for i in range(0 if low <= start < high else count):
            to.pulse[row + i] = c.pulse[start + i]
            to.time_true[row + i] = c.time_true[start + i]
            to.time[row + i] = c.time[start + i]
            to.window[row + i] = c.window[start + i]
            to.component[row + i] = c.component[start + i]
            to.nu_pdg[row + i] = c.nu_pdg[start + i]
            to.target[row + i] = c.target[start + i]
            to.e_nu[row + i] = c.e_nu[start + i]
            to.e_nr[row + i] = c.e_nr[start + i]
            to.e_ee[row + i] = c.e_ee[start + i]
            to.e_reco[row + i] = c.e_reco[start + i]
            to.e_reco_nr[row + i] = c.e_reco_nr[start + i]
            to.selected[row + i] = c.selected[start + i]
        row += count


@kernel
def stage_runs(key, chain, number, major, s, first, last, row):  # type: ignore[no-untyped-def]
    """Stage runs first ... last − 1 of a slice from `row` on; returns the row after them.

    Runs of the source `major`, if any (≥ 0), have only begun: they are spread out, finished with
    all rows at once, and what this wrote to the rows between them is overwritten.
    """
    c, run_from, run_length = s.columns, s.run_from[first:last], s.run_length[first:last]
    end = row + run_length.sum()
    to = rows_of(s.stage, row, end + BLOCK)
    low, high = np.int64(0), np.int64(0)
    if major >= 0:
        low, high = s.edges[major], s.edges[major + 1]
        scale = chain.sources.scale[major]
        spread(to.pulse, c.pulse, run_from, run_length, low, high)
        spread(to.time_true, c.time_true, run_from, run_length, low, high)
        spread(column_of(scale, to), column_of(scale, c), run_from, run_length, low, high)
        finish_source(key, chain, number, major, s, s.channel[:0], rows_of(s.stage, row, end))
    copy_runs(to, c, run_from, run_length, low, high)
    return end


@kernel
def write_out(stage, event, to):  # type: ignore[no-untyped-def]
    """Write as many staged events as there are rows in `to`; the first has number `event`."""
    for i in range(to.event.size):
        stage.event[i] = event + i
    stream(to.event, stage.event)
    stream(to.pulse, stage.pulse)
    stream(to.time_true, stage.time_true)
    stream(to.time, stage.time)
    stream(to.window, stage.window)
    stream(to.component, stage.component)
    stream(to.nu_pdg, stage.nu_pdg)
    stream(to.target, stage.target)
    stream(to.e_nu, stage.e_nu)
    stream(to.e_nr, stage.e_nr)
    stream(to.e_ee, stage.e_ee)
    stream(to.e_reco, stage.e_reco)
    stream(to.e_reco_nr, stage.e_reco_nr)
    stream(to.selected, stage.selected)


@kernel
def new_columns(room):  # type: ignore[no-untyped-def]
    """Columns of uninitialised rows."""
    return Columns(
        np.empty(room, np.int64),
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


@kernel
def fill(key, chain, start, totals, fixed, event, low, high, columns, place):  # type: ignore[no-untyped-def]
    """Write events low ... high − 1 of the run to `columns` (and `place`, unless empty).

    `totals` are the numbers of events of the slices from `start` on, the first of which begins
    with event number `event`; only slices that overlap [low, high) are made.
    """
    room = (totals.max() if totals.size > 0 else 0) + BLOCK
    k = chain.sources.mean.size
    s = Scratch(
        new_columns(room),
        new_columns(room + STAGE),
        np.empty(room, np.int16),
        np.empty(room),
        np.empty(BATCH, np.uint32),
        np.empty((4, BATCH), np.uint32),
        np.empty((2, BATCH), np.uint32),
        np.empty((2, BATCH), np.float32),
        np.empty(k + 1, np.int64),
        np.empty(k, np.int64),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )
    c, stage, edges, counts = s.columns, s.stage, s.edges, np.empty(k, np.int64)
    done, staged = np.int64(0), np.int64(0)
    for i in range(totals.size):
        number, n = start + i, totals[i]
        first, last = max(event, low), min(event + n, high)
        if first < last:
            wanted = fixed[number] if fixed.size > 0 else np.int64(-1)
            slice_counts(key, chain, number, wanted, counts)
            alone = counts.max() == n and last - first == n
            major = np.argmax(counts) if not alone and in_place(chain, np.argmax(counts)) else -1
            edges[0] = 0
            for j in range(k):
                edges[j + 1] = edges[j] + counts[j]
                if counts[j] > 0:
                    a, b = edges[j], edges[j + 1]
                    part = rows_of(stage, staged, staged + n) if alone else rows_of(c, a, b)
                    begin_source(key, chain, number, j, s, s.channel[a:b], s.place, part)
                    if j != major:
                        finish_source(key, chain, number, j, s, s.channel[a:b], part)
            runs = 1
            s.run_from[0], s.run_length[0] = 0, n
            if alone:
                staged += n
            else:
                runs = find_runs(edges, c.pulse, c.time_true, s.head, s.run_from, s.run_length)
                runs = cut_runs(s.run_from, s.run_length, runs, first - event, last - first)
            j = 0
            while not alone and j < runs:
                until, rows = j, staged
                while until < runs and rows < STAGE:
                    rows += s.run_length[until]
                    until += 1
                staged = stage_runs(key, chain, number, major, s, j, until, staged)
                j = until
                if staged >= STAGE:
                    write_out(stage, low + done, rows_of(columns, done, done + staged))
                    done += staged
                    staged = np.int64(0)
            if place.module.size > 0:
                put_slice(key, chain, number, s, runs, first - low, place)
        if staged >= STAGE:
            write_out(stage, low + done, rows_of(columns, done, done + staged))
            done += staged
            staged = np.int64(0)
        event += n
    write_out(stage, low + done, rows_of(columns, done, done + staged))
    fence()  # type: ignore[call-arg]


@kernel
def put_slice(key, chain, number, s, runs, row, place):  # type: ignore[no-untyped-def]
    """Places of the events of the runs of a slice, from `row` on."""
    block = np.uint64(number)
    c1, c2 = block & LOW, POSITION + (block >> SHIFT)
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
