"""Effects: each says all there is to say of itself, so that a further one is a class alone."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.reco.analysis import EffectName
from nuspill.toys.construction.ensemble import Truth
from nuspill.toys.construction.event_toys import runs_at
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.effect import SYSTEMATICS, Change, Flux, MeasuredInBeamOff
from nuspill.toys.counts.model import LEAST_FACTOR, Nuisance
from nuspill.toys.counts.workspace import workspace

FEW = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]


@dataclass(frozen=True)
class FirstBin:
    """An effect that nuspill does not have: a factor on the signal of the first bin."""

    name: str = "first bin"
    acts_on: str = "signal"
    is_factor: bool = False
    has_pull: bool = True
    modifier: str | None = "histosys"

    def change(self, nominal, eta, uncertainty):
        first = np.arange(len(nominal.steady)) == 0
        return Change(nominal.signal * (eta * uncertainty) * np.where(first, 1.0, 0.0))


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
        runs_at(model, [experiment], Truth(point, model.background))


def test_bounds_and_pulls():
    """Fails if a factor may be negative, or what beam-off measures has a pull."""
    assert Nuisance("n", Flux(), 0.1).lower == pytest.approx((LEAST_FACTOR - 1) / 0.1)
    assert Nuisance("n", SYSTEMATICS["quenching"], 0.1).lower == -np.inf
    assert Nuisance("n", Flux(), 0.1).weight == 1
    assert Nuisance("n", MeasuredInBeamOff(), 0.1).weight == 0


def test_factors_of_events():
    """Fails if pulls do not act on the signal and the background of runs."""
    experiment = with_effect("flux")
    model = build([experiment])
    z = dict.fromkeys(model.names, 0.0) | {"signal": 1.0, "s": 2.0, "background.ess-csi": -3.0}
    (run,) = runs_at(model, [experiment], Truth(np.array([*z.values()]), model.background))
    ratio = experiment.source.distance / run.experiment.source.distance
    assert ratio**2 == pytest.approx(1.1 * 1.1)
    rates = [e.background[0].rate for e in (run.experiment, experiment)]
    assert rates[0] / rates[1] == pytest.approx(1 - 0.01 * 3)
