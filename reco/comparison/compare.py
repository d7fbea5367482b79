"""Two samples side by side: energy, time in the window, on minus off, rate against live time.

Each is an ntuple or anything that can be imported. B is compared with A scaled to B's beam pulses,
or, for shapes, to B's counts. Only selected events count.

For counts n in A and m in B and a scale r, χ² is the sum of (m − rn)²/(r(n + m)): if both have one
rate, that is the variance given n + m. On minus off/τ has the sum of those of on and off. Bins are
joined with their neighbours up to `LEAST` expected counts in the smaller sample. Kolmogorov-Smirnov
is the two-sample test of scipy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..chain.codes import OFF, ON
from ..errors import ExperimentError
from ..experiment import Experiment
from ..formats.shared.sample import sample_of
from ..formats.shared.transfer import blocks_of, opened_source
from ..window import Windows
from .agreement import chi2_of, ks_of
from .axes import energy_edges, equal_bins

LIVE_BINS = 20
SECONDS_A_DAY = 86_400.0
NEEDS = ("pulse", "time", "window", "selected", "e_reco")


@dataclass(frozen=True, eq=False)
class Side:
    """Selected events of one sample."""

    name: str
    experiment: Experiment
    pulses: int
    """Beam pulses of its exposure."""
    first_pulse: int
    pulse: NDArray[np.int64]
    since: Array
    """Time since the start of the window that the event is in, ns."""
    window: NDArray[np.int8]
    e_reco: Array

    @property
    def windows(self) -> Windows:
        """Beam-on and beam-off."""
        return self.experiment.beam_windows

    @property
    def tau(self) -> float:
        """Length of beam-off over that of beam-on."""
        return self.windows.off_length / self.windows.on_length

    @property
    def live_days(self) -> float:
        """Days for which the beam-on window was open."""
        return self.pulses * self.windows.on_length * 1e-9 / SECONDS_A_DAY

    def counts(self, values: Array, window: int, edges: Array) -> Array:
        """Histogram of a column in one window; the last bin does not hold its upper edge."""
        inside = (self.window == window) & (values < edges[-1])
        return np.histogram(values[inside], edges)[0].astype(float)


def side_of(
    path: str | Path,
    name: str | None = None,
    *,
    experiment: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    repair: bool = False,
    fallback: Experiment | None = None,
) -> Side:
    """The selected events of an ntuple, or of a file of a format.

    Parameters
    ----------
    path
        ROOT ntuple, folder of parts, or a file of a format.
    name
        Its format; by default what it looks like.
    experiment
        For a format that does not tell; see `formats.import_events`.
    settings, repair
        As there.
    fallback
        Of a file that does not tell, if `experiment` does not either.

    Raises
    ------
    ExperimentError
        If it is neither an ntuple nor of a format.
    """
    path = Path(path)
    if name is None and _is_ntuple(path):
        sample = sample_of(path, {})
        blocks, known = sample.blocks(NEEDS), sample.experiment
        first = int(sample.told.get("first_pulse", 0))
        pulses = int(sample.told["pulses"]) - first
    else:
        form, source = opened_source(
            path,
            name,
            experiment=experiment,
            settings=settings,
            repair=repair,
            fallback=fallback,
        )
        blocks, known, first = blocks_of(form, source), source.experiment, 0
        pulses = 0
    kept: list[dict[str, NDArray[Any]]] = []
    for block in blocks:
        chosen = block["selected"] & (block["window"] > 0)
        kept.append({column: block[column][chosen] for column in NEEDS if column != "selected"})
    if not pulses:
        first = known.daq.first_pulse
        pulses = int(source.facts.get("pulses", source.facts["last_pulse"] + 1 - first))
    if not kept:
        raise ExperimentError(f"{path}: has no events to compare")
    rows = {column: np.concatenate([one[column] for one in kept]) for column in kept[0]}
    windows = known.beam_windows
    start = np.array([np.nan, windows.on_start, windows.off_start])[rows["window"]]
    return Side(
        path.name,
        known,
        max(pulses, 0),
        first,
        rows["pulse"],
        rows["time"] - start,
        rows["window"],
        rows["e_reco"].astype(float),
    )


def _is_ntuple(path: Path) -> bool:
    import uproot

    from ..runs.tree import PROVENANCE, TREE

    if path.is_dir():
        return any(path.glob("part-*.root"))
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(4) != b"root":
            return False
    try:
        with uproot.open(path) as root:
            return {TREE, PROVENANCE} <= set(root.keys(recursive=False, cycle=False))
    except Exception:  # whatever uproot finds wrong: the readers tell
        return False


def both(
    a: str | Path,
    b: str | Path,
    names: tuple[str | None, str | None] = (None, None),
    *,
    experiment: str | None = None,
    settings: dict[str, Any] | None = None,
    repair: bool = False,
) -> tuple[Side, Side]:
    """Two samples; where a format does not tell the experiment, it is `experiment`, else A's."""
    given: dict[str, Any] = {"experiment": experiment, "settings": settings, "repair": repair}
    first = side_of(a, names[0], **given)
    second = side_of(b, names[1], **given, fallback=first.experiment)
    if first.experiment.detector.unit != second.experiment.detector.unit:
        raise ExperimentError(
            f"{b}: has energies in {second.experiment.detector.unit}, and {first.name} in "
            f"{first.experiment.detector.unit}"
        )
    return first, second


