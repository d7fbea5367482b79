"""The page of a comparison: one HTML file with its plots inside, or a PDF."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExperimentError
from ..files import replacing
from ..style import LABELS, STYLE

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


def write_report(numbers: dict[str, Any], output: str | Path, overwrite: bool = False) -> None:
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
            figure = draw(numbers)
            if output.suffix.lower() == ".pdf":
                figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
                return
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
        temporary.write_text(page(numbers, picture.getvalue()), "utf-8")


def draw(numbers: dict[str, Any]) -> Any:
    """All panels, each with the ratio B/A, or the pull where a difference may be 0, below."""
    from matplotlib.figure import Figure

    panels = numbers["panels"]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(13, 5 * rows), layout="constrained")
    grid = figure.add_gridspec(2 * rows, 2, height_ratios=[3, 1] * rows)
    for i, panel in enumerate(panels):
        top = figure.add_subplot(grid[2 * (i // 2), i % 2])
        below = figure.add_subplot(grid[2 * (i // 2) + 1, i % 2], sharex=top)
        _panel(top, below, panel, numbers)
    title = f"{numbers['b']} over {numbers['a']}, scaled by {numbers['scaled_by']}: "
    figure.suptitle((title + f"{numbers['scale']:.4g}").replace("$", r"\$"))
    return figure


def _panel(top: Any, below: Any, panel: dict[str, Any], numbers: dict[str, Any]) -> None:
    edges, unit = np.array(panel["edges"]), panel["unit"]
    if unit == "ns":
        power = int(np.clip(np.log10(max(np.ptp(edges), 1.0)) // 3, 0, 2))
        edges, unit = edges / 1e3**power, ("ns", "μs", "ms")[power]
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    a, a_error, b, b_error = (np.array(panel[key]) for key in ("a", "a_error", "b", "b_error"))
    names = [numbers[key].replace("$", r"\$") for key in "ab"]
    top.stairs(a, edges, color=COLOURS[0], label=names[0], linewidth=1.6)
    top.bar(middle, 2 * a_error, 2 * half, a - a_error, color=COLOURS[0], alpha=0.25)
    top.errorbar(middle, b, b_error, half, "o", color=COLOURS[1], markersize=3.5, label=names[1])
    top.set_title(f"{TITLES[panel['key']]}\n{_tests(panel)}", loc="left", fontsize=11)
    top.legend()
    top.set_ylabel("Events / bin")
    top.tick_params(labelbottom=False)
    if panel["key"].endswith("residual"):
        sigma = np.hypot(a_error, b_error)
        used = sigma > 0
        below.bar(middle[used], ((b - a)[used] / sigma[used]), 2 * half[used], color="#717581")
        below.axhline(0, color="black", linewidth=0.8)
        below.set_ylabel("pull")
    else:
        used = a > 0
        below.errorbar(middle[used], b[used] / a[used], b_error[used] / a[used], half[used], "o",
                       color=COLOURS[1], markersize=3.5)  # fmt: skip
        error = a_error[used] / a[used]
        below.bar(middle[used], 2 * error, 2 * half[used], 1 - error, color=COLOURS[0], alpha=0.25)
        below.axhline(1, color=COLOURS[0], linewidth=1)
        below.set_ylim(0, 2)
        below.set_ylabel("B / A")
    below.set_xlabel(LABELS.get(unit, unit))
    below.set_xlim(edges[0], edges[-1])


def _tests(panel: dict[str, Any]) -> str:
    found = panel["chi2"]
    told = f"χ²/ndf = {found['value']:.1f}/{found['ndf']}"
    if found["p_value"] is not None:
        told += f", p = {found['p_value']:.3g}"
    if panel["ks"]:
        told += f"; KS {panel['ks']['distance']:.3g}, p = {panel['ks']['p_value']:.3g}"
    return told


def page(numbers: dict[str, Any], picture: bytes) -> str:
    """HTML of a comparison, with the picture inside."""
    title = html.escape(f"{numbers['a']} and {numbers['b']}")
    keys = ("name", "on", "off", "on_minus_off", "error", "live_days", "on_a_day")
    head = ("", "beam-on", "beam-off", "on − off/τ", "±", "live days", "on a live day")
    counts = _table(head, [[row.get(key) for key in keys] for row in numbers["counts"]])
    tests = _table(
        ("", "χ²", "ndf", "p", "KS distance", "p"),
        [
            [TITLES[panel["key"]], *(panel["chi2"][key] for key in ("value", "ndf", "p_value"))]
            + [(panel["ks"] or {}).get(key) for key in ("distance", "p_value")]
            for panel in numbers["panels"]
        ],
    )
    image = base64.b64encode(picture).decode("ascii")
    told = html.escape(
        f"A is {numbers['a']} ({numbers['experiments'][0]}), scaled by {numbers['scaled_by']}: "
        f"{numbers['scale']:.4g}. B is {numbers['b']} ({numbers['experiments'][1]})."
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{CSS}</style></head><body>\n<h1>{title}</h1>\n<p>{told}</p>\n{counts}\n{tests}\n"
        f'<figure><img alt="panels" src="data:image/png;base64,{image}"></figure>\n</body></html>\n'
    )


def _table(head: tuple[str, ...], rows: list[list[Any]]) -> str:
    cells = [f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>"]
    cells += [f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows]
    return "<table>\n" + "\n".join(cells) + "\n</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
