"""The fitted signal: right on average and in spread, and COHERENT's from its own data."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from nuspill.reco.comparison.strength import fit_strength

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model():
    """Signal, other component and background in 12 x 12 bins, about as COHERENT's."""
    e, t = np.arange(12) + 0.5, np.arange(12) + 0.5
    signal = np.outer(np.exp(-(((e - 4) / 3) ** 2)), np.exp(-t / 4))
    other = np.outer(np.exp(-e / 6), np.exp(-(((t - 1.5) / 0.7) ** 2)))
    background = np.outer(np.exp(-e / 8), np.exp(-t / 20))
    return tuple(n * x / x.sum() for n, x in ((170, signal), (7, other), (400, background)))


def test_pulls(model):
    """Fails if the fitted signal is off on average, or its error is not its spread."""
    rng, pulls = np.random.default_rng(8), []
    signal, other, background = model
    for _ in range(60):
        neutrons = max(rng.normal(1, 0.25), 0.0)
        on = rng.poisson(0.8 * signal + neutrons * other + background).astype(float)
        off = rng.poisson(background).astype(float)
        fit = fit_strength(on, off, signal, other, 0.25)
        pulls.append((fit.events - 0.8 * 170) / fit.error)
        assert fit.expected == pytest.approx(170)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(60)
    assert 0.75 < np.std(pulls) < 1.25


def test_expected_counts_give_the_signal(model):
    """Fails if the data that the model expects do not give back the model."""
    signal, other, background = model
    fit = fit_strength(1.5 * signal + other + background, background, signal, other, 0.25)
    assert fit.strength == pytest.approx(1.5, abs=1e-2)
    assert fit.other == pytest.approx(7, rel=3e-2)
    assert fit.background == pytest.approx(400, rel=1e-2)
    assert fit.deviance == pytest.approx(0, abs=1e-2)
    assert fit.as_json() == vars(fit) | {"strength": fit.strength}
    assert repr(fit).startswith("<Strength: signal 255 ± ")


def test_wrong_shapes():
    """Fails if counts and templates of different bins are fitted."""
    with pytest.raises(ValueError, match="do not fit"):
        fit_strength(np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 2)))


def test_coherent_2017():
    """Fails if the example does not give the published signal within half its error."""
    folder = PROJECT.parent / "shared/data/coherent_csi_2017"
    if not folder.is_dir():
        pytest.skip(f"no measured data in {folder}")
    spec = importlib.util.spec_from_file_location("coherent", PROJECT / "examples/coherent_2017.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    comparison, fit = example.analyse(folder, years=300)  # templates without noise to speak of
    assert abs(fit.events - 134) < 11
    assert 20 < fit.error < 30
    assert 155 < fit.expected < 180
    panels = {panel.key: panel.chi2 for panel in comparison.panels}
    assert panels["e_reco_residual"].p_value > 0.05
    assert panels["since_residual"].p_value > 0.05
