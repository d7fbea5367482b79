"""HistFactory workspaces: the likelihood of pyhf equals ours."""

import json

import numpy as np
import pytest
from nuspill.reco.errors import ExperimentError
from nuspill.reco.experiment import load
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import LEAST_FACTOR, Data
from nuspill.toys.counts.workspace import workspace
from nuspill.toys.fit.likelihood import Chi2, background
from nuspill.toys.fit.search import search

pyhf = pytest.importorskip("pyhf")
# pyhf 0.7 calls what newer jsonschema calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

FLUX = {"name": "flux", "effect": "flux", "uncertainty": 0.07}
NEUTRONS = {"name": "neutrons", "effect": "beam background", "uncertainty": 0.25}
PROMPT = {"name": "prompt", "timing": "prompt", "rate": 0.3, "total": True}
LEAKS = {
    "background": [{"name": "steady", "rate": 10.0}, PROMPT | {"rate": 3.0}],
    "windows.on_start": 1e6,
    "windows.on_length": 1.5e6,
    "windows.off_start": 2.7e6,
}
"""Both windows in the pulse, so that beam-off holds signal and a prompt background."""
AXES = [
    {"name": "energy", "edges": [1.0, 3.0, 8.0, 46.1]},
    {"name": "time", "edges": [1e6, 1.5e6, 2.4e6]},
]
CASES = {
    "pulls": [("ess-csi", {})],
    "one bin": [("ess-ar", {})],
    "no pulls": [
        ("ess-xe", {"analysis.signal_uncertainty": 0.0, "analysis.background_uncertainty": 0.0})
    ],
    "flux": [("ess-si", {"analysis.systematic": [FLUX]})],
    "scaled": [("ess-csi", {"analysis.statistic": "on-off-scaled"})],
    "scaled, flux and another background": [
        (
            "ess-xe",
            {
                "analysis.statistic": "on-off-scaled",
                "analysis.systematic": [FLUX],
                "background": [{"name": "steady", "rate": 10.0}, PROMPT],
            },
        )
    ],
    "another background's rate": [
        (
            "ess-xe",
            {
                "analysis.systematic": [NEUTRONS],
                "background": [{"name": "steady", "rate": 10.0}, PROMPT],
            },
        )
    ],
    "on-off": [("ess-csi", {"analysis.statistic": "on-off"})],
    "on-off, what leaks": [("ess-csi", {"analysis.statistic": "on-off"} | LEAKS)],
    "scaled, what leaks": [("ess-csi", {"analysis.statistic": "on-off-scaled"} | LEAKS)],
    "two, the signal in common": [("ess-csi", {}), ("ess-si", {"exposure.years": 1.0})],
    "three statistics": [
        ("ess-csi", {"analysis.statistic": "on-off"}),
        ("ess-si", {"analysis.statistic": "on-off-scaled"}),
        ("ess-xe", {"analysis.signal_pull": "own"}),
    ],
    "one twice": [("ess-ar", {}), ("ess-ar", {"detector.threshold": 1.0})],
    "energy and time of an ESS pulse": [("ess-csi", {"analysis.axes": AXES} | LEAKS)],
    "energy and time of an ESS pulse, on-off": [
        ("ess-csi", {"analysis.axes": AXES, "analysis.statistic": "on-off"} | LEAKS)
    ],
    "energy and time of an ESS pulse, scaled": [
        ("ess-csi", {"analysis.axes": AXES, "analysis.statistic": "on-off-scaled"} | LEAKS)
    ],
    "linear": [("ess-csi", {"analysis.factors": "linear"})],
    "linear, scaled": [
        (
            "ess-csi",
            {
                "analysis.factors": "linear",
                "analysis.statistic": "on-off-scaled",
                "background": [
                    {"name": "steady", "rate": 10.0},
                    PROMPT | {"uncertainty": 0.25},
                ],
            },
        )
    ],
    "rates of all, of two kinds": [
        (
            "ess-xe",
            {
                "background": [
                    {"name": "steady", "rate": 10.0, "uncertainty": 0.021},
                    PROMPT | {"uncertainty": 0.25},
                    PROMPT | {"name": "late", "timing": "delayed"},
                ],
                "analysis.systematic": [
                    {
                        "name": "of late",
                        "effect": "rate",
                        "on": ["late"],
                        "uncertainty": 0.35,
                        "distribution": "normal",
                    },
                ],
            },
        )
    ],
    "scaled, rates of what leaks": [
        (
            "ess-csi",
            {"analysis.statistic": "on-off-scaled"}
            | LEAKS
            | {
                "background": [
                    {"name": "steady", "rate": 10.0, "uncertainty": 0.1},
                    {"name": "walls", "rate": 3.0},
                    PROMPT | {"rate": 3.0, "uncertainty": 0.25},
                ],
            },
        )
    ],
    "on-off, rates of what leaks": [
        (
            "ess-csi",
            {"analysis.statistic": "on-off"}
            | LEAKS
            | {
                "background": [
                    {"name": "steady", "rate": 10.0},
                    PROMPT | {"rate": 3.0, "uncertainty": 0.25},
                ],
            },
        )
    ],
    "templates": [
        (
            "ess-csi",
            {
                "analysis.edges": [1.0, 2.0, 4.0, 46.1],
                "analysis.systematic": [
                    FLUX,
                    {
                        "name": "shape",
                        "effect": "templates",
                        "up": [1.1, 1.0, 0.95],
                        "down": [0.9, 1.0, 1.05],
                    },
                    {
                        "name": "tilt",
                        "effect": "templates",
                        "on": ["steady", "signal"],
                        "up": [1.02, 0.97, 1.0],
                        "down": [0.98, 1.03, 1.0],
                    },
                ],
            },
        )
    ],
    "csi 2021, templates": [
        (
            "sns-csi-2021",
            {
                "analysis.factors": "log-normal",
                "analysis.systematic": [
                    FLUX,
                    {
                        "name": "brn shape",
                        "effect": "templates",
                        "on": ["brn"],
                        "up": np.linspace(0.9, 1.1, 99).tolist(),
                        "down": np.linspace(1.1, 0.9, 99).tolist(),
                    },
                    {
                        "name": "signal shape",
                        "effect": "templates",
                        "up": np.linspace(1.02, 0.96, 99).tolist(),
                        "down": np.linspace(0.98, 1.04, 99).tolist(),
                    },
                ],
            },
        ),
    ],
    "csi 2021, scaled": [
        (
            "sns-csi-2021",
            {
                "analysis.factors": "log-normal",
                "analysis.statistic": "on-off-scaled",
                "windows.off_start": 6500.0,
            },
        ),
    ],
    "distance and a beam background": [
        (
            "ess-xe",
            {
                "analysis.systematic": [
                    NEUTRONS,
                    FLUX,
                    {"name": "distance", "effect": "distance", "uncertainty": 0.02},
                ],
                "background": [{"name": "steady", "rate": 10.0}, PROMPT],
            },
        )
    ],
}
CODES = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code0"}}
"""Interpolations of pyhf that are straight lines, in the logarithm and in the counts."""


