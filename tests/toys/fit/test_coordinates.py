"""Simpler variables: the same χ², and back to where they came from."""

import numpy as np
import pytest
from nuspill import load
from nuspill.toys.counts.combination import build
from nuspill.toys.fit.coordinates import coordinates
from nuspill.toys.fit.search import search
from nuspill.toys.kernels.status import CONVERGED

CASES = {
    "moment": (["ess-csi"], ["moment.numu"], {}),
    "angle and radii": (["ess-csi"], ["sin2w", "radius.ee", "radius.emu"], {}),
    "u and d": (["ess-csi"], ["nsi.u.ee", "nsi.d.ee"], {}),
    "change of flavour": (["ess-xe"], ["nsi.u.emu", "nsi.d.emu", "nsi.u.mumu"], {}),
    "strength": (["ess-csi"], ["strength", "nsi.u.emu", "moment.nue"], {}),
    "two detectors": (["ess-csi", "ess-ge"], ["nsi.u.ee", "nsi.d.ee", "nsi.u.mumu"], {}),
    "nothing to do": (["ess-ar"], ["nsi.u.ee", "nsi.u.mumu"], {}),
}


@pytest.fixture(params=CASES)
def model(request):
    names, free, settings = CASES[request.param]
    return build([load(name, settings) for name in names], free)


def somewhere(model, rng, sets=50):
    """Values within bounds, far from the truth too, moments and strengths at 0 among them."""
    values = np.repeat(model.truth[None], sets, axis=0)
    for i in range(len(model.parameters)):
        values[:, i] += rng.standard_normal(sets) * 10.0 ** rng.uniform(-3, 2, sets)
    values = np.clip(values, model.lower, model.upper)
    values[:, len(model.parameters) :] = rng.standard_normal((sets, len(model.nuisances)))
    return values


def test_the_rate_is_the_same(model):
    """Fails if the model in simpler variables has other counts anywhere."""
    simple = coordinates(model, range(len(model.parameters)))
    values = somewhere(model, np.random.default_rng(1))
    for a, b in zip(values, simple.inward(values), strict=True):
        np.testing.assert_allclose(simple.model.counts(b), model.counts(a), rtol=1e-9)


def test_there_and_back(model):
    """Fails if values are not found again, or a root is taken on the other side."""
    simple = coordinates(model, range(len(model.parameters)))
    values = somewhere(model, np.random.default_rng(2))
    values = values[np.all(values[:, : len(model.parameters)] != 0, axis=1)]
    back = simple.outward(simple.inward(values), values)
    np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-9)


def test_values_of_a_fit_have_its_chi2(model):
    """Fails if the values that a fit gives are not those of its χ²."""
    from nuspill.toys.fit.likelihood import Chi2

    rng = np.random.default_rng(3)
    mean = model.counts(model.truth)
    for _ in range(5):
        data = model.asimov()
        data = type(data)(rng.poisson(mean).astype(float)[None], data.off, data.centre)
        fits = search(model).fit(data)
        assert fits.status[0] == CONVERGED
        assert Chi2(model, data)(fits.values[0]) == pytest.approx(fits.chi2[0], rel=1e-6)


def test_what_is_simpler():
    """Fails if parameters that enter in these ways are fitted as they are."""

    def of(free, names=("ess-csi",)):
        model = build([load(name) for name in names], free)
        return coordinates(model, range(len(free)))

    assert of(["moment.numu", "nsi.u.ee"]).squares == {0}
    assert of(["sin2w", "radius.emu"]).products == {1: 0}
    assert of(["sin2w", "radius.emu"]).squares == {1}
    assert of(["strength", "nsi.u.emu"]).scaled == {1: (0, 1)}
    valley = of(["nsi.u.ee", "nsi.d.ee"])
    assert [numbers for numbers, _ in valley.bases] == [[0, 1]]
    products = [
        np.abs(c).max() for q, c in valley.model.expected.terms.items() if q[0] == q[1] == 1
    ]
    squares = [np.abs(c).max() for q, c in valley.model.expected.terms.items() if q[0] == 2]
    assert max(products, default=0.0) < 1e-9 * max(squares)
