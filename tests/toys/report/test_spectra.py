"""Counts of components at the best fit, along each axis."""

import numpy as np
import pytest
from nuspill import load
from nuspill.toys.counts.model import Data
from nuspill.toys.report.fitted import fitted
from nuspill.toys.report.report import models, report
from nuspill.toys.report.spectra import component_counts, residuals, spectra
from scipy.stats import poisson

BACKGROUNDS = [
    {"name": "steady", "rate": 10.0},
    {"name": "radon", "rate": 5.0},
    {"name": "neutrons", "timing": "prompt", "rate": 0.3, "total": True},
]
PLANE = {
    "analysis.axes": [
        {"name": "energy", "edges": [1.0, 3.0, 6.0, 12.0, 46.0]},
        {"name": "time", "edges": [0.0, 0.7e6, 1.4e6, 2.1e6, 2.8e6]},
    ],
    "background": BACKGROUNDS,
    "exposure.years": 0.2,
}
LEAKS = {
    "background": BACKGROUNDS, "windows.on_start": 1e6, "windows.on_length": 1.5e6,
    "windows.off_start": 2.7e6,
}  # fmt: skip


def fit_of(settings, seed=1):
    """Fit of Poisson counts of an experiment."""
    both = models([load("ess-csi", settings)], ["strength"])
    asimov, rng = both.model.asimov(), np.random.default_rng(seed)
    counts, off = (rng.poisson(x).astype(float) for x in (asimov.counts, asimov.off))
    data = Data(counts, off, np.zeros((1, both.model.variables)))
    return both, data, fitted(both.model, data)


@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
@pytest.mark.parametrize("settings", [{"background": BACKGROUNDS}, LEAKS])
def test_components_add_up(statistic, settings):
    """Fails if components do not add up to what is fitted, or one is the counts of another."""
    _, data, fit = fit_of({**settings, "analysis.statistic": statistic})
    (counts,) = component_counts(fit).values()
    assert list(counts) == ["signal", "steady", "radon", "neutrons"]
    (section,) = fit.model.sections
    assert np.sum(list(counts.values()), axis=0) == pytest.approx(fit.counts[section.on])
    expected = {c.name: c.on.at(fit.model.truth).sum() for c in fit.model.components}
    for name, values in counts.items():
        assert values.sum() == pytest.approx(expected[name], rel=0.3)
    assert counts["steady"].sum() == pytest.approx(2 * counts["radon"].sum(), rel=1e-6)
    observed = data.counts[0, section.on].sum()
    assert abs(fit.counts[section.on].sum() - observed) < 4 * np.sqrt(observed)


def test_along_axes():
    """Fails if a spectrum is not the sum over the other axis, or an axis lacks one."""
    both, data, fit = fit_of(PLANE)
    counts = component_counts(fit)
    along = {s.axis.name: s for s in spectra(fit, counts)}
    assert list(along) == ["energy", "time"]
    for number, (name, spectrum) in enumerate(along.items()):
        other = 1 - number
        assert spectrum.observed == pytest.approx(data.counts.reshape(4, 4).sum(other))
        for part, values in spectrum.components.items():
            whole = counts["ess-csi"][part].reshape(4, 4)
            assert values == pytest.approx(whole.sum(other)), (name, part)
        assert np.all(np.abs(spectrum.residual) < 5)
    assert report(both, data).components["signal"] == pytest.approx(
        counts["ess-csi"]["signal"].sum()
    )


def test_errors_of_counts():
    """Fails if the error of the sum is not the spread of the sums that toys are fitted to."""
    both, _, fit = fit_of(PLANE)
    truth = both.model.counts(fit.values)
    rng = np.random.default_rng(2)
    sums = []
    for _ in range(200):
        centre = np.where(both.model.weight > 0, fit.values + rng.normal(size=fit.values.shape), 0)
        toy = Data(rng.poisson(truth).astype(float)[None], np.zeros((1, truth.size)), centre[None])
        toy_fit = fitted(both.model, toy)
        sums.append(toy_fit.counts.reshape(4, 4).sum(axis=1))
    (energy, _) = spectra(fit, component_counts(fit))
    assert np.std(sums, axis=0) == pytest.approx(energy.error, rel=4 / np.sqrt(400))


def test_residuals():
    """Fails if residuals are not signed roots of Poisson deviances."""
    n, mu = np.array([0.0, 3.0, 12.0]), np.array([2.0, 3.0, 7.0])
    log_ratio = poisson.logpmf(n, np.maximum(n, 1e-300)) - poisson.logpmf(n, mu)
    assert residuals(n, mu) == pytest.approx(np.sqrt(2 * log_ratio) * [-1, 1, 1], abs=1e-6)
