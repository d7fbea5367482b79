"""What formats in HDF5 share: columns that grow block by block, and columns that are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .hdf5_heap import SIGNATURE, check

if TYPE_CHECKING:
    from .source import Source

CHUNK = 1 << 17
"""Rows of a chunk of a column."""
COMPRESSION = 1100
"""More than what deflate makes of zeros: a file cannot hold more bytes than so many times its
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

    check(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (RuntimeError, AttributeError, SystemError, KeyError) as error:  # of damaged objects
        raise ValueError(str(error)) from error


class Growing:
    """Columns of a group that blocks are appended to."""

    def __init__(self, group: Any, columns: Mapping[str, str], **attributes: Mapping[str, Any]):
        self._sets = {}
        for name, kind in columns.items():
            made = group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(CHUNK,))
            for key, value in attributes.get(name, {}).items():
                made.attrs[key] = value
            self._sets[name] = made

    def extend(self, block: Mapping[str, NDArray[Any]]) -> None:
        """Append arrays of any lengths, by name."""
        for name, values in block.items():
            column = self._sets[name]
            rows = len(column)
            column.resize((rows + len(values),))
            if len(values):
                column[rows:] = values


def column(group: Any, name: str, kinds: str, source: Source, ndim: int = 1) -> Any:
    """A dataset of a group, with numbers of some kinds of NumPy (`"iu"`, `"f"`).

    Raises
    ------
    ExperimentError
        If there is none, it holds something else, or more than can be in the file.
    """
    import h5py

    found = group.get(name) if hasattr(group, "get") else None
    where = f"{group.name.rstrip('/')}/{name}"
    if not isinstance(found, h5py.Dataset):
        raise source.wrong(f"has no column {where}")
    if found.shape is None or len(found.shape) != ndim or found.dtype.kind not in kinds:
        raise source.wrong(f"{where} is {found.dtype} of shape {found.shape}, not {ndim}-D numbers")
    if found.is_virtual or found.external or found.file != group.file:
        raise source.wrong(f"{where} is kept in another file")
    filtered = found.id.get_create_plist().get_nfilters() > 0
    held = found.id.get_storage_size()
    if found.size * max(found.dtype.itemsize, 1) > held * (COMPRESSION if filtered else 1):
        raise source.wrong(f"{where} claims {found.size} values and has {held} bytes")
    if found.chunks and np.prod(found.chunks, dtype=float) * found.dtype.itemsize > LARGEST_CHUNK:
        raise source.wrong(f"{where} has chunks of more than {LARGEST_CHUNK} bytes")
    return found


def total(values: Any) -> float:
    """Sum of a column, read step by step."""
    return float(sum(values[part].sum(dtype=float) for part in steps(len(values), CHUNK)))


def text(group: Any, name: str) -> str | None:
    """A scalar string of a group, if it is there."""
    import h5py

    found = group.get(name)
    if not isinstance(found, h5py.Dataset) or found.shape != () or found.dtype.kind != "O":
        return None
    return str(found.asstr()[()])


def attribute(thing: Any, name: str, default: str = "") -> str:
    """An attribute as text."""
    value = thing.attrs.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def same_length(columns: Mapping[str, Any], source: Source) -> int:
    """Length that columns have in common."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise source.wrong(f"has columns of different lengths: {told}")
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
