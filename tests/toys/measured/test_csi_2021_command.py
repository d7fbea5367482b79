"""`nuspill fit` of sns-csi-2021 beside iminuit on templates in plain NumPy: toy and measured data.

The likelihood is 2 Σ [N − n + n ln(n/N)] with free signal and factors 1 + σ η on the backgrounds,
of 25 % (brn), 35 % (nin) and 2.1 % (steady).
"""

import json
import tomllib

import numpy as np
import pytest
from csi_2021 import PE, TIME, neutrons, signal, steady
from iminuit import Minuit
from nuspill.generator.beam import shipped_source_text
from nuspill.reco.experiment import source_text
from scipy.special import kl_div

NAME = "sns-csi-2021"
UNCERTAINTIES = {"steady": 0.021, "brn": 0.25, "nin": 0.35}
FREE_YIELD = ("--set", "analysis.signal_uncertainty=0")


@pytest.fixture(scope="module")
def expected():
    """Counts by component, shape (9, 11) each, from the tables of the release."""
    data = tomllib.loads(source_text(NAME))
    backgrounds = {item["name"]: item for item in data["background"]}

    def in_us(shape):
        return np.array(shape["time"]) / 1e3, np.array(shape["intensity"])

    source = tomllib.loads(shipped_source_text(data["source"]["base"]))
    counts = {"signal": sum(signal(in_us(source["pulse_shape"])).values())}
    for name, total in (("brn", 18.4), ("nin", 5.6)):
        item = backgrounds[name]
        counts[name] = neutrons(total, item["spectrum"]["counts"], *in_us(item["profile"]))
    counts["steady"] = steady(1286.0, backgrounds["steady"]["spectrum"]["counts"])
    return counts


def by_hand(expected, observed):
    """iminuit's fit of the likelihood above."""

    def chi2(strength, *pulls):
        total = strength * expected["signal"]
        for (name, size), pull in zip(UNCERTAINTIES.items(), pulls, strict=True):
            total = total + (1 + size * pull) * expected[name]
        return 2 * kl_div(observed, total).sum() + sum(pull**2 for pull in pulls)

    m = Minuit(chi2, 1.0, 0.0, 0.0, 0.0, name=["strength", *UNCERTAINTIES])
    m.errordef, m.strategy, m.tol = 1, 2, 1e-3
    m.migrad()
    m.minos()
    return m


@pytest.fixture
def fit(nuspill, tmp_path):
    """The command on counts of shape (9, 11); the content of its JSON."""

    def run(observed):
        np.savetxt(tmp_path / "a.txt", observed.ravel(), fmt="%d")
        data = ("--data", tmp_path / "a.txt", "--json", tmp_path / "a.json")
        status, _, errors = nuspill("fit", NAME, *FREE_YIELD, *data)
        assert (status, errors) == (0, "")
        return json.loads((tmp_path / "a.json").read_text())

    return run


def compare(content, m, expected):
    """Fails if anything of a fit differs from iminuit's by more than the templates do."""
    assert content["bins"] == 99
    assert content["chi2"] == pytest.approx(m.fval, abs=0.05)
    errors = m.merrors["strength"]
    ours = content["errors"]["strength"]
    assert content["best"]["strength"] == pytest.approx(
        m.values["strength"], abs=0.02 * ours["low"]
    )
    assert ours["low"] == pytest.approx(-errors.lower, rel=0.01)
    assert ours["high"] == pytest.approx(errors.upper, rel=0.01)
    for name, size in UNCERTAINTIES.items():
        counts = (1 + size * m.values[name]) * expected[name].sum()
        error = size * m.errors[name] * expected[name].sum()
        assert content["components"][name] == pytest.approx(counts, abs=0.02 * error)
    pulls = list(content["pulls"].values())
    for name, pull in zip(UNCERTAINTIES, pulls, strict=True):
        assert pull["value"] == pytest.approx(m.values[name], abs=0.02)
        assert pull["low"] == pytest.approx(-m.merrors[name].lower, rel=0.01)
        assert pull["high"] == pytest.approx(m.merrors[name].upper, rel=0.01)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_toy_data(seed, expected, fit):
    """Fails if values, errors, components or pulls are not iminuit's on drawn counts."""
    rng = np.random.default_rng(seed)
    observed = rng.poisson(sum(expected.values()))
    compare(fit(observed), by_hand(expected, observed), expected)


def test_of_the_measured_counts(expected, fit, shared):
    """Fails if the measured counts do not give what was published, and iminuit by hand."""
    energy, time = np.loadtxt(shared / "coherent_csi_2021/dataBeamOnC.txt").T
    observed, _, _ = np.histogram2d(energy, time, [PE, TIME])
    content = fit(observed)
    compare(content, by_hand(expected, observed), expected)
    counts = content["components"]
    assert content["observed"] == 1578
    assert counts["signal"] == pytest.approx(309, abs=1)
    relative = counts["signal"] / content["best"]["strength"]
    assert content["errors"]["strength"]["low"] * relative == pytest.approx(31.2, abs=0.5)
    assert content["errors"]["strength"]["high"] * relative == pytest.approx(32.1, abs=0.5)
    assert counts["brn"] == pytest.approx(17.0, abs=0.1)
    assert counts["nin"] == pytest.approx(5.5, abs=0.05)
    assert counts["steady"] == pytest.approx(1272, abs=1)
    assert content["chi2"] == pytest.approx(84.38, abs=0.3)
    assert content["significance"]["sigma"] == pytest.approx(11.5, abs=0.1)
