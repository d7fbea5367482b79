"""Kernels that make the events of one source: how many, when, with which energies, as measured.

A slice is a stretch of beam and a pure function of (experiment, seed, slice number). In it the
signal and each background draw their number of events from their own stream, then pulse and time
(in order, from exponential spacings), E and T, and the response, in loops over arrays that stay in
cache.
"""

from __future__ import annotations

import math

import numpy as np

from ...generator.sampling.draws import ACCEPT, ACCEPT_TIME, COUNT, ENERGY, VETO, draw_for, draws_of
from ...generator.sampling.kernel import kernel
from ...generator.sampling.sampler import sample_recoils
from ...generator.sampling.stream import (
    ATTEMPT,
    BATCH,
    LOW,
    SHIFT,
    binomial,
    neg_log,
    philox,
    piecewise_linear,
    poisson,
    uniform,
)
from .arrive import (
    add_lives,
    emitted,
    find_windows,
    fold,
    keep_by_time,
    places,
    settle,
    smear_time,
    to_pulses,
)
from .codes import ELECTRON, PHOTOELECTRONS, RECOIL, STEADY, STEP, TRUE, UNIT
from .respond import acceptance, quenched, smear, unquench, unquenched


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
        if response.resolution == PHOTOELECTRONS:
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

    Parameters
    ----------
    key, chain
        Seed, and all tables.
    number, source
        Numbers of the slice and of the source.
    s
        `Scratch`.
    channel
        Written: channel of each event, shape (events,).
    place
        Room, at least 4 longer.
    c
        Columns of as many rows, written.
    """
    sources, timing = chain.sources, chain.timing
    first = number * timing.slice_pulses
    pulses = min(timing.slice_pulses, timing.pulses - first)
    draws = draws_of(key, number, sources.stream[source], s.words, s.spare)
    n, decays = channel.size, sources.decays[source]
    if source == 0:
        sample_recoils(draws, n, chain.recoils, s.candidates, channel, c.e_nu, c.e_nr)
    elif decays:
        channel[:] = sources.channels + source - 1
    total = places(draws, n + 1, place)
    to_pulses(place, total, first, pulses, c.pulse)
    measured = column_of(sources.scale[source], c)
    moved = decays or timing.sigma > 0.0
    for start in range(0, n, BATCH):
        stop = min(start + BATCH, n)
        time = c.time_true[start:stop]
        emitted(chain, source, place[start:stop], time)
        if decays:
            code = channel[start:stop]
            add_lives(draws, start, sources.pion[source], sources.muon, code, time)
        if timing.sigma > 0.0:
            seen = c.time[start:stop]
            smear_time(draws, start, timing.sigma, sources.timing[source], time, seen)
        if sources.timing[source] != STEADY and fold(timing, time, c.time[start:stop]):
            moved = True
        if source > 0:
            draw_for(ENERGY, draws, start, stop - start)
            draw_energies(chain, source, draws.words, measured[start:stop])
    if moved:
        settle(c.pulse, c.time_true, c.time, channel, source == 0, c.e_nu, c.e_nr)


@kernel
def in_place(chain, source):  # type: ignore[no-untyped-def]
    """Whether to finish events of a source takes no words, so that their place does not matter."""
    sources, timing = chain.sources, chain.timing
    measured = sources.scale[source] != TRUE
    at_all_times = sources.kept_start[source] == sources.kept_start[source + 1]
    return measured and at_all_times and timing.sigma == 0.0 and timing.dead_time == 0.0


@kernel
def finish_source(key, chain, number, source, s, channel, c):  # type: ignore[no-untyped-def]
    """All other columns of the events of one source but `event`, in order of time.

    Parameters
    ----------
    key, chain
        Seed, and all tables.
    number, source
        Numbers of the slice and of the source.
    s
        `Scratch`.
    channel
        Channel of each event of the signal, shape (events,).
    c
        Columns of as many rows, of which pulse, true time and drawn energies are there.
    """
    sources, timing, response = chain.sources, chain.timing, chain.response
    first = number * timing.slice_pulses
    draws = draws_of(key, number, sources.stream[source], s.words, s.spare)
    words, scale = draws.words, sources.scale[source]
    low, top = np.float32(response.region_low), np.float32(response.region_high)
    least = np.float32(response.threshold)
    kept = sources.kept[:, sources.kept_start[source] : sources.kept_start[source + 1]]
    for start in range(0, c.time.size, BATCH):
        stop = min(start + BATCH, c.time.size)
        n = stop - start
        window, selected = c.window[start:stop], c.selected[start:stop]
        e_nr, e_ee = c.e_nr[start:stop], c.e_ee[start:stop]
        e_reco, e_reco_nr = c.e_reco[start:stop], c.e_reco_nr[start:stop]
        energy = e_reco if response.resolution == PHOTOELECTRONS else e_reco_nr
        find_windows(timing, c.time_true[start:stop], c.time[start:stop], window)
        if scale == TRUE:
            smear(draws, response, start, e_nr, e_ee, e_reco, e_reco_nr)
            draw_for(ACCEPT, draws, start, n)
            if response.efficiency == STEP:
                accepted = np.int64(response.logistic[0] * 2.0**32)
                for i in range(n):
                    selected[i] = np.int64(words[i]) < accepted
            else:
                for i in range(n):
                    selected[i] = uniform(words[i]) < acceptance(response, e_reco[i])
        else:
            convert_energies(response, scale, e_nr, e_ee, e_reco, e_reco_nr)
            for i in range(n):
                selected[i] = True
        for i in range(n):
            inside = (energy[i] >= least) & (e_reco[i] >= low) & (e_reco[i] <= top)
            selected[i] = selected[i] & inside & (window[i] > 0)
        if kept.shape[1] > 0:
            draw_for(ACCEPT_TIME, draws, start, n)
            keep_by_time(timing, kept, words, c.time[start:stop], window, selected)
        if timing.dead_time > 0.0 and timing.veto_exposures:
            pulse = c.pulse[start:stop]
            for i in range(n):
                c0 = np.uint64(pulse[i] - first)
                c2 = VETO + draws.high + ATTEMPT * np.uint64(window[i])
                w, _, _, _ = philox(key, c0, draws.block, c2, timing.veto_stream)
                selected[i] = selected[i] & (uniform(w) >= timing.dead_time)
        elif timing.dead_time > 0.0:
            draw_for(VETO, draws, start, n)
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
