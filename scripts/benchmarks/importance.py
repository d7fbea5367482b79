"""`nuspill benchmark importance`: importance sampling beside ten times the toys by brute force."""

from __future__ import annotations

import click

from ..options.computing import Computing, threads_option
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.output import Output, json_option
from ..options.statistics import Statistics, statistic_options
from ..output import progress_bar
from .stopwatch import machine

POINTS = {1: 41, 2: 9}
"""Grid points of an axis whose number is not given, in one and two parameters."""


@click.command()
@experiments_argument
@click.option("--toys", type=click.IntRange(1), default=100, show_default=True)
@click.option("--times", type=click.IntRange(1), default=10, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=1, show_default=True)
@statistic_options
@loading_options
@threads_option
@json_option
def command(
    names: tuple[str, ...],
    toys: int,
    times: int,
    seed: int,
    statistics: Statistics,
    loading: Loading,
    computing: Computing,
    output: Output,
) -> None:
    """Compare critical values at every grid point with brute force that has --times the toys.

    The fits of expected data that importance sampling makes beside its toys are counted as toys.
    """
    import numpy as np

    from ...toys.construction.ensemble import Ensemble
    from ...toys.construction.neyman import Construction
    from ...toys.counts.combination import build
    from ...toys.importance.check import compare
    from ...toys.importance.surrogate import asimov_fits
    from ...toys.scan.outline import threshold
    from ...toys.scan.scan import grids

    axes, cl = statistics.axes(), statistics.cl
    experiments = loading.load_all(names)
    model = build(experiments, statistics.parameters())
    level = threshold(cl, len(axes))
    data = model.asimov()
    values = grids(model, axes, level, POINTS[len(axes)], data)
    planned = tuple((axis.name, x) for axis, x in zip(axes, values, strict=True))
    construction = Construction(model, planned, Ensemble(), seed, data, tuple(experiments))
    size = len(construction.points)
    fits = toys + asimov_fits(len(axes))
    with progress_bar(size * (toys + times * fits), "toys") as advance:
        comparison = compare(construction, cl, toys, times, computing.here.reporting(advance))
    ratio, pull = comparison.ratio, comparison.pull
    worst = int(np.argmax(ratio))
    result: dict[str, float] = {
        "points": size,
        "toys_and_fits_a_point": comparison.fits,
        "brute_force_toys_a_point": comparison.brute_toys,
        "pull_mean": float(pull.mean()),
        "pull_width": float(pull.std()),
        "pull_farthest": float(np.abs(pull).max()),
        "error_median": float(np.median(comparison.region.belt.error)),
        "error_worst": float(comparison.region.belt.error.max()),
        "brute_force_error_median": float(np.median(comparison.brute_error)),
        "error_ratio_median": float(np.median(ratio)),
        "error_ratio_worst": float(ratio[worst]),
        "points_with_greater_error": int(np.count_nonzero(~(ratio <= 1))),
    }
    title = f"{' + '.join(e.name for e in experiments)}: critical values at {100 * cl:g} % CL"
    rows = [[key.replace("_", " "), value] for key, value in result.items()]
    output.table(title, ["", "value"], rows)
    worst_point = dict(zip(construction.names, construction.points[worst], strict=True))
    output.json(result | {"worst_at": worst_point, "seed": seed, "cl": cl, "machine": machine()})
