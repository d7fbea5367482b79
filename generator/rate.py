"""Expected rates by quadrature: dR/dT by flavour and nucleus, and their integrals.

dR/dT = N_nuclei Φ Σ_k P_k(T) ∫_{E_min(T)} φ(E) E^−k dE, with P_k of `cross_section`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array
from .beam import FlavourFlux, Source
from .coupling import Interaction
from .cross_section import energy_min, recoil_factors, recoil_max
from .target import Nucleus, Target

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class Channel:
    """Scattering of one flavour on one nucleus."""

    flavour: FlavourFlux
    nucleus: Nucleus
    interaction: Interaction
    exposure: float
    """Nuclei times neutrinos through a cm² in a year of operation, 1/cm²."""

    @property
    def end_point(self) -> float:
        """Largest recoil energy, keV."""
        return float(recoil_max(self.flavour.spectrum.end_point, self.nucleus.mass))

    def factors(self, recoil: ArrayLike) -> Array:
        """P0, P1, P2 of the cross section at recoil energies (keV), shape (3, n)."""
        return recoil_factors(recoil, self.nucleus, self.interaction, self.flavour.name)

    def cross_section_average(self, recoil: ArrayLike) -> Array:
        """Flux-averaged dσ/dT, cm²/keV, at recoil energies T (keV)."""
        t = np.atleast_1d(np.asarray(recoil, dtype=float))
        moments = self.flavour.spectrum.moments(energy_min(t, self.nucleus.mass))
        return np.maximum((self.factors(t) * moments).sum(axis=0), 0.0)

    def rate(self, recoil: ArrayLike) -> Array:
        """dR/dT a year of operation, 1/keV, at recoil energies T (keV)."""
        return self.exposure * self.cross_section_average(recoil)


def channels(source: Source, target: Target, interaction: Interaction) -> tuple[Channel, ...]:
    """All (flavour, nucleus) pairs, flavours in the order of `component`."""
    return tuple(
        Channel(
            flavour,
            nucleus,
            interaction,
            nucleus.per_kg * target.mass * source.fluence_per_year(flavour),
        )
        for flavour in source.flavours
        for nucleus in target.nuclei
    )


def quadrature_nodes(edges: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights, 16 in each interval between increasing `edges`."""
    half = np.diff(edges) / 2
    nodes = (edges[:-1, None] + half[:, None]) + half[:, None] * _NODES
    return nodes.ravel(), (half[:, None] * _WEIGHTS).ravel()


def recoil_grid(low: float, high: float, *breaks: float) -> Array:
    """Edges for quadrature in T (keV): fine steps in √T, and log steps towards a low threshold.

    The first suits spectra that end smoothly, the second the 1/T of a magnetic moment.
    """
    root = np.linspace(np.sqrt(low), np.sqrt(high), 33)[1:-1] ** 2
    logs = np.geomspace(low, high, 17)[1:-1] if low > 0 else np.empty(0)
    inside = [b for b in breaks if low < b < high]
    return np.unique(np.concatenate([[low], root, logs, inside, [high]]))


def above(channel: Channel, threshold: float) -> float:
    """Events a year of operation with true recoil energy above `threshold` (keV)."""
    return integral(channel, threshold, channel.end_point)


def integral(channel: Channel, low: float, high: float) -> float:
    """Events a year of operation with true recoil energy between two limits (keV)."""
    high = min(high, channel.end_point)
    if low >= high:
        return 0.0
    nodes, weights = quadrature_nodes(recoil_grid(low, high, *_kinks(channel)))
    return float(channel.rate(nodes) @ weights)


def flux_averaged_cross_section(channel: Channel, low: float = 0.0) -> float:
    """σ averaged over the flavour's flux, cm², for recoils above `low` (keV)."""
    return above(channel, low) / channel.exposure


def _kinks(channel: Channel) -> Iterator[float]:
    """Recoil energies at which dR/dT of a tabulated spectrum may bend."""
    edges = channel.flavour.spectrum.edges
    if 2 <= len(edges) <= 512:
        yield from (float(t) for t in recoil_max(edges, channel.nucleus.mass))
