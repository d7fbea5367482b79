"""CAEN CoMPASS list mode, binary: what the digitisers of photodiodes and germanium record.

A header 0xCAE0 + bits (1 energy, 2 calibrated energy, 4 short energy, 8 waveform), then records:
board, channel, time in ps since the run start, the energies the header tells of, flags and, with
waveforms, their code, length and samples. A run may go on in files without the header, which
`daq.header` tells then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .shared.digitiser import SATURATED, counts_of, gain_of, modules_of, waveforms

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "compass"
DESCRIPTION = "CAEN CoMPASS list mode, binary (.BIN), with and without waveforms"
EXTRA = ""
REQUIRES: tuple[str, ...] = ()
NEEDS = ("pulse", "time", "module", "e_reco")
KEEPS = (
    "time to a ps, module by daq.channels, e_reco to half of daq.gain (exactly with "
    "daq.calibrated), clipped to 16 bits"
)
LOSES = "truth, place, events without a pulse; waveforms are written, not kept on import"
PLACES = "file"
DEFAULT = None

ENERGY, CALIBRATED, SHORT, WAVEFORM = 1, 2, 4, 8
HEADER = 0xCAE0
STEP = 1 << 16
"""Records written at a time; 64 times as many bytes are read at a time."""
PER_NS = 1000


def record(header: int, samples: int = 0) -> np.dtype[Any]:
    """Type of a record by the bits of its file's header."""
    fields: list[Any] = [("board", "<u2"), ("channel", "<u2"), ("timestamp", "<u8")]
    fields += [("energy", "<u2")] if header & ENERGY else []
    fields += [("calibrated", "<f8")] if header & CALIBRATED else []
    fields += [("short", "<u2")] if header & SHORT else []
    fields += [("flags", "<u4")]
    if header & WAVEFORM:
        fields += [("code", "u1"), ("length", "<u4"), ("samples", "<u2", (samples,))]
    return np.dtype(fields)


def recognise(path: Path) -> bool:
    """Whether a file begins with a CoMPASS header."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(2)
    return len(start) == 2 and _known(int.from_bytes(start, "little"))


def _known(header: int) -> bool:
    return header & 0xFFF0 == HEADER and bool(header & (ENERGY | CALIBRATED))


def write(sample: Sample, path: Path) -> int:
    """Write events as records; energies in ADC counts."""
    experiment, daq = sample.experiment, sample.experiment.daq
    samples, gain = daq.waveform.samples, gain_of(experiment)
    header = HEADER | ENERGY | CALIBRATED * daq.calibrated | WAVEFORM * bool(samples)
    step = max(STEP // max(samples // 8, 1), 256)
    rows, events = np.zeros(step, record(header, samples)), 0
    with path.open("wb") as file:
        file.write(header.to_bytes(2, "little"))
        for block in sample.blocks(NEEDS):
            for start in range(0, len(block["pulse"]), step):
                part = {name: column[start : start + step] for name, column in block.items()}
                out = rows[: len(part["pulse"])]
                out["timestamp"] = sample.ticks(part, PER_NS)
                if "module" in part:
                    out["board"], out["channel"] = daq.board_and_channel(part["module"]).T
                out["energy"], high = counts_of(part["e_reco"], gain)
                out["flags"] = SATURATED * high
                if daq.calibrated:
                    out["calibrated"] = part["e_reco"]
                if samples:
                    out["code"], out["length"] = 1, samples
                    out["samples"] = waveforms(out["energy"], daq.waveform)
                file.write(out.view(np.uint8).data)
                events += len(out)
    return events


def read(source: Source) -> Iterator[Block]:
    """Events of a file with its header, or without one if `daq.header` tells it."""
    size = source.path.stat().st_size
    with source.path.open("rb") as file:
        header, begin = int.from_bytes(file.read(2), "little"), 2
        if not _known(header) and source.experiment.daq.header is not None:
            header, begin = source.experiment.daq.header, 0
        if not _known(header):
            raise source.wrong(
                f"begins with 0x{header:04X}, not with a CoMPASS header of energies, "
                "0xCAE1 to 0xCAEF; for a file that goes on without one set daq.header"
            )
        file.seek(begin)
        samples = 0
        if header & WAVEFORM:
            samples = _samples(file.read(record(header).itemsize), header, source, size)
            file.seek(begin)
        kind = record(header, samples)
        step = max(64 * STEP // kind.itemsize, 1)
        while data := file.read(step * kind.itemsize):
            spare = len(data) % kind.itemsize
            rows = np.frombuffer(data[: len(data) - spare], kind)
            if header & WAVEFORM and (odd := rows["length"] != samples).any():
                raise source.wrong(
                    f"has a waveform of {rows['length'][odd][0]} samples after ones of {samples}"
                )
            if len(rows):
                yield _events(rows, header, source)
            source.damage.found(int(spare > 0), "records cut off at the end")


def _samples(first: bytes, header: int, source: Source, size: int) -> int:
    """Number of samples of a waveform, by the first record."""
    kind = record(header)
    if len(first) < kind.itemsize:
        return 0  # no whole record in the file
    samples = int(np.frombuffer(first, kind)["length"][0])
    if 2 * samples > size:
        raise source.wrong(f"claims a waveform of {samples} samples in a file of {size} bytes")
    return samples


def _events(rows: NDArray[Any], header: int, source: Source) -> Block:
    late = rows["timestamp"] >= 2**63
    source.damage.found(int(late.sum()), "records later than 2^63 ps")
    module, known = modules_of(rows["board"], rows["channel"], source)
    keep = known & ~late
    rows, module = rows[keep], module[keep]
    pulse, time = source.split(rows["timestamp"].astype(np.int64), PER_NS)
    if header & CALIBRATED:
        energy = rows["calibrated"].astype(np.float64)
    else:
        energy = rows["energy"] * source.gain
    return {"pulse": pulse, "time": time, "e_reco": energy, "module": module}
