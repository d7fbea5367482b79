"""`nuspill toys`: confidence regions by toys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..common import (
    cluster_option,
    ensemble_options,
    experiment_options,
    experiments_argument,
    interrupted_keeps,
    interval_text,
    load_all,
    opened,
    parse_axis,
    plot_option,
    print_table,
    progress_bar,
    statistic_options,
    write_json,
)

if TYPE_CHECKING:
    from ...toys.construction.neyman import Construction
    from ...toys.records.record import Record

POINTS = {1: 101, 2: 51}
"""Grid points of an axis whose number is not given, in one and two parameters."""


@dataclass(frozen=True)
class Request:
    """What is wanted of a construction's toys."""

    toys: int
    first_toy: int
    cl: float
    ordering: str
    adaptive: float | None
    ntuple: bool


@click.command()
@experiments_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option(
    "--toys", type=click.IntRange(1, 2**31), default=1000, show_default=True,
    help="Toys of each grid point.",
)  # fmt: skip
@click.option(
    "--first-toy", type=click.IntRange(0, 2**31), default=0, show_default=True,
    help="Number of the first, so that separate jobs make different toys.",
)  # fmt: skip
@click.option(
    "--ordering",
    type=click.Choice(["likelihood-ratio", "central", "upper"]),
    default="likelihood-ratio",
    show_default=True,
    help="Feldman-Cousins; central intervals and upper limits are for one parameter.",
)
@ensemble_options
@click.option(
    "--data",
    "data_files",
    multiple=True,
    metavar="FILE",
    help="Observed counts of each NAME: an ntuple, FILE.root:HISTOGRAM, or text; else Asimov.",
)
@click.option(
    "--adaptive",
    type=click.FloatRange(min=0, min_open=True),
    metavar="ERROR",
    help="Throw up to --toys only where the region's edge needs them, to this error of "
    "the critical value.",
)
@click.option(
    "--importance", is_flag=True,
    help="Use every toy at every point, with its weight; needs far fewer toys for the same error.",
)  # fmt: skip
@click.option("--events", is_flag=True, help="Toys of events through the whole chain; slow.")
@click.option("--resume", is_flag=True, help="Go on with the toys that the folder holds.")
@click.option("--ntuple", is_flag=True, help="Also write the toys as a ROOT ntuple.")
@cluster_option
@statistic_options
@experiment_options
@plot_option
def command(
    names: tuple[str, ...],
    output: Path,
    toys: int,
    first_toy: int,
    ordering: Any,
    seed: int,
    truth: Any,
    centres: Any,
    nuisances: dict[str, float],
    data_files: tuple[str, ...],
    adaptive: float | None,
    importance: bool,
    events: bool,
    resume: bool,
    ntuple: bool,
    cluster: str | None,
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
    """Neyman confidence regions: the critical value at every grid point, from toys thrown there.

    Toys are numbered: an interrupted run goes on with --resume, and runs with other --first-toy
    are joined by `nuspill merge`.
    """
    from ...toys.construction.ensemble import Ensemble, warning
    from ...toys.construction.neyman import Construction
    from ...toys.counts.combination import build
    from ...toys.counts.observed import observed
    from ...toys.fit.outline import threshold
    from ...toys.fit.scan import grid
    from ...toys.importance.mixture import check, importance_region
    from ...toys.records.record import open_record
    from ...toys.records.restore import configuration

    axes = [parse_axis(text) for text in scans]
    experiments = load_all(names, settings, preset, source, years)
    model = build(experiments, [*(axis.name for axis in axes), *profiled])
    data = observed(model, experiments, data_files) if data_files else model.asimov()
    level = threshold(cl, len(axes))
    planned = tuple((a.name, grid(model, a, level, POINTS[len(axes)], data)) for a in axes)
    ensemble = Ensemble(truth, centres, nuisances, "events" if events else "bins")
    if events and importance:
        raise click.BadParameter("toys of events have no density to weigh", param_hint="--events")
    construction = Construction(model, planned, ensemble, seed, data, tuple(experiments))
    some = range(0, len(construction.points), 1 + len(construction.points) // 20)
    wrong = warning(model, (construction.truth(point) for point in some), ensemble)
    if wrong is not None:
        click.echo(f"nuspill: warning: {wrong}", err=True)
    if ordering != "likelihood-ratio" and len(axes) > 1:
        raise click.BadParameter(f"'{ordering}' is for one parameter", param_hint="--ordering")
    if adaptive is not None and not adaptive < float("inf"):
        raise click.BadParameter(f"{adaptive:g} is not a finite error", param_hint="--adaptive")
    if importance:
        check(construction, toys, ordering)
        if adaptive is not None or resume or ntuple or cluster is not None:
            raise click.BadParameter(
                "keeps no toys: not with --adaptive, --resume, --ntuple or --cluster",
                param_hint="--importance",
            )
    config = configuration(construction, experiments)
    if importance:
        open_record(output, config, resume)
        total = len(construction.points) * toys
        with interrupted_keeps(output), progress_bar(total, "toys") as advance:
            found = importance_region(construction, cl, toys, first_toy, threads, advance, ordering)
        tell(construction, output, found, json_file, plot_file)
        return
    request = Request(toys, first_toy, cl, ordering, adaptive, ntuple)
    keep = partial(open_record, output, config, resume, asdict(request))
    throw(construction, keep, request, threads, cluster, json_file, plot_file)


def throw(
    construction: Construction,
    keep: Callable[[], Record],
    request: Request,
    threads: int | None,
    cluster: str | None,
    json_file: str | None = None,
    plot_file: str | None = None,
) -> None:
    """Throw the toys that are asked for and not there yet, find the region, and tell."""
    from ...toys.construction.region import region
    from ...toys.records.adaptive import throw_adaptively
    from ...toys.records.distribute import throw_tasks
    from ...toys.records.record import missing
    from ...toys.records.restore import write_ntuple

    first, toys, points = request.first_toy, request.toys, range(len(construction.points))
    ordering: Any = request.ordering
    total = len(points) * toys
    with opened(cluster) as on:
        record = keep()
        with interrupted_keeps(record.folder), progress_bar(total, "toys") as advance:
            if request.adaptive is None:
                todo = missing(points, first, first + toys, record.done())
                advance(total - sum(stop - start for _, start, stop in todo))
                results = throw_tasks(construction, todo, threads, on)
                for number in record.write(results, cluster or "here"):
                    advance(number)
            else:
                throw_adaptively(
                    construction, record, request.cl, ordering, request.adaptive, first, toys,
                    threads, advance, on,
                )  # fmt: skip
        found = region(construction, record.by_point(len(points)), request.cl, ordering)
    tell(construction, record.folder, found, json_file, plot_file)
    if request.ntuple:
        write_ntuple(construction, record, record.folder / "toys.root")


def tell(
    construction: Construction,
    folder: Path,
    found: Any,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Print a region and write it to its folder."""
    names = [e.name for e in construction.experiments]
    scanned = construction.names
    profiled = [p.name for p in construction.model.parameters if p.name not in scanned]
    content = found.describe() | {"experiments": names, "profiled": profiled}
    report(found, content, " + ".join(names), json_file)
    write_json(str(folder / "region.json"), content)
    if plot_file is not None:
        from ...toys.plot import plot_region

        plot_region(found, plot_file)


def report(found: Any, content: dict[str, Any], title: str, json_file: str | None) -> None:
    """Print a region beside that of Wilks, and write its JSON."""
    from ...toys.fit.outline import open_ends

    empty = sum(found.toys == 0)
    if empty:
        click.echo(f"nuspill: warning: {empty} points have no toys; they are left out", err=True)
    error = found.belt.error[abs(found.belt.error) < float("inf")]
    few = len(found.toys) - len(error) - empty
    if few:
        click.echo(
            f"nuspill: warning: toys are too few for {100 * found.cl:g} % CL at {few} of "
            f"{len(found.toys)} points; their critical values have no finite error",
            err=True,
        )
    head = (
        f"{title}: {100 * found.cl:g} % CL, {content['toys']} toys at {len(found.toys)} points, "
        f"{content['failed']} failed; error of the critical values "
        + (f"up to {max(error):.3g}" if len(error) else "unknown")
    )
    rows: list[tuple[Any, ...]]
    if "intervals" in content:
        columns = [content["parameter"], "by toys", "Wilks", "Wilks, Asimov data"]
        construction = found.construction
        ends = open_ends(construction.model, construction.names[0], construction.axes[0][1])
        mine = zip(content["intervals"], content["interval_errors"], strict=True)
        shown = [[interval_text(pair, ends, 5, errors) for pair, errors in mine]]
        shown += [
            [interval_text(pair, ends, 5) for pair in content[other]["intervals"]]
            for other in ("wilks", "asimov")
        ]
        rows = [("region", *(" ".join(part) or "none" for part in shown))]
    else:
        columns = ["plane", "by toys", "Wilks", "Wilks, Asimov data"]
        parts = (content, content["wilks"], content["asimov"])
        rows = [("area", *(part["area"] for part in parts))]
        if any(part["clipped"] for part in parts):
            rows += [("goes on beyond the scan", *(_yes(part["clipped"]) for part in parts))]
    print_table(head, columns, rows, json_file == "-")
    write_json(json_file, content)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