def compare(
    a: Side,
    b: Side,
    *,
    shape: bool = False,
    energy: Array | None = None,
    time: Array | None = None,
) -> dict[str, Any]:
    """Every number of the comparison.

    Parameters
    ----------
    a, b
        From `side_of`.
    shape
        Scale A to the counts of B, and not to its pulses.
    energy, time
        Edges of the bins: energies in the detector's unit, times since the start of the window in
        ns. Where they are given, Kolmogorov-Smirnov is of binned values.

    Returns
    -------
    dict
        ``counts``, ``panels`` (each with edges, values, errors and tests), ``scale``.
    """
    if not shape and not (a.pulses and b.pulses):
        raise ExperimentError(
            f"the exposure of {a.name if not a.pulses else b.name} is not known; compare shapes"
        )
    n, m = int((a.window == ON).sum()), int((b.window == ON).sum())
    if n == 0 or m == 0:
        raise ExperimentError(f"{a.name if n == 0 else b.name}: has no selected events in beam-on")
    scale = m / n if shape else b.live_days / a.live_days
    e_edges = energy_edges(a.experiment, 30) if energy is None else energy
    length = max(a.windows.on_length, b.windows.on_length)
    t_edges = equal_bins(0.0, length, 30) if time is None else time
    panels: list[dict[str, Any] | None] = []
    for key, edges, given in (("e_reco", e_edges, energy), ("since", t_edges, time)):
        unit = a.experiment.detector.unit if key == "e_reco" else "ns"
        values = getattr(a, key), getattr(b, key)
        on, off = ([s.counts(v, w, edges) for s, v in zip((a, b), values, strict=True)]
                   for w in (ON, OFF))  # fmt: skip
        in_on = [v[s.window == ON] for s, v in zip((a, b), values, strict=True)]
        pooled = scale * (on[0] + on[1])
        least = (on[0] + on[1]) * min(scale, 1) / (1 + scale)
        about = {"edges": edges.tolist(), "unit": unit}
        ks = ks_of(in_on[0], in_on[1], edges if given is not None else None)
        fit = _two(on, on, scale, pooled, least, shape)
        panels.append({"key": f"{key}_on", **about, **fit, "ks": ks})
        net = [x - y / s.tau for s, x, y in zip((a, b), on, off, strict=True)]
        noise = [x + y / s.tau**2 for s, x, y in zip((a, b), on, off, strict=True)]
        if a.tau == b.tau:
            pooled = pooled + scale * (off[0] + off[1]) / a.tau**2
        else:
            pooled = noise[1] + scale**2 * noise[0]
        fit = _two(net, noise, scale, pooled, least, False)
        panels.append({"key": f"{key}_residual", **about, **fit, "ks": None})
    panels.append(_live(a, b, scale))
    return {
        "a": a.name,
        "b": b.name,
        "experiments": [a.experiment.name, b.experiment.name],
        "scale": scale,
        "scaled_by": "counts" if shape else "live time",
        "counts": [_row(a), _row(b), _difference(a, b, scale, shape)],
        "panels": [panel for panel in panels if panel],
    }


def _two(
    values: list[Array],
    variances: list[Array],
    scale: float,
    variance: Array,
    expected: Array,
    fitted: bool,
) -> dict[str, Any]:
    """Values and errors of B and of A scaled, and χ² of their difference with its variance."""
    (a, b), (var_a, var_b) = values, variances
    return {
        "a": (scale * a).tolist(),
        "a_error": (scale * np.sqrt(var_a)).tolist(),
        "b": b.tolist(),
        "b_error": np.sqrt(var_b).tolist(),
        "chi2": chi2_of(b - scale * a, variance, expected, int(fitted)),
    }


def _live(a: Side, b: Side, scale: float) -> dict[str, Any] | None:
    """Counts in beam-on against the part of the run that is over; None if pulses are not known."""
    if min(a.pulses, b.pulses) == 0 or min(a.pulse.min(), b.pulse.min()) < 0:
        return None
    edges = np.linspace(0.0, 1.0, LIVE_BINS + 1)
    over = [(s.pulse - s.first_pulse) / s.pulses for s in (a, b)]
    on = [s.counts(x, ON, edges) for s, x in zip((a, b), over, strict=True)]
    every, steady = on[0] + on[1], []
    for side, counts in zip((a, b), on, strict=True):
        mean = np.full(LIVE_BINS, counts.mean())
        steady.append({"name": side.name} | chi2_of(counts - mean, mean, counts, 1))
    return {
        "key": "live_time",
        "edges": edges.tolist(),
        "unit": "part of the run",
        **_two(on, on, scale, scale * every, every * min(scale, 1) / (1 + scale), False),
        "steady": steady,
        "ks": ks_of(over[0][a.window == ON], over[1][b.window == ON], None),
    }


def _row(side: Side) -> dict[str, Any]:
    on, off = int((side.window == ON).sum()), int((side.window == OFF).sum())
    error = float(np.sqrt(on + off / side.tau**2))
    days = side.live_days
    return {
        "name": side.name,
        "on": on,
        "off": off,
        "on_minus_off": on - off / side.tau,
        "error": error,
        "live_days": days,
        "on_a_day": on / days if days else None,
    }


def _difference(a: Side, b: Side, scale: float, shape: bool) -> dict[str, Any]:
    """B minus A scaled, in standard deviations."""
    rows = [_row(side) for side in (a, b)]
    found: dict[str, Any] = {"name": "difference in σ"}
    for key in ("on", "off"):
        n, m = (row[key] for row in rows)
        sigma = np.sqrt(m + scale**2 * n)
        found[key] = float((m - scale * n) / sigma) if sigma > 0 and not shape else None
    sigma = np.hypot(rows[1]["error"], scale * rows[0]["error"])
    net = rows[1]["on_minus_off"] - scale * rows[0]["on_minus_off"]
    found["on_minus_off"] = float(net / sigma) if sigma > 0 else None
    return found
