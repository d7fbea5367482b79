"""Spectra and rates of backgrounds; their events are in test_event."""

import numpy as np
import pytest
from nuspill import load
from nuspill.reco.expectation import background_per_kg_day, background_per_year, background_shape
from nuspill.reco.response.background import Background, shape
from pydantic import ValidationError
from scipy.integrate import quad

POINTS = {"model": "table", "energy": [0.0, 1.0, 4.0, 6.0], "density": [2.0, 0.0, 3.0, 1.0]}


BINS = {"model": "histogram", "edges": [0.0, 1.0, 2.0, 6.0], "counts": [4.0, 0.0, 6.0]}


def background(**settings):
    """Background with rate 2, but for the settings."""
    return Background.model_validate({"name": "b", "rate": 2.0} | settings)


def experiment(*backgrounds, name="ess-csi", **settings):
    """Experiment with these backgrounds in place of its own."""
    given = [{"name": f"b{i}", "rate": 2.0} | b for i, b in enumerate(backgrounds)]
    return load(name, settings | {"background": given})


@pytest.mark.parametrize(
    ("settings", "density"),
    [
        ({}, lambda e: 1.0),
        ({"range": [2.0, 5.0]}, lambda e: 1.0),
        ({"spectrum": {"model": "exponential", "length": 3.0}}, lambda e: np.exp(-e / 3)),
        ({"spectrum": {"model": "exponential", "length": 0.2}}, lambda e: np.exp(-e / 0.2)),
        ({"spectrum": {"model": "exponential", "length": 1e6}}, lambda e: np.exp(-e / 1e6)),
        (
            {"spectrum": BINS},
            lambda e: [4.0, 0.0, 1.5][np.searchsorted([1, 2], e, "right")],
        ),
        ({"spectrum": POINTS}, lambda e: np.interp(e, POINTS["energy"], POINTS["density"])),
    ],
    ids=["flat", "range", "exponential", "steep", "nearly flat", "histogram", "table"],
)
def test_cdf_is_the_integral(settings, density):
    """Fails if the part below an energy is not the integral of the density, by quadrature."""
    s = shape(background(**settings), 1.0, 9.0)
    low, high = s.edges[0], s.edges[-1]
    breaks = [e for e in (*POINTS["energy"], *BINS["edges"]) if low < e < high] or None
    whole = quad(density, low, high, points=breaks)[0]
    for e in np.linspace(low, high, 23):
        part = quad(density, low, e, points=[b for b in breaks or () if b < e] or None)[0]
        near = 2e-6 if settings.get("spectrum") is BINS else 1e-9  # ramps between bins
        assert s.cdf(np.array(e)) == pytest.approx(part / whole, abs=near)
    assert s.cdf(np.array(low - 1)) == 0.0
    assert s.cdf(np.array(high + 1)) == 1.0
    assert np.all(np.diff(s.cdf(np.linspace(low, high, 100))) >= 0)


def test_integral():
    """Fails if the area that multiplies the rate is wrong: flat, exponential, table by hand."""
    assert shape(background(), 1.0, 9.0).integral == 8.0
    falling = background(spectrum={"model": "exponential", "length": 3.0})
    assert shape(falling, 1.0, 9.0).integral == pytest.approx(3 * (1 - np.exp(-8 / 3)))
    assert shape(background(spectrum=POINTS), 1.0, 9.0).integral == pytest.approx(1 + 4.5 + 4)


def test_rate_per_recoil_energy():
    """Fails if a rate a keV_nr is not multiplied by threshold to e_max."""
    e = experiment({"scale": "keV_nr"})
    assert background_per_kg_day(e, e.background[0]) == pytest.approx(2 * (46.1 - 1.0))


def test_rate_per_electron_equivalent():
    """Fails if a rate a keV_ee is not multiplied by the range in keV_ee."""
    e = experiment({"scale": "keV_ee"}, name="ess-ge")
    assert background_per_kg_day(e, e.background[0]) == pytest.approx(2 * 0.2 * (78.9 - 0.6))
    e = experiment({"scale": "keV_ee"}, name="ess-si")
    high, low = 0.30 * 212.9, 0.1108 * 0.16**1.518
    assert background_per_kg_day(e, e.background[0]) == pytest.approx(2 * (high - low))


