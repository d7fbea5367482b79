"""A threshold has one meaning: rates, events and templates select from it on, and it alone.

Siblings of one another: efficiencies of each kind, backgrounds whose range is wider, an uncertain
threshold. The width of a resolution is no matter of the threshold.
"""

import numpy as np
import pytest
from nuspill import ExperimentError, build, generate, load
from nuspill.reco.columns import counted
from nuspill.reco.expectation import expectations, rates
from nuspill.toys.counts.template import templates
from scipy import stats

QUIET = {"background.steady.enabled": False}
WIDTHS = {"model": "table", "energy": [0.1, 2.0], "width": [0.05, 0.2]}
EFFICIENCY = {
    "table": {"model": "table", "energy": [0.05, 1.0, 3.0], "efficiency": [0.3, 0.6, 0.8]},
    "logistic": {"model": "logistic", "plateau": 0.8, "slope": 8.0, "midpoint": 0.2},
    "step": {"model": "step", "plateau": 0.8},
}
CASES = {name: QUIET | {"detector.efficiency": given} for name, given in EFFICIENCY.items()}
CASES["table in photo-electrons"] = QUIET | {
    "detector.resolution": {"model": "photoelectrons", "light_yield": 33.5},
    "detector.efficiency": {"model": "table", "energy": [2.0, 30.0], "efficiency": [0.2, 0.8]},
    "detector.region": [3.0, 200.0],
}
CASES["table in keV_ee"] = QUIET | {
    "detector.resolution": WIDTHS,
    "detector.efficiency": EFFICIENCY["table"],
}
for scale, given in (("keV_nr", [0.2, 40.0]), ("keV_ee", [0.02, 4.0]), ("reco", [0.02, 4.0])):
    CASES[f"background in {scale}"] = {
        "background": [{"name": "b", "rate": 5.0, "scale": scale, "range": given, "total": False}],
    }
CASES["true background"] = {
    "background": [{"name": "b", "rate": 5.0, "range": [0.2, 40.0], "measured": False}],
    "detector.efficiency": EFFICIENCY["table"],
}
THRESHOLDS = [0.5, 2.0, 5.0]


def experiment(case, threshold, **more):
    bins = [threshold, 2 * threshold, 4 * threshold, 46.1]
    fixed = {"detector.threshold": threshold, "analysis.edges": bins, "exposure.years": 0.3}
    return load("ess-csi", CASES[case] | fixed | more)


def selected(e):
    return sum(sum(x.selected) for x in expectations(e)) * e.exposure.years


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_selected_below_it(case):
    """Fails if `selected` of rates does not fall with the threshold (from 0.5 to 5 keV_nr)."""
    low, middle, high = (selected(experiment(case, t)) for t in THRESHOLDS)
    assert low > 1.02 * middle > 1.04 * high > 0


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("case", CASES)
def test_rates_events_and_templates_select_the_same(case, threshold):
    """Fails if one of three doors has another threshold than the others."""
    e = experiment(case, threshold)
    due = selected(e)
    events = generate(e, seed=21, years=e.exposure.years, library="np")
    chosen = events["selected"]
    assert events["e_reco_nr"][chosen].min() >= np.float32(threshold)
    assert abs(chosen.sum() - due) < 4 * np.sqrt(due)
    model = build([e], ["strength"])
    expected = model.counts(model.truth)
    on = sum(x.selected[1] for x in expectations(e)) * e.exposure.years
    assert expected.sum() == pytest.approx(on, rel=2e-3)
    at = chosen & (events["window"] == 1)
    seen = counted(events["e_reco_nr"][at], model.section(e.name).binning.energy)
    assert stats.chi2.sf(np.sum((seen - expected) ** 2 / expected), len(seen)) > 1e-3


def test_a_bin_below_the_threshold_is_empty():
    """Fails if a table of efficiencies fills bins that no event can be in."""
    found = templates(experiment("table", 5.0, **{"analysis.edges": [1.0, 3.0, 5.0, 10.0, 46.1]}))
    counts = sum(found.signal.values())
    np.testing.assert_array_equal(counts[:2], 0.0)
    assert (counts[2:] > 0).all()


