"""`nuspill coverage`: how often confidence regions hold the truth."""

from __future__ import annotations

from typing import Any

import click

from .asimov import load_all
from .common import (
    ensemble_options,
    experiment_options,
    plot_option,
    print_table,
    progress_bar,
    write_json,
)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE.toml...")
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
    """Part of the toys whose region holds the truth: Wilks, one threshold, and Feldman-Cousins."""
    import numpy as np

    from ..toys.combination import build
    from ..toys.coverage import coverage
    from ..toys.ensemble import Ensemble

    parsed = [_point(text) for text in points]
    scanned = tuple(parsed[0])
    if any(tuple(point) != scanned for point in parsed):
        raise click.BadParameter("every --at must name the same parameters", param_hint="--at")
    if len(scanned) > 2:
        raise click.BadParameter("give one or two parameters", param_hint="--at")
    experiments = load_all(names, settings, preset, source, years)
    model = build(experiments, [*scanned, *profiled])
    grid = np.array([list(point.values()) for point in parsed])
    chosen = [_level(text) for text in levels.split(",")]
    kinds = truth, nature or truth
    ensemble, tried = (
        Ensemble(kind, centres, nuisances if kind == "fixed" or "fixed" not in kinds else {})
        for kind in kinds
    )
    with progress_bar(toys * (2 * len(grid) + 1), "toys") as advance:
        found = coverage(
            model, scanned, grid, chosen, toys, ensemble, tried, seed, threads, advance
        )
    columns = [*scanned, "CL", "region", "critical", "coverage", "low", "high", "failed"]
    rows = [
        (*c.point, c.cl, c.region, c.critical, c.coverage, c.low, c.high, c.failed) for c in found
    ]
    title = " + ".join(e.name for e in experiments)
    print_table(f"{title}: coverage of {toys} toys a point", columns, rows, json_file == "-")
    content = {
        "experiments": [e.name for e in experiments],
        "parameters": list(scanned),
        "profiled": list(profiled),
        "seed": seed,
        "ensemble": ensemble.describe(),
        "nature": tried.describe(),
        "coverage": [
            {
                "point": dict(zip(scanned, c.point, strict=True)),
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
    if plot_file is not None:
        from ..toys.plot import plot_coverage

        plot_coverage(found, model, scanned, plot_file)


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
