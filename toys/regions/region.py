"""Confidence regions from a Neyman construction, beside those of Wilks' theorem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.display import Displayed
from ..construction.belt import Belt, Ordering, margin, p_value
from ..construction.neyman import Construction, Statistic
from ..construction.numbering import PARTS, place_between
from ..counts.model import Data
from ..scan.outline import intervals, is_clipped, open_ends, threshold
from ..scan.plane import everywhere
from ..scan.scan import islands
from .area import Area, area_below, bilinear, exact
from .limits import Curve, Limit, Nodes, Pair, discrete_limits, smooth_limits, summarise
from .monotone import refuse_unfit
from .outcomes import Outcomes, outcomes

FINE = 2001
"""Least points of the axis in drawing a region of one parameter."""


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


Outline = Intervals | Area


@dataclass(frozen=True, eq=False, repr=False)
class Region(Displayed):
    """Region of the data of a construction."""

    construction: Construction
    cl: float
    ordering: Ordering
    belt: Belt
    p_value: Array
    """p-value of the data at each point, of the ordering, shape (points,)."""
    toys: NDArray[np.int64]
    """Number of toys at each point."""
    failed: NDArray[np.int64]
    """Toys whose fit did not converge, at each point."""
    outside: Array
    """`Summary.outside` of each point: how far the data are outside, in errors."""
    repeated: Array
    """`Summary.repeated` of each point: the part of the toys with the statistic of another."""
    weighted: Weighted | None = None
    exact: Outcomes | None = None
    """All outcomes, where they can be listed; the belt, p-values and limits are then exact."""
    between: Mapping[int, Statistic] = field(default_factory=dict)
    """Toys at points between those of the grid of one parameter, by their numbers."""

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
    def nodes(self) -> Nodes:
        """Points of one parameter with toys, those between the grid's among them."""
        c = self.construction
        (grid,) = (x for _, x in c.axes)
        size = len(grid)
        cells = np.minimum(np.arange(size), max(size - 2, 0)), np.zeros(size)
        cells[1][-1] = PARTS if size > 1 else 0
        columns = [grid, *cells, *self.belt, self.outside, self.repeated]
        rows = []
        for number, statistic in self.between.items():
            x = c.position(number)
            seen = float(c.observed_at(x[None])[1][0])
            summary = summarise(statistic.value, seen, self.cl, self.ordering, 1)
            rows.append((x[0], *place_between(number), *summary))
        whole = np.concatenate([np.array(columns).T, np.reshape(rows, (-1, len(columns)))])
        return Nodes(*whole[np.argsort(whole[:, 0], kind="stable")].T)

    @cached_property
    def limits(self) -> list[Pair]:
        """Limits of the intervals of one parameter."""
        c = self.construction
        if self.exact is not None:
            pairs = self.exact.intervals(self.cl, self.ordering)
            return [(Limit(low, 0.0), Limit(high, 0.0)) for low, high in pairs]
        if not self.nodes.discrete:
            curve = Curve(self.fine.x, self.fine.statistic, self.fine.by_toys)
            return smooth_limits(self.nodes, curve, self.weighted is not None)
        (grid,) = (x for _, x in c.axes)
        best = float(c.best.values[0, c.held[0]])
        known = self.ordering == "likelihood-ratio" and grid[0] < best < grid[-1]
        return discrete_limits(self.nodes, best if known else None)

    @cached_property
    def fine(self) -> Fine:
        """The region of one parameter on a grid that is fine enough to draw."""
        c = self.construction
        drawn = _drawn(c, self.cl).with_points(c, self.nodes.x)
        value = drawn.statistic
        belt = Belt(*(np.interp(drawn.x, self.nodes.x, v) for v in self.nodes.belt))
        outside = margin(value, belt, self.ordering, 1)
        outside = np.where(np.isnan(outside), np.inf, outside)  # beside points without toys
        if self.ordering == "likelihood-ratio":
            value = value**2
        level = threshold(self.cl, 1)
        return Fine(drawn.x, value, outside, drawn.q - level, drawn.expected_q - level)

    @cached_property
    def by_toys(self) -> Outline:
        """Outline of the region by toys, or of the exact one."""
        c = self.construction
        if len(c.axes) > 1:
            return self._area_by_toys()
        pairs = [[low.value, high.value] for low, high in self.limits]
        return Intervals(pairs, is_clipped(pairs, open_ends(c.model, c.names[0], c.axes[0][1])))

    def _area_by_toys(self) -> Area:
        c = self.construction
        if self.exact is not None:
            return area_below(c, c.data, exact(self.exact, self.cl), np.inf)
        limits = self.belt.high.reshape(c.shape)
        known = limits[np.isfinite(limits)]
        if not known.size:
            return Area([], 0.0, 0.0, clipped=False)
        (_, x), (_, y) = c.axes
        return area_below(c, c.data, bilinear((x, y), limits), float(known.max()))

    @property
    def wanted(self) -> list[int]:
        """Points between those of the grid where toys would make errors of limits smaller."""
        if len(self.construction.axes) > 1 or self.weighted is not None:
            return []
        numbers = (limit.wanted for pair in self.limits for limit in pair)
        return sorted({number for number in numbers if number is not None})

    @cached_property
    def wilks(self) -> Outline:
        """Outline of the region by the theorem of Wilks."""
        c = self.construction
        return self._wilks(c.data) if len(c.axes) > 1 else self._outline(self.fine.wilks)

    @cached_property
    def asimov(self) -> Outline:
        """Outline of the region of the Asimov data by the theorem of Wilks."""
        c = self.construction
        if len(c.axes) > 1:
            return self._wilks(c.model.asimov())
        return self._outline(self.fine.asimov)

    def _wilks(self, data: Data) -> Area:
        """The region of two parameters of data by the theorem of Wilks."""
        level = threshold(self.cl, 2)
        return area_below(self.construction, data, everywhere(level), level)

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        c, grid = self.construction, self._grid()
        best = [float(c.best.values[0, c.model.number(name)]) for name in c.names]
        line, errors = len(c.axes) == 1, dict[str, object]()
        if line:
            errors["interval_errors"] = self.interval_errors()
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
            **self.by_toys.as_json(),
            **errors,
            "exact": self.exact is not None,
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

    def interval_errors(self) -> list[list[float | None]]:
        """Standard errors of the limits of intervals, the grid's part included; 0 where exact.

        There is none at ends of the scan, and where toys are too few to know.
        """
        (grid,) = (x for _, x in self.construction.axes)
        ends = grid[0], grid[-1]
        return [[None if e.value in ends else e.error for e in pair] for pair in self.limits]

    def _outline(self, outside: Array) -> Intervals:
        """Where `outside` ≤ 0 in one parameter, and whether it goes on beyond the scan."""
        c, x = self.construction, self.fine.x
        pairs = intervals(x, outside)
        return Intervals(pairs, is_clipped(pairs, open_ends(c.model, c.names[0], x)))


