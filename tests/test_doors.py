"""One world behind every door: rates, events, templates and fits of random configurations agree."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nuspill import ExperimentError, build, generate, load
from nuspill.reco.expectation import expectations
from nuspill.toys.counts.model import Data
from nuspill.toys.fit.search import search

EVENTS = 12_000
CONFIGURATIONS = 200
BASES = ("ess-csi", "ess-ar", "ess-ge", "ess-si", "ess-xe", "ess-c3f8", "sns-csi-2017")


def some(draw, **choices):
    """A third of the settings, each drawn."""
    return {
        key.replace("__", "."): draw(choice)
        for key, choice in choices.items()
        if draw(st.integers(0, 2)) == 0
    }


def number(low, high):
    return st.floats(low, high, allow_nan=False)


@st.composite
def efficiencies(draw, base):
    """A step, or a logistic function or a table in the detector's own unit."""
    detector = load(base).detector
    low, high = detector.reconstructed([detector.threshold, 8 * detector.threshold + 5]).tolist()
    kind = draw(st.sampled_from(["step", "logistic", "table"]))
    plateau = draw(number(0.3, 1.0))
    if kind == "step":
        return {"model": "step", "plateau": plateau}
    if kind == "logistic":
        middle = draw(number(low, high))
        return {
            "model": "logistic", "plateau": plateau, "midpoint": middle,
            "slope": draw(number(1, 8)) / (high - low),
            "offset": -plateau * draw(st.sampled_from([0.0, 0.1, 0.3])),
        }  # fmt: skip
    points = np.linspace(low / 2, high, 5) * draw(number(0.8, 1.2))
    return {
        "model": "table", "energy": points.tolist(),
        "efficiency": [draw(number(0.0, 1.0)) for _ in points],
    }  # fmt: skip


@st.composite
def axes(draw, base, chosen):
    """Axes of counts: energy as the experiment has it and time, one of them, or none."""
    named = {"energy": {"name": "energy"}}
    experiment = load(base, chosen)
    if experiment.detector.time_resolution != "exposure":
        w = experiment.beam_windows
        inside = draw(st.lists(number(0.3, 0.6), max_size=4))
        parts = [draw(number(0.0, 0.2)), *inside, draw(number(0.7, 1.0))]
        edges = np.unique(w.on_start + np.array(parts) * w.on_length)
        named["time"] = {"name": "time", "edges": edges.tolist()}
    names = draw(st.lists(st.sampled_from(sorted(named)), max_size=2, unique=True))
    return [named[name] for name in names]


@st.composite
def times_kept(draw, windows):
    """An efficiency in time, falling from somewhere in beam-on or by a table."""
    start, length = windows.on_start, windows.on_length
    if draw(st.booleans()):
        falls = {
            "start": start + draw(number(0, 1)) * length,
            "rate": draw(number(0.2, 5)) / length,
        }
        return {"model": "exponential"} | falls
    points = start + length * np.linspace(0, 1, 4) * draw(number(0.5, 1.5))
    return {
        "model": "table", "time": points.tolist(),
        "efficiency": [draw(number(0.1, 1.0)) for _ in points],
    }  # fmt: skip


@st.composite
def gammas(draw, detector):
    """A gamma resolution in the unit that the detector has."""
    if detector.unit == "PE":
        return {"model": "gamma", "light_yield": detector.per_kev, "b": draw(number(3.0, 30.0))}
    threshold = float(detector.electron_equivalent(detector.threshold))
    return {
        "model": "table", "energy": [threshold, 10 * threshold], "distribution": "gamma",
        "width": [draw(number(0.1, 0.6)) * threshold, draw(number(0.6, 2.0)) * threshold],
    }  # fmt: skip


