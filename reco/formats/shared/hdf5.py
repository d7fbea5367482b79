"""What formats in HDF5 share: columns that grow block by block, and columns that are checked.

HDF5 keeps texts of any length in global heaps: "GCOL", version 1, 3 bytes, the length of the heap,
then objects: number (u2), references (u2), 4 bytes, length (u8), and content up to a multiple of 8
bytes; number 0 is what is free, and its length has the 16 bytes of the object's beginning in it.
The library goes from object to object and never ends at one without a length, so heaps are looked
through before it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .source import Source

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01"
LEAST = 4096
"""Bytes of a heap that the library takes for one."""
HEADER = 16
"""Bytes of the beginning of a heap, and of an object."""
LENGTHS_AT = {0: 14, 1: 14, 2: 10, 3: 10}
"""Byte at which the first block of a file says how long its lengths are, by its version."""
CHUNK = 1 << 17
"""Rows of a chunk of a column."""
COMPRESSION = 1100
"""A ratio above what deflate makes of zeros: a file cannot hold more bytes than so many times its
size."""
LARGEST_CHUNK = 1 << 26
"""Bytes of a chunk, which is read and unpacked as a whole."""


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8) == SIGNATURE


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file to read; what is wrong with it is an OSError or ValueError."""
    import h5py

    check_heaps(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (RuntimeError, AttributeError, SystemError, KeyError) as error:  # damaged objects
        raise ValueError(str(error)) from error


def check_heaps(path: Path) -> None:
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
        at, claimed = data.find(HEAP), 0
        while at >= 0:
            (size,) = struct.unpack("<Q", data[at + 8 : at + 16].ljust(8, b"\0"))
            if LEAST <= size <= len(data) - at:
                claimed += size  # heaps lie beside each other
                if claimed > len(data) or not _whole(data, at, at + size):
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


class Growing:
    """Columns of a group that blocks are appended to."""

    def __init__(self, group: Any, columns: Mapping[str, str], **attributes: Mapping[str, Any]):
        self._sets = {}
        for name, kind in columns.items():
            dataset = group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(CHUNK,))
            for key, value in attributes.get(name, {}).items():
                dataset.attrs[key] = value
            self._sets[name] = dataset

    def extend(self, block: Mapping[str, NDArray[Any]]) -> None:
        """Append arrays of any lengths, by name."""
        for name, values in block.items():
            dataset = self._sets[name]
            rows = len(dataset)
            dataset.resize((rows + len(values),))
            if len(values):
                dataset[rows:] = values


def column(group: Any, name: str, kinds: str, source: Source, ndim: int = 1) -> Any:
    """A dataset of a group, with numbers of some kinds of NumPy (`"iu"`, `"f"`).

    Raises
    ------
    ExperimentError
        If there is none, it holds something else, or more than can be in the file.
    """
    import h5py

    dataset = group.get(name) if hasattr(group, "get") else None
    where = f"{group.name.rstrip('/')}/{name}"
    if not isinstance(dataset, h5py.Dataset):
        raise source.wrong(f"has no column {where}")
    if dataset.shape is None or len(dataset.shape) != ndim or dataset.dtype.kind not in kinds:
        raise source.wrong(
            f"{where} is {dataset.dtype} of shape {dataset.shape}, not {ndim}-D numbers"
        )
    if dataset.is_virtual or dataset.external or dataset.file != group.file:
        raise source.wrong(f"{where} is kept in another file")
    filtered = dataset.id.get_create_plist().get_nfilters() > 0
    held = dataset.id.get_storage_size()
    if dataset.size * max(dataset.dtype.itemsize, 1) > held * (COMPRESSION if filtered else 1):
        raise source.wrong(f"{where} claims {dataset.size} values and has {held} bytes")
    if (
        dataset.chunks
        and np.prod(dataset.chunks, dtype=float) * dataset.dtype.itemsize > LARGEST_CHUNK
    ):
        raise source.wrong(f"{where} has chunks of more than {LARGEST_CHUNK} bytes")
    return dataset


def total(values: Any) -> float:
    """Sum of a column, read step by step."""
    return float(sum(values[part].sum(dtype=float) for part in steps(len(values), CHUNK)))


def text(group: Any, name: str) -> str | None:
    """A scalar string of a group, if it is there."""
    import h5py

    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != () or dataset.dtype.kind != "O":
        return None
    return str(dataset.asstr()[()])


def attribute(thing: Any, name: str, default: str = "") -> str:
    """An attribute as text."""
    value = thing.attrs.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def same_length(columns: Mapping[str, Any], source: Source) -> int:
    """Length that columns have in common."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise source.wrong(f"has columns of different lengths: {listing}")
    return min(lengths.values())


def steps(length: int, step: int) -> Iterator[slice]:
    """Slices of at most `step` rows."""
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def scaled(values: NDArray[Any], numerator: int, denominator: int) -> NDArray[np.int64]:
    """Whole numbers times a fraction, to the nearest, without a detour through float64."""
    whole = values.astype(np.int64)
    if denominator == 1:
        return whole * numerator
    return (whole * numerator + denominator // 2) // denominator