class Fine(NamedTuple):
    """How far the data are outside of a region of one parameter; inside where ≤ 0."""

    x: Array
    statistic: Array
    """q or r of the data, as the belt has it."""
    by_toys: Array
    """Values by toys, shape (points,)."""
    wilks: Array
    asimov: Array
    """Values by Wilks' threshold with the Asimov data in the place of the data."""


class Drawn(NamedTuple):
    """The statistic of the data at points that are close enough to draw a region."""

    x: Array
    q: Array
    statistic: Array
    expected_q: Array
    """q of the Asimov data."""

    def with_points(self, construction: Construction, x: Array) -> Drawn:
        """The same with some values more."""
        new = np.setdiff1d(x, self.x)
        if not new.size:
            return self
        more = _drawn_at(construction, new)
        order = np.argsort(np.concatenate([self.x, new]), kind="stable")
        return Drawn(*(np.concatenate([a, b])[order] for a, b in zip(self, more, strict=True)))


@lru_cache(maxsize=4)
def _drawn(construction: Construction, cl: float) -> Drawn:
    """The statistic of the data on a fine grid, at the grid's points, and in all its minima."""
    c = construction
    ((name, x),), best = c.axes, c.best.values[0, c.held]
    inside = best[(best > x[0]) & (best < x[-1])]
    more = islands(c.model, name, x, threshold(cl, 1), c.data)
    return _drawn_at(c, np.unique(np.concatenate([_finer(x, FINE), x, inside, more])))


def _drawn_at(c: Construction, x: Array) -> Drawn:
    points = x[:, None]
    return Drawn(x, *c.observed_at(points), _expected(c).observed_at(points)[0])


@lru_cache(maxsize=4)
def _expected(construction: Construction) -> Construction:
    """The construction with the Asimov data."""
    return replace(construction, data=construction.model.asimov())


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
    """Region from the toys of each grid point, taken one point at a time.

    Where all outcomes can be listed, it is exact, and toys are only counted.

    Raises
    ------
    ExperimentError
        If the ordering is not for this model, see `refuse_unfit`.
    """
    refuse_unfit(construction, ordering)
    c = construction
    size, dimension = len(c.points), len(c.axes)
    rows, p = np.empty((size, 5)), np.ones(size)
    number, failed = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for k, statistic in enumerate(toys):
        seen = float(c.observed[k])
        rows[k] = summarise(statistic.value, seen, cl, ordering, dimension)
        p[k] = p_value(statistic.value, seen, ordering, dimension)
        number[k], failed[k] = len(statistic.value), statistic.failed
    low, high, error, outside, repeated = rows.T
    thrown = Region(
        c, cl, ordering, Belt(low, high, error), p, number, failed, outside, repeated
    )  # fmt: skip
    return exact_region(thrown)


def exact_region(thrown: Region) -> Region:
    """The region with what is exact in the place of toys, where all outcomes can be listed."""
    c, cl, ordering = thrown.construction, thrown.cl, thrown.ordering
    listed = outcomes(c)
    if listed is None:
        return thrown
    limits = np.array([listed.limits(point, cl, ordering) for point in c.points])
    p = np.array([listed.p_value(point, ordering) for point in c.points])
    belt = Belt(limits[:, 0], limits[:, 1], np.zeros(len(p)))
    return replace(thrown, belt=belt, p_value=p, exact=listed)
