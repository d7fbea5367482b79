"""Blocks of events that are read: in order of time, and with all columns of the ntuple.

Unknown truth is 0 in whole-number columns and NaN in the others. `window`, `e_reco_nr` and
`selected` follow from the measured time and energy and the experiment's windows and cuts, which
know nothing of chance: what was lost to efficiency or veto is not in a detector's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...columns import COLUMNS, PLACE_COLUMNS, Block

if TYPE_CHECKING:
    from ...experiment import Experiment
    from .source import Damage

MOST_MODULES = 32767
MOST_WAITING = 1 << 20
"""Events of one channel that wait for the others; of a pulse with more, times are not in order."""
REPEATED = 1e-6
"""Part by which an energy may miss the threshold, for what a file keeps rounded."""


def clean(block: Block, damage: Damage, last_pulse: int) -> tuple[Block, int]:
    """Refuse, or drop, what cannot be: energies or times that are no numbers, time that goes back.

    Pulses never go back; within a pulse any order is right. Of a block that is not in order the
    fewest events go. Returns what is left and the last pulse.
    """
    finite = np.isfinite(block["e_reco"]) & np.isfinite(block["time"])
    damage.found(int((~finite).sum()), "events without a finite energy and time")
    block = kept(block, finite)
    if "module" in block:
        known = (block["module"] >= 0) & (block["module"] <= MOST_MODULES)
        damage.found(int((~known).sum()), f"events of no module from 0 to {MOST_MODULES}")
        block = kept(block, known)
    pulse = block["pulse"]
    if pulse.size == 0:
        return block, last_pulse
    old, wrong = pulse < last_pulse, ~in_order(pulse, last_pulse)
    if wrong.any():
        at = int(np.argmax(old if old.any() else np.diff(pulse, prepend=pulse[0]) < 0))
        before = last_pulse if old.any() else pulse[at - 1]
        text = f"pulse {pulse[at]} comes after pulse {before}"
        damage.found(int(wrong.sum()), "events out of the order of time", text)
        block = kept(block, ~wrong)
    return block, int(block["pulse"][-1]) if len(block["pulse"]) else last_pulse


def kept(block: Block, keep: NDArray[np.bool_]) -> Block:
    """The events of a block for which `keep` is true."""
    return block if keep.all() else {name: column[keep] for name, column in block.items()}


def complete(block: Block, experiment: Experiment, first_event: int) -> Block:
    """All columns of the ntuple, in their order and types."""
    n = len(block["e_reco"])
    known = dict(block)
    known["event"] = np.arange(first_event, first_event + n)
    if "window" not in known:
        known["window"] = window_of(block["time"], experiment)
    if "e_reco_nr" not in known:
        known["e_reco_nr"] = recoil_scale(block["e_reco"], experiment)
    if "selected" not in known:
        known["selected"] = passes(known, experiment)
    columns: Block = {}
    for name, (kind, _, _) in (COLUMNS | PLACE_COLUMNS).items():
        dtype = np.dtype(kind)
        if name in known:
            columns[name] = np.asarray(known[name]).astype(dtype, copy=False)
        elif name in COLUMNS:
            columns[name] = np.full(n, np.nan if dtype.kind == "f" else 0, dtype)
    return columns


def window_of(time: NDArray[np.float64], experiment: Experiment) -> NDArray[np.int8]:
    """Window of each time: 1 beam-on, 2 beam-off, 0 neither."""
    w = experiment.beam_windows
    on = (time >= w.on_start) & (time < w.on_stop)
    off = (time >= w.off_start) & (time < w.off_stop)
    return on.astype(np.int8) + 2 * off.astype(np.int8)


def recoil_scale(e_reco: NDArray[Any], experiment: Experiment) -> NDArray[np.float64]:
    """Reconstructed energies on the nuclear-recoil scale, keV."""
    detector = experiment.detector
    if detector.unit == "keV_nr":
        return np.asarray(e_reco, np.float64)
    energy = np.maximum(np.asarray(e_reco, np.float64), 0.0) / detector.per_kev
    return detector.recoil_equivalent(energy, experiment.energy_top)


def passes(block: Block, experiment: Experiment) -> NDArray[np.bool_]:
    """Whether events pass the cuts: in a window, above threshold, in the region."""
    recoil = np.asarray(block["e_reco_nr"], np.float64) * (1 + REPEATED)
    accepted = experiment.detector.passes(np.asarray(block["e_reco"], float), recoil)
    return np.asarray(accepted & (np.asarray(block["window"]) > 0), np.bool_)


def in_order(pulse: NDArray[np.int64], last: int) -> NDArray[np.bool_]:
    """Events to keep of a block after pulse `last`, so that no pulse comes before another.

    Earlier ones go, and then the fewest: those later than one that follows, or those earlier than
    one before.
    """
    keep = pulse >= last
    rest = pulse[keep]
    if rest.size:
        ahead = rest > np.minimum.accumulate(rest[::-1])[::-1]
        behind = rest < np.maximum.accumulate(rest)
        keep[keep] = ~(ahead if ahead.sum() < behind.sum() else behind)
    return keep


def merged(channels: list[Iterator[Block]]) -> Iterator[Block]:
    """Blocks of all channels in order of pulse, and of time in each pulse.

    Only what is not yet decided waits in memory: events no earlier than the last one known of the
    channel that is least far.
    """
    rest: dict[int, Block] = {}
    for i, channel in enumerate(channels):
        if (block := _next(channel)) is not None:
            rest[i] = block
    more = set(rest)
    while more:
        bound = min(int(rest[i]["pulse"][-1]) for i in more)
        yield from _taken(rest, bound, "left")
        for i in sorted(more):
            if len(rest[i]["pulse"]) and rest[i]["pulse"][-1] != bound:
                continue
            if len(rest[i]["pulse"]) > MOST_WAITING:
                yield from _taken(rest, bound, "right")
            block = _next(channels[i])
            if block is None:
                more.remove(i)
            else:
                rest[i] = {n: np.concatenate([rest[i][n], block[n]]) for n in block}
    yield from _taken(rest, None, "left")


def _next(channel: Iterator[Block]) -> Block | None:
    """The next block of a channel that is not empty."""
    return next((block for block in channel if len(block["pulse"])), None)


def _taken(rest: dict[int, Block], bound: int | None, side: str) -> Iterator[Block]:
    """Take the events before a pulse from all channels, or with `side` "right" those in it too."""
    parts = []
    for i, block in rest.items():
        pulse = block["pulse"]
        n = len(pulse) if bound is None else int(np.searchsorted(pulse, bound, side=side))  # type: ignore[call-overload]
        if n:
            parts.append({name: values[:n] for name, values in block.items()})
            rest[i] = {name: values[n:] for name, values in block.items()}
    if parts:
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.lexsort((whole["time"], whole["pulse"]))
        yield {name: values[order] for name, values in whole.items()}
