"""χ² in NumPy: against the formulas written out, and its gradient by finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from iminuit import Minuit
from nuspill import load
from nuspill.reco.cluster.workers import Here
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting
from nuspill.toys.fit.likelihood import Chi2, background, bin_chi2
from nuspill.toys.fit.local import local_fit
from nuspill.toys.fit.search import search
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

FEW = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]


@pytest.fixture(scope="module", params=["pulls", "on-off", "on-off-scaled"])
def model(request):
    experiment = load("ess-csi", {"analysis.statistic": request.param, "analysis.edges": FEW})
    return build([experiment], ["nsi.u.ee", "nsi.u.mumu"])


@pytest.fixture
def data(model):
    rng = np.random.default_rng(1)
    asimov = model.asimov()
    return Data(
        rng.poisson(asimov.counts).astype(float),
        rng.poisson(asimov.off).astype(float),
        np.where(model.weight > 0, rng.normal(size=asimov.centre.shape), 0.0),
    )


def test_formula():
    """Fails if χ² is not (4.3) and (4.4) of arXiv:1911.00762, by hand."""
    one = build([load("ess-csi", {"analysis.edges": FEW})], ["strength"])
    rng = np.random.default_rng(2)
    n = rng.poisson(one.counts(one.truth)).astype(float)
    n[3] = 0.0  # an empty bin contributes 2 N
    z = np.array([1.2, 0.7, -1.3])
    total = one.counts(z)
    terms = [2 * (m - k + (k * np.log(k / m) if k else 0.0)) for k, m in zip(n, total, strict=True)]
    cost = Chi2(one, Data(n[None], np.zeros((1, n.size)), np.zeros((1, 3))))
    assert cost(z) == pytest.approx(sum(terms) + 0.7**2 + 1.3**2, rel=1e-12)
    assert terms[3] == 2 * total[3]


def test_no_chi2_where_there_is_agreement(model):
    """Fails if the Asimov data do not fit their own truth exactly."""
    assert Chi2(model, model.asimov())(model.truth) == pytest.approx(0.0, abs=1e-9)


def test_gradient(model, data):
    """Fails if the gradient is not that of central differences."""
    cost = Chi2(model, data)
    rng = np.random.default_rng(3)
    for _ in range(5):
        z = model.truth + 0.1 * rng.normal(size=model.variables)
        step = 1e-5
        for i, slope in enumerate(cost.gradient(z)):
            d = step * np.eye(model.variables)[i]
            central = (cost(z + d) - cost(z - d)) / (2 * step)
            assert slope == pytest.approx(central, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("n", [0.0, 1.0, 7.0, 200.0])
@pytest.mark.parametrize("m", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("tau", [0.3, 1.0, 4.0])
def test_background_solved_for(n, m, tau):
    """Fails if B is not what a search finds, or the bin not twice the log of likelihood ratios."""
    for s in (0.0, 0.5, 6.0, 150.0):
        (b,) = background(*(np.array([x]) for x in (s, tau, n, m)))
        (value,) = bin_chi2(*(np.array([x]) for x in (s, tau, n, m)))

        def minus_log(x, s=s):
            with np.errstate(divide="ignore"):
                return -2 * (poisson.logpmf(n, s + x) + poisson.logpmf(m, tau * x))

        best = -2 * (poisson.logpmf(n, n) + poisson.logpmf(m, m))
        found = minimize_scalar(
            minus_log, bounds=(1e-12, n + m / tau + 1), method="bounded", options={"xatol": 1e-10}
        )
        assert b >= 0
        assert value == pytest.approx(minus_log(max(b, 1e-300)) - best, abs=1e-8)
        assert value <= found.fun - best + 1e-7


def test_impossible_counts():
    """Fails if counts without an expectation, or a negative expectation, have a finite χ²."""

    def one(signal, n, tau=0.0, m=0.0):
        return bin_chi2(*(np.array([float(x)]) for x in (signal, tau, n, m)))[0]

    assert one(0, 1) == np.inf
    assert one(-1, 1) == np.inf
    assert one(-1, 1, 1.0, 3.0) == np.inf
    assert one(0, 0) == 0
    assert one(0, 0, 1.0, 0.0) == 0
    assert np.isfinite(one(0, 5, 1.0, 0.0))


@pytest.mark.parametrize(("n", "m"), [(0, 0), (3, 0), (0, 3), (5, 2), (40, 43)])
def test_no_wall_where_a_signal_vanishes(n, m):
    """Fails if χ² of a bin with a free background has a kink, or a wall, where its signal is 0.

    An interpolation may leave it below by a little, and a fit would stay there.
    """
    step, tau = 1e-5, 1.5
    s = step * np.arange(-4, 5)
    of_bin = bin_chi2(s, np.full(9, tau), np.full(9, float(n)), np.full(9, float(m)))
    slope = np.diff(of_bin) / step
    assert np.isfinite(of_bin).all()
    np.testing.assert_allclose(slope, slope[0], atol=2e-3)
    model = counting([1.0], [2.0], lower=-10.0)
    model = replace(model, expected=model.expected + -2.0, tau=np.array([tau]))
    data = Data(np.array([[float(n)]]), np.array([[float(m)]]), np.zeros((1, 1)))
    compiled = [local_fit(model, data, np.array([[x]]), [0]).chi2[0] for x in s]
    np.testing.assert_allclose(compiled, of_bin, rtol=1e-9, atol=1e-12)


def test_iminuit(model, data):
    """Fails if MIGRAD and MINOS on the cost do not find our minimum and our Δχ² = 1."""
    ours = search(model).fit(data, workers=Here(1))
    cost = Chi2(model, data)
    minuit = Minuit(cost, ours.values[0], grad=cost.gradient, name=model.names)
    minuit.migrad()
    assert minuit.fval == pytest.approx(ours.chi2[0], abs=1e-6)
    minuit.minos("nsi.u.ee")
    edge = minuit.values["nsi.u.ee"] + minuit.merrors["nsi.u.ee"].upper
    start = ours.values.copy()
    start[0, 0] = edge
    there = search(model, ["nsi.u.ee"]).fit(data, start, workers=Here(1))
    assert there.chi2[0] - ours.chi2[0] < 1.01  # a region's edge, if not of another valley
