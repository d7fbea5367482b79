"""Counts of a text: a line a bin, with or without its place, or a matrix of two axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ...reco.templates.histogram import read_text
from ..counts.binning import Binning

MOST_COUNTS = 2.0**53
"""Most counts in a bin; greater numbers are not all whole as float64."""


def counts_of_text(path: Path, bins: Binning) -> tuple[Array, Array | None]:
    """Counts in beam-on and, where the text has them, in beam-off, shape (bins,) each.

    A line a bin holds one or both. In several axes a line may begin with a place in the bin, in the
    units of the axes and in any order; or the text holds the counts in beam-on of two axes, a line
    a bin of the first.

    Raises
    ------
    ExperimentError
        If the text is none of these, or a count cannot be.
    """
    return counts_of_table(path, read_text(path), bins)


def counts_of_table(path: Path | str, numbers: Array, bins: Binning) -> tuple[Array, Array | None]:
    """The same of the numbers of a text, shape (lines, numbers a line).

    Raises
    ------
    ExperimentError
        As `counts_of_text`.
    """
    axes, (lines, columns) = len(bins.axes), numbers.shape
    if axes == 2 and numbers.shape == bins.shape:
        return valid(path, numbers).ravel(), None
    if axes > 1 and lines == bins.bins and columns in {axes + 1, axes + 2}:
        numbers, columns = _in_order(path, numbers, bins), columns - axes
    if lines != bins.bins or columns not in {1, 2}:
        raise ExperimentError(
            f"{path}: has {lines} lines of {columns} numbers; expected are {bins.bins} lines, one "
            f"a bin, of the count in beam-on and perhaps that in beam-off{_others(bins)}"
        )
    valid(path, numbers)
    return numbers[:, 0], numbers[:, 1] if columns == 2 else None


def valid(path: Path | str, counts: NDArray[Any]) -> Array:
    """Counts, if they can be.

    Raises
    ------
    ExperimentError
        If one is negative, infinite or too large.
    """
    if not np.all((counts >= 0) & (counts < MOST_COUNTS)):
        raise ExperimentError(f"{path}: counts must be 0 or more, and less than {MOST_COUNTS:.0e}")
    return counts


def _others(bins: Binning) -> str:
    """What a message adds of texts in several axes."""
    if len(bins.axes) == 1:
        return ""
    text = f", with or without its {' and '.join(bins.names)} before"
    if len(bins.axes) == 2:
        text += f"; or {bins.shape[0]} lines of {bins.shape[1]} counts"
    return text


def _in_order(path: Path | str, numbers: Array, bins: Binning) -> Array:
    """Counts of lines that begin with a place in each axis, in the order of the bins."""
    axes = len(bins.axes)
    number = bins.holding(numbers[:, :axes])
    _, first = np.unique(number, return_index=True)
    outside, again = np.flatnonzero(number < 0), np.setdiff1d(np.arange(len(number)), first)
    for lines, reason in ((outside, "is in no bin"), (again, "is in the bin of another line")):
        if lines.size:
            place = ", ".join(f"{x:g}" for x in numbers[lines[0], :axes])
            raise ExperimentError(
                f"{path}: {', '.join(bins.names)} = {place} of line {lines[0] + 1} {reason}"
            )
    return numbers[np.argsort(number), axes:]
