"""Constructions: published tables, closed forms of textbooks, and the reference problem."""

from itertools import pairwise

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.reco.cluster.workers import Here
from nuspill.toys.construction.belt import belt, margin, order_statistic, p_value
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.construction.throw import throw
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data, Model
from nuspill.toys.counts.parameter import Parameter
from nuspill.toys.counts.polynomial import Polynomial
from nuspill.toys.counts.problem import counting, reference_problem
from nuspill.toys.records.distribute import throw_tasks
from scipy.stats import binom, chi2, kstest, norm, poisson

SMALL = 1e-3
N = np.arange(70)
NOTHING = 1e-12
"""Background of the rows without any: a count needs some expectation."""


def bounded_gaussian():
    """A measurement x of a mean μ ≥ 0 with unit width; x is the centre of the data."""
    return Model(
        (Parameter("mu", "", r"$\mu$", 0.0, default=0.0, weight=1.0),),
        (),
        Polynomial.constant(np.zeros(0), 1),
        0,
        np.zeros(1),
        np.zeros(0),
        np.zeros(0),
        (),
    )


def exact_belt(statistic, probability, cl, ordering="likelihood-ratio"):
    """Acceptance at one point where all outcomes and their probabilities can be listed.

    Parameters
    ----------
    statistic
        r of each outcome, shape (outcomes,).
    probability
        Of each outcome, summing to one.

    Returns
    -------
    low, high
        Least acceptance with at least the level: limits of q for the likelihood ratio, of r else.
    """
    value = statistic**2 if ordering == "likelihood-ratio" else statistic
    order = np.argsort(value, kind="stable")
    ordered = value[order]
    below = np.cumsum(probability[order])

    def quantile(level):
        return float(ordered[min(int(np.searchsorted(below, level - 1e-12)), len(ordered) - 1)])

    if ordering == "likelihood-ratio":
        return -np.inf, quantile(cl)
    if ordering == "upper":
        return quantile(1 - cl), np.inf
    return quantile((1 - cl) / 2), quantile((1 + cl) / 2)


def data_of(counts):
    """Data sets of one bin and no pulls."""
    n = np.asarray(counts, float)[:, None]
    return Data(n, np.zeros((1, 1)), np.zeros((1, 1)))


def counts_at(background, mu):
    """Construction of counts above a known background on a grid, and r of counts at each point."""
    model = counting([1.0], [max(background, NOTHING)])
    c = Construction(model, (("mu", mu),), Ensemble("fixed"), 1, data_of([0]))
    r = np.empty((len(mu), len(N)))
    for k, x in enumerate(mu):
        at, free = c.fit_toys(data_of(N), np.array([[x]]))
        assert np.all(at.status == 0)
        assert np.all(free.status == 0)
        q = at.chi2 - free.chi2
        assert q.min() >= -1e-9
        r[k] = np.where(free.values[:, 0] < x, -1, 1) * np.sqrt(np.maximum(q, 0))
    return c, r


def ends(mu, inside):
    """First and last point in an acceptance."""
    points = np.flatnonzero(inside)
    return mu[points[0]], mu[points[-1]]


@pytest.mark.parametrize("row", range(10))
def test_poisson_of_feldman_and_cousins_exactly(row, reference):
    """Fails if an interval of Tables IV and X is off by more than 0.01, for any n0 and b."""
    table = reference("fc1998")["poisson"][row]
    b = table["background"]
    mu = np.arange(0, 17.2, 0.005)
    _, r = counts_at(b, mu)
    critical = [
        exact_belt(row, poisson.pmf(N, x + b), 0.9)[1] for row, x in zip(r, mu, strict=True)
    ]
    assert len(table["intervals"]) == 11
    for n0, published in enumerate(table["intervals"]):
        found = ends(mu, r[:, n0] ** 2 <= np.array(critical) + 1e-9)
        np.testing.assert_allclose(found, published, rtol=0, atol=0.0101, err_msg=f"n0 = {n0}")


def test_bounded_gaussian_of_feldman_and_cousins_exactly(reference):
    """Fails if an interval of the mean ≥ 0 of a Gaussian is off by more than 0.01, for any x0."""
    table = reference("fc1998")["gaussian"]
    x0 = np.array(table["x0"])
    x, mu = np.arange(-7, 12, 0.004), np.arange(0, 5.5, 0.005)
    none = np.zeros((1, 0))
    measured = np.concatenate([x, x0])[:, None]
    c = Construction(
        bounded_gaussian(), (("mu", mu),), Ensemble("fixed"), 1, Data(none, none, measured[:1])
    )
    inside = np.empty((len(mu), len(x0)), bool)
    for k, m in enumerate(mu):
        at, free = c.fit_toys(Data(none, none, measured), np.array([[m]]))
        q = np.maximum(at.chi2 - free.chi2, 0)
        probability = norm.pdf(x - m)
        limit = exact_belt(np.sqrt(q[: len(x)]), probability / probability.sum(), 0.9)[1]
        inside[k] = q[len(x) :] <= limit
    for j, published in enumerate(table["intervals"]):
        np.testing.assert_allclose(ends(mu, inside[:, j]), published, rtol=0, atol=0.0101)


