"""`nuspill fit`: what observed counts say of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..options.computing import Computing, threads_option
from ..options.ensemble import ToyEnsemble, ensemble_options
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.observed import Observed, observed_options
from ..options.output import Output, output_options
from ..options.statistics import FitStatistics, fit_statistic_options
from ..output import interval_text, progress_bar
from .toys import POINTS, report_region, warn_of_the_ensemble

if TYPE_CHECKING:
    from ...generator.arrays import Array
    from ...reco.experiment import Experiment
    from ...toys.construction.neyman import Construction
    from ...toys.counts.model import Data, Model
    from ...toys.regions.region import Region
    from ...toys.report.report import Report
    from ...toys.scan.scan import Scan1D, Scan2D


def _names_of_axes(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[str, ...]:
    """Names between commas."""
    return () if value is None else tuple(name.strip() for name in value.split(","))


@click.command()
@experiments_argument
@observed_options
@fit_statistic_options
@click.option(
    "--toys", type=click.IntRange(1, 2**31), metavar="N",
    help="Also by N toys: goodness of fit, and Feldman-Cousins with N at each grid point.",
)  # fmt: skip
@click.option(
    "--axes", metavar="NAME,...", callback=_names_of_axes,
    help="Fit the counts along these axes alone, e.g. energy, summed over the others.",
)  # fmt: skip
@ensemble_options
@loading_options
@threads_option
@output_options
def command(
    names: tuple[str, ...],
    observed: Observed,
    fit_statistics: FitStatistics,
    toys: int | None,
    axes: tuple[str, ...],
    toy_ensemble: ToyEnsemble,
    loading: Loading,
    computing: Computing,
    output: Output,
) -> None:
    """Fit observed counts: best values with errors, intervals, pulls, impacts and quality.

    Errors are where Δχ² is 1, intervals and regions those of --cl; other variables are fitted.
    Several experiments are combined; pulls of the same name are common to them.
    """
    from ...toys.report.report import models, report

    experiments = loading.load_all(names, observed.files)
    observed.require(experiments)
    both = models(experiments, fit_statistics.parameters())
    data = observed.data(both.model, experiments)
    assert data is not None
    if axes:
        both = both.on_axes(axes)
        data = both.summed(data)
    result = report(both, data, computing.here)
    scans = _scans(both.model, data, fit_statistics, computing)
    region = None
    if toys is not None:
        construction = _construction(both.model, data, experiments, fit_statistics, toy_ensemble)
        result, region = _by_toys(result, construction, toys, fit_statistics.cl, computing)
    title = " + ".join(e.name for e in experiments)
    _print(title, result, scans, output)
    if region is not None:
        output.text("")
        report_region(region, title, output)
        output.text(f"\n{region.construction.audit(0, toys or 0)}")
    output.json(_content(result, scans, region, fit_statistics, experiments))
    if output.plot_file is not None:
        from ...toys.report.plot import plot_report

        plot_report(result, output.plot_file)


def _scans(
    model: Model, data: Data, statistics: FitStatistics, computing: Computing
) -> list[Scan1D | Scan2D]:
    """Intervals of each parameter that is scanned, and the region of two."""
    from ...toys.scan.scan import scan_1d, scan_2d

    axes, cl, workers = statistics.axes(), statistics.cl, computing.here
    scans: list[Scan1D | Scan2D] = [scan_1d(model, axis, cl, data, workers) for axis in axes]
    if len(axes) == 2:
        scans.append(scan_2d(model, (axes[0], axes[1]), cl, data, workers))
    failed = sum(scan.failed for scan in scans)
    if failed:
        click.echo(f"nuspill: warning: {failed} fits did not converge", err=True)
    return scans


def _construction(
    model: Model,
    data: Data,
    experiments: Sequence[Experiment],
    statistics: FitStatistics,
    toy_ensemble: ToyEnsemble,
) -> Construction:
    """The grid of the toys, as that of `nuspill toys`."""
    from ...toys.construction.ensemble import Ensemble
    from ...toys.construction.neyman import Construction
    from ...toys.scan.outline import threshold
    from ...toys.scan.scan import grids

    e, axes = toy_ensemble, statistics.axes()
    values = grids(model, axes, threshold(statistics.cl, len(axes)), POINTS[len(axes)], data)
    planned = tuple((axis.name, x) for axis, x in zip(axes, values, strict=True))
    ensemble = Ensemble(e.truth, e.centres, e.nuisances)
    construction = Construction(model, planned, ensemble, e.seed, data, tuple(experiments))
    warn_of_the_ensemble(construction)
    return construction


def _by_toys(
    result: Report, construction: Construction, toys: int, cl: float, computing: Computing
) -> tuple[Report, Region]:
    """The report with goodness of fit by toys, and the region of Feldman and Cousins."""
    from dataclasses import replace

    from ...toys.records.passing import thrown_region
    from ...toys.report.quality import goodness_by_toys

    with progress_bar(toys * (1 + len(construction.points)), "toys") as advance:
        workers = computing.here.reporting(advance)
        goodness = goodness_by_toys(result.fit, toys, construction.seed, workers)
        region = thrown_region(construction, toys, cl, workers)
    return replace(result, goodness=goodness), region


def _print(title: str, result: Report, scans: Sequence[Scan1D | Scan2D], output: Output) -> None:
    """Tables of parameters, components, pulls and correlations."""
    fit = result.fit
    if not fit.converged:
        click.echo("nuspill: warning: the fit did not converge", err=True)
    output.text(f"{title}: {result.goodness}\n{result.significance}\n")
    _print_parameters(result, scans, output)
    counts = [(name, counts) for name, counts in result.components.items()]
    total = sum(result.components.values())
    output.text("")
    output.table(
        "counts in beam-on at the best fit",
        ["component", "counts"],
        [*counts, ("sum", total), ("observed", result.observed)],
    )
    if fit.model.nuisances:
        output.text("")
        _print_pulls(result, output)
    if len(fit.model.names) > 1:
        output.text("")
        numbers = [[_rounded(x, 3) for x in row] for row in fit.correlation]
        rows = [(name, *row) for name, row in zip(fit.model.names, numbers, strict=True)]
        output.table("correlations", ["", *fit.model.names], rows)


def _print_parameters(result: Report, scans: Sequence[Scan1D | Scan2D], output: Output) -> None:
    from ...toys.scan.outline import open_ends
    from ...toys.scan.scan import Scan1D

    fit, cl = result.fit, scans[0].cl
    intervals = {}
    for scan in scans:
        if isinstance(scan, Scan1D):
            ends = open_ends(scan.model, scan.name, scan.x)
            intervals[scan.name] = (
                " ".join(interval_text(pair, ends, 5) for pair in scan.intervals) or "none"
            )
    rows = [
        (name, fit.values[i], *_signed(fit.errors[i]), intervals.get(name))
        for i, name in enumerate(p.name for p in fit.model.parameters)
    ]
    columns = ["parameter", "best fit", "below", "above", f"{100 * cl:g} % CL"]
    output.table("errors from Δχ² = 1", columns, rows)
    for scan in scans:
        if not isinstance(scan, Scan1D):
            clipped = ", clipped" if scan.clipped else ""
            output.text(
                f"{' and '.join(scan.names)} at {100 * cl:g} % CL: area {scan.area:.5g} ± "
                f"{scan.region.error:.1g} in {len(scan.contours)} contours{clipped}"
            )


def _print_pulls(result: Report, output: Output) -> None:
    fit, number = result.fit, len(result.fit.model.parameters)
    names = [p.name for p in fit.model.parameters]
    rows = [
        (
            nuisance.name + ("" if nuisance.weight else " (free)"),
            _rounded(fit.values[number + k], 4),
            *_signed(fit.errors[number + k]),
            *(f"{_rounded(low, 3)} {_rounded(high, 3)}" for low, high in fit.impacts[k].T),
        )
        for k, nuisance in enumerate(fit.model.nuisances)
    ]
    columns = ["pull, in σ", "best fit", "below", "above", *(f"moves {name} by" for name in names)]
    output.table("pulls, and impacts of their errors below and above", columns, rows)


def _signed(errors: Array) -> tuple[str, str]:
    """Errors with signs; a dash where χ² does not rise by 1."""
    low, high = (f"{sign}{x:.4g}" if x == x else "-" for sign, x in zip("-+", errors, strict=True))
    return low, high


def _rounded(value: float, digits: int) -> str:
    """A number that may be nought but for rounding."""
    return f"{round(float(value), 9) + 0.0:.{digits}g}" if value == value else "-"


def _content(
    result: Report,
    scans: Sequence[Scan1D | Scan2D],
    region: Region | None,
    statistics: FitStatistics,
    experiments: Sequence[Experiment],
) -> dict[str, Any]:
    """Content for JSON."""
    from ...toys.scan.scan import Scan1D

    lines = [scan for scan in scans if isinstance(scan, Scan1D)]
    content = result.as_json() | {
        "intervals": {scan.name: [list(pair) for pair in scan.intervals] for scan in lines},
        "cl": statistics.cl,
        "scans": [scan.as_json() for scan in scans],
        "experiments": [e.name for e in experiments],
        "scanned": [scan.name for scan in lines],
        "profiled": list(statistics.profiled),
    }
    if region is not None:
        content["feldman_cousins"] = region.as_json()
    if origins := result.fit.data.origins:
        content["data"] = [origin.as_json() for origin in origins]
    return content
