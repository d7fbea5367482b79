"""Seeds of toys: those of different experiments and combinations are independent.

Over 200 seeds an estimate of a correlation of 0 spreads by 1/√200 = 0.07; four of that are allowed.
"""

from functools import cache

import numpy as np
import pytest
from nuspill import ExperimentError, load
from nuspill.toys.construction.ensemble import Ensemble, truth_at
from nuspill.toys.construction.event_toys import sources_at, throw_events
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.construction.throw import throw
from nuspill.toys.counts.combination import build
from nuspill.toys.coverage import CoverageStudy

SEEDS = 200
ALLOWED = 4 / np.sqrt(SEEDS)
SHORT = {"exposure.years": 0.02, "analysis.edges": [1.0, 3.0, 10.0]}
CSI, XE = (load(name, SHORT) for name in ("ess-csi", "ess-xe"))
FARTHER = CSI.replace(**{"source.distance": 20.1})
ALONE, OTHER, BOTH, TURNED = map(build, ([CSI], [XE], [CSI, XE], [XE, CSI]))
ENSEMBLE = Ensemble("fixed")


def truth(model):
    """Truth of the experiments' files."""
    return truth_at(model, ENSEMBLE, model.truth, model.asimov())


@cache
def toys_of_seeds(model):
    """Counts of the first toy of each seed, shape (seeds, bins)."""
    true = truth(model)
    return np.array([throw(model, ENSEMBLE, true, s, 0, 0, 1).counts[0] for s in range(SEEDS)])


def correlation(a, b):
    """Correlation of two rows of numbers."""
    return np.corrcoef(a, b)[0, 1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (toys_of_seeds(ALONE), toys_of_seeds(OTHER)),
        (toys_of_seeds(ALONE), toys_of_seeds(BOTH)[:, :2]),
        (toys_of_seeds(BOTH)[:, :2], toys_of_seeds(BOTH)[:, 2:]),
        (toys_of_seeds(BOTH)[:, :2], toys_of_seeds(TURNED)[:, 2:]),
        (toys_of_seeds(BOTH)[:, :2], toys_of_seeds(TURNED)[:, :2]),
        (toys_of_seeds(ALONE)[1:], toys_of_seeds(ALONE)[:-1]),
    ],
    ids=["two", "alone and combined", "members", "in another order", "places", "seeds"],
)
def test_toys_of_one_seed(first, second):
    """Fails if toys of two experiments, or of a combination, follow one another."""
    for i in range(2):
        for j in range(2):
            assert abs(correlation(first[:, i], second[:, j])) < ALLOWED


def test_toys_of_one_experiment_at_two_settings():
    """Fails if other settings throw other numbers, or a combination of both the same ones twice."""
    assert correlation(toys_of_seeds(ALONE)[:, 1], toys_of_seeds(build([FARTHER]))[:, 1]) > 0.8
    both = toys_of_seeds(build([CSI, FARTHER]))
    assert abs(correlation(both[:, 1], both[:, 3])) < ALLOWED


def test_centres_of_one_seed():
    """Fails if pulls fluctuate together in two experiments."""
    first, second = (
        np.array([throw(m, ENSEMBLE, truth(m), s, 0, 0, 1).centre[0] for s in range(SEEDS)])
        for m in (ALONE, OTHER)
    )
    assert abs(correlation(first[:, 0], second[:, 0])) < ALLOWED


def test_toys_of_events_of_a_combination():
    """Fails if members have common events, also one detector at two settings."""
    tiny = {"exposure.years": 1e-3}
    members = [load("ess-csi", SHORT | tiny), load("ess-xe", SHORT | tiny)]
    members.append(members[0].replace(**{"source.distance": 20.1}))
    model = build(members)
    true = truth(model)
    sources = sources_at(model, members, true)
    values = np.repeat(true.values[None], SEEDS, axis=0)
    counts = throw_events(model, sources, values, 3, 0, 0)[0]
    csi, xe, farther = (counts[:, s.on].sum(axis=1) for s in model.sections)
    for a, b in ((csi, xe), (csi, farther), (xe, farther)):
        assert min(a.std(), b.std()) > 0
        assert abs(correlation(a, b)) < ALLOWED


@pytest.mark.parametrize("seed", [1.0, True, np.float64(1), "1", None, 2**64, -1, np.bool_(True)])
def test_seeds_that_are_none(seed):
    """Fails if a seed that is no whole number is found out after toys are thrown."""
    axes = (("sin2w", np.array([0.23])),)
    with pytest.raises(ExperimentError, match=r"^seed must be"):
        Construction(ALONE, axes, Ensemble(), seed, ALONE.asimov())
    with pytest.raises(ExperimentError, match=r"^seed must be"):
        CoverageStudy(ALONE, ["sin2w"], np.array([[0.23]]), [0.9], 100, seed=seed)


def test_seeds_of_numpy():
    """Fails if NumPy's whole numbers cannot be written down."""
    axes = (("sin2w", np.array([0.23])),)
    seed = np.uint64(2**64 - 1)
    assert type(Construction(ALONE, axes, Ensemble(), seed, ALONE.asimov()).seed) is int
