"""q as a function of the scores, whose distribution is known: what toys need not measure.

At a point of the grid q depends on a toy nearly only by its scores: as many linear combinations z
of counts, beam-off counts and centres of pulls as there are scanned parameters, those that the
parameters and nothing else would move (the efficient scores), here with mean 0 and covariance 1.
The surrogate q_s(z) is q of the data sets that are expected but for a displacement by z, fitted on
a few rays and interpolated as q_s = |z|² a(z). It has all minima, bounds and curvature, and lacks
fluctuations that leave z as it is.

The probability of q_s > c needs no toys. A sum of Poisson counts k_i of means λ_i with coefficients
b_i, and Gaussian centres, has the characteristic function

    log φ(t) = Σ_i λ_i (exp(i b_i·t) − 1 − i b_i·t) − |G t|² / 2,

and its Fourier transform is the density of z at any counts. `control` lets toys measure what is
left, the difference of q and q_s.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..construction.neyman import Construction
from ..counts.model import Data
from ..counts.polynomial import derivative
from ..kernels.weigh import interpolate
from ..scan.outline import threshold

Complex = NDArray[np.complex128]

RAYS = {1: 2, 2: 12}
"""Directions of z in which data sets are fitted, by the number of scanned parameters."""
RADII = (0.8, 1.2, 1.8)
"""Values of |z| at which data sets are fitted, in units of the root of Wilks' threshold."""
REACH = 6.0
"""Reach of the lattice in z: |z_i| < REACH."""
CELLS = {1: 4096, 2: 256}
"""Cells of the lattice in each z_i."""
HIGHEST = 6.5
"""Frequencies |t_i| that the density needs: φ of a Gaussian is 1e-9 there."""
INTEGRATION = 5e-5
"""Error of a probability from the lattice: a sharp edge through cells."""
ROUGH = 1e-3
"""z whose |φ(t)|/|t| is above this somewhere beyond `HIGHEST` is taken to be discrete."""


def asimov_fits(dimension: int) -> int:
    """Number of data sets that are fitted at each point beside its toys."""
    return RAYS[dimension] * len(RADII)


class Lattice(NamedTuple):
    """Values of z at which q_s is tabulated; the same for all points of a grid."""

    radii: Array
    """Values of |z| of the nodes."""
    z: Array
    """Values of z of the cells, shape (cells, scanned parameters)."""

    @property
    def dimension(self) -> int:
        """Number of scanned parameters."""
        return self.z.shape[1]


def lattice(dimension: int, cl: float) -> Lattice:
    """Lattice for the critical value at a confidence level."""
    radii = np.sqrt(threshold(cl, dimension)) * np.array(RADII)
    x = REACH * (2 * np.arange(CELLS[dimension]) / CELLS[dimension] - 1)
    z = np.stack([g.ravel() for g in np.meshgrid(*dimension * [x], indexing="ij")], axis=1)
    return Lattice(radii, z)


class Surrogate(NamedTuple):
    """q_s at one point of the grid, and its distribution."""

    scores: Array
    """z = scores · (features − mean), shape (scanned parameters, features)."""
    mean: Array
    """Means of the features: counts, fluctuated centres, beam-off counts."""
    radii: Array
    waves: Complex
    """Fourier series of a = q_s/|z|² in the angle at each radius, shape (radii, waves)."""
    table: Array
    """q_s on the lattice, shape (cells,)."""
    width: Array
    """How much q_s changes over a cell, shape (cells,)."""
    probability: Array
    """Probability of each cell, shape (cells,)."""

    def q(self, features: Array) -> Array:
        """The q_s of toys, shape (toys,), of features of shape (toys, features)."""
        z = np.einsum("tf,if->ti", features - self.mean, self.scores)  # whatever threads BLAS has
        return interpolate(z, self.radii, self.waves)

    def above(self, c: float) -> float:
        """The probability of q_s > c."""
        part = np.clip(0.5 + (self.table - c) / self.width, 0.0, 1.0)
        return float(np.sum(part * self.probability))


def surrogate(construction: Construction, g: int, on: Lattice) -> Surrogate | None:
    """The surrogate at a grid point, or none where z is discrete, with few counts."""
    c, model = construction, construction.model
    truth = c.truth(g)
    expected = np.broadcast_to(model.expected.at(truth.values), (model.bins,)) + truth.background
    pulled = np.flatnonzero(model.weight)
    measured = np.flatnonzero(model.tau)
    off = (model.tau * truth.background)[measured]
    mean = np.maximum(np.concatenate([expected, truth.values[pulled], off]), 0.0)
    mean[model.bins : model.bins + len(pulled)] = truth.values[pulled]
    scale = np.sqrt(np.concatenate([expected.clip(0), 1 / model.weight[pulled], off.clip(0)]))
    gaussian = np.zeros(len(mean), bool)
    gaussian[model.bins : model.bins + len(pulled)] = True
    thrown = ~gaussian | (c.ensemble.centres == "fluctuated")
    directions = _efficient_scores(c, truth.values, scale)[:, thrown]
    directions = np.linalg.svd(directions, full_matrices=False)[2]
    mean_thrown, scale_thrown = mean[thrown], scale[thrown]
    scores = directions / np.where(scale_thrown > 0, scale_thrown, np.inf)
    poisson = ~gaussian[thrown]
    spread = directions[:, ~poisson]
    spectrum = _spectrum(on.dimension, scores[:, poisson], mean_thrown[poisson], spread)
    if spectrum is None:
        return None

    displaced = np.repeat(mean[None], len(RADII) * RAYS[on.dimension], axis=0)
    displaced[:, thrown] += _nodes(on.dimension, on.radii) @ directions * scale_thrown
    displaced[:, ~gaussian] = np.maximum(displaced[:, ~gaussian], 0.0)
    centre = np.zeros((len(displaced), model.variables))
    centre[:, pulled] = displaced[:, gaussian] * (c.ensemble.centres == "fluctuated")
    beam_off = np.zeros((len(displaced) if len(measured) else 1, model.bins))
    if len(measured):
        beam_off[:, measured] = displaced[:, model.bins + len(pulled) :]
    data = Data(displaced[:, : model.bins], beam_off, centre)
    at, free = c.fit_toys(data, truth.values[None])
    waves = _waves((at.chi2 - free.chi2).reshape(len(on.radii), -1) / on.radii[:, None] ** 2)

    table = interpolate(on.z, on.radii, waves)
    cells = on.dimension * (CELLS[on.dimension],)
    slopes = np.gradient(table.reshape(cells), axis=tuple(range(on.dimension)))
    width = np.sqrt(np.sum(np.square(slopes).reshape(on.dimension, -1), axis=0))
    probability = np.fft.irfftn(spectrum, cells, axes=range(on.dimension)).ravel()
    width = np.maximum(width, 1e-12)
    return Surrogate(scores, mean_thrown, on.radii, waves, table, width, probability)


