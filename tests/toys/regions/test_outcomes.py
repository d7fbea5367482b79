"""Counts without fluctuating pulls: exact regions against plain enumeration and closed forms."""

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction, Statistic
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting
from nuspill.toys.regions.monotone import refuse_unfit
from nuspill.toys.regions.outcomes import MOST_OUTCOMES, outcomes
from nuspill.toys.regions.region import region
from scipy.stats import chi2, poisson

NOTHING = 1e-12
"""Background of the rows without any: a count needs some expectation."""
HIGHEST = 40.0
N = np.arange(121)


def counted(background, n, top=HIGHEST, signal=1.0):
    """Construction of n counts above a known background."""
    model = counting([signal], [max(background, NOTHING)])
    data = Data(np.array([[float(n)]]), np.zeros((1, 1)), np.zeros((1, 1)))
    return Construction(model, (("mu", np.linspace(0, top, 41)),), Ensemble(), 1, data)


def accepted(s, b):
    """Whether each n is in the 90 % acceptance at each s, ordered by P(n|s + b)/P(n|best s + b).

    Written after Feldman and Cousins, section IV.B, without their rise of limits with b: n is
    accepted while those of a greater ratio have less than 90 % together. Shape (s, n).
    """
    s = np.atleast_1d(s)[:, None]
    p = poisson.pmf(N, s + b)
    log_ratio = poisson.logpmf(N, s + b) - poisson.logpmf(N, np.maximum(N, b))
    result = np.empty(p.shape, bool)
    for n in range(21):
        before = log_ratio > log_ratio[:, n : n + 1] + 1e-9
        result[:, n] = (p * before).sum(axis=1) < 0.9
    return result[:, :21]


def is_in(s, intervals):
    """Whether values are in one of the intervals."""
    return np.any([(s >= a) & (s <= b) for a, b in intervals], axis=0)


@pytest.mark.parametrize(
    "b", [b if b in {3, 15} else pytest.param(b, marks=pytest.mark.slow) for b in range(16)]
)
def test_exact_tables_of_pure_counts(b):
    """Fails if a region of n = 0..20 counts above b is off, in one of three orderings, by 1e-6.

    The likelihood ratio is compared with plain enumeration on a fine grid, gaps included, and on
    both sides of each limit; the others with the χ² quantiles of Garwood. Where these are below
    s = 0, which is always as good as any s for n ≤ b, the region is s = 0 alone.
    """
    b = max(b, NOTHING)
    s = np.arange(0.003, HIGHEST, 0.01)
    inside = accepted(s, b)
    gaps = 0
    for n in range(21):
        listed = outcomes(counted(b, n))
        fc = listed.intervals(0.9, "likelihood-ratio")
        np.testing.assert_array_equal(is_in(s, fc), inside[:, n], err_msg=f"n = {n}")
        gaps += len(fc) - 1
        for edge in np.ravel(fc):
            if 0 < edge < HIGHEST:
                near = edge + np.array([-1e-6, 1e-6])
                np.testing.assert_array_equal(accepted(near, b)[:, n], is_in(near, fc))
        low = chi2.ppf(0.05, 2 * n) / 2 - b if n else 0.0
        high = [chi2.ppf(level, 2 * n + 2) / 2 - b for level in (0.95, 0.9)]
        central, upper = (listed.intervals(0.9, ordering) for ordering in ("central", "upper"))
        np.testing.assert_allclose(central, [np.maximum([low, high[0]], 0)], atol=1e-6)
        np.testing.assert_allclose(upper, [[0, max(high[1], 0)]], atol=1e-6)
    assert gaps == {3: 0, 10: 2, 13: 4, 14: 3, 15: 5}.get(round(b), gaps)


@pytest.mark.parametrize("row", range(10))
def test_published_tables(row, reference):
    """Fails if a limit differs from Feldman and Cousins' Tables IV and X by more than 0.01.

    The table in the reference is of the plain construction, before limits were raised so that they
    fall with b; as in print, n is in the interval from the first to the last s that accept it.
    """
    table = reference("fc1998")["poisson"][row]
    for n, published in enumerate(table["intervals"]):
        pairs = outcomes(counted(table["background"], n)).intervals(0.9, "likelihood-ratio")
        np.testing.assert_allclose([pairs[0][0], pairs[-1][1]], published, atol=0.0101)


