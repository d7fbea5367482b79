"""Neutrino energy and recoil energy of true events, for any coupling and spectrum.

The density φ(E) dσ/dT of a channel is bounded from above by a constant in each cell of a grid in
(E, T). A cell of any channel is drawn by the alias method (Walker 1977), a point in it uniformly,
and kept with the ratio of density to bound (about 95 % are); what lies below the least ratio of
the cell is kept without a look at the density. So the grid decides the speed alone, and the
distribution is that of φ and of the cubic pieces through T P0, T P1, T P2 (smooth also where a
magnetic moment makes P ∝ 1/T), which follow the exact functions to 1e-5 (tested).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..cross_section import energy_min
from ..rate import Channel
from ..spectrum import Spectrum
from .draws import CANDIDATE, new_draws
from .kernel import kernel, kernel_inline
from .names import stream_number
from .stream import ATTEMPT, BATCH, LOW, SHIFT, fill_words, uniform, words_of

ENERGY_CELLS = 48
RECOIL_CELLS = 96
"""Cells of a channel in E (more for a tabulated spectrum) and in T."""
_KEV = 1e-3
"""keV in MeV, `constants.KEV` again: what kernels use stands in the folders of kernels."""
LEAST_RECOIL = 1e-6
"""Smallest truth threshold, keV."""

_SUB = np.linspace(0.0, 1.0, 9)
_MARGIN = 0.04
_FIT = (1 - np.cos(np.pi * (np.arange(4) + 0.5) / 4)) / 2
_TO_CUBIC = np.linalg.inv(np.vander(_FIT, 4, increasing=True))


KEPT_BITS, ROW_BITS, COLUMN_BITS = 24, 22, 18
"""Bits of a cell's second word: what is kept unseen, and its row in E and in T."""
_ROW, _ROWS = np.uint64(COLUMN_BITS), np.uint64(2**ROW_BITS - 1)
_COLUMNS = np.uint64(2**COLUMN_BITS - 1)
_WHERE, _SURPLUS = np.uint64(ROW_BITS + COLUMN_BITS), np.uint64(32 - KEPT_BITS)


class RecoilTables(NamedTuple):
    """Tables of the sampler: cells with weight of all channels, drawn by their alias table."""

    cell: NDArray[np.uint64]
    """Alias table over cells, (threshold << 32) | other, and what `pack` makes; (cells, 2)."""
    bound: Array
    """Upper bound of the density in each cell, shape (cells,)."""
    energy: Array
    """Start and width of cells in E, MeV; of all channels, shape (rows, 2)."""
    channel: NDArray[np.int16]
    """Channel of each row in E, shape (rows,)."""
    phi: Array
    """Cubic of φ in each row in E, shape (rows, 4)."""
    recoil: Array
    """Start and width of cells in T, keV; of all channels, shape (rows, 2)."""
    factors: Array
    """Cubics of T P0, T P1, T P2 in each row in T, shape (rows, 12)."""
    mass: Array
    """Nuclear mass, MeV, shape (channels,)."""


def pack(surely: NDArray[Any], row: NDArray[Any], column: NDArray[Any]) -> NDArray[np.uint64]:
    """Part kept unseen (least ratio of density to bound, 0 to 1), row in E and row in T of cells.

    The part has the first bits, and is rounded down: a candidate is kept if the first bits of its
    last word are below it. ValueError if there are more rows than bits for them.
    """
    kept = (surely * 2.0**KEPT_BITS).astype(np.uint64)
    if row.max(initial=0) > _ROWS or column.max(initial=0) > _COLUMNS:
        raise ValueError(f"at most {_ROWS} rows in E and {_COLUMNS} in T of all channels together")
    where = (row.astype(np.uint64) << _ROW) | column.astype(np.uint64)
    return (kept << _WHERE) | where


@kernel_inline
def row_of(packed):  # type: ignore[no-untyped-def]
    """Row in E of a cell."""
    return (packed >> _ROW) & _ROWS


@kernel_inline
def column_of(packed):  # type: ignore[no-untyped-def]
    """Row in T of a cell."""
    return packed & _COLUMNS


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


@kernel_inline
def pick(cells, word):  # type: ignore[no-untyped-def]
    """Cell of a word."""
    scaled = np.uint64(word) * np.uint64(cells.shape[0])
    here = scaled >> SHIFT
    entry = cells[here, 0]
    return here if (scaled & LOW) <= (entry >> SHIFT) else entry & LOW


@kernel_inline
def point(energy, recoil, packed, w1, w2):  # type: ignore[no-untyped-def]
    """E and T at a point of a cell."""
    row, column = row_of(packed), column_of(packed)
    e = energy[row, 0] + uniform(w1) * energy[row, 1]
    t = recoil[column, 0] + uniform(w2) * recoil[column, 1]
    return e, t


