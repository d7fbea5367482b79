"""Models of one's own, one class each: fails if events or templates must know of them elsewhere."""

from typing import ClassVar, Literal

import numpy as np
import pytest
from nuspill import build, generate, load
from nuspill.generator.settings import unchecked
from nuspill.reco.errors import ExperimentError
from nuspill.reco.expectation import background_per_kg_day, expectations
from nuspill.reco.response.background import BackgroundShape, SpectrumModel
from nuspill.reco.response.efficiency import EfficiencyModel
from nuspill.reco.response.quenching import QuenchingModel
from nuspill.reco.response.resolution import ResolutionModel
from nuspill.toys.counts.template import templates
from scipy import stats

WIDTH = 0.15


class Wide(ResolutionModel):
    """A constant width in keV_ee."""

    model: Literal["wide"] = "wide"

    def sigma(self, energy, threshold=0.0):
        return np.full(np.shape(energy), WIDTH)


class Counts(ResolutionModel):
    """Poisson hits, 21.3 a keV_ee, so that none lies on an edge of a bin."""

    whole_numbers: ClassVar[bool] = True
    model: Literal["counts"] = "counts"

    def unit_of_reco(self):
        return "hits"

    def per_kev(self):
        return 21.3

    def sigma(self, energy, threshold=0.0):
        return np.sqrt(np.asarray(energy, float) / 21.3)


class Relative(ResolutionModel):
    """A width in keV_ee that is a part of the threshold."""

    needs_threshold: ClassVar[bool] = True
    model: Literal["relative"] = "relative"

    def sigma(self, energy, threshold=0.0):
        return np.full(np.shape(energy), WIDTH * threshold)


class OnRecoil(ResolutionModel):
    """A constant width in keV_nr, which no kernel knows."""

    on_recoil: ClassVar[bool] = True
    model: Literal["recoil"] = "recoil"

    def sigma(self, energy, threshold=0.0):
        return np.full(np.shape(energy), 2.0)


class Bent(QuenchingModel):
    """E_ee = T²/(T + 20 keV)."""

    model: Literal["bent"] = "bent"

    def electron_equivalent(self, recoil):
        t = np.asarray(recoil, float)
        return t**2 / (t + 20.0)


class Rising(EfficiencyModel):
    """1 − exp(−E/2)."""

    at_threshold: ClassVar[bool] = False
    model: Literal["rising"] = "rising"

    def at(self, energy):
        return -np.expm1(-np.maximum(np.asarray(energy, float), 0.0) / 2.0)


class Rise(SpectrumModel):
    """Rises linearly from 0 at the low end of the range."""

    model: Literal["rise"] = "rise"

    def shape(self, low, high):
        return BackgroundShape(np.array([low, high]), np.array([0.0, 1.0]), 0.0, (high - low) / 2)


class Jumping(EfficiencyModel):
    """0.2 below an energy, 0.8 from it on, and the same again with a slope."""

    at_threshold: ClassVar[bool] = False
    model: Literal["jumping"] = "jumping"
    place: float = 0.6
    named: bool = True

    def at(self, energy):
        e = np.asarray(energy, float)
        return np.where(e >= self.place, 0.8, np.where(e >= self.place / 2, 0.2, 0.1 * e))

    def edges(self):
        return [self.place / 2, self.place] if self.named else [self.place / 2]


def with_models(**models):
    settings = {"background.steady.enabled": False, "analysis.edges": [3.0, 6.0, 10.0, 20.0, 46.0]}
    experiment = load("ess-csi", settings)
    return unchecked(experiment, detector=unchecked(experiment.detector, **models))


@pytest.mark.parametrize("model", [Wide(), Relative()])  # the threshold is 1 keV_nr
def test_a_resolution_spreads_by_its_width(model):
    events = generate(with_models(resolution=model), seed=3, stop=200_000, library="np")
    far = events["e_ee"] > 6 * WIDTH  # none are held at 0
    pull = (events["e_reco"] - events["e_ee"])[far].astype(float) / WIDTH
    assert len(pull) > 2000
    assert stats.kstest(pull, "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    "models",
    [
        pytest.param({"resolution": Wide()}, id="resolution"),
        pytest.param({"resolution": Counts()}, id="whole numbers"),
        pytest.param({"quenching": Bent(), "resolution": Wide()}, id="quenching"),
        pytest.param({"efficiency": Rising()}, id="efficiency"),
    ],
)
def test_templates_expect_what_is_generated(models):
    experiment = with_models(**models)
    model = build([experiment], ["strength"])
    expected, edges = model.counts(model.truth), model.section(experiment.name).binning.energy
    events = generate(experiment, seed=11, years=experiment.exposure.years, library="np")
    chosen = events["selected"] & (events["window"] == 1)
    counts = np.histogram(events["e_reco_nr"][chosen], edges)[0]
    assert stats.chi2.sf(np.sum((counts - expected) ** 2 / expected), len(counts)) > 1e-3


