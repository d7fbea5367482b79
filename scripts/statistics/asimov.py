"""`nuspill asimov`: sensitivities and allowed regions from the expected counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..options.computing import Computing, threads_option
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.output import Output, output_options
from ..options.statistics import Statistics, statistic_options
from ..output import interval_text

if TYPE_CHECKING:
    from ...toys.scan.scan import Scan1D, Scan2D


@click.command()
@experiments_argument
@statistic_options
@loading_options
@threads_option
@output_options
def command(
    names: tuple[str, ...],
    statistics: Statistics,
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
    extra = {"experiments": [e.name for e in experiments], "profiled": list(statistics.profiled)}
    output.json(result.as_json() | extra)
    if output.plot_file is not None:
        _plot(title, result, output.plot_file)


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


def _plot(title: str, scan: Scan1D | Scan2D, file: str) -> None:
    from ...toys.plot import plot_1d, plot_2d
    from ...toys.scan.scan import Scan1D

    if isinstance(scan, Scan1D):
        plot_1d([(title, scan)], file)
    else:
        plot_2d([(title, scan)], file)
