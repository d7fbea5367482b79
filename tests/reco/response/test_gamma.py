"""The gamma resolution of COHERENT's CsI[Na], by quadrature and in events, against scipy's."""

import numpy as np
import pytest
from nuspill import generate, load
from nuspill.generator.coupling import structure_couplings
from nuspill.reco.response.resolution import Gamma, Resolution, WidthTable
from nuspill.toys.counts.template import templates
from pydantic import TypeAdapter
from scipy import stats
from scipy.special import gammaln

RESOLUTION = TypeAdapter(Resolution)
A, B = 0.0749, 9.56
"""a = A/E_ee and b = B E_ee, E_ee in keV: arXiv:2110.07730, its release."""
EFFICIENCY = {
    "model": "logistic", "plateau": 1.32045, "slope": 0.285979, "midpoint": 10.8646,
    "offset": -0.333322,
}  # fmt: skip
SETTINGS = {
    "background.steady.enabled": False,
    "detector.resolution": {"model": "gamma", "light_yield": 1 / A, "b": B},
    "detector.efficiency": EFFICIENCY,
    "detector.region": [0.0, 60.0],
    "analysis.edges": [0.0, 8.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 50.0, 60.0],
}


def coherents_density(x, energy):
    """P(x) of the release, written out: x in photo-electrons, energy in keV_ee."""
    a, b = A / energy, B * energy
    log = (1 + b) * np.log(a * (1 + b)) + b * np.log(x)
    return np.exp(log - gammaln(1 + b) - a * (1 + b) * x)


def efficiency(x):
    return np.clip(1.32045 / (1 + np.exp(-0.285979 * (x - 10.8646))) - 0.333322, 0, None)


def test_its_width_is_coherents():
    """Fails if mean, width or the factor 1.40 on Poisson's variance is another."""
    model = RESOLUTION.validate_python(SETTINGS["detector.resolution"])
    for energy in (0.3, 1.0, 3.0):
        x = np.linspace(1e-6, 400, 400_001)
        p = coherents_density(x, energy)
        total, mean = np.trapezoid(p, x), np.trapezoid(p * x, x)
        variance = np.trapezoid(p * (x - mean) ** 2, x)
        assert total == pytest.approx(1, abs=1e-6)
        assert mean == pytest.approx(model.per_kev() * energy, rel=1e-6)
        assert np.sqrt(variance) == pytest.approx(model.per_kev() * model.sigma(energy), rel=1e-6)
    assert (model.per_kev() * model.sigma(100.0)) ** 2 / (model.per_kev() * 100.0) == pytest.approx(
        1.40, abs=0.005
    )
    assert model.unit_of_reco() == "PE"
    assert not model.whole_numbers


def test_shares_of_bins():
    """Fails if the quadrature over bins differs by 2e-5 from an integral of P(x) efficiency(x)."""
    detector = load("sns-csi-2017", SETTINGS).detector
    recoils = np.array([2.0, 8.0, 15.0, 30.0, 45.0])
    edges = SETTINGS["analysis.edges"]
    found = detector.bin_probability(recoils, edges, "reco", 50.0)
    energies = detector.electron_equivalent(recoils)
    for shares, energy in zip(found, energies, strict=True):
        for share, low, high in zip(shares, edges[:-1], edges[1:], strict=True):
            x = np.linspace(max(low, 1e-9), high, 20_001)
            threshold = x >= detector.reconstructed(detector.threshold)
            due = np.trapezoid(coherents_density(x, energy) * efficiency(x) * threshold, x)
            assert share == pytest.approx(due, abs=2e-5)


def test_events_follow_it():
    """Fails if the quantile at which an event lies in its gamma distribution is not uniform."""
    experiment = load("sns-csi-2017", SETTINGS | {"exposure.truth_threshold": 0.05})
    events = generate(experiment, seed=7, events=400_000, library="np")
    seen = events["e_ee"] > 1e-3
    energy, light = events["e_ee"][seen].astype(float), events["e_reco"][seen].astype(float)
    form = 1 + B * energy
    quantile = stats.gamma.cdf(light, form, scale=energy / A / form)
    for high in (0.05, 0.3, 1.0, 10.0):
        chosen = quantile[(energy < high) & (energy >= high / 6)]
        counts, _ = np.histogram(chosen, np.linspace(0, 1, 51))
        assert chosen.size > 3_000
        assert stats.chisquare(counts).pvalue > 1e-4


def test_events_and_templates_agree(goodness):
    """Fails if selected events in the bins are not those of the templates."""
    experiment = load("sns-csi-2017", SETTINGS | {"analysis.scale": "reco"})
    events = generate(experiment, seed=11, events=600_000, library="np")
    counts = np.zeros(9)
    chosen = events["selected"] & (events["window"] == 1)
    counts += np.histogram(events["e_reco"][chosen], SETTINGS["analysis.edges"])[0]
    expected = np.zeros(9)
    for (flavour, _, structure), part in templates(experiment).signal.items():
        expected += part * structure_couplings(experiment.interaction, flavour)[structure]
    assert goodness(counts, expected, total=counts.sum()) > 1e-4


def test_a_gamma_by_table_is_the_formula():
    """Fails if a table of the same widths spreads otherwise than the formula."""
    formula = Gamma(model="gamma", light_yield=1.0, b=B)
    energy = np.linspace(0, 8, 3000)
    table = WidthTable(
        model="table", energy=list(energy), width=list(formula.sigma(energy)), distribution="gamma"
    )
    detector = load("ess-csi").detector
    edges, recoils = [0.2, 0.5, 1.0, 2.0], [3.0, 8.0, 20.0]
    one, other = (
        detector.model_copy(update={"resolution": model}).bin_probability(
            recoils, edges, "reco", 50
        )
        for model in (formula, table)
    )
    np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gamma", "light_yield": 13.35},
        {"model": "gamma", "light_yield": 0.0, "b": 9.56},
        {"model": "gamma", "light_yield": 13.35, "b": -1.0},
        {"model": "table", "energy": [1.0], "width": [0.1], "distribution": "poisson"},
    ],
)
def test_bad_settings(settings):
    """Fails if a gamma resolution that is none is accepted."""
    with pytest.raises(ValueError, match="validation error"):
        RESOLUTION.validate_python(settings)
