"""Published measurements of CEvNS beside ours, from the data that their authors released."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from ...generator.settings import Settings
from ...reco.cluster.workers import HERE, Here
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment, load
from ..construction.ensemble import Ensemble
from ..construction.neyman import Construction
from ..counts.model import Data
from ..observed.observed import observed
from ..records.passing import thrown_region
from ..report.report import Models, Report, models, report
from ..scan.outline import threshold
from ..scan.scan import Axis, grids, scan_1d
from .result import Cell, Result, Table, ratio

CL = 0.9
POINTS = 41
"""Points of the grid of toys."""
STRENGTH = "strength"
COLUMNS = (
    "quantity", "nuspill", "below", "above", "published", "published below", "published above",
    "ratio", "computed apart", "Feldman-Cousins",
)  # fmt: skip


class Row(Settings):
    """A number that was published, or that its authors did not give."""

    quantity: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    apart: float | None = None
    printed: str = ""
    of: str = ""
    settings: dict[str, float] = Field(default_factory=dict)


class Measurement(Settings):
    """A release and its numbers."""

    experiment: str
    folder: str
    """Name of its folder among the releases."""
    source: str
    row: list[Row]


class Ours(NamedTuple):
    """Our number, with errors, or a text of intervals."""

    value: float | str
    low: float | None = None
    high: float | None = None
    by_toys: str | None = None


def measurements() -> list[Measurement]:
    """The published numbers that the package holds."""
    text = (resources.files(__package__) / "measured.toml").read_text("utf-8")
    return [Measurement.model_validate(each) for each in tomllib.loads(text)["measurement"]]


def measured(releases: Path, toys: int = 0, seed: int = 1, workers: Here = HERE) -> Result:
    """Tables of published numbers and ours for each release that is there.

    Parameters
    ----------
    releases
        Folder that holds those of the releases, ``coherent_csi_2021`` for example.
    toys
        Of each grid point of Feldman-Cousins intervals; 0 for none.

    Raises
    ------
    ExperimentError
        If there is no release, naming the folders that there may be.
    """
    known = measurements()
    there = [m for m in known if (releases / m.folder).is_dir()]
    if not there:
        raise ExperimentError(
            f"{releases}: has no release; folders of it may be {', '.join(m.folder for m in known)}"
        )
    tables = tuple(_table(m, releases / m.folder, toys, seed, workers) for m in there)
    return Result("measured", "Published measurements", tables, partial(_draw, tables))


def _table(measurement: Measurement, folder: Path, toys: int, seed: int, workers: Here) -> Table:
    fits = _Fits(measurement.experiment, folder, workers)
    rows = [_cells(row, _ours(row, fits, toys, seed)) for row in measurement.row]
    others = sorted({f"{row.quantity}: {row.of}" for row in measurement.row if row.of})
    note = f"Published: {measurement.source}{'; ' if others else ''}{'; '.join(others)}."
    return Table(f"{measurement.experiment}: published and ours", COLUMNS, tuple(rows), note)


def _cells(row: Row, ours: Ours) -> tuple[Cell, ...]:
    published: Cell = row.value if row.value is not None else row.printed or None
    rate = ratio(ours.value, row.value) if isinstance(ours.value, float) else None
    return (
        row.quantity, ours.value, ours.low, ours.high, published, row.low, row.high, rate,
        row.apart, ours.by_toys,
    )  # fmt: skip


class _Fits:
    """Fits of one release, each made once."""

    def __init__(self, name: str, folder: Path, workers: Here) -> None:
        self.name, self.folder, self.workers = name, folder, workers
        self._known: dict[tuple[str, ...], tuple[list[Experiment], Models, Data, Report]] = {}

    def of(
        self, parameter: str, settings: Mapping[str, float]
    ) -> tuple[list[Experiment], Models, Data, Report]:
        """Experiment, models, data and report of a fit of a parameter."""
        key = (parameter, *map(str, sorted(settings.items())))
        if key not in self._known:
            experiments = [self._load(settings)]
            both = models(experiments, [parameter])
            data = observed(both.model, experiments, [str(self.folder)])
            result = report(both, data, self.workers)
            self._known[key] = experiments, both, data, result
        return self._known[key]

    def _load(self, settings: Mapping[str, Any]) -> Experiment:
        experiment = load(self.name, settings)
        if experiment.release is None:
            return experiment
        return load(self.name, {**settings, "release.folder": str(self.folder)})


def _ours(row: Row, fits: _Fits, toys: int, seed: int) -> Ours:
    kind, _, name = row.quantity.partition(".")
    parameter = name if kind in {"best", "interval"} else STRENGTH
    experiments, both, data, result = fits.of(parameter, row.settings)
    if kind == "interval":
        return _interval(experiments, both, data, parameter, toys, seed, fits.workers)
    if kind == "best":
        number = both.model.number(parameter)
        low, high = result.fit.errors[number]
        return Ours(float(result.fit.values[number]), float(low), float(high))
    if kind == "expected":
        truth = both.model.truth
        return Ours(
            sum(float(c.on.at(truth).sum()) for c in both.model.components if c.name == name)
        )
    if kind == "counts":
        return _counts(result, name)
    numbers = {"chi2": result.fit.chi2, "significance": result.significance.sigma}
    return Ours(float(numbers[row.quantity]))


def _counts(result: Report, name: str) -> Ours:
    """Counts of a component at the best fit; those of the signal have the strength's errors."""
    value = result.components[name]
    if name != "signal":
        return Ours(value)
    fit = result.fit
    number = fit.model.number(STRENGTH)
    low, high = fit.errors[number] * value / fit.values[number]
    return Ours(value, float(low), float(high))


def _interval(
    experiments: list[Experiment],
    both: Models,
    data: Data,
    parameter: str,
    toys: int,
    seed: int,
    workers: Here,
) -> Ours:
    scan = scan_1d(both.model, Axis(parameter), CL, data, workers)
    text = _as_text([list(pair) for pair in scan.intervals])
    if not toys:
        return Ours(text)
    axes = [Axis(parameter)]
    (x,) = grids(both.model, axes, threshold(CL, 1), POINTS, data)
    c = Construction(both.model, ((parameter, x),), Ensemble(), seed, data, tuple(experiments))
    region = thrown_region(c, toys, CL, workers)
    pairs = [[low.value, high.value] for low, high in region.limits]
    return Ours(text, by_toys=_as_text(pairs))


def _as_text(intervals: list[list[float]]) -> str:
    return " ".join(f"[{low:.4g}, {high:.4g}]" for low, high in intervals) or "none"


def _draw(tables: tuple[Table, ...], axes: Any) -> None:
    """Our numbers over those published, with the published errors."""
    labels, place = [], 0
    for table in tables:
        name = table.title.partition(":")[0]
        for row in table.rows:
            value, published, low, high = row[1], row[4], row[5], row[6]
            if not isinstance(value, float) or not isinstance(published, float):
                continue
            labels.append(f"{name} {row[0]}")
            errors = np.abs(np.array([[low or 0.0], [high or 0.0]], float)) / published
            axes.errorbar([1.0], [place], xerr=errors, fmt="|", color="0.5", capsize=4)
            axes.plot(value / published, place, "o", color="#3f90da")
            place += 1
    axes.axvline(1, color="0.3", lw=1)
    axes.set_yticks(range(place), labels, fontsize=9)
    axes.set_ylim(place - 0.5, -0.5)
    axes.set_xlabel("nuspill / published, with the published errors")
