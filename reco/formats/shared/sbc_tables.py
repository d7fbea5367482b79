"""Tables of the Scintillating Bubble Chamber's binary format.

A word 0x01020304 in the byte order of the file, the length of the header, the header
"name;type;dimensions;" for each column, a number of rows that is 0 where it is not kept, and rows
without gaps.

Light is in `scintillation.sbc`, a row a trigger of the SiPMs' digitiser. Its columns are those of
the collaboration's reconstruction (SBC-Collaboration/LAr10Ana, SiPMPulses), each an array of the
SiPMs: times in µs since the record starts, for us with the beam pulse, areas in ADC counts. A SiPM
without a hit, and what is not simulated, is NaN. Which SiPM sees how much is not simulated either:
they share the light, e_reco in counts of `daq.gain`, equally.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .blocks import recoil_scale
from .digitiser import gain_of

if TYPE_CHECKING:
    from ...columns import Block
    from ...experiment import Experiment
    from .source import Source

MAGIC = b"\x04\x03\x02\x01"
TYPES = {
    "bool": "?", "char": "i1",
    "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8",
    "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8",
    "float": "f4", "single": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
LONGEST_ROW = 100_000_000
"""Bytes of a row, at most."""
Columns = dict[str, tuple[str, tuple[int, ...]]]
"""Type and dimensions of each column, by name."""
KEY: Columns = {"runid": ("int32", (2,)), "ev": ("int32", ())}
"""Day and number of the run, and number of the event in it: what tables have in common."""
LIGHT = "scintillation.sbc"
SIPMS = 32
"""Number of SiPMs of the collaboration's chamber."""
UNKNOWN = ("baseline", "rms", "hit_tf", "hit_amp", "max_avg_fft_freq")
LIGHT_COLUMNS: Columns = {
    name: ("int64" if name == "second_pulse" else "double", (SIPMS,))
    for name in ("baseline", "rms", "hit_t0", "hit_tf", "hit_area", "hit_amp", "wvf_area",
                 "second_pulse", "max_avg_fft_freq")
}  # fmt: skip
MOST_AREAS = 1 << 20
"""Areas read at a time."""


def header(columns: Columns) -> tuple[bytes, np.dtype[Any]]:
    """Beginning of a file of columns (type, dimensions), and the type of its rows."""
    text = "".join(
        f"{name};{kind};{','.join(map(str, dims or (1,)))};"
        for name, (kind, dims) in columns.items()
    )
    encoded = text.encode("ascii")
    start = MAGIC + struct.pack("<H", len(encoded)) + encoded + struct.pack("<i", 0)
    fields = [(name, f"<{_code(kind)}", dims) for name, (kind, dims) in columns.items()]
    return start, np.dtype(fields)


def _code(kind: str) -> str | None:
    """NumPy's code of a type, without the byte order; None if there is no such type."""
    width = kind.removeprefix("string")
    if width != kind and width.isascii() and width.isdigit() and len(width) < 6:
        return f"U{width}"
    return TYPES.get(kind)


def rows_of(path: Path, source: Source) -> NDArray[Any]:
    """Rows of a file, mapped and not read as a whole.

    Raises
    ------
    ExperimentError
        If it is no such file, or what it claims does not fit in it.
    """
    with path.open("rb") as file:
        start = file.read(6)
        order = {MAGIC: "<", MAGIC[::-1]: ">"}.get(start[:4])
        if order is None or len(start) < 6:
            raise source.wrong(f"{path.name} begins with {start[:4].hex()}, not with 04030201")
        (length,) = struct.unpack(f"{order}H", start[4:])
        text, claimed = file.read(length), file.read(4)
    if len(text) < length or len(claimed) < 4:
        raise source.wrong(f"{path.name} ends within its header of {length} bytes")
    kind = _row(text, order, path, source)
    (claimed_rows,) = struct.unpack(f"{order}i", claimed)
    begin, size = 10 + length, path.stat().st_size
    rows, spare = divmod(size - begin, kind.itemsize)
    source.damage.found(int(spare > 0), "rows cut off at the end", path.name)
    if claimed_rows not in (0, rows):
        lost = abs(claimed_rows - rows)
        source.damage.found(lost, f"rows that {path.name} claims, of {claimed_rows}")
    if rows == 0:
        return np.empty(0, kind)
    return np.memmap(path, kind, "r", begin, (rows,))


