"""How toys are thrown: ``--seed``, ``--ensemble``, ``--centres``, ``--nuisance``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import click

from .group import group_options, option

Truth = Literal["profiled", "fixed", "prior"]


def _numbers(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, float]:
    numbers = {}
    for text in values:
        name, _, value = text.rpartition("=")
        if name.strip() in numbers:
            raise click.BadParameter(f"{name.strip()} is given twice")
        try:
            numbers[name.strip()] = float(value)
        except ValueError:
            name = ""
        if not name.strip() or not abs(numbers[name.strip()]) < float("inf"):
            raise click.BadParameter(f"'{text}' is not NAME=NUMBER")
    return numbers


@dataclass(frozen=True)
class ToyEnsemble:
    """Seed and convention of the toys."""

    seed: int = option("--seed", type=int, default=1, show_default=True, help="Of the toys.")
    truth: Truth = option(
        "--ensemble",
        type=click.Choice(["profiled", "fixed", "prior"]),
        default="profiled",
        show_default=True,
        help="True nuisance parameters: profiled on the data, fixed, or drawn for each toy.",
    )
    centres: Literal["fluctuated", "fixed"] = option(
        "--centres",
        type=click.Choice(["fluctuated", "fixed"]),
        default="fluctuated",
        show_default=True,
        help="Centres of the pulls.",
    )
    nuisances: Mapping[str, float] = option(
        "--nuisance",
        multiple=True,
        metavar="NAME=SIGMAS",
        callback=_numbers,
        help="True value with --ensemble fixed; may be repeated.",
    )


ensemble_options = group_options(ToyEnsemble)
"""Add ``--seed``, ``--ensemble``, ``--centres`` and ``--nuisance``."""
