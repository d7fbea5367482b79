"""Intervals from values on a grid, and the levels of regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
