"""Table 1: events a year of operation above threshold."""

from __future__ import annotations

from typing import Any

from ...generator.rate import above
from ...reco.experiment import Experiment, load
from .paper import COLOURS, DETECTORS, experiment, printed
from .result import Result, Table, ratio


def table_1() -> Result:
    """Events above threshold of the six detectors at 20 m, no acceptance applied."""
    numbers = printed()
    paper, computed = numbers["table1"], numbers["table1_computed"]
    rows: list[tuple[str, float, float, float | None, float | None]] = []
    for name in DETECTORS:
        ours = _events(experiment(name))
        again = None if name == "ess-ge" else computed[name]
        rows.append((name, ours, paper[name], ratio(ours, paper[name]), again))
    name = "ess-ge"
    ours = _events(load(name, None, "paper-as-printed"))
    as_printed = ("ess-ge as printed", ours, paper[name], ours / paper[name], computed[name])
    table = Table(
        "Table 1: events a year above threshold",
        ("experiment", "nuspill", "paper", "ratio", "computed apart, ratio"),
        (*rows, as_printed),
        "Germanium: Table 2 prints N = 40 with 75.92 u (the last row); the preset `paper` has the "
        "mass of that isotope, 71.92 u.",
    )

    def draw(axes: Any) -> None:
        for i, row in enumerate(rows):
            axes.bar(i, row[3], color=COLOURS[row[0]], width=0.6)
            axes.text(i, 1.024, f"{row[1]:.0f}", ha="center")
        axes.axhspan(0.975, 1.025, color="0.85", zorder=0)
        axes.axhline(1, color="0.3", lw=1)
        axes.set_xticks(range(len(rows)), [DETECTORS[row[0]] for row in rows])
        axes.set_ylim(0.93, 1.05)
        axes.set_ylabel("events a year, nuspill / Table 1")

    return Result("rates", "Rates of Table 1", (table,), draw)


def _events(chosen: Experiment) -> float:
    return sum(above(channel, chosen.detector.threshold) for channel in chosen.channels)