def rank_range(toys, level):
    """Orders between which a sample's quantile lies but once in a thousand."""
    return binom.ppf(SMALL / 2, toys, level), binom.ppf(1 - SMALL / 2, toys, level)


@pytest.mark.parametrize("row", [0, 3, 6])
def test_poisson_by_toys(row, reference):
    """Fails if toys' critical values differ from the exact ones by more than their number allows.

    q is discrete: the toys' limit must be exact for a level within the binomial spread of the rank.
    """
    b = reference("fc1998")["poisson"][row]["background"]
    mu = np.array([0.5, 1.6, 2.44, 4.0, 7.0, 11.0])
    c, r = counts_at(b, mu)
    toys = 20_000
    low, high = rank_range(toys, 0.9)
    values = [s.value for _, s in throw_tasks(c, [(k, 0, toys) for k in range(len(mu))], Here(1))]
    found = belt(values, 0.9, "likelihood-ratio", 1)
    for k, x in enumerate(mu):
        probability = poisson.pmf(N, x + b)
        least, most = (exact_belt(r[k], probability, rank / toys)[1] for rank in (low, high))
        assert least - 1e-9 <= found.high[k] <= most + 1e-9
        assert found.high[k] == pytest.approx(
            exact_belt(r[k], probability, 0.9)[1], abs=3.3 * found.error[k] + 1e-9
        )


def test_intervals_of_feldman_and_cousins_by_toys(reference):
    """Fails if a toy construction's interval is off the table by steps of 0.05 and errors."""
    table = reference("fc1998")["poisson"][2]
    mu = np.arange(0.05, 15.5, 0.05)
    c, r = counts_at(table["background"], mu)
    values = [s.value for _, s in throw_tasks(c, [(k, 0, 20_000) for k in range(len(mu))], Here(2))]
    limit = belt(values, 0.9, "likelihood-ratio", 1).high
    for n0 in (0, 1, 3, 5, 9):
        found = ends(mu, r[:, n0] ** 2 <= limit + 1e-9)
        np.testing.assert_allclose(
            found, np.maximum(table["intervals"][n0], 0.05), rtol=0, atol=0.21
        )


@pytest.mark.parametrize("n0", [0, 1, 3, 7, 20])
def test_central_and_upper_limits_are_the_classical_ones(n0):
    """Fails if they are not Garwood's (χ² quantiles of Poisson limits) to the grid's 0.01."""
    mu = np.arange(0.01, 36, 0.01)
    _, r = counts_at(0.0, mu)
    central, upper = (
        np.array([exact_belt(a, poisson.pmf(N, x), 0.9, kind) for a, x in zip(r, mu, strict=True)])
        for kind in ("central", "upper")
    )
    seen = r[:, n0]
    low, high = ends(mu, (seen >= central[:, 0] - 1e-9) & (seen <= central[:, 1] + 1e-9))
    assert low == pytest.approx(chi2.ppf(0.05, 2 * n0) / 2 if n0 else 0.0, abs=0.0101)
    assert high == pytest.approx(chi2.ppf(0.95, 2 * n0 + 2) / 2, abs=0.0101)
    low, high = ends(mu, (seen >= upper[:, 0] - 1e-9) & (seen <= upper[:, 1]))
    assert low == 0.01
    assert high == pytest.approx(chi2.ppf(0.9, 2 * n0 + 2) / 2, abs=0.0101)


@pytest.mark.parametrize("n0", [0, 4])
def test_classical_limits_by_toys(n0):
    """Fails if toys do not give Garwood's interval, or the limit P(n ≤ n0) = 10 %, within errors.

    The acceptance changes at a few sharp means, where the toys' number decides to ± 0.15.
    """
    mu = np.arange(0.1, 12, 0.1)
    model = counting([1.0], [NOTHING])
    c = Construction(model, (("mu", mu),), Ensemble("fixed"), 5, data_of([n0]))
    values = [s.value for _, s in throw_tasks(c, [(k, 0, 10_000) for k in range(len(mu))], Here(2))]
    wanted = {
        "central": (chi2.ppf(0.05, 2 * n0) / 2 if n0 else 0.1, chi2.ppf(0.95, 2 * n0 + 2) / 2),
        "upper": (0.1, chi2.ppf(0.9, 2 * n0 + 2) / 2),
    }
    for ordering, expected in wanted.items():
        inside = margin(c.observed, belt(values, 0.9, ordering, 1), ordering, 1) <= 0
        np.testing.assert_allclose(ends(mu, inside), expected, rtol=0, atol=0.26)


