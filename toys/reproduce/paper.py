"""The paper's printed numbers and its experiments: arXiv:1911.00762, preset `paper`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import TypedDict, cast

from ...generator.arrays import Json
from ...reco.experiment import Experiment, load

DETECTORS = {
    "ess-ar": "Ar",
    "ess-c3f8": "C3F8",
    "ess-csi": "CsI",
    "ess-ge": "Ge",
    "ess-si": "Si",
    "ess-xe": "Xe",
}
"""Experiments in the order of Table 3, with the paper's names."""
COLOURS = {
    "ess-ar": "#bd1f01",
    "ess-c3f8": "#832db6",
    "ess-csi": "#3f90da",
    "ess-ge": "#e76300",
    "ess-si": "#717581",
    "ess-xe": "#2a9d5c",
}
BOTH = "Xe+Ar"
"""The gas chamber, half of the time with xenon and half with argon."""
YEARS = 3.0


class Text(TypedDict):
    """Numbers in the text of the paper; energies in MeV, thresholds in keV as the file says."""

    prompt_energy: float
    end_point: float
    csi_per_mass: float
    csi_na_threshold: float
    csi_na_acceptance: float
    csi_na_signal_to_background: float
    ge_demonstrated_threshold: float
    prompt_line: float
    moment_visible: list[float]


class Printed(TypedDict):
    """Numbers of the paper, and the same computed apart from nuspill."""

    table1: dict[str, float]
    """Events a year by experiment."""
    table1_computed: dict[str, float]
    table3: dict[str, Json]
    """Limits by quantity and column, and how they are rounded."""
    computed: dict[str, dict[str, list[float | list[float]]]]
    """Limits by quantity and column; a range where one number would hide what it depends on."""
    computed_silicon: dict[str, dict[str, list[float]]]
    text: Text


def printed() -> Printed:
    """Numbers of the paper, as the file beside this one says."""
    file = resources.files(__package__) / "paper-1911.00762.toml"
    return cast(Printed, tomllib.loads(file.read_text("utf-8")))


def experiment(name: str, settings: Mapping[str, object] | None = None) -> Experiment:
    """Experiment with the paper's choices, and some settings changed."""
    return load(name, settings, "paper")


def periods(name: str, threshold_scan: bool = False) -> list[Experiment]:
    """Experiments of a column of Table 3: one, or two that share the three years.

    Parameters
    ----------
    name
        A key of `DETECTORS`, or `BOTH`.
    threshold_scan
        Half of the time with a threshold of 1 keV_nr, with common pulls, which the paper does with
        the argon bubble chamber for the magnetic moment.
    """
    half = {"exposure.years": YEARS / 2}
    if name == BOTH:
        return [experiment("ess-xe", half), experiment("ess-xe-ar", half)]
    if threshold_scan:
        return [experiment(name, half), experiment(name, half | {"detector.threshold": 1.0})]
    return [experiment(name)]
