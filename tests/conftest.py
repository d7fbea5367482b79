"""Shared by the tests: published numbers, and goodness of fit."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

LEAST_EXPECTED = 25.0
LONG = {"test_doors.py", "test_pulls.py"}
"""Files of one test that takes minutes: they begin first, so that no worker ends late."""


def pytest_collection_modifyitems(items):
    """Put the tests of long files first."""
    items.sort(key=lambda item: item.path.name not in LONG)


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


@pytest.fixture
def mounted(tmp_path):
    """Mount a small file system of its own below tmp_path; skip where that is not allowed."""
    places = []

    def mount(*options):
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def nuspill(capfd, monkeypatch):
    """Run the command `nuspill` in this process: exit status, standard output and error."""
    from nuspill.scripts.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nuspill", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            main()
        except SystemExit as left:
            status = left.code or 0
        return (status, *capfd.readouterr())

    return call
