"""Confidence regions from a Neyman construction, beside those of Wilks' theorem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.display import Displayed
from ..fit.outline import contours, intervals, is_clipped, open_ends, reaches_the_edge, threshold
from ..fit.scan import islands
from .belt import Belt, Ordering, belt, margin, p_values
from .neyman import Construction, Statistic

FINE = {1: 2001, 2: 201}
"""Least points of an axis in drawing a region, in one and two parameters."""


class Weighted(NamedTuple):
    """Numbers of toys that are used at all points with their weights."""

    effective: Array
    """Effective number of toys fitted at each point, (Σw)²/Σw², shape (points,)."""
    expected_fits: int
    """Data sets without fluctuations of their own that were fitted beside the toys, in all."""


@dataclass(frozen=True)
class Intervals:
    """A region of one parameter."""

    intervals: list[list[float]]
    """Lower and upper ends."""
    clipped: bool
    """Whether it goes on beyond the scan."""

    def facts(self) -> dict[str, object]:
        """The intervals in a line."""
        return {"intervals": ", ".join(f"[{a:.4g}, {b:.4g}]" for a, b in self.intervals) or "none"}

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {"intervals": self.intervals, "clipped": self.clipped}


@dataclass(frozen=True, eq=False)
class Area:
    """A region of two parameters."""

    contours: list[Array]
    """Closed lines, each of shape (points, 2)."""
    area: float
    clipped: bool
    """Whether it goes on beyond the scan."""

    def facts(self) -> dict[str, object]:
        """The area in a line."""
        return {"area": f"{self.area:.5g}"}

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        lines = [line.tolist() for line in self.contours]
        return {"contours": lines, "area": self.area, "clipped": self.clipped}


Outline = Intervals | Area


@dataclass(frozen=True, eq=False, repr=False)
class Region(Displayed):
    """Region of the data of a construction."""

    construction: Construction
    cl: float
    ordering: Ordering
    belt: Belt
    p_value: Array
    """Part of the toys with q at least that of the data, shape (points,)."""
    toys: NDArray[np.int64]
    """Number of toys at each point."""
    failed: NDArray[np.int64]
    """Toys whose fit did not converge, at each point."""
    weighted: Weighted | None = None

    def facts(self) -> dict[str, object]:
        """Parameters, ordering, toys, and the intervals or the area."""
        return {
            "parameters": ", ".join(self.construction.names),
            "CL": f"{100 * self.cl:g} %",
            "ordering": self.ordering,
            "toys": int(self.toys.sum()),
            "failed fits": int(self.failed.sum()),
        } | self.by_toys.facts()

    @property
    def critical(self) -> Array:
        """Limit of the statistic at each point: of q, or of r for an upper limit (the lower)."""
        return self.belt.low if self.ordering == "upper" else self.belt.high

    @cached_property
    def margin(self) -> Array:
        """How far the data are outside the region at each point: inside where ≤ 0."""
        c = self.construction
        return margin(c.observed, self.belt, self.ordering, len(c.axes))

    @cached_property
    def fine(self) -> Fine:
        """The region on a grid that is fine enough to draw: the belt is interpolated linearly."""
        from scipy.interpolate import RegularGridInterpolator

        c = self.construction
        axes = tuple(_finer(x, FINE[len(c.axes)]) for _, x in c.axes)
        if len(axes) == 1:
            (name, x), level = c.axes[0], threshold(self.cl, 1)
            axes = (np.union1d(axes[0], islands(c.model, name, x, level, c.data)),)
        points = np.stack([g.ravel(order="F") for g in np.meshgrid(*axes, indexing="ij")], axis=1)
        low, high = (
            RegularGridInterpolator(tuple(x for _, x in c.axes), v.reshape(c.shape).T)(points)
            if not np.all(np.isinf(v))
            else np.full(len(points), v[0])
            for v in (self.belt.low, self.belt.high)
        )
        q, statistic = c.observed_at(points)
        outside = margin(statistic, Belt(low, high, low), self.ordering, len(axes))
        outside = np.where(np.isnan(outside), np.inf, outside)  # beside points without toys
        level = threshold(self.cl, len(axes))
        expected = replace(c, data=c.model.asimov())
        return Fine(axes, outside, q - level, expected.observed_at(points)[0] - level)

    @cached_property
    def by_toys(self) -> Outline:
        """Outline of the region by toys."""
        return self._outline(self.fine.by_toys)

    @cached_property
    def wilks(self) -> Outline:
        """Outline of the region by the theorem of Wilks."""
        return self._outline(self.fine.wilks)

    @cached_property
    def asimov(self) -> Outline:
        """Outline of the region of the Asimov data by the theorem of Wilks."""
        return self._outline(self.fine.asimov)

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        c, by_toys, grid = self.construction, self.by_toys, self._grid()
        best = [float(c.best.values[0, c.model.number(name)]) for name in c.names]
        line, errors = len(c.axes) == 1, dict[str, object]()
        if isinstance(by_toys, Intervals):
            errors["interval_errors"] = self.interval_errors(by_toys)
        return {
            "best": best[0] if line else best,
            "cl": self.cl,
            "ordering": self.ordering,
            "ensemble": c.ensemble.describe(),
            "seed": c.seed,
            "toys": int(self.toys.sum()),
            "failed": int(self.failed.sum()),
            "delta_chi2": threshold(self.cl, len(c.axes)),
            **({"expected_fits": self.weighted.expected_fits} if self.weighted is not None else {}),
            "critical": grid["critical"],
            "critical_error": grid["critical_error"],
            **({"parameter": c.names[0]} if line else {"parameters": list(c.names)}),
            **by_toys.as_json(),
            **errors,
            "wilks": self.wilks.as_json(),
            "asimov": self.asimov.as_json(),
            "grid": grid,
        }

    def _grid(self) -> dict[str, object]:
        """Content for JSON: numbers at each point."""
        c = self.construction
        arrays = {
            "delta_chi2": c.delta_chi2,
            "critical": self.critical,
            "critical_error": self.belt.error,
            "p_value": self.p_value,
            "toys": self.toys,
            "failed": self.failed,
        }
        if self.weighted is not None:
            arrays["effective_toys"] = self.weighted.effective
        if self.ordering == "central":
            arrays["critical_low"] = self.belt.low
        axes = dict(zip(("x", "y"), (x.tolist() for _, x in c.axes), strict=False))
        return axes | {name: _finite(v.reshape(c.shape)) for name, v in arrays.items()}

    def interval_errors(self, region: Intervals) -> list[list[float | None]]:
        """Standard errors of the limits of intervals; see `_edge_error`."""
        return [[self._edge_error(edge) for edge in pair] for pair in region.intervals]

    def _edge_error(self, edge: float) -> float | None:
        """Standard error of a limit from those of the critical values; none at ends of the scan."""
        (x,), outside = self.fine.axes, self.fine.by_toys
        (grid,) = (values for _, values in self.construction.axes)
        if edge in (x[0], x[-1]):
            return None
        i, g = int(np.searchsorted(x, edge)), int(np.searchsorted(grid, edge))
        slope = (outside[i] - outside[i - 1]) / (x[i] - x[i - 1])
        if not np.isfinite(slope):  # beside points without toys
            return None
        share = (edge - grid[g - 1]) / (grid[g] - grid[g - 1])
        parts = np.array([(1 - share) * self.belt.error[g - 1], share * self.belt.error[g]])
        same_toys = self.weighted is not None
        error = abs(float(parts.sum() if same_toys else np.hypot(*parts)) / slope)
        return error if np.isfinite(error) else None

    def _outline(self, outside: Array) -> Outline:
        """Where `outside` ≤ 0, and whether it goes on beyond the scan."""
        c, axes = self.construction, self.fine.axes
        if len(axes) == 1:
            pairs = intervals(axes[0], outside)
            ends = open_ends(c.model, c.names[0], axes[0])
            return Intervals(pairs, is_clipped(pairs, ends))
        lines, area = contours(axes, outside)
        return Area(lines, area, reaches_the_edge(axes, outside))


class Fine(NamedTuple):
    """How far the data are outside of a region on a fine grid; inside where ≤ 0."""

    axes: tuple[Array, ...]
    by_toys: Array
    """Values by toys, shape (points,), the first axis running fastest."""
    wilks: Array
    asimov: Array
    """Values by Wilks' threshold with the Asimov data in the place of the data."""


