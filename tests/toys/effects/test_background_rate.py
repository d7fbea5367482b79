"""Rates of backgrounds and of the signal: each its uncertainty, by any of three distributions."""

import numpy as np
import pytest
from nuspill import ExperimentError, Notice, build, load
from nuspill.toys.construction.ensemble import Truth
from nuspill.toys.construction.event_toys import sources_at
from nuspill.toys.counts.model import LEAST_FACTOR, Data, Nuisance
from nuspill.toys.counts.template import templates
from nuspill.toys.fit.search import search

STEADY = {"name": "steady", "rate": 5.0}
NEUTRONS = {"name": "neutrons", "timing": "prompt", "rate": 0.3, "uncertainty": 0.25}
LATE = {"name": "late", "timing": "delayed", "rate": 0.1, "delay": 2e5, "uncertainty": 0.35}
SETTINGS = {
    "background": [STEADY, NEUTRONS, LATE],
    "analysis.edges": [1.0, 2.0, 4.0, 8.0, 16.0, 46.1],
    "windows.on_start": 1e6,
    "windows.on_length": 1.5e6,
    "windows.off_start": 2.7e6,
}
"""Both windows in the pulse, so that beam-off holds signal and both of the beam's backgrounds."""


def experiment(name="ess-csi", **settings):
    return load(name, SETTINGS | settings)


def rate(on, **settings):
    return {"analysis.systematic": [{"name": "s", "effect": "rate", "on": on, **settings}]}


def at(model, **values):
    point = model.truth.copy()
    for name, value in values.items():
        point[model.number(name)] = value
    return point


@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
def test_each_background_has_its_own_rate(statistic):
    """Fails if an uncertainty acts on another background, or beam-off keeps its counts."""
    e = experiment(**{"analysis.statistic": statistic})
    model, counts = build([e], ["strength"]), templates(e)
    nominal = {c.name: c.on.at(model.truth) for c in model.components}
    for name, size in (("neutrons", 0.25), ("late", 0.35)):
        up = at(model, **{f"background.ess-csi.{name}": 1.5})
        factor = (1 + size) ** 1.5
        for c in model.components:
            due = nominal[c.name] * (factor if c.name == name else 1.0)
            np.testing.assert_allclose(c.on.at(up), due, rtol=1e-12)
        off = counts.backgrounds[name].off * (factor - 1)
        assert off.sum() > 1e-3
        if statistic == "on-off":
            more = model.tau * (model.background_at(up) - model.background)
            np.testing.assert_allclose(more, off, rtol=1e-9)
        elif statistic == "on-off-scaled":
            more = model.counts(up)[-1] - model.counts(model.truth)[-1]
            assert more == pytest.approx(off.sum(), rel=1e-9)


def test_a_pull_in_common_is_one():
    """Fails if pulls of one name are two, or the same detector at another time has another one."""
    both = [NEUTRONS | {"pull": "beam"}, LATE | {"pull": "beam", "uncertainty": 0.25}]
    model = build([experiment(background=[STEADY, *both])])
    assert "beam" in model.names
    up = at(model, beam=1.0)
    for c in model.components:
        factor = 1.25 if c.name in {"neutrons", "late"} else 1.0
        np.testing.assert_allclose(c.on.at(up), factor * c.on.at(model.truth), rtol=1e-12)
    twice = build([experiment(), experiment(**{"exposure.years": 1.0})])
    assert sum("neutrons" in name for name in twice.names) == 1
    other = build([experiment(), experiment("ess-si")])
    assert sum("neutrons" in name for name in other.names) == 2


def test_a_steady_background_has_both_factors():
    """Fails if a background's own uncertainty takes the place of that of all."""
    e = experiment(background=[STEADY | {"uncertainty": 0.02}, STEADY | {"name": "walls"}])
    model = build([e])
    up = at(model, **{"background.ess-csi": 2.0, "background.ess-csi.steady": -1.0})
    on = {c.name: c.on.at(up) / c.on.at(model.truth) for c in model.components}
    np.testing.assert_allclose(on["steady"], 1.01**2 / 1.02, rtol=1e-12)
    np.testing.assert_allclose(on["walls"], 1.01**2, rtol=1e-12)


def test_a_free_background_has_no_rate():
    """Fails if one that is free in each bin has a pull as well, or it is not said."""
    steady = experiment(background=[STEADY | {"uncertainty": 0.02}])
    free = {"analysis.statistic": "on-off"}
    assert "background.ess-csi.steady" in build([steady]).names
    assert build([steady.replace(**free)]).names == ("signal",)
    with pytest.warns(Notice, match=r"steady.uncertainty has no effect: .* leaves it free"):
        experiment(**free, **{"background.steady.uncertainty": 0.02})


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({}, lambda x: 1.3**x),
        ({"distribution": "log-normal"}, lambda x: 1.3**x),
        ({"distribution": "normal"}, lambda x: 1 + 0.3 * x),
        ({"uncertainty_down": 0.3}, lambda x: 1 + 0.3 * x),
        ({"uncertainty_down": 1 - 1 / 1.3}, lambda x: 1.3**x),
        # a + b r^x through 0.8, 1 and 1.3: r = 0.3/0.2, b = 0.06/0.1
        ({"uncertainty_down": 0.2}, lambda x: 0.4 + 0.6 * 1.5**x),
        # through 0.6, 1 and 1.3
        ({"uncertainty_down": 0.4}, lambda x: 2.2 - 1.2 * 0.75**x),
    ],
)  # fmt: skip
def test_distributions_of_a_rate(settings, factor):
    """Fails if a distribution is another function of its pull, in counts or in toys of events."""
    e = experiment(**rate(["neutrons", "signal"], uncertainty=0.3, **settings))
    model = build([e])
    nominal = {c.name: c.on.at(model.truth) for c in model.components}
    for eta in (-1.0, -0.3, 1.0, 2.0):
        point = at(model, s=eta)
        for c in model.components:
            due = factor(eta) if c.name in {"neutrons", "signal"} else 1.0
            np.testing.assert_allclose(c.on.at(point), due * nominal[c.name], rtol=1e-10)
        (source,) = sources_at(model, [e], Truth(point, model.background))
        np.testing.assert_allclose(source.rates(point), [factor(eta), 1.0, factor(eta), 1.0])
    lower = model.lower[model.number("s")]
    if np.isfinite(lower):
        assert factor(lower) == pytest.approx(LEAST_FACTOR)
    else:
        assert factor(-50.0) > 0
    assert np.all(np.diff([factor(x) for x in np.linspace(max(lower, -9.0), 9.0, 50)]) > 0)


