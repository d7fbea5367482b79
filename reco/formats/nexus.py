"""NeXus event data of the ESS: pulse times, times since the pulse, detector numbers.

`NXentry/NXinstrument/NXdetector/NXevent_data`, with the energies beside it in `NXdata` (readers
drop what else an event has) and the proton charge as `NXlog`: pulses without events are in no
event_time_zero, so that live time comes from the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .shared import hdf5 as _hdf5
from .shared.about import About, parsed
from .shared.digitiser import clock_of

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "nexus"
DESCRIPTION = "NeXus event data and proton charge (HDF5), as the ESS writes"
EXTRA = "nexus"
REQUIRES = ("h5py",)
NEEDS = ("pulse", "time", "module", "e_reco")
KEEPS = "pulse, time to a ns, module, e_reco, pulses and protons of the run, experiment"
LOSES = "truth, place"
PLACES = "file"
DEFAULT = None

LOG_ENTRIES = 100_000
"""Entries of the proton charge, at most; longer runs have an entry every so many pulses."""
UNITS = {"ns": (1, 1), "us": (1000, 1), "µs": (1000, 1), "ms": (10**6, 1), "s": (10**9, 1),
         "ps": (1, 1000)}  # fmt: skip
"""Nanoseconds in a unit, as a fraction."""
STEP = 1 << 18
ELEMENTARY_CHARGE = 1.602176634e-19


def recognise(path: Path) -> bool:
    """Whether a file is HDF5 with a group of a NeXus class at its root."""
    if not _hdf5.is_hdf5(path):
        return False
    with _hdf5.opened(path) as file:
        return any("NX_class" in group.attrs for group in file.values())


def embedded(path: Path) -> About | None:
    """What nuspill wrote of the sample."""
    with _hdf5.opened(path) as file:
        return parsed(_hdf5.text(file, "entry/nuspill/data") or "", path)


def write(sample: Sample, path: Path) -> int:
    """Write events, energies, proton charge and provenance."""
    import h5py

    daq, unit = sample.experiment.daq, sample.experiment.detector.unit
    geometry = sample.experiment.detector.geometry
    clock = clock_of(sample.experiment, 1)
    ns = {"units": "ns", "start": "1970-01-01T00:00:00Z"}
    with h5py.File(path, "w") as file:
        entry = _group(file, "entry", "NXentry", title=sample.experiment.name)
        detector = _group(_group(entry, "instrument", "NXinstrument"), "detector", "NXdetector")
        numbers = np.arange(1, (geometry.modules if geometry else 1) + 1, dtype="i4")
        detector["detector_number"] = numbers
        events = _hdf5.Growing(
            _group(detector, "events", "NXevent_data"),
            {"event_time_zero": "u8", "event_index": "i8", "event_time_offset": "i4",
             "event_id": "i4", "cue_timestamp_zero": "i8", "cue_index": "i8"},
            event_time_zero=ns,
            event_time_offset={"units": "ns"},
            cue_timestamp_zero=ns,
        )  # fmt: skip
        energies = _hdf5.Growing(
            _group(entry, "energy", "NXdata", signal="energy"),
            {"energy": "f4"},
            energy={"units": "keV" if unit.startswith("keV") else "counts", "unit": unit},
        )
        count, last = 0, -1
        for block in sample.blocks(NEEDS):
            pulse = block["pulse"]
            if len(pulse) == 0:
                continue
            at = np.flatnonzero(np.diff(pulse, prepend=last))
            zero = (clock.start(pulse[at]) + daq.epoch_ns).astype("u8")
            number = block["module"] + np.int32(1) if "module" in block else np.ones_like(pulse)
            rows = {
                "event_time_zero": zero,
                "event_index": at + count,
                "event_time_offset": np.rint(block["time"]).astype("i4"),
                "event_id": number,
                "cue_timestamp_zero": zero[:1].astype("i8"),
                "cue_index": at[:1] + count,
            }
            events.extend(rows)
            energies.extend({"energy": block["e_reco"]})
            count, last = count + len(pulse), int(pulse[-1])
        _charge(_group(entry, "proton_charge", "NXlog"), sample, ns)
        _provenance(entry, sample)
    return count


def _group(parent: Any, name: str, kind: str, **attributes: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    for key, value in attributes.items():
        group.attrs[key] = value
    return group


def _charge(log: Any, sample: Sample, ns: dict[str, str]) -> None:
    """Charge since the entry before, at the end of every so many pulses."""
    step = max(-(-sample.pulses // LOG_ENTRIES), 1)
    ends = np.arange(step, sample.pulses + step, step).clip(max=sample.pulses)
    pulses = np.diff(ends, prepend=0)
    time = (
        clock_of(sample.experiment, 1).start(sample.first_pulse + ends - 1)
        + sample.experiment.daq.epoch_ns
    )
    log["time"], log["value"] = (
        time.astype("u8"),
        pulses * (sample.protons / max(sample.pulses, 1) * ELEMENTARY_CHARGE),
    )
    log["time"].attrs.update(ns)
    log["value"].attrs["units"] = "C"
    log.attrs["pulses"] = sample.pulses


def _provenance(entry: Any, sample: Sample) -> None:
    process = _group(entry, "process", "NXprocess")
    process["program"], process["version"] = "nuspill", version("nuspill")
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    note = _group(entry, "nuspill", "NXnote")
    note["type"], note["data"] = "application/json", sample.about()


def read(source: Source) -> Iterator[Block]:
    """Events of the one NXevent_data of a file."""
    with _hdf5.opened(source.path) as file:
        entries = [group for group in file.values() if _is(group, "NXentry")]
        if not entries:
            raise source.wrong("has no NXentry")
        groups = list(_below(entries[0], "NXevent_data"))
        if len(groups) != 1:
            raise source.wrong(f"has {len(groups)} groups of events, and not one")
        group = groups[0]
        _exposure(entries[0], source)
        zero = _hdf5.column(group, "event_time_zero", "iu", source)
        index = _hdf5.column(group, "event_index", "iu", source)
        offset = _hdf5.column(group, "event_time_offset", "iu", source)
        detector = _hdf5.column(group, "event_id", "iu", source)
        _hdf5.same_length({"event_time_zero": zero, "event_index": index}, source)
        energy = entries[0].get("energy")
        if not hasattr(energy, "get"):
            raise source.wrong("has no group /entry/energy beside its events")
        energy = _hdf5.column(energy, "energy", "f", source)
        unit = _hdf5.attribute(energy, "unit", source.experiment.detector.unit)
        if unit != source.experiment.detector.unit:
            raise source.wrong(
                f"has energies in {unit}, and {source.experiment.name} has them in "
                f"{source.experiment.detector.unit}"
            )
        rows = {"event_time_offset": offset, "event_id": detector, "energy": energy}
        events = _hdf5.same_length(rows, source)
        yield from _events(_Columns(zero, index, offset, detector, energy, events), source)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of a file, of pulses and of events."""

    zero: Any
    """Times of pulses."""
    index: Any
    """First event of each pulse."""
    offset: Any
    """Time of each event since its pulse."""
    detector: Any
    energy: Any
    events: int


