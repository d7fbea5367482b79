"""One figure of an ntuple: energies, on minus off, time in the pulse, neutrino energies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..errors import ExperimentError
from ..files import replacing
from .axes import readable
from .style import BACKGROUND_COLOURS, COLOURS, LABELS, STYLE
from .summary import Stack, Summary, histograms, summary

FORMATS = ("pdf", "png", "svg")
TITLES = {
    "e_reco": "Selected in beam-on: generated (expected)",
    "time": "Selected in beam-on",
    "residual": "Beam-on minus beam-off, over what was generated with the beam",
    "e_nu": "Selected signal in beam-on",
}


def draw(numbers: Summary) -> Any:
    """Draw a `summary`; returns a matplotlib Figure that pyplot knows nothing of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 10), layout="constrained")
    axes = figure.subplot_mosaic([["e_reco", "time"], ["residual", "e_nu"]])
    colours = _colours(numbers)
    _energies(axes["e_reco"], numbers, colours)
    _residual(axes["residual"], numbers, colours)
    for key, stack in (("time", numbers.time), ("e_nu", numbers.e_nu)):
        _components(axes[key], stack, colours, {})
        _label(axes[key], TITLES[key], stack)
        _scale(axes[key], stack, always=key != "time")
    legends = [axes[key].get_legend_handles_labels() for key in ("e_reco", "residual")]
    handles = [handle for each, _ in legends for handle in each]
    names = [name for _, each in legends for name in each]
    figure.legend(handles, names, title=_title(numbers), title_fontsize=16,
                  loc="outside upper center", ncols=4)  # fmt: skip
    return figure


def _colours(numbers: Summary) -> dict[str, str]:
    """Colour of each component, by name."""
    spare = iter(BACKGROUND_COLOURS * 25)
    return {row.name: COLOURS.get(row.component) or next(spare) for row in numbers.counts}


def _labels(numbers: Summary) -> dict[str, str]:
    """Label of each component with its counts in beam-on, by name."""
    return {
        row.name: (LABELS.get(row.name) or row.name.replace("$", r"\$"))
        + f": ${row.on:,}$ $({row.expected_on:,.0f})$".replace(",", r"\,")
        for row in numbers.counts
    }


def _energies(ax: Any, numbers: Summary, colours: Mapping[str, str]) -> None:
    """Energies in beam-on by component, and points of beam-off."""
    stack, tau = numbers.e_reco, numbers.tau
    off = np.sum([np.zeros(len(stack.edges) - 1), *stack.off.values()], axis=0)
    _components(ax, stack, colours, _labels(numbers))
    label = "beam-off" + ("" if tau == 1 else r"$/\tau$")
    _points(ax, stack, off / tau, np.sqrt(off) / tau, face="white", label=label)
    _label(ax, TITLES["e_reco"], stack)
    _scale(ax, stack)
    if numbers.outside_axis:
        ax.set_title(f"{numbers.outside_axis:,} not shown", loc="right", fontsize=13)


def _residual(ax: Any, numbers: Summary, colours: Mapping[str, str]) -> None:
    """On minus off over what came with the beam, and the expected signal."""
    from mplhep import histplot

    residual, filled = numbers.residual, _filled(numbers.residual)
    edges, _ = readable(residual.edges, residual.unit)
    if filled:
        histplot([*filled.values()], edges, stack=True, histtype="fill", alpha=0.55,
                 color=[colours[n] for n in filled], ax=ax, flow="none", yerr=False)  # fmt: skip
    if not numbers.steady_source:
        histplot(residual.expected_signal, edges, color="black", linewidth=1.0,
                 label="signal, expected", ax=ax, flow="none", yerr=False)  # fmt: skip
    ax.text(0.97, 0.96, _tests(numbers), ha="right", va="top", transform=ax.transAxes)
    label = "on $-$ off" + ("" if numbers.tau == 1 else r"$/\tau$")
    _points(ax, residual, residual.value, residual.error, face="black", label=label)
    _label(ax, TITLES["residual"], residual)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.0), 1.35 * high)


def _components(
    ax: Any, stack: Stack, colours: Mapping[str, str], labels: Mapping[str, str]
) -> None:
    """A line for each component."""
    from mplhep import histplot

    edges, _ = readable(stack.edges, stack.unit)
    for name, counts in stack.on.items():
        histplot(counts, edges, color=colours[name], label=labels.get(name), ax=ax, flow="none",
                 yerr=False)  # fmt: skip