def _efficient_scores(c: Construction, values: Array, scale: Array) -> Array:
    """Slopes of counts, centres and beam-off counts by the scanned parameters.

    In units of their standard deviations, without what the other variables would do as well.
    Where one standard deviation of counts, √(2/bend) of the parameter by its second derivative
    alone, is mostly due to that, as for a coupling close to the least of its rate, the second.
    """
    model = c.model
    pulled, measured = np.flatnonzero(model.weight), np.flatnonzero(model.tau)
    first_off = model.bins + len(pulled)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale > 0, 1 / scale, 0.0)
    rows = np.zeros((model.variables + len(measured), len(scale)))
    for k in range(model.variables):
        once = derivative(model.expected, k)
        rows[k, : model.bins] = once.at(values)
        curved = np.broadcast_to(derivative(once, k).at(values), (model.bins,))
        slope, bend = (
            float(np.linalg.norm(x * inverse[: model.bins]))
            for x in (rows[k, : model.bins], curved)
        )
        if slope**2 < bend / 2:
            rows[k, : model.bins] = curved
    rows[pulled, model.bins + np.arange(len(pulled))] = 1.0
    free = model.variables + np.arange(len(measured))
    rows[free, measured] = 1.0
    rows[free, first_off + np.arange(len(measured))] = model.tau[measured]
    rows *= inverse
    others = np.delete(rows, c.held, axis=0)
    lengths = np.linalg.norm(others, axis=1)
    others = others[lengths > 0] / lengths[lengths > 0, None]
    _, size, basis = np.linalg.svd(others, full_matrices=False)
    basis = basis[size > 1e-9]
    scanned = rows[c.held]
    scanned = scanned - (scanned @ basis.T) @ basis
    lengths = np.linalg.norm(scanned, axis=1)
    return scanned / np.where(lengths > 0, lengths, 1.0)[:, None]


def _spectrum(dimension: int, b: Array, mean: Array, spread: Array) -> Complex | None:
    """Fourier transform of the density of z on the lattice; none if z is discrete.

    Parameters
    ----------
    b, mean
        Coefficients, shape (dimension, counts), and means of Poisson counts.
    spread
        Coefficients of standard normal numbers, shape (dimension, numbers).
    """

    def log_phi(t: NDArray[Any]) -> Any:
        x = t @ b
        return (np.exp(1j * x) - 1 - 1j * x) @ mean - np.sum((t @ spread) ** 2, axis=1) / 2

    radii = np.arange(HIGHEST, 100.0, 0.25)
    rays = np.pi * np.arange(RAYS[dimension] // 2) / (RAYS[dimension] // 2)
    for ray in rays:
        direction = np.array([np.cos(ray), np.sin(ray)][:dimension])
        x = np.outer(radii, direction @ b)
        log_size = (np.cos(x) - 1) @ mean - radii**2 * np.sum((direction @ spread) ** 2) / 2
        if np.any(log_size - np.log(radii) > np.log(ROUGH)):
            return None
    n, most = CELLS[dimension], int(HIGHEST * REACH / np.pi)
    each = [np.arange(-most, most + 1)] * (dimension - 1) + [np.arange(most + 1)]
    k = np.stack([g.ravel() for g in np.meshgrid(*each, indexing="ij")], axis=1)
    phi = np.exp(log_phi(k * np.pi / REACH))
    spectrum = np.zeros((*(dimension - 1) * (n,), n // 2 + 1), complex)
    spectrum[tuple(k.T)] = np.conj(phi) * (1 - 2 * (k.sum(axis=1) % 2))
    return spectrum


def _nodes(dimension: int, radii: Array) -> Array:
    """Places z where data sets are fitted, shape (nodes, dimension), ray by ray at each radius."""
    angle = 2 * np.pi * np.arange(RAYS[dimension]) / RAYS[dimension]
    rays = np.stack([np.cos(angle), np.sin(angle)][:dimension], axis=1)
    return (radii[:, None, None] * rays).reshape(-1, dimension)


def _waves(nodes: Array) -> Complex:
    """Fourier series in the angle: Re Σ_m waves_m exp(i m angle), shape (radii, waves)."""
    rays = nodes.shape[1]
    waves = np.fft.rfft(nodes, axis=1) / rays
    waves[:, 1 : rays // 2] *= 2
    return waves
