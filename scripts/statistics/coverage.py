"""`nuspill coverage`: how often confidence regions hold the truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...toys.coverage import Wanted
from ..common import (
    cluster_option,
    ensemble_options,
    experiment_options,
    experiments_argument,
    interrupted_keeps,
    load_all,
    opened,
    plot_option,
    print_table,
    progress_bar,
    write_json,
)

if TYPE_CHECKING:
    from ...toys.records.record import Record


@click.command()
@experiments_argument
@click.option(
    "--at",
    "points",
    multiple=True,
    required=True,
    metavar="PARAM=VALUE[,PARAM=VALUE]",
    help="True values: one point of one or two parameters; may be repeated for a map.",
)
@click.option("--cl", "levels", default="0.68,0.90,0.95", show_default=True, metavar="CL,...")
@click.option("--toys", type=click.IntRange(100, 2**31), default=10_000, show_default=True)
@click.option("--profile", "profiled", multiple=True, metavar="PARAM", help="Fit this one too.")
@click.option(
    "--nature",
    type=click.Choice(["profiled", "fixed", "prior"]),
    help="True nuisance parameters of the toys that are tried; by default as --ensemble.",
)
@click.option("--years", type=float, metavar="Y", help="Years of operation of each experiment.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one a core.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Folder that keeps the toys, so that the run can be resumed.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the toys that the folder holds.")
@cluster_option
@ensemble_options
@experiment_options
@plot_option
def command(
    names: tuple[str, ...],
    points: tuple[str, ...],
    levels: str,
    toys: int,
    profiled: tuple[str, ...],
    nature: Any,
    years: float | None,
    threads: int | None,
    output: Path | None,
    resume: bool,
    cluster: str | None,
    seed: int,
    truth: Any,
    centres: Any,
    nuisances: dict[str, float],
    settings: dict[str, Any],
    preset: str | None,
    source: str | None,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Part of the toys whose region holds the truth, with errors of one standard deviation.

    Regions: wilks (the quantile of χ²), asimov (one threshold, from toys at the experiment's own
    couplings) and feldman_cousins (toys at the point). low and high are Clopper-Pearson limits.
    """
    import numpy as np

    from ...toys.construction.ensemble import Ensemble
    from ...toys.counts.combination import build

    parsed = [_point(text) for text in points]
    scanned = tuple(parsed[0])
    if any(tuple(point) != scanned for point in parsed):
        raise click.BadParameter("every --at must name the same parameters", param_hint="--at")
    if len(scanned) > 2:
        raise click.BadParameter("give one or two parameters", param_hint="--at")
    if resume and output is None:
        raise click.BadParameter("needs the folder, -o DIR", param_hint="--resume")
    experiments = load_all(names, settings, preset, source, years)
    model = build(experiments, [*scanned, *profiled])
    grid = np.array([list(point.values()) for point in parsed])
    chosen = [_level(text) for text in levels.split(",")]
    kinds = truth, nature or truth
    ensemble, tried = (
        Ensemble(kind, centres, nuisances if kind == "fixed" or "fixed" not in kinds else {})
        for kind in kinds
    )
    wanted = Wanted(experiments, model, list(scanned), grid, chosen, toys, ensemble, tried, seed)
    throw(wanted, output, resume, threads, cluster, json_file, plot_file)


def throw(
    wanted: Wanted,
    output: Path | None,
    resume: bool,
    threads: int | None,
    cluster: str | None,
    json_file: str | None = None,
    plot_file: str | None = None,
) -> None:
    """Find the coverage, keep its toys in a folder if one is given, and tell."""
    from ...toys.coverage import coverage
    from ...toys.records.record import open_record

    w = wanted
    keep: Callable[[], Record] | None = None
    if output is not None:
        asked = {"levels": w.levels}
        keep = partial(open_record, output, w.configuration(), resume, asked, "coverage")
    ending = interrupted_keeps(output) if output is not None else nullcontext()
    total = w.toys * (2 * len(w.points) + 1)
    with ending, opened(cluster) as on, progress_bar(total, "toys") as advance:
        found = coverage(
            w.model, w.names, w.points, w.levels, w.toys, w.ensemble, w.nature, w.seed, threads,
            advance, keep, on,
        )  # fmt: skip
    columns = [*w.names, "CL", "region", "critical", "coverage", "low", "high", "failed"]
    rows = [
        (*c.point, c.cl, c.region, c.critical, c.coverage, c.low, c.high, c.failed) for c in found
    ]
    title = " + ".join(e.name for e in w.experiments)
    print_table(f"{title}: coverage of {w.toys} toys a point", columns, rows, json_file == "-")
    content = {
        "experiments": [e.name for e in w.experiments],
        "parameters": w.names,
        "profiled": [p.name for p in w.model.parameters if p.name not in w.names],
        "seed": w.seed,
        "ensemble": w.ensemble.describe(),
        "nature": w.nature.describe(),
        "coverage": [
            {
                "point": dict(zip(w.names, c.point, strict=True)),
                "cl": c.cl,
                "region": c.region,
                "critical": c.critical,
                "coverage": c.coverage,
                "interval": [c.low, c.high],
                "error": c.error,
                "toys": c.toys,
                "failed": c.failed,
            }
            for c in found
        ],
    }
    write_json(json_file, content)
    if output is not None:
        write_json(str(output / "coverage.json"), content)
    if plot_file is not None:
        from ...toys.plot import plot_coverage

        plot_coverage(found, w.model, w.names, plot_file)


def _point(text: str) -> dict[str, float]:
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() in found:
            raise click.BadParameter(f"'{text}' gives {name.strip()} twice", param_hint="--at")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            found[name.strip()] = float("inf")
        if not abs(found[name.strip()]) < float("inf"):
            raise click.BadParameter(
                f"'{text}' is not PARAM=VALUE[,PARAM=VALUE], e.g. nsi.u.ee=0.1", param_hint="--at"
            )
    return found


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise click.BadParameter(f"'{text}' is not between 0 and 1", param_hint="--cl")
    return value