def _points(ax: Any, stack: Stack, value: Array, error: Array, face: str, label: str) -> None:
    """Points with errors, if there are any."""
    from mplhep import histplot

    edges, _ = readable(stack.edges, stack.unit)
    if error.any():
        histplot(value, edges, histtype="errorbar", color="black", mfc=face, markersize=5,
                 elinewidth=1.0, label=label, ax=ax, flow="none", yerr=error)  # fmt: skip


def _label(ax: Any, title: str, stack: Stack) -> None:
    """Titles, and an axis that suits the bins."""
    edges, unit = readable(stack.edges, stack.unit)
    unit, equal = LABELS.get(unit, unit), _are_equal(edges)
    ax.set_title(title, loc="left", fontsize=13)
    ax.set_xlabel(f"{stack.title} [{unit}]")
    ax.set_ylabel(f"Events / {edges[2] - edges[1]:.3g} {unit}" if equal else "Events / bin")
    ax.set_xscale("linear" if equal else "log")
    ax.set_xlim(edges[0], edges[-1])


def _are_equal(edges: Array) -> bool:
    """Whether bins are equal; the first and the last may be a rounding wider."""
    widths = np.diff(edges)
    return bool(np.ptp(widths[1:-1]) < 1e-3 * widths[1])


def _scale(ax: Any, stack: Stack, always: bool = True) -> None:
    """Logarithmic counts, `always` or where components differ much; linear without events."""
    filled, (_, high) = _filled(stack), ax.get_ylim()
    peaks = [counts.max() for counts in filled.values()]
    if peaks and (always or max(peaks) > 5 * min(peaks)):
        least = min(counts[counts > 0].min() for counts in filled.values())
        ax.set_yscale("log")
        ax.set_ylim(0.5 if least < 5 else least / 3, 3 * max(peaks))
    else:
        ax.set_ylim(0.0, high)


def _filled(stack: Stack) -> dict[str, NDArray[np.int64]]:
    """Components with events."""
    return {name: counts for name, counts in stack.on.items() if counts.any()}


def _title(numbers: Summary) -> str:
    """Title with experiment and exposure."""
    protons, exponent = f"{numbers.protons_on_target:.2e}".split("e")
    title = numbers.experiment.replace("$", r"\$") + (
        f": {numbers.years_of_operation:.4g} years of operation, "
        rf"${protons} \times 10^{{{int(exponent)}}}$ protons on target"
    )
    if numbers.part_of_run < 1:
        title += f" ({100 * numbers.part_of_run:.3g} % of the run)"
    return title


def _tests(numbers: Summary) -> str:
    """Both χ², each in a line."""
    texts = {
        "on $-$ off vs generated": numbers.chi2_residual,
        "generated vs expected": numbers.chi2_signal,
    }
    return "\n".join(
        rf"{text}: $\chi^2/\mathrm{{ndf}} = {chi2.value:.1f}/{chi2.ndf}$ "
        rf"($p = {chi2.p_value:.2g}$)"
        for text, chi2 in texts.items()
        if chi2.ndf
    )


def plot(path: str | Path, output: str | Path, overwrite: bool = False) -> Summary:
    """Draw an ntuple to a file; returns the numbers of the figure, see `summary`.

    Parameters
    ----------
    path
        ROOT file, or folder of parts.
    output
        A .pdf, .png or .svg; it appears when it is whole.
    overwrite
        Replace a file that exists.

    Raises
    ------
    ExperimentError
        If `path` is no ntuple of nuspill, or `output` has another ending.
    OutputError
        If `output` exists or cannot be written.
    """
    import matplotlib.style

    output = Path(output)
    kind = output.suffix[1:].lower()
    if kind not in FORMATS:
        raise ExperimentError(
            f"{output}: a figure is a .{', .'.join(FORMATS)}, not '{output.suffix}'"
        )
    with replacing(output, overwrite) as temporary:
        numbers = summary(histograms(path))
        with matplotlib.style.context(["default", STYLE]):
            no_date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
            draw(numbers).savefig(temporary, format=kind, metadata=no_date.get(kind))
    return numbers
