"""Quenching models against their formulas and against measurements."""

import numpy as np
import pytest
from nuspill import load
from nuspill.reco.response.quenching import (
    Constant,
    Lindhard,
    NoQuenching,
    PolynomialQuenching,
    Power,
    Quenching,
    Table,
)
from pydantic import TypeAdapter, ValidationError

T = np.concatenate([[0.0], np.geomspace(1e-3, 300, 200)])
QUENCHING = TypeAdapter(Quenching)


def test_none_and_constant():
    """Fails if a bubble chamber quenches, or a constant factor is applied other than once."""
    np.testing.assert_array_equal(NoQuenching(model="none").electron_equivalent(T), T)
    result = Constant(model="constant", factor=0.0878).electron_equivalent(T)
    np.testing.assert_allclose(result, 0.0878 * T, rtol=1e-15)


@pytest.mark.parametrize(
    ("z", "a", "k"),
    [(32, 72.63, 0.157), (54, 131.29, 0.166)],
    ids=["Ge", "Xe"],
)
def test_default_k_of_lindhard(z, a, k):
    """Fails if k = 0.133 Z^(2/3) A^(-1/2) is not the value quoted for the element.

    Barker and Mei, Astropart. Phys. 38 (2012) 1 (Ge); Sorensen and Dahl, PRD 83 (2011) 063501 (Xe).
    """
    given = Lindhard(model="lindhard", z=z, k=0.133 * z ** (2 / 3) / a**0.5)
    default = Lindhard(model="lindhard", z=z, a=a)
    np.testing.assert_array_equal(default.electron_equivalent(T), given.electron_equivalent(T))
    rounded = Lindhard(model="lindhard", z=z, k=k).electron_equivalent(T[1:])
    np.testing.assert_allclose(default.electron_equivalent(T[1:]), rounded, rtol=4e-3)


def test_lindhard_number():
    """Fails if ε, g or QF are not Lindhard's: Ge at 1 keV_nr, k = 0.162, worked out by hand.

    ε = 11.5/32^(7/3) = 11.5/3251.0 = 3.537e-3; g = 3 · 0.42885 + 0.7 · 0.033826 + ε = 1.31377;
    kg = 0.21283; QF = 0.21283/1.21283 = 0.17548.
    """
    germanium = Lindhard(model="lindhard", z=32, k=0.162)
    assert germanium.electron_equivalent(1.0) == pytest.approx(0.17548, abs=2e-5)
    assert germanium.electron_equivalent(0.0) == 0.0


def test_lindhard_formula():
    """Fails if the curve is not T kg/(1 + kg) at any energy."""
    for t in (0.01, 0.5, 10.0, 200.0):
        epsilon = 11.5 * t / 54 ** (7 / 3)
        kg = 0.11 * (3 * epsilon**0.15 + 0.7 * epsilon**0.6 + epsilon)
        xenon = Lindhard(model="lindhard", z=54, k=0.11)
        assert xenon.electron_equivalent(t) == pytest.approx(t * kg / (1 + kg), rel=1e-13)


def test_power_formula_and_limit():
    """Fails if the factor is not the power law's below the limit, and the limit above."""
    power = Power(model="power", coefficient=0.1108, exponent=1.518, limit=0.30)
    result = power.electron_equivalent(T)
    turn = (0.30 / 0.1108) ** (1 / 0.518)
    below, above = turn * 0.999 > T, turn * 1.001 < T
    np.testing.assert_allclose(result[below], 0.1108 * T[below] ** 1.518, rtol=1e-14)
    np.testing.assert_allclose(result[above], 0.30 * T[above], rtol=1e-14)
    assert below.any()
    assert above.any()


def test_silicon_follows_the_measurement(reference):
    """Fails if the shipped law is off Chavarria et al. 2016 by more than 2.8 % (0.7 to 2.3 keV)."""
    points = reference("silicon_yield")["chavarria2016"]
    law = load("ess-si").detector.quenching
    recoil, energy = np.array(points["recoil"]), np.array(points["energy"])
    measured = recoil >= 0.7
    assert measured.sum() == 11
    ratio = law.electron_equivalent(recoil[measured]) / energy[measured]
    assert np.max(np.abs(ratio - 1)) < 0.0285