def test_orderings_of_one_parameter_only():
    """Fails if a central interval of two parameters is not refused."""
    with pytest.raises(ExperimentError, match="one parameter"):
        belt([np.arange(9.0)], 0.9, "central", 2)


def test_order_statistic_and_its_error():
    """Fails if quantiles of 100 000 exponential samples have pulls other than N(0, 1)."""
    rng = np.random.default_rng(3)
    pulls = []
    for level in (0.68, 0.9, 0.95):
        for _ in range(300):
            value, error = order_statistic(rng.exponential(size=1000), level)
            pulls.append((value + np.log(1 - level)) / error)
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)
    assert np.std(pulls) == pytest.approx(1, abs=0.15)
    assert order_statistic(np.array([3.0, 1.0, 2.0, 4.0, 5.0]), 0.8)[0] == 4.0
    assert np.isnan(order_statistic(np.empty(0), 0.9)[0])
    assert order_statistic(np.arange(5.0), 0.99)[1] == np.inf


def reference_q(ensemble, toys):
    """q of toys of the reference problem at μ = 1, and failed fits."""
    model = reference_problem()
    c = Construction(model, (("mu", np.array([1.0])),), ensemble, 17, model.asimov())
    values = [
        s for _, s in throw_tasks(c, [(0, a, a + 50_000) for a in range(0, toys, 50_000)], Here(2))
    ]
    return np.concatenate([s.value for s in values]) ** 2, sum(s.failed for s in values)


@pytest.mark.slow
def test_a_million_toys_of_the_reference_problem():
    """Fails if one of 10⁶ fits does not converge, or q is not χ² with one degree of freedom.

    Mean 1.00, 68 % quantile 0.989, 90 % quantile 2.706.
    """
    q, failed = reference_q(Ensemble(), 1_000_000)
    assert failed == 0
    assert q.min() >= 0
    assert q.mean() == pytest.approx(1, abs=0.007)
    for level in (0.68, 0.9):
        value, error = order_statistic(q, level)
        assert value == pytest.approx(chi2.ppf(level, 1), abs=4 * error + 0.003)


@pytest.mark.parametrize(
    ("ensemble", "mean", "q68", "q90"),
    [
        (Ensemble("fixed"), 1.0, 0.989, 2.706),
        (Ensemble("prior"), 1.0, 0.989, 2.706),
        (Ensemble("fixed", "fixed"), 0.0048, 0.0048, 0.013),
    ],
    ids=["centres fluctuate", "truth from the prior", "both fixed"],
)
def test_the_reference_problem(ensemble, mean, q68, q90):
    """Fails if mean q or its quantiles are not those of peers.md in one of the ensembles."""
    q, failed = reference_q(ensemble, 200_000)
    assert failed == 0
    assert q.mean() == pytest.approx(mean, rel=0.02)
    assert np.quantile(q, 0.68) == pytest.approx(q68, rel=0.02)
    assert np.quantile(q, 0.9) == pytest.approx(q90, rel=0.02)


def largest_difference_from_iminuit(toys):
    """Largest |q − q of iminuit| of identical toys, χ² and its gradient written out here.

    With iminuit's strategy 0, or its usual tolerance of 0.1, its own minimum is up to 4e-4 high.
    """
    from iminuit import Minuit

    model = reference_problem()
    c = Construction(model, (("mu", np.array([1.0])),), Ensemble(), 1, model.asimov())
    data = throw(model, c.ensemble, c.truth(0), 1, 0, 0, toys)
    q = c.toys(0, 0, toys).value ** 2
    s = np.exp(-np.arange(20) / 4)
    s *= 25_215 / s.sum()

    def difference(mine, n, seen, beside):
        constant = 2 * np.sum(n * np.log(n) - n)

        def chi_square(mu, a, b):
            x = mu * (1 + 0.1 * a) * s + 400 * (1 + 0.01 * b)
            value = 2 * (x.sum() - np.dot(n, np.log(x)))
            return constant + value + (a - seen) ** 2 + (b - beside) ** 2

        def gradient(mu, a, b):
            slope = 2 * (1 - n / (mu * (1 + 0.1 * a) * s + 400 * (1 + 0.01 * b)))
            by_signal = np.dot(slope, s)
            by_a, by_b = 0.1 * mu * by_signal + 2 * (a - seen), 4 * slope.sum() + 2 * (b - beside)
            return (1 + 0.1 * a) * by_signal, by_a, by_b

        found = []
        for held in (True, False):
            minuit = Minuit(chi_square, 1.0, 0.0, 0.0, grad=gradient)
            minuit.errordef, minuit.tol, minuit.strategy = 1.0, 1e-3, 1
            minuit.limits["mu"] = (0, None)
            minuit.fixed["mu"] = held
            minuit.migrad()
            found.append(minuit.fval)
        return abs(mine - (found[0] - found[1]))

    return max(
        difference(mine, n, seen, beside)
        for mine, n, (_, seen, beside) in zip(q, data.counts, data.centre, strict=True)
    )


