"""Histograms in files: text, CSV, NumPy or ROOT, of any dimension.

What a file holds is kept as it is; whether it fits the bins of a model is decided where these are
known, in `toys.counts.filed`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting
from ..errors import ExperimentError

ROOT = ".root"
NUMPY = ".npy"


class Histogram(Settings):
    """Numbers of a file as an array, and what the file says of bins."""

    name: str = setting(..., "the file, as errors name it")
    shape: list[NonNegativeInt] = setting(..., "shape of the array")
    values: list[float] = setting(..., "its numbers in C order")
    is_text: bool = setting(
        False, "lines of numbers, which may begin with the place of a bin; else an axis an axis"
    )
    edges: list[list[float]] | None = setting(None, "edges along each axis, if the file has them")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if int(np.prod(self.shape)) != len(self.values):
            raise ValueError(f"has {len(self.values)} values, and shape {self.shape}")
        return self

    @property
    def array(self) -> Array:
        """The numbers, of the shape `shape`."""
        return np.array(self.values, float).reshape(self.shape)


def as_histogram(
    name: str, array: NDArray[np.float64], *, is_text: bool, edges: list[Array] | None = None
) -> Histogram:
    """A histogram of an array; what is not finite is refused.

    Raises
    ------
    ExperimentError
        If a number is not finite.
    """
    if not np.all(np.isfinite(array)):
        raise ExperimentError(f"{name}: holds numbers that are not finite")
    along = None if edges is None else [np.asarray(e, float).tolist() for e in edges]
    return Histogram(
        name=name,
        shape=list(array.shape),
        values=np.asarray(array, float).ravel().tolist(),
        is_text=is_text,
        edges=along,
    )


def read_histogram(name: str, folder: Path) -> Histogram:
    """What a file holds: ``FILE.npy``, ``FILE.root:NAME``, or text with blanks or commas.

    Parameters
    ----------
    name
        The file, relative to `folder`.

    Raises
    ------
    ExperimentError
        If it cannot be read, naming it.
    """
    file, is_root, key = name.partition(f"{ROOT}:")
    if is_root:
        values, edges = read_root(folder / f"{file}{ROOT}", key)
        return as_histogram(name, values, is_text=False, edges=edges)
    path = folder / name
    if path.suffix == ROOT:
        raise ExperimentError(f"{path}: name a histogram of it: {name}:NAME")
    if path.suffix == NUMPY:
        return as_histogram(name, _read_numpy(path), is_text=False)
    return as_histogram(name, read_text(path), is_text=True)


def read_root(path: Path, key: str) -> tuple[Array, list[Array]]:
    """Values of a histogram in a ROOT file, and edges along each axis.

    Raises
    ------
    ExperimentError
        If there is none of that name.
    """
    import uproot

    try:
        with uproot.open(path) as file:
            values, *edges = file[key].to_numpy()
    except (OSError, KeyError, ValueError, AttributeError, uproot.DeserializationError) as error:
        reason = " ".join(str(error).split())
        raise ExperimentError(f"{path}: has no histogram '{key}': {reason}") from error
    return np.asarray(values, float), [np.asarray(e, float) for e in edges]


def read_text(path: Path) -> Array:
    """Numbers of a text with blanks or commas between them, shape (lines, numbers a line).

    Raises
    ------
    ExperimentError
        If it cannot be read, or holds something else.
    """
    try:
        delimiter = "," if "," in path.read_text("utf-8") else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning of no data, which is said by the shape
            return np.loadtxt(path, ndmin=2, comments="#", delimiter=delimiter)
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read: {_reason(error)}") from error
    except ValueError as error:
        raise ExperimentError(f"{path}: is not a table of counts: {error}") from error


def _read_numpy(path: Path) -> Array:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ExperimentError(f"{path}: cannot be read: {_reason(error)}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise ExperimentError(f"{path}: must be one array of numbers")
    return values.astype(float)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    return str(getattr(error, "strerror", None) or error)
