"""One figure of an ntuple: energies, beam-on minus beam-off, time in the pulse, neutrino energies.

Everything comes from the file and its provenance. Steady-state background falls in beam-on and
beam-off in the ratio of their lengths, 1 : τ, so on − off/τ is what came with the beam, with the
Poisson error √(on + off/τ²) in each bin.

The residual holds the very events it is compared with, so they differ by the fluctuations of the
background alone: for a counts in beam-on and b in beam-off at one rate, the variance of a − b/τ
given a + b is (a + b)/τ, exactly. That is the variance in the χ² of the residual.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .efficiency import Step
from .errors import ExperimentError
from .expectation import selected_signal
from .experiment import Experiment, validate
from .ntuple import PROVENANCE, TREE, replacing
from .resolution import Photoelectrons

Array = NDArray[np.float64]

FORMATS = ("pdf", "png", "svg")
STEP = 500_000
"""Events read at a time."""
ON, OFF = 1, 2
"""Values of the column `window`."""
LEAST_EXPECTED = 5.0
"""Expected events of a bin that enters the χ² of the signal against quadrature."""
LABELS = {
    "numu": r"$\nu_\mu$", "nue": r"$\nu_e$", "numubar": r"$\bar\nu_\mu$",
    "nuebar": r"$\bar\nu_e$", "nutau": r"$\nu_\tau$", "nutaubar": r"$\bar\nu_\tau$",
    "keV_nr": r"keV$_\mathrm{nr}$", "keV_ee": r"keV$_\mathrm{ee}$",
}  # fmt: skip
COLOURS = {1: "#3f90da", 2: "#e76300", 3: "#bd1f01", 4: "#832db6", 5: "#a96b59", 6: "#b9ac70"}
BACKGROUND_COLOURS = ("#717581", "#2a9d5c", "#c849a9", "#86c8dd", "#94a4a2")
STYLE = {
    "font.family": "STIXGeneral", "mathtext.fontset": "stix", "font.size": 13,
    "axes.labelsize": 14, "xaxis.labellocation": "right", "yaxis.labellocation": "top",
    "xtick.direction": "in", "ytick.direction": "in", "xtick.top": True, "ytick.right": True,
    "xtick.minor.visible": True, "ytick.minor.visible": True,
    "xtick.major.size": 6, "ytick.major.size": 6, "xtick.minor.size": 3, "ytick.minor.size": 3,
    "legend.frameon": False, "legend.fontsize": 12, "legend.handlelength": 1.6,
    "savefig.dpi": 150, "pdf.fonttype": 42, "svg.hashsalt": "nuspill",
}  # fmt: skip


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


def energy_edges(experiment: Experiment) -> Array:
    """Edges of the bins of e_reco: equal, or logarithmic over two decades and more.

    From the least energy that is accepted to `detector.e_max`, or as `detector.region` says;
    photo-electrons are whole numbers and have bins of whole numbers.
    """
    detector = experiment.detector
    high = float(detector.electron_equivalent(experiment.e_max)) * detector.per_kev
    if isinstance(detector.efficiency, Step):
        low = float(detector.electron_equivalent(detector.threshold)) * detector.per_kev
    else:
        energy = np.linspace(0.0, high, 20_001)
        low = float(energy[np.argmax(detector.efficiency.at(energy) > 0)])
    if detector.region is not None:
        low, high = max(low, detector.region[0]), detector.region[1]
    if isinstance(detector.resolution, Photoelectrons):
        low, high = np.ceil(low), np.floor(high)
        width = max(int(np.ceil((high - low + 1) / 60)), 1)
        return np.arange(low, high + width + 1, width) - 0.5
    if low > 0 and high / low >= 100:
        edges = np.geomspace(low, high, round(12 * np.log10(high / low)) + 1)
    else:
        edges = equal_bins(low, high)
    edges[[0, -1]] *= 1 - 1e-6, 1 + 1e-6  # e_reco is rounded to float32
    return edges


def equal_bins(low: float, high: float) -> Array:
    """Edges of 40 to 60 equal bins, of the width that is shortest to write."""
    bins = min(range(60, 39, -1), key=lambda n: len(f"{(high - low) / n:.6g}"))
    return np.linspace(low, high, bins + 1)


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
            told.append(json.loads(str(root[PROVENANCE])))
            same = [told[-1][key] == told[0][key] for key in ("experiment", "seed", "run_events")]
        if not all(same):
            raise ExperimentError(f"{file}: is of another run than {files[0]}")
    experiment = validate(told[0]["experiment"], str(files[0]))
    windows, flavours = experiment.beam_windows, experiment.source.flavours
    clock = "time_true" if isinstance(experiment.detector.time_resolution, str) else "time"
    codes = axis.IntCategory(sorted(experiment.components), name="component", overflow=False)
    window = axis.IntCategory([ON, OFF], name="window", overflow=False)
    e_top = float(np.ceil(max(flavour.spectrum.end_point for flavour in flavours)))
    energy, time, e_nu = (
        axis.Variable(edges, name=name, label=unit)
        for edges, name, unit in (
            (energy_edges(experiment), "e_reco", experiment.detector.unit),
            (equal_bins(windows.on_start, windows.on_stop), clock, "ns"),
            (equal_bins(0.0, e_top), "e_nu", "MeV"),
        )
    )
    axes = (codes, window, energy), (codes, time), (codes, e_nu)
    made = Histograms(
        *(Hist(*each, storage=storage.Int64()) for each in axes),
        experiment,
        told[0],
        sum(each["events"] for each in told) / max(told[0]["run_events"], 1),
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
    """Signal in beam-on by bin of e_reco as quadrature expects it, for the run's part in the files."""
    experiment, edges = h.experiment, h.e_reco.axes["e_reco"].edges
    low = h.provenance["truth_threshold_kev"]
    selected = {row["name"]: row["selected"][ON] for row in h.provenance["expected"]}
    everywhere = selected_signal(experiment, low)
    result = np.zeros(len(edges) - 1)
    for i, limits in enumerate(zip(edges[:-1], edges[1:], strict=True)):
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
    with_beam = ~np.isin(codes, steady)
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
    numbered = {row["name"]: f"{row['on']:,} ({row['expected_on']:,.0f})" for row in counts}
    off = np.sum([*numbers["e_reco"]["off"].values(), 0 * np.array(residual["value"])], axis=0)
    over = "" if tau == 1 else r"$/\tau$"
    points = {
        "e_reco": (off / tau, np.sqrt(off) / tau, f"beam-off{over}: {off.sum() / tau:,.0f}"),
        "residual": (residual["value"], residual["error"], f"beam-on $-$ beam-off{over}"),
    }
    figure = Figure(figsize=(13, 9.6), layout="constrained")
    axes = figure.subplot_mosaic([["e_reco", "time"], ["residual", "e_nu"]])
    for key, ax in axes.items():
        stacked, edges, unit = key == "residual", np.array(numbers[key]["edges"]), numbers[key]["unit"]
        if unit == "ns":
            scale, unit = next(u for u in ((1e6, "ms"), (1e3, "μs"), (1, "ns")) if np.ptp(edges) > u[0])
            edges = edges / scale
        unit = LABELS.get(unit, unit)
        shown = {name: np.array(n) for name, n in numbers[key]["on"].items() if any(n)}
        look = {"histtype": "fill", "alpha": 0.6} if stacked else {"histtype": "step"}
        if shown:
            histplot(
                list(shown.values()), edges, ax=ax, stack=stacked, yerr=False, flow="none",
                color=[colours[n] for n in shown], **look,
                label=[LABELS.get(n, n) + (f": {numbered[n]}" if key == "e_reco" else "") for n in shown],
            )  # fmt: skip
        if stacked:
            histplot(residual["expected_signal"], edges, ax=ax, yerr=False, flow="none",
                     color="black", linewidth=1.0, label="expected signal")  # fmt: skip
        if key in points and any(points[key][1]):
            value, error, label = points[key]
            histplot(value, edges, yerr=error, ax=ax, histtype="errorbar", flow="none", label=label,
                     color="black", markersize=5, elinewidth=1.0)  # fmt: skip
        heights = [n[n > 0] for n in shown.values()]
        if key in points: heights.append()
        _finish(ax, edges, f"{content['title']} [{unit}]", unit, top, stack)
    return figure
