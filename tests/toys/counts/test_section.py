"""Sections: where the bins of each experiment lie, side by side and whole."""

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.toys.counts.combination import build

FEW = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]


def test_sections_of_three_statistics():
    """Fails if sections overlap, leave a bin out, or a beam-off bin lies elsewhere than told."""
    names = {"ess-csi": "on-off-scaled", "ess-si": "pulls", "ess-xe": "on-off"}
    experiments = [
        load(name, {"analysis.statistic": statistic, "analysis.edges": FEW})
        for name, statistic in names.items()
    ]
    model = build(experiments)
    assert [s.name for s in model.sections] == list(names)
    taken = [part for s in model.sections for part in (s.on, s.off) if part is not None]
    bins = np.concatenate([np.arange(model.bins)[part] for part in taken])
    np.testing.assert_array_equal(bins, np.arange(model.bins))
    assert [s.off is not None for s in model.sections] == [True, False, False]
    for section, experiment in zip(model.sections, experiments, strict=True):
        np.testing.assert_array_equal(section.binning.energy, FEW)
        alone = build([experiment])
        own = alone.section(section.name)
        counts, expected = model.asimov().counts[0], alone.asimov().counts[0]
        np.testing.assert_array_equal(counts[section.on], expected[own.on])
        if section.off is not None:
            np.testing.assert_array_equal(counts[section.off], expected[own.off])


def test_one_detector_at_three_settings():
    """Fails if the background of a detector at other settings has another pull than its own."""
    settings = {"analysis.statistic": "on-off-scaled"}
    chambers = [load("ess-ar", {"detector.threshold": t, **settings}) for t in (0.1, 0.5, 1.0)]
    model = build(chambers)
    assert [s.name for s in model.sections] == ["ess-ar", "ess-ar#2", "ess-ar#3"]
    assert model.names == ("signal", "background.ess-ar")
    named = [c.replace(**{"analysis.background_pull": "argon"}) for c in chambers]
    assert build(named).names == ("signal", "background.argon")


def test_no_counts_in_beam_off():
    """Fails if a beam-off bin that expects nothing is kept."""
    settings = {"analysis.statistic": "on-off-scaled", "background.steady.enabled": False}
    with pytest.raises(ExperimentError, match="ess-csi: beam-off expects 0 counts"):
        build([load("ess-csi", {"analysis.edges": FEW, **settings})])
