"""Toys: their distributions against closed forms, and that a toy is a function of its number."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from nuspill import ExperimentError, generate, load, plan
from nuspill.reco.cluster.workers import Here
from nuspill.reco.expectation import truth_threshold
from nuspill.toys.construction.ensemble import (
    MEANINGLESS,
    Ensemble,
    Truth,
    expected_mean_q,
    truth_at,
    warning,
)
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.construction.throw import LARGEST_TABLE, alias_tables, throw, true_values
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting, reference_problem
from scipy.stats import chi2, ks_2samp, kstest, norm, poisson

SMALL = 1e-3
"""p-values of a test whose seed is fixed lie in (SMALL, 1 − SMALL)."""
MEANS = (0.0, 1e-6, 0.03, 0.5, 1.0, 3.7, 11.99, 12.0, 40.0, 123.456, 5000.0, 250_000.5)


def merged(seen, due, least=25.0):
    """Neighbouring cells joined up to a least expectation; the rest goes into the last."""
    found, a, b = [], 0.0, 0.0
    for n, mean in zip(seen, due, strict=True):
        a, b = a + n, b + mean
        if b >= least:
            found.append((a, b))
            a, b = 0.0, 0.0
    if not found:
        return np.array([[a, b]])
    found[-1] = found[-1][0] + a, found[-1][1] + b
    return np.array(found)


def poisson_p(counts, mean):
    """p-value of whole numbers against a Poisson distribution, both tails joined to the ends."""
    low, high = int(counts.min()), int(counts.max())
    seen = np.bincount((counts - low).astype(int), minlength=high - low + 1)
    due = poisson.pmf(np.arange(low, high + 1), mean) * len(counts)
    due[0] += poisson.cdf(low - 1, mean) * len(counts)
    due[-1] += poisson.sf(high, mean) * len(counts)
    cells = merged(seen, due)
    if len(cells) < 2:
        return 0.5 if abs(cells[0, 0] - cells[0, 1]) < 1 else 0.0
    return float(chi2.sf(np.sum((cells[:, 0] - cells[:, 1]) ** 2 / cells[:, 1]), len(cells) - 1))


def fixed(means, truth=0.0):
    """A model without signal, to throw counts of the given means."""
    model = counting(np.zeros(len(means)), means)
    return model, Truth(np.array([truth]), np.zeros(len(means)))


@pytest.fixture(scope="module")
def on_off():
    """Counts whose background is measured in beam-off, at short exposure."""
    experiment = load("ess-csi", {"analysis.statistic": "on-off", "exposure.years": 0.002})
    return build([experiment], ["strength"])


def test_alias_tables_are_the_poisson_distribution():
    """Fails if a table's exact probabilities are off by more than 1e-13, whatever the mean."""
    means = np.array(MEANS)
    first, lowest, chance, alias = alias_tables(means)
    for k, mean in enumerate(means):
        a, b = first[k], first[k + 1]
        size = b - a
        probability = chance[a:b].copy()
        np.add.at(probability, alias[a:b], 1 - chance[a:b])
        numbers = lowest[k] + np.arange(size)
        np.testing.assert_allclose(probability / size, poisson.pmf(numbers, mean), atol=1e-11)
        assert np.all((chance[a:b] >= 0) & (chance[a:b] <= 1 + 1e-12))


def test_alias_tables_of_too_large_means_are_empty():
    """Fails if a mean of 1e10 makes a table of a million entries."""
    assert len(alias_tables(np.array([1.0, 1e10])).chance) == 0
    assert len(alias_tables(np.array([])).chance) == 0
    assert np.diff(alias_tables(np.array([1e7])).first)[0] <= LARGEST_TABLE


@pytest.mark.parametrize("how", ["alike", "each"])
def test_counts_are_poisson(how):
    """Fails if counts of small, large or non-integer means are not Poisson (p of each mean)."""
    means = np.array(MEANS if how == "alike" else [*MEANS, 1e10])  # the last leaves no tables
    model, truth = fixed(means)
    data = throw(model, Ensemble("fixed"), truth, 3, 0, 0, 200_000)
    assert np.all(data.counts[:, 0] == 0)
    limit = SMALL / len(MEANS)
    for k, mean in enumerate(MEANS[1:], 1):
        p = poisson_p(data.counts[:, k], mean)
        assert limit < p <= 1 - limit or mean < 1e-3, (mean, p)


def test_both_ways_to_throw_agree():
    """Fails if toys of one truth and toys of a drawn truth with no spread differ (KS of each)."""
    means = np.array([0.4, 7.5, 90.0])
    model, truth = fixed(means)
    big, there = fixed(np.append(means, 1e10))
    one = throw(model, Ensemble("fixed"), truth, 11, 4, 0, 100_000).counts
    other = throw(big, Ensemble("fixed"), there, 12, 4, 0, 100_000).counts
    for k in range(3):
        assert ks_2samp(one[:, k], other[:, k]).pvalue > SMALL  # conservative: ties


