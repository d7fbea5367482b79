"""A detector's settings, and its response as plain functions of arrays.

The compiled chain in `event` does the same event by event; these functions give expected numbers
and are what the chain is tested against.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...generator.arrays import Array
from ...generator.settings import Settings, setting
from .efficiency import Efficiency, Step
from .quenching import Quenching
from .resolution import NoResolution, Resolution, with_reference
from .time_efficiency import Always, TimeEfficiency

ROWS = 256
"""Recoils whose gamma distributions are looked at together."""
WHOLE = 1e-9
"""Relative difference from a whole number that is rounding."""


class Geometry(Settings):
    """Identical modules with a box or a cylinder as active volume; places are relative to each."""

    modules: int = setting(1, "crystals, CCDs or chambers", ge=1, le=32767)
    shape: Literal["box", "cylinder"] = setting("box", "active volume of a module")
    size: Annotated[list[PositiveFloat], Field(min_length=2, max_length=3)] = setting(
        ..., "box: x, y, z; cylinder: diameter, height", "mm"
    )

    @model_validator(mode="after")
    def _dimensions(self) -> Self:
        if len(self.size) != (3 if self.shape == "box" else 2):
            raise ValueError("size is x, y, z of a box, or diameter, height of a cylinder")
        return self


class Detector(Settings):
    """Settings of a detector: what a recoil becomes in it."""

    threshold: NonNegativeFloat = setting(
        ..., "least e_reco_nr that is selected, whatever the efficiency", "keV_nr"
    )
    e_max: PositiveFloat | None = setting(
        None, "largest energy analysed; by default the end point", "keV_nr"
    )
    quenching: Quenching = setting(..., "electron-equivalent energy of a recoil")
    resolution: Resolution = setting(NoResolution(model="none"), "energy resolution")
    efficiency: Efficiency = setting(Step(model="step"), "acceptance of signal events")
    region: Annotated[list[float], Field(min_length=2, max_length=2)] | None = setting(
        None, "only events with e_reco in [low, high] are selected", "unit of e_reco"
    )
    time_resolution: NonNegativeFloat | Literal["exposure"] = setting(
        0.0, "Gaussian σ of the time, or 'exposure' where only the window is known", "ns"
    )
    time_efficiency: TimeEfficiency = setting(
        Always(), "acceptance by the measured time, of signal and backgrounds"
    )
    dead_time: float = setting(0.0, "part of the time lost to the veto", ge=0, lt=1)
    dead_time_of: Literal["event", "exposure"] = setting(
        "event", "the veto rejects single events, or whole exposures (one window of one pulse)"
    )
    geometry: Geometry | None = setting(None, "active volume, for places on request")

    @model_validator(mode="before")
    @classmethod
    def _with_reference(cls, settings: Any) -> Any:
        return with_reference(settings)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.resolution.is_anchored(self.threshold):
            key = "reference" in type(self.resolution).model_fields
            raise ValueError(
                f"resolution '{self.resolution.model}' is relative to a threshold above 0"
                + (", or to an energy of its own: give detector.resolution.reference" * key)
            )
        if self.quenching.sees_recoils and self.resolution.needs_quenching:
            raise ValueError(f"resolution '{self.resolution.model}' needs a quenching model")
        if self.region is not None and not self.region[0] < self.region[1]:
            raise ValueError(f"region must increase, not {self.region}")
        if self.time_resolution == "exposure" and not self.time_efficiency.keeps_all():
            raise ValueError(
                "time_efficiency needs times, which time_resolution = 'exposure' does not have"
            )
        return self

    @property
    def unit(self) -> str:
        """Unit of `e_reco`."""
        return "keV_nr" if self.quenching.sees_recoils else self.resolution.unit_of_reco()

    @property
    def per_kev(self) -> float:
        """Units of `e_reco` in a keV_ee."""
        return self.resolution.per_kev()

    def electron_equivalent(self, recoil: ArrayLike) -> Array:
        """Quenched energy in keV_ee of recoils in keV_nr; 0 at 0."""
        return self.quenching.electron_equivalent(np.maximum(np.asarray(recoil, float), 0.0))

    def reconstructed(self, recoil: ArrayLike) -> Array:
        """Recoil energies in keV_nr in the unit of `e_reco`; infinite ones stay.

        Where e_reco is a whole number, one that differs from it by rounding alone is that number,
        so that what lies on an edge of a bin or on the threshold is above it, as everywhere.
        """
        t = np.asarray(recoil, float)
        if self.unit == "keV_nr":
            return t
        finite = np.isfinite(t)
        energy = self.electron_equivalent(np.where(finite, t, 0.0)) * self.per_kev
        if self.resolution.whole_numbers:
            number = np.round(energy)
            energy = np.where(np.abs(energy - number) <= WHOLE * number, number, energy)
        return np.where(finite, energy, t)

    def recoil_equivalent(self, energy: ArrayLike, high: float) -> Array:
        """Recoil in keV_nr that gives a quenched energy in keV_ee, sought up to `high` keV_nr."""
        t = np.linspace(0, np.sqrt(high), 65537) ** 2
        return np.interp(np.asarray(energy, float), self.electron_equivalent(t), t)

    def quenched_alike(self, recoil: ArrayLike, factor: float) -> Array:
        """Recoils in keV_nr whose quenched energy is `factor` times that of some recoils."""
        t = np.asarray(recoil, float)
        if factor == 1 or self.quenching.sees_recoils:
            return factor * t
        high = 2 * max(factor, 1.0) * float(np.max(t, initial=0.0)) + 1
        return self.recoil_equivalent(factor * self.electron_equivalent(t), high)

    def acceptance(
        self, e_reco: ArrayLike, e_reco_nr: ArrayLike, threshold: float | None = None
    ) -> Array:
        """Probability that a signal event of these reconstructed energies is selected.

        This is what `selected` means, in ntuples, rates and fits: an event is selected if its
        e_reco_nr is `detector.threshold` or above, its e_reco is in `detector.region`,
        `detector.efficiency` accepts it, it is in a window, and the veto does not take it. To
        the energies of a background that are measured (after cuts) efficiency does not apply;
        all else does. `threshold` in keV_nr is by default the detector's.
        """
        inside = self._inside(e_reco, e_reco_nr, threshold)
        return np.where(inside, self.efficiency.at(e_reco), 0.0)

    def passes(self, e_reco: ArrayLike, e_reco_nr: ArrayLike) -> NDArray[np.bool_]:
        """Whether measured events are within the cuts in energy, which know nothing of chance.

        An efficiency that vanishes as a formula is no cut: background is measured there too.
        """
        return self._inside(e_reco, e_reco_nr) & ~self.efficiency.cuts(e_reco)

    def _inside(
        self, e_reco: ArrayLike, e_reco_nr: ArrayLike, threshold: float | None = None
    ) -> NDArray[np.bool_]:
        """Whether events are above threshold and in the region."""
        e = np.asarray(e_reco, float)
        least = self.threshold if threshold is None else threshold
        if self.resolution.whole_numbers:
            inside = e >= self.reconstructed(least)
        else:
            inside = np.asarray(e_reco_nr) >= least
        if self.region is not None:
            inside = inside & (e >= self.region[0]) & (e <= self.region[1])
        return np.asarray(inside, np.bool_)

    def acceptance_edges(self, high: float) -> Array:
        """Recoil energies in keV_nr, sought up to `high`, at which the acceptance may jump."""
        edges = np.array([*(self.region or ()), *self.efficiency.edges()], dtype=float)
        if not self.quenching.sees_recoils:
            edges = self.recoil_equivalent(edges / self.per_kev, 2 * high + 1)
        return np.append(edges, self.threshold)

    def selection_probability(self, recoil: ArrayLike, high: float) -> Array:
        """Probability that a recoil is accepted, smearing included, windows and veto not.

        Parameters
        ----------
        recoil
            True recoil energies, keV_nr, shape (n,).
        high
            End point of the recoils, keV_nr.

        Returns
        -------
        array, shape (n,)
            To about 1e-5: the smeared spectrum is integrated over fine bins whose edges lie on
            the threshold and on the limits of the region.
        """
        return self.bin_probability(recoil, [-np.inf, np.inf], "keV_nr", high)[:, 0]

    def bin_probability(
        self,
        recoil: ArrayLike,
        edges: ArrayLike,
        scale: Literal["keV_nr", "reco"],
        high: float,
        shift: Shift | None = None,
    ) -> Array:
        """Probability that a recoil is accepted and reconstructed in each bin.

        Parameters
        ----------
        recoil
            True recoil energies, keV_nr, shape (n,).
        edges
            Increasing edges, shape (bins + 1,), of ``e_reco_nr`` in keV_nr, or of ``e_reco`` in
            its unit, as `scale` says. A bin holds its lower edge.
        high
            End point of the recoils, keV_nr.
        shift
            A response other than the nominal one; acceptance and bins stay where they are.

        Returns
        -------
        array, shape (n, bins)
        """
        shift = shift or Shift()
        t = np.atleast_1d(np.asarray(recoil, float))
        bins = _Bins(self._with(shift), np.asarray(edges, float), scale, high, shift.threshold)
        quenching = shift.quenching or self.quenching
        e_ee = shift.energy * quenching.electron_equivalent(np.maximum(t, 0.0))
        if not self.resolution.has_width:
            return bins.accepted(e_ee * self.per_kev, self._seen(t, shift))
        if self.resolution.whole_numbers:
            return self._binned_photoelectrons(e_ee, bins)
        mean = self._seen(t, shift) if self.resolution.on_recoil else e_ee
        sigma = shift.width * self.resolution.sigma(mean, self.threshold)
        if self.resolution.is_gamma():
            return self._binned_gamma(mean, sigma, bins)
        return self._binned_gaussian(mean, sigma, bins)

    def _with(self, shift: Shift) -> Detector:
        """The detector with the efficiency of another response."""
        if shift.efficiency is None:
            return self
        return self.model_copy(update={"efficiency": shift.efficiency})

    def _seen(self, recoil: Array, shift: Shift) -> Array:
        """Recoils that have the quenched energy which those of another response have."""
        if shift.quenching is None:
            return self.quenched_alike(recoil, shift.energy)
        energy = shift.energy * shift.quenching.electron_equivalent(np.maximum(recoil, 0.0))
        return self.recoil_equivalent(energy, 4 * float(np.max(recoil, initial=0.0)) + 1)

    def recoil_sigma(self, recoil: ArrayLike) -> Array:
        """Resolution on the nuclear-recoil scale, keV, at recoils in keV_nr; 0 without any."""
        t = np.asarray(recoil, float)
        if not self.resolution.has_width:
            return np.zeros_like(t)
        if self.resolution.on_recoil:
            return self.resolution.sigma(t, self.threshold)
        step = 1e-3 * np.maximum(t, 1e-3)
        e, above = self.electron_equivalent([t, t + step])
        return self.resolution.sigma(e, self.threshold) * step / (above - e)

    def _binned_photoelectrons(self, e_ee: Array, bins: _Bins) -> Array:
        from scipy.stats import poisson

        mean = e_ee * self.per_kev
        most = int(mean.max() + 10 * np.sqrt(mean.max()) + 20)
        number = np.arange(most + 1)
        recoil = self.recoil_equivalent(number / self.per_kev, 2 * bins.high + 1)
        return poisson.pmf(number[:, None], mean).T @ bins.accepted(number, recoil)

    def _binned_gamma(self, mean: Array, sigma: Array, bins: _Bins) -> Array:
        from scipy.special import gammainc

        scale = sigma**2 / np.maximum(mean, 1e-300)
        reach = 9 * sigma + 10 * np.minimum(scale, 5 * sigma)  # its tail falls as exp(−x/scale)
        x, accept = self._fine_bins(float(np.max(mean + reach)), bins)
        used = np.flatnonzero(accept[1:].any(axis=1))
        if used.size == 0:
            return np.zeros((len(mean), accept.shape[1]))
        x, accept = x[used[0] : used[-1] + 2], accept[used[0] + 1 : used[-1] + 2]
        shares = np.empty((len(mean), accept.shape[1]))
        for rows in np.array_split(np.arange(len(mean)), 1 + len(mean) // ROWS):
            form = np.maximum(mean[rows] / np.maximum(scale[rows], 1e-300), 1e-12)
            below = gammainc(form[:, None], x / np.maximum(scale[rows], 1e-300)[:, None])
            shares[rows] = np.diff(below, axis=1) @ accept
        return shares

    def _binned_gaussian(self, mean: Array, sigma: Array, bins: _Bins) -> Array:
        from ..chain.respond import smeared_shares

        x, accept = self._fine_bins(float(np.max(mean + 9 * sigma)), bins)
        shares = np.zeros((len(mean), accept.shape[1]))
        smeared_shares(x, mean, np.maximum(sigma, 1e-12), np.ascontiguousarray(accept), shares)
        return shares

    def _fine_bins(self, top: float, bins: _Bins) -> tuple[Array, Array]:
        """Energies up to `top` as they are spread, and acceptance in the fine bin below each.

        Shapes (k,) and (k, bins); the first is that of energies held at 0.
        """
        on_recoil = self.resolution.on_recoil
        marks = bins.marks
        if not on_recoil:
            marks = self.electron_equivalent(marks)
        x = np.unique(np.concatenate([np.linspace(0.0, np.sqrt(top), 2049) ** 2, marks]))
        x = x[(x >= 0) & (x <= top)]
        middle = np.concatenate([[0.0], (x[1:] + x[:-1]) / 2])  # energies are held at 0
        if on_recoil:
            accept = bins.accepted(self.electron_equivalent(middle) * self.per_kev, middle)
        else:
            recoil = self.recoil_equivalent(middle, 2 * bins.high + 1)
            accept = bins.accepted(middle * self.per_kev, recoil)
        return x, accept


class Shift(NamedTuple):
    """What a systematic uncertainty changes of the nominal response, most of it by factors."""

    energy: float = 1.0
    """Factor on the mean reconstructed energy: quenching."""
    width: float = 1.0
    """Factor on the resolution σ."""
    threshold: float = 1.0
    """Factor on the threshold of the acceptance."""
    quenching: Quenching | None = None
    """Another quenching; the scale of e_reco_nr, bins and acceptance stay."""
    efficiency: Efficiency | None = None
    """Another efficiency."""
    delay: float = 0.0
    """Added to all times, ns."""
    spread: float = 1.0
    """Factor on the widths of the pulse, or of a background's profile, and of the resolution."""
    radius: float = 1.0
    """Factor on the radii of the neutrons in nuclei; of the protons too, if they have no own."""

    @property
    def moves_times(self) -> bool:
        """Whether arrival times are others."""
        return self.delay != 0 or self.spread != 1


