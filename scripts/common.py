"""Options and output that commands share."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..reco.errors import OutputError
from ..reco.experiment import Experiment, load

if TYPE_CHECKING:
    from ..reco.cluster.workers import Cluster

F = TypeVar("F", bound=Callable[..., Any])


def setting_value(text: str) -> Any:
    """Value of ``--set KEY=VALUE``: TOML if it is, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Settings from texts such as ``source.distance=25``."""
    settings = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise click.BadParameter(f"'{text}' is not KEY=VALUE, e.g. source.distance=25")
        settings[key.strip()] = setting_value(value.strip())
    return settings


def _settings(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, Any]:
    return parse_settings(values)


def _names(
    ctx: click.Context,  # noqa: ARG001
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """What a name of an experiment may become: a shipped one, or a file."""
    from ..reco.experiment import shipped_experiments

    found = [CompletionItem(n) for n in shipped_experiments() if n.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="file")]


def experiments_argument(function: F) -> F:
    """Add the names of one experiment or several."""
    return click.argument(
        "names", nargs=-1, required=True, metavar="NAME|FILE.toml...", shell_complete=_names
    )(function)


def experiment_argument(function: F) -> F:
    """Add the name of an experiment."""
    return click.argument("name", metavar="NAME|FILE.toml", shell_complete=_names)(function)


def setting_option(function: F) -> F:
    """Add ``--set``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_settings,
        help="Change a setting, e.g. target.mass=30; may be repeated.",
    )(function)


def setting_options(function: F) -> F:
    """Add ``--set``, ``--preset`` and ``--source``."""
    options = [
        click.option(
            "--source",
            metavar="NAME",
            help="A shipped source, with its distance, in place of the own one.",
        ),
        click.option("--preset", metavar="NAME", help="A preset of the experiment, e.g. paper."),
        setting_option,
    ]
    for option in options:
        function = option(function)
    return function


def experiment_options(function: F) -> F:
    """Add ``--set``, ``--preset``, ``--source`` and ``--json``."""
    return setting_options(json_option(function))