@kernel_inline
def is_kept(tables, packed, s, r, limit):  # type: ignore[no-untyped-def]
    """Whether φ(E) (P0 + P1/E + P2/E²), 0 beyond the kinematic limit, is above a limit.

    The point is at parts `s` and `r` of a cell in E and T. Both sides are multiplied by E² T, as
    divisions are slow.
    """
    row, column = row_of(packed), column_of(packed)
    f, p, mass = tables.phi, tables.factors, tables.mass[tables.channel[row]]
    e = tables.energy[row, 0] + s * tables.energy[row, 1]
    t = tables.recoil[column, 0] + r * tables.recoil[column, 1]
    phi = f[row, 0] + s * (f[row, 1] + s * (f[row, 2] + s * f[row, 3]))
    p0 = p[column, 0] + r * (p[column, 1] + r * (p[column, 2] + r * p[column, 3]))
    p1 = p[column, 4] + r * (p[column, 5] + r * (p[column, 6] + r * p[column, 7]))
    p2 = p[column, 8] + r * (p[column, 9] + r * (p[column, 10] + r * p[column, 11]))
    allowed = t * _KEV * (mass + 2.0 * e) <= 2.0 * e * e
    return allowed & (phi * (p2 + e * (p1 + e * p0)) > limit * t * e * e)


@kernel
def sample_recoils(draws, count, tables, candidates, channel, e_nu, e_nr):  # type: ignore[no-untyped-def]
    """Draw true events; returns the number of candidates that were drawn.

    Candidate number k of an event has the counter of the event with k ATTEMPT more in its purpose.
    No branch depends on a random number: it would be mispredicted.

    Parameters
    ----------
    draws
        Stream and block, `Draws`.
    count
        Number of events.
    tables
        `RecoilTables`.
    candidates
        Room for a batch, `Candidates`.
    channel, e_nu, e_nr
        Written: channel, E (MeV) and T (keV), shape (count,) each.
    """
    words, again, found, doubtful = candidates
    key, c1, c2, c3 = draws.key, draws.block, CANDIDATE + draws.high, draws.stream
    cells, energy, recoil = tables.cell, tables.energy, tables.recoil
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    drawn = count
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        fill_words(key, np.uint64(start), c1, c2, c3, n, words)
        number, e, t = channel[start : start + n], e_nu[start : start + n], e_nr[start : start + n]
        for i in range(n):
            found[i] = cells[pick(cells, w0[i]), 1]
        for i in range(n):
            number[i] = tables.channel[row_of(found[i])]
            e[i], t[i] = point(energy, recoil, found[i], w1[i], w2[i])
        doubts = np.uint64(0)
        for i in range(n):
            doubtful[doubts] = i
            doubts += np.uint64(np.uint64(w3[i]) >> _SURPLUS >= found[i] >> _WHERE)
        attempt = np.uint64(0)
        while doubts > np.uint64(0):
            rejected = np.uint64(0)
            for k in range(doubts):
                i = doubtful[k]
                limit = uniform(w3[i]) * tables.bound[pick(cells, w0[i])]
                doubtful[rejected] = i
                kept = is_kept(tables, found[i], uniform(w1[i]), uniform(w2[i]), limit)
                rejected += np.uint64(not kept)
            drawn += np.int64(rejected)
            attempt += ATTEMPT
            doubts = np.uint64(0)
            words_of(key, np.uint64(start), doubtful, c1, c2 + attempt, c3, rejected, again)
            for k in range(rejected):
                i = doubtful[k]
                w0[i], w1[i], w2[i], w3[i] = again[0, k], again[1, k], again[2, k], again[3, k]
                found[i] = cells[pick(cells, w0[i]), 1]
                number[i] = tables.channel[row_of(found[i])]
                e[i], t[i] = point(energy, recoil, found[i], w1[i], w2[i])
                doubtful[doubts] = i
                doubts += np.uint64(np.uint64(w3[i]) >> _SURPLUS >= found[i] >> _WHERE)
    return drawn


class Candidates(NamedTuple):
    """Room of `sample_recoils` for a batch of candidates; from `new_candidates`."""

    words: NDArray[np.uint32]
    """Four words of each candidate, shape (4, BATCH + 64)."""
    again: NDArray[np.uint32]
    """Words of the next attempt, shape (4, BATCH + 64)."""
    cells: NDArray[np.uint64]
    """Packed cells, shape (BATCH,)."""
    doubtful: NDArray[np.uint32]
    """Events not yet decided upon, shape (BATCH,)."""


def new_candidates() -> Candidates:
    """Room for a batch.

    Rows of words are not a whole page long: their heads would be in one set of the first cache.
    """
    words, again = np.empty((2, 4, BATCH + 64), np.uint32)
    return Candidates(
        words=words,
        again=again,
        cells=np.empty(BATCH, np.uint64),
        doubtful=np.zeros(BATCH, np.uint32),
    )