NUMBERS = {"model": "photoelectrons", "light_yield": 20.0}
SHARP = {"model": "table", "energy": [0.1], "width": [0.02]}


@pytest.mark.parametrize(
    ("resolution", "place", "edges"),
    [
        pytest.param(NUMBERS, 6.0, [2.0, 3.0, 5.0, 6.0, 7.0, 92.0], id="on a whole number"),
        pytest.param(NUMBERS, 5.7, [2.0, 3.0, 5.0, 6.0, 7.0, 92.0], id="beside one"),
        pytest.param(SHARP, 0.6, [0.2, 0.3, 0.6, 0.61, 4.6], id="of a sharp energy"),
        pytest.param({"model": "none"}, 0.6, [0.2, 0.3, 0.6, 0.601, 4.6], id="of an exact one"),
    ],
)
def test_an_efficiency_jumps_in_events_where_it_does_in_templates(resolution, place, edges):
    """Fails if events interpolate over the jump: 15 % of the photo-electrons on it were lost."""
    settings = {
        "background.steady.enabled": False, "exposure.years": 60.0, "analysis.scale": "reco",
        "analysis.edges": edges, "detector.resolution": resolution,
    }  # fmt: skip
    experiment = load("ess-csi", settings)
    detector = unchecked(experiment.detector, efficiency=Jumping(place=place))
    experiment = unchecked(experiment, detector=detector)
    model = build([experiment], ["strength"])
    due = model.counts(model.truth)
    events = generate(experiment, seed=2, years=60.0, library="np")
    chosen = events["selected"] & (events["window"] == 1)
    seen = np.histogram(events["e_reco"][chosen], edges)[0]
    assert stats.chi2.sf(np.sum((seen - due) ** 2 / due), len(due)) > 1e-3
    selected = 60.0 * sum(e.selected[1] for e in expectations(experiment))
    assert chosen.sum() == pytest.approx(selected, abs=4 * selected**0.5)


def test_a_jump_that_is_not_named_is_refused():
    """Fails if events take a slope for a jump of which `edges` does not tell."""
    efficiency = Jumping(named=False)
    with pytest.raises(ExperimentError, match=r"Jumping': jumps near 0\.[56].*edges"):
        generate(with_models(efficiency=efficiency), seed=3, stop=1000, library="np")


def test_a_width_that_no_kernel_knows_is_refused():
    with pytest.raises(ExperimentError, match="OnRecoil"):
        generate(with_models(resolution=OnRecoil()), seed=3, stop=1000, library="np")


def test_a_spectrum_of_a_background():
    """Fails if its area does not multiply the rate, or bins or events do not follow its shape."""
    edges = np.array([1.0, 3.0, 6.0, 10.0, 20.0, 46.1])
    experiment = load("ess-csi", {"analysis.edges": edges.tolist()})
    rising = unchecked(experiment.background[0], spectrum=Rise())
    experiment = unchecked(experiment, background=(rising,))
    assert background_per_kg_day(experiment, rising) == pytest.approx(10 * 45.1 / 2)
    expected = templates(experiment).steady
    np.testing.assert_allclose(expected / expected.sum(), np.diff(((edges - 1) / 45.1) ** 2))
    years = experiment.exposure.years
    events = generate(experiment, seed=5, years=years / 10, library="np", selected_only=True)
    chosen = (events["component"] >= 10) & (events["window"] == 1)
    counts = np.histogram(events["e_reco_nr"][chosen], edges)[0]
    due = expected / 10
    assert due.min() > 5
    assert stats.chi2.sf(np.sum((counts - due) ** 2 / due), len(counts)) > 1e-3
