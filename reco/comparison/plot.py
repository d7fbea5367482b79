"""One figure of an ntuple: energies, beam-on minus beam-off, time in the pulse, neutrino energies.

Everything comes from the file and its provenance. Steady-state background falls in beam-on and
beam-off in the ratio of their lengths, 1 : τ, so on − off/τ is what came with the beam, with the
Poisson error √(on + off/τ²) in each bin.

The residual holds the very events it is compared with, so they differ by the fluctuations of the
background alone: for a counts in beam-on and b in beam-off at one rate, the variance of a − b/τ
given a + b is (a + b)/τ, exactly. That is the variance in the χ² of the residual.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..chain.codes import OFF, ON
from ..errors import ExperimentError
from ..expectation import selected_signal
from ..experiment import Experiment, validate
from ..files import replacing
from ..runs.tree import TREE, provenances
from ..style import BACKGROUND_COLOURS, COLOURS, LABELS, STYLE
from .axes import energy_edges, equal_bins

FORMATS = ("pdf", "png", "svg")
STEP = 500_000
"""Events read at a time."""
OF_A_RUN = ("experiment", "seed", "run_events", "expected", "truth_threshold_kev")
"""What the provenance of the parts of a run has in common, as far as it is used."""
LEAST_EXPECTED = 5.0
"""Expected events of a bin that enters the χ² of the signal against quadrature."""
TITLES = {
    "e_reco": "Selected in beam-on: generated (expected)",
    "time": "Selected in beam-on",
    "residual": "Beam-on minus beam-off, over what was generated with the beam",
    "e_nu": "Selected signal in beam-on",
}


@dataclass(frozen=True, eq=False)
class Histograms:
    """Selected events of an ntuple, as `hist.Hist` objects with named axes."""

    e_reco: Any
    """component, window (1 beam-on, 2 beam-off), e_reco in the detector's unit."""
    time: Any
    """component, time (or time_true) in ns since the start of the pulse; beam-on."""
    e_nu: Any
    """component, true neutrino energy in MeV; beam-on."""
    experiment: Experiment
    provenance: dict[str, Any]
    """Of the first file."""
    fraction: float
    """Part of the run's events that the files hold."""


