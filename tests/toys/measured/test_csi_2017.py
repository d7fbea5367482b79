"""COHERENT's CsI[Na] of 2017 in energy and time, by the example that compares it."""

import importlib
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def example():
    """The example as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROJECT / "examples")
        return importlib.import_module("coherent_2017")


def test_the_published_signal(example, shared):
    """Fails if the example does not give the published signal within half its error."""
    comparison, found = example.analyse(
        shared / "coherent_csi_2017", years=300
    )  # templates without noise to speak of
    assert abs(found.events - 134) < 11
    assert 20 < found.error < 30
    assert 155 < found.expected < 180
    assert found.deviance < 145 + 2 * np.sqrt(2 * 145)
    panels = {panel.key: panel.chi2 for panel in comparison.panels}
    assert panels["e_reco_residual"].p_value > 0.05
    assert panels["since_residual"].p_value > 0.05


@pytest.mark.parametrize("rate", [2e-5, 1.3e-4, 1e-3])
def test_rate_of_falling_times(example, rate):
    """Fails if the rate is not that of a truncated exponential: its own mean gives it back."""
    time = np.linspace(0, 6000, 600_001)
    weight = np.exp(-rate * time)
    assert example.falling([time @ weight / weight.sum()]) == pytest.approx(rate, rel=1e-3)
