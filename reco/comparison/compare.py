"""Two samples side by side: energy, time in the window, on minus off, rate against live time.

Each is an ntuple or anything that can be imported. B is compared with A scaled to B's beam pulses,
or, for shapes, to B's counts. Only selected events count.

For counts n in A and m in B and a scale r, χ² is the sum of (m − rn)²/(r(n + m)): if both have one
rate, that is the variance given n + m. On minus off/τ has the sum of those of on and off. Bins are
joined with their neighbours up to `LEAST` expected counts in the smaller sample. Kolmogorov-Smirnov
is the two-sample test of scipy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from ...generator.arrays import Array
from ...generator.display import Displayed
from ..chain.codes import OFF, ON
from ..errors import ExperimentError
from .agreement import ChiSquared, KolmogorovSmirnov, chi2_of, ks_of
from .axes import energy_edges, equal_bins
from .side import Side

LIVE_BINS = 20

Both = tuple[Array, Array]
"""Arrays of A and of B."""


@dataclass(frozen=True)
class Totals:
    """Selected events of a sample, whatever their energy and time."""

    name: str
    on: int
    off: int
    on_minus_off: float
    """Events in beam-on, less those in beam-off over τ."""
    error: float
    """Standard deviation of `on_minus_off`."""
    live_days: float
    missing: tuple[str, ...] = ()
    """What of its runs is not there; `live_days` are of the rest."""

    @property
    def on_a_day(self) -> float | None:
        """Events in beam-on a live day; None where live time is not known."""
        return self.on / self.live_days if self.live_days else None

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return asdict(self) | {"on_a_day": self.on_a_day}


@dataclass(frozen=True)
class Difference:
    """B minus A scaled, in standard deviations; None where there is nothing to compare."""

    on: float | None
    off: float | None
    on_minus_off: float | None

    name = "difference in σ"

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {"name": self.name} | asdict(self)


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins of a spectrum."""

    edges: Array
    """Shape (bins + 1,)."""
    unit: str


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Events by bin, shape (bins,)."""

    value: Array
    error: Array


@dataclass(frozen=True)
class Steadiness:
    """χ² of the counts of a sample through its run with a constant rate."""

    name: str
    chi2: ChiSquared

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {"name": self.name} | self.chi2.as_json()


@dataclass(frozen=True, eq=False)
class Panel:
    """Both samples in one variable, and whether they agree."""

    key: str
    """``e_reco`` or ``since`` in beam-on (``_on``) or on minus off (``_residual``); live_time."""
    bins: Binning
    a: Spectrum
    """Spectrum of A, scaled."""
    b: Spectrum
    chi2: ChiSquared
    ks: KolmogorovSmirnov | None
    """Test of the values; None for on minus off, which is no sample."""
    steady: tuple[Steadiness, ...] = ()
    """Steadiness of both samples, for live time."""

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        steady = {"steady": [sample.as_json() for sample in self.steady]} if self.steady else {}
        return {
            "key": self.key,
            "edges": self.bins.edges.tolist(),
            "unit": self.bins.unit,
            "a": self.a.value.tolist(),
            "a_error": self.a.error.tolist(),
            "b": self.b.value.tolist(),
            "b_error": self.b.error.tolist(),
            "chi2": self.chi2.as_json(),
            **steady,
            "ks": None if self.ks is None else self.ks.as_json(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Displayed):
    """Two samples side by side; A is scaled to B."""

    names: tuple[str, str]
    experiments: tuple[str, str]
    scale: float
    scaled_by: Literal["counts", "live time"]
    totals: tuple[Totals, Totals]
    difference: Difference
    panels: tuple[Panel, ...]

    def facts(self) -> dict[str, object]:
        """Samples, scale, counts and the χ² of the spectra."""
        a, b = self.totals
        return {
            "A": self.names[0],
            "B": self.names[1],
            "scale": f"{self.scale:.4g} by {self.scaled_by}",
            "beam-on": f"{a.on} and {b.on}",
            "beam-off": f"{a.off} and {b.off}",
            "χ²/ndf": ", ".join(f"{p.key} {p.chi2.value:.1f}/{p.chi2.ndf}" for p in self.panels),
        }

    def panel(self, key: str) -> Panel:
        """The panel of a key."""
        return next(panel for panel in self.panels if panel.key == key)

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        a, b = self.names
        return {
            "a": a,
            "b": b,
            "experiments": list(self.experiments),
            "scale": self.scale,
            "scaled_by": self.scaled_by,
            "counts": [row.as_json() for row in (*self.totals, self.difference)],
            "panels": [panel.as_json() for panel in self.panels],
        }


def compare(
    a: Side,
    b: Side,
    *,
    shape: bool = False,
    energy: Array | None = None,
    time: Array | None = None,
) -> Comparison:
    """Every number of the comparison.

    Parameters
    ----------
    a, b
        Samples from `side_of`.
    shape
        Scale A to the counts of B, and not to its pulses.
    energy, time
        Edges of the bins: energies in the detector's unit, times since the start of the window in
        ns. Where they are given, Kolmogorov-Smirnov is of binned values.

    Raises
    ------
    ExperimentError
        If a sample has no events in beam-on, or no exposure and not only shapes are compared.
    """
    pair = _pair(a, b, shape)
    unit, length = a.experiment.detector.unit, max(a.windows.on_length, b.windows.on_length)
    energies = Binning(energy_edges(a.experiment, 30) if energy is None else energy, unit)
    times = Binning(equal_bins(0.0, length, 30) if time is None else time, "ns")
    panels = [
        *pair.spectra("e_reco", (a.e_reco, b.e_reco), energies, energy is not None),
        *pair.spectra("since", (a.since, b.since), times, time is not None),
    ]
    if min(a.pulses, b.pulses) > 0 and min(a.pulse.min(), b.pulse.min()) >= 0:
        panels.append(pair.live_time())
    totals = _totals(a), _totals(b)
    return Comparison(
        names=(a.name, b.name),
        experiments=(a.experiment.name, b.experiment.name),
        scale=pair.scale,
        scaled_by="counts" if shape else "live time",
        totals=totals,
        difference=_difference(*totals, pair.scale, shape),
        panels=tuple(panels),
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both samples, and the factor by which A is scaled."""

    a: Side
    b: Side
    scale: float
    shape: bool
    """Whether the scale is that of the counts, which takes a degree of freedom."""

    def spectra(self, key: str, values: Both, bins: Binning, binned: bool) -> tuple[Panel, Panel]:
        """Panels of beam-on, and of it minus beam-off; KS of the values or of their bins."""
        a, b, scale = self.a, self.b, self.scale
        on, off = (self.counted(values, window, bins.edges) for window in (ON, OFF))
        pooled, least = scale * (on[0] + on[1]), self.least(on)
        ks = ks_of(*self.in_beam_on(values), bins.edges if binned else None)
        chi2 = self.chi2(on, pooled, least, int(self.shape))
        beam = Panel(f"{key}_on", bins, *self.spectrum(on, on), chi2, ks)
        net = on[0] - off[0] / a.tau, on[1] - off[1] / b.tau
        noise = on[0] + off[0] / a.tau**2, on[1] + off[1] / b.tau**2
        if a.tau == b.tau:
            pooled = pooled + scale * (off[0] + off[1]) / a.tau**2
        else:
            pooled = noise[1] + scale**2 * noise[0]
        chi2 = self.chi2(net, pooled, least)
        return beam, Panel(f"{key}_residual", bins, *self.spectrum(net, noise), chi2, None)

    def live_time(self) -> Panel:
        """Counts in beam-on against the part of the run that is over."""
        edges = np.linspace(0.0, 1.0, LIVE_BINS + 1)
        a, b = ((s.pulse - s.first_pulse) / s.pulses for s in (self.a, self.b))
        on = self.counted((a, b), ON, edges)
        steady = []
        for side, counts in zip((self.a, self.b), on, strict=True):
            mean = np.full(LIVE_BINS, counts.mean())
            steady.append(Steadiness(side.name, chi2_of(counts - mean, mean, counts, 1)))
        return Panel(
            "live_time",
            Binning(edges, "part of the run"),
            *self.spectrum(on, on),
            self.chi2(on, self.scale * (on[0] + on[1]), self.least(on)),
            ks_of(*self.in_beam_on((a, b)), None),
            tuple(steady),
        )

    def counted(self, values: Both, window: int, edges: Array) -> Both:
        """Events by bin in a window."""
        a, b = values
        return self.a.counts(a, window, edges), self.b.counts(b, window, edges)

    def in_beam_on(self, values: Both) -> Both:
        """Values of the events in beam-on."""
        a, b = values
        return a[self.a.window == ON], b[self.b.window == ON]

    def spectrum(self, values: Both, variances: Both) -> tuple[Spectrum, Spectrum]:
        """Spectra of A, scaled, and of B."""
        (a, b), (variance_a, variance_b) = values, variances
        return (
            Spectrum(self.scale * a, self.scale * np.sqrt(variance_a)),
            Spectrum(b, np.sqrt(variance_b)),
        )

    def chi2(self, values: Both, variance: Array, expected: Array, fitted: int = 0) -> ChiSquared:
        """χ² of B minus A scaled, with the variance of that difference."""
        return chi2_of(values[1] - self.scale * values[0], variance, expected, fitted)

    def least(self, counts: Both) -> Array:
        """Expected counts in the smaller sample."""
        return (counts[0] + counts[1]) * min(self.scale, 1) / (1 + self.scale)


