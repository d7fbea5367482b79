"""Scratch space of a slice, and events in order on their way into the ntuple's columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.sampling.kernel import kernel
from ...generator.sampling.sampler import Candidates, new_candidates
from ...generator.sampling.stream import BATCH
from ..columns import COLUMNS
from .interleave import BLOCK, stream

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
    """What a thread needs while it makes events; from `new_scratch`."""

    columns: Columns
    """Columns of a slice, source after source."""
    stage: Columns
    """Events in order, until there are enough of them to be written out."""
    channel: NDArray[np.int16]
    """Channel of signal events, or the code of a background, as in `Sources`."""
    place: Array
    """Cumulative spacings, then parts of a pulse."""
    run_from: NDArray[np.int32]
    run_length: NDArray[np.int32]
    words: NDArray[np.uint32]
    spare: NDArray[np.float32]
    """Two numbers for each event of a batch."""
    candidates: Candidates
    """Candidates of the sampler of recoils."""
    events: NDArray[np.int64]
    """Events of each source in the slice."""
    head: NDArray[np.int64]
    edges: NDArray[np.int64]
    """First row of each source, and the end."""


def new_scratch(events: int, sources: int) -> Scratch:
    """Scratch space for slices of at most so many events, of a number of sources."""
    rows, kinds = events + BLOCK, [kind for kind, _, _ in COLUMNS.values()]
    return Scratch(
        columns=Columns(*(np.empty(rows, kind) for kind in kinds)),
        stage=Columns(*(np.empty(rows + STAGE, kind) for kind in kinds)),
        channel=np.empty(rows, np.int16),
        place=np.empty(rows),
        run_from=np.empty(rows, np.int32),
        run_length=np.empty(rows, np.int32),
        words=np.empty(BATCH, np.uint32),
        spare=np.empty((2, BATCH), np.float32),
        candidates=new_candidates(),
        events=np.empty(sources, np.int64),
        head=np.empty(sources, np.int64),
        edges=np.empty(sources + 1, np.int64),
    )


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
