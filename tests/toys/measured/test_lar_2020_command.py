"""`nuspill fit` of sns-lar-2020 beside iminuit on the numbers of the release, also projected."""

import json

import numpy as np
import pytest
from iminuit import Minuit
from scipy.special import kl_div

NAME = "sns-lar-2020"
FILES = {"signal": "cevnspdf", "brn": "brnpdf", "delayed": "delbrnpdf", "steady": "bkgpdf"}
PREDICTED = {"signal": 128.0, "brn": 497.0, "delayed": 33.0, "steady": 3154.0}
UNCERTAINTIES = {"brn": 160 / 497, "delayed": 1.0, "steady": 25 / 3154}


@pytest.fixture
def release(shared):
    """Folder, templates with the predicted counts, and observed counts, (energy, F90, time)."""
    folder = shared / "coherent_lar_2020"

    def counts(name):
        return np.loadtxt(folder / f"{name}.txt")[:, 3].reshape(12, 8, 10)

    templates = {name: counts(file) for name, file in FILES.items()}
    scaled = {name: t * PREDICTED[name] / t.sum() for name, t in templates.items()}
    return folder, scaled, counts("datanobkgsub")


def by_hand(templates, observed):
    """iminuit's fit with Gaussian constraints of the backgrounds."""

    def chi2(strength, *pulls):
        total = strength * templates["signal"]
        for (name, size), pull in zip(UNCERTAINTIES.items(), pulls, strict=True):
            total = total + (1 + size * pull) * templates[name]
        if np.any(total < 0):
            return np.inf
        return 2 * kl_div(observed, total).sum() + sum(pull**2 for pull in pulls)

    m = Minuit(chi2, 1.2, 0.3, -0.5, -0.8, name=["strength", *UNCERTAINTIES])
    m.errordef, m.strategy, m.tol = 1, 2, 1e-3
    m.migrad()
    m.minos("strength")
    return m


@pytest.mark.parametrize(
    ("axes", "summed"),
    [(None, ()), ("energy", (1, 2)), ("energy,time", (1,)), ("energy,f90", (2,))],
)
def test_fit(axes, summed, release, nuspill, tmp_path):
    """Fails if strength, errors or backgrounds are not those of the release's numbers."""
    folder, templates, observed = release
    file = tmp_path / "a.json"
    more = ("--axes", axes) if axes else ()
    status, _, errors = nuspill("fit", NAME, "--data", folder, *more, "--json", file)
    assert (status, errors) == (0, "")
    content = json.loads(file.read_text())
    m = by_hand({name: t.sum(summed) for name, t in templates.items()}, observed.sum(summed))
    low, high = (content["errors"]["strength"][side] for side in ("low", "high"))
    assert content["chi2"] == pytest.approx(m.fval, abs=1e-3)
    assert content["best"]["strength"] == pytest.approx(m.values["strength"], abs=1e-3 * low)
    assert low == pytest.approx(-m.merrors["strength"].lower, rel=2e-3)
    assert high == pytest.approx(m.merrors["strength"].upper, rel=2e-3)
    for name, size in UNCERTAINTIES.items():
        counts = PREDICTED[name] * (1 + size * m.values[name])
        assert content["components"][name] == pytest.approx(counts, abs=0.1)
    if axes is None:
        assert content["components"]["signal"] == pytest.approx(159.7, abs=0.5)
        assert 128 * low == pytest.approx(43, abs=1)
        assert 128 * high == pytest.approx(43, abs=1)
        assert content["components"]["brn"] == pytest.approx(552, abs=2)
        assert content["components"]["delayed"] == pytest.approx(10.5, abs=0.5)
        assert content["components"]["steady"] == pytest.approx(3133, abs=2)
