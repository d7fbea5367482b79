"""Fits to data beside iminuit: best values, MINOS errors, covariance and impacts."""

import numpy as np
import pytest
from iminuit import Minuit
from nuspill import load
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting
from nuspill.toys.fit.likelihood import Chi2
from nuspill.toys.report.errors import covariance
from nuspill.toys.report.fitted import fitted
from nuspill.toys.scan.profile import Profile

EDGES = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]
SHAPES = [
    {"name": "scale", "effect": "quenching", "uncertainty": 0.05},
    {"name": "width", "effect": "resolution", "uncertainty": 0.1},
    {"name": "flux", "effect": "flux", "uncertainty": 0.1},
]
CASES = {
    "scaled": (["sns-csi-2017"], ["strength"], {}),
    "pulls": (["ess-csi"], ["strength"], {"analysis.edges": EDGES}),
    "on-off": (["ess-csi"], ["strength"], {"analysis.statistic": "on-off", "exposure.years": 0.01}),
    "linear": (["ess-csi"], ["strength"], {"analysis.factors": "linear"}),
    "shapes": (["ess-csi"], ["strength"], {"analysis.systematic": SHAPES, "exposure.years": 0.1}),
    "coupling": (["ess-csi"], ["nsi.u.ee"], {"analysis.edges": EDGES, "exposure.years": 0.1}),
    "two couplings": (["ess-csi"], ["nsi.u.ee", "nsi.u.mumu"], {}),
    "two experiments": (["ess-csi", "ess-si"], ["strength"], {"exposure.years": 0.1}),
}


def fluctuated(model, seed):
    """Poisson counts at the truth, and centres of pulls about it."""
    rng = np.random.default_rng(seed)
    asimov = model.asimov()
    centre = np.where(model.weight > 0, rng.normal(size=asimov.centre.shape), 0.0)
    counts, off = (rng.poisson(x).astype(float) for x in (asimov.counts, asimov.off))
    return Data(counts, off, centre)


def minuit(model, data, values, held=()):
    """iminuit's fit, which knows nothing of ours but where it begins."""
    m = Minuit(Chi2(model, data), values, name=model.names)
    for name, lower, upper in zip(model.names, model.lower, model.upper, strict=True):
        m.limits[name] = lower, upper
    for name in held:
        m.fixed[name] = True
    m.strategy, m.tol = 2, 1e-3
    m.migrad()
    return m


@pytest.fixture(scope="module", params=CASES)
def both(request):
    """Our fit, and iminuit's, which begins a little off."""
    names, parameters, settings = CASES[request.param]
    model = build([load(name, settings) for name in names], parameters)
    data = fluctuated(model, 4)
    ours = fitted(model, data)
    step = 0.1 * np.array([ours.errors[i].min() for i in range(model.variables)])
    return ours, minuit(model, data, ours.values + step)


def test_best_values_and_minos(both):
    """Fails if best values or errors low and high are other than MINOS gives."""
    ours, m = both
    assert ours.converged
    assert ours.chi2 < m.fval + 1e-6
    m.minos()
    for i, name in enumerate(ours.model.names):
        low, high = ours.errors[i]
        assert ours.values[i] == pytest.approx(m.values[name], abs=5e-3 * low)
        assert low == pytest.approx(-m.merrors[name].lower, rel=5e-3)
        assert high == pytest.approx(m.merrors[name].upper, rel=5e-3)


def test_errors_are_where_chi2_is_one_higher(both):
    """Fails if χ², minimised by iminuit with a variable at its error, is not higher by one."""
    ours, _ = both
    model = ours.model
    for i, name in enumerate(model.names):
        for end in ours.ends[i]:
            near = ours.values.copy()
            near[i] = end
            far = Profile(model, [name], ours.data, best=ours.best).points(np.array([end]))
            least = min(
                minuit(model, ours.data, start, [name]).fval for start in (near, far.values[0])
            )  # mirror images of couplings may be lower than what is near
            assert least - ours.chi2 == pytest.approx(1.0, abs=1e-4)