def test_centres_are_gaussian_about_the_truth(on_off):
    """Fails if fluctuated centres are not N(truth, 1/weight), or fixed ones are not zero."""
    model = reference_problem()
    truth = Truth(np.array([1.0, 0.7, -1.3]), model.background)
    data = throw(model, Ensemble("fixed"), truth, 5, 0, 0, 100_000)
    for k in (1, 2):
        p = kstest(data.centre[:, k], norm(truth.values[k]).cdf).pvalue
        assert SMALL / 2 < p < 1 - SMALL / 2
    assert np.all(data.centre[:, 0] == 0)
    assert np.all(throw(model, Ensemble("fixed", "fixed"), truth, 5, 0, 0, 10).centre == 0)
    assert np.all(throw(model, Ensemble("prior", "fixed"), truth, 5, 0, 0, 10).centre == 0)


def test_prior_spreads_counts_by_the_uncertainty():
    """Fails if the counts' variance with a drawn truth is not mean + (σ s)² (within 5 errors)."""
    model = counting([1000.0], [500.0], 0.1)
    truth = Truth(np.array([1.0, 0.0]), model.background)
    n = 200_000
    data = throw(model, Ensemble("prior", "fixed"), truth, 9, 2, 0, n)
    x = data.counts[:, 0]
    expected = 1500 + 100**2
    assert x.mean() == pytest.approx(1500, abs=5 * np.sqrt(expected / n))
    assert x.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / n))
    fluctuated = throw(model, Ensemble("prior"), truth, 9, 2, 0, n)
    centre = fluctuated.centre[:, 1]
    assert centre.var() == pytest.approx(2, rel=5 * np.sqrt(2 / n))  # of the truth, and its own
    due = 100 / np.sqrt(2 * expected)
    seen = np.corrcoef(centre, fluctuated.counts[:, 0])[0, 1]
    assert seen == pytest.approx(due, abs=5 / np.sqrt(n))


def test_true_values_are_those_of_the_toys():
    """Fails if the drawn truth of toys is not N(0, 1), or not what their centres are about."""
    model = reference_problem()
    truth = Truth(np.array([1.0, 0.0, 0.0]), model.background)
    numbers = (9, 2, 100, 50_100)
    values = true_values(model, Ensemble("prior"), truth, *numbers)
    centre = throw(model, Ensemble("prior"), truth, *numbers).centre
    assert np.all(values[:, 0] == 1)
    for k in (1, 2):
        for x in (values[:, k], centre[:, k] - values[:, k]):
            assert SMALL < kstest(x, norm.cdf).pvalue < 1 - SMALL
    same = true_values(
        model, Ensemble(), Truth(np.array([1.2, 0.3, -1]), truth.background), *numbers
    )
    np.testing.assert_array_equal(same, np.tile([1.2, 0.3, -1], (50_000, 1)))


def test_a_prior_is_drawn_within_bounds_and_about_the_centre():
    """Fails if a truth is drawn where a rate is below zero, or not about the data's centre."""
    model = counting([1000.0], [500.0], 0.5)
    profiled, numbers = np.array([1.0, 0.7]), (9, 2, 0, 20_000)
    data = Data(model.asimov().counts, model.asimov().off, np.array([[0.0, 1.5]]))
    truth = truth_at(model, Ensemble("prior"), profiled, data)
    np.testing.assert_array_equal(truth.values, [1.0, 1.5])
    there = Truth(np.array([1.0, 0.0]), truth.background)
    values = true_values(model, Ensemble("prior"), there, *numbers)[:, 1]
    least = model.lower[1]
    assert values.min() == least == -1.98
    assert np.mean(values == least) == pytest.approx(norm.cdf(least), abs=0.005)
    counts = throw(model, Ensemble("prior"), there, *numbers).counts[:, 0]
    assert counts.min() > 400  # the background, and 1 % of the signal


def test_beam_off_counts_are_poisson(on_off):
    """Fails if beam-off counts are not Poisson(τ B), or are the same words as beam-on's."""
    truth = Truth(on_off.truth, on_off.background)
    n = 50_000
    data = throw(on_off, Ensemble(), truth, 8, 1, 0, n)
    mean = on_off.tau * on_off.background
    on = on_off.counts(on_off.truth)
    limit = SMALL / (3 * on_off.bins)
    for k in range(on_off.bins):
        assert limit < poisson_p(data.off[:, k], mean[k]) < 1 - limit
        assert limit < poisson_p(data.counts[:, k], on[k]) < 1 - limit
    correlation = np.corrcoef(np.hstack([data.counts, data.off]), rowvar=False)
    far = np.abs(correlation[np.triu_indices(2 * on_off.bins, 1)]) * np.sqrt(n)
    assert far.max() < norm.isf(SMALL / len(far))


