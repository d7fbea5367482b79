"""Spectra in the detectors: thresholds (figure 7), germanium (10), flavours in CsI (13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...generator.arrays import Array
from ...generator.coupling import structure_couplings
from ...generator.cross_section import recoil_max
from ...generator.rate import above
from ...reco.comparison.style import COLOURS as BY_COMPONENT
from ...reco.comparison.style import LABELS
from ...reco.expectation import rates, selected_signal
from ...reco.experiment import Experiment
from ..counts.template import templates
from .paper import COLOURS, DETECTORS, Text, experiment, printed
from .result import Result, Table

STACKED = {"numu": 1, "numubar": 3, "nue": 2}
"""Flavours of figure 13 from below, with their components."""


def figure_7() -> Result:
    """Integrated rate above threshold against threshold, a kg and year at 20 m."""
    numbers = printed()
    text = numbers["text"]
    chosen = {name: experiment(name) for name in DETECTORS}
    rows = []
    for name, label in DETECTORS.items():
        threshold, mass = chosen[name].detector.threshold, chosen[name].target.mass
        ours = float(_above(chosen[name], threshold)[0])
        paper = numbers["table1"][name] / mass
        more = _above(chosen[name], [1.0, 10.0]).tolist()
        rows.append((label, threshold, ours, paper, ours / paper, *more))
    table = Table(
        "Figure 7: events a kg and year above threshold at 20 m",
        (
            "target", "threshold, keV_nr", "nuspill", "Table 1 / kg", "ratio", "above 1 keV",
            "above 10 keV",
        ),
        tuple(rows),
    )  # fmt: skip
    return Result("fig7", "Rate above threshold", (table, _csi_gain(text)), _draw_7(chosen))


def _csi_gain(text: Text) -> Table:
    """Cryogenic CsI against CsI[Na], section 3.1."""
    new = float(_above(experiment("ess-csi"), 1.0)[0])
    old = float(_above(experiment("ess-csi"), text["csi_na_threshold"])[0])
    sns = experiment(
        "sns-csi-2017", {"interaction.couplings": "tree", "interaction.neutron_radius": 4.83}
    )
    below = sum(above(channel, 1.0) for channel in sns.channels)
    measured = new * sum(selected_signal(sns, 0.1).values()) / below
    ratios = [
        ("10 keV_nr and 65 %, as the text says", new / (old * text["csi_na_acceptance"])),
        ("its measured acceptance (arXiv:1804.09459)", new / measured),
    ]
    paper = text["csi_per_mass"]
    return Table(
        "Cryogenic CsI above 1 keV_nr over CsI[Na], events a kg (section 3.1)",
        ("CsI[Na] with", "nuspill", "paper", "ratio"),
        tuple((what, value, paper, value / paper) for what, value in ratios),
        "The paper reads its factor from figure 7 with a threshold of about 10 keV_nr.",
    )


def _draw_7(chosen: dict[str, Experiment]) -> Any:
    def draw(axes: Any) -> None:
        threshold = np.geomspace(0.05, 100, 60)
        for name, label in DETECTORS.items():
            curve = _above(chosen[name], threshold)
            axes.loglog(threshold[curve > 0], curve[curve > 0], color=COLOURS[name], label=label)
            own = chosen[name].detector.threshold
            axes.plot(own, _above(chosen[name], own), "o", color=COLOURS[name])
        axes.set_xlim(0.05, 100)
        axes.set_ylim(1, 1000)
        axes.set_xlabel(r"threshold [keV$_\mathrm{nr}$]")
        axes.set_ylabel("events above threshold [1/(kg year)] at 20 m")
        axes.legend(title="points: thresholds of Table 1")

    return draw


def _above(chosen: Experiment, threshold: ArrayLike) -> Array:
    """Events a kg and year above thresholds in keV_nr, shape (n,)."""
    return np.array(
        [
            sum(above(channel, float(t)) for channel in chosen.channels) / chosen.target.mass
            for t in np.atleast_1d(np.asarray(threshold, float))
        ]
    )


def figure_10() -> Result:
    """Signal in germanium against the steady-state background in beam-on."""
    text = printed()["text"]
    chosen = experiment("ess-ge")
    source, steady = chosen.source, chosen.background[0]
    flat = steady.rate * chosen.beam_windows.on_length / chosen.beam_windows.period
    factor = float(chosen.detector.electron_equivalent(1.0))

    def signal(e_ee: Array) -> Array:
        rate = sum(channel.rate(e_ee / factor) for channel in chosen.channels)
        return np.asarray(rate / factor / chosen.target.mass / source.days_per_year)

    grid = np.geomspace(0.05, float(chosen.detector.electron_equivalent(chosen.end_point)), 2000)
    own = float(chosen.detector.electron_equivalent(chosen.detector.threshold))
    paper = text["csi_na_signal_to_background"]
    table_1 = printed()["table1"]["ess-ge"] / chosen.target.mass / source.days_per_year
    rows: list[tuple[str, float, float | None, float | None]] = []
    for low in (own, text["ge_demonstrated_threshold"]):
        events = float(_above(chosen, low / factor)[0]) / source.days_per_year
        at = float(signal(np.array([low]))[0])
        rows += [
            (f"signal above {low:g} keV_ee, 1/(kg day)", events,
             *((table_1, events / table_1) if low == own else (None, None))),
            (f"signal at {low:g} keV_ee, 1/(keV_ee kg day)", at, None, None),
            (f"signal over background at {low:g} keV_ee", at / flat, None, None),
        ]  # fmt: skip
    sodium = rates(experiment("sns-csi-2017"))
    ours = float(str(sodium["selected"])) / float(str(sodium["steady_on"]))
    rows.append(("signal over background of CsI[Na] at the SNS", ours, paper, ours / paper))
    table = Table(
        "Figure 10: germanium, a day of beam",
        ("quantity", "nuspill", "paper", "ratio"),
        tuple(rows),
        f"Steady state: {steady.rate:g} counts/(keV_ee kg day) as Table 1 says, times the duty "
        f"factor, {flat:.3g}. Prompt neutrons and neutrino-induced neutrons of the figure are from "
        "the paper's own transport simulations, and its measured background is not published as "
        "numbers: they cannot be computed here. The signal is without resolution and acceptance.",
    )

    def draw(axes: Any) -> None:
        axes.loglog(
            grid, np.maximum(signal(grid), 1e-9), color=COLOURS["ess-ge"], label="CEvNS in Ge"
        )
        axes.axhline(flat, color="0.4", ls="--", label="steady state × duty factor")
        for low, style in ((own, ":"), (text["ge_demonstrated_threshold"], "-.")):
            axes.axvline(low, color="0.6", ls=style, label=rf"threshold {low:g} keV$_{{ee}}$")
        axes.set_xlim(0.05, 20)
        axes.set_ylim(1e-4, 30)
        axes.set_xlabel(r"$E$ [keV$_{ee}$]")
        axes.set_ylabel(r"counts / (keV$_{ee}$ kg day)")
        axes.legend(loc="upper right")

    return Result("fig10", "Germanium: signal and background", (table,), draw)


@dataclass(frozen=True, eq=False)
class _Flavours:
    """Events in CsI by bin, shape (bins,)."""

    experiment: Experiment
    edges: Array
    """Edges of the bins in reconstructed energy, keV_nr, shape (bins + 1,)."""
    signal: dict[str, Array]
    """Signal by flavour."""
    root_background: Array
    end: float
    """Mean recoil of the nuclei at the end point of the prompt ν_μ, keV."""


def figure_13() -> Result:
    """Rates a bin by flavour in CsI, and the recoil at which the prompt ν_μ end."""
    chosen = experiment("ess-csi")
    expected = templates(chosen)
    signal: dict[str, Array] = {}
    for (flavour, _, structure), counts in expected.signal.items():
        coupling = structure_couplings(chosen.interaction, flavour)[structure]
        signal[flavour] = signal.get(flavour, np.zeros(len(counts))) + coupling * counts
    line = printed()["text"]["prompt_line"]
    ends = [float(recoil_max(line, n.mass)) for n in chosen.target.nuclei]
    shown = _Flavours(
        chosen, expected.binning.energy, signal, np.sqrt(expected.steady), float(np.mean(ends))
    )
    tables = _bins_13(shown), _end_point_13(shown)
    return Result("fig13", "CsI by flavour", tables, _draw_13(shown))


def _bins_13(shown: _Flavours) -> Table:
    """Events by bin and flavour."""
    rows = [
        (f"{low:.2f} to {high:.2f}", *(float(shown.signal[f][i]) for f in STACKED),
         float(shown.root_background[i]), "above the prompt end point" if low >= shown.end else "")
        for i, (low, high) in enumerate(pairwise(shown.edges))
    ]  # fmt: skip
    return Table(
        f"Figure 13: events in CsI in {shown.experiment.exposure.years:g} years, by flavour",
        ("bin, keV_nr", "ν_μ", "ν̄_μ", "ν_e", "√background", ""),
        tuple(rows),
    )


def _end_point_13(shown: _Flavours) -> Table:
    """All events against Table 1, and the end of the prompt ν_μ."""
    chosen, numu = shown.experiment, shown.signal["numu"]
    total = float(sum(counts.sum() for counts in shown.signal.values()))
    paper = printed()["table1"]["ess-csi"]
    expected = float(paper * chosen.exposure.years * chosen.detector.efficiency.at(1e6))
    part = float(numu[shown.edges[:-1] >= shown.end].sum() / numu.sum())
    return Table(
        "Figure 13: the prompt end point",
        ("quantity", "nuspill", "paper", "ratio"),
        (
            ("events, against Table 1 × 3 years × 80 %", total, expected, total / expected),
            ("recoil that a 29.8 MeV neutrino reaches, keV_nr", shown.end, None, None),
            ("part of ν_μ in bins above it", part, None, None),
        ),
        "The paper prints none of the figure's numbers. Events are those whose measured energy "
        "is above threshold, so smearing at the threshold is in the first ratio.",
    )


def _draw_13(shown: _Flavours) -> Callable[[Any], None]:
    edges, background = shown.edges, shown.root_background

    def draw(axes: Any) -> None:
        below = np.zeros(len(background))
        for flavour, component in STACKED.items():
            top = below + shown.signal[flavour]
            axes.stairs(top, edges, baseline=below, fill=True, color=BY_COMPONENT[component],
                        alpha=0.7, label=LABELS[flavour])  # fmt: skip
            below = top
        axes.stairs(
            background, edges, color="black", ls="--", label=r"$\sqrt{\mathrm{background}}$"
        )
        axes.axvline(shown.end, color="black", ls=":", label="prompt end point")
        axes.set_yscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(1, 3 * below.max())
        axes.set_xlabel(r"reconstructed energy [keV$_\mathrm{nr}$]")
        axes.set_ylabel("events / bin")
        axes.legend()

    return draw
