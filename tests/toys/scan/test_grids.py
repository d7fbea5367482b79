"""Grids of constructions: a point in every interval of the data, and regions that have them."""

import numpy as np
import pytest
from nuspill import Ensemble, load
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.regions.region import region
from nuspill.toys.scan.outline import threshold
from nuspill.toys.scan.scan import Axis, grids, scan_1d

LEVEL = threshold(0.9, 1)
SHARP = {
    "target.mass": 1000,
    "analysis.signal_uncertainty": 0.01,
    "analysis.background_uncertainty": 0,
}


@pytest.mark.parametrize(
    ("name", "free", "ends", "points", "settings"),
    [
        ("ess-csi", "strength", (0, 1000), 3, {}),
        ("ess-csi", "nsi.u.ee", (-1, 1), 2, {}),
        ("ess-csi", "nsi.u.ee", (-1, 1), 3, {}),
        ("ess-ar", "radius.ee", (-60, 1), 3, SHARP),
        ("ess-ge", "moment.numu", (0, 1000), 2, {}),
    ],
)
def test_every_interval_has_a_point(name, free, ends, points, settings):
    """Fails if a coarse grid has no point in an interval of the data, or more than it needs."""
    model = build([load(name, settings)], [free])
    axis = Axis(free, *map(float, ends), points)
    intervals = scan_1d(model, axis).intervals
    (x,) = grids(model, [axis], LEVEL, 101)
    assert np.all(np.isin(np.linspace(*ends, points), x))
    assert points <= len(x) <= points + len(intervals)
    for low, high in intervals:
        assert np.any((x >= low) & (x <= high))
    (fine,) = grids(model, [Axis(free)], LEVEL, 101)
    assert len(fine) == 101 or settings  # nothing is added to a grid that is fine enough


def test_plane_has_the_best_fit():
    """Fails if a coarse grid of a plane has no point near the best fit of data."""
    model = build([load("ess-csi")], ["nsi.u.ee", "nsi.u.mumu"])
    asimov = model.asimov()
    counts = np.random.default_rng(2).poisson(asimov.counts).astype(float)
    data = Data(counts, asimov.off, asimov.centre)
    axes = Axis("nsi.u.ee", -5.0, 5.0, 2), Axis("nsi.u.mumu", -5.0, 4.0, 2)
    x, y = grids(model, axes, threshold(0.9, 2), 51, data)
    assert len(x) <= 5
    c = Construction(model, (("nsi.u.ee", x), ("nsi.u.mumu", y)), Ensemble(), 1, data)
    assert c.delta_chi2.min() < 2.4


def test_region_of_a_coarse_grid():
    """Fails if a region by toys on two points says none, or loses the mirror image."""
    model = build([load("ess-csi")], ["nsi.u.ee"])
    data = model.asimov()
    (x,) = grids(model, [Axis("nsi.u.ee", -1.0, 1.0, 2)], LEVEL, 101, data)
    c = Construction(model, (("nsi.u.ee", x),), Ensemble(), 1, data)
    by_toys = region(c, (c.toys(k, 0, 400) for k in range(len(x))), 0.9)
    exact = scan_1d(model, Axis("nsi.u.ee")).intervals
    np.testing.assert_allclose(by_toys.wilks.intervals, exact, atol=1e-4)
    np.testing.assert_allclose(by_toys.by_toys.intervals, exact, atol=0.02)
