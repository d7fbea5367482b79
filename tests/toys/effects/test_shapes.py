"""Shapes of components: energy scale, quenching, efficiency, times, and any pair of templates."""

import numpy as np
import pytest
from nuspill import ExperimentError, build, load
from nuspill.toys.counts.template import templates

REGION = {"detector.region": [5.0, 60.0]}
EDGES = [5.0, 8.0, 12.0, 20.0, 40.0, 60.0]
FLAT = {"name": "flat", "scale": "reco", "rate": 0.2, "range": [2.0, 80.0]}
FALLING = {
    "name": "falling", "timing": "prompt", "scale": "reco", "rate": 0.2, "range": [2.0, 80.0],
    "spectrum": {"model": "exponential", "length": 9.0},
}  # fmt: skip
RECOILS = {
    "name": "recoils", "timing": "prompt", "rate": 0.3, "range": [0.0, 50.0], "measured": False,
}  # fmt: skip
SETTINGS = {
    "analysis.edges": EDGES,
    "analysis.signal_uncertainty": 0.0,
    "detector.efficiency": {"model": "step"},
    "detector.threshold": 3.0,
    "background": [FLAT, FALLING, RECOILS],
    **REGION,
}
TIMES = [
    {"name": "energy", "edges": [5.0, 12.0, 60.0]},
    {"name": "time", "edges": [0.0, 400.0, 800.0, 1200.0, 2000.0, 6000.0]},
]


def experiment(effect, on=None, statistic="pulls", **given):
    """The CsI of 2017 with one systematic, `s`."""
    systematic = {"name": "s", "effect": effect} | ({"on": on} if on else {})
    keys = {"uncertainty", "change", "up", "down", "efficiency_up", "efficiency_down"}
    systematic |= {key: value for key, value in given.items() if key in keys}
    rest = {key: value for key, value in given.items() if key not in keys}
    own = {"analysis.systematic": [systematic], "analysis.statistic": statistic}
    return load("sns-csi-2017", SETTINGS | own | rest)


def counts(e, eta):
    """Counts in beam-on of each component at a value of the systematic."""
    model = build([e])
    point = model.truth.copy()
    point[model.number("s")] = eta
    return {c.name: c.on.at(point) for c in model.components}


def flat(low, high):
    low, high = (np.clip(x, 2.0, 80.0) for x in (low, high))
    return (high - low) / 78.0


def falling(low, high):
    low, high = (np.clip(x, 2.0, 80.0) - 2.0 for x in (low, high))
    return (np.exp(-low / 9.0) - np.exp(-high / 9.0)) / -np.expm1(-78.0 / 9.0)


@pytest.mark.parametrize("eta", [-1.0, 1.0])
def test_the_energy_scale_of_measured_backgrounds(eta):
    """Fails if a background's energies are not multiplied, or another component's are."""
    e = experiment("energy scale", ["flat", "falling"], uncertainty=0.03)
    nominal, moved = counts(e, 0.0), counts(e, eta)
    low, high = (np.array(x) / 1.03**eta for x in (EDGES[:-1], EDGES[1:]))
    low0, high0 = np.array(EDGES[:-1]), np.array(EDGES[1:])
    # e_reco is a whole number of photo-electrons: an edge lies half of one below
    half = [(x - 0.5 / 1.03**eta, y - 0.5 / 1.03**eta) for x, y in zip(low, high, strict=True)]
    half[-1] = (half[-1][0], 60.5 / 1.03**eta)
    half0 = [(x - 0.5, y - 0.5) for x, y in zip(low0, high0, strict=True)]
    half0[-1] = (half0[-1][0], 60.5)
    for name, part in (("flat", flat), ("falling", falling)):
        due = np.array([part(*ends) for ends in half]) / [part(*ends) for ends in half0]
        due[-1] = moved[name][-1] / nominal[name][-1]  # its end is tested below
        np.testing.assert_allclose(moved[name] / nominal[name], due, rtol=1e-9)
    for name in ("signal", "recoils"):
        np.testing.assert_array_equal(moved[name], nominal[name])
    last = falling(40.0 / 1.03**eta, 60.0 / 1.03**eta) / falling(40.0, 60.0)
    assert moved["falling"][-1] / nominal["falling"][-1] == pytest.approx(last, rel=0.02)


def other(e, **settings):
    """Counts of an experiment with other settings, by component."""
    model = build([e.replace(**settings | {"analysis.systematic": []})])
    return {c.name: c.on.at(model.truth) for c in model.components}


@pytest.mark.parametrize("eta", [-1.0, 1.0])
def test_recoils_of_a_background_have_the_response_of_the_signal(eta):
    """Fails if what is smeared is smeared by another response than an experiment with it."""
    e = experiment("energy scale", ["signal", "recoils"], uncertainty=0.04)
    moved = counts(e, eta)
    due = other(e, **{
        "detector.quenching": {"model": "constant", "factor": 0.0878 * 1.04**eta},
        "detector.threshold": 1e-3,  # in keV_nr, so that it would move
    })  # fmt: skip
    for name in ("signal", "recoils"):
        np.testing.assert_allclose(moved[name], due[name], rtol=2e-3)


