"""`nuspill toys`: confidence regions by toys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options.computing import Computing, computing_options, interrupted_keeps
from ..options.ensemble import ToyEnsemble, ensemble_options
from ..options.group import group_options, option
from ..options.loading import Loading, experiments_argument, loading_options
from ..options.observed import Observed, observed_options
from ..options.output import Output, output_options
from ..options.statistics import Statistics, statistic_options
from ..output import interval_text, progress_bar, write_json

if TYPE_CHECKING:
    from ...toys.construction.belt import Ordering
    from ...toys.construction.neyman import Construction
    from ...toys.fit.audit import Audit
    from ...toys.records.record import Record
    from ...toys.regions.area import Area
    from ...toys.regions.region import Intervals, Region

POINTS = {1: 101, 2: 51}
"""Grid points of an axis whose number is not given, in one and two parameters."""


@dataclass(frozen=True)
class Request:
    """What is wanted of a construction's toys."""

    toys: int
    first_toy: int
    cl: float
    ordering: Ordering
    adaptive: float | None
    ntuple: bool


@dataclass(frozen=True)
class Throwing:
    """Which toys are thrown, and how they are used."""

    folder: Path = option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder."
    )
    toys: int = option(
        "--toys", type=click.IntRange(1, 2**31), default=1000, show_default=True,
        help="Toys of each grid point.",
    )  # fmt: skip
    first_toy: int = option(
        "--first-toy", type=click.IntRange(0, 2**31), default=0, show_default=True,
        help="Number of the first, so that separate jobs make different toys.",
    )  # fmt: skip
    ordering: Ordering = option(
        "--ordering",
        type=click.Choice(["likelihood-ratio", "central", "upper"]),
        default="likelihood-ratio",
        show_default=True,
        help="Feldman-Cousins; central intervals and upper limits are for one parameter.",
    )
    adaptive: float | None = option(
        "--adaptive",
        type=click.FloatRange(min=0, min_open=True),
        metavar="ERROR",
        help="Throw up to --toys only where the region's edge needs them, to this error of "
        "the critical value.",
    )
    importance: bool = option(
        "--importance",
        is_flag=True,
        default=False,
        help="Use every toy at every point, with its weight; needs far fewer toys for the same "
        "error.",
    )
    events: bool = option(
        "--events", is_flag=True, default=False,
        help="Toys of events through the whole chain; slow.",
    )  # fmt: skip
    resume: bool = option(
        "--resume", is_flag=True, default=False, help="Go on with the toys that the folder holds."
    )
    ntuple: bool = option(
        "--ntuple", is_flag=True, default=False, help="Also write the toys as a ROOT ntuple."
    )

    def request(self, cl: float) -> Request:
        """What is wanted of the toys, for the folder."""
        return Request(
            self.toys, self.first_toy, cl, self.ordering, self.adaptive, self.ntuple
        )  # fmt: skip

    def refuse_unfit(self, dimension: int) -> None:
        """Refuse values that nothing would use, for a number of parameters."""
        if self.ordering != "likelihood-ratio" and dimension > 1:
            raise click.BadParameter(
                f"'{self.ordering}' is for one parameter", param_hint="--ordering"
            )
        if self.adaptive is not None and not self.adaptive < float("inf"):
            raise click.BadParameter(
                f"{self.adaptive:g} is not a finite error", param_hint="--adaptive"
            )


@click.command()
@experiments_argument
@group_options(Throwing)
@observed_options
@ensemble_options
@statistic_options
@loading_options
@computing_options
@output_options
def command(
    names: tuple[str, ...],
    throwing: Throwing,
    observed: Observed,
    toy_ensemble: ToyEnsemble,
    statistics: Statistics,
    loading: Loading,
    computing: Computing,
    output: Output,
) -> None:
    """Neyman confidence regions: the critical value at every grid point, from toys thrown there.

    Toys are numbered: an interrupted run goes on with --resume, and runs with other --first-toy
    are joined by `nuspill merge`. The region is that of --data, or else of the Asimov data.
    """
    from ...toys.records.record import open_record
    from ...toys.records.restore import configuration

    construction = _construct(names, throwing, observed, toy_ensemble, statistics, loading)
    warn_of_the_ensemble(construction)
    throwing.refuse_unfit(len(construction.axes))
    if throwing.importance:
        _by_importance(construction, throwing, statistics.cl, computing, output)
        return
    request = throwing.request(statistics.cl)
    config = configuration(construction, construction.experiments)
    keep = partial(open_record, throwing.folder, config, throwing.resume, asdict(request))
    throw(construction, keep, request, computing, output)