def test_silicon_at_its_threshold(reference):
    """Fails if QF(0.16 keV_nr) is not 4.3 %, or rounds to other values than Table 1's."""
    law = load("ess-si").detector.quenching
    table = reference("table1")["input"]["ess-si"]
    energy = float(law.electron_equivalent(0.16))
    assert energy / 0.16 == pytest.approx(0.043, abs=5e-4)
    assert round(energy / 0.16, 2) == table["factor"]
    assert round(energy, 3) == table["threshold_ee"]
    assert law.electron_equivalent(212.9) == pytest.approx(0.30 * 212.9)


def test_polynomial_in_mev():
    """Fails if COHERENT's polynomial (2021) is not taken in MeV: QF 8.82 % at 10 keV by hand."""
    coefficients = [0.0554628, 4.30681, -111.707, 840.384]
    model = PolynomialQuenching(model="polynomial", coefficients=coefficients)
    assert model.electron_equivalent(10.0) == pytest.approx(0.8820, abs=1e-4)
    t = np.array([0.0, 1.0, 5.0, 40.0]) * 1e-3
    by_hand = sum(c * t ** (i + 1) for i, c in enumerate(coefficients)) * 1e3
    np.testing.assert_allclose(model.electron_equivalent(t * 1e3), by_hand, rtol=1e-13)


def test_table():
    """Fails if it is not linear between points, to the origin below, and proportional above."""
    table = Table(model="table", recoil=[1.0, 3.0, 10.0], energy=[0.1, 0.5, 2.0])
    t = [0.0, 0.5, 1.0, 2.0, 3.0, 6.5, 10.0, 20.0]
    expected = [0.0, 0.05, 0.1, 0.3, 0.5, 1.25, 2.0, 4.0]
    np.testing.assert_allclose(table.electron_equivalent(t), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("recoil", "energy", "message"),
    [
        ([1.0, 3.0, 2.0], [0.1, 0.2, 0.3], "recoil must increase, but 2 follows 3"),
        ([1.0, 2.0, 3.0], [0.1, 0.3, 0.3], "energy must increase, but 0.3 follows 0.3"),
        ([1.0, 2.0], [0.1], "recoil has 2 values and energy 1"),
        ([0.0, 2.0], [0.1, 0.2], "greater than 0"),
        ([], [], "at least 1"),
        ([1.0, float("nan")], [0.1, 0.2], "finite"),
        (["one"], [0.1], "valid number"),
    ],
)
def test_bad_table(recoil, energy, message):
    """Fails if a table that is no increasing curve is taken, or the error does not say what."""
    with pytest.raises(ValidationError, match=message):
        Table(model="table", recoil=recoil, energy=energy)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "constant", "factor": 0.0},
        {"model": "constant", "factor": 1.2},
        {"model": "constant"},
        {"model": "lindhard", "z": 32},
        {"model": "lindhard", "z": -32, "k": 0.1},
        {"model": "lindhard", "z": 32, "k": 0.0},
        {"model": "power", "coefficient": 0.1, "exponent": 0.5},
        {"model": "power", "coefficient": -0.1, "exponent": 1.5},
        {"model": "power", "coefficient": 0.1, "exponent": 1.5, "limit": 1.5},
        {"model": "polynomial", "coefficients": []},
        {"model": "linear", "factor": 0.1},
        {"factor": 0.1},
    ],
)
def test_bad_settings(settings):
    """Fails if a quenching model outside its range is accepted."""
    with pytest.raises(ValidationError):
        QUENCHING.validate_python(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "none"},
        {"model": "constant", "factor": 0.1},
        {"model": "lindhard", "z": 32, "a": 72.6},
        {"model": "power", "coefficient": 0.1, "exponent": 1.5},
        {"model": "polynomial", "coefficients": [0.1]},
        {"model": "table", "recoil": [1.0], "energy": [0.1]},
    ],
    ids=lambda settings: settings["model"],
)
def test_by_name(settings):
    """Fails if a model of a TOML file is not chosen by name, is not 0 at 0, or changes shapes."""
    model = QUENCHING.validate_python(settings)
    assert model.model == settings["model"]
    assert model.electron_equivalent(0.0) == 0.0
    assert np.shape(model.electron_equivalent(1.0)) == ()
    assert model.electron_equivalent(np.ones((2, 3))).shape == (2, 3)
    assert np.all(np.diff(model.electron_equivalent(T)) > 0)
