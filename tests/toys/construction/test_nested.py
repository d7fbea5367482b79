"""Toys of toys: they are those of `toys --data`, and cover what can be enumerated."""

from dataclasses import replace

import numpy as np
import pytest
from nuspill import load
from nuspill.toys.construction import nested
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.nested import Nested, follows_the_data
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting, reference_problem
from nuspill.toys.coverage import CoverageStudy, coverage
from nuspill.toys.fit.local import take
from nuspill.toys.kernels.throw import nested_seed
from scipy.stats import binom, poisson

LEVELS = (0.68, 0.9)
LOW_COUNTS = {"exposure.years": 0.05, "analysis.edges": [0.2, 1.0, 3.0, 8.0]}


def on_off(signal, background, tau):
    """Counts in one bin whose background is measured in beam-off, without pulls."""
    model = counting([signal], [0.0])
    return replace(model, tau=np.array([tau]), background=np.array([background]))


def at(model, name, value, seed=1, number=3):
    """A construction of one point for the Asimov data."""
    axes = ((name, np.array([value])),)
    return Construction(model, axes, Ensemble(), seed, model.asimov(), first_point=number)


@pytest.mark.parametrize("truth", ["profiled", "prior"])
@pytest.mark.parametrize("centres", ["fluctuated", "fixed"])
@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
def test_toys_of_a_toy_are_those_of_data(truth, centres, statistic):
    """Fails if the toys of a toy are not those of a construction of which it is the data."""
    model = build([load("ess-si", LOW_COUNTS | {"analysis.statistic": statistic})], ["strength"])
    ensemble = Ensemble(truth, centres)
    tried = at(model, "strength", 1.4)
    found = Nested(tried, ensemble, (0.5,), 100).toys(0, 20, 24)
    data = tried.thrown(0, 20, 24)
    fits = tried.fit_toys(data, tried.truth(0).values[None])
    for t in range(4):
        one = take(data, np.array([t]))
        seed = int(nested_seed(np.uint64(1), 20 + t, 3))
        of_data = replace(tried, ensemble=ensemble, seed=seed, data=one)
        toys = of_data.thrown(0, 0, 100)
        if centres == "fixed":
            toys = Data(toys.counts, toys.off, one.centre)
        held, free = of_data.fit_toys(toys, of_data.truth(0).values[None])
        q = fits[0].chi2[t] - fits[1].chi2[t]
        below = np.mean(held.chi2 - free.chi2 < q - 1e-6)
        assert found.value[t] == pytest.approx(below, abs=0.0101)  # rounding of the fitted truth
    assert found.failed == 0


def enumerated(model, mu, cl, toys, most=60):
    """Coverage by all counts in beam-on and off: with so many toys of each, and of one ensemble.

    Of the toys of an outcome, thrown at the background that is fitted to it, those below it in q
    are binomial; it is held where they are fewer than CL.
    """
    n, m = (grid.ravel().astype(float) for grid in np.mgrid[:most, :most])
    c = at(model, "mu", mu)
    none = np.zeros((1, model.variables))
    held, free = c.fit_toys(Data(n[:, None], m[:, None], none), np.array([[mu]]))
    q = np.round(np.maximum(held.chi2 - free.chi2, 0.0), 7)
    signal = mu * float(model.expected.at(np.array([1.0]))[0])
    tau = float(model.tau[0])
    background = float(c.truth(0).background[0])  # fitted to the Asimov data of mu = 1

    def chance(b):
        return poisson.pmf(n, signal + b) * poisson.pmf(m, tau * b)

    # B of n/(s + B) + m/B = 1 + τ
    half = (n + m) - (1 + tau) * signal
    fitted = (half + np.sqrt(half**2 + 4 * (1 + tau) * m * signal)) / (2 * (1 + tau))
    true = chance(background)
    likely = np.flatnonzero(true > 1e-8)
    assert true[likely].sum() > 1 - 1e-5
    least = np.ceil(cl * toys - 1e-9) - 1

    def holds(k, b):
        return binom.cdf(least, toys, min(chance(b)[q < q[k]].sum(), 1.0))

    return [
        sum(true[k] * holds(k, b) for k, b in zip(likely, at_b, strict=True))
        for at_b in (fitted[likely], np.full(len(likely), background))
    ]


@pytest.mark.parametrize(
    ("mu", "background", "tau"), [(0.5, 1, 1), (0.2, 1, 0.3), (1, 0.5, 3), (0, 0.5, 1)]
)
def test_what_can_be_enumerated(mu, background, tau):
    """Fails if nested coverage of two counts is not the exact sum over all outcomes.

    Each outcome has a critical value of its own; with few counts it is far from that at the truth.
    """
    model = on_off(4.0, background, tau)
    exact, plain = enumerated(model, mu, 0.9, 1000)
    study = CoverageStudy(
        model, ("mu",), np.array([[float(mu)]]), (0.9,), 4000, nested=4000, toys_each=1000, seed=11
    )
    found = {c.region: c for c in coverage(study)}
    assert found["nested"].coverage == pytest.approx(exact, abs=4 * found["nested"].error)
    assert found["nested"].critical is None
    one = found["feldman_cousins"]
    assert one.coverage == pytest.approx(plain, abs=4 * one.error)
    assert abs(exact - plain) > 0.005


def test_what_is_decided_early(monkeypatch):
    """Fails if more than 1 in 200 data sets would be decided otherwise by all of their toys."""
    model = reference_problem()
    tried = at(model, "mu", 1.0)
    early = Nested(tried, Ensemble(), LEVELS, 1600).toys(0, 0, 400).value
    monkeypatch.setattr(nested, "FIRST_LOOK", 1600)
    late = Nested(tried, Ensemble(), LEVELS, 1600).toys(0, 0, 400).value
    other = [(early < cl) != (late < cl) for cl in LEVELS]
    assert np.sum(other) <= 2
    assert np.any(early != late)


def test_toys_are_a_function_of_their_numbers():
    """Fails if what a toy's own toys say depends on the block, or its neighbours have the same."""
    tried = at(reference_problem(), "mu", 1.0)
    one = Nested(tried, Ensemble(), LEVELS, 200)
    whole = one.toys(0, 5, 12).value
    parts = [one.toys(0, a, b).value for a, b in ((5, 6), (6, 12))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len({int(nested_seed(np.uint64(1), t, p)) for t in range(50) for p in range(50)}) == 2500


def test_what_follows_the_data():
    """Fails if toys that are the same for all data are nested, or others are not."""
    pulled, plain = reference_problem(), counting([1.0], [1.0])
    assert follows_the_data(pulled, ("mu",), Ensemble())
    assert follows_the_data(pulled, ("mu",), Ensemble("prior"))
    assert not follows_the_data(pulled, ("mu",), Ensemble("fixed"))
    assert not follows_the_data(plain, ("mu",), Ensemble())
    assert follows_the_data(plain, (), Ensemble("fixed"))
    assert follows_the_data(on_off(1.0, 1.0, 1.0), ("mu",), Ensemble("prior"))


def test_many_counts_cover_either_way():
    """Fails if nested regions of the reference problem, of many counts, do not hold their level.

    There the critical value does not depend on the nuisance parameters.
    """
    study = CoverageStudy(
        reference_problem(), ("mu",), np.array([[1.0]]), LEVELS, 2000, nested=2000, seed=4
    )
    for c in coverage(study):
        if c.region in {"nested", "feldman_cousins"}:
            assert abs(c.coverage - c.cl) < 4 * c.error
