"""Post-fit plot: observed counts and components along each axis, residuals, and pulls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...reco.comparison.axes import readable
from ...reco.comparison.style import BACKGROUND_COLOURS, LABELS
from ..plot import COLOURS, figure, label
from ..scan.outline import contours
from .bands import Bands
from .report import Report
from .spectra import Spectrum

RATIOS = (3.0, 1.0)
"""Heights of counts and residuals."""
WITHIN_1, WITHIN_2 = "#8fce8f", "#ffe680"
"""Colours of 1 and 2 σ."""
WIDE = 20.0
"""Ratio of the ends of an axis from which it is logarithmic."""


def plot_report(report: Report, output: str | Path) -> None:
    """Plot a fit to a PDF, PNG or SVG file: a column for each axis, and one for the pulls."""
    number = len(report.spectra)
    rows = [[f"{row} {i}" for i in range(number)] for row in ("counts", "residuals")]
    with_pulls = bool(report.fit.model.nuisances)
    mosaic = [[*row, "pulls"] if with_pulls else row for row in rows]
    with figure(output, mosaic=mosaic, ratios=RATIOS) as axes:
        for i, spectrum in enumerate(report.spectra):
            draw_counts(axes[f"counts {i}"], spectrum)
            draw_residuals(axes[f"residuals {i}"], spectrum)
        if with_pulls:
            draw_pulls(axes["pulls"], report)


def plot_bands(title: str, bands: Bands, output: str | Path) -> None:
    """Plot Δχ² of many experiments along a parameter, or their regions in a plane."""
    names = [name for name, _ in bands.axes]
    with figure(output) as ax:
        ax.set_xlabel(label(bands.model, names[0]))
        ax.set_title(title, loc="left", fontsize=13)
        if len(names) == 1:
            _draw_line(ax, bands)
        else:
            ax.set_ylabel(label(bands.model, names[1]))
            _draw_plane(ax, bands)
        ax.legend(title=f"{bands.toys} experiments, {100 * bands.cl:g} % CL")


def _draw_line(ax: Any, bands: Bands) -> None:
    """Median of Δχ², and where it is in 68 and 95 % of the experiments."""
    (_, x), q = bands.axes[0], bands.profile
    middle = len(q) // 2
    for k, colour in ((2, WITHIN_2), (1, WITHIN_1)):
        ax.fill_between(x, q[middle - k], q[middle + k], color=colour, label=f"{k} σ")
    ax.plot(x, q[middle], color="black", label="median")
    ax.axhline(bands.level, color="0.4", ls="--", lw=1)
    ax.set_ylabel(r"$\Delta\chi^2$")
    ax.set_ylim(0, 4 * bands.level)
    ax.set_xlim(x[0], x[-1])


def _draw_plane(ax: Any, bands: Bands) -> None:
    """Points that are in the regions of certain parts of the experiments."""
    axes = [x for _, x in bands.axes]
    for part, style in ((0.16, ":"), (0.5, "-"), (0.84, "--")):
        for line in contours(axes, part - bands.held)[0]:
            ax.plot(line[:, 0], line[:, 1], style, color=COLOURS[0])
        ax.plot([], [], style, color=COLOURS[0], label=f"in {100 * part:g} % of the regions")
    ax.set_xlim(axes[0][0], axes[0][-1])
    ax.set_ylim(axes[1][0], axes[1][-1])


def draw_counts(ax: Any, spectrum: Spectrum) -> None:
    """Components on top of one another, the error of their sum, and the observed counts.

    They are over the widths of the bins where these differ.
    """
    from mplhep import histplot

    edges, unit = _axis(ax, spectrum)
    widths = np.diff(edges)
    alike = bool(np.ptp(widths) < 1e-3 * widths[0] or not np.isfinite(widths).all())
    over = np.ones_like(widths) if alike else widths
    spare = iter(BACKGROUND_COLOURS * 25)
    colours = [COLOURS[0] if name == "signal" else next(spare) for name in spectrum.components]
    labels = [f"{name}: {counts.sum():,.1f}" for name, counts in spectrum.components.items()]
    order = range(len(labels) - 1, -1, -1)  # the signal on top
    parts = [np.maximum(counts, 0.0) / over for counts in spectrum.components.values()]
    histplot([parts[i] for i in order], edges, stack=True, histtype="fill", alpha=0.6,
             color=[colours[i] for i in order], label=[labels[i] for i in order], ax=ax,
             flow="none", yerr=False)  # fmt: skip
    low, high = (spectrum.total + sign * spectrum.error for sign in (-1, 1))
    ax.stairs(high / over, edges, baseline=low / over, fill=True, lw=0, facecolor="none",
              edgecolor="0.3", hatch="////", label="error of the fit")  # fmt: skip
    observed, error = spectrum.observed / over, np.sqrt(spectrum.observed) / over
    _points(ax, edges, observed, error, f"observed: {spectrum.observed.sum():,.0f}")
    top = float(np.max([observed + error, high / over]))
    ax.set_ylim(0, 1.6 * top if top > 0 else 1.0)
    ax.set_ylabel("Events / bin" if alike else f"Events / {LABELS.get(unit, unit)}")
    ax.set_title(spectrum.section, loc="left", fontsize=13)
    ax.legend(ncols=2)


def draw_residuals(ax: Any, spectrum: Spectrum) -> None:
    """Signed roots of the deviances of the bins."""
    edges, unit = _axis(ax, spectrum)
    residual = spectrum.residual
    _points(ax, edges, residual, np.ones_like(residual), None)
    ax.axhline(0, color="0.4", lw=1)
    most = max(3.5, 1.2 * float(np.max(np.abs(residual[np.isfinite(residual)]), initial=0.0)) + 1)
    ax.set_ylim(-most, most)
    ax.set_ylabel("Residual / σ")
    name = spectrum.axis.label
    ax.set_xlabel(f"{name} [{LABELS.get(unit, unit)}]" if unit else name)


def draw_pulls(ax: Any, report: Report) -> None:
    """Pulls with errors, and their impacts on the first parameter in its errors."""
    fit, number = report.fit, len(report.fit.model.parameters)
    places = np.arange(len(fit.model.nuisances))[::-1]
    values, errors = fit.values[number:], np.nan_to_num(fit.errors[number:])
    parameter = fit.model.parameters[0]
    sigma = float(fit.sigma[0])
    for k, (colour, name) in enumerate(((COLOURS[0], "low"), (COLOURS[3], "high"))):
        moves = np.nan_to_num(fit.impacts[:, k, 0] / sigma)
        ax.barh(places, moves, height=0.6, color=colour, alpha=0.45,
                label=f"impact on {parameter.label}, error {name}")  # fmt: skip
    ax.errorbar(values, places, xerr=errors.T, fmt="o", color="black", ms=5, label="pull")
    for x in (-1, 1):
        ax.axvline(x, color="0.6", ls="--", lw=1)
    ax.set_yticks(places, [nuisance.name for nuisance in fit.model.nuisances])
    ax.tick_params(axis="y", which="minor", left=False, right=False)
    ax.set_ylim(-0.7, len(places) + 0.6)
    ax.set_xlabel(f"standard deviations (of {parameter.label} for impacts)")
    ax.legend(loc="upper right")


def _axis(ax: Any, spectrum: Spectrum) -> tuple[Any, str]:
    """Edges and unit as they are shown, the axis set to them."""
    edges, unit = readable(spectrum.axis.edges, spectrum.axis.unit)
    finite = edges[np.isfinite(edges)]
    if finite[0] > 0 and finite[-1] > WIDE * finite[0]:
        ax.set_xscale("log")
    ax.set_xlim(finite[0], finite[-1])
    return edges, unit


def _points(ax: Any, edges: Any, values: Any, errors: Any, name: str | None) -> None:
    """Points at the centres of bins."""
    centres = (edges[1:] + edges[:-1]) / 2
    ax.errorbar(centres, values, yerr=errors, xerr=np.diff(edges) / 2, fmt="o", color="black",
                ms=4, elinewidth=1, label=name)  # fmt: skip
