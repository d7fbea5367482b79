"""Regions of a plane: islands, bands and rings that are narrower than any grid."""

import numpy as np
import pytest
from nuspill import load
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data, Model
from nuspill.toys.counts.parameter import Parameter
from nuspill.toys.counts.polynomial import Polynomial
from nuspill.toys.scan.line import line
from nuspill.toys.scan.outline import threshold
from nuspill.toys.scan.profile import Profile
from nuspill.toys.scan.scan import Axis, scan_1d, scan_2d
from scipy.stats import chi2

PLANE = ("nsi.u.ee", "nsi.u.mumu")
LEVEL = threshold(0.9, 2)


def counts_alone(terms, truth):
    """Two bins of counts without nuisance parameters, as a function of a and b."""
    none = np.zeros(2)
    return Model(
        parameters=(Parameter("a", "", "a"), Parameter("b", "", "b")),
        nuisances=(),
        expected=Polynomial({powers: np.asarray(v) + none for powers, v in terms.items()}),
        bins=2,
        truth=np.asarray(truth, float),
        tau=none,
        background=none,
        sections=(),
    )


@pytest.mark.parametrize("number", [1e4, 1e6, 1e9])
@pytest.mark.parametrize("points", [2, 5, 40])
def test_four_islands(number, points):
    """Fails if one of four islands is lost, down to 1e-4 of the plane, or their area is wrong.

    The rates are N a² and N b²: near each of (±1, ±1), Δχ² is 4 N of the distance squared.
    """
    model = counts_alone({(2, 0): [number, 0], (0, 2): [0, number]}, (1.0, 1.0))
    scan = scan_2d(model, (Axis("a", -3, 4, points), Axis("b", -2, 5, points)))
    assert len(scan.contours) == 4
    assert scan.area == pytest.approx(np.pi * LEVEL / number, rel=5e-3)
    assert scan.region.error < 2e-3 * scan.area
    assert not scan.region.untold
    assert not scan.clipped
    centres = sorted(tuple(np.round(line.mean(axis=0), 1)) for line in scan.contours)
    assert centres == [(-1, -1), (-1, 1), (1, -1), (1, 1)]


@pytest.mark.parametrize("ends", [(None, None), (-3.0, 2.0)])
def test_narrow_band_across_the_plane(ends):
    """Fails if a band a thousand times as long as wide falls to pieces.

    In u = a + b and v = a − b, of Jacobian 2, the region is an ellipse.
    """
    n, m, slope = 1e8, 1e6, 0.01
    terms = {(0, 0): [n, m], (1, 0): [n, slope * m], (0, 1): [n, -slope * m]}
    model = counts_alone(terms, (0.0, 0.0))
    scan = scan_2d(model, (Axis("a", *ends, 3), Axis("b", *ends, 2)))
    assert len(scan.contours) == 1
    exact = np.pi * LEVEL / (np.sqrt(n) * np.sqrt(m) * slope) / 2
    assert scan.area == pytest.approx(exact, rel=3e-3)


@pytest.mark.parametrize(("mass", "error"), [(10.0, 0.003), (1000.0, 0.003), (2e4, 0.02)])
def test_ring_of_one_bin(mass, error):
    """Fails if a narrow ring between two ellipses has gaps, or its area is off by its error.

    Its area is in proportion to the width in strength, as in `test_area_of_one_bin`.
    """
    settings = {"target.mass": mass, "analysis.signal_uncertainty": 0.0}
    experiment = load("ess-ar", settings | {"analysis.background_uncertainty": 0.0}, preset="paper")
    one = build([experiment], ["strength"])
    ((low, high),) = scan_1d(one, Axis("strength"), chi2.cdf(LEVEL, 1)).intervals
    model = build([experiment], PLANE)
    quadratic = {powers: float(np.sum(c)) for powers, c in model.expected.terms.items()}
    ee, mumu = quadratic[2, 0], quadratic[0, 2]
    signal = quadratic[1, 0] ** 2 / (4 * ee) + quadratic[0, 1] ** 2 / (4 * mumu)
    exact = np.pi * signal / np.sqrt(ee * mumu) * (high - low)
    scan = scan_2d(model, (Axis(PLANE[0], -1, 1, 4), Axis(PLANE[1], -1, 1, 3)))
    assert scan.area == pytest.approx(exact, rel=error)
    assert abs(scan.area - exact) < scan.region.error
    assert len(scan.contours) == 2


@pytest.mark.parametrize(
    ("names", "free", "settings"),
    [
        (["ess-csi"], PLANE, {}),
        (["ess-csi"], ("nsi.u.ee", "nsi.d.ee"), {}),
        (["ess-csi", "ess-ar"], PLANE, {"target.mass": 100}),
        (["ess-xe"], ("moment.numu", "sin2w"), {}),
        (["ess-ge"], ("moment.nue", "nsi.d.mumu"), {"target.mass": 2000}),
        (["ess-ge"], ("nsi.d.mumu", "radius.ee"), {"analysis.statistic": "on-off"}),
    ],
)
def test_area_by_slices(names, free, settings):
    """Fails if an area is not the integral of the lengths of its slices, or hangs on the grid."""
    model = build([load(name, settings) for name in names], list(free))
    scan = scan_2d(model, (Axis(free[0]), Axis(free[1])))
    slices, total = 60, 0.0
    corners = np.concatenate(scan.contours)
    (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0)
    full = Profile(model, free)
    angle = (np.arange(slices) + 0.5) * np.pi / slices
    for x, weight in zip(-np.cos(angle), np.sin(angle), strict=True):
        fixed = model.fixed({free[0]: 0.5 * (left + right) + 0.5 * (right - left) * x})
        keep = [i for i, name in enumerate(model.names) if name != free[0]]
        data = Data(full.data.counts, full.data.off, full.data.centre[:, keep])
        profile = Profile(fixed, [free[1]], data)
        above = full.minimum + scan.threshold - profile.minimum
        if above > 0:
            along = line(profile, low, high, above)
            total += weight * sum(b - a for a, b in along.intervals)
    total *= 0.5 * (right - left) * np.pi / slices
    assert scan.area == pytest.approx(total, rel=5e-3)
    axes = (
        Axis(name, max(a - 0.2 * (b - a), lower), b + 0.7 * (b - a), 3)
        for name, a, b, lower in zip(
            free, corners.min(axis=0), corners.max(axis=0), model.lower, strict=False
        )
    )
    assert scan_2d(model, tuple(axes)).area == pytest.approx(scan.area, rel=2e-3)


def test_clipped_between_points():
    """Fails if a region that leaves the plane between the points of the grid does not say so."""
    number = 1e6
    model = counts_alone({(2, 0): [number, 0], (0, 2): [0, number]}, (1.0, 1.0))
    axes = Axis("a", 0.0, 1.0, 2), Axis("b", 0.3, 4.0, 2)
    scan = scan_2d(model, axes)
    assert scan.clipped
    assert scan.area == pytest.approx(np.pi * LEVEL / number / 8, rel=5e-3)
    moment = build([load("ess-ar")], ["moment.numu", "sin2w"])
    bound = scan_2d(moment, (Axis("moment.numu", 0.0, 50.0, 3), Axis("sin2w", 0.0, 1.0, 4)))
    assert not bound.clipped