def test_covariance(both):
    """Fails if the covariance is not twice the inverse of χ²'s second derivatives.

    These are central differences of the gradient in NumPy; iminuit's own are good to some percent.
    """
    ours, _ = both
    cost, sigma = Chi2(ours.model, ours.data), ours.sigma
    hessian = []
    for k, s in enumerate(sigma):
        step = 1e-4 * s * np.eye(len(sigma))[k]
        up, down = (np.array(cost.gradient(ours.values + x)) for x in (step, -step))
        hessian.append((up - down) / (2e-4 * s))
    expected = 2 * np.linalg.inv((np.array(hessian) + np.array(hessian).T) / 2)
    scale = np.sqrt(np.diag(expected))
    difference = (ours.covariance - expected) / np.outer(scale, scale)
    assert np.abs(difference).max() < 1e-3
    assert np.allclose(np.diag(ours.correlation), 1.0)


def test_impacts(both):
    """Fails if iminuit moves the parameters otherwise with a nuisance parameter held."""
    ours, _ = both
    model = ours.model
    first = len(model.parameters)
    for k, nuisance in enumerate(model.nuisances):
        for side in (0, 1):
            start = ours.values.copy()
            start[first + k] = ours.ends[first + k, side]
            there = minuit(model, ours.data, start, [nuisance.name])
            for p in range(first):
                move = there.values[p] - ours.values[p]
                allowed = 5e-3 * ours.errors[p].min()
                assert ours.impacts[k, side, p] == pytest.approx(move, abs=allowed)


def test_correlations_by_iminuit():
    """Fails if correlations and errors are not those of iminuit where it is exact, near linear."""
    model = counting([4000.0, 2000.0, 1000.0], [3000.0, 3000.0, 3000.0], 0.05, 0.02)
    data = fluctuated(model, 3)
    ours = fitted(model, data)
    m = minuit(model, data, ours.values)
    m.hesse()
    assert ours.covariance == pytest.approx(np.array(m.covariance), rel=0.01, abs=1e-3)


def test_at_a_bound():
    """Fails if a limit is made up where the strength ends at zero, or the other side is wrong."""
    model = counting([10.0], [100.0])
    data = Data(np.array([[90.0]]), np.zeros((1, 1)), np.zeros((1, 1)))
    ours = fitted(model, data)
    assert ours.values[0] == 0.0
    assert np.isnan(ours.errors[0, 0])
    cost = Chi2(model, data)
    assert cost([ours.ends[0, 1]]) - cost([0.0]) == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(ours.covariance).all()


def test_of_counts_in_one_bin():
    """Fails if the errors are not the roots of the Poisson likelihood, by hand."""
    model = counting([1.0], [0.0])
    ours = fitted(model, Data(np.array([[9.0]]), np.zeros((1, 1)), np.zeros((1, 1))))
    assert ours.values[0] == pytest.approx(9.0, abs=1e-6)
    for end in ours.ends[0]:
        assert 2 * (end - 9 + 9 * np.log(9 / end)) == pytest.approx(1.0, abs=1e-7)
    assert covariance(model, ours.data, ours.values)[0, 0] == pytest.approx(9.0, rel=1e-9)


def test_pulls_of_many_fits():
    """Fails if the best strengths of 400 data sets are not one error about the truth."""
    model = counting([400.0, 200.0, 100.0], [300.0, 300.0, 300.0], 0.05, 0.02)
    pulls = []
    for seed in range(400):
        ours = fitted(model, fluctuated(model, seed))
        low, high = ours.errors[0]
        away = ours.values[0] - 1
        pulls.append(away / (low if away > 0 else high))
    assert abs(np.mean(pulls)) < 3 / np.sqrt(400)
    assert np.std(pulls) == pytest.approx(1.0, abs=3 / np.sqrt(800))
