"""COHERENT's first measurement of CEvNS against the simulation of sns-csi-2017.

    python examples/coherent_2017.py FOLDER [-o coherent.pdf] [--json FILE]

FOLDER holds the text files of the release, arXiv:1804.09459. The residual of coincidence minus
anti-coincidence, 6 to 30 photo-electrons and within 6 µs, is compared with the simulated one in
energy and in time, and the signal is fitted in both at once. Published: 134 ± 22 events from a
likelihood fit, 173 ± 48 expected. Prompt neutrons are 0.92 ± 0.23 events a GWh in 7.48 GWh
(Science 357 (2017) 1123), with the release's own shapes. The steady background is measured by
anti-coincidence: its photo-electrons are those of the experiment, and its times fall exponentially.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nuspill import (
    Experiment,
    ExperimentError,
    OutputError,
    build,
    import_events,
    load,
    plan,
    write,
)
from nuspill.reco.chain.codes import OFF
from nuspill.reco.comparison.compare import Comparison, compare
from nuspill.reco.comparison.report import write_report
from nuspill.reco.comparison.side import Side, side_of
from nuspill.toys.counts.template import templates
from nuspill.toys.observed.observed import observed
from nuspill.toys.report.fitted import fitted
from scipy.optimize import brentq

NAME = "sns-csi-2017"
YEARS = 100.0
"""Times the exposure of the measurement that is simulated."""
ENERGY = np.linspace(6.0, 30.0, 13)
"""Photo-electrons."""
TIME = np.linspace(0.0, 6000.0, 13)
"""ns."""
NEUTRONS, NEUTRONS_ERROR = 0.92 * 7.48, 0.25
EDGE = 1e-3
"""Part of a bin of time in which the density passes to that of the next."""


@dataclass(frozen=True)
class Fit:
    """The fitted signal."""

    events: float
    """Signal events in coincidence."""
    error: float
    """Half of the interval in which the profile rises by less than 1."""
    expected: float
    """Signal events that the experiment expects."""
    neutrons: float
    background: float
    deviance: float
    bins: int


def falling(times: Any) -> float:
    """Rate, 1/ns, of the exponential from which times within 6 µs are most likely."""
    late, mean = TIME[-1], float(np.mean(times))
    return float(brentq(lambda r: 1 / r - late / np.expm1(r * late) - mean, 1e-9, 1e-2))


def profile(rows: Any) -> dict[str, list[float]]:
    """Arrival times (µs at the centres of bins) as a density, flat in each bin."""
    width = 1e3 * (rows[1, 0] - rows[0, 0])
    start, edge = 1e3 * rows[:, 0] - width / 2, EDGE * width
    time = np.stack([start + edge, start + width - edge], axis=1).ravel()
    return {"time": time.tolist(), "intensity": np.repeat(rows[:, 1], 2).tolist()}


def spectrum(rows: Any) -> dict[str, Any]:
    """Photo-electrons (at the centres of bins of one) as a histogram."""
    edges = [*(rows[:, 0] - 0.5), rows[-1, 0] + 0.5]
    return {"model": "histogram", "edges": edges, "counts": rows[:, 1].tolist()}


def experiment(folder: Path, rate: float) -> Experiment:
    """The experiment in energy and time, with neutrons and a steady background that falls."""
    energy, time = (
        np.loadtxt(folder / name, delimiter=",")
        for name in ("promptPDF.txt", "arrivalTimePDF_promptNeutrons.txt")
    )
    steady = load(NAME).background[0].model_dump()
    neutrons = {
        "name": "neutrons", "timing": "table", "profile": profile(time), "scale": "reco",
        "spectrum": spectrum(energy), "total": True, "rate": 1.0, "uncertainty": NEUTRONS_ERROR,
    }  # fmt: skip
    steady["time_efficiency"] = {"model": "exponential", "start": 0.0, "rate": rate}
    binned = [
        {"name": "energy", "edges": ENERGY.tolist()},
        {"name": "time", "edges": TIME.tolist()},
    ]
    made = load(NAME, {
        "analysis.axes": binned, "analysis.signal_uncertainty": 0.0,
        "background": [steady, neutrons],
    })  # fmt: skip
    unit = templates(made).backgrounds["neutrons"].on.sum()
    return made.replace(**{"background.neutrons.rate": NEUTRONS / unit})


def fit(folder: Path, data: Side, ntuple: Path) -> Fit:
    """The signal in energy and time, with the steady background as anti-coincidence has it."""
    chosen = experiment(folder, falling(data.since[data.window == OFF]))
    model = build([chosen], ["strength"])
    found = fitted(model, observed(model, [chosen], [str(ntuple)]))
    counts = {c.name: float(np.sum(c.on.at(found.values))) for c in model.components}
    strength, expected = found.values[0], counts["signal"] / found.values[0]
    return Fit(
        events=float(strength * expected), error=float(found.errors[0].mean() * expected),
        expected=float(expected), neutrons=counts["neutrons"], background=counts["steady"],
        deviance=found.chi2, bins=model.bins,
    )  # fmt: skip


def analyse(folder: Path, years: float = YEARS) -> tuple[Comparison, Fit]:
    """Every number: the comparison and the fit."""
    data = side_of(folder)
    with tempfile.TemporaryDirectory() as made:
        simulation, ntuple = Path(made) / "simulation.root", Path(made) / "data.root"
        write(plan(load(NAME), seed=1, years=years), simulation)
        import_events(folder, ntuple, "coherent-2017", experiment=NAME)
        result = fit(folder, data, ntuple)
        return compare(side_of(simulation), data, energy=ENERGY, time=TIME), result


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="COHERENT 2017 against the simulation")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("coherent.pdf"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        comparison, found = analyse(given.folder)
        write_report(comparison, given.output, overwrite=True)
    except (ExperimentError, OutputError) as error:
        sys.exit(f"coherent_2017: {error}")
    lines = [
        f"{panel.key:16s} chi2/ndf = {panel.chi2.value:.1f}/{panel.chi2.ndf}"
        for panel in comparison.panels
    ]
    lines.append(
        f"signal {found.events:.0f} +- {found.error:.0f} events (published 134 +- 22), "
        f"{found.expected:.0f} expected; neutrons {found.neutrons:.1f}, "
        f"background {found.background:.0f}; deviance {found.deviance:.1f} in {found.bins} bins"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    if given.json is not None:
        numbers = comparison.as_json() | {"fit": asdict(found)}
        given.json.write_text(json.dumps(numbers, indent=1), "utf-8")


if __name__ == "__main__":
    main()
