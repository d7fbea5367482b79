"""Binned toys by number: Poisson counts and fluctuated pull centres.

A draw is counted (toy, point, draw, stream), so that a toy is the same whoever makes it. Where all
toys of a point have one truth, counts come from alias tables, two words each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..generator.kernel import kernel
from ..generator.stream import (
    LOW,
    normal_quantile,
    philox,
    poisson,
    stream_number,
    uniform,
    uniform_53,
)
from .ensemble import Ensemble, Truth
from .model import Data, Model

Array = NDArray[np.float64]

STREAM = np.uint64(stream_number("toys"))
LARGEST_TABLE = 1 << 16
"""Numbers in a table; greater means are drawn by rejection."""


def throw(
    model: Model,
    ensemble: Ensemble,
    truth: Truth,
    seed: int,
    point: int,
    start: int,
    stop: int,
) -> Data:
    """Toys number `start` to `stop` − 1 of a grid point.

    Returns
    -------
    Data
        Arrays of shape (stop − start, bins), and (stop − start, variables) for the centres.
    """
    toys = stop - start
    counts = np.empty((toys, model.bins))
    off = np.zeros((toys if model.tau.any() else 1, model.bins))
    centre = np.zeros((toys, model.variables))
    terms = model.terms(())
    expected = np.empty(model.bins)
    _expect(terms, truth.values, np.empty(len(terms.parent)), expected)
    means = [expected + truth.background, (model.tau * truth.background)[model.tau > 0]]
    tables = alias_tables(np.maximum(np.concatenate(means), 0.0))  # −1e-17 where a rate vanishes
    prior, fluctuated = ensemble.truth == "prior", ensemble.centres == "fluctuated"
    where = np.uint64(seed), np.uint64(point), start
    if prior or len(tables.chance) == 0:
        _throw_each(
            *where, terms, truth.values, model.weight, model.tau, truth.background, prior,
            fluctuated, counts, off, centre,
        )  # fmt: skip
    else:
        _throw_alike(
            *where, truth.values, model.weight, model.tau, *tables, fluctuated, counts, off, centre
        )
    return Data(counts, off, centre)


class AliasTables(NamedTuple):
    """Poisson distributions of several means, to be drawn from in constant time (Walker 1977)."""

    first: NDArray[np.int64]
    """Place of each distribution's table, and the end of the last, shape (means + 1,)."""
    lowest: Array
    """Number that the first entry of each stands for."""
    chance: Array
    """Probability to stay at an entry, else its alias."""
    alias: NDArray[np.int64]


def alias_tables(means: Array) -> AliasTables:
    """Tables of numbers within 9 standard deviations and 30 of each mean; what is left is < 1e-17.

    They are empty if a mean is so large that they would not pay.
    """
    reach = 9 * np.sqrt(means) + 30
    low = np.maximum(np.floor(means - reach), 0.0)
    sizes = (np.ceil(means + reach) - low + 1).astype(int)
    if len(means) == 0 or sizes.max() > LARGEST_TABLE:
        sizes = np.zeros(len(means), int)
    first = np.concatenate([[0], np.cumsum(sizes)])
    chance, alias = np.empty(first[-1]), np.empty(first[-1], np.int64)
    _fill_alias(means, first, low, chance, alias)
    return AliasTables(first, low, chance, alias)


@kernel
def _fill_alias(means, first, lowest, chance, alias):  # type: ignore[no-untyped-def]
    """Vose's construction, table by table; probabilities by recursion from the most probable."""
    for k in range(len(first) - 1):
        a, size = first[k], first[k + 1] - first[k]
        if size == 0:
            continue
        probability = np.empty(size)
        middle = min(int(means[k] - lowest[k]), size - 1)
        probability[middle] = 1.0
        for i in range(middle + 1, size):
            probability[i] = probability[i - 1] * means[k] / (lowest[k] + i)
        for i in range(middle - 1, -1, -1):
            probability[i] = probability[i + 1] * (lowest[k] + i + 1) / means[k]
        total = 0.0
        for i in range(size):
            total += probability[i]
        small, large = np.empty(size, np.int64), np.empty(size, np.int64)
        n_small, n_large = 0, 0
        for i in range(size):
            chance[a + i] = probability[i] * size / total
            alias[a + i] = i
            if chance[a + i] < 1.0:
                small[n_small] = i
                n_small += 1
            else:
                large[n_large] = i
                n_large += 1
        while n_small > 0 and n_large > 0:
            n_small -= 1
            i, j = small[n_small], large[n_large - 1]
            alias[a + i] = j
            chance[a + j] -= 1.0 - chance[a + i]
            if chance[a + j] < 1.0:
                n_large -= 1
                small[n_small] = j
                n_small += 1
        for i in range(n_small):
            chance[a + small[i]] = 1.0
        for i in range(n_large):
            chance[a + large[i]] = 1.0


