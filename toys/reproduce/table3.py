"""Table 3: limits at 90 % CL on sin²θ_W, charge radii and the magnetic moment of ν_μ.

An entry agrees if it is within 8 % of the printed value, or of the one computed apart from nuspill.
Every other one needs an explanation: a calculation in `explain`, named by a letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...reco.experiment import Experiment
from ..asimov import Axis, scan_1d
from ..model import build
from .paper import BOTH, COLOURS, DETECTORS, periods, printed
from .result import Result, Table, ratio

CL = 0.9
AGREE = 0.08
"""Largest relative difference of values that agree."""
RADII = ("radius.ee", "radius.mumu", "radius.emu")
QUANTITIES = ("sin2w", *RADII, "moment.numu")
COLUMNS = (*DETECTORS, BOTH)
LABELS = {**DETECTORS, BOTH: BOTH}
NAMES = {
    "sin2w": "Δsin²θ_W",
    "radius.ee": "⟨r²_ee⟩",
    "radius.mumu": "⟨r²_μμ⟩",
    "radius.emu": "|⟨r²_eμ⟩|",
    "moment.numu": "μ_νμ",
}


@dataclass(frozen=True)
class Entry:
    """One limit of Table 3."""

    column: str
    """Key of `paper.DETECTORS`, or ``Xe+Ar``."""
    quantity: str
    side: int
    """0 for the lower end (or the only one), 1 for the upper."""
    ours: float
    paper: float
    rounding: float
    """Half of the last printed digit."""
    computed: float | None
    """The one computed apart from nuspill; the nearest value, where that is a range."""
    failed: int
    """Fits that did not converge."""

    @property
    def verdict(self) -> str:
        """``paper``, ``computed``, ``rounding`` or ``differs``: the first that agrees."""
        if abs(self.ours / self.paper - 1) <= AGREE:
            return "paper"
        if self.computed is not None and abs(self.ours / self.computed - 1) <= AGREE:
            return "computed"
        ends = self.paper - self.rounding, self.paper + self.rounding
        if min(abs(self.ours / end - 1) for end in ends) <= AGREE:
            return "rounding"
        return "differs"

    @property
    def name(self) -> str:
        """Quantity and side, as in a row of the table."""
        sided = self.quantity not in {"radius.emu", "moment.numu"}
        return NAMES[self.quantity] + (("", " low", " high")[1 + self.side] if sided else "")


def limits(experiments: list[Experiment], quantity: str) -> tuple[tuple[float, ...], int]:
    """Outermost ends of the 90 % region on the Asimov data, as Table 3 prints them.

    Relative to the truth for sin²θ_W; with the other two radii profiled for a radius; the upper
    end alone for the transition radius and the moment. Also the number of fits that failed.
    """
    profiled = [name for name in RADII if name != quantity] if quantity in RADII else []
    model = build(experiments, [quantity, *profiled])
    scan = scan_1d(model, Axis(quantity), CL)
    low, high = scan.intervals[0][0], scan.intervals[-1][1]
    if quantity == "sin2w":
        return (low - scan.best, high - scan.best), scan.failed
    return ((low, high) if quantity in RADII[:2] else (high,)), scan.failed


def entries(columns: tuple[str, ...] = COLUMNS) -> list[Entry]:
    """All limits of some columns of Table 3."""
    numbers = printed()
    found = []
    for quantity in QUANTITIES:
        paper, computed = numbers["table3"][quantity], numbers["computed"][quantity]
        for column in columns:
            scanned = quantity == "moment.numu" and column == "ess-ar"
            values, failed = limits(periods(column, threshold_scan=scanned), quantity)
            again = computed.get(column, [None] * len(values))
            for side, (ours, value, other) in enumerate(
                zip(values, paper[column], again, strict=True)
            ):
                rounding = paper["rounding"]
                if rounding == 0.5 and value != round(value):
                    rounding = 0.05
                if isinstance(other, list):
                    other = min(max(ours, other[0]), other[1])
                found.append(Entry(column, quantity, side, ours, value, rounding, other, failed))
    return found


def table_3() -> Result:
    """All entries, each beside the paper's and beside the one computed apart from nuspill."""
    from .explain import explanations, letter

    found = entries()

    def mark(e: Entry) -> str:
        signs = {"paper": "", "computed": "*", "rounding": "°", "differs": ""}
        return signs[e.verdict] + ("" if e.verdict == "paper" else letter(e))

    tables = (
        _matrix(found, mark),
        Table(
            "Table 3, entry by entry",
            ("detector", "quantity", "nuspill", "paper", "ratio", "computed apart", "ratio to it",
             "agrees with", "see"),
            tuple(
                (LABELS[e.column], e.name, e.ours, e.paper, e.ours / e.paper, e.computed,
                 ratio(e.ours, e.computed), e.verdict, letter(e) if e.verdict != "paper" else "")
                for e in found
            ),
        ),
        explanations(found),
    )  # fmt: skip
    failed = sum(e.failed for e in found)
    return Result("table3", "Limits of Table 3", tables, _draw(found), failed=failed)


