"""What is computed without a detector: neutrino spectra (figure 2), cross sections (figure 15)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...generator.arrays import Array
from ...generator.cross_section import differential, recoil_max
from ...generator.rate import quadrature_nodes
from ...generator.spectrum import PION_LINE, decay_at_rest
from ...reco.comparison.style import COLOURS as BY_COMPONENT
from ...reco.comparison.style import LABELS
from ...reco.experiment import Experiment
from .paper import COLOURS, DETECTORS, experiment, printed
from .result import Cell, Result, Table

FIGURE_15_ENERGY = 40.0
"""Energy of the neutrinos of figure 15, MeV."""


def figure_2() -> Result:
    """Neutrino spectra of pion decay at rest, each normalised to one."""
    text = printed()["text"]
    spectra = decay_at_rest()
    rows: list[tuple[str, str, float, float | None, float | None]] = [
        ("ν_μ", "energy, MeV", PION_LINE, text["prompt_energy"], PION_LINE / text["prompt_energy"])
    ]
    for name, symbol in (("nue", "ν_e"), ("numubar", "ν̄_μ")):
        spectrum = spectra[name]
        end = spectrum.end_point
        e, weights = quadrature_nodes(np.linspace(0, end, 9))
        density = spectrum.density(e) * weights
        rows += [
            (symbol, "end point, MeV", end, text["end_point"], end / text["end_point"]),
            (symbol, "integral", float(density.sum()), 1.0, float(density.sum())),
            (symbol, "mean energy, MeV", float(e @ density), None, None),
        ]
    table = Table(
        "Figure 2: neutrino spectra",
        ("flavour", "quantity", "nuspill", "paper", "ratio"),
        tuple(rows),
        "The paper draws them in arbitrary units and prints no other number. The height of the "
        "ν_μ line means nothing: it has no width.",
    )

    def draw(axes: Any) -> None:
        for name, component in (("nue", 2), ("numubar", 3)):
            e = np.linspace(0, spectra[name].end_point, 500)
            axes.plot(e, spectra[name].density(e), color=BY_COMPONENT[component],
                      label=LABELS[name])  # fmt: skip
        axes.axvline(PION_LINE, color=BY_COMPONENT[1], label=LABELS["numu"] + ", a line")
        axes.set_xlim(0, 60)
        axes.set_ylim(0, None)
        axes.set_xlabel(r"$E_\nu$ [MeV]")
        axes.set_ylabel("normalised flux [1/MeV]")
        axes.legend(loc="upper left")

    return Result("fig2", "Neutrino spectra", (table,), draw)


def figure_15() -> Result:
    """Cross section with a moment of 1e-10 μ_B and without, for 40 MeV neutrinos."""
    low, high = printed()["text"]["moment_visible"]
    with_and_without = {
        name: [experiment(name, {"interaction.moment.numu": moment}) for moment in (0.0, 1.0)]
        for name in DETECTORS
    }

    def sigma(name: str, recoil: ArrayLike) -> Array:
        return np.array([_cross_section(e, recoil) for e in with_and_without[name]])

    rows: list[tuple[Cell, ...]] = []
    for name, label in DETECTORS.items():
        t = np.geomspace(1e-3, 20.0, 4001)
        standard, both = sigma(name, t)
        seen = [float(np.interp(-x, -(both / standard - 1), t)) for x in (0.1, 0.01)]
        at = 1e40 * sigma(name, [0.1, 1.0])
        rows.append((label, *at.T.ravel().tolist(), *seen, f"{low:g} to {high:g}"))
    table = Table(
        "Figure 15: dσ/dT in 1e-40 cm²/keV for 40 MeV neutrinos, μ = 1e-10 μ_B",
        (
            "target", "0.1 keV, SM", "0.1 keV, with μ", "1 keV, SM", "1 keV, with μ",
            "10 % more below, keV_nr", "1 % more below, keV_nr", "noticeable below (paper)",
        ),
        tuple(rows),
        "Averages over the nuclei of a compound. The paper prints no number but that the moment is "
        "noticeable below 0.5 to 1 keV_nr, depending on the target; with 1e-10 μ_B the excess "
        "there is 1 % or less for the heavy targets.",
    )  # fmt: skip

    def draw(axes: Any) -> None:
        for name, label in DETECTORS.items():
            mass = min(n.mass for n in with_and_without[name][0].target.nuclei)
            t = np.geomspace(1e-2, float(recoil_max(FIGURE_15_ENERGY, mass)), 400)
            standard, both = sigma(name, t)
            axes.loglog(t, standard, "--", color=COLOURS[name])
            axes.loglog(t, both, color=COLOURS[name], label=label)
        axes.set_xlim(1e-2, 200)
        axes.set_ylim(1e-43, 1e-37)
        axes.set_xlabel(r"$T$ [keV$_\mathrm{nr}$]")
        axes.set_ylabel(r"$d\sigma/dT$ [cm$^2$/keV]")
        axes.legend(title=r"$\mu = 10^{-10}\mu_B$; dashed: SM", loc="lower left", ncols=2)

    return Result("fig15", "Cross sections with a magnetic moment", (table,), draw)


def _cross_section(chosen: Experiment, recoil: ArrayLike) -> Array:
    """dσ/dT a nucleus of the target, cm²/keV, at recoil energies in keV."""
    nuclei = chosen.target.nuclei
    whole = sum(n.per_kg for n in nuclei)
    parts = [
        n.per_kg / whole * differential(recoil, FIGURE_15_ENERGY, n, chosen.interaction, "numu")
        for n in nuclei
    ]
    return np.sum(parts, axis=0)
