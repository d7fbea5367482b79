"""CsI of 2021 in energy and time, simulated and fitted 2 000 times with all of its components."""

import numpy as np
import pytest
from nuspill import build, load
from nuspill.toys.construction.ensemble import Ensemble, Truth
from nuspill.toys.construction.event_toys import sources_at, throw_events
from nuspill.toys.construction.throw import throw
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.polynomial import derivative
from nuspill.toys.counts.template import templates
from nuspill.toys.fit.likelihood import background
from nuspill.toys.fit.search import search

TOYS = 2_000
SHAPES = [
    {"name": "pc0", "effect": "quenching parameters",
     "change": {"coefficients": [0.0059004, -0.79134, 26.152, -244.8]}},
    {"name": "pc1", "effect": "quenching parameters",
     "change": {"coefficients": [-5e-5, -0.37084, 18.60, -210.3]}},
    {"name": "brn time", "effect": "time shift", "on": ["brn"], "uncertainty": 25.0},
]  # fmt: skip
FREE = {"analysis.signal_uncertainty": 0.0}
LEAKS = FREE | {
    "windows.off_start": 6500.0,
    "background.nin.delay": 3000.0,
    "background.nin.rate": 0.03,
}
"""110 neutrons in beam-on and 35 in beam-off, beside 321 of the signal."""
ENERGY = {"analysis.axes": [{"name": "energy", "edges": [0, 8, 12, 16, 20, 24, 32, 40, 50, 60]}]}
CASES = {
    "all shapes": FREE | {"analysis.systematic": SHAPES},
    "scaled, what leaks": LEAKS | {"analysis.statistic": "on-off-scaled"},
    "on-off, what leaks": LEAKS | ENERGY | {"analysis.statistic": "on-off"},
}


def simulated(experiment, model, level):
    """Data of 2 000 measurements, of bins or of single events."""
    truth = Truth(model.truth, model.background_at(model.truth))
    data = throw(model, Ensemble(truth="fixed"), truth, 7, 0, 0, TOYS)
    if level == "bins":
        return data
    true = np.repeat(model.truth[None], TOYS, axis=0)
    return Data(
        *throw_events(model, sources_at(model, [experiment], truth), true, 7, 0, 0), data.centre
    )


def errors(model, slopes, values, counts, off):
    """Standard errors of the variables by the information of the counts at a best fit."""
    signal = np.broadcast_to(model.expected.at(values), (model.bins,))
    beside = background(np.maximum(signal, 0.0), model.tau, counts, off)
    of_on = 1 / np.maximum(signal + beside, 1e-9)
    of_off = np.where(model.tau > 0, model.tau / np.maximum(beside, 1e-9), np.inf)
    weight = 1 / (1 / of_on + 1 / of_off)
    along = np.array([np.broadcast_to(slope.at(values), (model.bins,)) for slope in slopes])
    return np.sqrt(np.diag(np.linalg.inv((along * weight) @ along.T + np.diag(model.weight))))


def pulls(experiment, level):
    """(Fitted − true)/error of every variable by name, shape (toys,), and the strengths."""
    model = build([experiment], ["strength"])
    data = simulated(experiment, model, level)
    fits = search(model).fit(data)
    assert not fits.status.any()
    slopes = [derivative(model.expected, k) for k in range(model.variables)]
    off = np.broadcast_to(data.off, data.counts.shape)
    sizes = [
        errors(model, slopes, *each) for each in zip(fits.values, data.counts, off, strict=True)
    ]
    apart = (fits.values - model.truth) / np.array(sizes)
    return dict(zip(model.names, apart.T, strict=True)), fits.values[:, 0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("level", ["bins", pytest.param("events", marks=pytest.mark.slow)])
def test_pulls_of_every_parameter(case, level):
    """Fails if a best fit is off by 0.09 standard errors on average, or its error by 7 %.

    What leaks into beam-off, if it were taken for steady, would move the strength by one.
    """
    experiment = load("sns-csi-2021", CASES[case])
    if case != "all shapes":
        leaking = templates(experiment).backgrounds["nin"]
        assert leaking.off.sum() > 0.3 * leaking.on.sum() > 30
    found, strengths = pulls(experiment, level)
    assert {"strength", "background.sns-csi-2021.brn", "background.sns-csi-2021.nin"} <= set(found)
    for name, pull in found.items():
        assert abs(pull.mean()) < 0.09, name
        assert abs(pull.std() - 1) < 0.07, name
    assert abs(strengths.mean() - 1) < 0.02