def test_iminuit_fits_of_the_same_toys():
    """Fails if q of 500 identical toys differs from iminuit's by more than 1e-4."""
    assert largest_difference_from_iminuit(500) < 1e-4


@pytest.mark.slow
def test_iminuit_fits_of_ten_thousand_toys():
    """Fails if q of 10 000 identical toys differs from iminuit's by more than 1e-4."""
    assert largest_difference_from_iminuit(10_000) < 1e-4


@pytest.fixture(scope="module")
def plane():
    """A plane of NSI couplings with argon counts, whose data are not Asimov's."""
    experiment = load("ess-csi", {"exposure.years": 0.02})
    model = build([experiment], ["nsi.u.ee", "nsi.u.mumu"])
    axes = (("nsi.u.ee", np.linspace(-0.2, 0.6, 3)), ("nsi.u.mumu", np.linspace(-0.3, 0.5, 2)))
    data = Data(np.round(model.asimov().counts * 1.1), np.zeros((1, model.bins)), np.zeros((1, 4)))
    return Construction(model, axes, Ensemble(), 23, data)


def test_threads_and_blocks_do_not_matter(plane):
    """Fails if one bit of q depends on threads, on blocks, or on which toys are made besides."""
    whole = [(k, 0, 5000) for k in range(6)]
    one = {t: s.value for t, s in throw_tasks(plane, whole, Here(1))}
    for threads in (2, 3):
        for task, s in throw_tasks(plane, whole, Here(threads)):
            assert s.value.tobytes() == one[task].tobytes()
    edges = [0, 1, 2, 63, 64, 65, 700, 4096, 4097, 5000]
    for point in (0, 5):
        tasks = [(point, a, b) for a, b in pairwise(edges)]
        values = [s.value for _, s in throw_tasks(plane, tasks, Here(2))]
        assert np.concatenate(values).tobytes() == one[point, 0, 5000].tobytes()
    assert [t for t, _ in throw_tasks(plane, whole, Here(2))] == whole


def test_a_grid_of_one_point_is_that_of_many():
    """Fails if what a point's number does not decide, decides: the values of other points."""
    model = reference_problem()
    many = Construction(model, (("mu", np.linspace(0.5, 1.5, 5)),), Ensemble(), 2, model.asimov())
    one = Construction(model, (("mu", np.array([0.5])),), Ensemble(), 2, model.asimov())
    assert many.toys(0, 10, 90).value.tobytes() == one.toys(0, 10, 90).value.tobytes()


def test_p_values_of_the_truth_are_uniform(plane):
    """Fails if p-values of toys against other toys of the same point are not uniform (KS)."""
    seen = plane.toys(4, 100_000, 101_000).value
    toys = plane.toys(4, 0, 10_000).value
    p = [p_value(toys, x, "likelihood-ratio", 2) for x in seen]
    assert SMALL < kstest(p, "uniform").pvalue < 1 - SMALL


def test_toys_at_every_point_have_a_sound_q(plane):
    """Fails if q is below −1e-9, or a fit fails, anywhere on the plane."""
    for point in range(6):
        at, free = plane.fits(point, 0, 3000)
        assert np.all(at.status == 0)
        assert np.all(free.status == 0)
        assert np.min(at.chi2 - free.chi2) >= -1e-9


