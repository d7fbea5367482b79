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
from .belt import Belt, Ordering, belt, margin, p_values
from .neyman import Construction, Statistic

FINE = {1: 2001, 2: 201}
"""Least points of an axis in drawing a region, in one and two parameters."""


class Weighted(NamedTuple):
    """More on toys that are used at all points with their weights."""

    effective: Array
    """Effective number of those fitted at each point, (Σw)²/Σw², shape (points,)."""
    expected_fits: int
    """Data sets without fluctuations of their own that were fitted beside the toys, in all."""


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
    """Number at each point."""
    failed: NDArray[np.int64]
    """Toys whose fit did not converge, at each point."""
    weighted: Weighted | None = None

    def facts(self) -> dict[str, object]:
        """Parameters, ordering, toys, and the intervals or the area."""
        outline = self._outline(self.fine.by_toys)
        found = (
            {"area": f"{outline['area']:.5g}"}
            if "area" in outline
            else {
                "intervals": ", ".join(f"[{a:.4g}, {b:.4g}]" for a, b in outline["intervals"])
                or "none"
            }
        )
        return {
            "parameters": ", ".join(self.construction.names),
            "CL": f"{100 * self.cl:g} %",
            "ordering": self.ordering,
            "toys": int(self.toys.sum()),
            "failed fits": int(self.failed.sum()),
        } | found

    @property
    def critical(self) -> Array:
        """Limit of the statistic at each point: of q, or of r for an upper limit (the lower)."""
        return self.belt.low if self.ordering == "upper" else self.belt.high

    @cached_property
    def margin(self) -> Array:
        """How far the data are outside at each point: in the region where ≤ 0."""
        c = self.construction
        return margin(c.observed, self.belt, self.ordering, len(c.axes))

    @cached_property
    def fine(self) -> Fine:
        """The region on a grid that is fine enough to draw: the belt is interpolated linearly."""
        from scipy.interpolate import RegularGridInterpolator

        c = self.construction
        axes = tuple(_finer(x, FINE[len(c.axes)]) for _, x in c.axes)
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

    def describe(self) -> dict[str, Any]:
        """Content for JSON."""
        c = self.construction
        numbers = [c.model.number(name) for name in c.names]
        content: dict[str, Any] = {
            "best": [float(c.best.values[0, i]) for i in numbers],
            "cl": self.cl,
            "ordering": self.ordering,
            "ensemble": c.ensemble.describe(),
            "seed": c.seed,
            "toys": int(self.toys.sum()),
            "failed": int(self.failed.sum()),
            "delta_chi2": threshold(self.cl, len(c.axes)),
        }
        grid: dict[str, Any] = dict(zip(("x", "y"), (x.tolist() for _, x in c.axes), strict=False))
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
            content["expected_fits"] = self.weighted.expected_fits
        if self.ordering == "central":
            arrays["critical_low"] = self.belt.low
        for name, values in arrays.items():
            grid[name] = _finite(values.reshape(c.shape))
        for name in ("critical", "critical_error"):
            content[name] = grid[name]
        if len(c.axes) == 1:
            content |= {"parameter": c.names[0], "best": content["best"][0]}
        else:
            content["parameters"] = list(c.names)
        content |= self._outline(self.fine.by_toys)
        if len(c.axes) == 1:
            content["interval_errors"] = [
                [self._edge_error(edge) for edge in pair] for pair in content["intervals"]
            ]
        content["wilks"] = self._outline(self.fine.wilks)
        content["asimov"] = self._outline(self.fine.asimov)
        content["grid"] = grid
        return content

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

    def _outline(self, outside: Array) -> dict[str, Any]:
        """Where `outside` ≤ 0, and whether it goes on beyond the scan."""
        c, axes = self.construction, self.fine.axes
        if len(axes) == 1:
            found = intervals(axes[0], outside)
            ends = open_ends(c.model, c.names[0], axes[0])
            return {"intervals": found, "clipped": is_clipped(found, ends)}
        lines, area = contours(axes, outside)
        clipped = reaches_the_edge(axes, outside)
        return {"contours": [line.tolist() for line in lines], "area": area, "clipped": clipped}


class Fine(NamedTuple):
    """How far the data are outside of a region on a fine grid; inside where ≤ 0."""

    axes: tuple[Array, ...]
    by_toys: Array
    """Shape (points,), the first axis running fastest."""
    wilks: Array
    asimov: Array
    """By Wilks' threshold with the Asimov data in the place of the data."""


def _finer(x: Array, least: int) -> Array:
    """The grid with enough points between its own."""
    parts = max(1, -(-(least - 1) // (len(x) - 1)))
    return np.interp(np.arange(parts * (len(x) - 1) + 1) / parts, np.arange(len(x)), x)


def _finite(values: NDArray[Any]) -> Any:
    """Nested lists, with null where a number is not finite."""
    if values.dtype.kind == "i":
        return values.tolist()
    found = values.astype(object)
    found[~np.isfinite(values)] = None
    return found.tolist()


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
        one = belt([statistic.value], cl, ordering, dimension)
        low[k], high[k], error[k] = one.low[0], one.high[0], one.error[0]
        seen = construction.observed[k : k + 1]
        p_value[k] = p_values([statistic.value], seen, dimension)[0] if len(statistic.value) else 0
        number[k], failed[k] = len(statistic.value), statistic.failed
    return Region(construction, cl, ordering, Belt(low, high, error), p_value, number, failed)
