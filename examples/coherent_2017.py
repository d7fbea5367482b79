"""COHERENT's first measurement of CEvNS against the simulation of sns-csi-2017.

    python examples/coherent_2017.py FOLDER [-o coherent.pdf] [--json FILE]

FOLDER holds the text files of the release, arXiv:1804.09459. The residual of coincidence minus
anti-coincidence, 6 to 30 photo-electrons and within 6 µs, is compared with the simulated one in
energy and in time, and the signal is fitted in both at once. Published: 134 ± 22 events from a
likelihood fit, 173 ± 48 expected. Prompt neutrons are 0.92 ± 0.23 events a GWh in 7.48 GWh
(Science 357 (2017) 1123), with the release's own shapes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from nuspill import ExperimentError, OutputError, load, plan, write
from nuspill.reco.chain.codes import OFF, ON
from nuspill.reco.comparison.compare import Comparison, compare
from nuspill.reco.comparison.report import write_report
from nuspill.reco.comparison.side import Side, side_of
from nuspill.reco.comparison.strength import Strength, fit_strength

YEARS = 100.0
"""Times the exposure of the measurement that is simulated."""
ENERGY = np.linspace(6.0, 30.0, 13)
"""Photo-electrons."""
TIME = np.linspace(0.0, 6000.0, 13)
"""ns."""
NEUTRONS, NEUTRONS_ERROR = 0.92 * 7.48, 0.25


def counts(side: Side, window: int) -> Any:
    """Counts (energies, times) of a window."""
    mine = (side.window == window) & (side.e_reco < ENERGY[-1])
    return np.histogram2d(side.e_reco[mine], side.since[mine], (ENERGY, TIME))[0]


def neutrons(folder: Path) -> Any:
    """Prompt neutrons in the bins of the fit, from the release's energies and arrival times."""
    energy = np.loadtxt(folder / "promptPDF.txt", delimiter=",")
    time = np.loadtxt(folder / "arrivalTimePDF_promptNeutrons.txt", delimiter=",")
    shape = [
        np.histogram(rows[:, 0] * scale, edges, weights=rows[:, 1])[0]
        for rows, scale, edges in ((energy, 1.0, ENERGY), (time, 1e3, TIME))
    ]
    made = np.outer(*shape)
    return NEUTRONS * made / made.sum()


def analyse(folder: Path, years: float = YEARS) -> tuple[Comparison, Strength]:
    """Every number: the comparison and the fit."""
    data = side_of(folder)
    with tempfile.TemporaryDirectory() as made:
        paths = Path(made) / "simulation.root", Path(made) / "signal.root"
        for path, settings in zip(paths, ({}, {"background.steady.enabled": False}), strict=True):
            write(plan(load("sns-csi-2017", settings), seed=1, years=years), path)
        simulation, signal = (side_of(path) for path in paths)
    template = counts(signal, ON) / years
    on, off = counts(data, ON), counts(data, OFF)
    fit = fit_strength(on, off, template, neutrons(folder), NEUTRONS_ERROR)
    return compare(simulation, data, energy=ENERGY, time=TIME), fit


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="COHERENT 2017 against the simulation")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("coherent.pdf"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        comparison, fit = analyse(given.folder)
        write_report(comparison, given.output, overwrite=True)
    except (ExperimentError, OutputError) as error:
        sys.exit(f"coherent_2017: {error}")
    lines = [
        f"{panel.key:16s} chi2/ndf = {panel.chi2.value:.1f}/{panel.chi2.ndf}"
        for panel in comparison.panels
    ]
    lines.append(
        f"signal {fit.events:.0f} +- {fit.error:.0f} events (published 134 +- 22), "
        f"{fit.expected:.0f} expected; neutrons {fit.other:.1f}, "
        f"background {fit.background:.0f}; deviance {fit.deviance:.1f} in {fit.bins} bins"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    if given.json is not None:
        numbers = comparison.as_json() | {"fit": fit.as_json()}
        given.json.write_text(json.dumps(numbers, indent=1), "utf-8")


if __name__ == "__main__":
    main()
