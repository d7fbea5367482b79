"""Effects: each says all there is to say of itself, so that a further one is a class alone."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.reco.analysis import EffectName
from nuspill.reco.expectation import steady_background
from nuspill.reco.response.detector import Shift
from nuspill.toys.construction.ensemble import Truth
from nuspill.toys.construction.event_toys import sources_at
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import LEAST_FACTOR, Nuisance
from nuspill.toys.counts.template import templates
from nuspill.toys.counts.workspace import workspace
from nuspill.toys.effects.effect import SYSTEMATICS, Distance, Flux, MeasuredInBeamOff, Shape

FEW = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]


@dataclass(frozen=True)
class FirstBin(Shape):
    """An effect that nuspill does not have: a factor on the signal of the first bin."""

    name: str = "first bin"
    modifier: str | None = "histosys"

    def applied(self, template, nominal, x, uncertainty):
        first = np.arange(nominal.templates.binning.bins) == 0
        more = nominal.scaled(np.where(first, 1 + uncertainty, 1.0)) - nominal.counts
        return template + more * x


def with_effect(effect):
    systematic = {"name": "s", "effect": effect, "uncertainty": 0.05}
    return load("ess-csi", {"analysis.edges": FEW, "analysis.systematic": [systematic]})


def test_every_name_of_a_file_is_an_effect():
    """Fails if a file may name what is no effect, or an effect lies under another name."""
    assert set(SYSTEMATICS) == set(get_args(EffectName))
    assert all(effect.name == name for name, effect in SYSTEMATICS.items())


def test_a_further_effect(monkeypatch):
    """Fails if an effect needs more than its class to act on counts, bounds and workspaces."""
    monkeypatch.setitem(SYSTEMATICS, "threshold", FirstBin())
    experiment = with_effect("threshold")
    model = build([experiment], ["strength"])
    nominal, point = model.truth, model.truth.copy()
    point[model.number("s")] = 2.0
    plain = build([load("ess-csi", {"analysis.edges": FEW, "background.steady.enabled": False})])
    ratio = (model.counts(point) - model.counts(nominal)) / plain.counts(plain.truth)
    np.testing.assert_allclose(ratio, [0.1, 0, 0, 0, 0, 0], atol=1e-12)
    assert model.lower[model.number("s")] == -np.inf
    samples = workspace([experiment])["channels"][0]["samples"]
    assert "s" in {m["name"] for sample in samples for m in sample["modifiers"]}
    with pytest.raises(ExperimentError, match="cannot shift first bin"):
        sources_at(model, [experiment], Truth(point, model.background))


def test_bounds_and_pulls():
    """Fails if a factor may be negative, or what beam-off measures has a pull."""
    linear = Nuisance("n", Flux().as_linear(), 0.1)
    assert linear.lower == pytest.approx((LEAST_FACTOR - 1) / 0.1)
    assert linear.factor(-2.0) == pytest.approx(0.8)
    assert Nuisance("n", Flux(), 0.1).lower == -np.inf
    assert Nuisance("n", Flux(), 0.1).factor(-2.0) == pytest.approx(1.1**-2)
    assert Nuisance("n", Distance().as_linear(), 0.1).factor(2.0) == pytest.approx(1.1**-4)
    assert Nuisance("n", SYSTEMATICS["quenching"], 0.1).lower == -np.inf
    assert Nuisance("n", Flux(), 0.1).weight == 1
    assert Nuisance("n", MeasuredInBeamOff(), 0.1).weight == 0


def test_factors_of_events():
    """Fails if pulls do not act on rates of events, or not by the factors of bins."""
    experiment = with_effect("flux")
    model = build([experiment])
    z = dict.fromkeys(model.names, 0.0) | {"signal": 1.0, "s": 2.0, "background.ess-csi": -3.0}
    values = np.array([*z.values()])
    (source,) = sources_at(model, [experiment], Truth(values, model.background))
    np.testing.assert_allclose(source.rates(values), [1.1 * 1.05**2, 1.01**-3])
    own = source.run.chain.sources.mean
    np.testing.assert_allclose(
        source.run.with_seed(1, source.rates(values)).chain.sources.mean, own * source.rates(values)
    )


@dataclass(frozen=True)
class Tilt(Shape):
    """An effect that nuspill does not have: the steady background falls by 1 ∓ σ over the bins."""

    name: str = "tilt"
    acts_on: str = "background"
    modifier: str | None = "histosys"

    def applied(self, template, nominal, x, uncertainty):
        edges = nominal.templates.binning.energy
        low, high = edges[:-1], edges[1:]
        middle = (low[0] + high[-1]) / 2
        slope = ((low + high) / 2 - middle) / (high[-1] - middle)
        return template + x * (nominal.scaled(1 + slope * uncertainty) - nominal.counts)


BEAM = {"name": "neutrons", "timing": "prompt", "rate": 0.3}
STEADY = {"name": "steady", "rate": 10.0}


def with_backgrounds(effect, *backgrounds, **analysis):
    settings = {
        "analysis.edges": FEW,
        "analysis.systematic": [{"name": "s", "effect": effect, "uncertainty": 0.2}],
        "background": list(backgrounds),
    }
    return load("ess-csi", settings | {f"analysis.{key}": v for key, v in analysis.items()})


@pytest.mark.parametrize("statistic", ["pulls", "on-off-scaled"])
def test_a_further_effect_on_the_background(monkeypatch, statistic):
    """Fails if a shape of the steady background is not what its class says, in beam-off too."""
    monkeypatch.setitem(SYSTEMATICS, "threshold", Tilt())
    experiment = with_backgrounds("threshold", STEADY, BEAM, statistic=statistic)
    model = build([experiment], ["strength"])
    point = model.truth.copy()
    point[model.number("s")] = 1.5
    change = model.counts(point) - model.counts(model.truth)
    # flat in keV_nr, 1 to 46.1: the part of each bin, times its distance from 23.55 over 22.55
    low, high = np.array(FEW[:-1]), np.array(FEW[1:])
    on, off = steady_background(experiment)
    steady = on * experiment.exposure.years * (high - low) / 45.1
    expected = 0.3 * steady * ((low + high) / 2 - 23.55) / 22.55
    if statistic == "on-off-scaled":
        expected = np.append(expected, expected.sum() * off / on)
    np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-9 * steady.sum())
    samples = workspace([experiment])["channels"][0]["samples"]
    assert [s["name"] for s in samples if "s" in {m["name"] for m in s["modifiers"]}] == [
        "background"
    ]


def test_the_rate_of_a_beam_background():
    """Fails if it does not scale that background alone, or toys of events leave it out."""
    experiment = with_backgrounds("beam background", STEADY, BEAM)
    model = build([experiment])
    point = model.truth.copy()
    point[model.number("s")] = 2.0
    change = model.counts(point) - model.counts(model.truth)
    without = build([with_backgrounds("flux", STEADY)])
    beam = model.counts(model.truth) - without.counts(without.truth)
    np.testing.assert_allclose(change, 0.44 * beam, rtol=1e-9, atol=1e-9 * beam.sum())
    assert beam.sum() > 1
    (source,) = sources_at(model, [experiment], Truth(point, model.background))
    np.testing.assert_allclose(source.rates(point), [1.0, 1.0, 1.44])


def test_a_background_that_cannot_change_is_refused(monkeypatch):
    """Fails if an uncertainty is silently without effect."""
    with pytest.raises(ExperimentError, match=r"'s'.*beam background.*none is expected"):
        build([with_backgrounds("beam background", STEADY)])
    monkeypatch.setitem(SYSTEMATICS, "threshold", Tilt())
    with pytest.raises(ExperimentError, match=r"'s'.*free in each bin"):
        build([with_backgrounds("threshold", STEADY, statistic="on-off")])


@pytest.mark.parametrize(
    ("name", "effect", "size"),
    [
        ("ess-csi", "threshold", 0.3), ("ess-csi", "quenching", 0.3), ("ess-ge", "threshold", 0.1),
        ("ess-si", "quenching", 0.3), ("ess-xe", "threshold", 0.2),
    ],
)  # fmt: skip
def test_a_shape_beyond_its_range_is_refused(name, effect, size):
    """Fails if a parabola through one σ may be anything at two."""
    systematic = {"name": "s", "effect": effect, "uncertainty": size}
    with pytest.raises(ExperimentError, match=rf"{name}: analysis.systematic 's' \({effect} of"):
        build([load(name, {"analysis.systematic": [systematic]})])


@pytest.mark.parametrize(
    ("effect", "size"), [("threshold", 0.03), ("quenching", 0.05), ("resolution", 0.2)]
)
def test_a_shape_at_two_standard_deviations(effect, size):
    """Fails if what is not refused is off by more than 10 % of the signal of a bin."""
    key = {"threshold": "threshold", "quenching": "energy", "resolution": "width"}[effect]
    experiment = load(
        "ess-csi", {"analysis.systematic": [{"name": "s", "effect": effect, "uncertainty": size}]}
    )
    model = build([experiment], ["strength"])
    at = {}
    for eta in (-2.0, 0.0, 2.0):
        point = model.truth.copy()
        point[model.number("s")] = eta
        at[eta] = model.counts(point) - templates(experiment).steady
    nominal = templates(experiment).signal
    for eta in (-2.0, 2.0):
        shifted = templates(experiment, Shift(**{key: (1 + size) ** eta})).signal
        ratio = sum(shifted.values()) / sum(nominal.values())
        off = np.abs(at[eta] / at[0.0] - ratio)
        assert np.all(off < 0.1 + 0.01 * at[0.0].max() / at[0.0])
        assert eta < 0 or np.abs(ratio - 1).max() > 0.05  # a lower threshold changes nothing
