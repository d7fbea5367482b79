"""How experiments are loaded: ``--set``, ``--preset``, ``--source``, ``--years``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from .group import F, group_options, option

if TYPE_CHECKING:
    from ...reco.experiment import Experiment


def setting_value(text: str) -> Any:
    """Value of ``--set KEY=VALUE``: TOML if the text is valid TOML, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def parse_settings(assignments: Iterable[str]) -> dict[str, object]:
    """Settings from texts such as ``source.distance=25``."""
    settings: dict[str, object] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise click.BadParameter(f"'{text}' is not KEY=VALUE, e.g. source.distance=25")
        key, new = key.strip(), setting_value(value.strip())
        if key in settings and settings[key] != new:
            raise click.BadParameter(f"{key} is given twice: {settings[key]!r} and {new!r}")
        settings[key] = new
    return settings


def _settings(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, object]:
    return parse_settings(values)


@dataclass(frozen=True)
class Loading:
    """How experiments are loaded."""

    settings: dict[str, object] = option(
        "--set",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_settings,
        help="Change a setting, e.g. target.mass=30; may be repeated.",
    )
    preset: str | None = option(
        "--preset", metavar="NAME", help="A preset of the experiment, e.g. paper."
    )
    source: str | None = option(
        "--source",
        metavar="NAME",
        help="A shipped source in place of the own one; where it has another distance, give "
        "--set source.distance too.",
    )
    years: float | None = option(
        "--years", type=float, metavar="Y", help="Years of operation of each experiment."
    )

    def load(self, name: str) -> Experiment:
        """Load an experiment, over these years if they are given."""
        from ...reco.experiment import load

        if self.years is not None:
            self.refuse_years(f"--years {self.years:g}", self.years)
        years = {} if self.years is None else {"exposure.years": self.years}
        return load(name, {**self.settings, **years}, self.preset, self.source)

    def refuse_years(self, option: str, years: float | None) -> None:
        """Refuse ``--set exposure.years`` beside an option that says another length."""
        own = self.settings.get("exposure.years", years)
        if own != years:
            raise click.BadParameter(f"{option} contradicts --set exposure.years={own}")

    def load_all(self, names: Iterable[str], data: Sequence[str] = ()) -> list[Experiment]:
        """Load experiments and periods, each over the same number of years if that is given.

        Parameters
        ----------
        data
            For each experiment what ``--data`` gives: a folder is that of the release that its
            templates are from.
        """
        from ...reco.experiment import periods

        loaded = [self.load(period) for name in names for period in periods(name)]
        if len(data) != len(loaded):
            return loaded
        return [_from_release(*pair) for pair in zip(loaded, data, strict=True)]


def _from_release(experiment: Experiment, data: str) -> Experiment:
    """An experiment with the templates of the folder of its data, if it has none of another."""
    release = experiment.release
    if release is None or release.folder is not None or not Path(data).is_dir():
        return experiment
    return experiment.replace(**{"release.folder": data})


loading_options = group_options(Loading)
"""Add ``--set``, ``--preset``, ``--source`` and ``--years``."""
setting_options = group_options(Loading, without=["years"])
"""Add ``--set``, ``--preset`` and ``--source``."""
setting_option = group_options(Loading, without=["preset", "source", "years"])
"""Add ``--set``."""


def _names(
    ctx: click.Context,  # noqa: ARG001
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """What a name of an experiment may become: a shipped one, or a file."""
    from ...reco.experiment import shipped_experiments

    shipped = [CompletionItem(n) for n in shipped_experiments() if n.startswith(incomplete)]
    return [*shipped, CompletionItem(incomplete, type="file")]


def experiments_argument(function: F) -> F:
    """Add the names of one experiment or several."""
    return click.argument(
        "names", nargs=-1, required=True, metavar="NAME|FILE.toml...", shell_complete=_names
    )(function)


def experiment_argument(function: F) -> F:
    """Add the name of an experiment."""
    return click.argument("name", metavar="NAME|FILE.toml", shell_complete=_names)(function)
