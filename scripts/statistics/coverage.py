"""`nuspill coverage`: how often confidence regions hold the truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ..options.computing import Computing, computing_options, interrupted_keeps
from ..options.ensemble import ToyEnsemble, Truth, ensemble_options
from ..options.group import group_options, option
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.output import Output, output_options
from ..output import progress_bar, write_json

if TYPE_CHECKING:
    from ...toys.construction.ensemble import Ensemble
    from ...toys.coverage import CoverageStudy
    from ...toys.records.record import Record


@dataclass(frozen=True)
class Trial:
    """Points whose coverage is tried, and where their toys are kept."""

    points: tuple[str, ...] = option(
        "--at",
        multiple=True,
        required=True,
        metavar="PARAM=VALUE[,PARAM=VALUE]",
        help="True values: one point of one or two parameters; may be repeated for a map.",
    )
    levels: str = option("--cl", default="0.68,0.90,0.95", show_default=True, metavar="CL,...")
    toys: int = option("--toys", type=click.IntRange(100, 2**31), default=10_000, show_default=True)
    profiled: tuple[str, ...] = option(
        "--profile", multiple=True, metavar="PARAM", help="Fit this one too."
    )
    nature: Truth | None = option(
        "--nature",
        type=click.Choice(["profiled", "fixed", "prior"]),
        help="True nuisance parameters of the toys that are tried; by default as --ensemble.",
    )
    nature_centres: Literal["fluctuated", "fixed"] | None = option(
        "--nature-centres",
        type=click.Choice(["fluctuated", "fixed"]),
        help="Centres of the pulls of the toys that are tried; by default as --centres.",
    )
    nested: int = option(
        "--nested", type=click.IntRange(0), default=1000, show_default=True,
        help="Toys of each point that are tried as `toys --data` would: with toys of their own.",
    )  # fmt: skip
    toys_each: int = option(
        "--nested-toys", type=click.IntRange(100, 2**31), default=1000, show_default=True,
        help="Toys of each of these, at most; most are decided by fewer.",
    )  # fmt: skip
    folder: Path | None = option(
        "-o", "--output", type=click.Path(path_type=Path),
        help="Folder that keeps the toys, so that the run can be resumed.",
    )  # fmt: skip
    resume: bool = option(
        "--resume", is_flag=True, default=False, help="Go on with the toys that the folder holds."
    )

    def parsed(self) -> list[dict[str, float]]:
        """Points of ``--at``, all of the same parameters."""
        points = [_point(text) for text in self.points]
        if any(tuple(point) != tuple(points[0]) for point in points):
            raise click.BadParameter("every --at must name the same parameters", param_hint="--at")
        if len(points[0]) > 2:
            raise click.BadParameter("give one or two parameters", param_hint="--at")
        if self.resume and self.folder is None:
            raise click.BadParameter("needs the folder, -o DIR", param_hint="--resume")
        return points


@click.command()
@experiments_argument
@group_options(Trial)
@loading_options
@ensemble_options
@computing_options
@output_options
def command(
    names: tuple[str, ...],
    trial: Trial,
    loading: Loading,
    toy_ensemble: ToyEnsemble,
    computing: Computing,
    output: Output,
) -> None:
    """Part of the toys whose region holds the truth, with errors of one standard deviation.

    Regions: wilks (the quantile of χ²), asimov (one threshold, from toys at the experiment's own
    couplings), feldman_cousins (toys at the point, profiled on the Asimov data) and nested (toys
    profiled on each toy that is tried, as `nuspill toys --data` does; where these differ). low and
    high are Clopper-Pearson limits.
    """
    import numpy as np

    from ...toys.counts.combination import build
    from ...toys.coverage import CoverageStudy

    points = trial.parsed()
    scanned = list(points[0])
    experiments = loading.load_all(names)
    model = build(experiments, [*scanned, *trial.profiled])
    grid = np.array([list(point.values()) for point in points])
    levels = [_level(text) for text in trial.levels.split(",")]
    ensemble, nature = _ensembles(toy_ensemble, trial)
    study = CoverageStudy(
        model, scanned, grid, levels, trial.toys, ensemble, nature, trial.nested, trial.toys_each,
        toy_ensemble.seed, experiments,
    )  # fmt: skip
    for message in study.warnings():
        click.echo(f"nuspill: warning: {message}", err=True)
    throw(study, trial.folder, trial.resume, computing, output)


def _ensembles(options: ToyEnsemble, trial: Trial) -> tuple[Ensemble, Ensemble]:
    """Ensembles of the critical values and of the toys that are tried."""
    from ...toys.construction.ensemble import Ensemble

    kinds: tuple[Truth, Truth] = options.truth, trial.nature or options.truth
    centres = options.centres, trial.nature_centres or options.centres
    critical, tried = (
        Ensemble(kind, centre, options.nuisances if kind == "fixed" or "fixed" not in kinds else {})
        for kind, centre in zip(kinds, centres, strict=True)
    )
    return critical, tried


def throw(
    study: CoverageStudy, folder: Path | None, resume: bool, computing: Computing, output: Output
) -> None:
    """Find the coverage, keep its toys in a folder if one is given, and report it."""
    from ...toys.coverage import coverage
    from ...toys.records.record import open_record

    keep: Callable[[], Record] | None = None
    if folder is not None:
        request = {"levels": study.levels, "toys": study.all_toys}
        keep = partial(open_record, folder, study.configuration(), resume, request, "coverage")
    ending = interrupted_keeps(folder) if folder is not None else nullcontext()
    with ending, computing.opened() as workers, progress_bar(study.all_toys, "toys") as advance:
        results = coverage(study, workers.reporting(advance), keep)
    columns = [*study.names, "CL", "region", "critical", "coverage", "low", "high", "failed"]
    rows = [
        (*c.point, c.cl, c.region, c.critical, c.coverage, c.low, c.high, c.failed) for c in results
    ]
    title = " + ".join(e.name for e in study.experiments)
    output.table(f"{title}: coverage of {study.toys} toys a point", columns, rows)
    output.text(f"\n{study.audit()}")
    content = study.as_json(results)
    output.json(content)
    if folder is not None:
        write_json(str(folder / "coverage.json"), content)
    if output.plot_file is not None:
        from ...toys.plot import plot_coverage

        plot_coverage(results, study.model, study.names, output.plot_file)


def _point(text: str) -> dict[str, float]:
    point = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() in point:
            raise click.BadParameter(f"'{text}' gives {name.strip()} twice", param_hint="--at")
        try:
            point[name.strip()] = float(value)
        except ValueError:
            point[name.strip()] = float("inf")
        if not abs(point[name.strip()]) < float("inf"):
            raise click.BadParameter(
                f"'{text}' is not PARAM=VALUE[,PARAM=VALUE], e.g. nsi.u.ee=0.1", param_hint="--at"
            )
    return point


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise click.BadParameter(f"'{text}' is not between 0 and 1", param_hint="--cl")
    return value
