"""Models and data on some of their axes."""

from dataclasses import replace

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.toys.counts.binning import Axis, Binning
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting
from nuspill.toys.report.fitted import fitted
from nuspill.toys.report.projection import projected, projected_data

ENERGY = Axis("energy", "energy", "keV_nr", np.array([0.0, 1.0, 2.0, 4.0]))
TIME = Axis("time", "time", "ns", np.array([0.0, 500.0, 6000.0]))
SIGNAL = np.outer([30.0, 20.0, 10.0], [0.7, 0.3])
BACKGROUND = np.outer([10.0, 20.0, 30.0], [0.1, 0.9])


def plane():
    """Counts in energy and time, with pulls on signal and background."""
    model = counting(SIGNAL.ravel(), BACKGROUND.ravel(), 0.1, 0.05)
    (section,) = model.sections
    return replace(model, sections=(replace(section, binning=Binning((ENERGY, TIME))),))


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return Data(rng.poisson((SIGNAL + BACKGROUND).reshape(1, -1)).astype(float), np.zeros((1, 6)),
                np.zeros((1, 3)))  # fmt: skip


@pytest.mark.parametrize(("name", "axis"), [("energy", 1), ("time", 0)])
def test_fit_on_one_axis(name, axis, data):
    """Fails if a fit on one axis is not that of a model whose bins were summed by hand."""
    model, sums = projected(plane(), [name])
    by_hand = counting(SIGNAL.sum(axis), BACKGROUND.sum(axis), 0.1, 0.05)
    counts = data.counts.reshape(3, 2).sum(axis)[None]
    ours = fitted(model, projected_data(data, sums))
    theirs = fitted(by_hand, Data(counts, np.zeros_like(counts), np.zeros((1, 3))))
    assert model.sections[0].binning.names == (name,)
    assert ours.chi2 == pytest.approx(theirs.chi2, rel=1e-9)
    assert ours.values == pytest.approx(theirs.values, abs=1e-6)
    assert ours.errors == pytest.approx(theirs.errors, rel=1e-6)


def test_all_axes_are_the_model(data):
    """Fails if a projection on all axes changes a count."""
    whole = plane()
    model, sums = projected(whole, ["energy", "time"])
    assert np.array_equal(sums, np.eye(6))
    z = [1.2, 0.4, -0.3]
    assert np.array_equal(model.counts(z), whole.counts(z))


@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
def test_of_every_statistic(statistic):
    """Fails if beam-off counts or the free background are summed otherwise than beam-on."""
    experiment = load("ess-csi", {"analysis.statistic": statistic})
    whole = build([experiment], ["strength"])
    section = whole.sections[0]
    some = section.binning.axes[0].edges
    pairs = Binning((Axis("pair", "", "", np.arange(len(some) // 2 + 1.0)),
                     Axis("half", "", "", np.arange(3.0))))  # fmt: skip
    if pairs.bins != section.binning.bins:
        edges = some[: 2 * (len(some) // 2) - 1]
        experiment = load("ess-csi", {"analysis.statistic": statistic,
                                      "analysis.edges": edges.tolist()})  # fmt: skip
        whole = build([experiment], ["strength"])
        section = whole.sections[0]
        pairs = Binning((Axis("pair", "", "", np.arange(section.binning.bins // 2 + 1.0)),
                         Axis("half", "", "", np.arange(3.0))))  # fmt: skip
    coarse = load("ess-csi", {"analysis.statistic": statistic,
                              "analysis.edges": section.binning.energy[::2].tolist()})  # fmt: skip
    expected = build([coarse], ["strength"])
    whole = replace(whole, sections=(replace(section, binning=pairs),))
    model, sums = projected(whole, ["pair"])
    z = np.linspace(0.7, 1.3, model.variables)
    assert model.counts(z) == pytest.approx(expected.counts(z), rel=1e-6)
    for ours, theirs in zip(model.components, expected.components, strict=True):
        assert ours.on.at(z) == pytest.approx(theirs.on.at(z), rel=1e-6, abs=1e-9)
    assert model.background == pytest.approx(expected.background, rel=1e-9)
    assert model.tau == pytest.approx(expected.tau)
    summed = projected_data(whole.asimov(), sums)
    assert summed.counts == pytest.approx(expected.asimov().counts, rel=1e-6)
    assert summed.off == pytest.approx(expected.asimov().off, rel=1e-6)


def test_mistakes():
    """Fails if an axis that is not there, or is there twice, is taken."""
    for names, text in ((["psd"], "no axis 'psd'"), (["time", "time"], "twice")):
        with pytest.raises(ExperimentError, match=text):
            projected(plane(), names)