def test_bins_and_pulls_are_independent():
    """Fails if any two of counts and centres of toys are correlated beyond chance."""
    model = reference_problem()
    n = 200_000
    truth = Truth(model.truth, model.background)
    data = throw(model, Ensemble(), truth, 21, 3, 0, n)
    x = np.hstack([data.counts, data.centre[:, 1:]])
    far = np.corrcoef(x, rowvar=False)[np.triu_indices(x.shape[1], 1)] * np.sqrt(n)
    assert np.abs(far).max() < norm.isf(SMALL / len(far))
    assert SMALL < kstest(far, norm.cdf).pvalue < 1 - SMALL


@pytest.mark.parametrize("change", ["seed", "high seed", "point", "toy"])
def test_other_numbers_are_other_toys(change):
    """Fails if toys of two seeds, of two points or of two numbers are correlated."""
    model, truth = fixed([50.0, 3.0])
    n = 100_000
    other = {"seed": (2, 7, 0), "high seed": (1 + 2**32, 7, 0), "point": (1, 8, 0)}
    a, b = (
        throw(model, Ensemble("fixed"), truth, seed, point, low, low + n).counts
        for seed, point, low in ((1, 7, 0), other.get(change, (1, 7, n)))
    )
    for k in range(2):
        assert abs(np.corrcoef(a[:, k], b[:, k])[0, 1]) * np.sqrt(n) < norm.isf(SMALL)
        assert not np.array_equal(a[:, k], b[:, k])


@pytest.mark.parametrize("truth", ["fixed", "prior"])
def test_a_toy_is_a_function_of_its_number(truth):
    """Fails if a toy depends on the block it is thrown in."""
    model = reference_problem()
    there = Truth(model.truth, model.background)
    whole = throw(model, Ensemble(truth), there, 4, 2, 0, 3000)
    edges = [0, 1, 2, 511, 512, 513, 1024, 1500, 3000]
    parts = [throw(model, Ensemble(truth), there, 4, 2, a, b) for a, b in pairwise(edges)]
    for name in ("counts", "centre"):
        joined = np.concatenate([getattr(p, name) for p in parts])
        assert joined.tobytes() == getattr(whole, name).tobytes()
    assert len(throw(model, Ensemble(truth), there, 4, 2, 5, 5).counts) == 0


def test_the_last_toys_there_are():
    """Fails if toy 2³² − 1 of point 2³² − 1 under seed 2⁶⁴ − 1 cannot be thrown."""
    model, truth = fixed([5.0])
    last = 2**32
    data = throw(model, Ensemble("fixed"), truth, 2**64 - 1, last - 1, last - 3, last)
    assert np.all(data.counts >= 0)


def test_truth_of_each_kind():
    """Fails if the truth is not profiled, as given or at the prior's centre, as was asked."""
    model = reference_problem()
    profiled = np.array([1.4, -0.3, 0.2])
    data = model.asimov()
    np.testing.assert_array_equal(truth_at(model, Ensemble(), profiled, data).values, profiled)
    given = Ensemble("fixed", nuisances={"background": 0.5})
    np.testing.assert_array_equal(
        truth_at(model, given, profiled, data).values, [profiled[0], 0.0, 0.5]
    )
    np.testing.assert_array_equal(
        truth_at(model, Ensemble("prior"), profiled, data).values, [profiled[0], 0.0, 0.0]
    )
    with pytest.raises(ExperimentError, match=r"'nosuch'.*signal"):
        truth_at(model, Ensemble("fixed", nuisances={"nosuch": 1.0}), profiled, data)


def test_a_free_background_is_profiled_on_the_data(on_off):
    """Fails if B of an on-off toy is not the root of n/(s + B) + m/B = 1 + τ."""
    rng = np.random.default_rng(1)
    data = Data(
        rng.poisson(on_off.counts(on_off.truth))[None].astype(float),
        1.0 + rng.poisson(on_off.tau * on_off.background)[None],
        np.zeros((1, on_off.variables)),
    )
    axes = (("strength", np.array([0.8])),)
    c = Construction(on_off, axes, Ensemble(), 1, data)
    truth = c.truth(0)
    signal = on_off.expected.at(truth.values)
    left = data.counts[0] / (signal + truth.background) + data.off[0] / truth.background
    np.testing.assert_allclose(left, 1 + on_off.tau, rtol=1e-9)