def print_table(title: str, columns: list[str], rows: Iterable[Iterable[Any]], quiet: bool) -> None:
    """Print a table to standard output, unless JSON goes there."""
    if quiet:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(show(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(Text(title, style="italic"))
    console.print(table)


def show(value: Any) -> str:
    """A cell of a table: numbers to a sensible number of digits."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:.4g}"


def json_option(function: F) -> F:
    """Add ``--json``; a file that cannot be written is refused before the work begins."""
    return click.option(
        "--json",
        "json_file",
        metavar="FILE",
        callback=_writable,
        help="Write all numbers to FILE; - for standard output.",
    )(function)


def _writable(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> str | None:
    if value is not None and value != "-":
        path = Path(value)
        try:
            reason = "it is a directory" if path.is_dir() else ""
            if not path.parent.is_dir():
                reason = f"there is no folder {path.parent}"
            elif not os.access(path.parent, os.W_OK):
                reason = f"{path.parent} is read-only"
        except OSError as error:
            reason = error.strerror or "no such name"
        if reason:
            raise OutputError(f"{value}: cannot be written: {reason}")
    return value


def write_json(json_file: str | None, content: Any) -> None:
    """Write JSON to a file, or to standard output for ``-``."""
    if json_file is None:
        return
    text = json.dumps(content, indent=1)
    if json_file == "-":
        click.echo(text)
        return
    try:
        Path(json_file).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{json_file}: cannot be written: {error.strerror}") from error


def statistic_options(function: F) -> F:
    """Add ``--scan``, ``--profile``, ``--cl``, ``--years`` and ``--threads``."""
    options = [
        click.option("--threads", type=click.IntRange(1, 1024), help="Default: one a core."),
        click.option(
            "--years", type=float, metavar="Y", help="Years of operation of each experiment."
        ),
        click.option(
            "--cl", type=float, default=0.9, show_default=True, callback=confidence_level,
            help="Confidence level.",
        ),
        click.option(
            "--profile",
            "profiled",
            multiple=True,
            metavar="PARAM",
            help="Fit this parameter too at every point; may be repeated.",
        ),
        click.option(
            "--scan",
            "scans",
            multiple=True,
            required=True,
            metavar="PARAM[=LO:HI:N]",
            callback=_one_or_two,
            help="Parameter to scan, e.g. nsi.u.ee=-1:1:201; give one or two.",
        ),
    ]  # fmt: skip
    for option in options:
        function = option(function)
    return function


def confidence_level(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: float,
) -> float:
    """Refuse what is not between 0 and 1, nan too."""
    if not 0 < value < 1:
        raise click.BadParameter(f"{value:g} is not between 0 and 1")
    return value


def _one_or_two(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> tuple[str, ...]:
    if len(values) > 2:
        raise click.BadParameter(f"give one or two parameters to scan, not {len(values)}")
    return values


PLOT_FORMATS = ("pdf", "png", "svg")


def plot_option(function: F) -> F:
    """Add ``--plot``; a file that cannot be written is refused before the work begins."""
    return click.option(
        "--plot",
        "plot_file",
        metavar="FILE",
        callback=_plottable,
        help=f"Plot to FILE.{'|'.join(PLOT_FORMATS)}.",
    )(function)


def _plottable(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and Path(value).suffix.lstrip(".") not in PLOT_FORMATS:
        raise click.BadParameter(f"'{value}' must end in one of .{', .'.join(PLOT_FORMATS)}")
    return _writable(ctx, option, value)


class progress_bar:
    """A progress bar with rate and time left on standard error; nothing where it is no terminal."""

    def __init__(self, total: int, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.what = what
        self.task = self.bar.add_task(what, total=total, rate="")

    def __enter__(self) -> Callable[[int], None]:
        """Show the bar; gives the function to call with what was done."""
        self.bar.start()
        return self._advance

    def _advance(self, number: int) -> None:
        speed = self.bar.tasks[0].speed
        rate = f"{speed:.3g} {self.what}/s" if speed else ""
        self.bar.update(self.task, advance=number, rate=rate)

    def __exit__(self, *error: object) -> None:
        """Remove it."""
        self.bar.stop()


def ensemble_options(function: F) -> F:
    """Add ``--seed``, ``--ensemble``, ``--centres`` and ``--nuisance``."""
    options = [
        click.option("--seed", type=int, default=1, show_default=True, help="Of the toys."),
        click.option(
            "--ensemble",
            "truth",
            type=click.Choice(["profiled", "fixed", "prior"]),
            default="profiled",
            show_default=True,
            help="True nuisance parameters: profiled on the data, fixed, or drawn for each toy.",
        ),
        click.option(
            "--centres",
            type=click.Choice(["fluctuated", "fixed"]),
            default="fluctuated",
            show_default=True,
            help="Centres of the pulls.",
        ),
        click.option(
            "--nuisance",
            "nuisances",
            multiple=True,
            metavar="NAME=SIGMAS",
            callback=_numbers,
            help="True value with --ensemble fixed; may be repeated.",
        ),
    ]
    for option in options:
        function = option(function)
    return function


def _numbers(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, float]:
    found = {}
    for text in values:
        name, _, value = text.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            name = ""
        if not name.strip() or not abs(found[name.strip()]) < float("inf"):
            raise click.BadParameter(f"'{text}' is not NAME=NUMBER")
    return found


def cluster_option(function: F) -> F:
    """Add ``--cluster``; what names no cluster is refused before the work begins."""
    return click.option(
        "--cluster",
        metavar="local[:N]|tcp://HOST:PORT|FILE.yaml",
        callback=_cluster,
        help="Compute on N processes here, by a Dask scheduler, or on the cluster of a file.",
    )(function)


def _cluster(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> str | None:
    if value is not None:
        from ..reco.cluster.connect import describe_cluster

        describe_cluster(value)
    return value


@contextmanager
def opened(cluster: str | None) -> Iterator[Cluster | None]:
    """The cluster of ``--cluster``, or none."""
    if cluster is None:
        yield None
        return
    from ..reco.cluster.connect import open_cluster

    with open_cluster(cluster) as found:
        yield found


@contextmanager
def interrupted_keeps(folder: Path) -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, and say that what is done is kept."""
    from ..reco.files import interruptible

    try:
        with interruptible():
            yield
    except OutputError as error:
        if str(error).startswith("interrupted"):
            raise OutputError(
                f"interrupted; what is done is kept, go on with: nuspill resume {folder}"
            ) from None
        raise


def interval_text(
    interval: Sequence[float],
    ends: Sequence[float],
    digits: int,
    errors: Sequence[float | None] = (None, None),
) -> str:
    """An interval with errors of its limits, and a word where an end of the scan cuts it off."""
    edges = []
    for x, error in zip(interval, errors, strict=True):
        more = " (end of the scan)" if x in ends else "" if error is None else f" ± {error:.2g}"
        edges.append(f"{x:.{digits}g}{more}")
    return f"[{', '.join(edges)}]"


def parse_axis(text: str) -> Any:
    """Axis of ``PARAM`` or ``PARAM=LOW:HIGH[:POINTS]``."""
    from ..toys.fit.scan import Axis

    name, equals, limits = text.partition("=")
    if not equals:
        return Axis(name.strip())
    parts = limits.split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
        points = int(parts[2]) if len(parts) > 2 else None
    except (ValueError, IndexError):
        parts = []
    if len(parts) not in {2, 3} or not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise click.BadParameter(
            f"'{text}' is not PARAM or PARAM=LOW:HIGH:POINTS, e.g. nsi.u.ee=-1:1:201",
            param_hint="--scan",
        )
    return Axis(name.strip(), low, high, points)


def load_all(
    names: tuple[str, ...],
    settings: dict[str, Any],
    preset: str | None,
    source: str | None,
    years: float | None,
) -> list[Experiment]:
    """Load experiments, each over the same number of years if that is given."""
    if years is not None:
        settings = settings | {"exposure.years": years}
    return [load(name, settings, preset, source) for name in names]
