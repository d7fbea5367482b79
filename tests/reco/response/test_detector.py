"""The response as plain functions, against integrals done otherwise."""

import numpy as np
import pytest
from nuspill import load
from nuspill.reco.response.detector import Detector
from pydantic import ValidationError
from scipy.special import ndtr
from scipy.stats import norm, poisson

QUENCHING = {
    "none": {"model": "none"},
    "constant": {"model": "constant", "factor": 0.1},
    "lindhard": {"model": "lindhard", "z": 32, "k": 0.162},
    "power": {"model": "power", "coefficient": 0.1108, "exponent": 1.518, "limit": 0.3},
    "polynomial": {"model": "polynomial", "coefficients": [0.0554628, 4.30681, -111.707, 840.384]},
    "table": {"model": "table", "recoil": [0.5, 2.0, 20.0], "energy": [0.03, 0.3, 4.0]},
}
HIGH = 60.0
RECOIL = np.array([0.05, 0.3, 0.7, 0.99, 1.0, 1.01, 1.5, 3.0, 7.77, 20.0, 45.0])


def detector(**settings):
    """Detector with a threshold of 1 keV_nr and QF 0.1, but for the settings."""
    given = {"threshold": 1.0, "quenching": QUENCHING["constant"]} | settings
    return Detector.model_validate(given)


@pytest.mark.parametrize("model", QUENCHING)
def test_recoil_equivalent_is_the_inverse(model):
    """Fails if quenching and its inverse do not return the recoil to 1e-5."""
    d = detector(quenching=QUENCHING[model])
    t = np.geomspace(0.01, HIGH, 300)
    there = d.recoil_equivalent(d.electron_equivalent(t), HIGH)
    np.testing.assert_allclose(there, t, rtol=1e-5)
    assert d.recoil_equivalent(0.0, HIGH) == 0.0


def test_negative_recoils_are_quenched_to_zero():
    """Fails if a recoil smeared below zero has a negative energy or none at all."""
    for model in QUENCHING.values():
        assert detector(quenching=model).electron_equivalent(-1.0) == 0.0


def test_no_resolution():
    """Fails if the step is not at the threshold, or the region not in the detector's own unit."""
    d = detector(efficiency={"model": "step", "plateau": 0.8}, region=[0.2, 2.0])
    t = np.array([0.5, 0.999, 1.001, 1.999, 2.001, 19.99, 20.01])
    expected = [0.0, 0.0, 0.0, 0.0, 0.8, 0.8, 0.0]
    np.testing.assert_array_equal(d.selection_probability(t, HIGH), expected)
    whole = detector(efficiency={"model": "step", "plateau": 0.8})
    np.testing.assert_array_equal(
        whole.selection_probability(t, HIGH), [0.0, 0.0, 0.8, 0.8, 0.8, 0.8, 0.8]
    )


def test_sqrt_resolution():
    """Fails if σ is not r √(T T_thr) about T: the integral over a step is a normal function."""
    d = detector(
        resolution={"model": "sqrt", "relative": 0.3}, efficiency={"model": "step", "plateau": 0.8}
    )
    expected = 0.8 * norm.sf((1.0 - RECOIL) / (0.3 * np.sqrt(RECOIL)))
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, atol=2e-6)


@pytest.mark.parametrize("model", ["constant", "power", "lindhard"])
def test_sqrt_resolution_in_a_region(model):
    """Fails if a region in keV_ee is not turned into keV_nr, where the smearing is."""
    d = detector(
        quenching=QUENCHING[model],
        threshold=0.5,
        resolution={"model": "sqrt", "relative": 0.4},
        region=[0.15, 1.5],
    )
    low, high = d.recoil_equivalent([0.15, 1.5], HIGH)
    low = max(low, 0.5)
    sigma = 0.4 * np.sqrt(0.5 * RECOIL)
    expected = norm.cdf((high - RECOIL) / sigma) - norm.cdf((low - RECOIL) / sigma)
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, atol=2e-5)


def test_photoelectrons_with_the_acceptance_of_2017():
    """Fails if the sum over Poisson photo-electrons, acceptance and region is another."""
    d = load("sns-csi-2017").detector
    expected = np.zeros_like(RECOIL)
    for pe in range(6, 31):
        accepted = 0.6655 / (1 + np.exp(-0.4942 * (pe - 10.8507)))
        expected += accepted * poisson.pmf(pe, 13.348 * 0.0878 * RECOIL)
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, rtol=1e-10)


def test_photoelectrons_with_a_step():
    """Fails if a threshold in keV_nr is not applied to the photo-electrons' recoil energy."""
    resolution = {"model": "photoelectrons", "light_yield": 25.0}
    d = detector(threshold=1.5, resolution=resolution)
    expected = poisson.sf(3, 2.5 * RECOIL)  # 1.5 keV_nr are 3.75 photo-electrons
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, rtol=1e-10)


def smeared(accepted, sigma):
    """Sum an acceptance of e_reco in fine bins over normal distributions, what is below 0 at 0."""
    edges = np.linspace(0.0, 12.0, 1_200_001)
    middle = (edges[1:] + edges[:-1]) / 2
    chance, at_zero = accepted(middle), accepted(np.zeros(1))[0]
    mean = 0.1 * RECOIL
    return np.array(
        [
            np.diff(ndtr((edges - m) / s)) @ chance + at_zero * ndtr(-m / s)
            for m, s in zip(mean, sigma(mean), strict=True)
        ]
    )


