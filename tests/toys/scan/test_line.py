"""Intervals of a parameter: none is lost, whatever the grid or the range."""

import numpy as np
import pytest
from nuspill import load
from nuspill.generator.constants import SIN2_THETA_W
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data, Model
from nuspill.toys.counts.parameter import Parameter
from nuspill.toys.counts.polynomial import Polynomial
from nuspill.toys.scan.line import line
from nuspill.toys.scan.profile import Profile
from nuspill.toys.scan.scan import Axis, scan_1d

SHARP = {"analysis.signal_uncertainty": 0.01, "analysis.background_uncertainty": 0}


def counts_alone(terms, names=("a",)):
    """A model without nuisance parameters, its rates by the powers of its parameters."""
    rates = {powers: np.atleast_1d(np.asarray(value, float)) for powers, value in terms.items()}
    bins = max(len(value) for value in rates.values())
    none = np.zeros(bins)
    return Model(
        parameters=tuple(Parameter(name, "", name) for name in names),
        nuisances=(),
        expected=Polynomial({powers: value + none for powers, value in rates.items()}),
        bins=bins,
        truth=np.zeros(len(names)),
        tau=none,
        background=none,
        sections=(),
    )


@pytest.mark.parametrize("number", [1e3, 1e4, 1e6, 1e10])
@pytest.mark.parametrize("ends", [(-40.0, 50.0), (-1.6, 1.5), (-1e5, 1e6)])
def test_four_intervals_of_a_quartic(number, ends):
    """Fails if one of four intervals is lost, down to 1e-5 wide in a range of 1e6.

    The rate is N (1 + (θ² − 1)²), with N (1 + 1/4) observed: θ² is 1/2 or 3/2.
    """
    data = Data(np.array([[1.25 * number]]), np.zeros((1, 1)), np.zeros((1, 1)))
    linear = counts_alone({(0,): number, (1,): number})
    scan = scan_1d(linear, Axis("a", -0.99, 3.0), data=data)
    (excess,) = np.array(scan.intervals)  # (θ² − 1)² at its ends
    inner, outer = np.sqrt(1 - np.sqrt(excess[::-1])), np.sqrt(1 + np.sqrt(excess))
    quartic = counts_alone({(0,): 2 * number, (2,): -2 * number, (4,): number})
    found = line(Profile(quartic, ["a"], data), *ends, scan.threshold).intervals
    exact = [-outer[::-1], -inner[::-1], inner, outer]
    np.testing.assert_allclose(found, exact, rtol=1e-9)


@pytest.mark.parametrize("mass", [10.0, 1e3, 1e5])
def test_mirror_of_one_nucleus(mass):
    """Fails if a mirror image far narrower than its distance is beyond the range that is found.

    With one nucleus the rate is a square about v, so that the mirror of [a, b] is [2v − b, 2v − a].
    """
    model = build([load("ess-ar", SHARP | {"target.mass": mass})], ["radius.ee"])
    scan = scan_1d(model, Axis("radius.ee"))
    (a, b), (c, d) = scan.intervals
    assert c < 0 < d
    assert a + d == pytest.approx(b + c, rel=1e-8)
    assert a - scan.x[0] > 0
    assert scan.x[0] < a
    assert scan.x[-1] > d


def test_the_narrow_mirror_that_was_lost():
    """Fails if the automatic range misses [-45.1, -44.0] of a tonne of argon."""
    model = build([load("ess-ar", SHARP | {"target.mass": 1000})], ["radius.ee"])
    intervals = scan_1d(model, Axis("radius.ee")).intervals
    np.testing.assert_allclose(intervals, [[-45.1, -44.0], [-0.6, 0.6]], atol=0.05)


MODELS = [
    (["ess-csi"], ["strength"], {}, {}),
    (["ess-csi"], ["nsi.u.ee"], {}, {}),
    (["ess-csi"], ["nsi.d.mumu"], {"target.mass": 3000}, {}),
    (["ess-ar"], ["radius.ee"], {"target.mass": 1000}, SHARP),
    (["ess-ge"], ["radius.mumu"], {}, {"analysis.statistic": "on-off"}),
    (["ess-si"], ["radius.emu"], {}, {}),
    (["ess-xe"], ["moment.numu"], {}, {}),
    (["ess-c3f8"], ["nsi.u.emu"], {"target.mass": 500}, SHARP),
    (["ess-csi", "ess-ar"], ["nsi.u.mumu"], {"target.mass": 200}, {}),
    (["ess-csi"], ["nsi.u.ee", "nsi.u.mumu"], {}, {}),
    (["ess-csi"], ["nsi.u.ee", "nsi.u.emu"], {"target.mass": 5000}, SHARP),
    (["ess-ar"], ["radius.ee", "radius.mumu"], {"target.mass": 1000}, SHARP),
    (["ess-xe-ar"], ["moment.nue", "nsi.u.ee"], {}, {"analysis.statistic": "on-off"}),
    (["ess-si", "ess-ge"], ["nsi.u.mumu", "strength"], {"target.mass": 300}, {}),
    (["ess-csi"], ["nsi.u.ee", "nsi.d.ee"], {}, {}),
    (["ess-csi"], ["sin2w", "radius.emu"], {}, {}),
]