def _construct(
    names: tuple[str, ...],
    throwing: Throwing,
    observed: Observed,
    toy_ensemble: ToyEnsemble,
    statistics: Statistics,
    loading: Loading,
) -> Construction:
    """The grid, the data and the convention of the toys."""
    from ...toys.construction.ensemble import Ensemble
    from ...toys.construction.neyman import Construction
    from ...toys.counts.combination import build
    from ...toys.scan.outline import threshold
    from ...toys.scan.scan import grids

    t, e, axes = throwing, toy_ensemble, statistics.axes()
    experiments = loading.load_all(names, observed.files)
    model = build(experiments, statistics.parameters())
    data = observed.data(model, experiments) or model.asimov()
    level = threshold(statistics.cl, len(axes))
    values = grids(model, axes, level, POINTS[len(axes)], data)
    planned = tuple((axis.name, x) for axis, x in zip(axes, values, strict=True))
    ensemble = Ensemble(e.truth, e.centres, e.nuisances, "events" if t.events else "bins")
    if t.events and t.importance:
        raise click.BadParameter("toys of events have no density to weigh", param_hint="--events")
    return Construction(model, planned, ensemble, e.seed, data, tuple(experiments))


def warn_of_the_ensemble(construction: Construction) -> None:
    """Warn of toys that mean nothing."""
    from ...toys.construction.ensemble import warning

    sampled = range(0, len(construction.points), 1 + len(construction.points) // 20)
    truths = (construction.truth(point) for point in sampled)
    message = warning(construction.model, truths, construction.ensemble)
    if message is not None:
        click.echo(f"nuspill: warning: {message}", err=True)


def _by_importance(
    construction: Construction,
    throwing: Throwing,
    cl: float,
    computing: Computing,
    output: Output,
) -> None:
    """Use every toy at every point; nothing is kept but the region."""
    from ...toys.importance.mixture import check, importance_region
    from ...toys.records.record import open_record
    from ...toys.records.restore import configuration

    t = throwing
    check(construction, t.toys, t.ordering)
    if t.adaptive is not None or t.resume or t.ntuple or computing.cluster is not None:
        raise click.BadParameter(
            "keeps no toys: not with --adaptive, --resume, --ntuple or --cluster",
            param_hint="--importance",
        )
    open_record(t.folder, configuration(construction, construction.experiments), t.resume)
    total = len(construction.points) * t.toys
    with interrupted_keeps(t.folder), progress_bar(total, "toys") as advance:
        region = importance_region(
            construction, cl, t.toys, t.first_toy, computing.here.reporting(advance), t.ordering
        )
    tell(construction, t.folder, region, output, construction.audit(t.first_toy, t.toys))


def throw(
    construction: Construction,
    keep: Callable[[], Record],
    request: Request,
    computing: Computing,
    output: Output,
) -> None:
    """Throw the toys that are asked for and not yet kept, find the region and report it."""
    from ...toys.records.adaptive import throw_adaptively
    from ...toys.records.distribute import throw_tasks
    from ...toys.records.record import missing
    from ...toys.records.refine import refined_region
    from ...toys.records.restore import write_ntuple
    from ...toys.regions.monotone import refuse_unfit

    r, points = request, range(len(construction.points))
    refuse_unfit(construction, r.ordering)
    total = len(points) * r.toys
    with computing.opened() as opened:
        record = keep()
        with interrupted_keeps(record.folder), progress_bar(total, "toys") as advance:
            workers = opened.reporting(advance)
            if r.adaptive is None:
                tasks = missing(points, r.first_toy, r.first_toy + r.toys, record.done())
                advance(total - sum(stop - start for _, start, stop in tasks))
                results = throw_tasks(construction, tasks, workers)
                for number in record.write(results, workers.name):
                    advance(number)
            else:
                throw_adaptively(
                    construction, record, r.cl, r.ordering, r.adaptive, r.first_toy, r.toys, workers
                )
            regions = refined_region(construction, record, r.cl, r.ordering, opened)
    tell(construction, record.folder, regions, output, construction.audit(r.first_toy, r.toys))
    if r.ntuple:
        write_ntuple(construction, record, record.folder / "toys.root")


def tell(
    construction: Construction,
    folder: Path,
    region: Region,
    output: Output,
    audit: Audit | None = None,
) -> None:
    """Print a region and write it to its folder; print an audit of its fits if there was one."""
    names = [e.name for e in construction.experiments]
    scanned = construction.names
    profiled = [p.name for p in construction.model.parameters if p.name not in scanned]
    content = region.as_json() | {"experiments": names, "profiled": profiled}
    if origins := construction.data.origins:
        content |= {"data": [origin.as_json() for origin in origins]}
    report_region(region, " + ".join(names), output)
    if audit is not None:
        output.text(f"\n{audit}")
    output.json(content)
    write_json(str(folder / "region.json"), content)
    if output.plot_file is not None:
        from ...toys.plot import plot_region

        plot_region(region, output.plot_file)


def report_region(region: Region, title: str, output: Output) -> None:
    """Print a region beside that of Wilks."""
    toys = f"{region.toys.sum()} toys at {len(region.toys)} points"
    between = sum(len(statistic.value) for statistic in region.between.values())
    if between:
        toys += f" and {between} at {len(region.between)} round the limits"
    head = f"{title}: {100 * region.cl:g} % CL, {toys}, {region.failed.sum()} failed; "
    names = region.construction.names
    first = names[0] if len(names) == 1 else "plane"
    by_toys = "by toys" if region.exact is None else "exact"
    head += _error_of_the_belt(region)
    output.table(head, [first, by_toys, "Wilks", "Wilks, Asimov data"], _rows(region))


def _error_of_the_belt(region: Region) -> str:
    """How well critical values are known; warns where they are not."""
    if region.exact is not None:
        return f"critical values are exact, from all {len(region.exact)} outcomes"
    error = region.belt.error[abs(region.belt.error) < float("inf")]
    _warn_of_few_toys(region, len(error))
    return "error of the critical values " + (
        f"up to {max(error):.3g}" if len(error) else "unknown"
    )


def _warn_of_few_toys(region: Region, known: int) -> None:
    """Warn of points without toys, and of ones whose critical value has no known error."""
    empty = sum(region.toys == 0)
    if empty:
        click.echo(f"nuspill: warning: {empty} points have no toys; they are left out", err=True)
    few = len(region.toys) - known - empty
    if few:
        click.echo(
            f"nuspill: warning: toys are too few for {100 * region.cl:g} % CL at {few} of "
            f"{len(region.toys)} points; their critical values have no finite error",
            err=True,
        )


def _rows(region: Region) -> list[tuple[object, ...]]:
    """The region by toys, by Wilks, and by Wilks for the Asimov data."""
    from ...toys.regions.area import Area
    from ...toys.regions.region import Intervals

    outlines = region.by_toys, region.wilks, region.asimov
    intervals = [outline for outline in outlines if isinstance(outline, Intervals)]
    if intervals:
        return _interval_rows(region, intervals)
    return _area_rows([outline for outline in outlines if isinstance(outline, Area)])


def _interval_rows(region: Region, outlines: Sequence[Intervals]) -> list[tuple[object, ...]]:
    from ...toys.scan.outline import open_ends

    c = region.construction
    ends = open_ends(c.model, c.names[0], c.axes[0][1])
    by_toys, *others = outlines
    exact = region.exact is not None
    errors = [(None, None) if exact else tuple(pair) for pair in region.interval_errors()]
    by_toys_errors = zip(by_toys.intervals, errors, strict=True)
    shown = [[interval_text(pair, ends, 5, errors) for pair, errors in by_toys_errors]]
    shown += [[interval_text(pair, ends, 5) for pair in other.intervals] for other in others]
    return [("region", *(" ".join(part) or "none" for part in shown))]


def _area_rows(outlines: Sequence[Area]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [("area", *(outline.area for outline in outlines))]
    if any(outline.clipped for outline in outlines):
        words = ("yes" if outline.clipped else "no" for outline in outlines)
        rows += [("goes on beyond the scan", *words)]
    return rows