@pytest.mark.parametrize("ordering", ["likelihood-ratio", "central", "upper"])
def test_p_values_are_sums_of_probabilities(ordering):
    """Fails if an exact p-value is not the sum over outcomes as far out, by its ordering."""
    n, b = 5, 2.5
    c = counted(b, n, 20.0)
    found = region(c, [Statistic(np.empty(0), 0)] * 41, 0.9, ordering)
    assert found.exact is not None
    for x, p in zip(c.points[1:, 0], found.p_value[1:], strict=True):
        below, above = poisson.cdf(n, x + b), poisson.sf(n - 1, x + b)
        ratio = poisson.logpmf(N, x + b) - poisson.logpmf(N, np.maximum(N, b))
        expected = {
            "central": min(2 * min(below, above), 1),
            "upper": below,
            "likelihood-ratio": poisson.pmf(N, x + b)[ratio <= ratio[n] + 1e-9].sum(),
        }[ordering]
        assert p == pytest.approx(expected, abs=1e-9)


def test_several_counts_and_a_profiled_coupling():
    """Fails if two bins and a beam-off count are not listed, or p-values are not those of toys."""
    settings = {
        "analysis.statistic": "on-off", "exposure.years": 0.0005, "background.steady.rate": 17.0,
        "analysis.signal_uncertainty": 0.0,
    }  # fmt: skip
    on_off = build([load("ess-ar", settings)], ["strength"])
    two = counting([2.0, 0.5], [1.0, 2.0])
    for model, name in ((on_off, "strength"), (two, "mu")):
        axes = ((name, np.array([0.4, 1.5, 3.0])),)
        c = Construction(model, axes, Ensemble(), 3, model.asimov())
        found = region(c, [Statistic(np.empty(0), 0)] * 3, 0.9)
        assert found.exact is not None
        for point in range(3):
            thrown = region(c, (c.toys(k, 0, 20_000) for k in range(3)), 0.9)
            assert np.allclose(thrown.p_value, found.p_value)  # listed too
            toys = c.toys(point, 0, 20_000).value
            p = np.mean(toys**2 >= c.observed[point] ** 2 - 1e-9)
            due = found.p_value[point]
            assert p == pytest.approx(due, abs=4 * np.sqrt(due * (1 - due) / 20_000) + 1e-6)
            below = np.mean(toys**2 <= found.critical[point] + 1e-9)
            less = np.mean(toys**2 < found.critical[point] - 1e-9)
            error = 4 * np.sqrt(0.09 / 20_000)
            assert below > 0.9 - error
            assert less < 0.9 + error


def test_where_outcomes_are_not_listed():
    """Fails if fluctuating pulls, toys of events or too many outcomes pass as a list."""
    many = counting([1.0] * 5, [100.0] * 5)
    pulls = counting([1.0], [3.0], 0.1)
    for model in (many, pulls):
        axes = (("mu", np.linspace(0, 5, 3)),)
        assert outcomes(Construction(model, axes, Ensemble(), 1, model.asimov())) is None
    fixed = Construction(pulls, axes, Ensemble("profiled", "fixed"), 1, pulls.asimov())
    assert outcomes(fixed) is not None
    prior = Construction(pulls, axes, Ensemble("prior", "fixed"), 1, pulls.asimov())
    assert outcomes(prior) is None
    one = counted(3.0, 4)
    events = Construction(one.model, one.axes, Ensemble(level="events"), 1, one.data)
    assert outcomes(events) is None
    assert len(outcomes(one)) < MOST_OUTCOMES


@pytest.mark.parametrize(
    ("experiment", "name", "low", "high", "turns"),
    [
        ("ess-ar", "strength", 0.0, 3.0, False),
        ("ess-ar", "nsi.u.ee", -1.0, 1.0, True),
        ("ess-ar", "nsi.u.ee", 0.2, 1.0, False),
        ("ess-ar", "nsi.u.ee", -1.0, 0.18, False),
        ("ess-ar", "sin2w", 0.1, 0.4, False),
        ("ess-csi", "sin2w", 0.1, 0.4, False),
        ("ess-ar", "moment.numu", 0.0, 1.0, False),
        ("ess-ar", "radius.ee", -50.0, 50.0, True),
    ],
)
def test_orderings_need_a_rate_that_is_monotone(experiment, name, low, high, turns):
    """Fails if `upper` or `central` are taken where the rate turns, or refused where not."""
    model = build([load(experiment)], [name])
    c = Construction(model, ((name, np.linspace(low, high, 3)),), Ensemble(), 1, model.asimov())
    refuse_unfit(c, "likelihood-ratio")
    for ordering in ("upper", "central"):
        if turns:
            with pytest.raises(ExperimentError, match=rf"'{ordering}'.*{name}.*turn near"):
                refuse_unfit(c, ordering)
            with pytest.raises(ExperimentError, match="turn near"):
                region(c, [], 0.9, ordering)
        else:
            refuse_unfit(c, ordering)