def made(case):
    return [load(name, settings) for name, settings in CASES[case]]


def pyhf_values(model, likelihood, z, data):
    """Parameters and data of pyhf for a point and a data set of ours."""
    expected = np.broadcast_to(model.expected.at(z), (model.bins,))
    best = background(expected, model.tau, data.counts[0], data.off[0])
    values = np.empty(likelihood.config.npars)
    for name in likelihood.config.par_order:
        place = likelihood.config.par_slice(name)
        if name in model.names:
            i = model.number(name)
            unpulled = i > 0 and model.nuisances[i - 1].weight == 0
            values[place] = 1 + model.nuisances[i - 1].uncertainty * z[i] if unpulled else z[i]
        else:
            part = model.section(name.removesuffix(".background")).on
            values[place] = best[part] / model.background[part]
    centres = [data.centre[0, model.number(name)] for name in likelihood.config.auxdata_order]
    return values, centres


@pytest.mark.parametrize("case", CASES)
def test_differences_of_the_likelihood_are_ours(case):
    """-2 ln L and our chi2 differ by the same at 40 points, for data that no point expects.

    Fails for another interpolation, another constraint, or a template in a wrong place.
    """
    experiments = made(case)
    model = build(experiments, ["strength"])
    rng = np.random.default_rng(5)
    counts = rng.poisson(model.counts(model.truth) * rng.uniform(0.8, 1.3)).astype(float)[None]
    off = rng.poisson(model.tau * model.background).astype(float)[None]
    centre = rng.normal(0, 1, model.variables) * (model.weight > 0)
    data = Data(counts, off, centre[None])
    # through text, as a file would be
    written = pyhf.Workspace(json.loads(json.dumps(workspace(experiments, data))))
    likelihood = written.model(modifier_settings=CODES)
    ours = Chi2(model, data)
    observed = written.data(likelihood, include_auxdata=False)
    apart = []
    for _ in range(40):
        z = rng.normal(0, 2.0, model.variables)
        z[0] = rng.uniform(0, 3)
        values, centres = pyhf_values(model, likelihood, z, data)
        theirs = -2 * float(likelihood.logpdf(values, [*observed, *centres])[0])
        apart.append(theirs - ours(z))
    assert np.ptp(apart) < 1e-6