class _Bins:
    """Acceptance of each bin of reconstructed energy."""

    def __init__(
        self, detector: Detector, edges: Array, scale: str, high: float, threshold: float
    ) -> None:
        if scale != "reco" and detector.resolution.whole_numbers:
            edges = detector.reconstructed(edges)
        self.detector, self.edges, self.high = detector, edges, high
        self.on_reco = scale == "reco" or detector.resolution.whole_numbers
        self.threshold = threshold * detector.threshold
        inside = edges[np.isfinite(edges)]
        if self.on_reco and not detector.quenching.sees_recoils:
            inside = detector.recoil_equivalent(inside / detector.per_kev, 2 * high + 1)
        self.marks = np.concatenate([detector.acceptance_edges(high), [self.threshold], inside])
        """Recoil energies in keV_nr at which the acceptance or the bin may change."""

    def accepted(self, e_reco: ArrayLike, e_reco_nr: ArrayLike) -> Array:
        """Probability of selection in each bin at given energies, shape (n, bins)."""
        value = self.detector.acceptance(e_reco, e_reco_nr, self.threshold)
        energy = np.asarray(e_reco if self.on_reco else e_reco_nr, float)
        number = np.searchsorted(self.edges, energy, side="right") - 1
        return value[:, None] * (number[:, None] == np.arange(len(self.edges) - 1))
