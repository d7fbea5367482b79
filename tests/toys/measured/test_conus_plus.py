"""conus-plus-2025 against plain NumPy: expected events at three thresholds, and reactor-off."""

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.reco.expectation import expectations
from scipy.stats import norm

NAME = "conus-plus-2025"
COMPUTED = {0.160: 407.0, 0.170: 316.0, 0.180: 245.0}
"""Events above thresholds in keV_ee, computed with other code."""
ISOTOPES = (
    (70, 0.2057, 69.92425), (72, 0.2745, 71.92208), (73, 0.0775, 72.92346),
    (74, 0.3650, 73.92118), (76, 0.0773, 75.92140),
)  # fmt: skip
"""Mass number, abundance and atomic mass of germanium."""


def by_hand(energy, density, threshold):
    """Events of 327 kg d at 1.5e13 /cm²/s; energies in MeV, threshold in keV_ee."""
    flux = np.asarray(density) / np.trapezoid(density, energy) * 1.5e13
    recoil = np.geomspace(0.05, 3.5, 1500)  # keV
    total = 0.0
    molar = sum(part * atom for _, part, atom in ISOTOPES)
    for a, part, atom in ISOTOPES:
        mass, t = atom * 931.49410242 - 32 * 0.51099895, 1e-3 * recoil
        radius = 1.23 * a ** (1 / 3) - 0.6
        q = np.sqrt(2 * mass * t) / 197.3269804
        x = q * np.sqrt(radius**2 + 7 / 3 * (np.pi * 0.52) ** 2 - 5 * 0.9**2)
        form = 3 * (np.sin(x) - x * np.cos(x)) / x**3 * np.exp(-((0.9 * q) ** 2) / 2)
        charge = (32 * (0.5 - 2 * 0.23867) - 0.5 * (a - 32)) * form
        least = (t + np.sqrt(t**2 + 2 * mass * t)) / 2
        e = least[:, None] + np.maximum(energy[-1] - least, 0)[:, None] * np.linspace(0, 1, 3001)
        factor = np.maximum(2 - mass * t[:, None] / e**2, 0)
        average = np.trapezoid(np.interp(e, energy, flux) * factor, e, axis=1)
        section = 1.1663787e-11**2 * mass / (2 * np.pi) * charge**2 * (197.3269804e-13) ** 2
        nuclei = 1e3 * 6.02214076e23 * part / molar
        total += section * average * 1e-3 * nuclei * 327 * 86400
    epsilon = 11.5 * recoil * 32 ** (-7 / 3)
    g = 3 * epsilon**0.15 + 0.7 * epsilon**0.6 + epsilon
    quenched = recoil * 0.162 * g / (1 + 0.162 * g)
    sigma = np.sqrt(0.02038**2 + 0.11 * 2.96e-3 * quenched)
    return np.trapezoid(total * norm.sf((threshold - quenched) / sigma), recoil)


@pytest.mark.parametrize("threshold", COMPUTED)
def test_expected_events(threshold):
    """Fails if events above a threshold differ by 3 % from those computed, or 1e-3 by hand."""
    experiment = load(NAME, {"detector.region": [threshold, 0.8]})
    signal, _ = expectations(experiment)
    assert signal.selected[1] == pytest.approx(COMPUTED[threshold], rel=0.03)
    table = experiment.source.spectra["nuebar"]
    due = by_hand(np.array(table.energy), table.density, threshold)
    assert signal.selected[1] == pytest.approx(due, rel=1e-3)


def test_reactor_off():
    """Fails if reactor-off holds signal, or background in another ratio than 60 kg d to 327."""
    signal, steady = expectations(load(NAME))
    assert signal.selected[2] == signal.in_window[0] == 0.0
    assert steady.selected[2] / steady.selected[1] == pytest.approx(60 / 327, rel=1e-4)
    per_day = 10.0 * (1.0 - 0.08)
    assert steady.in_window[1] == pytest.approx(per_day * 327, rel=1e-4)


def test_flux_is_that_at_the_detector():
    """Fails if the shipped reactor brings another number of neutrinos a cm² and second."""
    source = load(NAME).source
    (flavour,) = source.flavours
    on = source.hours_per_year * 3600 * 327 / 387
    assert source.fluence_per_year(flavour) / on == pytest.approx(1.5e13, rel=1e-5)
    steady = load(NAME, {"source.steady": True}).source
    seconds = steady.hours_per_year * 3600
    assert steady.fluence_per_year(steady.flavours[0]) / seconds == pytest.approx(1.5e13)


def test_flux_at_another_distance():
    """Fails if twice the distance does not bring a quarter, or a flux and `per_year` are taken."""
    far = load(NAME, {"source.distance": 2 * 20.7}).source
    assert far.spectra["nuebar"].flux == pytest.approx(1.5e13 / 4)
    with pytest.raises(ExperimentError, match="`per_year` or `flux`, not both"):
        load(NAME, {"source.spectra.nuebar.per_year": 1e20})


def test_spectrum_is_the_published_one(shared):
    """Fails if the table of the source is not that of its file."""
    energy, density, _ = np.loadtxt(shared / "reactor/kopeikin_low_energy.txt").T
    table = load(NAME).source.spectra["nuebar"]
    np.testing.assert_allclose(table.energy, energy, rtol=1e-6)
    np.testing.assert_allclose(table.density, density, rtol=1e-5)
