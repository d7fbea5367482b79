"""Neutrino energy and recoil energy of true events, for any coupling and spectrum.

The density φ(E) dσ/dT of a channel is bounded from above by a constant in each cell of a grid in
(E, T). A cell is drawn by the alias method (Walker 1977), a point in it uniformly, and kept with
the ratio of density to bound (about 90 % are). So the grid decides the speed alone, and the
distribution is that of φ and of the cubic pieces through T P0, T P1, T P2 (smooth also where a
magnetic moment makes P ∝ 1/T), which follow the exact functions to 1e-5 (tested).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .constants import KEV
from .cross_section import energy_min
from .kernel import kernel
from .rate import Channel
from .spectrum import Spectrum
from .stream import LOW, PURPOSE, SHIFT, fill_words, stream_number, uniform

Array = NDArray[np.float64]

ENERGY_CELLS = 32
RECOIL_CELLS = 128
"""Cells in T; a power of two, so that the compiled kernel divides by a shift."""
LEAST_RECOIL = 1e-6
"""Smallest truth threshold, keV."""
CANDIDATES = 512
"""Candidates drawn at a time."""

_SUB = np.linspace(0.0, 1.0, 9)
_MARGIN = 0.04
_FIT = (1 - np.cos(np.pi * (np.arange(4) + 0.5) / 4)) / 2
_TO_CUBIC = np.linalg.inv(np.vander(_FIT, 4, increasing=True))


class RecoilTables(NamedTuple):
    """Tables of the sampler, one row a channel."""

    alias: NDArray[np.uint64]
    """Alias table over cells, (threshold << 32) | other, shape (channels, cells)."""
    bound: Array
    """Upper bound of the density in each cell, shape (channels, cells)."""
    energy: Array
    """Cells in E: start and width (MeV), cubic of φ; shape (channels, energy cells, 6)."""
    recoil: Array
    """Cells in T: start and width (keV), cubics of T P0, T P1, T P2; (channels, cells, 14)."""
    mass: Array
    """Nuclear mass, MeV, shape (channels,)."""


@kernel
def build_alias(weight, alias):  # type: ignore[no-untyped-def]
    """Alias table of non-negative weights (Vose's construction)."""
    n = weight.size
    total = weight.sum()
    scaled = weight * (n / total)
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    n_small = n_large = 0
    for i in range(n):
        if scaled[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        low, high = small[n_small], large[n_large - 1]
        alias[low] = (np.uint64(scaled[low] * 4294967295.0) << SHIFT) | np.uint64(high)
        scaled[high] -= 1.0 - scaled[low]
        if scaled[high] < 1.0:
            n_large -= 1
            small[n_small] = high
            n_small += 1
    for i in range(n_large):
        alias[large[i]] = (LOW << SHIFT) | np.uint64(large[i])
    for i in range(n_small):
        alias[small[i]] = (LOW << SHIFT) | np.uint64(small[i])


@kernel
def sample_recoils(  # type: ignore[no-untyped-def]
    key, c1, c2, c3, count, alias, bound, energy, recoil, mass, words, e_nu, e_nr
):
    """Write `count` pairs (E in MeV, T in keV) to `e_nu` and `e_nr`; return candidates drawn.

    `alias` ... `recoil` are the rows of one channel, `words` is scratch, uint32 (4, CANDIDATES).
    The arrays for the result need room for CANDIDATES more than `count`.
    """
    n_cells = np.uint64(alias.size)
    done = 0
    drawn = 0
    while done < count:
        batch = min(words.shape[1], (count - done) + (count - done) // 8 + 8)
        fill_words(key, np.uint64(drawn), c1, c2, c3, batch, words)
        drawn += batch
        for i in range(batch):
            scaled = np.uint64(words[0, i]) * n_cells
            cell = scaled >> SHIFT
            entry = alias[cell]
            other = entry & LOW  # chosen without a branch, which would be mispredicted
            mask = np.uint64(0) - np.uint64((scaled & LOW) <= (entry >> SHIFT))
            cell = other ^ ((other ^ cell) & mask)
            row = cell // np.uint64(RECOIL_CELLS)
            column = cell % np.uint64(RECOIL_CELLS)
            s = uniform(words[1, i])
            r = uniform(words[2, i])
            e = energy[row, 0] + s * energy[row, 1]
            t = recoil[column, 0] + r * recoil[column, 1]
            phi = energy[row, 2] + s * (energy[row, 3] + s * (energy[row, 4] + s * energy[row, 5]))
            p0 = recoil[column, 2] + r * (
                recoil[column, 3] + r * (recoil[column, 4] + r * recoil[column, 5])
            )
            p1 = recoil[column, 6] + r * (
                recoil[column, 7] + r * (recoil[column, 8] + r * recoil[column, 9])
            )
            p2 = recoil[column, 10] + r * (
                recoil[column, 11] + r * (recoil[column, 12] + r * recoil[column, 13])
            )
            inverse = 1.0 / e
            density = phi * (p0 + inverse * (p1 + inverse * p2))
            allowed = t * KEV * (mass + 2.0 * e) <= 2.0 * e * e
            e_nu[done] = e
            e_nr[done] = t
            done += int(allowed & (uniform(words[3, i]) * bound[cell] * t < density))
    return drawn


def recoil_tables(channels: tuple[Channel, ...], truth_threshold: float) -> RecoilTables:
    """Tables for sampling recoils above `truth_threshold` (keV) in each channel."""
    low = max(truth_threshold, LEAST_RECOIL)
    energies = [_energy_edges(c.flavour.spectrum, low, c.nucleus.mass) for c in channels]
    n_energy = max(len(e) for e in energies) - 1
    shape = (len(channels), n_energy * RECOIL_CELLS)
    tables = RecoilTables(
        np.zeros(shape, np.uint64),
        np.zeros(shape),
        np.zeros((len(channels), n_energy, 6)),
        np.zeros((len(channels), RECOIL_CELLS, 14)),
        np.array([c.nucleus.mass for c in channels]),
    )
    for i, (channel, edges) in enumerate(zip(channels, energies, strict=True)):
        tables.energy[i] = 1.0  # cells that pad the table have no weight, only a finite 1/E
        if low < channel.end_point:
            _fill_channel(channel, edges, low, tables, i)
    return tables


def _fill_channel(
    channel: Channel, edges: Array, low: float, tables: RecoilTables, row: int
) -> None:
    spectrum = channel.flavour.spectrum
    t_edges = _recoil_edges(channel, low)
    starts, widths = edges[:-1], np.diff(edges)
    if spectrum.is_line:
        phi, measure = np.array([[1.0, 0.0, 0.0, 0.0]]), np.ones(1)
    else:
        phi = _cubics(spectrum, edges)
        measure = widths
    t_starts, t_widths = t_edges[:-1], np.diff(t_edges)
    points = t_starts[:, None] + t_widths[:, None] * _FIT
    factors = (channel.factors(points.ravel()) * points.ravel()).reshape(3, -1, 4) @ _TO_CUBIC.T
    factors = factors / np.abs(factors[0]).max()

    n = len(starts)
    tables.energy[row, :n] = np.column_stack([starts, widths, phi])
    tables.recoil[row] = np.column_stack([t_starts, t_widths, *factors])

    powers = np.vander(_SUB, 4, increasing=True)
    e = (starts[:, None] + widths[:, None] * _SUB).ravel()
    t = (t_starts[:, None] + t_widths[:, None] * _SUB).ravel()
    p = (factors @ powers.T).reshape(3, -1) / t
    inverse = 1 / e[:, None]
    density = (phi @ powers.T).ravel()[:, None] * (p[0] + inverse * (p[1] + inverse * p[2]))
    blocks = density.reshape(n, len(_SUB), -1, len(_SUB))
    highest = blocks.max(axis=(1, 3))
    # between the points the smooth density rises little above the largest of them (tested); the
    # kinematic limit is left aside, so that it stays smooth in the cells that the limit cuts
    bound = np.maximum(highest + _MARGIN * (highest - blocks.min(axis=(1, 3))), 0.0)
    top = starts + widths
    reached = t_starts * KEV * (channel.nucleus.mass + 2 * top[:, None]) <= 2 * top[:, None] ** 2
    bound = np.where(reached, bound, 0.0)
    cells = n * RECOIL_CELLS
    tables.bound[row, :cells] = bound.ravel()
    weight = np.zeros(tables.bound.shape[1])
    weight[:cells] = (bound * measure[:, None] * t_widths).ravel()
    build_alias(weight, tables.alias[row])


def _energy_edges(spectrum: Spectrum, low: float, mass: float) -> Array:
    """Edges of the cells in E, MeV: one cell for a line, else equal steps and all table points."""
    if spectrum.is_line:
        return np.array([spectrum.edges[0], spectrum.edges[0]])
    first = max(float(energy_min(low, mass)), float(spectrum.edges[0]))
    if first >= spectrum.end_point:
        return spectrum.edges[-2:]
    even = np.linspace(first, spectrum.end_point, ENERGY_CELLS + 1)
    knots = spectrum.edges[(spectrum.edges > first) & (spectrum.edges < spectrum.end_point)]
    return np.unique(np.concatenate([even, knots]))


def _recoil_edges(channel: Channel, low: float) -> Array:
    """Edges of the cells in T, keV: equal parts of a mixture of rate, √T and ln T."""
    high = channel.end_point
    grid = np.unique(np.concatenate([np.linspace(low, high, 400), np.geomspace(low, high, 400)]))
    rate = channel.rate(grid)
    cumulative = np.concatenate([[0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(grid))])
    root, logs = np.sqrt(grid), np.log(grid)
    parts = [
        0.6 * cumulative / cumulative[-1] if cumulative[-1] > 0 else 0.6 * grid / high,
        0.3 * (root - root[0]) / (root[-1] - root[0]),
        0.1 * (logs - logs[0]) / (logs[-1] - logs[0]),
    ]
    mixture = sum(parts)
    edges = np.interp(np.linspace(0, 1, RECOIL_CELLS + 1), mixture / mixture[-1], grid)
    edges[0], edges[-1] = low, high
    return edges


CANDIDATE_DRAW = np.uint64(1) * PURPOSE
"""Third counter of the candidates' words."""


def sample(
    channel: Channel, count: int, seed: int, truth_threshold: float = LEAST_RECOIL, block: int = 0
) -> tuple[Array, Array]:
    """True events of one channel.

    Parameters
    ----------
    channel
        Flavour and nucleus.
    count
        Number of events.
    seed
        Key of the random numbers, 0 to 2⁶⁴ − 1.
    truth_threshold
        Least recoil energy, keV.
    block
        Events of different blocks are independent.

    Returns
    -------
    e_nu, e_nr
        Neutrino energies (MeV) and recoil energies (keV), shape (count,).
    """
    if not truth_threshold < channel.end_point:
        raise ValueError(
            f"truth threshold {truth_threshold:g} keV is not below the end point "
            f"{channel.end_point:.4g} keV of {channel.nucleus.name}"
        )
    tables = recoil_tables((channel,), truth_threshold)
    words = np.empty((4, CANDIDATES), np.uint32)
    e_nu, e_nr = np.empty(count + CANDIDATES), np.empty(count + CANDIDATES)
    name = f"{channel.flavour.name}/{channel.nucleus.name}"
    sample_recoils(
        np.uint64(seed),
        np.uint64(block),
        CANDIDATE_DRAW,
        np.uint64(stream_number(name)),
        count,
        tables.alias[0],
        tables.bound[0],
        tables.energy[0],
        tables.recoil[0],
        tables.mass[0],
        words,
        e_nu,
        e_nr,
    )
    return e_nu[:count], e_nr[:count]


def sample_spectrum(spectrum: Spectrum, count: int, seed: int) -> Array:
    """Neutrino energies of a flux itself, without a cross section; one stream for all spectra.

    Parameters
    ----------
    spectrum
        Spectrum of one flavour.
    count
        Number of neutrinos.
    seed
        Key of the random numbers, 0 to 2⁶⁴ − 1.

    Returns
    -------
    array, shape (count,)
        Energies in MeV.
    """
    if spectrum.is_line:
        return np.full(count, spectrum.edges[0])
    energies = _energy_edges(spectrum, 0.0, 0.0)
    recoil = np.zeros((RECOIL_CELLS, 14))  # a "cross section" of one at a recoil that is allowed
    recoil[:, 0] = recoil[:, 2] = LEAST_RECOIL
    phi = _cubics(spectrum, energies)
    bound = np.repeat(_cubic_bound(phi), RECOIL_CELLS)
    alias = np.zeros(bound.size, np.uint64)
    build_alias(bound * np.repeat(np.diff(energies), RECOIL_CELLS), alias)
    table = np.column_stack([energies[:-1], np.diff(energies), phi])
    e_nu, unused = np.empty(count + CANDIDATES), np.empty(count + CANDIDATES)
    words = np.empty((4, CANDIDATES), np.uint32)
    zero, stream = np.uint64(0), np.uint64(stream_number("flux"))
    sample_recoils(
        np.uint64(seed), zero, CANDIDATE_DRAW, stream, count, alias, bound, table, recoil, 0.0,
        words, e_nu, unused,
    )  # fmt: skip
    return e_nu[:count]


def _cubics(spectrum: Spectrum, edges: Array) -> Array:
    """Cubic of the density in each cell, exact as the spectrum is cubic there, shape (n, 4)."""
    return spectrum.density(edges[:-1, None] + np.diff(edges)[:, None] * _FIT) @ _TO_CUBIC.T


def _cubic_bound(cubics: Array) -> Array:
    values = cubics @ np.vander(_SUB, 4, increasing=True).T
    highest = values.max(axis=1)
    return np.asarray(highest + _MARGIN * (highest - values.min(axis=1)))
