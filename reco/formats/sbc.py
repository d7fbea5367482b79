"""Scintillating Bubble Chamber: a folder of tables of events, bubbles and reconstructed places.

A bubble says that a recoil was above threshold, and not of what energy: e_reco comes back as the
threshold. Of another table of that binary format the columns t (or time; ns since the run start)
and x, y, z are imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._sbc_table import MAGIC, header, rows_of

if TYPE_CHECKING:
    from ..run import Block
    from ._sample import Sample
    from ._source import Source

NAME = "sbc"
DESCRIPTION = "SBC bubble chambers, folder of event.sbc, bubble.sbc, reco.sbc (imported: any table)"
EXTRA = ""
REQUIRES: tuple[str, ...] = ()
NEEDS = ("pulse", "time", "module", "x", "y", "z")
KEEPS = "pulse, time, place"
LOSES = "truth, energies (e_reco comes back as the threshold), module; there are no pictures"
PLACES = "either"
DEFAULT = None

Columns = dict[str, tuple[str, tuple[int, ...]]]
KEY: Columns = {"runid": ("int32", (2,)), "ev": ("int32", ())}
TABLES: dict[str, Columns] = {
    "event.sbc": KEY
    | {
        "ev_livetime": ("double", ()),
        "cum_livetime": ("double", ()),
        "start_time": ("double", ()),
        "end_time": ("double", ()),
        "trigger_source": ("string100", ()),
        "pulse": ("int64", ()),
        "time": ("double", ()),
    },
    "bubble.sbc": KEY | {"ibubimage": ("int32", ()), "nbubimage": ("int32", ())},
    "reco.sbc": KEY | {"frame": ("int32", ()), "coords_3D": ("double", (3,))},
}
"""Columns of the tables; `pulse` and `time` (ns since it) are ours, and exact."""
STEP = 100_000


def recognise(path: Path) -> bool:
    """Whether it is a folder with event.sbc, or a file that begins as such tables do."""
    path = path / "event.sbc" if path.is_dir() else path
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in (MAGIC, MAGIC[::-1])


def write(sample: Sample, path: Path) -> int:
    """Write one event, bubble and place a recoil."""
    daq, period = sample.experiment.daq, sample.experiment.beam_windows.period
    day = int(datetime.fromisoformat(daq.run_start).strftime("%Y%m%d"))
    events, last = 0, 0.0
    with ExitStack() as stack:
        files: dict[str, tuple[Any, Any]] = {}
        for name, columns in TABLES.items():
            start, kind = header(columns)
            files[name] = stack.enter_context((path / name).open("wb")), kind
            files[name][0].write(start)
        for block in sample.blocks(NEEDS):
            n = len(block["pulse"])
            tables = {name: np.zeros(n, kind) for name, (_, kind) in files.items()}
            for table in tables.values():
                table["runid"], table["ev"] = (day, 0), np.arange(events, events + n)
            since = ((block["pulse"] - daq.first_pulse) * period + block["time"]) * 1e-9
            event, bubble, place = tables.values()
            event["start_time"] = event["end_time"] = daq.epoch_ns * 1e-9 + since
            event["ev_livetime"] = np.diff(since, prepend=last)
            event["cum_livetime"] = since
            event["trigger_source"] = "nuspill"
            event["pulse"], event["time"] = block["pulse"], block["time"]
            bubble["ibubimage"] = bubble["nbubimage"] = 1
            known = "x" in block
            unknown = np.full(n, np.nan)
            place["coords_3D"] = np.stack(
                [block[axis] if known else unknown for axis in "xyz"], axis=-1
            )
            for name, table in tables.items():
                files[name][0].write(table.view(np.uint8).data if n else b"")
            events, last = events + n, float(since[-1]) if n else last
    return events


def read(source: Source) -> Iterator[Block]:
    """Events of a folder, or of one table."""
    folder = source.path if source.path.is_dir() else None
    main = folder / "event.sbc" if folder else source.path
    if not main.is_file():
        raise source.wrong("has no event.sbc")
    rows = rows_of(main, source)
    reco = folder / "reco.sbc" if folder else None
    places = _places(rows_of(reco, source), source) if reco and reco.is_file() else None
    for start in range(0, len(rows), STEP):
        part = rows[start : start + STEP]
        block = _times(part, source)
        n = len(part)
        block["e_reco"] = np.full(n, source.experiment.detector.threshold)
        block["e_reco_nr"] = block["e_reco"]
        if places is not None and _keyed(part):
            keys, coordinates = places
            at = np.searchsorted(keys, _key(part))
            at = np.minimum(at, len(keys) - 1)
            found = np.where((keys[at] == _key(part))[:, None], coordinates[at], np.nan)
            block |= {"x": found[:, 0], "y": found[:, 1], "z": found[:, 2]}
        elif all(axis in (part.dtype.names or ()) for axis in "xyz"):
            block |= {axis: part[axis] for axis in "xyz"}
        yield block


def _times(rows: NDArray[Any], source: Source) -> Block:
    names = rows.dtype.names or ()
    if "pulse" in names and "time" in names:
        return {"pulse": rows["pulse"].astype(np.int64), "time": rows["time"].astype(np.float64)}
    for name, scale, epoch in (("t", 1.0, 0), ("time", 1.0, 0), ("start_time", 1e9, 1)):
        if name in names and rows.dtype[name].kind in "iuf" and not rows.dtype[name].shape:
            ns = rows[name].astype(np.float64) * scale
            ns -= epoch * source.experiment.daq.epoch_ns
            wrong = ~(np.abs(ns) < 2.0**62)
            if wrong.any():
                raise source.wrong(f"has a time of {ns[wrong][0]:.3g} ns since the run start")
            pulse, _ = source.clock(1).split(np.floor(ns).astype(np.int64))
            return {"pulse": pulse, "time": ns - source.clock(1).start(pulse)}
    raise source.wrong(
        f"has no column of time (t, time, start_time), only {', '.join(names)[:200]}"
    )


def _keyed(rows: NDArray[Any]) -> bool:
    names = rows.dtype.names or ()
    return "runid" in names and "ev" in names and rows.dtype["runid"].shape == (2,)


def _key(rows: NDArray[Any]) -> NDArray[np.int64]:
    """One number an event of a day's run."""
    run = rows["runid"].astype(np.int64)
    key: NDArray[np.int64] = (run[:, 0] * 1000 + run[:, 1]) << 24 | rows["ev"].astype(np.int64)
    return key


def _places(rows: NDArray[Any], source: Source) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """Key and place of the first bubble of each event; None if no place is known."""
    if not _keyed(rows) or "coords_3D" not in (rows.dtype.names or ()):
        raise source.wrong("reco.sbc has no columns runid, ev and coords_3D")
    if rows.dtype["coords_3D"].shape != (3,):
        raise source.wrong("reco.sbc has coords_3D that are not three numbers")
    keys, first = np.unique(_key(rows), return_index=True)
    coordinates = rows["coords_3D"][first]
    return (keys, coordinates) if np.isfinite(coordinates).any() else None