def recoil_tables(channels: tuple[Channel, ...], truth_threshold: float) -> RecoilTables:
    """Tables for sampling recoils above `truth_threshold` (keV) in all channels, by their rates."""
    low = max(truth_threshold, LEAST_RECOIL)
    shapes = 0, 0, 0, (0, 2), (0, 4), (0, 2), (0, 12)
    nothing = np.empty((2, 0), int), *(np.empty(n) for n in shapes)
    numbers = [i for i, c in enumerate(channels) if low < c.end_point]
    parts = [_channel_tables(channels[i], low) for i in numbers]
    where, surely, bound, weight, energy, phi, recoil, factors = zip(nothing, *parts, strict=True)
    rows = np.cumsum([[0, 0]] + [[len(e), len(r)] for e, r in zip(energy, recoil, strict=True)], 0)
    row, column = np.concatenate([w + n[:, None] for w, n in zip(where, rows, strict=False)], 1)
    number = np.repeat(numbers, [len(e) for e in energy[1:]])
    weights = np.concatenate(weight)
    cell = np.zeros((weights.size, 2), np.uint64)
    build_alias(weights, cell[:, 0])
    cell[:, 1] = pack(np.concatenate(surely), row, column)
    return RecoilTables(
        cell=cell,
        bound=np.concatenate(bound),
        energy=np.concatenate(energy),
        channel=number.astype(np.int16),
        phi=np.concatenate(phi),
        recoil=np.concatenate(recoil),
        factors=np.concatenate(factors),
        mass=np.array([c.nucleus.mass for c in channels]),
    )


def _channel_tables(
    channel: Channel, low: float
) -> tuple[NDArray[np.int64], Array, Array, Array, Array, Array, Array, Array]:
    """Tables of a channel: rows, part kept unseen, bound, weight of its cells; rows in E and T."""
    spectrum, mass = channel.flavour.spectrum, channel.nucleus.mass
    edges, t_edges = _energy_edges(spectrum, low, mass), _recoil_edges(channel, low)
    starts, widths = edges[:-1], np.diff(edges)
    phi = np.array([[1.0, 0.0, 0.0, 0.0]]) if spectrum.is_line else _cubics(spectrum, edges)
    measure = np.ones(1) if spectrum.is_line else widths
    t_starts, t_widths = t_edges[:-1], np.diff(t_edges)
    points = t_starts[:, None] + t_widths[:, None] * _FIT
    factors = (channel.factors(points.ravel()) * points.ravel()).reshape(3, -1, 4) @ _TO_CUBIC.T
    factors = factors * channel.exposure

    n = len(starts)
    powers = np.vander(_SUB, 4, increasing=True)
    e = (starts[:, None] + widths[:, None] * _SUB).ravel()
    t = (t_starts[:, None] + t_widths[:, None] * _SUB).ravel()
    p = (factors @ powers.T).reshape(3, -1) / t
    inverse = 1 / e[:, None]
    density = (phi @ powers.T).ravel()[:, None] * (p[0] + inverse * (p[1] + inverse * p[2]))
    blocks = density.reshape(n, len(_SUB), -1, len(_SUB))
    highest, lowest = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    # between the points the smooth density rises little above the largest of them, and falls little
    # below the least (tested); the kinematic limit is left aside, so that it stays smooth in the
    # cells that the limit cuts
    margin = _MARGIN * (highest - lowest)
    bound = np.maximum(highest + margin, 0.0)
    top = starts + widths
    reached = t_starts * _KEV * (mass + 2 * top[:, None]) <= 2 * top[:, None] ** 2
    whole = (t_starts + t_widths) * _KEV * (mass + 2 * starts[:, None]) <= 2 * starts[:, None] ** 2
    weight = np.where(reached, bound, 0.0) * measure[:, None] * t_widths
    where = np.array(np.nonzero(weight))
    kept = tuple(where)
    return (
        where,
        np.where(whole, np.maximum(lowest - margin, 0.0), 0.0)[kept] / bound[kept],
        bound[kept],
        weight[kept],
        np.column_stack([starts, widths]),
        phi,
        np.column_stack([t_starts, t_widths]),
        np.column_stack(list(factors)),
    )


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
    e_nu, e_nr = np.empty(count), np.empty(count)
    name = f"{channel.flavour.name}/{channel.nucleus.name}"
    sample_recoils(
        new_draws(seed, stream_number(name), block),
        count,
        recoil_tables((channel,), truth_threshold),
        new_candidates(),
        np.empty(count, np.int16),
        e_nu,
        e_nr,
    )
    return e_nu, e_nr


def _cubics(spectrum: Spectrum, edges: Array) -> Array:
    """Cubic of the density in each cell, exact as the spectrum is cubic there, shape (n, 4)."""
    return spectrum.density(edges[:-1, None] + np.diff(edges)[:, None] * _FIT) @ _TO_CUBIC.T


def _cubic_bound(cubics: Array) -> Array:
    values = cubics @ np.vander(_SUB, 4, increasing=True).T
    highest = values.max(axis=1)
    return np.asarray(highest + _MARGIN * (highest - values.min(axis=1)))