def test_best_fit_of_pyhf_is_the_expected_strength():
    written = pyhf.Workspace(workspace(made("pulls")))
    likelihood = written.model()
    best = pyhf.infer.mle.fit(written.data(likelihood), likelihood)
    assert best[likelihood.config.poi_index] == pytest.approx(1, abs=1e-3)
    assert likelihood.config.poi_name == "strength"


def test_a_product_of_linear_factors_is_refused():
    settings = {"analysis.factors": "linear", "analysis.systematic": [FLUX]}
    with pytest.raises(ExperimentError, match="product of two linear factors"):
        workspace([load("ess-si", settings)])


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"effect": "rate", "uncertainty": 0.2, "uncertainty_down": 0.1}, "uncertainty_down"),
        ({"effect": "energy scale", "uncertainty": 0.02, "on": ["steady"]}, "is quadratic"),
        ({"effect": "quenching parameters", "change": {"factor": 0.01}}, "is quadratic"),
        ({"effect": "templates", "up": [1.1, 1.0, 1.0], "down": [1.0, 1.0, 1.0]}, "not linear"),
        ({"effect": "templates", "up": [1.2, 1.0, 1.0], "down": [0.8, 1.0, 1.0]}, "not linear"),
    ],
)  # fmt: skip
def test_what_else_pyhf_does_not_have_is_refused(settings, parts):
    """Fails if an effect is exported that is another function of its pull in pyhf."""
    systematic = {"name": "other"} | settings
    edges = {"analysis.edges": [1.0, 2.0, 4.0, 46.1]}
    with pytest.raises(ExperimentError, match=parts):
        workspace([load("ess-csi", {"analysis.systematic": [systematic]} | edges)])


def test_samples_of_single_backgrounds():
    """Fails if a sample whose pull is that of one background bears another name."""
    (channel,) = workspace(made("rates of all, of two kinds"))["channels"]
    names = {s["name"]: {m["name"] for m in s["modifiers"]} for s in channel["samples"]}
    assert names == {
        "signal": {"strength", "signal"},
        "steady": {"background.ess-xe", "background.ess-xe.steady"},
        "prompt": {"background.ess-xe.prompt"},
        "late": {"of late"},
    }


@pytest.mark.parametrize("effect", ["quenching", "resolution", "threshold"])
def test_what_is_quadratic_is_refused(effect):
    systematic = {"name": "other", "effect": effect, "uncertainty": 0.02}
    with pytest.raises(ExperimentError, match=rf"analysis.systematic 'other': effect = '{effect}'"):
        workspace([load("ess-csi", {"analysis.systematic": [systematic]})])


