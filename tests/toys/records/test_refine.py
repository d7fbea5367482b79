"""Toys round limits: their stated errors, and the same region however it is made."""

import numpy as np
import pytest
from nuspill.reco.cluster.workers import Here
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.construction.numbering import BETWEEN, PARTS, number_between
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.problem import counting
from nuspill.toys.records.distribute import throw_tasks
from nuspill.toys.records.record import merge, open_record, tasks_of
from nuspill.toys.records.refine import refined_region
from nuspill.toys.regions import region as region_module
from nuspill.toys.regions.limits import summarise
from nuspill.toys.regions.outcomes import outcomes
from nuspill.toys.regions.region import region

SIGNAL, BACKGROUND = 2.2002, 2.9998


def construction(points, seed=1, counts=4, uncertainty=0.0):
    """Counts above a background on a grid from 0 to 6 times the signal."""
    model = counting([SIGNAL], [BACKGROUND], uncertainty, uncertainty)
    data = Data(np.array([[float(counts)]]), np.zeros((1, 1)), np.zeros((1, model.variables)))
    return Construction(model, (("mu", np.linspace(0, 6, points)),), Ensemble(), seed, data)


def record_of(folder, c, toys, first=0):
    """A folder with toys at each point of the grid."""
    record = open_record(folder, {"axes": {}}, resume=True)
    tasks = tasks_of(range(len(c.points)), first, first + toys)
    list(record.write(throw_tasks(c, tasks, Here(1))))
    return record


@pytest.fixture
def by_toys(monkeypatch):
    """Discrete problems by toys, as if outcomes were too many to list."""
    monkeypatch.setattr(region_module, "outcomes", lambda _: None)


@pytest.mark.parametrize("ordering", ["likelihood-ratio", "upper", "central"])
@pytest.mark.parametrize("points", [7, 25])
@pytest.mark.usefixtures("by_toys")
def test_limits_of_discrete_q_by_toys(points, ordering, tmp_path):
    """Fails if toys give more than one interval, no error, or an error that is not the spread.

    The limits of 10 counts are compared with exact ones in 16 seeds; the rms of 16 pulls is known
    to 18 %, and where the p-value jumps errors are upper bounds.
    """
    exact = outcomes(construction(points, counts=10)).intervals(0.9, ordering)
    pulls = []
    for seed in range(16):
        c = construction(points, seed, counts=10)
        found = refined_region(c, record_of(tmp_path / f"{seed}", c, 1000), 0.9, ordering)
        assert found.exact is None
        assert len(found.limits) == len(exact) == 1
        for limit, value in zip(found.limits[0], exact[0], strict=True):
            if value in {0.0, 6.0}:
                continue
            assert limit.error > 0
            assert limit.error < 0.3
            pulls.append((limit.value - value) / limit.error)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.4
    assert np.max(np.abs(pulls)) < 3.5


@pytest.mark.usefixtures("by_toys")
def test_limits_of_issue_14_by_toys(tmp_path):
    """Fails if 20 000 toys on a grid of 0.5 do not give 2.270 and 2.544 to their stated errors.

    In the ordering of likelihood ratios p is 0.0998 above the limit, where toys know it to 0.002.
    """
    for ordering, exact, most in (("upper", 2.2697, 0.06), ("likelihood-ratio", 2.5441, 0.1)):
        c = construction(13, 5)
        found = refined_region(c, record_of(tmp_path / ordering, c, 20_000), 0.9, ordering)
        ((low, high),) = found.limits
        assert low.value == 0
        assert 0 < high.error < most
        assert high.value == pytest.approx(exact, abs=3 * high.error)


@pytest.mark.parametrize("points", [4, 7])
def test_limits_on_coarse_grids(points, tmp_path):
    """Fails if a limit of smooth q between points 1 or 2 apart is off by more than it says.

    The truth is by 30 000 toys on a grid of 0.25, in which the critical value bends.
    """
    fine = construction(25, 99, uncertainty=0.1)
    truth = refined_region(
        fine, record_of(tmp_path / "fine", fine, 30_000), 0.9, "likelihood-ratio"
    )
    assert not truth.nodes.discrete
    ((_, due),) = truth.limits
    pulls = []
    for seed in range(16):
        c = construction(points, seed, uncertainty=0.1)
        found = refined_region(c, record_of(tmp_path / f"{seed}", c, 1000), 0.9, "likelihood-ratio")
        assert found.between
        ((low, high),) = found.limits
        assert low.value == 0
        pulls.append((high.value - due.value) / np.hypot(high.error, due.error))
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5


