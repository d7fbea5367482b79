"""`nuspill generate`: events into a ROOT ntuple."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...reco.errors import OutputError
from ..options.computing import Computing, interrupted_keeps
from ..options.group import group_options, option
from ..options.loading import Loading, experiment_argument, parse_settings, setting_options
from ..options.output import Output, check_suffix, json_option
from ..output import progress_bar

if TYPE_CHECKING:
    from ...reco.experiment import Experiment
    from ...reco.runs.parts import Existing
    from ...reco.runs.provenance import Generated
    from ...reco.runs.run import Run
    from ...reco.runs.tree import Counts, Format


def _compression(ctx: click.Context, option: click.Parameter, value: str) -> str:  # noqa: ARG001
    from ...reco.runs.tree import parse_compression

    parse_compression(value)
    return value


def _weights(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, dict[str, object]]:
    weights: dict[str, dict[str, object]] = {}
    for text in values:
        name, _, assignments = text.partition(":")
        settings = parse_settings(assignments.split(",")) if assignments else {}
        if not settings or name in weights:
            raise click.BadParameter(f"'{text}' is not a new NAME:KEY=VALUE, e.g. nsi:nsi.u.ee=0.1")
        weights[name] = {f"interaction.{key}": value for key, value in settings.items()}
    return weights


@dataclass(frozen=True)
class Sample:
    """How many events are made, and what of each."""

    years: float | None = option(
        "--years", type=float, help="Years of operation; by default exposure.years."
    )
    pot: float | None = option("--pot", type=float, help="Protons on target, in place of years.")
    events: int | None = option(
        "--events", type=int, help="Fixed number of signal events; the rest scales to it."
    )
    seed: int = option(
        "--seed", type=int, default=1, show_default=True, help="Key of the random numbers."
    )
    weights: Mapping[str, Mapping[str, Any]] = option(
        "--weight",
        multiple=True,
        metavar="NAME:KEY=VALUE[,KEY=VALUE]",
        callback=_weights,
        help="Add weight_NAME, to another interaction, e.g. nsi:nsi.u.ee=0.1; may be repeated.",
    )
    place: bool = option(
        "--place", is_flag=True, default=False, help="Also module, x, y, z in the active volume."
    )

    def plan(self, experiment: Experiment, loading: Loading) -> Run:
        """The run that makes these events of an experiment that was loaded so."""
        from ...reco.runs.run import plan

        for name in ("years", "pot", "events"):
            if (value := getattr(self, name)) is not None:
                loading.refuse_years(f"--{name} {value:g}", value if name == "years" else None)
        return plan(
            experiment, self.seed, years=self.years, pot=self.pot, events=self.events,
            place=self.place, weights=self.weights,
        )  # fmt: skip


@dataclass(frozen=True)
class Writing:
    """How events are written."""

    path: Path = option(
        "-o",
        "--output",
        required=True,
        type=click.Path(path_type=Path),
        help="ROOT file; a folder of parts with --parts, or --cluster and no .root.",
    )
    format: Format = option(
        "--format", type=click.Choice(["ttree", "rntuple"]), default="ttree", show_default=True
    )
    compression: str = option(
        "--compression",
        default="zstd",
        show_default=True,
        metavar="NAME[:LEVEL]",
        callback=_compression,
        help="none, zstd, lz4, zlib or lzma.",
    )
    selected_only: bool = option(
        "--selected-only", is_flag=True, default=False,
        help="Leave out events that are not selected.",
    )  # fmt: skip
    parts: int | None = option(
        "--parts",
        type=click.IntRange(1),
        help="Write a folder of numbered parts, resumed if there.",
    )
    overwrite: bool = option(
        "--overwrite", is_flag=True, default=False, help="Replace a file or folder that is there."
    )

    def check(self, machines: Computing) -> None:
        """Refuse a name that is not of what is written: a ROOT file, or a folder."""
        if self.parts is not None and self.path.suffix == ".root":
            raise click.BadParameter(
                f"'{self.path}': --parts writes a folder, whose name does not end in .root",
                param_hint="-o",
            )
        if self.parts is None and machines.cluster is None:
            check_suffix(self.path, ".root")


@dataclass(frozen=True)
class Machines(Computing):
    """Threads here, as many as are wanted, or a cluster."""

    threads: int | None = option(
        "--threads", type=click.IntRange(1), help="Threads; by default one a core."
    )


@click.command()
@experiment_argument
@group_options(Writing)
@group_options(Sample)
@group_options(Machines)
@setting_options
@json_option
def command(
    name: str,
    writing: Writing,
    sample: Sample,
    machines: Machines,
    loading: Loading,
    output: Output,
) -> None:
    """Make the events of an experiment and write them as a ROOT ntuple.

    Interrupted runs leave no file. A run in --parts or with --cluster goes on where it stopped when
    it is called again in the same way, or by `nuspill resume`; on a cluster the parts of OUT.root
    are in OUT.root.parts until all are there.
    """
    begin = time.perf_counter()
    experiment = loading.load(name)
    run = sample.plan(experiment, loading)
    if of_files := [template.name for template in experiment.template]:
        click.echo(
            f"nuspill: note: {name}: in fits {', '.join(of_files)} are counts from files, which "
            "make no events: here are the computed signal and backgrounds alone",
            err=True,
        )
    writing.check(machines)
    if writing.parts is None and machines.cluster is None:
        counts = _write_file(run, writing, machines)
    else:
        counts = _write_parts(run, writing, machines)
    tell(run, counts, writing.path, time.perf_counter() - begin, output)


def _write_file(run: Run, writing: Writing, machines: Computing) -> Counts:
    from ...reco.files import interruptible
    from ...reco.runs.ntuple import write

    w = writing
    with interruptible(), progress_bar(run.events, "events") as advance:
        return write(
            run, w.path, format=w.format, compression=w.compression,
            selected_only=w.selected_only, overwrite=w.overwrite,
            workers=machines.here.reporting(advance),
        )  # fmt: skip


def _write_parts(run: Run, writing: Writing, machines: Computing) -> Counts:
    """Write a folder of parts, and join them where one file is asked for."""
    from ...reco.runs.folder import MANIFEST
    from ...reco.runs.parts import remove_run, write_parts
    from ...reco.runs.verify import join_parts

    w = writing
    one_file = w.parts is None and w.path.suffix == ".root"
    folder = w.path.with_name(w.path.name + ".parts") if one_file else w.path
    if one_file and w.path.exists() and not w.overwrite:
        raise OutputError(f"{w.path}: exists; --overwrite replaces it")
    existing: Existing = "keep" if one_file else "refuse"
    if w.overwrite and (not one_file or (folder / MANIFEST).is_file()):
        existing = "replace"  # where the file was named, no folder of others beside it
    with (
        machines.opened() as workers,
        interrupted_keeps(folder),
        progress_bar(run.events, "events") as advance,
    ):
        counts = write_parts(
            run, folder, w.parts, format=w.format, compression=w.compression,
            selected_only=w.selected_only, existing=existing,
            workers=workers.reporting(advance),
        )  # fmt: skip
        if one_file:
            join_parts([folder], w.path, w.overwrite)
            remove_run(folder)
    return counts


@dataclass(frozen=True)
class Row:
    """Events of a component in a window: on, off or none."""

    component: str
    window: str
    expected: float
    generated: int
    expected_selected: float
    selected: int


def tell(run: Run, counts: Counts, path: Path, seconds: float, output: Output) -> None:
    """Print what was made, and write its JSON."""
    rows = _summary(run, counts.table())
    title = (
        f"{run.experiment.name}: {run.years:.4g} years of operation, {run.protons:.3g} protons, "
        f"seed {run.seed}"
    )
    columns = ["component", "window", "expected", "generated", "expected selected", "selected"]
    output.table(title, columns, map(astuple, rows))
    files = path.glob("part-*.root") if path.is_dir() else [path]
    size = sum(f.stat().st_size for f in files)
    output.text(f"\n{run.events} events, {size / 1e6:.1f} MB, {seconds:.2f} s: {path}")
    output.json(
        {
            "experiment": run.experiment.name,
            "output": str(path),
            "seed": run.seed,
            "years": run.years,
            "protons_on_target": run.protons,
            "events": run.events,
            "bytes": size,
            "seconds": seconds,
            "counts": [asdict(row) for row in rows],
        }
    )


def _summary(run: Run, table: list[Generated]) -> list[Row]:
    by_component = {row["component"]: row for row in table}
    zeros = [0, 0, 0]
    rows = []
    for e in run.expected:
        counts = by_component.get(e.component)
        in_window, selected = (
            (counts["in_window"], counts["selected"]) if counts else (zeros, zeros)
        )
        for window, label in ((1, "on"), (2, "off"), (0, "none")):
            row = Row(
                component=e.name,
                window=label,
                expected=e.in_window[window] * run.years,
                generated=in_window[window],
                expected_selected=e.selected[window] * run.years,
                selected=selected[window],
            )
            if row.expected > 1e-6 or row.generated > 0:
                rows.append(row)
    return rows