def _matrix(found: list[Entry], mark: Any) -> Table:
    """Table 3 in the paper's arrangement."""
    rows = []
    for name in dict.fromkeys(e.name for e in found):
        row = [e for e in found if e.name == name]
        rows.append((name, *(f"{e.ours:.3g} / {e.paper:g} = {e.ours / e.paper:.2f}{mark(e)}"
                             for e in row)))  # fmt: skip
    return Table(
        "Table 3, 90 % CL: nuspill / paper = ratio",
        ("", *LABELS.values()),
        tuple(rows),
        f"No mark: within {100 * AGREE:.0f} % of the printed value. *: of the value computed apart "
        "from nuspill. °: of a value that rounds to the printed one. Letters: the calculations. "
        "Radii in 1e-32 cm² with the other two profiled, moment in 1e-10 μ_B.",
    )


def _draw(found: list[Entry]) -> Any:
    def draw(axes: Any) -> None:
        names = list(dict.fromkeys(e.name for e in found))
        for k, column in enumerate(COLUMNS):
            mine = [e for e in found if e.column == column]
            axes.plot(
                [e.ours / e.paper for e in mine],
                [names.index(e.name) + 0.1 * (k - 3) for e in mine],
                "o", color=COLOURS.get(column, "black"), label=LABELS[column],
            )  # fmt: skip
        axes.axvspan(1 - AGREE, 1 + AGREE, color="0.88", zorder=0)
        axes.axvline(1, color="0.4", lw=1)
        axes.set_yticks(range(len(names)), [_tex(name) for name in names])
        axes.tick_params(axis="y", which="minor", left=False, right=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0.5, max(2.0, max(e.ours / e.paper for e in found) + 0.1))
        axes.set_xlabel("nuspill / Table 3")
        axes.legend(loc="upper right")

    return draw


def _tex(name: str) -> str:
    """Row names for Matplotlib, whose fonts lack some of the signs."""
    for sign, tex in {
        "sin²θ_W": r"$\sin^2\theta_W$", "Δ": r"$\Delta$", "⟨r²_ee⟩": r"$\langle r^2_{ee}\rangle$",
        "⟨r²_μμ⟩": r"$\langle r^2_{\mu\mu}\rangle$", "⟨r²_eμ⟩": r"$\langle r^2_{e\mu}\rangle$",
        "μ_νμ": r"$\mu_{\nu_\mu}$",
    }.items():  # fmt: skip
        name = name.replace(sign, tex)
    return name


def strength_excess(experiments: list[Experiment]) -> float:
    """Largest relative excess of the signal that the data allow at 90 % CL."""
    scan = scan_1d(build(experiments, ["strength"]), Axis("strength"), CL)
    return float(np.max(scan.intervals)) - 1
