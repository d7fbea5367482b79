"""`nuspill asimov`: sensitivities and allowed regions from the expected counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..options.computing import Computing, threads_option
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.output import Output, output_options
from ..options.statistics import Statistics, statistic_options
from ..output import interval_text, progress_bar

if TYPE_CHECKING:
    from ...generator.arrays import Array
    from ...reco.cluster.workers import Here
    from ...toys.counts.model import Model
    from ...toys.report.bands import Bands
    from ...toys.scan.scan import Axis, Scan1D, Scan2D


@click.command()
@experiments_argument
@statistic_options
@click.option(
    "--bands", "toys", type=click.IntRange(10, 10**7), metavar="N",
    help="Also where regions of N toy experiments lie: their median, and 1 and 2 σ of it.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the toys.")
@loading_options
@threads_option
@output_options
def command(
    names: tuple[str, ...],
    statistics: Statistics,
    toys: int | None,
    seed: int,
    loading: Loading,
    computing: Computing,
    output: Output,
) -> None:
    """Confidence regions on the Asimov data set: what the experiments' own couplings predict.

    Several experiments are combined; pulls of the same name are common to them.
    """
    from ...toys.counts.combination import build
    from ...toys.scan.scan import scan_1d, scan_2d

    axes, cl, workers = statistics.axes(), statistics.cl, computing.here
    experiments = loading.load_all(names)
    model = build(experiments, statistics.parameters())
    title = " + ".join(e.name for e in experiments)
    result: Scan1D | Scan2D
    if len(axes) == 1:
        result = scan_1d(model, axes[0], cl, workers=workers)
        _print_intervals(title, result, output)
    else:
        result = scan_2d(model, (axes[0], axes[1]), cl, workers=workers)
        _print_contours(title, result, output)
    if result.failed:
        click.echo(f"warning: {result.failed} fits did not converge", err=True)
    content = result.as_json()
    content |= {"experiments": [e.name for e in experiments], "profiled": [*statistics.profiled]}
    sensitivity = None
    if toys is not None:
        sensitivity = _bands(model, axes, cl, toys, seed, workers)
        output.text("")
        _print_bands(sensitivity, output)
        content["bands"] = sensitivity.as_json()
    output.json(content)
    if output.plot_file is not None:
        _plot(title, result, sensitivity, output.plot_file)


def _bands(
    model: Model, axes: Sequence[Axis], cl: float, toys: int, seed: int, workers: Here
) -> Bands:
    """Bands by toys, with a progress bar."""
    from ...toys.report.bands import POINTS, bands

    points = 1
    for axis in axes:
        points *= axis.points or POINTS[len(axes)]
    with progress_bar(points * toys, "toys") as advance:
        result = bands(model, axes, cl, toys, seed, workers.reporting(advance))
    if result.failed:
        click.echo(f"nuspill: warning: {result.failed} fits of toys did not converge", err=True)
    return result


def _print_bands(sensitivity: Bands, output: Output) -> None:
    """Limits of one parameter, or areas of two, of the median experiment and 1 and 2 σ away."""
    from ...toys.report.bands import SIGMAS

    names = ["median" if sigma == 0 else f"{sigma:+g} σ" for sigma in SIGMAS]
    level = f"{100 * sensitivity.cl:g} % CL"
    if len(sensitivity.axes) == 1:
        (scanned, x), limits = sensitivity.axes[0], sensitivity.limits.T
        rows: list[tuple[object, ...]] = [
            (name, *(_limit(value, x) for value in row))
            for name, row in zip(("lower", "upper"), limits, strict=True)
        ]
        first = f"{scanned} at {level}"
    else:
        rows, first = [("area", *sensitivity.areas.tolist())], f"plane at {level}"
    title = f"{sensitivity.toys} experiments at the couplings of the file"
    output.table(title, [first, *names], rows)


def _limit(value: float, x: Array) -> str:
    """A limit, or that it is beyond the scan."""
    if abs(value) == float("inf"):
        return f"< {x[0]:.4g}" if value < 0 else f"> {x[-1]:.4g}"
    return f"{value:.5g}"


def _print_intervals(title: str, scan: Scan1D, output: Output) -> None:
    from ...toys.scan.outline import open_ends

    ends = open_ends(scan.model, scan.name, scan.x)
    rows: list[tuple[object, ...]] = [
        (interval_text(pair, ends, 6), pair[1] - pair[0]) for pair in scan.intervals
    ] or [(f"none from {scan.x[0]:g} to {scan.x[-1]:g}", None)]
    columns = [f"{scan.name} at {100 * scan.cl:g} % CL", "width"]
    output.table(f"{title}: best fit {round(scan.best, 9) + 0.0:.4g}", columns, rows)


def _print_contours(title: str, scan: Scan2D, output: Output) -> None:
    rows = [
        (i, len(c), f"[{c[:, 0].min():.4g}, {c[:, 0].max():.4g}]",
         f"[{c[:, 1].min():.4g}, {c[:, 1].max():.4g}]")
        for i, c in enumerate(scan.contours, 1)
    ]  # fmt: skip
    area = f"{title}: area {scan.area:.5g} ± {scan.region.error:.1g} at {100 * scan.cl:g} % CL"
    columns = ["contour", "points", *scan.names]
    output.table(area + (", clipped" if scan.clipped else ""), columns, rows)
    if scan.region.untold:
        click.echo(
            f"nuspill: warning: the region is narrower than the finest grid in "
            f"{scan.region.untold} places; its area is not known to better than its error",
            err=True,
        )


def _plot(title: str, scan: Scan1D | Scan2D, sensitivity: Bands | None, file: str) -> None:
    from ...toys.plot import plot_1d, plot_2d
    from ...toys.report.plot import plot_bands
    from ...toys.scan.scan import Scan1D

    if sensitivity is not None:
        plot_bands(title, sensitivity, file)
    elif isinstance(scan, Scan1D):
        plot_1d([(title, scan)], file)
    else:
        plot_2d([(title, scan)], file)