def _pair(a: Side, b: Side, shape: bool) -> _Pair:
    """Both samples with the scale, if they can be compared."""
    if not shape and not (a.pulses and b.pulses):
        raise ExperimentError(
            f"the exposure of {a.name if not a.pulses else b.name} is not known; compare shapes"
        )
    n, m = int((a.window == ON).sum()), int((b.window == ON).sum())
    if n == 0 or m == 0:
        raise ExperimentError(f"{a.name if n == 0 else b.name}: has no selected events in beam-on")
    return _Pair(a, b, m / n if shape else b.live_days / a.live_days, shape)


def _totals(side: Side) -> Totals:
    on, off = int((side.window == ON).sum()), int((side.window == OFF).sum())
    error = float(np.sqrt(on + off / side.tau**2))
    return Totals(side.name, on, off, on - off / side.tau, error, side.live_days, side.missing)


def _difference(a: Totals, b: Totals, scale: float, shape: bool) -> Difference:
    on, off = (
        None if shape else _ratio(m - scale * n, np.sqrt(m + scale**2 * n))
        for n, m in ((a.on, b.on), (a.off, b.off))
    )
    error = np.hypot(b.error, scale * a.error)
    return Difference(on, off, _ratio(b.on_minus_off - scale * a.on_minus_off, error))


def _ratio(difference: float, sigma: float) -> float | None:
    """A difference in standard deviations."""
    return float(difference / sigma) if sigma > 0 else None
