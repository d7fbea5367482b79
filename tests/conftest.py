"""Shared by the tests: published numbers, and goodness of fit."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

LEAST_EXPECTED = 25.0


@pytest.fixture(scope="session")
def reference():
    """Read a file of published numbers in tests/reference, by its name."""

    def read(name):
        return tomllib.loads((Path(__file__).parent / f"reference/{name}.toml").read_text("utf-8"))

    return read


@pytest.fixture(scope="session")
def goodness():
    """p-value of Poisson counts (`total` given: multinomial), neighbours merged up to 25 events."""

    def p_value(counts, expected, *, total=None):
        counts, expected = np.ravel(counts).astype(float), np.ravel(expected).astype(float)
        assert counts.shape == expected.shape
        if total is not None:
            expected = expected / expected.sum() * total
        merged, seen, due = [], 0.0, 0.0
        for n, mu in zip(counts, expected, strict=True):
            seen, due = seen + n, due + mu
            if due >= LEAST_EXPECTED:
                merged.append((seen, due))
                seen, due = 0.0, 0.0
        if merged and (seen or due):
            merged[-1] = (merged[-1][0] + seen, merged[-1][1] + due)
        n, mu = np.array(merged).T
        return float(chi2.sf(np.sum((n - mu) ** 2 / mu), n.size - (total is not None)))

    return p_value
