"""Regions of two parameters from a Neyman construction: where q of the data is below its level.

By toys the level is the critical value, bilinear between the points of the grid; where all
outcomes can be listed, it is exact at every point; by Wilks' theorem it is the same everywhere.
The outline is refined until the area is known (`toys.scan.plane`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...generator.arrays import Array
from ..scan.plane import Level
from ..scan.scan import region_within
from .outcomes import Outcomes

if TYPE_CHECKING:
    from ..construction.neyman import Construction
    from ..counts.model import Data


@dataclass(frozen=True, eq=False)
class Area:
    """A region of two parameters."""

    contours: list[Array]
    """Closed lines, each of shape (points, 2)."""
    area: float
    error: float
    """Of the area, from its outline; that of critical values is not in it."""
    clipped: bool
    """Whether it goes on beyond the scan."""

    def facts(self) -> dict[str, object]:
        """The area in a line."""
        return {"area": f"{self.area:.5g}"}

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        lines = [line.tolist() for line in self.contours]
        return {
            "contours": lines,
            "area": self.area,
            "area_error": self.error,
            "clipped": self.clipped,
        }


def area_below(c: Construction, data: Data, level: Level, highest: float) -> Area:
    """The region of the plane of a construction where q of data is below a level.

    Parameters
    ----------
    highest
        A level that is nowhere exceeded; infinite if none is known.
    """
    first, second = c.axes
    names = first[0], second[0]
    ranges = (
        (float(first[1][0]), float(first[1][-1])), (float(second[1][0]), float(second[1][-1]))
    )  # fmt: skip
    region, clipped = region_within(c.model, names, ranges, level, highest, data)
    return Area(region.contours, region.area, region.error, clipped)


def bilinear(axes: tuple[Array, Array], values: Array) -> Level:
    """The level between points of a grid.

    Parameters
    ----------
    axes
        Values of the two parameters, of shapes (m,) and (n,).
    values
        Level at each point, shape (n, m); where one is not finite, none beside it is in a region.
    """
    x, y = axes
    values = np.where(np.isfinite(values), values, np.nan)

    def at(px: Array, py: Array) -> tuple[Array, Array]:
        i, j = (
            np.clip(np.searchsorted(a, p, side="right") - 1, 0, len(a) - 2)
            for a, p in ((x, px), (y, py))
        )
        width, height = x[i + 1] - x[i], y[j + 1] - y[j]
        t, u = (px - x[i]) / width, (py - y[j]) / height
        a, b, c, d = values[j, i], values[j, i + 1], values[j + 1, i], values[j + 1, i + 1]
        level = (1 - u) * ((1 - t) * a + t * b) + u * ((1 - t) * c + t * d)
        by_x = ((1 - u) * (b - a) + u * (d - c)) / width
        by_y = ((1 - t) * (c - a) + t * (d - b)) / height
        return level, np.stack([by_x, by_y])

    return at


def exact(outcomes: Outcomes, cl: float) -> Level:
    """The level where all outcomes are listed: q of the data, and how far p is above 1 − CL."""

    def at(x: Array, y: Array) -> tuple[Array, Array]:
        levels = np.empty(x.shape)
        for n, point in enumerate(np.stack([x, y], axis=1)):
            listed = outcomes.at(point)
            p = outcomes.p_value(point, "likelihood-ratio")
            levels[n] = listed.seen + (p - (1 - cl))
        return levels, np.full((2, x.size), np.nan)

    return at
