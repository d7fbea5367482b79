"""Spectra against their closed forms: fail for a wrong polynomial, normalisation or moment."""

import numpy as np
import pytest
from generator_formulas import (
    M_MU,
    M_PI,
    cdf_nue,
    cdf_numubar,
    phi_nue,
    phi_numubar,
)
from generator_goodness import approx
from nuspill.generator.spectrum import PION_LINE, decay_at_rest, line, tabulated
from scipy.integrate import quad

DAR = decay_at_rest()
CLOSED = {"nue": (phi_nue, cdf_nue), "numubar": (phi_numubar, cdf_numubar)}


@pytest.mark.parametrize("flavour", CLOSED)
def test_density_of_decay_at_rest(flavour):
    # eq. (2.1); fails for the two swapped, or x = 2E/m
    e = np.linspace(0, M_MU / 2, 1001)
    assert DAR[flavour].density(e) == approx(CLOSED[flavour][0](e), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("flavour", CLOSED)
def test_density_is_zero_outside(flavour):
    assert DAR[flavour].density([-1.0, -1e-9, M_MU / 2 + 1e-9, 100.0]) == approx(0, abs=0)


@pytest.mark.parametrize("flavour", CLOSED)
def test_decay_at_rest_is_normalised(flavour):
    assert DAR[flavour].moments(0.0)[0] == approx(1, rel=1e-13)
    assert quad(DAR[flavour].density, 0, M_MU / 2)[0] == approx(1, rel=1e-12)


@pytest.mark.parametrize("flavour", CLOSED)
def test_cumulative_function(flavour):
    # F = 16x³ − 16x⁴ and 32x³ − 48x⁴
    e = np.linspace(0, M_MU / 2, 101)
    above = DAR[flavour].moments(e)[0]
    assert above == approx(1 - CLOSED[flavour][1](e), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize(
    ("flavour", "inverse", "square"),
    [
        ("nue", lambda x: 4 - 48 * x**2 + 64 * x**3, lambda x: 24 * (1 - 2 * x) ** 2),
        (
            "numubar",
            lambda x: 10 / 3 - 24 * x**2 + 64 / 3 * x**3,
            lambda x: 16 - 48 * x + 32 * x**2,
        ),
    ],
)
def test_inverse_moments_of_decay_at_rest(flavour, inverse, square):
    # ∫ φ/E and ∫ φ/E² above x m_μ, integrated by hand; to 1e-10 above 1 MeV, as documented
    e = np.linspace(1.0, 50.0, 50)
    found = DAR[flavour].moments(e)
    x = e / M_MU
    assert found[1] == approx(inverse(x) / M_MU, rel=1e-10)
    assert found[2] == approx(square(x) / M_MU**2, rel=1e-10)


@pytest.mark.parametrize(("flavour", "mean"), [("nue", 3 / 10), ("numubar", 7 / 20)])
def test_mean_energies_of_muon_decay(flavour, mean):
    # the textbook means, 31.7 and 37.0 MeV; fails if the two are swapped
    found, _ = quad(lambda e: e * DAR[flavour].density(e), 0, M_MU / 2)
    assert found == approx(mean * M_MU, rel=1e-10)


def test_pion_line():
    # fails for m_π/2 or the kinetic energy of the muon; 29.79 MeV is the published number
    assert approx((M_PI**2 - M_MU**2) / (2 * M_PI), rel=1e-12) == PION_LINE
    assert approx(29.79, abs=0.005) == PION_LINE
    numu = DAR["numu"]
    assert numu.is_line
    assert numu.end_point == PION_LINE


def test_end_point_is_half_the_muon_mass():
    assert DAR["nue"].end_point == DAR["numubar"].end_point == approx(M_MU / 2)


def test_moments_of_a_line():
    # all of it above a lower limit, nothing above a higher one
    moments = line(30.0).moments([0.0, 29.9, 30.0, 31.0])
    assert moments[0] == approx([1, 1, 0, 0], abs=0)
    assert moments[1] == approx([1 / 30, 1 / 30, 0, 0])
    assert moments[2] == approx([1 / 900, 1 / 900, 0, 0])


def test_a_line_has_no_density():
    with pytest.raises(ValueError, match="no finite density"):
        line(30.0).density(30.0)


@pytest.mark.parametrize("energy", [0.0, -1.0, float("nan"), float("inf")])
def test_line_at_no_energy(energy):
    with pytest.raises(ValueError, match="must be positive"):
        line(energy)


ENERGY = np.array([2.0, 3.0, 3.5, 7.0, 20.0, 20.5])
DENSITY = np.array([0.0, 4.0, 0.5, 0.0, 9.0, 1.0])


def test_table_is_linear_between_its_points_and_normalised():
    # fails for steps in place of lines, or a sum in place of an integral
    spectrum = tabulated(ENERGY, DENSITY)
    area = sum((b - a) * (f + g) / 2 for a, b, f, g in
               zip(ENERGY, ENERGY[1:], DENSITY, DENSITY[1:], strict=False))  # fmt: skip
    e = np.linspace(2, 20.5, 999)
    assert spectrum.density(e) == approx(np.interp(e, ENERGY, DENSITY) / area, rel=1e-12)
    assert spectrum.density([1.9, 20.6]) == approx(0, abs=0)
    assert spectrum.moments(0.0)[0] == approx(1, rel=1e-13)


def test_table_may_have_any_unit():
    one, two = tabulated(ENERGY, DENSITY), tabulated(ENERGY, 1e18 * DENSITY)
    e = np.linspace(2, 20.5, 100)
    assert one.density(e) == approx(two.density(e), rel=1e-12)


@pytest.mark.parametrize("low", [0.0, 1.0, 2.0, 2.7, 3.0, 5.0, 20.2, 20.5, 30.0])
def test_moments_of_a_table(low):
    # lower limits before, on, between and after the points, each segment integrated by hand
    expected = np.zeros(3)
    area = np.trapezoid(DENSITY, ENERGY)
    for a, b, f, g in zip(ENERGY, ENERGY[1:], DENSITY, DENSITY[1:], strict=False):
        start = max(a, low)
        if start >= b:
            continue
        slope = (g - f) / (b - a)
        base = f - slope * a
        expected += np.array([
            base * (b - start) + slope * (b**2 - start**2) / 2,
            base * np.log(b / start) + slope * (b - start),
            base * (1 / start - 1 / b) + slope * np.log(b / start),
        ]) / area  # fmt: skip
    found = tabulated(ENERGY, DENSITY).moments(low)
    assert found[:, 0] == approx(expected, rel=1e-10, abs=1e-16)


def test_moments_fall_with_the_limit_through_a_jump():
    # fails for an index off by one at the points of the table
    spectrum = tabulated([5, 10, 10.001, 20], [1, 1, 0.1, 0.1])
    above = spectrum.moments(np.linspace(4, 21, 2000))[0]
    assert np.all(np.diff(above) <= 1e-14)
    assert above[0] == approx(1)
    assert above[-1] == 0


@pytest.mark.parametrize(
    ("energy", "density", "message"),
    [
        ([1], [1], "two columns and at least two rows"),
        ([1, 2], [1, 2, 3], "two columns"),
        ([[1, 2]], [[1, 2]], "two columns"),
        ([1, 1], [1, 1], "must increase"),
        ([2, 1], [1, 1], "must increase"),
        ([-1, 1], [1, 1], "from 0 or above"),
        ([0, 1], [0, 0], "somewhere positive"),
        ([0, 1], [1, -1], "nowhere negative"),
    ],
)
def test_table_refuses(energy, density, message):
    with pytest.raises(ValueError, match=message):
        tabulated(energy, density)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("energy", "density"),
    [
        ([1, 2, 3], [1, float("nan"), 1]),
        ([1, 2, 3], [0, float("inf"), 0]),
        ([1, float("inf")], [1, 1]),
        ([1, float("nan")], [1, 1]),
    ],
)
def test_table_refuses_what_is_not_finite(energy, density):
    # otherwise every rate is silently not a number
    with pytest.raises(ValueError, match="spectrum table"):
        tabulated(energy, density)
