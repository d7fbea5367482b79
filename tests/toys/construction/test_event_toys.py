"""Toys of events against binned ones: one distribution in every ensemble and statistic."""

from itertools import product

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.event_toys import sources_at
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from scipy.stats import chi2, ks_2samp

SMALL = 1e-3
TOYS = 800
BINNED = 20_000
EDGES = [0.2, 0.5, 1.0, 2.0, 4.0, 8.0]
FLUX = {"name": "flux", "effect": "flux", "uncertainty": 0.2}
SETTINGS = {
    "exposure.years": 0.3,
    "analysis.edges": EDGES,
    "analysis.systematic": [FLUX],
    "background": [
        {"name": "steady", "rate": 10.0},
        {"name": "neutrons", "timing": "prompt", "rate": 0.3},
    ],
    "analysis.signal_uncertainty": 0.3,
}
IN_TIME = {
    "analysis.edges": None,
    "analysis.axes": [
        {"name": "energy", "edges": [0.2, 0.7, 2.0, 8.0]},
        {"name": "time", "edges": [0.0, 2e5, 1.2e6, 2.7e6]},
    ],
    "detector.time_resolution": 2e5,
    "windows.off_ratio": 1.3,
}
STATISTICS = ("pulls", "on-off", "on-off-scaled")
TRUTHS = ("profiled", "fixed", "prior")
CENTRES = ("fluctuated", "fixed")


def both(truth, statistic, centres="fluctuated", factors="log-normal", settings=SETTINGS):
    """Constructions of events and of bins at a strength that the data, far off, do not have."""
    analysis = {"analysis.statistic": statistic, "analysis.factors": factors}
    if statistic == "pulls":
        analysis["analysis.background_uncertainty"] = 0.2
    experiment = load("ess-si", settings | analysis)
    model = build([experiment], ["strength"])
    random = np.random.default_rng(6)
    counts = random.poisson(1.5 * model.counts(model.truth) + 3.0)[None].astype(float)
    off = random.poisson(0.6 * model.tau * model.background)[None].astype(float)
    data = Data(counts, off, np.zeros((1, model.variables)))
    values = {"signal": 1.1, "flux": -0.7} if truth == "fixed" else {}
    axes = (("strength", np.array([1.3])),)
    return [
        Construction(
            model, axes, Ensemble(truth, centres, values, level), seed, data, (experiment,)
        )
        for level, seed in (("events", 1), ("bins", 2))
    ]


def columns(data, model):
    """Counts in beam-on and measured beam-off, shape (toys, bins)."""
    off = np.broadcast_to(data.off, data.counts.shape)
    return np.hstack([data.counts, off[:, model.tau > 0]])


@pytest.mark.parametrize(
    ("truth", "statistic", "centres", "factors"),
    [
        *product(TRUTHS, STATISTICS, CENTRES, ["log-normal"]),
        *product(TRUTHS, STATISTICS, ["fluctuated"], ["linear"]),
    ],
)
def test_events_are_distributed_as_bins(truth, statistic, centres, factors):
    """Fails if q, the total, or the mean or the spread of a bin of toys of events are not binned.

    The truth is far from nominal, so that a pull or a profiled background that is left out shows:
    a prior that is not drawn in the spread, a background at the file's rate in the mean.
    """
    check_alike(*both(truth, statistic, centres, factors))


@pytest.mark.parametrize(
    ("truth", "statistic"), [*zip(TRUTHS, STATISTICS, strict=True), ("profiled", "on-off")]
)
def test_events_in_energy_and_time_are_distributed_as_bins(truth, statistic):
    """Fails if toys of events in energy × time differ from binned ones, as above."""
    events, bins = both(truth, statistic, settings=SETTINGS | IN_TIME)
    assert events.model.sections[0].binning.shape == (3, 3)
    check_alike(events, bins)


