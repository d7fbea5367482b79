"""Goodness of fit of counts: small p-values for a wrong distribution, near one for a faked one.

Seeds are fixed, so a test passes or fails for good. With `tests` p-values of one family each must
lie in (LIMIT/tests, 1 − LIMIT/tests): a right sampler fails a family with probability 2 LIMIT.
"""

from __future__ import annotations

import boost_histogram as bh
import numpy as np
import pytest
from scipy import stats

LIMIT = 1e-3
LEAST = 25.0
"""Least expected count of a bin; neighbours are merged up to it."""


def approx(expected, rel=None, abs=0.0):
    """`pytest.approx` without its silent 1e-12, in which every cross section in cm² would vanish.

    Relative to 1e-6 by default, or absolute alone if only `abs` is given.
    """
    if rel is None:
        rel = 0.0 if abs else 1e-6
    return pytest.approx(expected, rel=rel, abs=abs)


def histogram(edges, x, *more):
    """Counts of x, or of pairs (x, y) with edges a pair; every value must fall in some bin."""
    if more:
        h = bh.Histogram(*(bh.axis.Variable(e) for e in edges))
    else:
        h = bh.Histogram(bh.axis.Variable(edges))
    h.fill(x, *more)
    values = h.values()
    assert values.sum() == len(x), "values outside the bins"
    return values


def chi2_pvalue(observed, expected):
    """P-value of Pearson's χ² against shares `expected`, normalised to the observed total."""
    observed, expected = np.ravel(observed).astype(float), np.ravel(expected).astype(float)
    assert observed.shape == expected.shape
    assert np.all(expected >= 0)
    assert observed[expected == 0].sum() == 0, "events where none can be"
    expected = expected * (observed.sum() / expected.sum())
    o, e = [0.0], [0.0]
    for one, mean in zip(observed, expected, strict=True):
        if e[-1] >= LEAST:
            o.append(0.0)
            e.append(0.0)
        o[-1] += one
        e[-1] += mean
    if e[-1] < LEAST and len(e) > 1:  # the rest joins the last whole bin
        o[-2:], e[-2:] = [sum(o[-2:])], [sum(e[-2:])]
    o, e = np.array(o), np.array(e)
    assert len(e) > 1, "too few events for a test"
    return float(stats.chi2.sf(np.sum((o - e) ** 2 / e), len(e) - 1))


def check(p, tests=1, label=""):
    """Fail for a p-value too near 0 (bad fit) or too near 1 (not random)."""
    bound = LIMIT / tests
    assert bound < p < 1 - bound, f"{label}: p = {p:.3g}, allowed ({bound:.1g}, 1 − {bound:.1g})"


def check_counts(observed, expected, tests=1, label=""):
    """χ² test of counts against expected shares."""
    check(chi2_pvalue(observed, expected), tests, label)


def check_uniform(u, bins=1000, tests=1, label=""):
    """χ² in equal bins of (0, 1), as fine as `bins`, and none outside."""
    assert u.min() >= 0
    assert u.max() <= 1
    h = bh.Histogram(bh.axis.Regular(bins, 0, 1, overflow=False, underflow=False))
    h.fill(np.minimum(u, 1 - 1e-16))
    check_counts(h.values(), np.full(bins, 1 / bins), tests, label)


def correlation_pvalue(x, y):
    """Two-sided p-value of Pearson's correlation of two long samples."""
    z = np.corrcoef(x, y)[0, 1] * np.sqrt(len(x))
    return float(2 * stats.norm.sf(abs(z)))