@pytest.mark.parametrize("eta", [-1.0, 1.0])
def test_quenching_parameters(eta):
    """Fails if an eigen-variation is another quenching, or acts on threshold and bins."""
    coefficients = np.array([0.0554628, 4.30681, -111.707, 840.384])
    change = np.array([-5e-5, -0.37084, 18.60, -210.3])
    quenching = {"model": "polynomial", "coefficients": coefficients.tolist()}
    slow = [FLAT | {"range": [2.0, 30.0]}]
    e = experiment("quenching parameters", change={"coefficients": change.tolist()},
                   **{"detector.quenching": quenching, "background": slow})  # fmt: skip
    changed = {"model": "polynomial", "coefficients": (coefficients + eta * change).tolist()}
    due = other(e, **{"detector.quenching": changed, "detector.threshold": 1e-3})
    moved, nominal = counts(e, eta), counts(e, 0.0)
    np.testing.assert_allclose(moved["signal"], due["signal"], rtol=2e-3)
    assert np.abs(moved["signal"] / nominal["signal"] - 1).max() > 0.01
    np.testing.assert_array_equal(moved["flat"], nominal["flat"])


def test_the_k_of_lindhard():
    """Fails if a number of a quenching model is no parameter."""
    e = load("ess-ge", {
        "detector.quenching": {"model": "lindhard", "z": 32.0, "a": 72.6, "k": 0.162},
        "analysis.systematic": [
            {"name": "k", "effect": "quenching parameters", "change": {"k": 0.004}}
        ],
        "analysis.scale": "reco", "analysis.edges": [0.2, 0.4, 0.8, 2.0, 6.0],
    })  # fmt: skip
    model = build([e])
    point = model.truth.copy()
    point[model.number("k")] = 1.0
    (signal,) = (c.on for c in model.components if c.name == "signal")
    lindhard = {"detector.quenching.k": 0.166, "analysis.systematic": []}
    up = build([e.replace(**lindhard, **{"detector.threshold": e.detector.threshold * 0.9})])
    (due,) = (c.on for c in up.components if c.name == "signal")
    np.testing.assert_allclose(signal.at(point)[1:], due.at(up.truth)[1:], rtol=2e-3)


@pytest.mark.parametrize("statistic", ["pulls", "on-off-scaled"])
def test_efficiency_between_curves(statistic):
    """Fails if a curve is not that of one standard deviation, or acts on what is measured."""
    curve = {"model": "logistic", "slope": 0.5, "midpoint": 10.0}
    middle, up, down = (curve | {"plateau": p} for p in (0.7, 0.8, 0.65))
    e = experiment("efficiency", ["signal", "recoils"], statistic, efficiency_up=up,
                   efficiency_down=down, **{"detector.efficiency": middle})  # fmt: skip
    nominal = counts(e, 0.0)
    for eta, factor in ((-1.0, 0.65 / 0.7), (0.5, 1 + (0.5 * 0.075 + 0.25 * 0.025) / 0.7),
                        (1.0, 0.8 / 0.7)):  # fmt: skip
        moved = counts(e, eta)
        for name, due in nominal.items():
            own = factor if name in {"signal", "recoils"} else 1.0
            np.testing.assert_allclose(moved[name], own * due, rtol=1e-9)


@pytest.mark.parametrize(("effect", "size"), [("time shift", 20.0), ("time width", 0.04)])
@pytest.mark.parametrize("window", [{}, {"detector.time_efficiency":
    {"model": "exponential", "start": 520.0, "rate": 0.0494}}])  # fmt: skip
@pytest.mark.parametrize("eta", [-1.0, 1.0])
def test_times(effect, size, window, eta):
    """Fails if times are not those of an experiment whose pulse is another, in bins of time."""
    ends, sigma = np.array([100.0, 700.0]), 60.0
    own = {"source.pulse_shape": {"time": ends.tolist(), "intensity": [1.0, 1.0]},
           "detector.time_resolution": sigma, "windows.on_length": 6000.0,
           "analysis.axes": TIMES, "analysis.edges": None}  # fmt: skip
    e = experiment(effect, ["signal", "falling"], uncertainty=size, **own, **window)
    moved, nominal = counts(e, eta), counts(e, 0.0)
    if effect == "time shift":
        ends = ends + eta * size
    else:
        ends, sigma = 400 + (ends - 400) * 1.04**eta, sigma * 1.04**eta
    pulse = {"time": ends.tolist(), "intensity": [1.0, 1.0]}
    shifted = {"source.pulse_shape": pulse, "detector.time_resolution": sigma}
    due = other(e, **shifted)
    for name in ("signal", "falling"):
        np.testing.assert_allclose(moved[name], due[name], rtol=1e-6)
        assert np.any(np.abs(moved[name] - nominal[name]) > 0.003 * nominal[name])
    np.testing.assert_array_equal(moved["recoils"], nominal["recoils"])