@pytest.mark.parametrize("thrown", [False, True])
@pytest.mark.parametrize(("names", "free", "mass", "settings"), MODELS)
def test_any_grid_and_range(names, free, mass, settings, thrown):
    """Fails if intervals depend on the points or the range, or points of a fine grid differ."""
    model = build([load(name, mass | settings) for name in names], free)
    data = model.asimov()
    if thrown:
        rng = np.random.default_rng(5)
        counts, off = (rng.poisson(n).astype(float) for n in (data.counts, data.off))
        data = Data(counts, off, data.centre)
    name, i = free[0], 0
    first = scan_1d(model, Axis(name, points=2001), data=data)
    assert len(first.intervals) >= 1
    low, high = first.intervals[0][0], first.intervals[-1][1]
    width = high - low
    inside = np.zeros(first.x.shape, bool)
    for a, b in first.intervals:
        inside |= (first.x >= a) & (first.x <= b)
    height = first.delta_chi2 - first.threshold
    clear = (np.abs(height) > 1e-6) & ~np.isin(first.x, first.intervals)
    np.testing.assert_array_equal(inside[clear], height[clear] < 0)
    for below, above, points in ((0.3, 0.1, 2), (0.01, 77.7, 3), (41.0, 0.01, 4)):
        axis = Axis(
            name,
            max(low - below * width, model.lower[i], -1e6),
            min(high + above * width, model.upper[i], 1e6),
            points,
        )
        again = scan_1d(model, axis, data=data).intervals
        np.testing.assert_allclose(again, first.intervals, rtol=1e-6, atol=1e-6 * width)


@pytest.mark.parametrize("name", ["ess-ar", "ess-csi", "ess-ge"])
def test_best_fit_is_never_outside(name):
    """Fails if a region has no interval about the best fit, in a range of two points."""
    model = build([load(name)], ["nsi.u.ee", "nsi.u.mumu"])
    rng = np.random.default_rng(11)
    asimov = model.asimov()
    for _ in range(10):
        counts = rng.poisson(asimov.counts).astype(float)
        data = Data(counts, asimov.off, asimov.centre)
        scan = scan_1d(model, Axis("nsi.u.ee", -30.0, 20.0, 2), 0.001, data)
        assert any(a <= scan.best <= b for a, b in scan.intervals)


def test_interval_narrower_than_rounding_of_the_range():
    """Fails if an interval is lost in the greatest range that may be given."""
    model = build([load("ess-csi", SHARP | {"target.mass": 1e4})], ["nsi.u.ee"])
    own = scan_1d(model, Axis("nsi.u.ee")).intervals
    wide = scan_1d(model, Axis("nsi.u.ee", -1e6, 1e6, 2)).intervals
    np.testing.assert_allclose(wide, own, rtol=1e-6)


def test_both_ends_of_the_range():
    """Fails if a region that goes on beyond both ends does not say so, or a bound is one."""
    model = build([load("ess-ar")], ["sin2w"])
    scan = scan_1d(model, Axis("sin2w", SIN2_THETA_W - 1e-3, SIN2_THETA_W + 1e-3, 2))
    assert scan.intervals == ((scan.x[0], scan.x[-1]),)
    assert scan.clipped
    upper = scan_1d(model, Axis("sin2w", SIN2_THETA_W, 0.5, 3))
    assert upper.intervals[0][0] == SIN2_THETA_W
    assert upper.clipped
    assert not scan_1d(model, Axis("sin2w", 0.0, 1.0, 3)).clipped
    bound = scan_1d(build([load("ess-ar")], ["moment.numu"]), Axis("moment.numu", 0.0, 200.0, 2))
    assert bound.intervals[0][0] == 0
    assert not bound.clipped


def test_end_at_a_bound_where_the_rate_jumps():
    """Fails if sin²θ_W = 0 is no end of the region, where a profiled radius has no limit."""
    model = build([load("ess-csi")], ["sin2w", "radius.emu"])
    ((low, high),) = scan_1d(model, Axis("sin2w")).intervals
    ((_, alone),) = scan_1d(build([load("ess-csi")], ["sin2w"]), Axis("sin2w")).intervals
    assert low == 0
    assert high == pytest.approx(alone, rel=1e-6)  # a transition adds to the rate
