"""`nuspill compare`: two samples side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..options.loading import Loading, setting_option
from ..options.output import Output, check_suffix, json_option
from ..output import warn_of_missing

if TYPE_CHECKING:
    from ...reco.comparison.compare import Comparison


def _edges(
    ctx: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> Any:
    import numpy as np

    if value is None:
        return None
    try:
        low, high, bins = value.split(":")
        axis = float(low), float(high), int(bins)
        if not (np.isfinite(axis[:2]).all() and axis[0] < axis[1] and 0 < axis[2] <= 10_000):
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"'{value[:80]}' is not LOW:HIGH:BINS, e.g. 6:30:12") from None
    return np.linspace(axis[0], axis[1], axis[2] + 1)


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "report", type=click.Path(path_type=Path), help="Report: .html or .pdf."
)
@click.option("--from-a", metavar="FORMAT", help="Format of A, if it is no ntuple.")
@click.option("--from-b", metavar="FORMAT", help="Format of B, if it is no ntuple.")
@click.option(
    "--experiment",
    metavar="NAME|FILE.toml",
    help="Of a file that does not tell; for B, by default that of A.",
)
@click.option("--shape", is_flag=True, help="Scale A to the counts of B, not to its live time.")
@click.option(
    "--energy", metavar="LOW:HIGH:BINS", callback=_edges, help="Bins, in the detector's unit."
)
@click.option(
    "--time", metavar="LOW:HIGH:BINS", callback=_edges, help="Bins, ns since the window opens."
)
@click.option("--repair", is_flag=True, help="Drop damaged records of files that are imported.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
@setting_option
@json_option
def command(
    a: Path,
    b: Path,
    report: Path | None,
    from_a: str | None,
    from_b: str | None,
    experiment: str | None,
    shape: bool,
    energy: Any,
    time: Any,
    repair: bool,
    overwrite: bool,
    loading: Loading,
    output: Output,
) -> None:
    """Compare two samples, ntuples or files that can be imported: counts, spectra, χ² and KS."""
    if report is not None:
        check_suffix(report, ".html", ".pdf")
    from ...reco.comparison.compare import compare
    from ...reco.comparison.report import write_report
    from ...reco.comparison.side import both

    sides = both(
        a, b, (from_a, from_b),
        experiment=experiment, settings=loading.settings, repair=repair,
    )  # fmt: skip
    comparison = compare(*sides, shape=shape, energy=energy, time=time)
    if report is not None:
        write_report(comparison, report, overwrite)
    for sample in comparison.totals:
        warn_of_missing(sample.name, sample.missing)
    _tell(comparison, output)
    if report is not None:
        output.text(f"\n{report}")
    output.json(comparison.as_json())


def _tell(comparison: Comparison, output: Output) -> None:
    """Print the counts and the tests."""
    from ...reco.comparison.report import TITLES

    rows: list[list[object]] = [
        [t.name, t.on, t.off, t.on_minus_off, t.error, t.live_days] for t in comparison.totals
    ]
    d = comparison.difference
    rows.append([d.name, d.on, d.off, d.on_minus_off, None, None])
    columns = ["", "on", "off", "on - off/tau", "+-", "live days"]
    output.table("Selected events", columns, rows)
    tests = [
        [TITLES[p.key], p.chi2.value, p.chi2.ndf, p.chi2.p_value, p.ks and p.ks.p_value]
        for p in comparison.panels
    ]
    output.table("Tests", ["", "chi2", "ndf", "p", "KS p"], tests)
