"""Fits of 2 000 simulated data sets of events: pulls of all variables have mean 0 and width 1."""

import numpy as np
import pytest
from nuspill import Construction, Ensemble, build, load, search

FITS = 2000
SNS = {"background.brn.uncertainty": 0.25, "background.nin.uncertainty": 0.35}
LEAKS = {
    "background": [
        {"name": "steady", "rate": 2.0},
        {"name": "neutrons", "timing": "prompt", "rate": 0.3, "total": True, "uncertainty": 0.2},
    ],
    "windows.on_start": 1e6, "windows.on_length": 1.5e6, "windows.off_start": 2.7e6,
    "exposure.years": 0.02,
}  # fmt: skip
"""Both windows in the pulse, so that beam-off holds signal and neutrons."""


@pytest.mark.slow
@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
@pytest.mark.parametrize(("name", "settings"), [("sns-csi-2021", SNS), ("ess-csi", LEAKS)])
def test_pulls(name, settings, statistic):
    """Fails if a variable's signed root of Δχ² at the truth is not normal, be it biased or wide."""
    experiment = load(name, settings | {"analysis.statistic": statistic})
    model = build([experiment], ["strength"])
    grid = (("strength", np.array([1.0])),)
    events = Ensemble(level="events")
    toys = Construction(model, grid, events, 7, model.asimov(), (experiment,))
    data = toys.thrown(0, 0, FITS)
    free = toys.search_free.fit(data, model.truth[None])
    assert not free.status.any()
    for i, variable in enumerate(model.names):
        held = search(model, [variable]).fit(data, model.truth[None])
        away = np.sign(free.values[:, i] - model.truth[i])
        pulls = away * np.sqrt(np.maximum(held.chi2 - free.chi2, 0.0))
        assert abs(pulls.mean()) < 3.5 / np.sqrt(FITS), variable
        assert pulls.std() == pytest.approx(1.0, abs=3.5 / np.sqrt(2 * FITS)), variable