def test_ties_of_low_counts():
    """Fails if data equal to toys are outside of a belt that ends at them, by rounding.

    With 30 counts at most, every q of the data is one of the toys', and p-values contain it.
    """
    model = counting([1.0], [2.0])
    mu = np.array([0.5, 1.3, 2.9, 6.1])
    c = Construction(model, (("mu", mu),), Ensemble("fixed"), 1, data_of([3]))
    for point, x in enumerate(mu):
        toys = c.toys(point, 0, 20_000).value
        counts = throw(model, c.ensemble, c.truth(point), 1, point, 0, 20_000).counts[:, 0]
        same = toys[counts == 3]
        assert np.ptp(same**2) < 1e-9
        assert np.all(np.abs(same**2 - c.observed[point] ** 2) < 1e-9)
        p = p_value(toys, c.observed[point], "likelihood-ratio", 1)
        _, r = counts_at(2.0, np.array([x]))
        due = poisson.pmf(N, x + 2)[r[0] ** 2 >= r[0, 3] ** 2 - 1e-9].sum()
        assert p == pytest.approx(due, abs=4 * np.sqrt(due * (1 - due) / 20_000) + 1e-9)


def test_toys_of_no_counts_at_all():
    """Fails if toys without a single count have no fit, or a q that is not 2 μ s (closed form)."""
    model = counting([0.3, 0.2], [0.01, 0.02])
    c = Construction(model, (("mu", np.array([0.0, 2.0])),), Ensemble(), 1, model.asimov())
    data = Data(np.zeros((5, 2)), np.zeros((1, 2)), np.zeros((1, 1)))
    at, free = c.fit_toys(data, np.array([[2.0]]))
    assert np.all(free.status == 0)
    np.testing.assert_allclose(free.values, 0, atol=1e-12)
    np.testing.assert_allclose(at.chi2 - free.chi2, 2 * 2.0 * 0.5, rtol=1e-9)


def test_far_points_where_pulls_are_at_their_bounds():
    """Fails if toys thrown a hundred times the signal away do not fit, or have q < −1e-9."""
    model = reference_problem()
    c = Construction(model, (("mu", np.array([0.0, 100.0])),), Ensemble(), 1, model.asimov())
    for point in (0, 1):
        at, free = c.fits(point, 0, 2000)
        assert np.all(at.status == 0)
        assert np.all(free.status == 0)
        assert np.min(at.chi2 - free.chi2) >= -1e-9


@pytest.mark.parametrize("statistic", ["on-off", "on-off-scaled"])
def test_beam_off_statistics(statistic):
    """Fails if q of on-off toys at high counts is not χ² (mean 1, 90 % quantile), or a fit fails.

    Two experiments are combined; one measures its background in beam-off.
    """
    settings = {"analysis.statistic": statistic, "exposure.years": 0.5}
    model = build([load("ess-csi", settings), load("ess-ar")], ["strength"])
    c = Construction(model, (("strength", np.array([1.0])),), Ensemble(), 3, model.asimov())
    s = c.toys(0, 0, 20_000)
    assert s.failed == 0
    q = s.value**2
    assert q.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / len(q)))
    value, error = order_statistic(q, 0.9)
    assert value == pytest.approx(chi2.ppf(0.9, 1), abs=4 * error)


def test_seeds_and_numbers_out_of_range():
    """Fails if a seed or a toy's number that the stream does not have is taken."""
    model = reference_problem()
    axes = (("mu", np.array([1.0])),)
    for seed in (-1, 2**64):
        with pytest.raises(ExperimentError, match="seed"):
            Construction(model, axes, Ensemble(), seed, model.asimov())
    c = Construction(model, axes, Ensemble(), 2**64 - 1, model.asimov())
    assert len(c.toys(0, 5, 5).value) == 0
    for a, b in ((-1, 2), (3, 2), (0, 2**32 + 1)):
        with pytest.raises(ExperimentError, match="toys must be"):
            c.toys(0, a, b)


def test_bins_without_counts_in_beam_on_and_off():
    """Fails if empty bins whose expectation vanishes make a slope of 0/0, and fits that fail.

    At strength 0 nothing depends on the signal's pull, so that it is at its centre. One free fit in
    4000 may go to and fro across the kink of χ'' at which a bin's background vanishes.
    """
    settings = {"analysis.statistic": "on-off", "exposure.years": 1e-4}
    model = build([load("ess-csi", settings)], ["strength"])
    axes = (("strength", np.array([0.0, 1.0, 5.0])),)
    c = Construction(model, axes, Ensemble(), 7, model.asimov())
    for point in range(3):
        at, free = c.fits(point, 0, 4000)
        assert np.all(at.status == 0)
        assert np.count_nonzero(free.status) <= 1
        assert np.min(at.chi2 - free.chi2) >= -1e-9
    centre = throw(model, c.ensemble, c.truth(0), 7, 0, 0, 4000).centre
    np.testing.assert_allclose(c.fits(0, 0, 4000)[0].values[:, 1], centre[:, 1], atol=1e-6)
