"""Intervals, contours and areas from values on a grid, and the levels of regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ..counts.model import Model


def open_ends(model: Model, name: str, x: Array) -> tuple[float, ...]:
    """Ends of a range that are not bounds of the parameter itself."""
    i = model.number(name)
    bounds = model.lower[i], model.upper[i]
    return tuple(float(end) for end in (x[0], x[-1]) if end not in bounds)


def is_clipped(intervals: Iterable[Sequence[float]], ends: Sequence[float]) -> bool:
    """Whether intervals reach ends of a range, so that those of the region are beyond."""
    return any(edge in ends for interval in intervals for edge in interval)


def outlines(x: Array, y: Array, z: Array, level: float) -> list[list[Array]]:
    """Pieces of the region z < level: for each its outer boundary, then its holes, all closed."""
    from contourpy import FillType, contour_generator

    top = 1e6 * max(abs(level), 1.0)
    high = np.pad(np.minimum(z, top), 1, constant_values=top)
    wide, tall = np.pad(x, 1, mode="edge"), np.pad(y, 1, mode="edge")
    generator = contour_generator(wide, tall, high, fill_type=FillType.OuterOffset)
    filled: Any = generator.filled(-np.inf, level)
    points, offsets = filled
    return [
        [np.asarray(p[a:b]) for a, b in pairwise(o)] for p, o in zip(points, offsets, strict=True)
    ]


def total_area(pieces: Sequence[Sequence[Array]]) -> float:
    """Area of the pieces that `outlines` gives, holes left out."""

    def area(line: Array) -> float:
        x, y = line[:, 0], line[:, 1]
        return abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2

    return sum(area(outer) - sum(area(hole) for hole in holes) for outer, *holes in pieces)


def threshold(cl: float, parameters: int) -> float:
    """Δχ² of a confidence level by Wilks' theorem.

    Raises
    ------
    ExperimentError
        Unless 0 < cl < 1.
    """
    from scipy.special import gammaincinv  # `scipy.stats`, which has it by name, loads slowly

    if not 0 < cl < 1:
        raise ExperimentError(f"cl must be between 0 and 1, not {cl:g}")
    return float(2 * gammaincinv(parameters / 2, cl))


def intervals(x: Array, outside: Array) -> list[list[float]]:
    """Intervals where `outside` ≤ 0, linear between points."""
    inside = outside <= 0
    pieces: list[list[float]] = []
    begin = float(x[0])
    for i in range(1, len(x)):
        if inside[i] == inside[i - 1]:
            continue
        a, b = outside[i - 1], outside[i]
        step = a / (a - b) if np.isfinite(a) and np.isfinite(b) else 0.5
        edge = float(x[i - 1] + step * (x[i] - x[i - 1]))
        if inside[i]:
            begin = edge
        else:
            pieces.append([begin, edge])
    if inside[-1]:
        pieces.append([begin, float(x[-1])])
    return pieces


def contours(axes: Sequence[Array], outside: Array) -> tuple[list[Array], float]:
    """Closed boundaries in a plane of where `outside` ≤ 0, and the area."""
    x, y = axes
    pieces = outlines(x, y, outside.reshape(len(y), len(x)), 0.0)
    return [line for piece in pieces for line in piece], total_area(pieces)
