"""Importance sampling against brute force: the same critical values, with fewer toys."""

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.reco.cluster.workers import Here
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.problem import counting, reference_problem
from nuspill.toys.importance.check import compare
from nuspill.toys.importance.mixture import (
    MOST_TOYS,
    importance_region,
    throw_mixture,
    weighted_quantile,
)
from nuspill.toys.importance.surrogate import asimov_fits
from nuspill.toys.records.distribute import throw_tasks
from nuspill.toys.regions.region import region
from scipy.stats import kstest


def compared(c, few, many, cl=0.9):
    """Region by importance sampling, one by brute force, and the pulls of critical values."""
    points = len(c.points)
    found = importance_region(c, cl, few, 10**6, workers=Here(2))
    tasks = [(k, 0, many) for k in range(points)]
    brute = region(c, (s for _, s in throw_tasks(c, tasks, Here(2))), cl)
    error = np.hypot(found.belt.error, brute.belt.error)
    pulls = (found.critical - brute.critical) / np.maximum(error, 1e-9)
    return found, brute, pulls


def plane(low, high, points, **settings):
    """NSI plane of CsI."""
    model = build([load("ess-csi", settings)], ["nsi.u.ee", "nsi.u.mumu"])
    axes = tuple((name, np.linspace(low, high, points)) for name in ("nsi.u.ee", "nsi.u.mumu"))
    return Construction(model, axes, Ensemble(), 31, model.asimov())


@pytest.mark.slow
@pytest.mark.parametrize(
    "c",
    [plane(-1, 1, 9), plane(-0.3, 0.7, 5, **{"exposure.years": 0.2})],
    ids=["whole", "around the region"],
)
def test_ten_times_fewer_toys_everywhere_on_a_plane(c):
    """Fails if the error at 90 % is above brute force's with ten times the toys anywhere, or wrong.

    All fits are counted. Pulls are of brute force's binomial errors, independent at each point:
    their mean and width must be 0 and 1 within three of their own errors.
    """
    found = compare(c, 0.9, 100, 10, workers=Here(2))
    assert found.brute_toys == 10 * found.fits == 1360
    assert np.all(found.ratio < 0.5)
    points = len(c.points)
    assert abs(found.pull.mean()) < 3 / np.sqrt(points)
    assert abs(found.pull.std() - 1) < 3 / np.sqrt(2 * points)
    assert np.abs(found.pull).max() < 4
    assert found.region.failed.sum() == 0
    assert np.ptp(found.region.critical) > 0.3  # or there was nothing to find


@pytest.mark.slow
def test_stated_errors_are_the_spread_of_repeats():
    """Fails if critical values from separate toys spread by other than their errors.

    Of 9 points far from each other, 20 times.
    """
    c = plane(-1, 1, 3)
    found = [importance_region(c, 0.9, 100, 100 * k, workers=Here(2)) for k in range(20)]
    value = np.array([r.critical for r in found])
    error = np.array([r.belt.error for r in found])
    assert error.max() < 0.04
    spread = value.std(axis=0, ddof=1) / np.sqrt(np.mean(error**2, axis=0))
    assert np.all((spread > 0.5) & (spread < 1.6))  # χ² of 19, p = 1e-4
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(1, abs=3 / np.sqrt(2 * 9 * 19))


def test_p_values_are_brute_force():
    """Fails if p-values are not those of brute force, within their error and 0.003."""
    c = plane(-0.1, 0.6, 6, **{"exposure.years": 0.2})
    found, brute, _ = compared(c, 400, 10_000)
    p = brute.p_value
    assert np.count_nonzero((p > 0.01) & (p < 0.99)) >= 4  # or there was nothing to find
    error = np.hypot(np.sqrt(p * (1 - p) / 10_000), 0.003)
    assert np.abs((found.p_value - p) / error).max() < 4


@pytest.fixture(scope="module")
def fine():
    """A fine grid in one parameter, where neighbours' toys are nearly the same."""
    model = reference_problem()
    axes = (("mu", np.linspace(0.7, 1.4, 60)),)
    return Construction(model, axes, Ensemble(), 13, model.asimov())


def test_ten_times_fewer_toys(fine):
    """Fails if the error at 90 % is above brute force's with ten times the toys, or wrong."""
    found, brute, pulls = compared(fine, 500, 5000)
    inner = slice(6, -6)  # at the ends neighbours are on one side only
    assert np.median(found.belt.error[inner] / brute.belt.error[inner]) < 1
    assert abs(pulls.mean()) < 0.6
    assert np.abs(pulls).max() < 4.5


