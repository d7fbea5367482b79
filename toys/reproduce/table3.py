"""Table 3: all limits beside the printed ones, and the calculations for those that differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .explain import explanations, letter
from .limits import AGREE, COLUMNS, LABELS, Entry, entries
from .paper import COLOURS
from .result import Result, Table, ratio


def table_3() -> Result:
    """All entries, each beside the paper's and beside the one computed apart from nuspill."""
    limits = entries()
    calculations, failed = explanations(limits)
    tables = (
        _matrix(limits),
        Table(
            "Table 3, entry by entry",
            ("detector", "quantity", "nuspill", "paper", "ratio", "computed apart", "ratio to it",
             "agrees with", "see"),
            tuple(
                (LABELS[e.column], e.name, e.ours, e.paper, e.ours / e.paper, e.computed,
                 ratio(e.ours, e.computed), e.verdict, letter(e) if e.verdict != "paper" else "")
                for e in limits
            ),
        ),
        calculations,
    )  # fmt: skip
    failed += sum(e.failed for e in limits if e.side == 0)
    return Result("table3", "Limits of Table 3", tables, _draw(limits), failed=failed)


def _mark(entry: Entry) -> str:
    if entry.verdict == "paper":
        return ""
    return {"computed": "*", "rounding": "°", "differs": ""}[entry.verdict] + letter(entry)


def _matrix(limits: list[Entry]) -> Table:
    """Table 3 in the paper's arrangement."""
    rows = []
    for name in dict.fromkeys(e.name for e in limits):
        row = [e for e in limits if e.name == name]
        rows.append((name, *(f"{e.ours:.3g} / {e.paper:g} = {e.ours / e.paper:.2f}{_mark(e)}"
                             for e in row)))  # fmt: skip
    return Table(
        "Table 3, 90 % CL: nuspill / paper = ratio",
        ("", *LABELS.values()),
        tuple(rows),
        f"No mark: within {100 * AGREE:.0f} % of the printed value. *: of the value computed apart "
        "from nuspill. °: of a value that rounds to the printed one. Letters: the calculations. "
        "Radii in 1e-32 cm² with the other two profiled, moment in 1e-10 μ_B.",
    )


def _draw(limits: list[Entry]) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        names = list(dict.fromkeys(e.name for e in limits))
        for k, column in enumerate(COLUMNS):
            of_column = [e for e in limits if e.column == column]
            axes.plot(
                [e.ours / e.paper for e in of_column],
                [names.index(e.name) + 0.1 * (k - 3) for e in of_column],
                "o", color=COLOURS.get(column, "black"), label=LABELS[column],
            )  # fmt: skip
        axes.axvspan(1 - AGREE, 1 + AGREE, color="0.88", zorder=0)
        axes.axvline(1, color="0.4", lw=1)
        axes.set_yticks(range(len(names)), [_tex(name) for name in names])
        axes.tick_params(axis="y", which="minor", left=False, right=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0.5, max(2.0, max(e.ours / e.paper for e in limits) + 0.1))
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
