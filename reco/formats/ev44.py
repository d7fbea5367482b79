"""Streamed event messages of the ESS, as a file: each message after its length (u4).

ev44 messages have pulse times, times since the pulse and pixels; each is followed by an f144 of the
energies of its events, and the last f144 tells the number of pulses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .shared.digitiser import clock_of

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "ev44"
DESCRIPTION = "ESS event messages (ev44, energies as f144), length-prefixed in a file"
EXTRA = "ev44"
REQUIRES = ("streaming_data_types",)
NEEDS = ("pulse", "time", "module", "e_reco")
KEEPS = "pulse, time to a ns, module, e_reco, number of pulses"
LOSES = "truth, place; there is no broker, messages go to a file"
PLACES = "file"
DEFAULT = None

EVENTS, ENERGIES, PULSES = "nuspill", "nuspill_energy", "nuspill_pulses"
"""Names of the sources."""
MESSAGE_EVENTS = 1 << 14
LONGEST = 1 << 25
"""Bytes of a message, at most."""


def recognise(path: Path) -> bool:
    """Whether a file begins with a length and an ev44 or f144 message."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(12)[8:] in (b"ev44", b"f144")


def write(sample: Sample, path: Path) -> int:
    """Write messages of at most `MESSAGE_EVENTS` events each."""
    from streaming_data_types import serialise_ev44, serialise_f144

    clock, epoch = clock_of(sample.experiment, 1), sample.experiment.daq.epoch_ns
    events = messages = 0
    with path.open("wb") as file:

        def put(message: bytes) -> None:
            file.write(struct.pack("<I", len(message)) + message)

        for block in sample.blocks(NEEDS):
            for start in range(0, len(block["pulse"]), MESSAGE_EVENTS):
                part = {n: c[start : start + MESSAGE_EVENTS] for n, c in block.items()}
                pulse, first = np.unique(part["pulse"], return_index=True)
                times = clock.start(pulse) + epoch
                n = len(part["pulse"])
                pixel = part.get("module", np.zeros(n, np.int16)) + np.int32(1)
                since = np.rint(part["time"]).astype(np.int32)
                put(serialise_ev44(EVENTS, messages, times, first, since, pixel))
                put(serialise_f144(ENERGIES, part["e_reco"], int(times[-1])))
                events, messages = events + n, messages + 1
        put(serialise_f144(PULSES, np.int64(sample.pulses), epoch))
    return events


def read(source: Source) -> Iterator[Block]:
    """Events of a file, message by message."""
    from streaming_data_types import deserialise_ev44, deserialise_f144

    waiting: Block | None = None
    for message in _messages(source):
        kind = message[4:8]
        try:
            content: Any = {b"ev44": deserialise_ev44, b"f144": deserialise_f144}[kind](message)
        except Exception as error:  # flatbuffers raises errors of many kinds
            name = kind.decode("latin-1")
            source.damage.found(1, "messages that cannot be read", f"'{name}': {error}"[:80])
            continue
        if kind == b"ev44":
            if waiting is not None:
                lost = len(waiting["pulse"])
                source.damage.found(lost, f"events without energies (f144 of '{ENERGIES}')")
            waiting = _events(content, source)
        elif content.source_name == PULSES:
            source.facts.pulses = int(content.value)
        elif content.source_name == ENERGIES and waiting is not None:
            energy = np.atleast_1d(content.value)
            if len(energy) == len(waiting["pulse"]):
                yield waiting | {"e_reco": energy}
            else:
                lost = len(waiting["pulse"])
                source.damage.found(lost, "events with another number of energies")
            waiting = None
    if waiting is not None:
        lost = len(waiting["pulse"])
        source.damage.found(lost, f"events without energies (f144 of '{ENERGIES}')")


def _messages(source: Source) -> Iterator[bytes]:
    size = source.path.stat().st_size
    with source.path.open("rb") as file:
        while prefix := file.read(4):
            length = int.from_bytes(prefix, "little")
            left = size - file.tell()
            if len(prefix) < 4 or (8 <= length <= LONGEST and left < length):
                source.damage.found(1, "messages cut off at the end")
                return
            if not 8 <= length <= LONGEST:
                raise source.wrong(f"claims a message of {length} bytes, 8 to {LONGEST}")
            yield file.read(length)


def _events(ev44: Any, source: Source) -> Block | None:
    """Events of an ev44 message, without their energies."""
    time, first = np.atleast_1d(ev44.reference_time), np.atleast_1d(ev44.reference_time_index)
    since, pixel = np.atleast_1d(ev44.time_of_flight), np.atleast_1d(ev44.pixel_id)
    edges = np.append(first, len(since))
    right = len(time) == len(first) > 0 and len(since) == len(pixel)
    if not (right and first[0] == 0 and (np.diff(edges) >= 0).all()):
        source.damage.found(1, "messages whose vectors do not fit each other")
        return None
    if (np.abs(time.astype(float)) >= 2.0**62).any():
        raise source.wrong("has pulses beyond 2^62 ns")
    pulse, rest = source.clock(1).split(time - source.experiment.daq.epoch_ns)
    number = np.diff(edges)
    return {
        "pulse": np.repeat(pulse, number),
        "time": np.repeat(rest, number) + since.astype(np.float64),
        "module": pixel.astype(np.int64) - 1,
    }
