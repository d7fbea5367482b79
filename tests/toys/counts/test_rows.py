"""Beam-off holds all that comes in it: what is expected, generated and fitted is one number."""

import numpy as np
import pytest
from nuspill import ExperimentError, build, generate, load
from nuspill.reco.columns import counted
from nuspill.reco.expectation import expectations
from nuspill.toys.construction.ensemble import Ensemble, Truth
from nuspill.toys.construction.throw import throw
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.template import templates
from nuspill.toys.fit.local import local_fit
from nuspill.toys.fit.search import search
from scipy import stats

ON_OFF = ["on-off", "on-off-scaled"]
ESS_PERIOD = 1e9 / 14
EDGES = [1.0, 2.0, 4.0, 8.0, 16.0, 46.1]
QUIET = {"analysis.signal_uncertainty": 0.0, "analysis.edges": EDGES, "exposure.years": 0.05}
STEADY = {"name": "steady", "rate": 1.0}


def flat(period, **settings):
    profile = {"time": [0.0, period], "intensity": [1.0, 1.0]}
    return {"name": "flat", "timing": "table", "profile": profile, "rate": 2.0} | settings


LONG = {"time": [0.0, 0.4 * ESS_PERIOD, ESS_PERIOD], "intensity": [3.0, 1.0, 1.0]}
OVER = {"time": [0.0, 0.4 * ESS_PERIOD, 2.5 * ESS_PERIOD], "intensity": [3.0, 1.0, 1.0]}
CASES = {
    "steady alone": {"background": [STEADY]},
    "flat": {"background": [STEADY, flat(ESS_PERIOD)]},
    "flat alone": {"background": [flat(ESS_PERIOD)]},
    "falling": {"background": [STEADY, flat(ESS_PERIOD, profile=LONG)]},
    "over periods": {
        "background": [STEADY, flat(ESS_PERIOD, profile=OVER, delay=ESS_PERIOD)],
    },
    "twice as long": {"background": [STEADY, flat(ESS_PERIOD)], "windows.off_ratio": 2.0},
    "delayed": {
        "background": [STEADY, {"name": "d", "timing": "delayed", "rate": 1.0, "delay": 2e5}],
        "windows.on_start": 1e6,
        "windows.on_length": 1.5e6,
        "windows.off_start": 2.7e6,
        "exposure.years": 0.4,  # in 0.05 a strength of 0.4 is 2 sigma off, by the Asimov data
    },
    "signal": {
        "background": [STEADY],
        "windows.on_start": 1e6,
        "windows.on_length": 1.5e6,
        "windows.off_start": 2.7e6,
    },
}
NO_STEADY = {"flat alone"}
PAIRS = [(s, c) for c in CASES for s in ON_OFF if not (c in NO_STEADY and s == "on-off-scaled")]


def experiment(statistic, case):
    return load("ess-csi", QUIET | CASES[case] | {"analysis.statistic": statistic})


def own_events(e, model, seed):
    """Data set of an experiment's own events, and how many are in beam-off by bin."""
    events = generate(e, seed=seed, years=e.exposure.years, library="np", selected_only=True)
    (section,) = model.sections
    on, off = (
        counted(events["e_reco_nr"][events["window"] == window], section.binning.energy)
        for window in (1, 2)
    )
    counts, beside = np.zeros(model.bins), np.zeros(model.bins)
    counts[section.on] = on
    if section.off is None:
        beside[section.on] = off
    else:
        counts[section.off] = off.sum()
    return Data(counts[None], beside[None], np.zeros((1, model.variables))), off


def expected_off(model):
    """Expected counts in beam-off, all bins together."""
    (section,) = model.sections
    if section.off is None:
        return float((model.tau * model.background).sum())
    return float(model.counts(model.truth)[section.off].sum())


@pytest.mark.parametrize(("statistic", "case"), PAIRS)
def test_a_fit_of_own_events_has_strength_one(statistic, case):
    """Fails if beam-off is measured without one of its components: the strength would be off.

    With the flat background forgotten it is 0.
    """
    e = experiment(statistic, case)
    model = build([e], ["strength"])
    data, _ = own_events(e, model, seed=5)
    best, asimov = search(model).fit(data), search(model).fit(model.asimov())
    assert asimov.values[0, 0] == pytest.approx(1.0, abs=1e-4)
    assert asimov.chi2[0] == pytest.approx(0.0, abs=1e-6)
    start = model.truth[None].copy()
    assert local_fit(model, data, start, [0]).chi2[0] - best.chi2[0] < 3.0**2
    start[0, 0] = 0.4  # and the data tell it from less than a half
    assert local_fit(model, data, start, [0]).chi2[0] - best.chi2[0] > 3.0**2


@pytest.mark.parametrize(("statistic", "case"), PAIRS)
def test_counts_in_beam_off_are_those_of_rates_and_of_events(statistic, case):
    """Fails if the model expects another number in beam-off than `rates`, or than is generated."""
    e = experiment(statistic, case)
    model = build([e], ["strength"])
    total = sum(x.selected[2] for x in expectations(e)) * e.exposure.years
    assert expected_off(model) == pytest.approx(total, rel=3e-3)
    _, seen = own_events(e, model, seed=8)
    assert abs(seen.sum() - total) < 4 * np.sqrt(total)
    if statistic == "on-off":
        due = model.tau * model.background
        assert stats.chi2.sf(np.sum((seen - due) ** 2 / due), len(due)) > 1e-3


