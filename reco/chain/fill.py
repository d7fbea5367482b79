"""The fused chain: from the source to the ntuple's columns, slice by slice.

Sources (see `event`) are merged in a stage of some thousand rows, from which they are written out
past the caches. The largest background is finished there, not before: little of it is copied.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...generator.sampling.draws import POSITION, draws_of
from ...generator.sampling.kernel import borrow, kernel
from ...generator.sampling.stream import SHIFT, philox, uniform
from .event import begin_source, column_of, finish_source, in_place, slice_counts
from .interleave import BLOCK, cut_runs, fence, find_runs, spread
from .stage import STAGE, copy_runs, rows_of, write_out


class Stretch(NamedTuple):
    """Events low ... high − 1 of a run; only slices that overlap with it are made."""

    first_slice: int
    """A slice that begins at `low` or before."""
    first_event: int
    """Number of that slice's first event."""
    low: int
    high: int


@kernel
def stage_runs(key, chain, number, major, s, first, last, row):  # type: ignore[no-untyped-def]
    """Stage runs first ... last − 1 of a slice from `row` on.

    Runs of the source `major`, if any (≥ 0), have only begun: they are spread out, finished with
    all rows at once, and what this wrote to the rows between them is overwritten.

    Parameters
    ----------
    key, chain, number
        Seed, all tables, and the slice.
    major
        Source that has only begun, or −1.
    s
        `Scratch`, with the runs.
    first, last, row
        Runs, and the row of the stage.
    """
    c, run_from, run_length = s.columns, s.run_from[first:last], s.run_length[first:last]
    end = row + run_length.sum()
    to = rows_of(s.stage, row, end + BLOCK)
    low, high = np.int64(0), np.int64(0)
    if major >= 0:
        low, high = s.edges[major], s.edges[major + 1]
        scale = chain.sources.scale[major]
        spread(
            (to.pulse, to.time_true, column_of(scale, to)),
            (c.pulse, c.time_true, column_of(scale, c)),
            run_from, run_length, low, high,
        )  # fmt: skip
        finish_source(key, chain, number, major, s, s.channel[:0], rows_of(s.stage, row, end))
    copy_runs(to, c, run_from, run_length, low, high)


@kernel
def fill(key, chain, stretch, totals, fixed, columns, place, scratch):  # type: ignore[no-untyped-def]
    """Write a stretch of events of the run.

    Parameters
    ----------
    key, chain
        Seed, and all tables.
    stretch
        Which events, `Stretch`.
    totals
        Events of each slice from the stretch's first on, shape (slices,).
    fixed
        Signal events of each slice of the run, shape (all slices,); or empty, if they are Poisson.
    columns, place
        Written, of as many rows as the stretch has events; `place` may be empty.
    scratch
        From `new_scratch`, for the largest of the slices.
    """
    start, event, low, high = stretch
    chain, totals, fixed = borrow(chain), borrow(totals), borrow(fixed)  # type: ignore[call-arg]
    columns, place, s = borrow(columns), borrow(place), borrow(scratch)
    done, staged = np.int64(0), np.int64(0)
    for i in range(totals.size):
        number, n = start + i, totals[i]
        skip, count = max(low - event, 0), min(event + n, high) - max(event, low)
        event += n
        if count <= 0:
            continue
        wanted = fixed[number] if fixed.size > 0 else np.int64(-1)
        slice_counts(key, chain, number, wanted, s.events)
        largest = np.argmax(s.events)
        alone = s.events[largest] == n and count == n
        major = largest if not alone and in_place(chain, largest) else -1
        s.edges[0], s.run_from[0], s.run_length[0] = 0, 0, n
        for source in range(s.events.size):
            a, b = s.edges[source], s.edges[source] + s.events[source]
            s.edges[source + 1] = b
            if a < b:
                to = rows_of(s.stage, staged, staged + n) if alone else rows_of(s.columns, a, b)
                begin_source(key, chain, number, source, s, s.channel[a:b], s.place, to)
                if source != major:
                    finish_source(key, chain, number, source, s, s.channel[a:b], to)
        runs = 1
        if not alone:
            c = s.columns
            runs = find_runs(s.edges, c.pulse, c.time_true, s.head, s.run_from, s.run_length)
            runs = cut_runs(s.run_from, s.run_length, runs, skip, count)
        if place.module.size > 0:
            put_runs(key, chain, number, s, runs, done + staged, place)
        j = 0
        while j < runs:
            until, rows = j, staged
            while until < runs and rows < STAGE:
                rows += s.run_length[until]
                until += 1
            if not alone:
                stage_runs(key, chain, number, major, s, j, until, staged)
            staged = rows
            j = until
            if staged >= STAGE:
                write_out(s.stage, low + done, rows_of(columns, done, done + staged))
                done += staged
                staged = np.int64(0)
    write_out(s.stage, low + done, rows_of(columns, done, done + staged))
    fence()


@kernel
def put_runs(key, chain, number, s, runs, row, place):  # type: ignore[no-untyped-def]
    """Places of the events of a slice.

    Parameters
    ----------
    key, chain, number
        Seed, all tables, and the slice.
    s, runs
        `Scratch` with the runs, and how many there are.
    row, place
        First row, and `Place`, which is written.
    """
    for k in range(runs):
        source = 0
        while s.run_from[k] >= s.edges[source + 1]:
            source += 1
        draws = draws_of(key, number, chain.sources.stream[source], s.words, s.spare)
        for i in range(s.run_length[k]):
            put(draws, chain.response, s.run_from[k] + i - s.edges[source], place, row)
            row += 1


@kernel
def put(draws, response, event, place, to):  # type: ignore[no-untyped-def]
    """Module and place of one event, uniform in the active volume, in mm from its centre.

    Parameters
    ----------
    draws, event
        Words, and number of the event among those of its source in the slice.
    response
        Modules, shape and size.
    place, to
        `Place`, of which row `to` is written.
    """
    c0, c2 = np.uint64(event), POSITION + draws.high
    w0, w1, w2, w3 = philox(draws.key, c0, draws.block, c2, draws.stream)
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
