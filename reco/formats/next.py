"""NEXT's HDF5 of a xenon chamber: reconstructed point-like events (kdst) with their simulation.

`DST/Events` has one S2 an event, its charge in counts of `daq.gain`; `Run` the run; `MC` the recoil
in MeV. `NUSPILL/Clock`, row by row beside the events, keeps pulse and time, which the time of the
kdst, seconds since 1970, has to 0.2 µs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .shared import hdf5 as _hdf5
from .shared.about import LONGEST_TEXT, About, parsed
from .shared.digitiser import gain_of

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "next"
DESCRIPTION = "NEXT kdst and simulation (HDF5 of PyTables)"
EXTRA = "next"
REQUIRES = ("tables", "h5py")
NEEDS = ("event", "pulse", "time", "module", "x", "y", "z", "e_nr", "e_reco")
KEEPS = (
    "pulse, time, module, x, y, z, e_nr (to 1e-7), e_reco, pulses and protons of the run, "
    "experiment"
)
LOSES = "neutrinos, nuclei, light; every event is one S2 and no S1"
PLACES = "file"
DEFAULT = None

EVENTS = np.dtype(
    [("event", "i8"), ("time", "f8")]
    + [(name, "u2") for name in ("s1_peak", "s2_peak", "nS1", "nS2")]
    + [(name, "f8") for name in ("S1w", "S1h", "S1e", "S1t", "S2w", "S2h", "S2e", "S2q", "S2t",
                                 "qmax")]
    + [("Nsipm", "u2")]
    + [(name, "f8") for name in ("DT", "Z", "Zrms", "X", "Y", "R", "Phi", "Xrms", "Yrms")]
)  # fmt: skip
TABLES: dict[str, np.dtype[Any]] = {
    "/DST/Events": EVENTS,
    "/Run/events": np.dtype([("evt_number", "i8"), ("timestamp", "u8")]),
    "/MC/hits": np.dtype(
        [("event_id", "i8"), ("x", "f4"), ("y", "f4"), ("z", "f4"), ("time", "f4"),
         ("energy", "f4"), ("label", "S20"), ("particle_id", "i4"), ("hit_id", "i4")]
    ),
    "/NUSPILL/Clock": np.dtype([("pulse", "i8"), ("time", "f8"), ("module", "i2")]),
}  # fmt: skip
"""Columns of the tables by path; times are s in DST, ms in Run, ns in MC and NUSPILL."""
DRIFT = 0.92
"""Drift velocity of electrons, mm/µs: NEXT-White, arXiv:1804.01680."""
STEP = 1 << 17
LONGEST_ROW = 4096
"""Bytes of a row, at most."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A file of PyTables to read; what is wrong with it is a ValueError."""
    import tables

    with _hdf5.opened(path) as file:  # PyTables crashes where h5py has an error
        _looked_through(file)
    try:
        with tables.open_file(path, "r") as file:
            yield file
    except (tables.HDF5ExtError, tables.NodeError, AttributeError, RuntimeError) as error:
        raise ValueError(str(error).strip().splitlines()[0]) from error


def _looked_through(group: Any, depth: int = 3) -> None:
    """Read attributes and names of objects, and types of columns, so that h5py finds damage."""
    dict(group.attrs)
    if not hasattr(group, "items"):
        _ = group.dtype, group.shape
    elif depth:
        for child in group.values():
            if child is not None:  # a link to nothing
                _looked_through(child, depth - 1)


def recognise(path: Path) -> bool:
    """Whether a file is HDF5 with the table DST/Events."""
    if not _hdf5.is_hdf5(path):
        return False
    with opened(path) as file:
        return "/DST/Events" in file


def embedded(path: Path) -> About | None:
    """What nuspill wrote of the sample."""
    with opened(path) as file:
        note = getattr(file.root._v_attrs, "nuspill", "")
        return parsed(str(note)[: LONGEST_TEXT + 1], path)