def test_threads_do_not_matter(fine):
    """Fails if results depend on the number of threads."""
    a, b = (importance_region(fine, 0.9, 50, workers=Here(n)) for n in (1, 2))
    assert a.critical.tobytes() == b.critical.tobytes()
    assert a.belt.error.tobytes() == b.belt.error.tobytes()


def test_effective_toys_in_the_json(fine):
    """Fails if the effective number is not reported, or is more than all toys."""
    content = importance_region(fine, 0.9, 50).as_json()
    assert np.shape(content["grid"]["effective_toys"]) == (60,)
    assert min(content["grid"]["effective_toys"]) > 50
    assert max(content["grid"]["effective_toys"]) <= 3000
    assert content["toys"] == 3000
    assert content["expected_fits"] == 60 * asimov_fits(1)


@pytest.mark.parametrize("statistic", ["on-off", "on-off-scaled"])
def test_beam_off_counts_are_in_the_weights(statistic):
    """Fails if weights leave out beam-off counts: then critical values are far off."""
    settings = {"analysis.statistic": statistic, "exposure.years": 0.01}
    model = build([load("ess-csi", settings)], ["strength"])
    axes = (("strength", np.linspace(0.1, 2.5, 7)),)
    c = Construction(model, axes, Ensemble(), 3, model.asimov())
    _, _, pulls = compared(c, 1500, 6000)
    assert np.abs(pulls).max() < 4
    assert np.sum(pulls**2) < 24.3 + 7  # χ² of 7, p = 1e-3, correlated


@pytest.mark.parametrize("ensemble", [Ensemble("fixed"), Ensemble("fixed", "fixed")])
def test_weights_average_to_one(ensemble):
    """Fails if the density is not normalised: Σ w over all toys is their number at each point."""
    model = reference_problem()
    c = Construction(model, (("mu", np.linspace(0.9, 1.1, 5)),), ensemble, 3, model.asimov())
    mixture = throw_mixture(c, 4000, 0, Here(2))
    for g in range(5):
        log_p = mixture.features @ mixture.slopes[g] + mixture.offsets[g]
        w = np.exp(log_p - mixture.log_mixture)
        error = w.std() / np.sqrt(len(w))
        assert w.mean() == pytest.approx(1, abs=4 * error + 1e-9)
        assert w.max() <= 5 * (1 + 1e-9)  # 1/(share of its own point)


def test_weighted_quantile_of_equal_weights():
    """Fails if equal weights do not give the plain quantile, or errors are not sound."""
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(400):
        x = rng.exponential(size=500) * 2  # thrown with mean 2, wanted with mean 1
        value, error = weighted_quantile(x, 2 * np.exp(-x / 2), 0.9)
        pulls.append((value - np.log(10)) / error)
    assert np.mean(pulls) == pytest.approx(0, abs=0.2)
    assert np.std(pulls) == pytest.approx(1, abs=0.2)
    x = rng.exponential(size=1000)
    value, _ = weighted_quantile(x, np.full(1000, 0.3), 0.9)
    assert value == np.sort(x)[899]
    assert kstest(x, "expon").pvalue > 1e-3


@pytest.mark.parametrize("toys", [1, 2, 3])
def test_very_few_toys(toys):
    """Fails if one toy a point ends in an error of Python's own; the error is infinite."""
    model = reference_problem()
    c = Construction(model, (("mu", np.array([0.0, 3.0])),), Ensemble(), 1, model.asimov())
    found = importance_region(c, 0.9, toys)
    assert np.all(found.belt.error == np.inf)
    json = found.as_json()
    assert json["toys"] == 2 * toys


def test_bins_without_any_expectation():
    """Fails if a point at which a bin expects nothing breaks the weights of all."""
    model = counting([3.0, 1.0], [0.0, 2.0])
    c = Construction(model, (("mu", np.array([0.0, 0.5, 1.0])),), Ensemble(), 1, model.asimov())
    found, brute, _ = compared(c, 4000, 4000)
    assert np.all(np.isfinite(found.critical))
    np.testing.assert_allclose(found.critical, brute.critical, atol=0.3)


def test_what_it_cannot_do(fine):
    """Fails if an ensemble without a density, another ordering or too many toys are taken."""
    model = fine.model
    prior = Construction(model, fine.axes, Ensemble("prior"), 1, model.asimov())
    with pytest.raises(ExperimentError, match="prior"):
        importance_region(prior, 0.9, 10)
    with pytest.raises(ExperimentError, match="'upper'"):
        importance_region(fine, 0.9, 10, ordering="upper")
    with pytest.raises(ExperimentError, match="in memory"):
        importance_region(fine, 0.9, MOST_TOYS // 60 + 1)
