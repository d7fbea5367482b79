"""Fits along eigenvectors against minima that are known, from saddles and in valleys."""

import numpy as np
import pytest
from nuspill import load
from nuspill.toys.counts.combination import build
from nuspill.toys.fit.careful import careful_fit, derivatives
from nuspill.toys.fit.likelihood import Chi2
from nuspill.toys.fit.search import search
from nuspill.toys.kernels.lanes import DataSets, Objective
from nuspill.toys.kernels.status import CONVERGED, HIGHER, NO_VALID_START


def posed(model, data, start, highest=np.inf):
    """An objective of all variables, and data sets with starts."""
    objective = Objective(
        terms=model.terms(range(model.variables)),
        tau=model.tau,
        free=np.arange(model.variables),
        weight=model.weight,
        lower=model.lower,
        upper=model.upper,
    )
    centre = np.array(data.centre, float)
    return objective, DataSets(data.counts, data.off, centre, start, np.full(1, highest))


@pytest.fixture(scope="module")
def moment():
    """A model whose rate has the square of a parameter that data want not to be 0."""
    model = build([load("ess-csi")], ["moment.numu"])
    values = model.truth.copy()
    values[0] = 8.0
    data = model.asimov()
    return model, type(data)(model.counts(values)[None], data.off, data.centre), values


def test_derivatives(moment):
    """Fails if gradient or Hessian are not those of the reference χ²."""
    model, data, values = moment
    start = values[None] * 0.9 + 0.1
    point = derivatives(*posed(model, data, start))
    cost = Chi2(model, data)
    assert point.chi2[0] == pytest.approx(cost(start[0]), rel=1e-10)
    np.testing.assert_allclose(point.gradient[0], cost.gradient(start[0]), rtol=1e-8)
    for k in range(model.variables):
        step = 1e-5 * np.eye(model.variables)[k]
        slope = (cost.gradient(start[0] + step) - cost.gradient(start[0] - step)) / 2e-5
        np.testing.assert_allclose(point.hessian[0, k], slope, rtol=1e-5, atol=1e-4)


def test_a_saddle_is_left(moment):
    """Fails if a fit that starts where the gradient vanishes by symmetry stays there."""
    model, data, values = moment
    start = np.repeat(model.truth[None], 3, axis=0)
    end = careful_fit(*posed(model, data, start))
    assert np.all(end.status == CONVERGED)
    np.testing.assert_allclose(end.values, np.repeat(values[None], 3, axis=0), atol=1e-4)
    assert end.chi2 == pytest.approx(0, abs=1e-8)


def test_a_valley_is_followed():
    """Fails if the fit crawls along a valley whose walls are 10^6 times as steep as its floor."""
    model = build([load("ess-csi")], ["nsi.u.ee", "nsi.d.ee"])
    data = model.asimov()
    start = model.truth[None].copy()
    start[0, :2] = 30.0, -30.0 * 0.893
    end = careful_fit(*posed(model, data, start))
    assert end.status[0] == CONVERGED
    assert end.steps[0] < 12 * 100
    best = search(model).fit(data).chi2[0]
    assert end.chi2[0] == pytest.approx(best, abs=1e-6) or end.chi2[0] < 1e-3


def test_what_cannot_win_is_left(moment):
    """Fails if a fit that would end above the highest χ² of interest goes on, or one below not."""
    model, data, _ = moment
    start = model.truth[None].copy()
    start[0, 0] = 7.0
    other = type(data)(1.5 * data.counts + 10, data.off, data.centre)
    least = careful_fit(*posed(model, other, start)).chi2[0]
    assert careful_fit(*posed(model, other, start, least - 1)).status[0] == HIGHER
    assert careful_fit(*posed(model, other, start, least + 1)).status[0] == CONVERGED


def test_impossible_start():
    """Fails if a start without a finite χ² is said to be a minimum."""
    model = build([load("ess-csi", {"analysis.factors": "linear"})], ["moment.numu"])
    data = model.asimov()
    start = model.truth[None].copy()
    start[0, 1:] = -1e4
    assert careful_fit(*posed(model, data, start)).status[0] == NO_VALID_START


def test_neighbours_do_not_matter(moment):
    """Fails if a result changes, by a bit, with the other data sets."""
    model, data, values = moment
    rng = np.random.default_rng(4)
    counts = rng.poisson(model.counts(values), (7, model.bins)).astype(float)
    sets = type(data)(counts, data.off, data.centre)
    start = np.repeat(model.truth[None], 7, axis=0)
    whole = careful_fit(*posed(model, sets, start))
    for k in range(7):
        one = type(data)(counts[k : k + 1], data.off, data.centre)
        alone = careful_fit(*posed(model, one, start[:1]))
        for a, b in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(a[0], b[k])