def test_names_of_channels_and_what_is_common():
    written = workspace(made("three statistics"))
    names = [channel["name"] for channel in written["channels"]]
    assert sorted(names) == ["ess-csi", "ess-csi_off", "ess-si", "ess-si_off", "ess-xe"]
    likelihood = pyhf.Workspace(written).model()
    assert set(likelihood.config.par_order) == {
        "strength", "signal", "own", "ess-csi.background", "background.ess-si",
        "background.ess-xe",
    }  # fmt: skip


@pytest.mark.parametrize(
    "case", ["pulls", "on-off", "scaled", "two, the signal in common", "linear"]
)
@pytest.mark.parametrize("sigmas", [-8.0, 9.0])
def test_pulls_beyond_five_sigma(case, sigmas):
    """Fails if pyhf holds a pull where ours goes on: data of another signal, at the strength 1."""
    experiments = made(case)
    model = build(experiments, ["strength"])
    point = model.truth.copy()
    point[model.number("signal")] = sigmas
    data = Data(model.counts(point)[None], model.asimov().off, np.zeros((1, model.variables)))
    held = search(model, ["strength"]).fit(data, model.truth[None])
    pull = held.values[0, model.number("signal")]
    assert abs(pull) > 6
    written = pyhf.Workspace(json.loads(json.dumps(workspace(experiments, data))))
    likelihood = written.model()
    observed = written.data(likelihood)
    values, nll = pyhf.infer.mle.fixed_poi_fit(1.0, observed, likelihood, return_fitted_val=True)
    place = likelihood.config.par_slice("signal")
    assert values[place][0] == pytest.approx(pull, abs=0.01)
    start, _ = pyhf_values(model, likelihood, point, data)
    at_point = -2 * float(likelihood.logpdf(start, observed)[0])
    assert nll - at_point == pytest.approx(held.chi2[0] - Chi2(model, data)(point), abs=0.01)


@pytest.mark.parametrize("case", CASES)
def test_bounds_are_ours(case):
    """Fails if a parameter of a workspace has pyhf's bounds, or others than ours."""
    experiments = made(case)
    model = build(experiments, ["strength"])
    config = pyhf.Workspace(workspace(experiments)).model().config
    bounds = np.array(config.suggested_bounds())
    for name in config.par_order:
        low, high = bounds[config.par_slice(name)].T
        assert np.all(high >= 1000)
        if name in model.names[1:]:
            nuisance = model.nuisances[model.number(name) - 1]
            least = LEAST_FACTOR if nuisance.weight == 0 else max(nuisance.lower, -1000)
            np.testing.assert_allclose(low, least)
        else:
            np.testing.assert_array_equal(low, 0)


def test_a_background_that_few_expect_fits_what_is_seen():
    """Fails if the bound of a free background lies below counts of which next to none expected."""
    few = {"analysis.statistic": "on-off", "exposure.years": 3e-7}
    experiments = [load("ess-csi", few)]
    model = build(experiments, ["strength"])
    counts = np.zeros((1, model.bins))
    off = np.full((1, model.bins), 40.0)
    likelihood = pyhf.Workspace(
        workspace(experiments, Data(counts, off, model.truth[None]))
    ).model()
    place = likelihood.config.par_slice("ess-csi.background")
    most = np.array(likelihood.config.suggested_bounds())[place, 1]
    assert np.all(most * model.background > 10 * off[0] / model.tau)


@pytest.mark.parametrize(("size", "most"), [(0.1, 1e-11), (0.5, 1e-7)])
def test_default_interpolation(size, most):
    """Fails if pyhf's default for a normsys is further from (1 + σ)^η than is stated."""
    factor = pyhf.interpolators.code4([[[[1 / (1 + size)], [1.0], [1 + size]]]])
    for eta in np.linspace(-1, 1, 41):
        theirs = float(np.ravel(factor(np.array([[eta]])))[0])
        assert theirs == pytest.approx((1 + size) ** eta, rel=most)