def test_rate_per_photoelectron():
    """Fails if a rate in the detector's own unit is not over its range in photo-electrons."""
    e = experiment({"scale": "reco"}, name="sns-csi-2017")
    pe = 13.348 * 0.0878 * (46.1 - 4.25)
    assert background_per_kg_day(e, e.background[0]) == pytest.approx(2 * pe)
    given = experiment({"scale": "reco", "range": [6.0, 30.0]}, name="sns-csi-2017")
    assert background_per_kg_day(given, given.background[0]) == pytest.approx(48.0)


def test_rate_of_the_whole_range():
    """Fails if `total` is multiplied by a range after all."""
    for spectrum in ({"model": "flat"}, {"model": "exponential", "length": 2.0}):
        e = experiment({"total": True, "spectrum": spectrum})
        assert background_per_kg_day(e, e.background[0]) == 2.0


def test_exponential_is_normalised_at_the_low_end():
    """Fails if `rate` is not the rate at the low end of the range."""
    e = experiment({"spectrum": {"model": "exponential", "length": 5.0}, "range": [2.0, 12.0]})
    assert background_per_kg_day(e, e.background[0]) == pytest.approx(10 * (1 - np.exp(-2)))
    s = background_shape(e, e.background[0])
    assert s.density[0] == 1.0


@pytest.mark.parametrize("timing", ["prompt", "delayed"])
def test_a_day_of_a_beam_background_is_a_day_of_beam(timing):
    """Fails if a background that comes with the beam is reduced by the duty factor."""
    e = experiment({"timing": timing, "total": True})
    assert background_per_year(e, e.background[0]) == pytest.approx(2.0 * 22.5 * 5000 / 24)


def test_steady_background_is_what_the_windows_record():
    """Fails if the live time is not that of both windows, or with record = "all" the period."""
    e = experiment({"total": True}, **{"windows.off_ratio": 3.0})
    days = 5000 / 24
    part = 4 * 2.81e6 * 14e-9
    assert background_per_year(e, e.background[0]) == pytest.approx(2.0 * 22.5 * days * part)
    e = experiment({"total": True}, **{"windows.off_ratio": 3.0, "windows.record": "all"})
    assert background_per_year(e, e.background[0]) == pytest.approx(2.0 * 22.5 * days)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": -1.0}, "greater than or equal to 0"),
        ({"name": ""}, "at least 1 character"),
        ({"timing": "table"}, "give `profile`"),
        ({"profile": {"time": [0, 1], "intensity": [1, 1]}}, "give `profile`"),
        ({"timing": "late"}, "steady"),
        ({"range": [3.0, 2.0]}, "range must increase"),
        ({"range": [1.0]}, "at least 2"),
        ({"range": [-1.0, 2.0]}, "greater than or equal to 0"),
        ({"measured": False, "scale": "keV_ee"}, "on the scale keV_nr"),
        ({"spectrum": POINTS, "range": [1.0, 2.0]}, "brings its own range"),
        ({"spectrum": {"model": "table", "energy": [1.0, 1.0], "density": [1, 1]}}, "increase"),
        ({"spectrum": {"model": "table", "energy": [1.0, 2.0], "density": [0, 0]}}, "positive"),
        ({"spectrum": {"model": "table", "energy": [1.0, 2.0], "density": [1]}}, "increase"),
        ({"spectrum": {"model": "table", "energy": [1.0], "density": [1]}}, "increase"),
        ({"spectrum": {"model": "exponential", "length": 0.0}}, "greater than 0"),
        ({"spectrum": {"model": "power"}}, "flat"),
        ({"timing": "table", "profile": {"time": [1, 0], "intensity": [1, 1]}}, "increasing times"),
        ({"timing": "table", "profile": {"time": [0, 1], "intensity": [0, 0]}}, "increasing times"),
        ({"timing": "table", "profile": {"time": [0, 1], "intensity": [1]}}, "increasing times"),
        ({"scale": "MeV"}, "keV_nr"),
    ],
)
def test_bad_settings(settings, message):
    """Fails if a background that cannot be is accepted, or the error does not say why."""
    with pytest.raises(ValidationError, match=message):
        background(**settings)
