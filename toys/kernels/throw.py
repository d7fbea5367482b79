"""Kernels that throw binned toys: Poisson counts, and centres of pulls."""

from __future__ import annotations

import numpy as np

from ...generator.sampling.kernel import kernel
from ...generator.sampling.stream import (
    LOW,
    SHIFT,
    normal_quantile,
    philox,
    poisson,
    stream_number,
    uniform,
    uniform_53,
)
from .expected import expect

TOYS = np.uint64(stream_number("toys"))


@kernel
def fill_alias(means, first, lowest, chance, alias):  # type: ignore[no-untyped-def]
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
def throw_alike(  # type: ignore[no-untyped-def]
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
        a, b, c, d = philox(key, np.uint64(start + i) & LOW, point, np.uint64(draw), TOYS)
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
def throw_each(  # type: ignore[no-untyped-def]
    key, point, start, terms, truth, weight, tau, background, prior, fluctuated, counts, off, centre
):
    """Toys of which each may have its own truth; a draw is counted (toy, point, draw, stream)."""
    bins = counts.shape[1]
    monomials = np.ones((len(terms.parent), 1))
    expected = np.empty(bins)
    z = truth.copy()
    at = z.reshape(len(z), 1)
    expect(terms, at, monomials, expected)
    for row in range(len(counts)):
        toy = np.uint64(start + row)
        draw = np.uint64(0)
        for k in range(len(weight)):
            if weight[k] > 0:
                w0, w1, _, _ = philox(key, toy, point, draw, TOYS)
                draw += np.uint64(1)
                sigma = 1.0 / np.sqrt(weight[k])
                if prior:
                    z[k] = truth[k] + sigma * normal_quantile(uniform(w0))
                centre[row, k] = z[k] + sigma * normal_quantile(uniform(w1)) if fluctuated else 0.0
        if prior:
            expect(terms, at, monomials, expected)
        for i in range(bins):
            mean = expected[i] + background[i]
            counts[row, i] = poisson(key, toy, point, draw, TOYS, mean)
            draw += np.uint64(1)
            if tau[i] > 0:
                off[row, i] = poisson(key, toy, point, draw, TOYS, tau[i] * background[i])
                draw += np.uint64(1)


EVENT_TOYS = np.uint64(stream_number("toys of events"))


@kernel
def event_seed(key, toy, point, number):  # type: ignore[no-untyped-def]
    """Seed of a toy's events."""
    a, b, _, _ = philox(key, np.uint64(toy), np.uint64(point), np.uint64(number), EVENT_TOYS)
    return (a << SHIFT) | b
