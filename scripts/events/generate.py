"""`nuspill generate`: events into a ROOT ntuple."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...reco.errors import OutputError
from ...reco.experiment import load
from ..common import (
    cluster_option,
    experiment_argument,
    experiment_options,
    interrupted_keeps,
    opened,
    parse_settings,
    print_table,
    progress_bar,
    write_json,
)

if TYPE_CHECKING:
    from ...reco.runs.run import Run
    from ...reco.runs.tree import Counts


def _compression(ctx: click.Context, option: click.Parameter, value: str) -> str:  # noqa: ARG001
    from ...reco.runs.tree import parse_compression

    parse_compression(value)
    return value


def _weights(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in values:
        name, _, assignments = text.partition(":")
        settings = parse_settings(assignments.split(",")) if assignments else {}
        if not settings or name in found:
            raise click.BadParameter(f"'{text}' is not a new NAME:KEY=VALUE, e.g. nsi:nsi.u.ee=0.1")
        found[name] = {f"interaction.{key}": value for key, value in settings.items()}
    return found


@click.command()
@experiment_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="ROOT file; a folder of parts with --parts, or --cluster and no .root.",
)
@click.option("--years", type=float, help="Years of operation; by default exposure.years.")
@click.option("--pot", type=float, help="Protons on target, in place of years.")
@click.option("--events", type=int, help="Fixed number of signal events; the rest scales to it.")
@click.option("--seed", type=int, default=1, show_default=True, help="Key of the random numbers.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ttree", "rntuple"]),
    default="ttree",
    show_default=True,
)
@click.option(
    "--compression",
    default="zstd",
    show_default=True,
    metavar="NAME[:LEVEL]",
    callback=_compression,
    help="none, zstd, lz4, zlib or lzma.",
)
@click.option("--selected-only", is_flag=True, help="Leave out events that are not selected.")
@click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="NAME:KEY=VALUE[,KEY=VALUE]",
    callback=_weights,
    help="Add weight_NAME, to another interaction, e.g. nsi:nsi.u.ee=0.1; may be repeated.",
)
@click.option("--place", is_flag=True, help="Also module, x, y, z in the active volume.")
@click.option("--threads", type=click.IntRange(1), help="Threads; by default one a core.")
@click.option(
    "--parts", type=click.IntRange(1), help="Write a folder of numbered parts, resumed if there."
)
@click.option("--overwrite", is_flag=True, help="Replace a file or folder that is there.")
@cluster_option
@experiment_options
def command(
    name: str,
    output: Path,
    format_: Any,
    parts: int | None,
    years: float | None,
    pot: float | None,
    events: int | None,
    seed: int,
    compression: str,
    selected_only: bool,
    place: bool,
    weights: dict[str, dict[str, Any]],
    threads: int | None,
    overwrite: bool,
    cluster: str | None,
    settings: dict[str, Any],
    preset: str | None,
    source: str | None,
    json_file: str | None,
) -> None:
    """Make the events of an experiment and write them as a ROOT ntuple.

    Interrupted runs leave no file. A run in --parts or with --cluster goes on where it stopped when
    it is called again in the same way, or by `nuspill resume`; on a cluster the parts of OUT.root
    are in OUT.root.parts until all are there.
    """
    begin = time.perf_counter()
    experiment = load(name, settings, preset, source)
    from ...reco.files import interruptible
    from ...reco.runs.folder import MANIFEST
    from ...reco.runs.ntuple import write
    from ...reco.runs.parts import remove_run, write_parts
    from ...reco.runs.run import plan
    from ...reco.runs.verify import join_parts

    run = plan(experiment, seed, years=years, pot=pot, events=events, place=place, weights=weights)
    options: dict[str, Any] = {
        "format": format_,
        "compression": compression,
        "selected_only": selected_only,
        "overwrite": overwrite,
        "threads": threads,
    }
    if parts is None and cluster is None:
        with interruptible(), progress_bar(run.events, "events") as advance:
            counts = write(run, output, progress=advance, **options)
        tell(run, counts, output, time.perf_counter() - begin, json_file)
        return
    one_file = parts is None and output.suffix == ".root"
    folder = output.with_name(output.name + ".parts") if one_file else output
    if one_file and output.exists() and not overwrite:
        raise OutputError(f"{output}: exists; --overwrite replaces it")
    if one_file and not (folder / MANIFEST).is_file():
        options["overwrite"] = False  # the file was named, not a folder of others beside it
    with (
        opened(cluster) as on,
        interrupted_keeps(folder),
        progress_bar(run.events, "events") as advance,
    ):
        counts = write_parts(
            run, folder, parts, progress=advance, cluster=on, again=one_file, **options
        )
        if one_file:
            join_parts([folder], output, overwrite)
            remove_run(folder)
    tell(run, counts, output, time.perf_counter() - begin, json_file)


def tell(run: Run, counts: Counts, output: Path, seconds: float, json_file: str | None) -> None:
    """Print what was made, and write its JSON."""
    rows = _summary(run, counts.table())
    quiet = json_file == "-"
    title = (
        f"{run.experiment.name}: {run.years:.4g} years of operation, {run.protons:.3g} protons, "
        f"seed {run.seed}"
    )
    columns = ["component", "window", "expected", "generated", "expected selected", "selected"]
    print_table(title, columns, [list(row.values()) for row in rows], quiet)
    files = output.glob("part-*.root") if output.is_dir() else [output]
    size = sum(f.stat().st_size for f in files)
    if not quiet:
        click.echo(f"\n{run.events} events, {size / 1e6:.1f} MB, {seconds:.2f} s: {output}")
    write_json(
        json_file,
        {
            "experiment": run.experiment.name,
            "output": str(output),
            "seed": run.seed,
            "years": run.years,
            "protons_on_target": run.protons,
            "events": run.events,
            "bytes": size,
            "seconds": seconds,
            "counts": rows,
        },
    )


def _summary(run: Any, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made = {row["component"]: row for row in table}
    rows = []
    for e in run.expected:
        got = made.get(e.component, {"in_window": [0, 0, 0], "selected": [0, 0, 0]})
        for window, label in ((1, "on"), (2, "off"), (0, "none")):
            row = {
                "component": e.name,
                "window": label,
                "expected": e.in_window[window] * run.years,
                "generated": got["in_window"][window],
                "expected_selected": e.selected[window] * run.years,
                "selected": got["selected"][window],
            }
            if row["expected"] > 1e-6 or row["generated"] > 0:
                rows.append(row)
    return rows
