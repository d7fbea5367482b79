"""Adaptive throwing: the stated error at the region's edge, and few toys elsewhere."""

import numpy as np
import pytest
from nuspill.reco.cluster.workers import Here
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.problem import reference_problem
from nuspill.toys.records.adaptive import FIRST_TOYS, NEAR, throw_adaptively
from nuspill.toys.records.record import open_record
from nuspill.toys.regions.region import region

POINTS, ERROR, MOST = 21, 0.05, 20_000


@pytest.fixture(scope="module")
def problem():
    model = reference_problem()
    whole = np.linspace(0.5, 1.8, 2001)
    axes = (("mu", whole),)
    q = Construction(model, axes, Ensemble(), 4, model.asimov()).delta_chi2
    inside = np.flatnonzero(q < 2.706)
    edges = [whole[i] + d for i in (inside[0], inside[-1]) for d in (-0.004, 0.0, 0.004)]
    axes = (("mu", np.sort([*np.linspace(0.5, 1.8, POINTS - 6), *edges])),)
    return Construction(model, axes, Ensemble(), 4, model.asimov())


def thrown(folder, c, ordering="likelihood-ratio", error=ERROR, most=MOST, threads=1):
    record = open_record(folder, {"axes": {"mu": [0.0] * POINTS}}, resume=True)
    done = []
    throw_adaptively(c, record, 0.9, ordering, error, 0, most, Here(threads, done.append))
    return record, sum(done)


def test_error_is_reached_where_it_matters(problem, tmp_path):
    """Fails if a point near the edge has an error above the stated one, or far ones get toys.

    What was told to the progress bar must be all toys that could have been thrown.
    """
    record, told = thrown(tmp_path / "toys", problem)
    found = region(problem, record.by_point(POINTS), 0.9)
    near = np.abs(found.margin) <= NEAR * found.belt.error
    assert near.any()
    assert np.all((found.belt.error <= ERROR) | (found.toys == MOST) | ~near)
    assert np.all(found.belt.error[near] <= ERROR)
    assert found.toys[0] == found.toys[-1] == FIRST_TOYS
    assert np.all(found.toys >= FIRST_TOYS)
    assert found.toys.sum() < POINTS * found.toys.max() / 2
    assert told == POINTS * MOST
    brute = region(problem, (problem.toys(k, 50_000, 90_000) for k in range(POINTS)), 0.9)
    pulls = (found.critical - brute.critical) / np.hypot(found.belt.error, brute.belt.error)
    assert np.sum(pulls**2) < 47  # χ² of 21, p = 1e-3
    np.testing.assert_allclose(
        found.as_json()["intervals"], brute.as_json()["intervals"], atol=0.01
    )


def test_resumed_adaptive_run(problem, tmp_path):
    """Fails if a run that went on, to a smaller error or more toys, is not that in one go."""
    record, _ = thrown(tmp_path / "one", problem)
    one = [s.value.tobytes() for s in record.by_point(POINTS)]
    thrown(tmp_path / "two", problem, error=4 * ERROR)
    thrown(tmp_path / "two", problem, most=700)
    record, told = thrown(tmp_path / "two", problem, threads=2)
    assert told == POINTS * MOST
    for a, s in zip(one, record.by_point(POINTS), strict=True):
        b = s.value.tobytes()
        short, long = sorted((a, b), key=len)
        assert long.startswith(short)
    again, _ = thrown(tmp_path / "one", problem)
    assert [s.value.tobytes() for s in again.by_point(POINTS)] == one


def test_never_more_toys_than_asked(problem, tmp_path):
    """Fails if an error that cannot be reached goes on for ever, or beyond the most toys."""
    record, told = thrown(tmp_path / "toys", problem, error=1e-9, most=1200)
    numbers = [len(s.value) for s in record.by_point(POINTS)]
    assert max(numbers) == 1200
    assert told == POINTS * 1200
    few, _ = thrown(tmp_path / "few", problem, most=7)
    assert {len(s.value) for s in few.by_point(POINTS)} == {7}


@pytest.mark.parametrize("ordering", ["central", "upper"])
def test_other_orderings(ordering, problem, tmp_path):
    """Fails if the error of a central interval's or a limit's edge is not reached."""
    record, _ = thrown(tmp_path / "toys", problem, ordering, error=0.03)
    found = region(problem, record.by_point(POINTS), 0.9, ordering)
    near = np.abs(found.margin) <= NEAR * found.belt.error
    assert near.any()
    assert np.all(found.belt.error[near] <= 0.03)
    assert found.toys.min() == FIRST_TOYS
