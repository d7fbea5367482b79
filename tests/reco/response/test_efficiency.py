"""Acceptance as a function of the reconstructed energy."""

import math

import numpy as np
import pytest
from nuspill import load
from nuspill.reco.response.efficiency import Efficiency, EfficiencyTable, Logistic, Step
from pydantic import TypeAdapter, ValidationError

EFFICIENCY = TypeAdapter(Efficiency)


def test_step():
    """Fails if the plateau is not the acceptance; the threshold itself is the detector's."""
    np.testing.assert_array_equal(Step(model="step", plateau=0.8).at([0.0, 1.0, 9.0]), 0.8)


def test_logistic_is_coherents(reference):
    """Fails if the shipped acceptance is not that of the 2017 measurement at any photo-electron."""
    published = reference("coherent2017")["acceptance"]
    shipped = load("sns-csi-2017").detector.efficiency
    for pe in np.arange(0, 60, 0.5):
        full = published["a"] / (1 + math.exp(-published["k"] * (pe - published["x0"])))
        expected = 0.0 if pe < 5 else (full / 2 if pe < 6 else full)
        assert shipped.at(pe) == pytest.approx(expected, rel=1e-12), pe
    assert shipped.at(10.8507) == pytest.approx(0.6655 / 2)
    assert shipped.at(4.999) == 0.0
    assert shipped.at(6.0) == pytest.approx(2 * shipped.at(5.9999), rel=1e-4)


def test_logistic_far_below_its_midpoint():
    """Fails if a steep edge overflows (with a warning) instead of going to zero."""
    edge = Logistic(model="logistic", plateau=1.0, slope=1000.0, midpoint=10.0)
    np.testing.assert_allclose(edge.at([0.0, 9.0, 11.0]), [0.0, 0.0, 1.0], atol=1e-12)


def test_logistic_cut_at_zero():
    """Fails if an offset is not added, or what is negative is not 0, or half of it is not half."""
    curve = Logistic(
        model="logistic", plateau=1.32045, slope=0.285979, midpoint=10.8646, offset=-0.333322,
        half_until=9.0,
    )  # fmt: skip
    x = np.linspace(0, 60, 601)
    formula = 1.32045 / (1 + np.exp(-0.285979 * (x - 10.8646))) - 0.333322
    due = np.clip(formula, 0, None) * np.where(x < 9.0, 0.5, 1.0)
    np.testing.assert_allclose(curve.at(x), due, atol=1e-12)
    zero = curve.edges()[-1]
    assert 7.0 < zero < 7.1
    assert curve.at(zero - 1e-6) == 0.0 < curve.at(zero + 1e-6)
    assert not curve.cuts([zero - 1.0]).any()  # background may be measured there
    cut = Logistic(model="logistic", plateau=0.7, slope=1.0, midpoint=9.0, cut=5.0)
    assert list(cut.cuts([4.9, 5.0])) == [True, False]


def test_table():
    """Fails if it is not linear between points, 0 below the first, constant above the last."""
    table = EfficiencyTable(model="table", energy=[1.0, 3.0], efficiency=[0.2, 0.6])
    np.testing.assert_allclose(table.at([0.99, 1.0, 2.0, 3.0, 50.0]), [0.0, 0.2, 0.4, 0.6, 0.6])


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "step", "plateau": 1.1},
        {"model": "step", "plateau": -0.1},
        {"model": "logistic", "plateau": 0.5, "slope": 0.0, "midpoint": 1.0},
        {"model": "logistic", "plateau": 1.5, "slope": 1.0, "midpoint": 1.0},
        {"model": "logistic", "plateau": 1.5, "slope": 1.0, "midpoint": 1.0, "offset": -0.2},
        {"model": "logistic", "plateau": 0.5, "slope": 1.0, "midpoint": 1.0, "offset": -0.5},
        {"model": "logistic", "plateau": 0.5, "slope": 1.0, "midpoint": 1.0, "offset": 0.1},
        {"model": "logistic", "plateau": 0.5, "slope": 1.0},
        {"model": "table", "energy": [1.0, 1.0], "efficiency": [0.1, 0.2]},
        {"model": "table", "energy": [1.0, 2.0], "efficiency": [0.1, 1.2]},
        {"model": "table", "energy": [1.0, 2.0], "efficiency": [0.1]},
        {"model": "table", "energy": [1.0], "efficiency": [0.1]},
        {"model": "erf", "plateau": 0.5},
    ],
)
def test_bad_settings(settings):
    """Fails if an acceptance outside 0 to 1, or a table that does not increase, is accepted."""
    with pytest.raises(ValidationError):
        EFFICIENCY.validate_python(settings)
