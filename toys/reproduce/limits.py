"""Limits at 90 % CL on sin²θ_W, charge radii and the magnetic moment of ν_μ, beside Table 3.

An entry agrees if it is within 8 % of the printed value, or of the one computed apart from nuspill.
Every other one needs an explanation, see `explain`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...reco.experiment import Experiment
from ..counts.combination import build
from ..scan.scan import Axis, scan_1d
from .paper import BOTH, DETECTORS, periods, printed

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
    """Limit computed apart from nuspill; the nearest value, where that is a range."""
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
        return NAMES[self.quantity] + ((" low", " high")[self.side] if sided else "")


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
    rows = []
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
                rows.append(Entry(column, quantity, side, ours, value, rounding, other, failed))
    return rows


def strength_excess(experiments: list[Experiment]) -> tuple[float, int]:
    """Largest relative excess of the signal allowed at 90 % CL, and the number of failed fits."""
    scan = scan_1d(build(experiments, ["strength"]), Axis("strength"), CL)
    return scan.intervals[-1][1] - 1, scan.failed
