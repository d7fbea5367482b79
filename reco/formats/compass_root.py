"""CAEN CoMPASS list mode as a ROOT tree `Data_R`, the columns of the binary records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.tree import names_in
from .shared.digitiser import SATURATED, counts_of, gain_of, modules_of

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "compass-root"
DESCRIPTION = "CAEN CoMPASS list mode, ROOT tree Data_R (imported also Data_F, Data)"
EXTRA = ""
REQUIRES: tuple[str, ...] = ()
NEEDS = ("pulse", "time", "module", "e_reco")
KEEPS = "time to a ps, module by daq.channels, e_reco to half of daq.gain, clipped to 16 bits"
LOSES = "truth, place, calibrated energies"
PLACES = "file"
DEFAULT = None

COLUMNS = {
    "Channel": np.dtype("u2"),
    "Timestamp": np.dtype("u8"),
    "Board": np.dtype("u2"),
    "Energy": np.dtype("u2"),
    "EnergyShort": np.dtype("u2"),
    "Flags": np.dtype("u4"),
}
TREES = ("Data_R", "Data_F", "Data")
"""Names of the tree: raw, filtered, and that of older versions."""
STEP = 500_000
LARGEST_BASKET = 1 << 26
"""Bytes of a basket, at most."""
PER_NS = 1000


def recognise(path: Path) -> bool:
    """Whether a file is a ROOT file with a tree of CoMPASS."""
    return path.is_file() and not names_in(path).isdisjoint(TREES)


def write(sample: Sample, path: Path) -> int:
    """Write events as rows; energies in ADC counts."""
    import uproot

    daq, gain, events = sample.experiment.daq, gain_of(sample.experiment), 0
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree(TREES[0], COLUMNS)
        for block in sample.blocks(NEEDS):
            n = len(block["pulse"])
            if n == 0:
                continue
            pair = daq.board_and_channel(block.get("module", np.zeros(n, np.int16)))
            energy, high = counts_of(block["e_reco"], gain)
            tree.extend(
                {
                    "Channel": pair[:, 1],
                    "Timestamp": sample.ticks(block, PER_NS).astype("u8"),
                    "Board": pair[:, 0],
                    "Energy": energy,
                    "EnergyShort": np.zeros(n, "u2"),
                    "Flags": (SATURATED * high).astype("u4"),
                }
            )
            events += n
    return events


def read(source: Source) -> Iterator[Block]:
    """Events of the first tree of CoMPASS in a file."""
    import uproot

    wanted = ["Board", "Channel", "Timestamp", "Energy"]
    try:
        with uproot.open(source.path) as root:
            names = root.keys(recursive=False, cycle=False)
            name = next((tree for tree in TREES if tree in names), None)
            if name is None:
                raise source.wrong(f"has no tree {', '.join(TREES)}, only {', '.join(names)[:200]}")
            absent = [column for column in wanted if column not in root[name].keys()]  # noqa: SIM118
            if absent:
                raise source.wrong(f"has no column {', '.join(absent)} in its tree {name}")
            for column in wanted:
                _unpacked(root[name][column], source)
            for rows in root[name].iterate(wanted, step_size=STEP, library="np"):
                late = rows["Timestamp"] >= 2**63
                source.damage.found(int(late.sum()), "records later than 2^63 ps")
                module, known = modules_of(rows["Board"], rows["Channel"], source)
                keep = known & ~late
                pulse, time = source.split(rows["Timestamp"][keep].astype(np.int64), PER_NS)
                yield {
                    "pulse": pulse,
                    "time": time,
                    "e_reco": rows["Energy"][keep] * source.gain,
                    "module": module[keep],
                }
    # uproot says of damage that it is not implemented, or that it asserts otherwise
    except (uproot.DeserializationError, EOFError, NotImplementedError, AssertionError) as error:
        raise source.wrong(f"is a damaged ROOT file: {error}") from error


def _unpacked(branch: Any, source: Source) -> None:
    """Refuse a column with a basket, which is unpacked as a whole, that is too large."""
    for i in range(branch.num_baskets):
        size = branch.basket_uncompressed_bytes(i)
        if not 0 <= size <= LARGEST_BASKET:
            raise source.wrong(
                f"has a basket of {size} bytes in its column {branch.name}, at most "
                f"{LARGEST_BASKET}"
            )