@pytest.mark.parametrize("uncertainty", [0.0, 0.1])
@pytest.mark.usefixtures("by_toys")
def test_region_does_not_depend_on_how_it_was_made(uncertainty, tmp_path):
    """Fails if jobs that are merged, other threads, or toys of other points change the region."""
    c = construction(13, uncertainty=uncertainty)
    whole = refined_region(c, record_of(tmp_path / "whole", c, 1000), 0.9, "upper")
    assert whole.between
    jobs = []
    for k in range(4):
        record = record_of(tmp_path / f"job{k}", c, 250, 250 * k)
        refined_region(c, record, 0.9, "likelihood-ratio" if k == 2 else "upper", Here(2))
        jobs.append(record.folder)
    merged = merge([jobs[k] for k in (3, 0, 2, 1)], tmp_path / "merged")
    list(merged.write(throw_tasks(c, [(number_between(1, 77), 0, 50)], Here(1))))
    again = refined_region(c, merged, 0.9, "upper", Here(2))
    assert again.as_json() == whole.as_json()
    assert again.between.keys() == whole.between.keys()
    for number, statistic in again.between.items():
        assert statistic.value.tobytes() == whole.between[number].value.tobytes()
        assert statistic.value.tobytes() == c.toys(number, 0, 1000).value.tobytes()
    twice = merge([merged.folder, jobs[1]], tmp_path / "merged")
    assert refined_region(c, twice, 0.9, "upper").as_json() == whole.as_json()


def test_points_between_are_points(tmp_path):
    """Fails if a point's toys depend on whether it is one of the grid, but for its number."""
    c = construction(13)
    number = number_between(3, PARTS // 4)
    assert number >= BETWEEN
    np.testing.assert_allclose(c.position(number), [1.625])
    other = Construction(
        c.model, (("mu", np.array([1.625])),), Ensemble(), 1, c.data, first_point=number
    )
    assert c.toys(number, 5, 900).value.tobytes() == other.toys(0, 5, 900).value.tobytes()
    assert record_of(tmp_path / "toys", c, 10).of(number).value.size == 0


@pytest.mark.parametrize("ordering", ["likelihood-ratio", "upper", "central"])
def test_p_values_of_toys_belong_to_their_ordering(ordering):
    """Fails if p is not (k + 1)/(N + 1) of the ordering's k, or 0 for data far away."""
    c = construction(7, uncertainty=0.1, counts=30)
    toys = [c.toys(k, 0, 500) for k in range(7)]
    found = region(c, toys, 0.9, ordering)
    assert found.exact is None
    assert np.all(found.p_value >= 1 / 501)
    assert found.p_value[0] == (2 / 501 if ordering == "central" else pytest.approx(1 / 501)) or (
        ordering == "upper"
    )
    for k, (statistic, p) in enumerate(zip(toys, found.p_value, strict=True)):
        r, seen = statistic.value, c.observed[k]
        sides = {
            "likelihood-ratio": [np.abs(r) >= abs(seen)],
            "upper": [r <= seen],
            "central": [r <= seen, r >= seen],
        }[ordering]
        due = min(len(sides) * (min(side.sum() for side in sides) + 1) / 501, 1)
        assert p == pytest.approx(due)


def test_points_that_do_not_decide():
    """Fails if the margin of toys is not that of a binomial, in its errors, from the level."""
    toys = np.concatenate([np.full(880, 0.5), np.full(120, 3.0)])
    summary = summarise(toys, 3.0, 0.9, "likelihood-ratio", 1)
    assert summary.outside == pytest.approx(-0.02 / np.sqrt(0.09 / 1000))
    assert summary.repeated > 0.99
    assert summary.error > 0  # of a critical value at which many toys are
    assert summarise(np.empty(0), 3.0, 0.9, "upper", 1).outside == np.inf
