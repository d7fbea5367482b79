"""`nuspill asimov`: sensitivities and allowed regions from the expected counts."""

from __future__ import annotations

from typing import Any

import click

from ..common import (
    experiment_options,
    experiments_argument,
    interval_text,
    load_all,
    parse_axis,
    plot_option,
    print_table,
    statistic_options,
    write_json,
)


@click.command()
@experiments_argument
@statistic_options
@experiment_options
@plot_option
def command(
    names: tuple[str, ...],
    scans: tuple[str, ...],
    profiled: tuple[str, ...],
    cl: float,
    years: float | None,
    threads: int | None,
    settings: dict[str, Any],
    preset: str | None,
    source: str | None,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Confidence regions on the Asimov data set: what the experiments' own couplings predict.

    Several experiments are combined; pulls of the same name are common to them.
    """
    from ...toys.counts.combination import build
    from ...toys.fit.outline import open_ends
    from ...toys.fit.scan import Scan1D, scan_1d, scan_2d

    axes = [parse_axis(text) for text in scans]
    experiments = load_all(names, settings, preset, source, years)
    model = build(experiments, [*(axis.name for axis in axes), *profiled])
    title = " + ".join(e.name for e in experiments)
    if len(axes) == 1:
        one = scan_1d(model, axes[0], cl, threads=threads)
        ends = open_ends(model, one.name, one.x)
        rows: list[tuple[Any, ...]] = [
            (interval_text(pair, ends, 6), pair[1] - pair[0]) for pair in one.intervals
        ] or [(f"none from {one.x[0]:g} to {one.x[-1]:g}", None)]
        columns = [f"{one.name} at {100 * cl:g} % CL", "width"]
        print_table(f"{title}: best fit {round(one.best, 9):.4g}", columns, rows, json_file == "-")
        content = result_1d(one)
    else:
        two = scan_2d(model, (axes[0], axes[1]), cl, threads=threads)
        rows = [
            (i, len(c), f"[{c[:, 0].min():.4g}, {c[:, 0].max():.4g}]",
             f"[{c[:, 1].min():.4g}, {c[:, 1].max():.4g}]")
            for i, c in enumerate(two.contours, 1)
        ]  # fmt: skip
        columns = ["contour", "points", *two.names]
        area = f"{title}: area {two.area:.5g} at {100 * cl:g} % CL"
        print_table(area + (", clipped" if two.clipped else ""), columns, rows, json_file == "-")
        content = result_2d(two)
    result = one if len(axes) == 1 else two
    if result.failed:
        click.echo(f"warning: {result.failed} fits did not converge", err=True)
    content |= {"experiments": [e.name for e in experiments], "profiled": list(profiled)}
    write_json(json_file, content)
    if plot_file is not None:
        from ...toys.plot import plot_1d, plot_2d

        if isinstance(result, Scan1D):
            plot_1d([(title, result)], plot_file)
        else:
            plot_2d([(title, result)], plot_file)


def result_1d(scan: Any) -> dict[str, Any]:
    """Content for JSON of a scan of one parameter."""
    return {
        "parameter": scan.name,
        "unit": scan.model.parameters[scan.model.number(scan.name)].unit,
        "best": scan.best,
        "intervals": [list(interval) for interval in scan.intervals],
        "clipped": scan.clipped,
        "cl": scan.cl,
        "delta_chi2": scan.threshold,
        "grid": {"x": scan.x.tolist(), "delta_chi2": scan.delta_chi2.tolist()},
        "failed": scan.failed,
    }


def result_2d(scan: Any) -> dict[str, Any]:
    """Content for JSON of a scan of a plane."""
    return {
        "parameters": list(scan.names),
        "units": [scan.model.parameters[scan.model.number(n)].unit for n in scan.names],
        "best": list(scan.best),
        "contours": [line.tolist() for line in scan.contours],
        "area": scan.area,
        "clipped": scan.clipped,
        "cl": scan.cl,
        "delta_chi2": scan.threshold,
        "grid": {
            "x": scan.x.tolist(),
            "y": scan.y.tolist(),
            "delta_chi2": scan.delta_chi2.tolist(),
        },
        "failed": scan.failed,
    }
