"""Kernels that throw binned toys: Poisson counts, and centres of pulls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.sampling.kernel import kernel
from ...generator.sampling.names import stream_number
from ...generator.sampling.stream import (
    LOW,
    SHIFT,
    normal_quantile,
    philox,
    poisson,
    uniform,
    uniform_53,
)
from .expected import expect
from .terms import Terms

TOYS = np.uint64(stream_number("toys"))
TOYS_AT_ONCE = 512
"""Toys whose words lie side by side."""


class Series(NamedTuple):
    """Toys by number: their words are counted (toy, point, draw, stream)."""

    key: np.uint64
    """Seed."""
    point: np.uint64
    """Number of the grid point."""
    start: int
    """Number of the first toy."""


class Source(NamedTuple):
    """What the toys of a grid point are thrown from."""

    values: NDArray[np.float64]
    """True values of the variables, shape (variables,)."""
    background: NDArray[np.float64]
    """In beam-on where it is free, counts at these values, shape (bins,)."""
    leaked: Terms
    """What of it varies with the values."""
    weight: NDArray[np.float64]
    """1/σ² of the pulls, 0 where there is none, shape (variables,)."""
    lower: NDArray[np.float64]
    """Least values, shape (variables,)."""
    tau: NDArray[np.float64]
    """Beam-off time over beam-on time, shape (bins,); 0 where a bin has no beam-off count."""


class AliasTables(NamedTuple):
    """Poisson distributions of several means, to be drawn from in constant time (Walker 1977)."""

    first: NDArray[np.int64]
    """Place of each distribution's table, and the end of the last, shape (means + 1,)."""
    lowest: NDArray[np.float64]
    """Number that the first entry of each stands for, shape (means,)."""
    chance: NDArray[np.float64]
    """Probability to stay at an entry, else its alias, shape (entries,)."""
    alias: NDArray[np.int64]
    """Shape (entries,)."""


class Thrown(NamedTuple):
    """Toys, to be written."""

    counts: NDArray[np.float64]
    """Shape (toys, bins)."""
    off: NDArray[np.float64]
    """Beam-off counts, shape (toys, bins), or (1, bins) where no bin has one."""
    centre: NDArray[np.float64]
    """Centres of the pulls, shape (toys, variables)."""


@kernel
def fill_alias(means, tables):  # type: ignore[no-untyped-def]
    """Vose's construction of `chance` and `alias` of `AliasTables` for means of shape (means,).

    Probabilities are by recursion from the most probable number.
    """
    first, lowest, chance, alias = tables
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
        for i in range(size):
            chance[a + i] = probability[i] * size / total
            alias[a + i] = i
        _pair(chance[a : a + size], alias[a : a + size])