@pytest.mark.parametrize("sigma", [2.3e-309, 1e-200, 1e-7])
def test_a_time_resolution_next_to_none(sigma):
    """Fails if a resolution that is none overflows, or moves counts."""
    own = {"analysis.axes": TIMES, "analysis.edges": None, "windows.on_length": 6000.0}
    none, least = (
        templates(load("sns-csi-2017", SETTINGS | own | {"detector.time_resolution": s}))
        for s in (0.0, sigma)
    )
    np.testing.assert_array_equal(least.beam, none.beam)
    for key, counts_on in none.signal.items():
        np.testing.assert_array_equal(least.signal[key], counts_on)


@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
def test_times_without_an_axis_of_time(statistic):
    """Fails if what leaves beam-on, or comes in beam-off, is forgotten without bins of time."""
    beam = FALLING | {"timing": "delayed", "delay": 3000.0, "rate": 1.0}
    own = {"background": [FLAT, beam], "windows.off_start": 6500.0}
    e = experiment("time shift", ["falling"], statistic, uncertainty=300.0, **own)
    later = e.replace(**{"background.falling.delay": 3300.0, "analysis.systematic": []})
    before, after = (templates(x).backgrounds["falling"] for x in (e, later))
    assert before.off.sum() > 0.01 * before.on.sum()
    model = build([e], ["strength"])
    point = model.truth.copy()
    point[model.number("s")] = 1.0
    (on,) = (c.on for c in model.components if c.name == "falling")
    np.testing.assert_allclose(on.at(point), after.on, rtol=1e-3)
    bins = len(after.on)
    if statistic == "on-off":
        off = model.tau * (model.background_at(point) - model.background)
        np.testing.assert_allclose(off, after.off - before.off, rtol=1e-2)
    elif statistic == "on-off-scaled":
        off = (model.counts(point) - model.counts(model.truth))[bins]
        assert off == pytest.approx((after.off - before.off).sum(), rel=1e-2)


@pytest.mark.parametrize("radius", [5.05, {"Cs": 5.09, "I": 5.03}])
def test_the_radius_of_the_neutrons(radius):
    """Fails if another radius is not that of the interaction, or moves those of the protons."""
    own = {"interaction.neutron_radius": radius, "interaction.proton_radius": 4.8}
    e = experiment("radius", uncertainty=0.05, **own)
    up = {n: 1.05 * r for n, r in radius.items()} if isinstance(radius, dict) else 1.05 * radius
    moved, due = counts(e, 1.0), other(e, **{"interaction.neutron_radius": up})
    np.testing.assert_allclose(moved["signal"], due["signal"], rtol=1e-9)
    assert np.all(moved["signal"] < 0.99 * counts(e, 0.0)["signal"])


@pytest.mark.parametrize("name", ["signal", "flat", "falling"])
def test_any_pair_of_templates(name):
    """Fails if the pair is not met at one standard deviation, or counts fall below zero."""
    up, down = np.array([1.3, 1.0, 0.9, 0.5, 2.0]), np.array([0.8, 1.1, 1.1, 1.6, 0.0])
    e = experiment("templates", [name], up=up.tolist(), down=down.tolist())
    nominal = counts(e, 0.0)
    for eta, factor in ((-1.0, down), (1.0, up)):
        moved = counts(e, eta)
        for own, due in nominal.items():
            np.testing.assert_allclose(moved[own], due * (factor if own == name else 1), atol=1e-9)
    for eta in np.linspace(-8, 8, 33):
        assert np.all(counts(e, eta)[name] >= -1e-9 * nominal[name].sum())


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (("energy scale", ["flat"], {"uncertainty": 0.4}), r"scale of 0.4\) on 'flat': at"),
        (("radius", None, {"uncertainty": 0.05}), "give interaction.neutron_radius"),
        (("radius", ["falling"], {"uncertainty": 0.05}), "a background has no nuclear radius"),
        (("resolution", ["flat"], {"uncertainty": 0.1}), "'flat' are as measured"),
        (("efficiency", ["flat"], {"efficiency_up": {"model": "step"},
          "efficiency_down": {"model": "step", "plateau": 0.9}}), "'flat' are as measured"),
        (("time shift", ["flat"], {"uncertainty": 10.0}), "what is steady has no arrival times"),
        (("templates", ["flat"], {"up": [1.0], "down": [1.0]}), "up has 1 factors.*are 5 bins"),
        (("quenching parameters", None, {"change": {"k": 0.1}}), "'constant' has k = None"),
        (("quenching parameters", None, {"change": {"factor": [0.1, 0.2]}}), "must be as many"),
        (("templates", None, {"up": [1.0] * 5, "down": [-1.0] * 5}), "down.*greater than or equal"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(given, parts):
    """Fails if a shape that a component does not have is taken, or without naming it."""
    effect, on, settings = given
    with pytest.raises(ExperimentError, match=parts):
        build([experiment(effect, on, **settings)])
