"""LEGEND's LH5: hits a channel, the time-coincidence map, events; raw waveforms on request.

The module of the ntuple is the channel: `ch0000002/hit`. The time since 1970 in seconds, as LEGEND
has it, is good to 0.2 µs; the columns `pulse` and `time` (ns) beside it are exact.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .shared import hdf5 as _hdf5
from .shared.about import About, parsed
from .shared.blocks import in_order, merged
from .shared.digitiser import counts_of, gain_of, waveforms

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "lh5"
DESCRIPTION = "LEGEND LH5 (HDF5): hit, tcm and evt tiers, raw with daq.waveform.samples"
EXTRA = "lh5"
REQUIRES = ("lh5", "lgdo", "h5py")
NEEDS = ("pulse", "time", "module", "e_reco")
KEEPS = "pulse, time, module, e_reco, pulses and protons of the run, experiment"
LOSES = "truth, place; waveforms are written, not kept on import"
PLACES = "file"
DEFAULT = None

CHANNEL = re.compile(r"ch([0-9]{7})")
ENERGY = "cuspEmax_ctc_cal"
NOTE = "nuspill"
"""Attribute of the file with what nuspill knows of the sample."""
STEP, LEAST_STEP = 1 << 18, 1 << 12
"""Rows read at a time of all channels, and of each at least."""
LATEST = 2.0**62


def recognise(path: Path) -> bool:
    """Whether a file is HDF5 with hits of a channel."""
    if not _hdf5.is_hdf5(path):
        return False
    with _hdf5.opened(path) as file:
        return any(_hits(file, name) is not None for name in file)


def embedded(path: Path) -> About | None:
    """What nuspill wrote of the sample."""
    with _hdf5.opened(path) as file:
        return parsed(_hdf5.text(file, NOTE) or "", path)


def write(sample: Sample, path: Path) -> int:
    """Write the tiers; every event is one hit."""
    import h5py
    import lh5
    from lgdo import Array, Scalar, Table, VectorOfVectors

    daq, unit = sample.experiment.daq, sample.experiment.detector.unit
    period = sample.experiment.beam_windows.period * 1e-9
    rows: dict[int, int] = defaultdict(int)
    events = 0
    with h5py.File(path, "w") as file:
        lh5.write(Scalar(sample.about()), NOTE, file)
        for block in sample.blocks(NEEDS):
            n = len(block["pulse"])
            if n == 0:
                continue
            seconds = (block["pulse"] - daq.first_pulse) * period + block["time"] * 1e-9
            seconds += daq.epoch_ns * 1e-9
            module = block.get("module", np.zeros(n, np.int16))
            place = np.empty(n, np.int64)
            for number in np.unique(module).tolist():
                in_channel = slice(None) if number == module[0] and (module == number).all() else (
                    np.flatnonzero(module == number)
                )  # fmt: skip
                energy = block["e_reco"][in_channel]
                hits = Table(
                    {
                        "timestamp": Array(seconds[in_channel], attrs={"units": "s"}),
                        ENERGY: Array(energy, attrs={"units": unit}),
                        "pulse": Array(block["pulse"][in_channel]),
                        "time": Array(block["time"][in_channel], attrs={"units": "ns"}),
                    }
                )
                place[in_channel] = np.arange(rows[number], rows[number] + len(energy))
                rows[number] += len(energy)
                lh5.write(hits, "hit", file, group=f"ch{number:07d}", wo_mode="append")
                if daq.waveform.samples:
                    raw = _raw(seconds[in_channel], energy, sample)
                    lh5.write(raw, "raw", file, group=f"ch{number:07d}", wo_mode="append")
            ends = np.arange(1, n + 1)
            energies = Array(block["e_reco"], attrs={"units": unit})
            key, row, energy = (
                VectorOfVectors(flattened_data=flat, cumulative_length=ends)
                for flat in (module.astype("i4"), place, energies)
            )
            tcm = Table({"table_key": key, "row_in_table": row})
            lh5.write(tcm, "hardware_tcm_1", file, wo_mode="append")
            trigger = Table({"timestamp": Array(seconds, attrs={"units": "s"})})
            geds = Table({"energy": energy, "rawid": key})
            evt = Table({"trigger": trigger, "geds": geds})
            lh5.write(evt, "evt", file, wo_mode="append")
            events += n
    return events


def _raw(seconds: NDArray[np.float64], energy: NDArray[np.float32], sample: Sample) -> Any:
    from lgdo import Array, Table, WaveformTable

    shape = sample.experiment.daq.waveform
    counts, _ = counts_of(energy, gain_of(sample.experiment))
    pulses = WaveformTable(
        t0=0.0, t0_units="ns", dt=shape.period, dt_units="ns", values=waveforms(counts, shape)
    )
    columns = {"timestamp": Array(seconds, attrs={"units": "s"}), "daqenergy": Array(counts)}
    return Table(columns | {"waveform": pulses})


def read(source: Source) -> Iterator[Block]:
    """Hits of all channels, in order of time."""
    with _hdf5.opened(source.path) as file:
        channels = {
            int(match[1]): group
            for name in file
            if (match := CHANNEL.fullmatch(name)) and (group := _hits(file, name)) is not None
        }
        if not channels:
            raise source.wrong("has no hits of a channel, ch0000000/hit")
        step = max(STEP // len(channels), LEAST_STEP)
        yield from merged([_channel(group, n, step, source) for n, group in channels.items()])


def _hits(file: Any, name: str) -> Any:
    group = file.get(name)
    hit = group.get("hit") if CHANNEL.fullmatch(name) and hasattr(group, "get") else None
    return hit if hasattr(hit, "get") else None


def _channel(group: Any, number: int, step: int, source: Source) -> Iterator[Block]:
    """Hits of a channel, in order of pulses; columns are checked before they are read."""
    energy = _hdf5.column(group, ENERGY, "f", source)
    unit = _hdf5.attribute(energy, "units", "keV")
    wanted = source.experiment.detector.unit
    if unit not in (wanted, "keV" if wanted == "keV_ee" else wanted):
        raise source.wrong(f"has energies in '{unit[:40]}', {source.experiment.name} in {wanted}")
    exact = "pulse" in group and "time" in group
    kinds = {"pulse": "iu", "time": "f"} if exact else {"timestamp": "f"}
    columns = {name: _hdf5.column(group, name, kind, source) for name, kind in kinds.items()}
    if not exact and (unit := _hdf5.attribute(columns["timestamp"], "units", "s")) != "s":
        raise source.wrong(f"{columns['timestamp'].name} is in '{unit[:40]}', not in s")
    n, last = _hdf5.same_length(columns | {ENERGY: energy}, source), -1
    for part in _hdf5.steps(n, step):
        rows = {name: column[part] for name, column in columns.items()}
        pulse, time = (
            (rows["pulse"].astype(np.int64), rows["time"])
            if exact
            else _times(rows["timestamp"], columns["timestamp"].name, source)
        )
        block = {"pulse": pulse, "time": time, "e_reco": energy[part]}
        keep = in_order(pulse, last)
        source.damage.found(int((~keep).sum()), "events out of the order of time", group.name)
        block = {name: values[keep] for name, values in block.items()}
        block["module"] = np.full(len(block["pulse"]), number, np.int64)
        last = int(block["pulse"][-1]) if len(block["pulse"]) else last
        yield block


def _times(stamp: Any, name: str, source: Source) -> tuple[Any, Any]:
    """Pulse, and ns since it, of seconds since 1970."""
    ns = (stamp.astype(np.float64) - source.experiment.daq.epoch_ns * 1e-9) * 1e9
    if (np.abs(ns) >= LATEST).any():
        raise source.wrong(f"{name} has times beyond 2^62 ns")
    clock = source.clock(1)
    pulse, _ = clock.split(np.floor(np.where(np.isfinite(ns), ns, 0.0)).astype(np.int64))
    return pulse, ns - clock.start(pulse)