def check_alike(events, bins):
    """Fail if q, the total, or the mean or the spread of a bin differ."""
    model = events.model
    thrown = events.thrown(0, 0, TOYS), bins.thrown(0, 0, BINNED)
    q = [
        at.chi2 - free.chi2
        for c, data in zip((events, bins), thrown, strict=True)
        for at, free in [c.fit_toys(data, c.truth(0).values[None])]
    ]
    assert ks_2samp(*q).pvalue > SMALL
    assert ks_2samp(*(data.counts.sum(axis=1) for data in thrown)).pvalue > SMALL
    seen, due = (columns(data, model) for data in thrown)
    apart = seen.mean(axis=0) - due.mean(axis=0)
    covariance = np.cov(due, rowvar=False) * (1 / TOYS + 1 / BINNED)
    assert SMALL < chi2.sf(apart @ np.linalg.solve(covariance, apart), len(apart)) < 1 - SMALL
    assert seen.sum(axis=1).var() == pytest.approx(due.sum(axis=1).var(), rel=5 * np.sqrt(2 / TOYS))


def test_a_profiled_background_is_not_that_of_the_file():
    """Fails if `on-off` profiles nothing here, so that the test above would test nothing."""
    events, _ = both("profiled", "on-off")
    (source,) = sources_at(events.model, events.experiments, events.truth(0))
    assert abs(source.base[1] - 1) > 0.1
    assert source.base[2] == 1
    assert source.profiled.keep.min() < 0.95
    assert source.profiled.extra.max() > 0.5


def test_a_pull_acts_where_it_has_an_uncertainty():
    """Fails if an experiment with signal_uncertainty = 0 takes part in a pull of that name."""
    free = {"analysis.signal_uncertainty": 0.0, "analysis.background_uncertainty": 0.0}
    experiments = [load("ess-si"), load("ess-csi", free)]
    model = build(experiments, ["strength"])
    axes = (("strength", np.array([1.0])),)
    events = Construction(
        model, axes, Ensemble("fixed", nuisances={"signal": 2.0}), 1, model.asimov()
    )
    pulled, other = sources_at(model, experiments, events.truth(0))
    values = events.truth(0).values
    change = model.counts(values) / model.counts(model.truth)
    assert pulled.rates(values)[0] == pytest.approx(1.1**2)
    np.testing.assert_array_equal(other.rates(values), 1.0)
    np.testing.assert_allclose(change[model.section("ess-csi").on], 1.0)


@pytest.mark.parametrize("truth", ["fixed", "prior"])
def test_a_response_is_not_shifted(truth):
    """Fails if toys of events are thrown with a shift of the response that they leave out."""
    systematic = {"name": "scale", "effect": "quenching", "uncertainty": 0.05}
    experiment = load("ess-si", {"exposure.years": 0.1, "analysis.systematic": [systematic]})
    model = build([experiment], ["strength"])
    axes = (("strength", np.array([1.0])),)
    values = {"scale": 1.0} if truth == "fixed" else {}
    ensemble = Ensemble(truth, nuisances=values, level="events")
    c = Construction(model, axes, ensemble, 1, model.asimov(), (experiment,))
    with pytest.raises(ExperimentError, match=r"cannot shift quenching \('scale'"):
        c.toys(0, 0, 2)
    fixed = Ensemble("fixed", level="events")
    c = Construction(model, axes, fixed, 1, model.asimov(), (experiment,))
    assert len(c.toys(0, 0, 2).value) == 2


def test_a_toy_of_events_is_a_function_of_its_number():
    """Fails if a drawn truth, or a profiled background, depends on the block of a toy."""
    for truth, statistic in (("prior", "pulls"), ("profiled", "on-off")):
        events, _ = both(truth, statistic)
        whole = events.thrown(0, 0, 6)
        parts = [events.thrown(0, a, a + 3) for a in (0, 3)]
        for name in ("counts", "off", "centre"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert joined[: len(getattr(whole, name))].tobytes() == getattr(whole, name).tobytes()
