"""Observed data: ``--data`` and ``--accept``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ..output import warn_of_missing
from .group import group_options, option

if TYPE_CHECKING:
    from ...reco.experiment import Experiment
    from ...toys.counts.model import Data, Model


@dataclass(frozen=True)
class Observed:
    """Files of observed data, and in what they may differ from the model."""

    files: tuple[str, ...] = option(
        "--data",
        multiple=True,
        metavar="FILE",
        help="Observed counts of each NAME in its turn: an ntuple, FILE.root:HISTOGRAM, or text.",
    )
    accept: tuple[str, ...] = option(
        "--accept",
        multiple=True,
        metavar="KEY",
        help="Take an ntuple as --data though it differs from the model in KEY, e.g. "
        "detector.quenching; the result says so. May be repeated.",
    )

    def data(self, model: Model, experiments: Sequence[Experiment]) -> Data | None:
        """The observed data, if any are given; tells what of them is missing or accepted."""
        from ...toys.observed.observed import observed

        if not self.files:
            if self.accept:
                raise click.BadParameter("is for --data", param_hint="--accept")
            return None
        data = observed(model, experiments, self.files, self.accept)
        for origin in data.origins:
            warn_of_missing(origin.experiment, origin.missing)
            for key, value, own in origin.accepted:
                click.echo(
                    f"nuspill: warning: {origin.experiment}: accepted: {key} is {value} in the "
                    f"data and {own} in the model",
                    err=True,
                )
        return data

    def require(self, experiments: Sequence[Experiment]) -> None:
        """Refuse a command without a file for each experiment, before the work begins."""
        names = ", ".join(experiment.name for experiment in experiments)
        if not self.files:
            raise click.UsageError(
                f"--data FILE is missing: observed counts of {names}, a file for each (what is "
                "expected without data: nuspill asimov)"
            )
        if len(self.files) != len(experiments):
            raise click.BadParameter(
                f"{len(self.files)} files for {len(experiments)} experiments ({names}); give one "
                "for each, in this order",
                param_hint="--data",
            )


observed_options = group_options(Observed)
"""Add ``--data`` and ``--accept``."""
