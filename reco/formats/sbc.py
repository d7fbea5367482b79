"""Scintillating Bubble Chamber: a folder of tables of events, bubbles, places and light.

A bubble says that a recoil was above threshold, and not of what energy: e_reco comes back as the
threshold, unless there is light. Of another table of that binary format the columns t (or time; ns
since the run start) and x, y, z are imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .shared.sbc_tables import (
    KEY,
    LIGHT,
    LIGHT_COLUMNS,
    MAGIC,
    Columns,
    energies_of,
    found_at,
    header,
    key_of,
    keyed,
    light_of,
    put_light,
    rows_of,
)

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "sbc"
DESCRIPTION = (
    "SBC bubble chambers, folder of event, bubble, reco, scintillation.sbc (imported: any table)"
)
EXTRA = ""
REQUIRES: tuple[str, ...] = ()
NEEDS = ("pulse", "time", "module", "x", "y", "z", "e_reco")
KEEPS = "pulse, time, place, e_reco of detectors that see light"
LOSES = (
    "truth, module, e_reco of detectors that only count (it comes back as the threshold); there "
    "are no pictures and no waveforms"
)
PLACES = "either"
DEFAULT = None

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
    LIGHT: KEY | LIGHT_COLUMNS,
}
"""Columns of the tables; `pulse` and `time` (ns since it) are ours, and exact."""
STEP = 100_000


def recognise(path: Path) -> bool:
    """Whether a path is a folder with event.sbc, or a file that begins as such tables do."""
    path = path / "event.sbc" if path.is_dir() else path
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in (MAGIC, MAGIC[::-1])


def write(sample: Sample, path: Path) -> int:
    """Write one event, bubble, place and trigger of the SiPMs a recoil."""
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
            event, bubble, place, light = tables.values()
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
            put_light(light, block, sample.experiment)
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
    light = light_of(folder, source) if folder else None
    for start in range(0, len(rows), STEP):
        part = rows[start : start + STEP]
        block = _times(part, source)
        keys = key_of(part) if keyed(part) else None
        block |= energies_of(None if keys is None else light, keys, len(part), source)
        if places is not None and keys is not None:
            coordinates = found_at(keys, *places)
            block |= {"x": coordinates[:, 0], "y": coordinates[:, 1], "z": coordinates[:, 2]}
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


def _places(rows: NDArray[Any], source: Source) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """Key and place of the first bubble of each event; None if no place is known."""
    if not keyed(rows) or "coords_3D" not in (rows.dtype.names or ()):
        raise source.wrong("reco.sbc has no columns runid, ev and coords_3D")
    if rows.dtype["coords_3D"].shape != (3,):
        raise source.wrong("reco.sbc has coords_3D that are not three numbers")
    keys, first = np.unique(key_of(rows), return_index=True)
    coordinates = rows["coords_3D"][first]
    return (keys, coordinates) if np.isfinite(coordinates).any() else None