@kernel
def _throw_alike(  # type: ignore[no-untyped-def]
    key, point, start, truth, weight, tau, first, lowest, chance, alias, fluctuated, counts, off,
    centre,
):  # fmt: skip
    """Toys of one truth; the draw is the number of the centre, then two bins each."""
    toys, bins = counts.shape
    step = 512
    words = np.empty((4, step), np.uint32)
    for low in range(0, toys, step):
        size = min(step, toys - low)
        draw = 0
        for k in range(len(weight)):
            if weight[k] > 0:
                _words(key, start + low, point, draw, words)
                draw += 1
                sigma = 1.0 / np.sqrt(weight[k])
                for row in range(size):
                    x = sigma * normal_quantile(uniform(np.uint64(words[1, row])))
                    centre[low + row, k] = truth[k] + x if fluctuated else 0.0
        beside = bins
        for i in range(bins):
            if i % 2 == 0:
                _words(key, start + low, point, draw, words)
                draw += 1
            _look_up(words, 2 * (i % 2), first, lowest, chance, alias, i, counts, low, size, i)
        for i in range(bins):
            if tau[i] > 0:
                _words(key, start + low, point, draw, words)
                draw += 1
                _look_up(words, 0, first, lowest, chance, alias, beside, off, low, size, i)
                beside += 1


@kernel
def _words(key, start, point, draw, words):  # type: ignore[no-untyped-def]
    """Words of a draw of consecutive toys."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    for i in range(words.shape[1]):
        a, b, c, d = philox(key, np.uint64(start + i) & LOW, point, np.uint64(draw), STREAM)
        w0[i] = a
        w1[i] = b
        w2[i] = c
        w3[i] = d


@kernel
def _look_up(words, half, first, lowest, chance, alias, k, result, low, size, i):  # type: ignore[no-untyped-def]
    """Numbers of distribution k from two words each."""
    a = first[k]
    length = float(first[k + 1] - a)
    for row in range(size):
        u = uniform_53(np.uint64(words[half, row]), np.uint64(words[half + 1, row])) * length
        entry = np.int64(u)
        stay = u - entry < chance[a + entry]
        result[low + row, i] = lowest[k] + float(entry if stay else alias[a + entry])


@kernel
def _throw_each(  # type: ignore[no-untyped-def]
    key, point, start, terms, truth, weight, tau, background, prior, fluctuated, counts, off, centre
):
    """Toys of which each may have its own truth; a draw is counted (toy, point, draw, stream)."""
    bins = counts.shape[1]
    monomials = np.ones(len(terms.parent))
    expected = np.empty(bins)
    z = truth.copy()
    _expect(terms, z, monomials, expected)
    for row in range(len(counts)):
        toy = np.uint64(start + row)
        draw = np.uint64(0)
        for k in range(len(weight)):
            if weight[k] > 0:
                w0, w1, _, _ = philox(key, toy, point, draw, STREAM)
                draw += np.uint64(1)
                sigma = 1.0 / np.sqrt(weight[k])
                if prior:
                    z[k] = truth[k] + sigma * normal_quantile(uniform(w0))
                centre[row, k] = z[k] + sigma * normal_quantile(uniform(w1)) if fluctuated else 0.0
        if prior:
            _expect(terms, z, monomials, expected)
        for i in range(bins):
            mean = expected[i] + background[i]
            counts[row, i] = poisson(key, toy, point, draw, STREAM, mean)
            draw += np.uint64(1)
            if tau[i] > 0:
                off[row, i] = poisson(key, toy, point, draw, STREAM, tau[i] * background[i])
                draw += np.uint64(1)


@kernel
def _expect(terms, z, monomials, expected):  # type: ignore[no-untyped-def]
    """Expected counts at z."""
    monomials[0] = 1.0
    for t in range(1, len(terms.parent)):
        monomials[t] = monomials[terms.parent[t]] * z[terms.variable[t]]
    expected[:] = 0.0
    for r in range(len(terms.filled)):
        t = terms.filled[r]
        for i in range(len(expected)):
            expected[i] += monomials[t] * terms.coefficients[t, i]
