"""Efficiency in time: its values, and what it leaves in windows, against closed forms."""

import numpy as np
import pytest
from nuspill import generate, load
from nuspill.generator.constants import MUON_LIFETIME
from nuspill.reco.arrival import background_shares, shares
from nuspill.reco.errors import ExperimentError
from scipy import stats

RATE, START, STOP, TAU = 4.94e-5, 520.0, 6000.0, MUON_LIFETIME
FALLING = {"model": "exponential", "start": START, "rate": RATE}
STEADY_TABLE = {"model": "table", "time": [0.0, 3000.0, 6000.0], "efficiency": [0.2, 1.0, 0.0]}


def with_time(settings=None):
    return load("sns-csi-2017", {"detector.time_efficiency": FALLING} | (settings or {}))


def falling(t):
    return np.where(t < START, 1.0, np.exp(-RATE * (t - START)))


def test_values():
    """Fails if it is not one up to the start and exponential from there on."""
    model = with_time().detector.time_efficiency
    t = np.array([-5.0, 0.0, 519.0, 520.0, 1520.0, 6000.0])
    np.testing.assert_allclose(model.at(t), falling(t), rtol=1e-12)
    assert load("sns-csi-2017").detector.time_efficiency.keeps_all()


def test_muon_decays_that_it_keeps():
    """Fails if the delayed neutrinos of a short pulse are not kept as an integral by hand says.

    A pulse of 10 ps of prompt neutrinos: ∫ exp(−t/τ)/τ ε(t) dt from 0 to 6 µs in closed form.
    """
    e = with_time({"source.pulse_width": 0.01, "source.window": STOP, "source.pulse_of": "numu"})
    flavours = {f.name: shares(e, f, None) for f in e.source.flavours}
    assert flavours["numu"][0][0] == pytest.approx(1.0, abs=1e-9)
    total = 1 / TAU + RATE
    early = -np.expm1(-START / TAU)
    late = np.exp(-START / TAU) * -np.expm1(-total * (STOP - START)) / (TAU * total)
    assert flavours["nue"][0][0] == pytest.approx(early + late, rel=1e-6)


def test_steady_background_that_it_keeps():
    """Fails if what is flat in time is not kept as its mean says, in beam-on and beam-off."""
    e = with_time({"windows.off_ratio": 2.0})
    (steady,) = e.background
    _, on, off = background_shares(e, steady, kept=True)
    mean = (START - np.expm1(-RATE * (STOP - START)) / RATE) / STOP
    assert on == pytest.approx(mean / 3, rel=1e-6)
    assert off == pytest.approx(2 * mean / 3, rel=1e-6)
    _, on, off = background_shares(e, steady)
    assert (on, off) == pytest.approx((1 / 3, 2 / 3))


def test_its_own_of_a_background():
    """Fails if a background's own efficiency in time does not replace the detector's."""
    e = with_time({"background.steady.time_efficiency": STEADY_TABLE})
    _, on, _ = background_shares(e, e.background[0], kept=True)
    assert on == pytest.approx((0.6 + 0.5) / 2 / 2, rel=1e-4)
    e = with_time({"background.steady.time_efficiency": {"model": "none"}})
    _, on, _ = background_shares(e, e.background[0], kept=True)
    assert on == pytest.approx(0.5)


@pytest.mark.parametrize("window", [1, 2])
def test_times_of_selected_events(window):
    """Fails if selected events of a steady background do not fall in time as its table says."""
    e = with_time({"background.steady.time_efficiency": STEADY_TABLE, "windows.off_ratio": 2.0})
    events = generate(e, seed=5, years=100.0, library="np")
    w = e.beam_windows
    chosen = events["selected"] & (events["component"] == 10) & (events["window"] == window)
    time = events["time"][chosen]
    late = (time - w.off_start) / 2 if window == 2 else time
    t = np.linspace(0, STOP, 25)
    cdf = np.where(
        t < 3000, 0.2 * t + 0.4 * t**2 / 3000, 1800 + (t - 3000) - (t - 3000) ** 2 / 6000
    )
    due = np.diff(cdf) / 3300 * chosen.sum()
    counts, _ = np.histogram(late, t)
    assert chosen.sum() > 3000
    assert stats.chisquare(counts, due * counts.sum() / due.sum()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"detector.time_efficiency": {"model": "exponential", "start": 1.0}}, ["rate"]),
        ({"detector.time_efficiency": FALLING | {"rate": -1.0}}, ["rate", "-1"]),
        ({"detector.time_efficiency": STEADY_TABLE | {"time": [0.0, 2.0, 1.0]}}, ["increase"]),
        ({"detector.time_efficiency": STEADY_TABLE | {"time": [0.0, 2.0]}}, ["as many"]),
        ({"detector.time_efficiency": STEADY_TABLE | {"efficiency": [0.0, 2.0, 0.1]}}, ["2.0"]),
        ({"detector.time_efficiency": {"model": "falling"}}, ["exponential"]),
        ({"detector.time_efficiency": FALLING, "detector.time_resolution": "exposure"},
         ["time_efficiency", "exposure"]),
    ],
)  # fmt: skip
def test_bad_settings(settings, parts):
    """Fails if a wrong efficiency in time is taken, or the line does not say what is wrong."""
    with pytest.raises(ExperimentError) as caught:
        load("sns-csi-2017", settings)
    for part in parts:
        assert part in str(caught.value)