def write(sample: Sample, path: Path) -> int:
    """Write the tables, block by block."""
    import tables

    experiment, daq = sample.experiment, sample.experiment.daq
    geometry, gain = experiment.detector.geometry, gain_of(experiment)
    half = geometry.size[-1] / 2 if geometry else 0.0
    period, events = experiment.beam_windows.period * 1e-9, 0
    with tables.open_file(path, "w", title="nuspill") as file:
        file.root._v_attrs.nuspill = sample.about()
        outputs = {
            name: file.create_table(*name.rsplit("/", 1), kind, createparents=True)
            for name, kind in TABLES.items()
        }
        run = file.create_table("/Run", "runInfo", np.dtype([("run_number", "i4")]))
        run.append(np.zeros(1, run.dtype))
        for block in sample.blocks(NEEDS):
            n = len(block["pulse"])
            rows = {name: np.zeros(n, kind) for name, kind in TABLES.items()}
            dst, numbers, hits, clock = rows.values()
            seconds = (block["pulse"] - daq.first_pulse) * period + block["time"] * 1e-9
            numbers["timestamp"] = np.rint(seconds * 1e3) + daq.epoch_ns // 10**6
            dst["event"] = numbers["evt_number"] = hits["event_id"] = block["event"]
            dst["time"] = seconds + daq.epoch_ns * 1e-9
            dst["nS2"] = dst["Nsipm"] = 1
            dst["S2e"] = block["e_reco"].astype(float) / gain
            if "x" in block:
                x, y, z = (block[axis].astype(float) for axis in "xyz")
                dst["X"], dst["Y"], dst["Z"] = x, y, z + half
                dst["R"], dst["Phi"] = np.hypot(x, y), np.arctan2(y, x)
                dst["DT"] = dst["Z"] / DRIFT
                hits["x"], hits["y"], hits["z"] = x, y, z + half
                clock["module"] = block["module"]
            hits["energy"], hits["label"] = block["e_nr"] * 1e-3, b"ACTIVE"
            hits["particle_id"] = 1
            clock["pulse"], clock["time"] = block["pulse"], block["time"]
            for name, table in outputs.items():
                table.append(rows[name])
            events += n
    return events


def read(source: Source) -> Iterator[Block]:
    """Events of DST/Events; several rows of one event, its other peaks, are events too."""
    geometry = source.experiment.detector.geometry
    half = geometry.size[-1] / 2 if geometry else 0.0
    with opened(source.path) as file:
        dst = _table(file, "/DST/Events", ("event", "time", "S2e", "X", "Y", "Z"), source)
        beside = {
            name: _table(file, name, TABLES[name].names or (), source)
            for name in ("/MC/hits", "/NUSPILL/Clock")
            if name in file
        }
        for name, table in beside.items():
            if table.nrows != dst.nrows and name == "/NUSPILL/Clock":
                raise source.wrong(f"has {table.nrows} rows in {name} for {dst.nrows} events")
        for start in range(0, dst.nrows, STEP):
            rows = dst.read(start, min(start + STEP, dst.nrows))
            block = {"e_reco": rows["S2e"] * source.gain, "x": rows["X"], "y": rows["Y"]}
            block["z"] = rows["Z"] - half
            if "/NUSPILL/Clock" in beside:
                clock = beside["/NUSPILL/Clock"].read(start, start + len(rows))
                block |= {name: clock[name] for name in ("pulse", "time", "module")}
            else:
                block |= _times(rows["time"], source)
            if "/MC/hits" in beside and beside["/MC/hits"].nrows == dst.nrows:
                hits = beside["/MC/hits"].read(start, start + len(rows))
                same = hits["event_id"] == rows["event"]
                block["e_nr"] = np.where(same, hits["energy"] * np.float32(1e3), np.nan)
            yield block


def _times(seconds: Any, source: Source) -> Block:
    ns = (seconds - source.experiment.daq.epoch_ns * 1e-9) * 1e9
    if (np.abs(ns) >= 2.0**62).any():
        raise source.wrong("has times beyond 2^62 ns")
    clock = source.clock(1)
    pulse, _ = clock.split(np.floor(np.where(np.isfinite(ns), ns, 0.0)).astype(np.int64))
    return {"pulse": pulse, "time": ns - clock.start(pulse)}


def _table(file: Any, name: str, columns: tuple[str, ...], source: Source) -> Any:
    """A table with some columns of numbers, as long as can be in the file."""
    import tables

    if name not in file:
        raise source.wrong(f"has no table {name}")
    table = file.get_node(name)
    if not isinstance(table, tables.Table):
        raise source.wrong(f"{name} is no table")
    absent = [column for column in columns if column not in table.colnames]
    if absent:
        raise source.wrong(f"{name} has no column {', '.join(absent)}")
    odd = [c for c in columns if table.coldtypes[c].shape or table.coldtypes[c].kind not in "iufS"]
    if odd:
        raise source.wrong(f"{name} has no numbers in {', '.join(odd)}")
    held = table.size_on_disk * (_hdf5.COMPRESSION if table.filters.complevel else 1)
    if table.nrows * table.rowsize > held:
        raise source.wrong(f"{name} claims {table.nrows} rows and has {table.size_on_disk} bytes")
    if table.rowsize > LONGEST_ROW or table.chunkshape[0] * table.rowsize > _hdf5.LARGEST_CHUNK:
        raise source.wrong(
            f"{name} has rows of {table.rowsize} bytes, {table.chunkshape[0]} a chunk; at most "
            f"{LONGEST_ROW} bytes, and {_hdf5.LARGEST_CHUNK} a chunk"
        )
    return table