@pytest.mark.parametrize("statistic", ON_OFF)
def test_steady_background_alone_is_what_it_was(statistic):
    """Fails if a model without anything else in beam-off is no more the closed form's own."""
    e = experiment(statistic, "steady alone")
    model, found = build([e], ["strength"]), templates(e)
    assert not any(off.any() for off in found.signal_off.values())
    assert not model.leaked.at(model.truth + 1.0).any()
    if statistic == "on-off":
        np.testing.assert_array_equal(model.background, found.steady)
    else:
        assert model.counts(model.truth)[-1] == found.tau * found.steady.sum()


@pytest.mark.parametrize("case", ["flat", "signal", "twice as long"])
def test_a_free_background_is_all_that_comes_in_both(case):
    """Fails if beam-on is not S − K/τ + B, and B not the steady background and K/τ."""
    e = experiment("on-off", case)
    model, found = build([e], ["strength"]), templates(e)
    plain = build([e.replace(**{"analysis.statistic": "pulls"})], ["strength"])
    point = np.array([1.7])
    np.testing.assert_allclose(model.counts(point), plain.counts(np.append(point, 0.0)), rtol=1e-12)
    b = model.background_at(point) - model.background_at([0.0])
    assert (b > 0).all() == (case == "signal")
    whole = model.tau * model.background_at([0.0])
    np.testing.assert_allclose(whole, found.tau * found.steady + found.beam_off, rtol=1e-12)
    less = model.fixed({"strength": 1.7})
    np.testing.assert_allclose(less.background, model.background_at(point), rtol=1e-12)


@pytest.mark.parametrize("statistic", ON_OFF)
@pytest.mark.parametrize("case", ["falling", "delayed"])
def test_an_uncertain_rate_of_the_beam_background_is_one_in_both_windows(case, statistic):
    """Fails if beam-off keeps its counts where the rate of what leaks is another."""
    systematic = {"name": "rate", "effect": "beam background", "uncertainty": 0.2}
    e = experiment(statistic, case).replace(**{"analysis.systematic": [systematic]})
    model, found = build([e], ["strength"]), templates(e)
    up = model.truth.copy()
    up[model.number("rate")] = 1.0
    more = model.counts(up) - model.counts(model.truth)
    bins = len(found.beam)
    np.testing.assert_allclose(more[:bins], 0.2 * found.beam, rtol=1e-9)
    if statistic == "on-off":
        off = model.tau * (model.background_at(up) - model.background)
        np.testing.assert_allclose(off, 0.2 * found.beam_off, rtol=1e-9)
    else:
        assert more[bins] == pytest.approx(0.2 * found.beam_off.sum(), rel=1e-9)


@pytest.mark.parametrize("truth", ["prior", "fixed"])
def test_toys_of_signal_in_beam_off(truth):
    """Fails if the beam-off counts of toys do not follow their signal."""
    settings = CASES["signal"] | {"analysis.signal_uncertainty": 0.2, "exposure.years": 20.0}
    e = load("ess-csi", QUIET | settings | {"analysis.statistic": "on-off"})
    model = build([e], ["strength"])
    z = model.truth.copy()
    z[0] = 3.0
    toys = throw(model, Ensemble(truth=truth), Truth(z, model.background_at(z)), 1, 0, 0, 4000)
    none = model.background_at(np.zeros(len(z)))
    mean = np.exp(np.log(1.2) ** 2 / 2) if truth == "prior" else 1.0  # of a log-normal
    due = model.tau * (none + (model.background_at(z) - none) * mean)
    error = toys.off.std(axis=0) / np.sqrt(len(toys.off))
    np.testing.assert_array_less(np.abs(toys.off.mean(axis=0) - due) / error, 4.5)
    on, off = toys.counts.sum(axis=1), toys.off.sum(axis=1)
    correlation = np.corrcoef(on, off)[0, 1]
    assert correlation > 0.8 if truth == "prior" else abs(correlation) < 0.06


@pytest.mark.parametrize("late", [{"timing": "table"}, {"timing": "prompt", "delay": 3.6e7}])
def test_a_background_that_is_mostly_in_beam_off(late):
    """Fails if `on-off` takes what it cannot hold, or does not say which, where and what to do."""
    profile = {"time": [3.57e7, 3.8e7], "intensity": [1.0, 1.0]}
    given = {"name": "echo", "rate": 1.0} | late
    given |= {"profile": profile} if late["timing"] == "table" else {}
    settings = QUIET | {"background": [STEADY, given]}
    e = load("ess-csi", settings | {"analysis.statistic": "on-off"})
    with pytest.raises(ExperimentError, match=r"'echo' has .* in beam-off and .*on-off-scaled"):
        build([e], ["strength"])
    scaled = e.replace(**{"analysis.statistic": "on-off-scaled"})
    model = build([scaled], ["strength"])
    total = sum(x.selected[2] for x in expectations(scaled)) * e.exposure.years
    assert expected_off(model) == pytest.approx(total, rel=1e-6)
