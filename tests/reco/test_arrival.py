"""Arrival times in closed form: against draws, against quantiles, and in limits."""

import numpy as np
import pytest
from nuspill import load
from nuspill.reco.arrival import Arrival, shares, window_shares
from scipy.integrate import quad
from scipy.stats import exponnorm, kstest, norm

FLAT = np.array([0.0, 1000.0]), np.ones(2)
TABLE = np.array([-50.0, 100.0, 180.0, 400.0, 900.0]), np.array([0.0, 3.0, 5.0, 1.0, 2.0])
MUON, PION = 2196.9811, 26.033


def drawn(arrival, number, seed):
    """Times of an arrival: points of the density, lives and a Gaussian."""
    rng = np.random.default_rng(seed)
    x, f = arrival.time, arrival.density
    fine = np.linspace(x[0], x[-1], 200_001)
    weight = np.interp((fine[1:] + fine[:-1]) / 2, x, f)
    below = np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum()
    time = np.interp(rng.random(number), below, fine) + arrival.delay
    for life in arrival.lives:
        time += rng.exponential(life, number)
    return time + arrival.sigma * rng.standard_normal(number)


@pytest.mark.parametrize("sigma", [0.0, 3.0, 120.0, 5e4])
@pytest.mark.parametrize("lives", [(), (PION,), (MUON,), (PION, MUON)])
@pytest.mark.parametrize("pulse", [FLAT, TABLE])
def test_cumulative_of_draws(pulse, lives, sigma):
    """Fails if the closed form is not the distribution of pulse + lives + Gaussian (KS)."""
    arrival = Arrival(*pulse, lives, delay=70.0, sigma=sigma)
    assert kstest(drawn(arrival, 100_000, 5), arrival.cumulative).pvalue > 1e-3


@pytest.mark.parametrize("sigma", [0.5, 40.0, 3000.0])
def test_one_life_against_integrals(sigma):
    """Fails if a short pulse is not the exponentially modified Gaussian, to 1e-9."""
    arrival = Arrival(np.array([0.0, 100.0]), np.ones(2), (MUON,), sigma=sigma)
    for t in (-2000.0, 0.0, 60.0, 500.0, 5e3, 2e4):
        due, _ = quad(
            lambda s, t=t: exponnorm.cdf((t - s) / sigma, MUON / sigma) / 100, 0, 100, epsabs=1e-12
        )
        assert arrival.cumulative(t) == pytest.approx(due, abs=1e-9)


def test_no_life_is_a_smeared_pulse():
    """Fails if a flat pulse without decays is not the mean of Gaussians, before and after it."""
    arrival = Arrival(*FLAT, sigma=50.0)
    t = np.array([-1e9, -100.0, 0.0, 500.0, 1000.0, 1e9])
    due = [quad(lambda s, t=t: norm.cdf((t - s) / 50) / 1000, 0, 1000)[0] for t in t]
    np.testing.assert_allclose(arrival.cumulative(t), due, atol=1e-9)


def test_far_from_the_pulse_nothing_is_left():
    """Fails if rounding of great times leaves parts long after the pulse, or takes some away."""
    for life in ((), (MUON,), (PION, MUON)):
        arrival = Arrival(*TABLE, life, sigma=20.0)
        far = arrival.cumulative(np.array([1e5, 1e7, 7e7, 1e9]))
        np.testing.assert_allclose(far, 1.0, atol=1e-9)
        np.testing.assert_allclose(np.diff(far[:1].repeat(2)), 0.0, atol=1e-12)
        np.testing.assert_allclose(arrival.cumulative([-1e5, -1e9]), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ess-csi", {}), ("ess-ar", {}), ("sns-csi-2017", {"detector.time_resolution": 300.0}),
        ("sns-csi-2017", {"windows.off_start": 1.01e4}),
    ],
)  # fmt: skip
def test_bins_sum_to_the_window(name, settings):
    """Fails if bins of all of beam-on and beam-off do not sum to what falls there: quantiles."""
    experiment = load(name, settings)
    w = experiment.beam_windows
    for flavour in experiment.source.flavours:
        on, off = shares(experiment, flavour, np.linspace(w.on_start, w.on_stop, 8))
        _, whole, beside = window_shares(experiment, None, flavour.lives, 0.0)
        assert on.sum() == pytest.approx(whole, abs=2e-5)
        assert off.sum() == pytest.approx(beside, abs=1e-4)


def test_flat_arrival_is_in_proportion():
    """Fails if bins of a steady source are not their lengths over the period, τ times in off."""
    experiment = load("ess-csi", {"source.steady": True, "windows.off_ratio": 2.0})
    edges = np.array([0.0, 1e5, 1e6])
    on, off = shares(experiment, experiment.source.flavours[0], edges)
    np.testing.assert_allclose(on, np.diff(edges) / experiment.source.period)
    np.testing.assert_allclose(off, 2 * on)
