"""Kernels that merge sources: the order is that of a stable sort, and columns follow it."""

import itertools

import numpy as np
import pytest
from nuspill.reco.chain.interleave import BLOCK, cut_runs, find_runs, spread, stream
from nuspill.reco.chain.stage import Columns, copy_runs
from nuspill.reco.columns import COLUMNS


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
def test_part_of_the_order(lengths, pulses, times):
    """Fails if runs that are cut are not the rows asked for."""
    _, _, start, length, runs = merged(lengths, pulses, times, 2)
    order, n = rows(start, length, runs), sum(lengths)
    for skip, count in ((0, n), (n // 3, n // 2), (n - 1, 1)):
        a, b = start.copy(), length.copy()
        left = cut_runs(a, b, runs, skip, count)
        assert np.array_equal(rows(a, b, left), order[skip : skip + count])


@CASES
def test_spread(lengths, pulses, times):
    """Fails if the rows of a source are not where they belong, or any are a block beyond."""
    _, _, start, length, runs = merged(lengths, pulses, times, 3)
    order, n = rows(start, length, runs), sum(lengths)
    rng, kinds = np.random.default_rng(3), ("int64", "float64", "float32")
    columns = tuple(rng.integers(1, 100, n + BLOCK).astype(kind) for kind in kinds)
    low, high = np.cumsum([0, *lengths])[np.argmax(lengths) :][:2]
    to = tuple(np.zeros(n + 64, kind) for kind in kinds)
    spread(to, columns, start[:runs], length[:runs], low, high)
    mine = (order >= low) & (order < high)
    for copied, column in zip(to, columns, strict=True):
        assert np.array_equal(copied[:n][mine], column[order[mine]])
        assert not copied[n + BLOCK :].any()


@CASES
def test_the_others_are_copied(lengths, pulses, times):
    """Fails if a column is not in order, or rows that are left out are written to."""
    _, _, start, length, runs = merged(lengths, pulses, times, 3)
    order, n = rows(start, length, runs), sum(lengths)
    rng = np.random.default_rng(3)
    kinds = [kind for kind, _, _ in COLUMNS.values()]
    c = Columns(*(rng.integers(0, 2, n).astype(kind) for kind in kinds))
    low, high = np.cumsum([0, *lengths])[np.argmax(lengths) :][:2]
    for left_out, (a, b) in ((order < 0, (0, 0)), ((order >= low) & (order < high), (low, high))):
        to = Columns(*(np.full(n + 1, 1, kind) for kind in kinds))
        copy_runs(to, c, start[:runs], length[:runs], a, b)
        for copied, column in zip(to[1:], c[1:], strict=True):
            assert np.array_equal(copied[:n], np.where(left_out, 1, column[order]))
            assert copied[n] == 1


@pytest.mark.parametrize("kind", ["int64", "float32", "int16", "bool"])
def test_stream(kind):
    """Fails if a column streamed to any place differs, or anything beside it is written."""
    rng = np.random.default_rng(4)
    for offset, count in itertools.product((0, 1, 5, 8, 63, 64), (0, 1, 15, 64, 65, 300)):
        column = rng.integers(0, 2 if kind == "bool" else 100, count + 3).astype(kind)
        to = np.full(512, 1, kind)
        stream(to[offset : offset + count], column)
        assert np.array_equal(to[offset : offset + count], column[:count])
        assert np.all(to[:offset] == 1)
        assert np.all(to[offset + count :] == 1)