def histograms(path: str | Path) -> Histograms:
    """Histograms of the selected events of an ntuple (one file, or a folder of parts).

    It is read in steps, so that memory does not grow with its length. Where the detector knows no
    more than the exposure of an event, the true time takes the place of the measured one.

    Raises
    ------
    ExperimentError
        If there is no ntuple of nuspill, or the parts are not of one run.
    """
    from hist import Hist, axis, storage

    path = Path(path)
    files = sorted(path.glob("part-*.root")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise ExperimentError(f"{path}: there is no ntuple")
    told: list[dict[str, Any]] = []
    for file in files:
        with _opened(file) as root:
            mine = provenances(root)
            told += mine
            imported = any("imported" in each for each in mine)
            same = [each[k] == told[0][k] for each in mine for k in OF_A_RUN if not imported]
        if imported:
            raise ExperimentError(f"{file}: is imported, without truth: see nuspill compare")
        if not all(same):
            raise ExperimentError(f"{file}: is of another run than {files[0]}")
    experiment = validate(told[0]["experiment"], str(files[0]))
    windows, flavours = experiment.beam_windows, experiment.source.flavours
    clock = "time_true" if isinstance(experiment.detector.time_resolution, str) else "time"
    codes = axis.IntCategory(sorted(experiment.components), name="component", overflow=False)
    window = axis.IntCategory([ON, OFF], name="window", overflow=False)
    e_top = 5 * float(np.ceil(max(flavour.spectrum.end_point for flavour in flavours) / 5))
    fraction = sum(each["events"] for each in told) / max(told[0]["run_events"], 1)
    signal = sum(row["selected"][ON] for row in told[0]["expected"] if row["component"] < 10)
    bins = int(np.clip(2 * np.cbrt(signal * fraction), 20, 60))  # Rice's rule
    energy, time, e_nu = (
        axis.Variable(edges, name=name, label=unit)
        for edges, name, unit in (
            (energy_edges(experiment, bins), "e_reco", experiment.detector.unit),
            (equal_bins(windows.on_start, windows.on_stop, bins), clock, "ns"),
            (equal_bins(0.0, e_top, bins), "e_nu", "MeV"),
        )
    )
    whole = storage.Int64()
    made = Histograms(
        Hist(codes, window, energy, storage=whole),
        Hist(codes, time, storage=whole),
        Hist(codes, e_nu, storage=whole),
        experiment,
        told[0],
        fraction,
    )
    for file in files:
        for block in _blocks(file, ["component", "window", "selected", "e_reco", "e_nu", clock]):
            keep = block.pop("selected") & (block["window"] > 0)
            kept = {name: values[keep] for name, values in block.items()}
            made.e_reco.fill(kept["component"], kept["window"], kept["e_reco"])
            on = kept["window"] == ON
            made.time.fill(kept["component"][on], kept[clock][on])
            on &= kept["component"] < 10
            made.e_nu.fill(kept["component"][on], kept["e_nu"][on])
    return made


def _blocks(file: Path, columns: list[str]) -> Iterator[dict[str, NDArray[Any]]]:
    with _opened(file) as root:
        yield from root[TREE].iterate(columns, step_size=STEP, library="np")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    import uproot

    try:
        with uproot.open(file) as root:
            yield root
    except Exception as error:  # uproot and the codecs raise errors of many kinds
        raise ExperimentError(f"{file}: is not an ntuple of nuspill: {error}") from error


def expected_signal(h: Histograms) -> Array:
    """Signal in beam-on by bin of e_reco from quadrature, for the part of the run in the files."""
    experiment, edges = h.experiment, h.e_reco.axes["e_reco"].edges
    low = h.provenance["truth_threshold_kev"]
    selected = {row["name"]: row["selected"][ON] for row in h.provenance["expected"]}
    everywhere = selected_signal(experiment, low)
    result = np.zeros(len(edges) - 1)
    for i, limits in enumerate(pairwise(edges)):
        region = np.clip(limits, *(experiment.detector.region or (None, None))).tolist()
        detector = experiment.detector.model_copy(update={"region": region})
        inside = selected_signal(experiment.model_copy(update={"detector": detector}), low)
        result[i] = sum(selected[f] * n / everywhere[f] for f, n in inside.items() if n > 0)
    return result * h.fraction


def summary(h: Histograms) -> dict[str, Any]:
    """Every number of the figure: counts, histograms with their edges, residual and χ²."""
    told, experiment, windows = h.provenance, h.experiment, h.experiment.beam_windows
    names, tau = experiment.components, windows.off_length / windows.on_length
    codes = np.array(sorted(names))
    expected = {row["component"]: row["selected"] for row in told["expected"]}
    steady = [experiment.component_of(b) for b in experiment.background if b.timing == "steady"]
    with_beam = ~np.isin(codes, steady) & ~((codes < 10) & experiment.source.steady)
    every = h.e_reco.view(flow=True)
    on, off = every[:, 0, 1:-1], every[:, 1, 1:-1]
    residual, curve = on.sum(0) - off.sum(0) / tau, expected_signal(h)
    variance = (on[~with_beam].sum(0) + off.sum(0)) / tau
    counts = [
        {
            "component": int(code),
            "name": names[code],
            "on": int(here[0].sum()),
            "expected_on": expected[code][ON] * h.fraction,
            "off": int(here[1].sum()),
            "expected_off": expected[code][OFF] * h.fraction,
        }
        for code, here in zip(codes, every, strict=True)
    ]

    def panel(title: str, filled: Any, **rows: Any) -> dict[str, Any]:
        axis = filled.axes[-1]
        by_name = {
            key: {names[code]: n.tolist() for code, n in zip(codes, values, strict=True)}
            for key, values in rows.items()
        }
        return {"title": title, "unit": axis.label, "edges": axis.edges.tolist(), **by_name}

    counting = experiment.detector.unit == "keV_nr"
    clock = "True time" if h.time.axes[-1].name == "time_true" else "Time"
    energy = "Recoil energy (true: not measured)" if counting else "Reconstructed energy"
    return {
        "experiment": experiment.name,
        "seed": told["seed"],
        "years_of_operation": told["years_of_operation"],
        "protons_on_target": told["protons_on_target"],
        "part_of_run": h.fraction,
        "steady_source": experiment.source.steady,
        "tau": tau,
        "counts": counts,
        "outside_axis": int(every.sum() - on.sum() - off.sum()),
        "on_minus_off": float((every[:, 0] - every[:, 1] / tau).sum()),
        "on_minus_off_error": float(np.sqrt((every[:, 0] + every[:, 1] / tau**2).sum())),
        "chi2_residual": _chi2(residual - on[with_beam].sum(0), variance, 0.0),
        "chi2_signal": _chi2(on[codes < 10].sum(0) - curve, curve, LEAST_EXPECTED),
        "e_reco": panel(energy, h.e_reco, on=on, off=off),
        "residual": panel(energy, h.e_reco, on=on * with_beam[:, None])
        | {
            "value": residual.tolist(),
            "error": np.sqrt(on.sum(0) + off.sum(0) / tau**2).tolist(),
            "expected_signal": curve.tolist(),
        },
        "time": panel(f"{clock} since the start of the pulse", h.time, on=h.time.values()),
        "e_nu": panel("True neutrino energy", h.e_nu, on=h.e_nu.values()),
    }


def _chi2(difference: Array, variance: Array, above: float) -> dict[str, Any]:
    from scipy.special import chdtrc

    used = variance > above
    value, ndf = float((difference[used] ** 2 / variance[used]).sum()), int(used.sum())
    return {"value": value, "ndf": ndf, "p_value": float(chdtrc(ndf, value)) if ndf else None}


def draw(numbers: dict[str, Any]) -> Any:
    """Draw a `summary`; returns a matplotlib Figure that pyplot knows nothing of."""
    from matplotlib.figure import Figure
    from mplhep import histplot

    counts, residual, tau = numbers["counts"], numbers["residual"], numbers["tau"]
    spare = iter(BACKGROUND_COLOURS * 25)
    colours = {row["name"]: COLOURS.get(row["component"]) or next(spare) for row in counts}
    labels = {
        row["name"]: (LABELS.get(row["name"]) or row["name"].replace("$", r"\$"))
        + f": ${row['on']:,}$ $({row['expected_on']:,.0f})$".replace(",", r"\,")
        for row in counts
    }
    off = np.sum([np.zeros(len(residual["value"])), *numbers["e_reco"]["off"].values()], axis=0)
    by_tau = "" if tau == 1 else r"$/\tau$"
    points = {
        "e_reco": (off / tau, np.sqrt(off) / tau, "white", f"beam-off{by_tau}"),
        "residual": (residual["value"], residual["error"], "black", f"on $-$ off{by_tau}"),
    }
    figure = Figure(figsize=(12.5, 10), layout="constrained")
    axes = figure.subplot_mosaic([["e_reco", "time"], ["residual", "e_nu"]])
    for key, ax in axes.items():
        edges, unit = np.array(numbers[key]["edges"]), numbers[key]["unit"]
        if unit == "ns":
            power = int(np.clip(np.log10(np.ptp(edges)) // 3, 0, 2))
            edges, unit = edges / 1e3**power, ("ns", "μs", "ms")[power]
        unit = LABELS.get(unit, unit)
        rows = {name: np.array(n) for name, n in numbers[key]["on"].items()}
        on = {name: n for name, n in rows.items() if n.any()}
        plain: dict[str, Any] = {"ax": ax, "flow": "none", "yerr": False}
        if key == "residual":
            if on:
                histplot([*on.values()], edges, stack=True, histtype="fill", alpha=0.55,
                         color=[colours[n] for n in on], **plain)  # fmt: skip
            if not numbers["steady_source"]:
                histplot(residual["expected_signal"], edges, color="black", linewidth=1.0,
                         label="signal, expected", **plain)  # fmt: skip
            ax.text(0.97, 0.96, _tests(numbers), ha="right", va="top", transform=ax.transAxes)
        else:
            for name, n in rows.items():
                label = labels[name] if key == "e_reco" else None
                histplot(n, edges, color=colours[name], label=label, **plain)
        value, error, face, label = points.get(key, ([], [], "", ""))
        if any(error):
            histplot(value, edges, histtype="errorbar", color="black", mfc=face, markersize=5,
                     elinewidth=1.0, label=label, **(plain | {"yerr": error}))  # fmt: skip
        widths = np.diff(edges)
        equal = np.ptp(widths[1:-1]) < 1e-3 * widths[1]
        ax.set_title(TITLES[key], loc="left", fontsize=13)
        ax.set_xlabel(f"{numbers[key]['title']} [{unit}]")
        ax.set_ylabel(f"Events / {widths[1]:.3g} {unit}" if equal else "Events / bin")
        ax.set_xscale("linear" if equal else "log")
        ax.set_xlim(edges[0], edges[-1])
        peaks, (low, high) = [n.max() for n in on.values()], ax.get_ylim()
        if key == "residual":
            ax.set_ylim(min(low, 0.0), 1.35 * high)
        elif peaks and (key != "time" or max(peaks) > 5 * min(peaks)):
            least = min(n[n > 0].min() for n in on.values())
            ax.set_yscale("log")
            ax.set_ylim(0.5 if least < 5 else least / 3, 3 * max(peaks))
        else:
            ax.set_ylim(0.0, high)
    if numbers["outside_axis"]:
        axes["e_reco"].set_title(f"{numbers['outside_axis']:,} not shown", loc="right", fontsize=13)
    found = [axes[key].get_legend_handles_labels() for key in points]
    handles = [handle for each, _ in found for handle in each]
    names = [name for _, each in found for name in each]
    protons, exponent = f"{numbers['protons_on_target']:.2e}".split("e")
    title = numbers["experiment"].replace("$", r"\$") + (
        f": {numbers['years_of_operation']:.4g} years of operation, "
        rf"${protons} \times 10^{{{int(exponent)}}}$ protons on target"
    )
    if numbers["part_of_run"] < 1:
        title += f" ({100 * numbers['part_of_run']:.3g} % of the run in this sample)"
    figure.legend(
        handles, names, title=title, title_fontsize=16, loc="outside upper center", ncols=4
    )
    return figure


def _tests(numbers: dict[str, Any]) -> str:
    """Both χ², each in a line."""
    texts = {"chi2_residual": "on $-$ off vs generated", "chi2_signal": "generated vs expected"}
    return "\n".join(
        rf"{text}: $\chi^2/\mathrm{{ndf}} = {found['value']:.1f}/{found['ndf']}$ "
        rf"($p = {found['p_value']:.2g}$)"
        for text, found in ((text, numbers[key]) for key, text in texts.items())
        if found["ndf"]
    )


def plot(path: str | Path, output: str | Path, overwrite: bool = False) -> dict[str, Any]:
    """Draw an ntuple to a file; returns the numbers of the figure, see `summary`.

    Parameters
    ----------
    path
        ROOT file, or folder of parts.
    output
        A .pdf, .png or .svg; it appears when it is whole.
    overwrite
        Replace a file that is there.

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
