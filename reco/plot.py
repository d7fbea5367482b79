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
from .experiment import Experiment, validate
from .ntuple import PROVENANCE, TREE
from .resolution import Photoelectrons

Array = NDArray[np.float64]

FORMATS = ("pdf", "png", "svg")
STEP = 500_000
"""Events read at a time."""
ON, OFF = 1, 2
"""Values of the column `window`."""
LOG_ABOVE = 100.0
"""Ratio of highest to lowest energy from which bins are logarithmic, A_DECADE a decade."""
A_DECADE = 12
LEAST_EXPECTED = 5.0
"""Expected events of a bin that enters the χ² of the signal against quadrature."""
LABELS = {
    "numu": r"$\nu_\mu$", "nue": r"$\nu_e$", "numubar": r"$\bar\nu_\mu$",
    "nuebar": r"$\bar\nu_e$", "nutau": r"$\nu_\tau$", "nutaubar": r"$\bar\nu_\tau$",
}  # fmt: skip
COLOURS = {1: "#3f90da", 2: "#e76300", 3: "#bd1f01", 4: "#832db6", 5: "#a96b59", 6: "#b9ac70"}
BACKGROUND_COLOURS = ("#717581", "#2a9d5c", "#c849a9", "#86c8dd", "#94a4a2")
STYLE = {
    "font.family": "STIXGeneral", "mathtext.fontset": "stix", "font.size": 12,
    "axes.linewidth": 0.9, "axes.labelsize": 13, "lines.linewidth": 1.4,
    "xaxis.labellocation": "right", "yaxis.labellocation": "top",
    "xtick.direction": "in", "ytick.direction": "in", "xtick.top": True, "ytick.right": True,
    "xtick.minor.visible": True, "ytick.minor.visible": True,
    "xtick.major.size": 6, "ytick.major.size": 6, "xtick.minor.size": 3, "ytick.minor.size": 3,
    "legend.frameon": False, "legend.fontsize": 11.5, "legend.handlelength": 1.6,
    "savefig.dpi": 150, "pdf.fonttype": 42, "svg.hashsalt": "nuspill",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Histograms:
    """Selected events of an ntuple, as `hist.Hist` objects with named axes."""

    spectra: Any
    """component, window (1 beam-on, 2 beam-off), e_reco in the detector's unit."""
    time: Any
    """component, time in ns since the start of the pulse; beam-on."""
    neutrinos: Any
    """component, true neutrino energy in MeV; beam-on."""
    experiment: Experiment
    provenance: dict[str, Any]
    """Of the first file."""
    fraction: float
    """Part of the run's events that the files hold."""

    @property
    def components(self) -> dict[int, str]:
        """Names by number."""
        return {int(n): name for n, name in self.provenance["components"].items()}

    @property
    def tau(self) -> float:
        """Length of beam-off over that of beam-on."""
        windows = self.experiment.beam_windows
        return windows.off_length / windows.on_length

    @property
    def steady(self) -> set[int]:
        """Numbers of the steady-state backgrounds."""
        experiment = self.experiment
        return {
            experiment.component_of(b) for b in experiment.background if b.timing == "steady"
        }

    def counts(self, window: int) -> NDArray[np.int64]:
        """Counts by component and bin of e_reco, with underflow and overflow."""
        view: NDArray[np.int64] = self.spectra.view(flow=True)[:, window - 1]
        return view


def energy_edges(experiment: Experiment) -> tuple[Array, bool]:
    """Edges of the bins of e_reco, and whether they are logarithmic.

    From the least energy that is accepted to `detector.e_max`, or over `detector.region`;
    photo-electrons are whole numbers and have bins of whole numbers.
    """
    detector = experiment.detector
    scale = detector.per_kev
    high = float(detector.electron_equivalent(experiment.e_max)) * scale
    if isinstance(detector.efficiency, Step):
        low = float(detector.electron_equivalent(detector.threshold)) * scale
    else:
        energy = np.linspace(0, high, 20_001)
        low = float(energy[np.argmax(detector.efficiency.at(energy) > 0)])
    if detector.region is not None:
        low, high = max(low, detector.region[0]), detector.region[1]
    if isinstance(detector.resolution, Photoelectrons):
        low, high = np.ceil(low), np.floor(high)
        width = max(int(np.ceil((high - low + 1) / 60)), 1)
        return np.arange(low, high + width + 1, width) - 0.5, False
    if low > 0 and high / low >= LOG_ABOVE:
        bins = round(A_DECADE * np.log10(high / low))
        edges = np.geomspace(low, high, bins + 1)
    else:
        edges = equal_bins(low, high)
    edges[[0, -1]] += np.array([-1e-6, 1e-6]) * edges[[0, -1]]  # e_reco is rounded to float32
    return edges, bool(low > 0 and high / low >= LOG_ABOVE)


def equal_bins(low: float, high: float) -> Array:
    """Edges of 40 to 60 equal bins, of the width that is shortest to write."""
    bins = min(range(60, 39, -1), key=lambda n: len(f"{(high - low) / n:.6g}"))
    return np.linspace(low, high, bins + 1)


def histograms(path: str | Path) -> Histograms:
    """Histograms of the selected events of an ntuple (one file, or a folder of parts).

    It is read in steps, so memory does not depend on its length.

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
    told = [_provenance(file) for file in files]
    run = ("experiment", "seed", "run_events", "components")
    for file, other in zip(files, told, strict=True):
        if any(other[key] != told[0][key] for key in run):
            raise ExperimentError(f"{file}: is of another run than {files[0]}")
    experiment = validate(told[0]["experiment"], str(files[0]))
    windows, flavours = experiment.beam_windows, experiment.source.flavours
    components = axis.IntCategory(
        sorted(int(n) for n in told[0]["components"]), name="component", overflow=False
    )
    kind = {"storage": storage.Int64()}
    spectra = Hist(
        components,
        axis.IntCategory([ON, OFF], name="window", overflow=False),
        axis.Variable(energy_edges(experiment)[0], name="e_reco", label=experiment.detector.unit),
        **kind,
    )
    edges = equal_bins(windows.on_start, windows.on_stop)
    time = Hist(components, axis.Variable(edges, name="time", label="ns"), **kind)
    edges = equal_bins(0.0, float(np.ceil(max(f.spectrum.end_point for f in flavours))))
    neutrinos = Hist(components, axis.Variable(edges, name="e_nu", label="MeV"), **kind)
    column = time_column(experiment)
    for file in files:
        for block in _blocks(file, ["component", "window", "selected", "e_reco", "e_nu", column]):
            keep = block.pop("selected") & (block["window"] > 0)
            kept = {name: values[keep] for name, values in block.items()}
            spectra.fill(**{name: kept[name] for name in ("component", "window", "e_reco")})
            on = kept["window"] == ON
            time.fill(component=kept["component"][on], time=kept[column][on])
            on &= kept["component"] < 10
            neutrinos.fill(component=kept["component"][on], e_nu=kept["e_nu"][on])
    events = sum(each["events"] for each in told)
    fraction = events / told[0]["run_events"] if told[0]["run_events"] else 1.0
    return Histograms(spectra, time, neutrinos, experiment, told[0], fraction)


def time_column(experiment: Experiment) -> str:
    """Measured time, or the true one where the detector knows no more than the exposure."""
    return "time_true" if isinstance(experiment.detector.time_resolution, str) else "time"


def _provenance(file: Path) -> dict[str, Any]:
    with _opened(file) as root:
        told: dict[str, Any] = json.loads(str(root[PROVENANCE]))
        _ = told["experiment"], told["run_events"], root[TREE]
        return told


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
    """Expected signal in beam-on by bin of e_reco, from quadrature, for the files' part of the run."""
    experiment, edges = h.experiment, h.spectra.axes["e_reco"].edges
    low = h.provenance["truth_threshold_kev"]
    total = {row["name"]: row["selected"][ON] * h.fraction for row in h.provenance["expected"]}
    everywhere = selected_signal(experiment, low)
    region = experiment.detector.region or [-np.inf, np.inf]
    result = np.zeros(len(edges) - 1)
    for i, limits in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        bin_ = [float(x) for x in np.clip(limits, *region)]
        detector = experiment.detector.model_copy(update={"region": bin_})
        inside = selected_signal(experiment.model_copy(update={"detector": detector}), low)
        result[i] = sum(total[f] * n / everywhere[f] for f, n in inside.items() if n > 0)
    return result


def summary(h: Histograms) -> dict[str, Any]:
    """Every number of the figure: counts a component, histograms with edges, residual and χ²."""
    names, codes, tau, told = h.components, sorted(h.components), h.tau, h.provenance
    on, off = h.counts(ON), h.counts(OFF)
    steady = np.array([code in h.steady for code in codes], bool)
    is_signal = np.array([code < 10 for code in codes], bool)
    expected = {row["component"]: row["selected"] for row in told["expected"]}
    counts = [
        {
            "component": code,
            "name": names[code],
            "on": int(on[i].sum()),
            "expected_on": expected[code][ON] * h.fraction,
            "off": int(off[i].sum()),
            "expected_off": expected[code][OFF] * h.fraction,
        }
        for i, code in enumerate(codes)
    ]
    all_on, all_off = on.sum(0), off.sum(0)
    signal, with_beam = on[is_signal].sum(0), on[~steady].sum(0)
    inside = slice(1, -1)
    residual = all_on - all_off / tau
    background = (all_on - with_beam + all_off)[inside]
    used = background > 0
    pull2 = (residual - with_beam)[inside][used] ** 2 * tau / background[used]
    curve = expected_signal(h)
    full = curve >= LEAST_EXPECTED
    pearson = (signal[inside][full] - curve[full]) ** 2 / curve[full]

    def by_name(rows: Any) -> dict[str, list[int]]:
        return {names[code]: row.tolist() for code, row in zip(codes, rows, strict=True)}

    return {
        "experiment": h.experiment.name,
        "seed": told["seed"],
        "years_of_operation": told["years_of_operation"],
        "protons_on_target": told["protons_on_target"],
        "part_of_run": h.fraction,
        "tau": tau,
        "counts": counts,
        "e_reco": {
            "unit": h.experiment.detector.unit,
            "edges": h.spectra.axes["e_reco"].edges.tolist(),
            "on": by_name(on[:, inside]),
            "off": by_name(off[:, inside]),
            "outside": int((all_on + all_off).sum() - (all_on + all_off)[inside].sum()),
        },
        "residual": {
            "value": residual[inside].tolist(),
            "error": np.sqrt(all_on + all_off / tau**2)[inside].tolist(),
            "signal": signal[inside].tolist(),
            "beam_related": (with_beam - signal)[inside].tolist(),
            "expected_signal": curve.tolist(),
            "total": float(residual.sum()),
            "total_error": float(np.sqrt((all_on + all_off / tau**2).sum())),
            "chi2": _chi2(pull2),
            "chi2_signal_expected": _chi2(pearson),
        },
        "time": {
            "unit": "ns",
            "column": time_column(h.experiment),
            "edges": h.time.axes["time"].edges.tolist(),
            "on": by_name(h.time.values()),
        },
        "e_nu": {
            "unit": "MeV",
            "edges": h.neutrinos.axes["e_nu"].edges.tolist(),
            "on": by_name(h.neutrinos.values()),
        },
    }


def _chi2(terms: Array) -> dict[str, float | int | None]:
    from scipy.special import chdtrc

    value, ndf = float(terms.sum()), len(terms)
    return {"value": value, "ndf": ndf, "p_value": float(chdtrc(ndf, value)) if ndf else None}


def draw(numbers: dict[str, Any]) -> Any:
    """Draw a `summary`; returns a matplotlib Figure that pyplot knows nothing of."""
    from matplotlib.figure import Figure
    from mplhep import histplot

    counts, residual = numbers["counts"], numbers["residual"]
    spare = iter(BACKGROUND_COLOURS * 25)
    looks = {
        row["name"]: {
            "color": COLOURS.get(row["component"]) or next(spare),
            "label": LABELS.get(row["name"], row["name"]),
        }
        for row in counts
    }
    signal = [row["name"] for row in counts if row["component"] < 10]
    rows = len(counts) + 4
    figure = Figure(figsize=(12.0, 8.6 + 0.26 * rows), layout="constrained")
    panels = figure.subplot_mosaic(
        [["e_reco", "time"], ["residual", "e_nu"], ["counts", "counts"]],
        height_ratios=[4.3, 4.3, 0.26 * rows],
    )
    for key in ("e_reco", "time", "e_nu"):
        content, panel = numbers[key], panels[key]
        scale, unit = _scale(content)
        edges = np.array(content["edges"]) / scale
        for name, values in content["on"].items():
            if name in signal or key != "e_nu":
                histplot(values, edges, ax=panel, yerr=False, flow="none", **looks[name])
        _axes(panel, edges, content["title"], unit, list(content["on"].values()))
    edges, panel = np.array(numbers["e_reco"]["edges"]), panels["e_reco"]
    off = np.sum(list(numbers["e_reco"]["off"].values()), axis=0)
    style: dict[str, Any] = {"flow": "none", "histtype": "errorbar", "color": "black"}
    histplot(
        off / numbers["tau"], edges, ax=panel, yerr=np.sqrt(off) / numbers["tau"], mfc="white",
        label="beam-off" + ("" if numbers["tau"] == 1 else r"$/\tau$"), markersize=4, **style
    )  # fmt: skip
    return figure