def test_fano_with_a_step():
    """Fails if the width in keV_ee is not √(noise² + F ε E)."""
    d = detector(
        resolution={"model": "fano", "fano": 0.119, "pair_energy": 3.65, "noise": 20.0},
        efficiency={"model": "step", "plateau": 0.9},
    )
    sigma = np.sqrt(0.020**2 + 0.119 * 3.65e-3 * 0.1 * RECOIL)
    expected = 0.9 * norm.sf((0.1 - 0.1 * RECOIL) / sigma)
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, atol=2e-5)


def test_fano_in_electrons_with_a_table():
    """Fails if acceptance and region of a detector in electrons are not in electrons."""
    d = detector(
        resolution={
            "model": "fano", "fano": 0.119, "pair_energy": 3.65, "noise": 20.0, "unit": "electrons",
        },
        efficiency={"model": "table", "energy": [20.0, 60.0], "efficiency": [0.1, 0.7]},
        region=[30.0, 1000.0],
    )  # fmt: skip

    def accepted(e):
        n = e / 3.65e-3
        return np.where((n >= 30) & (n <= 1000), np.interp(n, [20, 60], [0.1, 0.7]), 0.0)

    expected = smeared(accepted, lambda e: np.sqrt(0.020**2 + 0.119 * 3.65e-3 * e))
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, atol=2e-5)


@pytest.mark.parametrize("threshold", [0.2, 1.0])  # below the cut of the acceptance, and above
def test_table_of_widths_with_a_logistic(threshold):
    """Fails if a tabulated width, or the half acceptance above the cut, is off by 2e-5.

    The steps of the acceptance lie inside bins of the function's own sum, unless it sees to them.
    """
    d = detector(
        threshold=threshold,
        resolution={"model": "table", "energy": [0.1, 2.0], "width": [0.05, 0.2]},
        efficiency={
            "model": "logistic", "plateau": 0.7, "slope": 8.0, "midpoint": 0.3, "cut": 0.05,
            "half_until": 0.2,
        },
    )  # fmt: skip

    def accepted(e):
        full = 0.7 / (1 + np.exp(-8.0 * (e - 0.3)))
        return np.where(e < max(0.05, 0.1 * threshold), 0.0, np.where(e < 0.2, full / 2, full))

    expected = smeared(accepted, lambda e: np.interp(e, [0.1, 2.0], [0.05, 0.2]))
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), expected, atol=2e-5)


def test_events_smeared_below_zero_are_still_there():
    """Fails if a detector without threshold loses what noise moves below zero.

    The events' energy is held at 0 and passes a threshold of 0, so their probability is one.
    """
    d = detector(
        threshold=0.0,
        resolution={"model": "fano", "fano": 0.119, "pair_energy": 3.65, "noise": 20.0},
    )
    np.testing.assert_allclose(d.selection_probability(RECOIL, HIGH), 1.0, atol=2e-5)


@pytest.mark.parametrize(
    ("settings", "unit", "per_kev"),
    [
        ({"quenching": QUENCHING["none"]}, "keV_nr", 1.0),
        ({}, "keV_ee", 1.0),
        ({"resolution": {"model": "sqrt", "relative": 0.3}}, "keV_ee", 1.0),
        ({"resolution": {"model": "photoelectrons", "light_yield": 13.348}}, "PE", 13.348),
        ({"resolution": {"model": "fano", "fano": 0.1, "pair_energy": 3.65, "noise": 1}},
         "keV_ee", 1.0),
        ({"resolution": {"model": "fano", "fano": 0.1, "pair_energy": 3.65, "noise": 1,
                         "unit": "electrons"}}, "electrons", 1e3 / 3.65),
    ],
)  # fmt: skip
def test_unit(settings, unit, per_kev):
    """Fails if e_reco is not in the unit of what is counted."""
    d = detector(**settings)
    assert d.unit == unit
    assert d.per_kev == pytest.approx(per_kev)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0, "resolution": {"model": "sqrt", "relative": 0.3}}, "above 0"),
        ({"quenching": {"model": "none"},
          "resolution": {"model": "photoelectrons", "light_yield": 1.0}}, "needs a quenching"),
        ({"quenching": {"model": "none"},
          "resolution": {"model": "fano", "fano": 0.1, "pair_energy": 3.6, "noise": 1.0}},
         "needs a quenching"),
        ({"threshold": -1.0}, "greater than or equal to 0"),
        ({"region": [1.0]}, "at least 2"),
        ({"dead_time": 1.0}, "less than 1"),
        ({"dead_time": -0.1}, "greater than or equal to 0"),
        ({"time_resolution": "pulse"}, "exposure"),
        ({"time_resolution": -1.0}, "greater than or equal to 0"),
        ({"geometry": {"shape": "cylinder", "size": [1.0, 2.0, 3.0]}}, "diameter, height"),
        ({"geometry": {"shape": "box", "size": [1.0, 2.0]}}, "x, y, z"),
        ({"geometry": {"shape": "sphere", "size": [1.0, 2.0]}}, "box"),
        ({"geometry": {"size": [1.0, 2.0, 0.0]}}, "greater than 0"),
        ({"geometry": {"size": [1.0, 2.0, 3.0], "modules": 0}}, "greater than or equal to 1"),
        ({"region": [3.0, 2.0]}, "region"),
    ],
)  # fmt: skip
def test_bad_settings(settings, message):
    """Fails if a detector that cannot be is accepted, or the error does not say why."""
    with pytest.raises(ValidationError, match=message):
        detector(**settings)