def _row(text: bytes, order: str, path: Path, source: Source) -> np.dtype[Any]:
    parts = text.decode("latin-1").split(";")
    fields: list[Any] = []
    if len(parts) % 3 != 1 or parts[-1] or len(parts) == 1:
        raise source.wrong(f"{path.name} has no header of name;type;dimensions;")
    for name, kind, dims in zip(*(parts[i:-1:3] for i in range(3)), strict=True):
        code = _code(kind)
        sizes = [d for d in dims.split(",") if d.isascii() and d.isdigit() and len(d) < 10]
        shape = tuple(int(size) for size in sizes)
        room = math.prod(shape) * np.dtype(code or "V0").itemsize
        if len(sizes) != dims.count(",") + 1 or not 0 < room <= LONGEST_ROW:
            raise source.wrong(f"{path.name} has a column '{name[:40]};{kind[:40]};{dims[:40]}'")
        fields.append((name, f"{order}{code}", () if shape == (1,) else shape))
    if len({name for name, _, _ in fields}) < len(fields) or not all(n for n, _, _ in fields):
        raise source.wrong(f"{path.name} has two columns of one name, or one without")
    return np.dtype(fields)


def keyed(rows: NDArray[Any]) -> bool:
    """Whether rows say of which event they are."""
    names = rows.dtype.names or ()
    if "runid" not in names or "ev" not in names:
        return False
    run, event = rows.dtype["runid"], rows.dtype["ev"]
    return run.shape == (2,) and not event.shape and {run.base.kind, event.kind} <= {"i", "u"}


def key_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """One number an event of a day's run."""
    run = rows["runid"].astype(np.int64)
    key: NDArray[np.int64] = (run[:, 0] * 1000 + run[:, 1]) << 24 | rows["ev"].astype(np.int64)
    return key


def found_at(keys: NDArray[np.int64], known: NDArray[np.int64], values: NDArray[Any]) -> Any:
    """Values (of sorted keys) by key; NaN where a key is not known. There is at least one value."""
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    same = (known[at] == keys).reshape(-1, *[1] * (values.ndim - 1))
    return np.where(same, values[at], np.nan)


def sees(experiment: Experiment) -> bool:
    """Whether a detector measures an energy, and does not only count."""
    return experiment.detector.unit != "keV_nr"


def put_light(table: NDArray[Any], block: Block, experiment: Experiment) -> None:
    """Put the light of events into rows of the table."""
    for name in UNKNOWN:
        table[name] = np.nan
    area, time = np.full(len(table), np.nan), np.full(len(table), np.nan)
    if sees(experiment):
        area = block["e_reco"].astype(float) / gain_of(experiment) / SIPMS
        time = block["time"] * 1e-3
    table["hit_area"] = table["wvf_area"] = area[:, None]
    table["hit_t0"] = time[:, None]


def light_of(folder: Path, source: Source) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Sorted keys of events, and the sum of the areas of the brightest trigger of each, ADC counts.

    None if there is no such table, or the detector only counts.
    """
    path = folder / LIGHT
    if not path.is_file() or not sees(source.experiment):
        return None
    rows = rows_of(path, source)
    kind = rows.dtype["hit_area"] if "hit_area" in (rows.dtype.names or ()) else None
    if not keyed(rows) or kind is None or kind.base.kind not in "iuf":
        raise source.wrong(f"{LIGHT} has no columns runid, ev and hit_area of numbers")
    if len(rows) == 0:
        return None
    keys, areas = key_of(rows), np.empty(len(rows))
    step = max(MOST_AREAS // max(int(np.prod(kind.shape)), 1), 1)
    for start in range(0, len(rows), step):
        part = rows["hit_area"][start : start + step].astype(float)
        part = part.reshape(len(part), -1)
        dark = np.isnan(part).all(axis=1)
        areas[start : start + len(part)] = np.where(dark, np.nan, np.nansum(part, axis=1))
    order = np.lexsort((np.where(np.isnan(areas), -np.inf, areas), keys))
    last = np.append(np.diff(keys[order]) != 0, True)
    return keys[order][last], areas[order][last]


def energies_of(light: Any, keys: NDArray[np.int64] | None, n: int, source: Source) -> Block:
    """e_reco of n events from their light; where there is none, what a recoil at threshold has."""
    experiment, detector = source.experiment, source.experiment.detector
    least = float(detector.electron_equivalent(detector.threshold)) * detector.per_kev
    if light is None or keys is None:
        return {"e_reco": np.full(n, least), "e_reco_nr": np.full(n, detector.threshold)}
    energy = found_at(keys, *light) * source.gain
    dark = np.isnan(energy)
    energy[dark] = least
    recoil = recoil_scale(energy, experiment)
    recoil[dark] = detector.threshold
    return {"e_reco": energy, "e_reco_nr": recoil}
