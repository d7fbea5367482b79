"""Counts in energy and time: templates against events of the generator, in both windows."""

import numpy as np
import pytest
from nuspill import generate, load
from nuspill.reco.expectation import expectations
from nuspill.toys.counts.template import templates
from scipy import stats

EVENTS = 300_000
ENERGY = [1.0, 2.0, 4.0, 8.0, 46.1]
PULSE = {"time": [0, 150, 300, 420, 500, 640, 900], "intensity": [0, 2, 6, 8, 7, 2, 0]}
STEADY = {"name": "steady", "rate": 0.05}


def axes(time, energy=ENERGY):
    """Settings of both axes."""
    return {"analysis.axes": [{"name": "time", "edges": time}, {"name": "energy", "edges": energy}]}


CASES = {
    "ESS": ("ess-csi", axes([0.0, 2e3, 1e4, 1e6, 2.8e6, 2.802e6, 2.81e6])),
    "ESS, time resolution": (
        "ess-csi",
        axes([-5e4, -1e4, 0.0, 1e4, 5e4, 2.75e6, 2.8e6, 2.85e6, 2.9e6])
        | {"detector.time_resolution": 2e4, "windows.on_start": -1e5, "windows.on_tail": 1e5},
    ),
    "SNS, flat pulse": (
        "ess-csi",
        axes([0.0, 500.0, 1000.0, 1500.0, 2500.0, 6000.0])
        | {"source.repetition": 60.0, "source.power": 1.4, "source.pulse_width": 1000.0,
           "source.window": 1e4},
    ),
    "SNS, tabulated pulse, beam-off after the pulse": (
        "ess-csi",
        axes([0.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 4000.0])
        | {"source.repetition": 60.0, "source.power": 1.4, "source.window": 4000.0,
           "source.pulse_shape": PULSE, "detector.time_resolution": 60.0,
           "windows.off_start": 4500.0, "windows.off_ratio": 2.5},
    ),
    "beam-off before the pulse": (
        "ess-csi",
        axes([-1000.0, 0.0, 700.0, 2000.0, 5000.0])
        | {"source.repetition": 60.0, "source.power": 1.4, "source.window": 5000.0,
           "source.pulse_shape": PULSE, "detector.time_resolution": 400.0,
           "windows.on_start": -1000.0, "windows.off_start": -4000.0, "windows.off_ratio": 0.45},
    ),
    "steady source": (
        "ess-csi", axes([0.0, 1e5, 7e5, 2e6]) | {"source.steady": True, "windows.off_ratio": 3.0}
    ),
}  # fmt: skip
BACKGROUNDS = [
    STEADY,
    {"name": "prompt neutrons", "timing": "prompt", "delay": 300.0, "rate": 0.02},
    {"name": "delayed neutrons", "timing": "delayed", "delay": -100.0, "rate": 0.02},
    {"name": "others", "timing": "table", "delay": 200.0, "rate": 0.03,
     "profile": {"time": [-300, 200, 900, 5000, 12000], "intensity": [0, 5, 1, 3, 0]}},
    {"name": "late", "timing": "table", "rate": 3.0,
     "profile": {"time": [0, 4e7, 1e8, 2e8], "intensity": [1, 5, 1, 3]}},
]  # fmt: skip


def sampled(name, settings, events=EVENTS):
    """An experiment with years for so many events, its templates and its events."""
    experiment = load(name, settings)
    a_year = sum(sum(e.selected) for e in expectations(experiment))
    experiment = experiment.replace(**{"exposure.years": events / a_year})
    return experiment, templates(experiment), generate(experiment, seed=77, library="np")


def goodness(seen, due):
    """Probability of a worse χ², bins of few counts taken together; 1 where there are none."""
    few = due < 10
    seen, due = (np.append(x[~few], x[few].sum()) for x in (seen, due))
    if due[-1] < 10:
        assert seen[-1] < due[-1] + 6 * np.sqrt(due[-1] + 1)
        seen, due = seen[:-1], due[:-1]
    if not len(due):
        return 1.0
    return stats.chi2.sf(np.sum((seen - due) ** 2 / due), len(seen))


def by_flavour(experiment, counts):
    """Signal of templates by component."""
    from nuspill.generator.coupling import structure_couplings

    total = {}
    for (flavour, _, structure), values in counts.items():
        coupling = structure_couplings(experiment.interaction, flavour)[structure]
        total[flavour] = total.get(flavour, 0.0) + coupling * values
    return total


@pytest.mark.parametrize("case", CASES)
def test_events_lie_in_the_bins_of_the_templates(case):
    """Fails if a flavour's events in energy × time differ from its templates, in either window."""
    name, settings = CASES[case]
    experiment, found, events = sampled(name, settings | {"background": [STEADY]})
    for window, counts in ((1, found.signal), (2, found.signal_off)):
        for flavour, due in by_flavour(experiment, counts).items():
            (number,) = (k for k, v in experiment.components.items() if v == flavour)
            seen = found.binning.seen(events, window, events["component"] == number)
            assert goodness(seen, due) > 1e-3, (window, flavour)
    steady = found.steady
    for window, due in ((1, steady), (2, found.tau * steady)):
        seen = found.binning.seen(events, window, events["component"] == 10)
        assert goodness(seen, due) > 1e-3, window


@pytest.mark.parametrize("case", [c for c in CASES if c != "steady source"])
def test_beam_backgrounds_lie_in_the_bins_of_the_templates(case):
    """Fails if backgrounds that come with the beam differ, delayed or of a profile, in a window."""
    name, settings = CASES[case]
    _, found, events = sampled(name, settings | {"background": BACKGROUNDS})
    own = (events["component"] > 10) & (events["component"] < 20)
    assert goodness(found.binning.seen(events, 1, own), found.beam) > 1e-3
    assert goodness(found.binning.seen(events, 2, own), found.beam_off) > 1e-3
    if "beam-off after" in case:
        assert found.beam_off.sum() > 0.01 * found.beam.sum()


def test_every_component_of_csi_2021():
    """Fails if a flavour or background of sns-csi-2021 is not binned as its events, in a window.

    Its times have a measured pulse, a resolution and efficiencies of their own.
    """
    experiment, found, events = sampled("sns-csi-2021", {}, 100_000)
    for window, counts in ((1, found.signal), (2, found.signal_off)):
        due = by_flavour(experiment, counts)
        due |= {n: c.on if window == 1 else c.off for n, c in found.backgrounds.items()}
        for number, name in experiment.components.items():
            seen = found.binning.seen(events, window, events["component"] == number)
            assert goodness(seen, due[name]) > 1e-3, (window, name)
