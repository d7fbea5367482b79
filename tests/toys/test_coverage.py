"""Coverage: regions by toys hold the truth as often as they say, where Wilks' do not."""

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.reco.cluster.workers import Here
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.problem import counting, reference_problem
from nuspill.toys.coverage import CoverageStudy, clopper_pearson, coverage
from scipy.stats import binom, chi2

SMALL = 1e-3
LEVELS = (0.68, 0.90)
DAYS_30 = {"exposure.years": 30 / 365.25}


def pulls(found, region="feldman_cousins"):
    """(coverage − level)/error of one kind of region."""
    return np.array([(c.coverage - c.cl) / c.error for c in found if c.region == region])


def is_covered(found):
    """χ² and sum of the pulls of each level: not beyond chance.

    Where q = 0 for more toys than the level, at a bound, intervals hold the truth more often.
    """
    assert all(c.failed == 0 for c in found)
    for cl in {c.cl for c in found}:
        z = pulls([c for c in found if c.cl == cl and c.critical > 1e-6])
        assert np.all(pulls([c for c in found if c.cl == cl]) > -4)
        assert chi2.sf(np.sum(z**2), len(z)) > SMALL, z
        assert abs(z.sum()) / np.sqrt(len(z)) < 3.3


NSI = np.array([[a, b] for a in (-0.1, 0.0, 0.2, 0.45) for b in (-0.05, 0.15, 0.4)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ess-csi", "ess-ar"])
def test_nsi_plane(name):
    """Fails if Feldman-Cousins regions over- or undercover at any of 12 points of the plane.

    And if Wilks' regions were as good: they overcover between the valleys by far.
    """
    model = build([load(name)], ["nsi.u.ee", "nsi.u.mumu"])
    toys = 6000 if name == "ess-csi" else 30_000
    found = coverage(
        CoverageStudy(model, ("nsi.u.ee", "nsi.u.mumu"), NSI, LEVELS, toys, seed=5), Here(2)
    )
    is_covered(found)
    assert np.abs(pulls(found, "wilks")).max() > 5


@pytest.mark.parametrize(
    ("name", "parameter", "values", "settings"),
    [
        ("ess-csi", "sin2w", (0.2, 0.23867, 0.28), {}),
        ("ess-csi", "moment.numu", (0.0, 1.0, 3.0, 8.0), {}),
        ("ess-ar", "moment.numu", (0.0, 2.0), DAYS_30),
        ("ess-si", "strength", (0.0, 0.3, 1.0, 2.0), DAYS_30),
        ("ess-si", "moment.numu", (0.0, 1.0), DAYS_30),
        ("ess-ar", "sin2w", (0.22, 0.26), DAYS_30),
    ],
)
def test_one_parameter(name, parameter, values, settings):
    """Fails if Feldman-Cousins does not cover sin²θ_W, a moment at its bound, or low counts."""
    model = build([load(name, settings)], [parameter])
    points = np.array(values)[:, None]
    found = coverage(CoverageStudy(model, (parameter,), points, LEVELS, 4000, seed=9), Here(2))
    is_covered(found)


def test_wilks_overcovers_at_a_bound():
    """Fails if Wilks' interval at μ = 0 does not hold the truth with 95 % for 90 % (Chernoff).

    There q is 0 in half of the toys and χ² in the others: coverage (1 + 0.9)/2.
    """
    model = counting([100.0], [1e4])
    found = coverage(
        CoverageStudy(model, ("mu",), np.array([[0.0]]), LEVELS, 40_000, Ensemble("fixed"))
    )
    wilks = next(c for c in found if c.region == "wilks" and c.cl == 0.9)
    assert wilks.coverage == pytest.approx(0.95, abs=4 * wilks.error)
    assert wilks.low < wilks.coverage < wilks.high
    is_covered(found)


def test_points_have_toys_of_their_own():
    """Fails if toys of the points of a map share random numbers: errors would all be one error."""
    model = reference_problem()
    points = np.linspace(0.7, 1.3, 40)[:, None]
    found = coverage(CoverageStudy(model, ("mu",), points, (0.9,), 1000, seed=2))
    z = pulls(found)
    assert chi2.cdf(np.sum((z - z.mean()) ** 2), 39) > SMALL  # too alike
    is_covered([c for c in found if c.cl == 0.9])


def test_coverage_of_few_counts_is_never_below():
    """Fails if intervals of a discrete count hold the truth too rarely; ties make them hold more.

    Exactly: the sum of Poisson probabilities of the accepted counts.
    """
    model = counting([1.0], [0.5])
    points = np.array([[0.2], [1.0], [2.5], [6.0]])
    found = coverage(CoverageStudy(model, ("mu",), points, LEVELS, 20_000, Ensemble("fixed")))
    for c in found:
        if c.region == "feldman_cousins":
            assert c.coverage > c.cl - 4 * c.error


def test_centres_that_are_fixed_cover_nothing():
    """Fails if the ensemble of peers.md, truth and centres both fixed, does not cover 9 %.

    Toys that are tried have fluctuated centres; critical values are of those that have not.
    """
    model = reference_problem()
    one = np.array([[1.0]])
    wrong = coverage(
        CoverageStudy(
            model, ("mu",), one, (0.9,), 20_000, Ensemble("fixed", "fixed"), Ensemble("fixed")
        )
    )
    part = next(c for c in wrong if c.region == "feldman_cousins")
    assert part.coverage == pytest.approx(0.09, abs=0.01)


def test_nature_elsewhere():
    """Fails if a truth drawn from the prior is not covered by the profiled construction."""
    model = reference_problem()
    points = np.array([[0.5], [1.0], [1.7]])
    ensembles = Ensemble(), Ensemble("prior")
    is_covered(coverage(CoverageStudy(model, ("mu",), points, LEVELS, 20_000, *ensembles, seed=3)))


def test_threads_and_points_do_not_matter():
    """Fails if results depend on threads, or on which other points are asked for."""
    model = reference_problem()
    points = np.array([[0.8], [1.0]])
    a, b = (coverage(CoverageStudy(model, ("mu",), points, (0.9,), 500), Here(n)) for n in (1, 2))
    assert a == b
    assert coverage(CoverageStudy(model, ("mu",), points[:1], (0.9,), 500)) == a[:3]


@pytest.mark.parametrize(("held", "toys"), [(0, 10), (10, 10), (3, 10), (900, 1000)])
def test_clopper_pearson(held, toys):
    """Fails if tails beyond the limits are not (1 − cl)/2 each."""
    low, high = clopper_pearson(held, toys)
    tail = (1 - 0.6827) / 2
    assert low == 0 if held == 0 else binom.sf(held - 1, toys, low) == pytest.approx(tail)
    assert high == 1 if held == toys else binom.cdf(held, toys, high) == pytest.approx(tail)


def test_points_and_levels_out_of_range():
    """Fails if a point beyond the bounds, or a level of 1, is taken."""
    model = reference_problem()
    with pytest.raises(ExperimentError, match="mu = -1"):
        coverage(CoverageStudy(model, ("mu",), np.array([[-1.0]]), (0.9,), 100))
    with pytest.raises(ExperimentError, match="cl"):
        coverage(CoverageStudy(model, ("mu",), np.array([[1.0]]), (1.0,), 100))