@pytest.mark.parametrize("efficiency", EFFICIENCY)
def test_an_uncertain_threshold_changes_the_signal(efficiency):
    """Fails if an uncertainty of the threshold is nothing where the efficiency is a table."""
    systematic = {"name": "thr", "effect": "threshold", "uncertainty": 0.05}
    e = experiment(efficiency, 5.0, **{"analysis.systematic": [systematic]})
    model = build([e], ["strength"])
    up = model.truth.copy()
    up[model.number("thr")] = 1.0
    plain = build([experiment(efficiency, 5.25, **{"analysis.edges": [5.0, 10.0, 20.0, 46.1]})])
    np.testing.assert_allclose(model.counts(up), plain.counts(plain.truth), rtol=1e-4)
    assert model.counts(up)[0] < 0.97 * model.counts(model.truth)[0]


OWN = """
extends = "ess-csi"
name = "own"
[detector]
threshold = 2.0
resolution = { model = "sqrt", relative = 0.3 }
"""


def test_another_threshold_is_no_other_resolution(tmp_path):
    """Fails if a scan of the threshold changes σ: of what is shipped, of one's own, by replace."""
    path = tmp_path / "own.toml"
    path.write_text(OWN.replace(", relative = 0.3 }", ", relative = 0.3, reference = 2.0 }"))
    plain = tmp_path / "plain.toml"
    plain.write_text(OWN)
    inherited = tmp_path / "inherited.toml"
    inherited.write_text(OWN.split("resolution")[0])
    for name, reference in (("ess-csi", 1.0), (path, 2.0), (plain, 2.0), (inherited, 1.0)):
        for threshold in (0.0, 0.5, 4.0):
            changed = {"detector.threshold": threshold}
            for e in (load(name, changed), load(name).replace(**changed)):
                width = e.detector.recoil_sigma(10.0)
                assert width == 0.3 * np.sqrt(10.0 * reference), (name, threshold)


@pytest.mark.parametrize(
    ("name", "relative", "reference"),
    [("ess-csi", 0.3, 1.0), ("ess-ge", 0.15, 0.6), ("ess-si", 0.6, 0.16), ("ess-xe", 0.4, 0.9)],
)
def test_shipped_resolutions_are_those_of_the_paper(name, relative, reference):
    """Fails if a reference energy is not the threshold of section 3, or the width another."""
    e = load(name)
    assert e.detector.threshold == e.detector.resolution.reference == reference
    t = np.array([0.3, 1.0, 7.0])
    np.testing.assert_array_equal(e.detector.recoil_sigma(t), relative * np.sqrt(t * reference))


def test_a_reference_of_the_resolution_acts_in_events_and_templates():
    """Fails if events or templates spread by the threshold's width: four times that of σ here."""
    settings = QUIET | {
        "detector.resolution": {"model": "sqrt", "relative": 0.3, "reference": 16.0},
        "analysis.edges": [1.0, 5.0, 10.0, 20.0, 46.1],
        "exposure.years": 0.3,
    }
    e = load("ess-csi", settings)
    events = generate(e, seed=4, years=0.3, library="np")
    t = events["e_nr"].astype(float)
    far = t > 30.0
    pull = (events["e_reco_nr"] - t)[far] / (0.3 * np.sqrt(16.0 * t[far]))
    assert stats.kstest(pull, "norm").pvalue > 1e-3
    model = build([e], ["strength"])
    expected = model.counts(model.truth)
    chosen = events["selected"] & (events["window"] == 1)
    seen = counted(events["e_reco_nr"][chosen], model.section(e.name).binning.energy)
    assert stats.chi2.sf(np.sum((seen - expected) ** 2 / expected), len(seen)) > 1e-3
    assert rates(e)["selected"] * 0.3 == pytest.approx(chosen.sum(), rel=4 / chosen.sum() ** 0.5)


def test_without_threshold_and_reference():
    """Fails if a width relative to nothing is taken."""
    given = {"detector.threshold": 0.0, "detector.resolution": {"model": "sqrt", "relative": 0.3}}
    with pytest.raises(ExperimentError, match=r"above 0.*detector\.resolution\.reference"):
        load("ess-csi", given)
    given["detector.resolution"]["reference"] = 1.0
    assert load("ess-csi", given).detector.recoil_sigma(1.0) == 0.3
    with pytest.raises(ExperimentError, match=r"detector\.resolution\.reference"):
        load("ess-csi", {"detector.resolution.reference": -1.0})
