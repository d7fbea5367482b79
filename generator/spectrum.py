"""Neutrino energy spectra: pion decay at rest (closed forms), a line, or a table.

Decay at rest, arXiv:1911.00762 eq. (2.1), with x = E/m_μ in [0, 1/2]:
ν̄_μ ∝ x²(3/4 − x), ν_e ∝ x²(1/2 − x), ν_μ a line at (m_π² − m_μ²)/(2 m_π).

A continuous spectrum is piecewise cubic: exact for decay at rest (one segment) and for a table
(linear between its points), so sampling and quadrature use the very same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array
from .constants import MUON_MASS, PION_MASS

PION_LINE = (PION_MASS**2 - MUON_MASS**2) / (2 * PION_MASS)
"""Energy of the ν_μ from π⁺ decay at rest, 29.79 MeV."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Spectrum of one flavour, normalised to one.

    A line has one edge and no coefficients. Otherwise in segment i, with s in [0, 1] across it,
    the density in 1/MeV is ``c[i, 0] + c[i, 1] s + c[i, 2] s² + c[i, 3] s³``.
    """

    edges: Array
    """Edges of the segments, MeV, shape (n + 1,)."""
    coefficients: Array
    """Density in the segments, 1/MeV, shape (n, 4)."""

    @property
    def is_line(self) -> bool:
        """Whether all neutrinos have a single energy."""
        return len(self.edges) == 1

    @property
    def end_point(self) -> float:
        """Largest energy, MeV."""
        return float(self.edges[-1])

    def density(self, energy: ArrayLike) -> Array:
        """Density at `energy` (MeV), in 1/MeV; zero outside the edges. Not for a line."""
        if self.is_line:
            raise ValueError("a line has no finite density")
        e = np.asarray(energy, dtype=float)
        i = np.clip(np.searchsorted(self.edges, e, side="right") - 1, 0, len(self.edges) - 2)
        s = (e - self.edges[i]) / (self.edges[i + 1] - self.edges[i])
        c = self.coefficients[i]
        value = c[..., 0] + s * (c[..., 1] + s * (c[..., 2] + s * c[..., 3]))
        inside = (e >= self.edges[0]) & (e <= self.edges[-1])
        return np.where(inside, value, 0.0)

    def moments(self, e_min: ArrayLike) -> Array:
        """Integrals of density, density/E and density/E² above `e_min`.

        Parameters
        ----------
        e_min
            Lower limits, MeV, shape (n,).

        Returns
        -------
        array, shape (3, n)
            Moments in MeV⁰, MeV⁻¹ and MeV⁻²; by Gauss-Legendre quadrature a segment (relative error
            below 1e-10 for decay at rest above 1 MeV).
        """
        low = np.atleast_1d(np.asarray(e_min, dtype=float))
        if self.is_line:
            energy = self.edges[0]
            above = (low < energy).astype(float)
            return np.stack([above, above / energy, above / energy**2])
        result = np.zeros((3, low.size))
        starts, stops = self.edges[:-1], self.edges[1:]
        whole = self._quadrature(starts, stops)
        above_segment = np.concatenate(
            [np.cumsum(whole[:, ::-1], axis=1)[:, ::-1], np.zeros((3, 1))], axis=1
        )
        i = np.clip(np.searchsorted(self.edges, low, side="right") - 1, 0, len(starts) - 1)
        a = np.clip(low, starts[i], stops[i])
        result = self._quadrature(a, stops[i]) + above_segment[:, i + 1]
        result[:, low >= self.end_point] = 0.0
        return result

    def _quadrature(self, a: Array, b: Array) -> Array:
        half = (b - a) / 2
        e = (a + b)[:, None] / 2 + half[:, None] * _NODES
        f = self.density(e) * _WEIGHTS * half[:, None]
        safe = np.where(e > 0, e, 1.0)
        return np.stack([f.sum(1), (f / safe).sum(1), (f / safe**2).sum(1)])


def line(energy: float) -> Spectrum:
    """Spectrum of neutrinos that all have one energy (MeV)."""
    if not 0 < energy < np.inf:
        raise ValueError(f"energy of a line must be positive and finite, not {energy}")
    return Spectrum(np.array([float(energy)]), np.empty((0, 4)))


def tabulated(energy: ArrayLike, density: ArrayLike) -> Spectrum:
    """Spectrum linear between points (MeV, any unit), normalised to one."""
    e, f = np.asarray(energy, dtype=float), np.asarray(density, dtype=float)
    if e.ndim != 1 or e.shape != f.shape or e.size < 2:
        raise ValueError("a spectrum table needs two columns and at least two rows")
    if not (np.all(np.isfinite(e)) and np.all(np.isfinite(f))):
        raise ValueError("a spectrum table must be finite")
    if not (np.all(np.diff(e) > 0) and e[0] >= 0):
        raise ValueError("energies of a spectrum table must increase from 0 or above")
    if np.any(f < 0) or not np.any(f > 0):
        raise ValueError("a spectrum table must be nowhere negative and somewhere positive")
    area = float(np.sum((f[1:] + f[:-1]) / 2 * np.diff(e)))
    zero = np.zeros(e.size - 1)
    return Spectrum(e, np.stack([f[:-1], np.diff(f), zero, zero], axis=1) / area)


def _decay_at_rest(norm: float, end: float) -> Spectrum:
    # norm/m x² (end - x) with x = s/2, s in [0, 1]: norm/m (end s²/4 - s³/8)
    scale = norm / MUON_MASS
    return Spectrum(
        np.array([0.0, MUON_MASS / 2]), np.array([[0.0, 0.0, scale * end / 4, -scale / 8]])
    )


def decay_at_rest() -> dict[str, Spectrum]:
    """Spectra of ν_μ (prompt line), ν_e and ν̄_μ from π⁺ decay at rest, eq. (2.1)."""
    return {
        "numu": line(PION_LINE),
        "nue": _decay_at_rest(192.0, 0.5),
        "numubar": _decay_at_rest(64.0, 0.75),
    }