def _finer(x: Array, least: int) -> Array:
    """The grid with enough points between its own."""
    parts = max(1, -(-(least - 1) // (len(x) - 1)))
    return np.interp(np.arange(parts * (len(x) - 1) + 1) / parts, np.arange(len(x)), x)


def _finite(values: NDArray[Any]) -> Any:
    """Nested lists, with null where a number is not finite."""
    if values.dtype.kind == "i":
        return values.tolist()
    objects = values.astype(object)
    objects[~np.isfinite(values)] = None
    return objects.tolist()


def region(
    construction: Construction,
    toys: Iterable[Statistic],
    cl: float,
    ordering: Ordering = "likelihood-ratio",
) -> Region:
    """Region from the toys of each grid point, taken one point at a time."""
    size = len(construction.points)
    dimension = len(construction.axes)
    low, high, error = (np.empty(size) for _ in range(3))
    p_value = np.empty(size)
    number, failed = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for k, statistic in enumerate(toys):
        limits = belt([statistic.value], cl, ordering, dimension)
        low[k], high[k], error[k] = limits.low[0], limits.high[0], limits.error[0]
        seen = construction.observed[k : k + 1]
        p_value[k] = p_values([statistic.value], seen, dimension)[0] if len(statistic.value) else 0
        number[k], failed[k] = len(statistic.value), statistic.failed
    return Region(construction, cl, ordering, Belt(low, high, error), p_value, number, failed)
