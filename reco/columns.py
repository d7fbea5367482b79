"""The ntuple's columns: names, types, units, and as arrays for the kernels that make them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.sampler import scratch as recoil_scratch
from ..generator.stream import BATCH
from .merge import BLOCK, stream

Array = NDArray[np.float64]

COLUMNS: dict[str, tuple[str, str, str]] = {
    "event": ("int64", "", "number in the run"),
    "pulse": ("int64", "", "beam pulse since the start of the run"),
    "time_true": ("float64", "ns", "true time since the start of that pulse"),
    "time": ("float64", "ns", "the same as the detector measures it"),
    "window": ("int8", "", "0 neither, 1 beam-on, 2 beam-off"),
    "component": ("int8", "", "1 numu, 2 nue, 3 numubar, 4 nuebar, 5 nutau, 6 nutaubar; "
                  "from 10 the backgrounds in the order of the file"),
    "nu_pdg": ("int16", "", "PDG code of the neutrino, 0 for background"),
    "target": ("int32", "", "PDG code of the nucleus, 0 for background"),
    "e_nu": ("float32", "MeV", "neutrino energy, 0 for background"),
    "e_nr": ("float32", "keV", "true nuclear recoil energy, for background equivalent"),
    "e_ee": ("float32", "keV", "quenched energy"),
    "e_reco": ("float32", "", "reconstructed energy in the detector's own unit"),
    "e_reco_nr": ("float32", "keV", "the same on the nuclear-recoil scale"),
    "selected": ("bool", "", "above threshold, accepted, in a window"),
}  # fmt: skip
"""Type, unit and meaning of the ntuple's columns."""
PLACE_COLUMNS: dict[str, tuple[str, str, str]] = {
    "module": ("int16", "", "crystal, CCD or chamber"),
    "x": ("float32", "mm", "place in it, from the centre of its active volume"),
    "y": ("float32", "mm", "place in it"),
    "z": ("float32", "mm", "place in it"),
}
"""The same of the columns on request."""

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
    """Of a slice, source after source."""
    stage: Columns
    """Events in order, until there are enough of them to be written out."""
    channel: NDArray[np.int16]
    """Of signal events, or the code of a background, as of `Sources`."""
    place: Array
    """Cumulative spacings, then parts of a pulse."""
    run_from: NDArray[np.int32]
    run_length: NDArray[np.int32]
    words: NDArray[np.uint32]
    spare: NDArray[np.float32]
    """Two numbers for each event of a batch."""
    candidates: NDArray[np.uint32]
    """Words of recoils, four each; and the next three, see `sample_recoils`."""
    again: NDArray[np.uint32]
    cells: NDArray[np.uint64]
    doubtful: NDArray[np.uint32]
    events: NDArray[np.int64]
    """Events of each source in the slice."""
    head: NDArray[np.int64]
    edges: NDArray[np.int64]
    """First row of each source, and the end."""


def new_scratch(events: int, sources: int) -> Scratch:
    """What is needed for slices of at most so many events, of a number of sources."""
    rows, kinds = events + BLOCK, [kind for kind, _, _ in COLUMNS.values()]
    candidates, again, cells, doubtful = recoil_scratch()
    return Scratch(
        Columns(*(np.empty(rows, kind) for kind in kinds)),
        Columns(*(np.empty(rows + STAGE, kind) for kind in kinds)),
        np.empty(rows, np.int16),
        np.empty(rows),
        np.empty(rows, np.int32),
        np.empty(rows, np.int32),
        np.empty(BATCH, np.uint32),
        np.empty((2, BATCH), np.float32),
        candidates,
        again,
        cells,
        doubtful,
        np.empty(sources, np.int64),
        np.empty(sources, np.int64),
        np.empty(sources + 1, np.int64),
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
