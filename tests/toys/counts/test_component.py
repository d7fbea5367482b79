"""Components: what a model expects of the signal and of each background."""

import numpy as np
import pytest
from nuspill import build, load
from nuspill.toys.counts.problem import counting
from nuspill.toys.counts.template import templates

STATISTICS = ["pulls", "on-off", "on-off-scaled"]
LEAKING = {
    "background": [
        {"name": "steady", "rate": 5.0},
        {"name": "neutrons", "timing": "prompt", "rate": 0.3},
        {"name": "late", "timing": "delayed", "rate": 0.1, "delay": 2e5},
        {"name": "walls", "rate": 0.7},
    ],
    "analysis.edges": [1.0, 2.0, 4.0, 8.0, 16.0, 46.1],
    "windows.on_start": 1e6,
    "windows.on_length": 1.5e6,
    "windows.off_start": 2.7e6,
}
"""Both windows in the pulse, so that beam-off holds signal and both of the beam's backgrounds."""
SYSTEMATICS = [
    {"name": "rate", "effect": "beam background", "uncertainty": 0.2},
    {"name": "energy", "effect": "quenching", "uncertainty": 0.03},
]


def experiment(statistic, **settings):
    given = {"analysis.statistic": statistic, "analysis.systematic": SYSTEMATICS}
    return load("ess-csi", LEAKING | given | settings)


def away(model, rng):
    """A point away from the truth, but for the factor of what beam-off measures."""
    point = model.truth + 0.5 * rng.normal(size=model.variables)
    point[: len(model.parameters)] = rng.uniform(0.2, 2.0, len(model.parameters))
    return point


@pytest.mark.parametrize("statistic", STATISTICS)
def test_components_add_up_to_the_counts(statistic):
    """Fails if a component is left out, or has another effect of a nuisance than the counts."""
    pair = [experiment(statistic), load("ess-si", {"analysis.statistic": statistic})]
    model = build(pair, ["strength"])
    rng = np.random.default_rng(3)
    for _ in range(5):
        point = away(model, rng)
        for section in model.sections:
            own = [c for c in model.components if c.section == section.name]
            total = sum(c.on.at(point) for c in own)
            np.testing.assert_allclose(total, model.counts(point)[section.on], rtol=1e-11)
    assert [c.name for c in model.components] == [
        "signal", "steady", "neutrons", "late", "walls", "signal", "steady"
    ]  # fmt: skip


@pytest.mark.parametrize("statistic", STATISTICS)
def test_components_are_the_templates(statistic):
    """Fails if a component is not what quadrature says of it, in all of beam-on."""
    e = experiment(statistic)
    model, counts = build([e], ["strength"]), templates(e)
    on = {c.name: c.on.at(model.truth) for c in model.components}
    for name, background in counts.backgrounds.items():
        np.testing.assert_allclose(on[name], background.on, rtol=1e-12)
    alone = build([e.replace(background=[LEAKING["background"][0]], **{"analysis.systematic": []})])
    signal = alone.counts(alone.truth)[: len(on["signal"])] - counts.backgrounds["steady"].on
    np.testing.assert_allclose(on["signal"], signal, rtol=1e-9)
    np.testing.assert_allclose(
        counts.backgrounds["walls"].off, counts.tau * counts.backgrounds["walls"].on, rtol=1e-12
    )


def test_a_fixed_parameter_is_fixed_in_components():
    """Fails if components keep the variables that `fixed` takes away."""
    model = build([experiment("pulls")], ["strength"])
    fixed = model.fixed({"strength": 1.7})
    own = {c.name: c.on for c in fixed.components}
    (signal,) = (c.on for c in model.components if c.name == "signal")
    np.testing.assert_allclose(
        own["signal"].at(fixed.truth), 1.7 * signal.at(model.truth), rtol=1e-12
    )
    total = sum(on.at(fixed.truth) for on in own.values())
    np.testing.assert_allclose(total, fixed.counts(fixed.truth), rtol=1e-12)


def test_components_of_counting():
    """Fails if a model by hand has other components than its counts."""
    model = counting([3.0, 5.0], [10.0, 20.0], 0.1, 0.05)
    point = np.array([1.4, 0.7, -1.2])
    on = {c.name: c.on.at(point) for c in model.components}
    np.testing.assert_allclose(on["signal"], 1.4 * 1.07 * np.array([3.0, 5.0]))
    np.testing.assert_allclose(on["background"], 0.94 * np.array([10.0, 20.0]))
