"""The page of a comparison: one HTML file with its plots inside, or a PDF."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...generator.arrays import Array
from ..errors import ExperimentError
from ..files import replacing
from .axes import readable
from .compare import Comparison, Panel, Spectrum
from .style import LABELS, STYLE

ENDINGS = (".html", ".pdf")
TITLES = {
    "e_reco_on": "Reconstructed energy, beam-on",
    "since_on": "Time since the start of the window, beam-on",
    "e_reco_residual": "Energy, beam-on minus beam-off",
    "since_residual": "Time, beam-on minus beam-off",
    "live_time": "Counts in beam-on through the run",
}
COLOURS = ("#3f90da", "#222222")
CSS = """
body { font-family: Georgia, serif; max-width: 72em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: 0.25em 0.9em; text-align: right; border-bottom: 1px solid #ccc; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 0; } img { max-width: 100%; }
"""


def write_report(comparison: Comparison, output: str | Path, overwrite: bool = False) -> None:
    """Write a comparison to a .html or .pdf, which appears when it is whole.

    Raises
    ------
    ExperimentError
        If `output` has another ending.
    OutputError
        If it exists or cannot be written.
    """
    import matplotlib.style

    output = Path(output)
    if output.suffix.lower() not in ENDINGS:
        raise ExperimentError(
            f"{output}: a report is a {' or '.join(ENDINGS)}, not '{output.suffix}'"
        )
    with replacing(output, overwrite) as temporary:
        with matplotlib.style.context(["default", STYLE]):
            figure = draw(comparison)
            if output.suffix.lower() == ".pdf":
                figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
                return
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
        temporary.write_text(page(comparison, picture.getvalue()), "utf-8")


def draw(comparison: Comparison) -> Any:
    """All panels, each with the ratio B/A, or the pull where a difference may be 0, below."""
    from matplotlib.figure import Figure

    rows = -(-len(comparison.panels) // 2)
    figure = Figure(figsize=(13, 5 * rows), layout="constrained")
    grid = figure.add_gridspec(2 * rows, 2, height_ratios=[3, 1] * rows)
    a, b = (name.replace("$", r"\$") for name in comparison.names)
    for i, panel in enumerate(comparison.panels):
        top = figure.add_subplot(grid[2 * (i // 2), i % 2])
        below = figure.add_subplot(grid[2 * (i // 2) + 1, i % 2], sharex=top)
        edges, unit = readable(panel.bins.edges, panel.bins.unit)
        _both(top, panel, edges, (a, b))
        (_pull if panel.key.endswith("residual") else _ratio)(below, panel.a, panel.b, edges)
        below.set_xlabel(LABELS.get(unit, unit))
        below.set_xlim(edges[0], edges[-1])
    figure.suptitle(f"{b} over {a}, scaled by {comparison.scaled_by}: {comparison.scale:.4g}")
    return figure


def _both(ax: Any, panel: Panel, edges: Array, names: tuple[str, str]) -> None:
    """Both spectra, with their errors and tests."""
    a, b, (middle, half) = panel.a, panel.b, _bins(edges)
    ax.stairs(a.value, edges, color=COLOURS[0], label=names[0], linewidth=1.6)
    ax.bar(middle, 2 * a.error, 2 * half, a.value - a.error, color=COLOURS[0], alpha=0.25)
    ax.errorbar(middle, b.value, b.error, half, "o", color=COLOURS[1], markersize=3.5,
                label=names[1])  # fmt: skip
    ax.set_title(f"{TITLES[panel.key]}\n{_tests(panel)}", loc="left", fontsize=11)
    ax.legend()
    ax.set_ylabel("Events / bin")
    ax.tick_params(labelbottom=False)


def _pull(ax: Any, a: Spectrum, b: Spectrum, edges: Array) -> None:
    """Pull of each bin: B minus A in standard deviations."""
    middle, half = _bins(edges)
    sigma = np.hypot(a.error, b.error)
    used = sigma > 0
    pull = (b.value - a.value)[used] / sigma[used]
    ax.bar(middle[used], pull, 2 * half[used], color="#717581")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_ylabel("pull")


def _ratio(ax: Any, a: Spectrum, b: Spectrum, edges: Array) -> None:
    """Ratio of B to A, with the errors of both."""
    middle, half = _bins(edges)
    used = a.value > 0
    scale = a.value[used]
    ax.errorbar(middle[used], b.value[used] / scale, b.error[used] / scale, half[used], "o",
                color=COLOURS[1], markersize=3.5)  # fmt: skip
    error = a.error[used] / scale
    ax.bar(middle[used], 2 * error, 2 * half[used], 1 - error, color=COLOURS[0], alpha=0.25)
    ax.axhline(1, color=COLOURS[0], linewidth=1)
    ax.set_ylim(0, 2)
    ax.set_ylabel("B / A")


def _bins(edges: Array) -> tuple[Array, Array]:
    """Centres and half widths of bins."""
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2


def _tests(panel: Panel) -> str:
    chi2, ks = panel.chi2, panel.ks
    text = f"χ²/ndf = {chi2.value:.1f}/{chi2.ndf}"
    if chi2.p_value is not None:
        text += f", p = {chi2.p_value:.3g}"
    if ks is not None:
        text += f"; KS {ks.distance:.3g}, p = {ks.p_value:.3g}"
    return text


def page(comparison: Comparison, picture: bytes) -> str:
    """HTML of a comparison, with the picture inside."""
    (a, b), (experiment_a, experiment_b) = comparison.names, comparison.experiments
    title = html.escape(f"{a} and {b}")
    head = ("", "beam-on", "beam-off", "on − off/τ", "±", "live days", "on a live day")
    difference = comparison.difference
    counts = _table(
        head,
        [
            [t.name, t.on, t.off, t.on_minus_off, t.error, t.live_days, t.on_a_day]
            for t in comparison.totals
        ]
        + [[difference.name, difference.on, difference.off, difference.on_minus_off] + [None] * 3],
    )
    tests = _table(("", "χ²", "ndf", "p", "KS distance", "p"), [_row(p) for p in comparison.panels])
    image = base64.b64encode(picture).decode("ascii")
    about = html.escape(
        f"A is {a} ({experiment_a}), scaled by {comparison.scaled_by}: {comparison.scale:.4g}. "
        f"B is {b} ({experiment_b})."
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{CSS}</style></head><body>\n<h1>{title}</h1>\n<p>{about}</p>\n{counts}\n{tests}\n"
        f'<figure><img alt="panels" src="data:image/png;base64,{image}"></figure>\n</body></html>\n'
    )


def _row(panel: Panel) -> list[object]:
    """Tests of a panel, as a row of their table."""
    chi2, ks = panel.chi2, panel.ks
    distances = [None, None] if ks is None else [ks.distance, ks.p_value]
    return [TITLES[panel.key], chi2.value, chi2.ndf, chi2.p_value, *distances]


def _table(head: tuple[str, ...], rows: Sequence[Sequence[object]]) -> str:
    cells = [f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>"]
    cells += [f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows]
    return "<table>\n" + "\n".join(cells) + "\n</table>"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