def test_a_given_distribution_stays_with_linear_factors():
    """Fails if analysis.factors overrules what a systematic says of itself."""
    linear = {"analysis.factors": "linear"}
    for given, factor in (("log-normal", 1.3**2), ("normal", 1.6), (None, 1.6)):
        own = {"distribution": given} if given else {}
        model = build([experiment(**rate(["neutrons"], uncertainty=0.3, **own), **linear)])
        (on,) = (c.on for c in model.components if c.name == "neutrons")
        np.testing.assert_allclose(on.at(at(model, s=2.0)), factor * on.at(model.truth), rtol=1e-12)


@pytest.mark.parametrize("down", [0.1, 0.2, 0.5])
def test_a_fit_finds_the_pull_of_an_asymmetric_rate(down):
    """Fails if the compiled fit has another derivative by it than its counts."""
    e = experiment(**rate(["neutrons"], uncertainty=0.3, uncertainty_down=down))
    model = build([e], ["strength"])
    point = at(model, s=-0.8)
    data = Data(model.counts(point)[None], model.asimov().off, point[None])
    fit = search(model).fit(data, model.truth[None])
    assert fit.chi2[0] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(fit.values[0], point, atol=1e-3)


def test_a_rate_is_held_above_zero():
    """Fails if a fit takes away more of a background than there is."""
    own = rate(["neutrons"], uncertainty=0.9, distribution="normal")
    model = build([experiment(**own, **{"exposure.years": 1e-4})], ["strength"])
    k = model.number("s")
    asimov = model.asimov()
    data = Data(asimov.counts, asimov.off, at(model, s=-3.0)[None])
    assert search(model).fit(data).values[0, k] == pytest.approx((LEAST_FACTOR - 1) / 0.9)
    assert Nuisance("n", model.nuisances[k - 1].effect, 0.9).lower == model.lower[k]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (rate(["nin"], uncertainty=0.3), r"no component 'nin'; there are: signal, steady, neut"),
        (rate(["steady"], uncertainty=0.3) | {"analysis.statistic": "on-off"}, "leaves free in ea"),
        ({"background": [STEADY, NEUTRONS | {"pull": "signal", "uncertainty": 0.1}]},
         r"pull 'signal' is background of 0.1"),
        ({"background": [STEADY, NEUTRONS | {"pull": "s", "uncertainty": 0.25}],
          **rate(["neutrons"], uncertainty=0.3)}, r"pull 's' is background of 0.25"),
        ({"background": [STEADY, NEUTRONS | {"pull": "one"}, LATE | {"pull": "one"}]},
         r"pull 'one' is background of 0.35, but in ess-csi background of 0.25"),
        ({"background": [STEADY | {"pull": "background.ess-csi", "uncertainty": 0.01}]},
         r"pull 'background.ess-csi' acts twice on 'steady'"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(settings, parts):
    """Fails if an uncertainty is silently without effect, double, or of two sizes."""
    with pytest.raises(ExperimentError, match=parts):
        build([experiment(**settings)])


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (rate(["neutrons"]), "effect 'rate' needs `uncertainty`"),
        (rate(["neutrons"], uncertainty=0.3, up=[1.0]), "`up` has no meaning for effect 'rate'"),
        (rate(["neutrons"], uncertainty=0.3, uncertainty_down=1.0), "uncertainty_down.* less"),
        (rate(["neutrons"], uncertainty=0.3, uncertainty_down=0.2, distribution="normal"),
         "uncertainty_down says what"),
        (rate(["neutrons", "neutrons"], uncertainty=0.3), "names in `on` must differ"),
        (rate([], uncertainty=0.3), "systematic.*on"),
        ({"background": [STEADY | {"name": "signal"}]}, "'signal' is the name of the signal"),
        ({"background": [STEADY | {"uncertainty": -0.1}]}, "uncertainty = -0.1"),
        ({"analysis.systematic": [{"name": "s", "effect": "flux", "uncertainty": 0.6}]},
         "uncertainty 0.6 of effect 'flux' must be less than 0.5"),
        ({"analysis.systematic": [{"name": "s", "effect": "flux", "distribution": "normal",
                                   "uncertainty": 0.1}]}, "`distribution` has no meaning"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(settings, parts):
    """Fails if a key that does nothing, or a value that cannot be, is taken."""
    with pytest.raises(ExperimentError, match=parts):
        experiment(**settings)
