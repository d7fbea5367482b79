"""Sensitivity bands: against what is known of normally distributed counts."""

import numpy as np
import pytest
from nuspill.reco.cluster.workers import Here
from nuspill.toys.counts.problem import counting
from nuspill.toys.report.bands import SIGMAS, area, bands, outermost
from nuspill.toys.scan.outline import open_ends
from nuspill.toys.scan.scan import Axis
from scipy.stats import norm

SIGNAL, BACKGROUND = 2e4, 1e6
TOYS = 4000


@pytest.mark.parametrize("cl", [0.68, 0.9])
def test_of_normal_counts(cl):
    """Fails if limits of the k σ experiment are not at 1 ± z(cl) σ, k σ farther out."""
    model = counting([SIGNAL], [BACKGROUND], lower=-np.inf)
    sigma = np.sqrt(SIGNAL + BACKGROUND) / SIGNAL
    result = bands(model, [Axis("mu")], cl, TOYS, 3)
    z = norm.ppf((1 + cl) / 2)
    for k, (low, high) in zip(SIGMAS, result.limits, strict=True):
        error = 4 * sigma * np.sqrt(norm.cdf(k) * norm.sf(k) / TOYS) / norm.pdf(k)
        assert low == pytest.approx(1 + (k - z) * sigma, abs=error)
        assert high == pytest.approx(1 + (k + z) * sigma, abs=error)
    x = result.axes[0][1]
    seen = norm.cdf((x - 1) / sigma + z) - norm.cdf((x - 1) / sigma - z)
    assert result.held == pytest.approx(seen, abs=4 * 0.5 / np.sqrt(TOYS))
    assert not result.failed


def test_of_two_parameters():
    """Fails if areas do not grow with k, or the median's is not about that of the Asimov data."""
    from nuspill import build, load, scan_2d

    model = build([load("ess-csi", {"exposure.years": 1.0})], ["nsi.u.ee", "nsi.u.mumu"])
    axes = Axis("nsi.u.ee", -0.3, 0.7, 31), Axis("nsi.u.mumu", -0.2, 0.6, 31)
    result = bands(model, axes, 0.9, 100, 1)
    areas = result.areas
    assert np.all(np.diff(areas) > 0)
    asimov = scan_2d(model, axes, 0.9).area
    assert areas[0] < asimov < areas[-1]
    assert areas[2] == pytest.approx(asimov, rel=0.3)


def test_area_of_a_coarse_grid():
    """Fails if a ring that is narrower than the grid loses area."""
    from nuspill import build, load, scan_2d

    model = build([load("ess-csi")], ["nsi.u.ee", "nsi.u.mumu"])
    axes = Axis("nsi.u.ee", -0.4, 0.8, 41), Axis("nsi.u.mumu", -0.3, 0.7, 41)
    scan = scan_2d(model, axes, 0.9)
    ours = area([scan.x, scan.y], scan.delta_chi2.ravel(), scan.threshold)
    assert ours == pytest.approx(scan.area, rel=0.01)


def test_of_threads_and_seeds():
    """Fails if bands depend on threads, or not on the seed."""
    model = counting([30.0, 20.0], [50.0, 50.0], 0.1)
    axis = [Axis("mu", 0.0, 3.0, 31)]
    one, two, other = (
        bands(model, axis, 0.9, 200, s, Here(n)) for s, n in ((1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(one.delta_chi2, two.delta_chi2)
    assert not np.array_equal(one.delta_chi2, other.delta_chi2)


def test_limits_beyond_the_grid():
    """Fails if the end of a range passes as a limit, or a bound of the parameter as none."""
    model = counting([100.0], [100.0])
    x = np.linspace(0.0, 1.05, 22)
    q = ((x - np.array([[0.0], [0.9], [0.3], [3.0]])) / 0.14) ** 2
    ends = outermost(x, q - 1.0, open_ends(model, "mu", x))
    assert ends[0] == pytest.approx([0.0, 0.14], abs=0.02)
    assert ends[1] == pytest.approx([0.76, 1.04], abs=0.02)
    assert ends[2] == pytest.approx([0.16, 0.44], abs=0.02)
    assert np.all(np.isinf(ends[3]))
    narrow = bands(model, [Axis("mu", 0.8, 1.1, 31)], 0.9, 50, 1)
    assert np.isneginf(narrow.limits[2, 0])
    assert np.isposinf(narrow.limits[2, 1])
    assert narrow.as_json()["upper"][2] is None
