"""Weights to other couplings: what a sample does not hold is refused, what counts little told."""

import numpy as np
import pytest
from nuspill import ExperimentError, load, plan
from nuspill.generator.rate import above
from nuspill.reco.chain.weight import MOST_LOST

NO_BACKGROUND = {"background.steady.enabled": False}


def run_of(name, sample, model, **length):
    settings = {f"interaction.{key}": value for key, value in sample.items()}
    weights = {"w": {f"interaction.{key}": value for key, value in model.items()}}
    return plan(load(name, settings | NO_BACKGROUND), 7, weights=weights, **length)


def carbon():
    """ε^u_ee at which electron neutrinos do not see carbon: Z (g_p + 2ε) + N (g_n + ε) = 0."""
    g_p = 0.5 - 2 * load("ess-c3f8").interaction.sin2w
    return (0.5 - g_p) / 3


@pytest.mark.parametrize(
    ("name", "sample", "model", "place"),
    [
        ("ess-csi", {"nsi.u.ee": 0.2}, {"nsi.u.ee": 0.0}, "nue on Cs133, nue on I127"),
        ("ess-csi", {"nsi.u.ee": 0.2}, {"nsi.u.ee": 0.5}, "nue on"),
        ("ess-csi", {"nsi.u.ee": 0.2}, {"nsi.u.ee": 0.2, "moment.nue": 50.0}, "nue on"),
        ("ess-c3f8", {"nsi.u.ee": carbon()}, {"nsi.u.ee": 0.0}, "nue on C12"),
    ],
)
def test_what_a_sample_does_not_hold_is_refused(name, sample, model, place):
    """Fails if a sample is weighed to a rate of which its own couplings leave nothing.

    Its weights sum to 160 200 ± 405 where 235 074 events are true (the first, of 160 000 events).
    """
    with pytest.raises(ExperimentError, match=f"weight 'w': .*{place}"):
        run_of(name, sample, model, years=1.0)


def test_the_sum_of_the_weights():
    """Fails if what is refused is not what the sum of the weights lacks, by quadrature."""
    experiment = load("ess-csi", {"interaction.nsi.u.ee": 0.2})
    run = plan(experiment, events=160_200)
    run = type(run)(run.experiment, 1, run.pulses, None, False, {"w": load("ess-csi").interaction})
    (found,) = run.reweightings
    low, years = run.truth_threshold, run.years
    true = sum(above(c, low) for c in load("ess-csi").channels) * years
    assert found.wanted == pytest.approx(true, rel=1e-4)
    assert found.wanted == pytest.approx(235_074, rel=2e-3)
    assert (1 - found.lost) * true == pytest.approx(160_200, rel=5e-3)


@pytest.mark.parametrize("years", [1e-5, 3.0, 300.0])
@pytest.mark.parametrize(
    "model",
    [{"nsi.u.ee": 0.2}, {"moment.numu": 2000.0}, {"moment.nue": 50.0}, {"nsi.u.ee": 0.0}],
)
def test_what_a_sample_holds_is_not_refused(model, years):
    """Fails if short runs, or weights that are large where there are events, are refused."""
    (found,) = run_of("ess-csi", {}, model, years=years).reweightings
    assert found.lost <= MOST_LOST


@pytest.mark.parametrize("model", [{"moment.nue": 30.0}, {"nsi.u.ee": 0.6}, {"nsi.u.mumu": 0.2}])
def test_the_effective_number(model):
    """Fails if the expected (Σw)²/Σw² is not that of the weights of 2e4 events, within 10 %."""
    run = run_of("ess-csi", {}, model, events=20_000)
    weight = run.make(0, run.events)["weight_w"].astype(float)
    (found,) = run.reweightings
    assert weight.sum() == pytest.approx(found.wanted, abs=5 * np.sqrt(np.sum(weight**2)))
    assert weight.sum() ** 2 / np.sum(weight**2) == pytest.approx(found.effective, rel=0.1)


def test_the_same_model_counts_in_full():
    """Fails if events that weigh one do not all count."""
    (found,) = run_of("ess-csi", {}, {"nsi.u.ee": 0.0}, years=1.0).reweightings
    assert found.effective == pytest.approx(found.events)
    assert found.warning() is None


def test_warning_of_the_command(nuspill, tmp_path):
    """Fails if `generate --weight` does not warn of weights by which few events count."""

    def generate(coupling):
        settings = ["--set", f"interaction.nsi.u.ee={coupling}", "--years", "3"]
        out = tmp_path / f"{coupling}.root"
        status, _, errors = nuspill(
            "generate", "ess-csi", *settings, "--weight", "w:nsi.u.ee=0", "-o", out
        )
        return status, errors

    assert generate(0.1) == (0, "")
    status, errors = generate(0.17)
    assert status == 0
    assert "warning: weight 'w': of 1.877e+04 expected signal events only 1.82e+03" in errors
    status, errors = generate(0.2)
    assert status == 2
    assert len(errors.splitlines()) == 1
    assert "nue on Cs133" in errors
    assert not (tmp_path / "0.2.root").exists()