@pytest.mark.parametrize("truth", ["profiled", "fixed"])
def test_warning_of_a_meaningless_ensemble(truth):
    """Fails if truth and centres both fixed with a degenerate pull go unwarned, or others do not.

    Fisher's information gives the mean q of such toys; it is compared with toys.
    """
    model = reference_problem()
    truths = [Truth(model.truth, model.background)]
    bad = Ensemble(truth, "fixed")
    text = warning(model, truths, bad)
    assert text is not None
    assert "fixed" in text
    assert "fluctuate" in text
    part = expected_mean_q(model, truths[0], bad)
    axes = (("mu", np.array([1.0])),)
    q = Construction(model, axes, bad, 1, model.asimov()).toys(0, 0, 40_000).value ** 2
    assert q.mean() == pytest.approx(part, rel=5 * np.sqrt(2 / 40_000))
    for ensemble in (Ensemble(truth), Ensemble("prior"), Ensemble("prior", "fixed")):
        assert warning(model, truths, ensemble) is None
    free = counting([100.0], [100.0])  # no pull that could be degenerate
    assert warning(free, [Truth(free.truth, free.background)], bad) is None
    weak = counting([1.0], [100.0], 0.01)
    there = Truth(weak.truth, weak.background)
    assert expected_mean_q(weak, there, bad) > MEANINGLESS
    assert warning(weak, [there], bad) is None


def test_nuisance_values_that_nothing_uses_are_refused():
    """Fails if values of nuisance parameters are taken where the truth is not fixed."""
    with pytest.raises(ExperimentError, match="fixed"):
        Ensemble("profiled", nuisances={"signal": 1.0})


def test_a_nuisance_below_its_bound_is_refused():
    """Fails if a signal of −200 % is thrown, whose counts would have negative means."""
    model = reference_problem()
    with pytest.raises(ExperimentError, match=r"'signal' = -30: must be at least -9.9"):
        truth_at(model, Ensemble("fixed", nuisances={"signal": -30.0}), model.truth, model.asimov())


def test_means_below_zero_by_rounding():
    """Fails if a rate that vanishes, but for −1e−13 of rounding, is not thrown as zero counts."""
    model, _ = fixed([1.0, 0.0])
    data = throw(model, Ensemble("fixed"), Truth(np.zeros(1), np.array([0, -1e-13])), 1, 0, 0, 99)
    assert np.all(data.counts[:, 1] == 0)


def events_as_toys(experiment, edges, toys, first_seed):
    """Counts in bins of whole runs of the event generator, each of its own seed."""
    first = plan(experiment, first_seed)
    found = np.empty((toys, len(edges) - 1))
    for toy in range(toys):
        run = replace(first, seed=first_seed + toy)
        run.__dict__["chain"] = first.chain  # made once: it does not depend on the seed
        events = run.make(0, run.events, workers=Here(1))
        if toy == 1:
            again = generate(experiment, seed=first_seed + toy, library="np")
            assert all(again[name].tobytes() == events[name].tobytes() for name in again)
        chosen = events["selected"] & (events["window"] == 1)
        found[toy] = np.histogram(events["e_reco_nr"][chosen].astype(float), edges)[0]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ess-si", "ess-ar"])
def test_event_level_toys(name):
    """Fails if toys of events through the whole chain differ from binned ones (χ², KS of q).

    What binning hides would show: smearing across edges, windows, acceptance, dead time.
    """
    settings = {"exposure.years": 30 / 365.25}
    experiment = load(name, settings)
    model = build([experiment], ["strength"])
    toys = 300
    assert truth_threshold(experiment) < model.section(name).binning.energy[0]
    counts = events_as_toys(experiment, model.section(name).binning.energy, toys, 1000)
    mean = model.counts(model.truth)
    total = merged(counts.sum(axis=0), toys * mean)
    p = chi2.sf(np.sum((total[:, 0] - total[:, 1]) ** 2 / total[:, 1]), len(total))
    assert SMALL < p < 1 - SMALL
    sums = counts.sum(axis=1)
    scatter = np.sum((sums - mean.sum()) ** 2) / mean.sum()
    assert SMALL < chi2.sf(scatter, toys) < 1 - SMALL
    c = Construction(model, (("strength", np.array([1.0])),), Ensemble("fixed"), 1, model.asimov())
    binned = throw(model, c.ensemble, c.truth(0), 1, 0, 0, 20_000)
    centre = binned.centre[:toys]
    at, free = c.fit_toys(Data(counts, np.zeros((1, model.bins)), centre), model.truth[None])
    there, best = c.fit_toys(
        Data(binned.counts[toys:], binned.off, binned.centre[toys:]), model.truth[None]
    )
    assert np.all(at.status == 0)
    assert ks_2samp(sums, binned.counts.sum(axis=1)).pvalue > SMALL
    assert ks_2samp(at.chi2 - free.chi2, there.chi2 - best.chi2).pvalue > SMALL
