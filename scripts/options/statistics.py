"""What is scanned and fitted, and at which level: ``--scan``, ``--profile``, ``--cl``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from .group import group_options, option

if TYPE_CHECKING:
    from ...toys.scan.scan import Axis


DEFAULT_SCAN = "strength"


def confidence_level(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: float,
) -> float:
    """Refuse a confidence level that is not between 0 and 1, nan too."""
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


@dataclass(frozen=True)
class Statistics:
    """Parameters that are scanned and profiled, and the confidence level."""

    scans: tuple[str, ...] = option(
        "--scan",
        multiple=True,
        required=True,
        metavar="PARAM[=LO:HI:N]",
        callback=_one_or_two,
        help="Parameter to scan, e.g. nsi.u.ee=-1:1:201; give one or two.",
    )
    profiled: tuple[str, ...] = option(
        "--profile",
        multiple=True,
        metavar="PARAM",
        help="Fit this parameter too at every point; may be repeated.",
    )
    cl: float = option(
        "--cl", type=float, default=0.9, show_default=True, callback=confidence_level,
        help="Confidence level.",
    )  # fmt: skip

    def axes(self) -> list[Axis]:
        """The parameters that are scanned, with their ranges."""
        return [parse_axis(text) for text in self.scans or (DEFAULT_SCAN,)]

    def parameters(self) -> list[str]:
        """Names of all parameters, those that are scanned first."""
        return [*(axis.name for axis in self.axes()), *self.profiled]


@dataclass(frozen=True)
class FitStatistics(Statistics):
    """The same of a fit, whose parameter is by default the strength of the signal."""

    scans: tuple[str, ...] = option(
        "--scan",
        multiple=True,
        metavar="PARAM[=LO:HI:N]",
        callback=_one_or_two,
        help="Parameter of interest, e.g. nsi.u.ee=-1:1:201; one or two, by default strength.",
    )


statistic_options = group_options(Statistics)
"""Add ``--scan``, ``--profile`` and ``--cl``."""
fit_statistic_options = group_options(FitStatistics)
"""The same with a default."""


def parse_axis(text: str) -> Axis:
    """Axis of ``PARAM`` or ``PARAM=LOW:HIGH[:POINTS]``."""
    from ...toys.scan.scan import Axis

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