def _events(columns: _Columns, source: Source) -> Iterator[Block]:
    zero, index, events = columns.zero, columns.index, columns.events
    clock, epoch = source.clock(1), source.experiment.daq.epoch_ns
    up, down = _unit(zero, source)
    epoch -= _start(zero, source)
    scale = _unit(columns.offset, source)
    for part in _hdf5.steps(len(zero), STEP):
        after = index[part.stop] if part.stop < len(index) else events
        edges = np.append(index[part].astype(np.int64), np.int64(after))
        if edges[0] < 0 or edges[-1] > events or (np.diff(edges) < 0).any():
            raise source.wrong(f"has an event_index that does not count up to its {events} events")
        times = zero[part]
        if (np.abs(times.astype(float)) * up >= 2.0**63).any():
            raise source.wrong("has pulses later than 2^63 ns")
        pulse, since = clock.split(_hdf5.scaled(times, up, down) - epoch)
        for chunk in _hdf5.steps(int(edges[-1] - edges[0]), STEP):
            rows = slice(chunk.start + edges[0], chunk.stop + edges[0])
            pulse_index = np.searchsorted(edges, np.arange(rows.start, rows.stop), side="right") - 1
            offset = columns.offset[rows] * (scale[0] / scale[1])
            yield {
                "pulse": pulse[pulse_index],
                "time": since[pulse_index] + offset,
                "e_reco": columns.energy[rows],
                "module": columns.detector[rows].astype(np.int64) - 1,
            }


def _exposure(entry: Any, source: Source) -> None:
    log = entry.get("proton_charge")
    if source.facts.pulses is not None or not _is(log, "NXlog"):
        return
    value = _hdf5.column(log, "value", "fiu", source)
    source.facts.pulses = int(log.attrs.get("pulses", len(value)))
    if _hdf5.attribute(value, "units") == "C":
        source.facts.protons_on_target = _hdf5.total(value) / ELEMENTARY_CHARGE


def _unit(data: Any, source: Source) -> tuple[int, int]:
    unit = _hdf5.attribute(data, "units", "ns")
    if unit not in UNITS:
        raise source.wrong(f"{data.name} is in '{unit[:40]}', not in {', '.join(UNITS)}")
    return UNITS[unit]


def _start(data: Any, source: Source) -> int:
    """Nanoseconds since 1970 at which times start."""
    text = _hdf5.attribute(data, "start", _hdf5.attribute(data, "offset", "1970-01-01T00:00:00Z"))
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        raise source.wrong(f"{data.name} starts at '{text[:40]}', which is no time") from None
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    since = start - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _is(group: Any, kind: str) -> bool:
    return hasattr(group, "attrs") and _hdf5.attribute(group, "NX_class") == kind


def _below(group: Any, kind: str, depth: int = 6) -> Iterator[Any]:
    """Groups of a class, not deeper than `depth`."""
    for child in group.values():
        if _is(child, kind):
            yield child
        elif depth and hasattr(child, "values"):
            yield from _below(child, kind, depth - 1)