@st.composite
def configurations(draw):
    """An experiment with other settings of source, windows, detector, backgrounds and statistic.

    Counts are of energy, of time, or of both.
    """
    base = draw(st.sampled_from(BASES))
    own = load(base)
    period = own.source.period
    chosen = some(
        draw,
        source__power=number(0.5, 6.0),
        source__distance=number(12.0, 40.0),
        source__hours_per_year=number(1000.0, 8000.0),
        source__repetition=number(8.0, 20.0),
        source__pulse_width=number(1e2, 3e6),
        windows__on_start=number(-1e4, 2e6),
        windows__on_length=number(1e4, 0.3 * period),
        windows__off_ratio=number(0.3, 4.0),
        detector__threshold=number(0.6, 6.0).map(lambda x: x * own.detector.threshold),
        detector__dead_time=number(0.0, 0.4),
        detector__time_resolution=number(0.0, 3e4),
        detector__efficiency=efficiencies(base),
        detector__time_efficiency=times_kept(own.beam_windows),
        detector__resolution=gammas(own.detector),
    )
    steady = {"name": "steady", "rate": draw(number(0.01, 3.0))}
    extra = {
        "name": "beam",
        "timing": draw(st.sampled_from(["prompt", "delayed", "steady"])),
        "rate": draw(number(0.001, 0.1)),
    }
    if extra["timing"] != "steady" and draw(st.booleans()):
        extra["uncertainty"] = draw(number(0.05, 0.5))
    chosen["background"] = [steady, extra] if draw(st.booleans()) else [steady]
    chosen["analysis.statistic"] = draw(st.sampled_from(["pulls", "on-off", "on-off-scaled"]))
    chosen["analysis.signal_uncertainty"] = draw(st.sampled_from([0.0, 0.05, 0.2]))
    try:
        chosen["analysis.axes"] = draw(axes(base, chosen))
    except ExperimentError:
        assume(False)
    return base, chosen


def exposed(base, chosen):
    """The experiment with years for about EVENTS events."""
    experiment = load(base, chosen)
    a_year = sum(e.total for e in expectations(experiment))
    return experiment.replace(**{"exposure.years": EVENTS / a_year})


def deviations(experiment, events):
    """Of the selected events of each component and window, in standard deviations."""
    years = experiment.exposure.years
    result = []
    for e in expectations(experiment):
        for window in (1, 2):
            due = e.selected[window] * years
            own = (events["component"] == e.component) & (events["window"] == window)
            seen = np.count_nonzero(own & events["selected"])
            if due > 20:
                result.append((seen - due) / np.sqrt(due))
            else:
                assert seen < due + 6 * np.sqrt(due + 1)
    return result


def observed(experiment, model, events):
    """Selected events in the bins of a model of one experiment."""
    (section,) = model.sections
    on, off = (section.binning.seen(events, window) for window in (1, 2))
    counts, beside = np.zeros((1, model.bins)), np.zeros((1, model.bins))
    counts[0, section.on] = on
    if section.off is not None:
        counts[0, section.off] = off.sum()
    if model.tau.any():
        beside[0, section.on] = off
    return Data(counts, beside, np.zeros((1, model.variables)))


def strength(model, data):
    """Signed root of q of a strength of 1."""
    free = search(model).fit(data, model.truth[None])
    held = search(model, ["strength"]).fit(data, model.truth[None])
    assert not free.status[0]
    assert not held.status[0]
    q = max(held.chi2[0] - free.chi2[0], 0.0)
    return np.sign(free.values[0, 0] - 1) * np.sqrt(q)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::nuspill.Notice")
def test_doors_agree():
    """Fails if rates, events, templates and fits of 200 configurations have a bias beyond 3 σ.

    Also if one of them is off by 5.5 σ in the events of a component in a window, in those of all
    bins, or in the strength of the signal.
    """
    by_rates, by_templates, roots = [], [], []

    @settings(
        max_examples=CONFIGURATIONS, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(configurations())
    def check(configuration):
        try:
            experiment = exposed(*configuration)
            model = build([experiment], ["strength"])
        except ExperimentError:
            assume(False)
        events = generate(experiment, seed=len(roots) + 1, library="np")
        z = deviations(experiment, events)
        assert np.abs(z).max(initial=0.0) < 5.5, z
        data = observed(experiment, model, events)
        due = model.counts(model.truth).sum()
        total = (data.counts.sum() - due) / np.sqrt(due)
        assert abs(total) < 5.5
        root = strength(model, data)
        assert abs(root) < 5.5
        by_rates.extend(z)
        by_templates.append(total)
        roots.append(root)

    check()
    assert len(roots) >= CONFIGURATIONS
    for values in (by_rates, by_templates, roots):
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
        assert np.std(values) < 1 + 3 / np.sqrt(2 * len(values))


def test_a_door_that_disagrees_is_seen():
    """Fails if a bias of a fifth in one door would pass."""
    experiment = load("ess-csi", {"exposure.years": 1.0})
    events = generate(experiment, seed=3, library="np")
    other = experiment.replace(**{"source.distance": 22.0})
    assert np.abs(deviations(experiment, events)).max() < 5.5
    assert np.abs(deviations(other, events)).max() > 5.5
