"""Kernels that merge sources: the order is that of a stable sort, and columns follow it."""

import itertools

import numpy as np
import pytest
from nuspill.reco.merge import BLOCK, copy_runs, cut_runs, find_runs


def merged(lengths, pulses, times, seed):
    """Sources one after the other, each in order, and the runs of their merger."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    pulse, time = rng.integers(0, pulses, edges[-1]), rng.integers(0, times, edges[-1]) / 2
    for low, high in itertools.pairwise(edges):
        order = np.lexsort((time[low:high], pulse[low:high]))
        pulse[low:high], time[low:high] = pulse[low:high][order], time[low:high][order]
    start, length = np.zeros((2, edges[-1] + 1), np.int32)
    runs = find_runs(edges, pulse, time, np.zeros(len(lengths), np.int64), start, length)
    return pulse, time, start, length, runs


def rows(start, length, runs):
    return np.concatenate([np.arange(a, a + n) for a, n in zip(start[:runs], length[:runs])])  # noqa: B905


CASES = pytest.mark.parametrize(
    ("lengths", "pulses", "times"),
    [
        ([1000, 20], 10**6, 10),
        ([20, 1000], 50, 3),
        ([300, 0, 300, 5], 40, 4),
        ([0, 7], 3, 2),
        ([1, 1, 1, 1], 1, 1),
    ],
)


@CASES
def test_order(lengths, pulses, times):
    """Fails if runs are not the stable order by pulse and time (ties by source), or not whole."""
    pulse, time, start, length, runs = merged(lengths, pulses, times, 1)
    order = rows(start, length, runs)
    assert np.array_equal(order, np.lexsort((time, pulse)))
    assert np.all(length[:runs] > 0)
    source = np.repeat(np.arange(len(lengths)), lengths)[order]
    assert runs == 1 + np.count_nonzero(np.diff(source))


@CASES
@pytest.mark.parametrize("kind", ["int64", "float32", "int16", "bool"])
def test_columns(lengths, pulses, times, kind):
    """Fails if a column is not in that order, or anything beyond its rows is written."""
    _, _, start, length, runs = merged(lengths, pulses, times, 2)
    rng, n = np.random.default_rng(3), sum(lengths)
    column = np.zeros(n + BLOCK, kind)
    column[:n] = rng.integers(0, 2 if kind == "bool" else 100, n)
    order = rows(start, length, runs)
    for skip, count in ((0, n), (n // 3, n // 2), (n - 1, 1)):
        a, b = start.copy(), length.copy()
        left = cut_runs(a, b, runs, skip, count)
        room = np.full(n + 64, 1, kind)
        copy_runs(room[:count], column, a, b, left)
        assert np.array_equal(room[:count], column[order[skip : skip + count]])
        assert np.all(room[count:] == 1)