@kernel
def _pair(chance, alias):  # type: ignore[no-untyped-def]
    """Fill up entries of less than the mean chance, 1, from those of more; shape (entries,)."""
    size = len(chance)
    small, large = np.empty(size, np.int64), np.empty(size, np.int64)
    n_small, n_large = 0, 0
    for i in range(size):
        if chance[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        i, j = small[n_small], large[n_large - 1]
        alias[i] = j
        chance[j] -= 1.0 - chance[i]
        if chance[j] < 1.0:
            n_large -= 1
            small[n_small] = j
            n_small += 1
    for i in range(n_small):
        chance[small[i]] = 1.0
    for i in range(n_large):
        chance[large[i]] = 1.0


@kernel
def throw_alike(series, source, tables, fluctuated, thrown):  # type: ignore[no-untyped-def]
    """Toys of one truth; the draw is the number of the centre, then two bins each.

    Parameters
    ----------
    series
        `Series`.
    source
        `Source`; its background is in the tables.
    tables
        `AliasTables` of all bins in beam-on, then of those with a beam-off count.
    fluctuated
        Whether the centres fluctuate about the truth, else they are 0.
    thrown
        `Thrown`.
    """
    counts, off, centre = thrown
    truth, weight, tau = source.values, source.weight, source.tau
    toys, bins = counts.shape
    words = np.empty((4, TOYS_AT_ONCE), np.uint32)
    for low in range(0, toys, TOYS_AT_ONCE):
        high = min(low + TOYS_AT_ONCE, toys)
        draw = 0
        for k in range(len(weight)):
            if weight[k] > 0:
                _words(series, low, draw, words)
                draw += 1
                sigma = 1.0 / np.sqrt(weight[k])
                for row in range(high - low):
                    x = sigma * normal_quantile(uniform(np.uint64(words[1, row])))
                    centre[low + row, k] = truth[k] + x if fluctuated else 0.0
        beside = bins
        for i in range(bins):
            if i % 2 == 0:
                _words(series, low, draw, words)
                draw += 1
            half = 2 * (i % 2)
            _look_up(words[half : half + 2], tables, i, counts[low:high, i])
        for i in range(bins):
            if tau[i] > 0:
                _words(series, low, draw, words)
                draw += 1
                _look_up(words[:2], tables, beside, off[low:high, i])
                beside += 1


@kernel
def _words(series, low, draw, words):  # type: ignore[no-untyped-def]
    """Words of a draw of the toys from number `low` of a `Series` on, shape (4, toys)."""
    key, point, start = series.key, series.point, series.start + low
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    for i in range(words.shape[1]):
        a, b, c, d = philox(key, np.uint64(start + i) & LOW, point, np.uint64(draw), TOYS)
        w0[i] = a
        w1[i] = b
        w2[i] = c
        w3[i] = d


@kernel
def _look_up(words, tables, k, result):  # type: ignore[no-untyped-def]
    """Numbers of distribution k of `AliasTables`, shape (toys,), from two words each, (2, ...)."""
    first, lowest, chance, alias = tables
    a = first[k]
    length = float(first[k + 1] - a)
    for row in range(len(result)):
        u = uniform_53(np.uint64(words[0, row]), np.uint64(words[1, row])) * length
        entry = np.int64(u)
        stay = u - entry < chance[a + entry]
        result[row] = lowest[k] + float(entry if stay else alias[a + entry])


@kernel
def draw_truth(series, source, row, z):  # type: ignore[no-untyped-def]
    """True values of a toy, shape (variables,): pulled ones from their Gaussians, within bounds.

    Parameters
    ----------
    series
        `Series`.
    source
        `Source`.
    row
        Number of the toy in the series.
    z
        To be written; what has no pull is left as it is.
    """
    truth, weight, lower = source.values, source.weight, source.lower
    toy, draw = np.uint64(series.start + row), np.uint64(0)
    for k in range(len(weight)):
        if weight[k] > 0:
            w0, _, _, _ = philox(series.key, toy, series.point, draw, TOYS)
            draw += np.uint64(1)
            x = normal_quantile(uniform(w0)) / np.sqrt(weight[k])
            z[k] = max(truth[k] + x, lower[k])


@kernel
def draw_truths(series, source, values):  # type: ignore[no-untyped-def]
    """True values of each toy of a `Series`, as `draw_truth`, shape (toys, variables)."""
    for row in range(len(values)):
        draw_truth(series, source, row, values[row])


@kernel
def throw_each(series, source, terms, prior, fluctuated, thrown):  # type: ignore[no-untyped-def]
    """Toys of which each may have its own truth; a draw is counted (toy, point, draw, stream).

    Parameters
    ----------
    series
        `Series`.
    source
        `Source`.
    terms
        `terms.Terms` of the expected counts.
    prior
        Whether each toy draws its true values of the pulled variables from their Gaussians.
    fluctuated
        Whether the centres fluctuate about the truth, else they are 0.
    thrown
        `Thrown`.
    """
    key, point, start = series
    truth, background, leaked, weight, _, tau = source
    counts, off, centre = thrown
    bins = counts.shape[1]
    monomials, monomials_off = np.ones((len(terms.parent), 1)), np.ones((len(leaked.parent), 1))
    expected, own, beside = np.empty(bins), np.empty(bins), np.empty(bins)
    z = truth.copy()
    at = z.reshape(len(z), 1)
    expect(terms, at, monomials, expected)
    expect(leaked, at, monomials_off, own)
    beside[:] = own
    for row in range(len(counts)):
        toy = np.uint64(start + row)
        if prior:
            draw_truth(series, source, row, z)
        draw = np.uint64(0)
        for k in range(len(weight)):
            if weight[k] > 0:
                _, w1, _, _ = philox(key, toy, point, draw, TOYS)
                draw += np.uint64(1)
                sigma = 1.0 / np.sqrt(weight[k])
                centre[row, k] = z[k] + sigma * normal_quantile(uniform(w1)) if fluctuated else 0.0
        if prior:
            expect(terms, at, monomials, expected)
            expect(leaked, at, monomials_off, beside)
        for i in range(bins):
            free = max(background[i] + (beside[i] - own[i]), 0.0)
            mean = expected[i] + free
            counts[row, i] = poisson(key, toy, point, draw, TOYS, mean)
            draw += np.uint64(1)
            if tau[i] > 0:
                off[row, i] = poisson(key, toy, point, draw, TOYS, tau[i] * free)
                draw += np.uint64(1)


EVENT_TOYS = np.uint64(stream_number("toys of events"))
TOYS_OF_TOYS = np.uint64(stream_number("toys of toys"))
AT_ANOTHER_RATE = np.uint64(stream_number("toys of events at another rate"))


@kernel
def event_seed(key, toy, point, number):  # type: ignore[no-untyped-def]
    """Seed of a toy's events."""
    a, b, _, _ = philox(key, np.uint64(toy), np.uint64(point), np.uint64(number), EVENT_TOYS)
    return (a << SHIFT) | b


@kernel
def nested_seed(key, toy, point):  # type: ignore[no-untyped-def]
    """Seed of the toys that are thrown for a toy as for data."""
    a, b, _, _ = philox(key, np.uint64(toy), np.uint64(point), np.uint64(0), TOYS_OF_TOYS)
    return (a << SHIFT) | b


@kernel
def at_another_rate(key, window, keep, extra, counts):  # type: ignore[no-untyped-def]
    """Poisson counts as those at other rates: some are left out, others added.

    Parameters
    ----------
    key
        Seed of the toy's events.
    window
        Number of the window.
    keep
        Chance of each count to be kept, shape (bins,).
    extra
        Mean of those added, shape (bins,).
    counts
        Counts, shape (bins,), to be changed.
    """
    for i in range(len(counts)):
        place, draw = np.uint64(i), np.uint64(0)
        kept = counts[i]
        if keep[i] < 1.0:
            for _ in range(np.int64(counts[i])):
                w0, w1, _, _ = philox(key, place, window, draw, AT_ANOTHER_RATE)
                draw += np.uint64(1)
                if uniform_53(w0, w1) >= keep[i]:
                    kept -= 1.0
        counts[i] = kept + poisson(key, place, window, draw, AT_ANOTHER_RATE, extra[i])
