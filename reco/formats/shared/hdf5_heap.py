"""Whether texts in an HDF5 file can be looked up at all.

HDF5 keeps texts of any length in global heaps: "GCOL", version 1, 3 bytes, the length of the heap,
then objects: number (u2), references (u2), 4 bytes, length (u8), and content up to a multiple of 8
bytes; number 0 is what is free, and its length has the 16 bytes of the object's beginning in it.
The library goes from object to object and never ends at one without a length, so heaps are looked
through before it.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01"
LEAST = 4096
"""Bytes of a heap that the library takes for one."""
HEADER = 16
"""Bytes of the beginning of a heap, and of an object."""
LENGTHS_AT = {0: 14, 1: 14, 2: 10, 3: 10}
"""Where the first block of a file says how long its lengths are, by its version."""


def check(path: Path) -> None:
    """Look through the heaps of a file.

    Raises
    ------
    ValueError
        If it does not begin as HDF5, or a heap is damaged.
    """
    if path.stat().st_size <= HEADER:
        raise ValueError("it does not begin as HDF5")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:8] != SIGNATURE:
            raise ValueError("it does not begin as HDF5")
        if data[LENGTHS_AT.get(data[8], 14)] != 8:
            raise ValueError("its lengths are not numbers of 8 bytes")
        at, total = data.find(HEAP), 0
        while at >= 0:
            (size,) = struct.unpack("<Q", data[at + 8 : at + 16].ljust(8, b"\0"))
            if LEAST <= size <= len(data) - at:
                total += size  # heaps lie beside each other
                if total > len(data) or not _whole(data, at, at + size):
                    raise ValueError(f"the global heap at byte {at} is damaged")
            at = data.find(HEAP, at + 1)


def _whole(data: mmap.mmap, start: int, end: int) -> bool:
    """Whether the objects of a heap fill it one after the other."""
    at = start + HEADER
    while end - at >= HEADER:
        number, length = struct.unpack_from("<H6xQ", data, at)
        need = length if number == 0 else HEADER + (length + 7) // 8 * 8
        if not HEADER <= need <= end - at:
            return False
        at += need
    return True
