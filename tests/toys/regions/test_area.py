"""Regions in a plane by toys: known levels, exact pure counts, fine grids by hand."""

import numpy as np
import pytest
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction, Statistic
from nuspill.toys.counts.model import Data, Model, Section
from nuspill.toys.counts.parameter import Parameter
from nuspill.toys.counts.polynomial import Polynomial
from nuspill.toys.regions.area import area_below, bilinear
from nuspill.toys.regions.region import region
from nuspill.toys.scan.outline import threshold
from nuspill.toys.scan.plane import everywhere
from scipy.special import xlogy
from scipy.stats import poisson


def two_counts(signal, background, counts, ends, points):
    """A construction of two counts n_i ~ Poisson(μ_i s + b), in the plane of μ_1 and μ_2."""
    names = ("mu.one", "mu.two")
    first, second = (Polynomial.variable(i, 2) for i in range(2))
    expected = first * np.array([signal, 0.0]) + second * np.array([0.0, signal])
    expected = expected + np.full(2, background)
    zeros = np.zeros(2)
    model = Model(
        tuple(Parameter(name, "", name, 0.0, default=1.0) for name in names),
        (), expected, 2, np.ones(2), zeros, zeros,
        (Section("counts", slice(0, 2), None, np.arange(3.0)),),
    )  # fmt: skip
    data = Data(np.array([counts], float), zeros[None], zeros[None])
    axes = tuple((name, np.linspace(*ends, points)) for name in names)
    return Construction(model, axes, Ensemble(), 1, data)


def q_of(mu, n, signal, background):
    """Closed form of q of one count at μ, with μ at least 0: arrays broadcast."""

    def deviance(expected):
        return 2 * (expected - n + xlogy(n, n / expected))

    best = np.maximum(n, background)
    return deviance(mu * signal + background) - deviance(best)


def large():
    """A plane of two large counts."""
    return two_counts(100.0, 50.0, (160, 140), (0.4, 1.8), 8)


def test_a_level_that_is_the_same_everywhere():
    """Fails if the area is not that of q in closed form on a fine grid, to 0.2 %."""
    c, level = large(), threshold(0.9, 2)
    area = area_below(c, c.data, everywhere(level), level)
    mu = np.linspace(0.4, 1.8, 2001)
    q = q_of(mu, 160, 100, 50)[None] + q_of(mu, 140, 100, 50)[:, None]
    assert area.area == pytest.approx(np.mean(q < level) * 1.4**2, rel=2e-3)
    assert not area.clipped


def test_a_level_between_points():
    """Fails if the region of critical values on a grid is not that of their bilinear values."""
    c = large()
    x = c.axes[0][1]
    values = 3 + 2 * x[None] + np.sin(5 * x)[:, None]
    area = area_below(c, c.data, bilinear((x, x), values), float(values.max()))
    mu = np.linspace(0.4, 1.8, 2001)
    q = q_of(mu, 160, 100, 50)[None] + q_of(mu, 140, 100, 50)[:, None]
    level = 3 + 2 * mu[None] + np.interp(mu, x, np.sin(5 * x))[:, None]
    assert area.area == pytest.approx(np.mean(q < level) * 1.4**2, rel=2e-3)


def test_bilinear_slopes():
    """Fails if the slopes of a level between points are not its differences."""
    rng = np.random.default_rng(2)
    x, y = np.array([0.0, 0.3, 1.0]), np.array([-1.0, 0.5, 2.0, 2.5])
    at = bilinear((x, y), rng.random((4, 3)))
    px, py = rng.uniform(0.01, 0.99, 50), rng.uniform(-0.99, 2.49, 50)
    step = 1e-7
    _, slopes = at(px, py)
    np.testing.assert_allclose(
        slopes[0], (at(px + step, py)[0] - at(px - step, py)[0]) / 2e-7, atol=1e-6
    )
    np.testing.assert_allclose(
        slopes[1], (at(px, py + step)[0] - at(px, py - step)[0]) / 2e-7, atol=1e-6
    )


def test_beside_points_without_toys():
    """Fails if the region is found where there were no toys, or is lost elsewhere."""
    c = large()
    toys = [c.toys(k, 0, 0 if c.points[k, 0] > 1.3 else 4000) for k in range(len(c.points))]
    found = region(c, toys, 0.9).by_toys
    right = max(line[:, 0].max() for line in found.contours)
    assert 1.0 < right <= 1.21  # the grid's points are at 1.2 and 1.4
    assert region(c, [Statistic(np.empty(0), 0)] * len(c.points), 0.9).by_toys.area == 0


@pytest.mark.parametrize("points", [5, 12])
def test_areas_do_not_depend_on_the_grid(points):
    """Fails if the area of large counts by toys is not that of a fine grid, within its toys."""
    c = two_counts(100.0, 50.0, (160, 140), (0.4, 1.8), points)
    found = region(c, [c.toys(k, 0, 4000) for k in range(len(c.points))], 0.9)
    level = threshold(0.9, 2)
    assert found.by_toys.area == pytest.approx(found.wilks.area, rel=0.03)
    mu = np.linspace(0.4, 1.8, 2001)
    q = q_of(mu, 160, 100, 50)[None] + q_of(mu, 140, 100, 50)[:, None]
    assert found.wilks.area == pytest.approx(np.mean(q < level) * 1.4**2, rel=2e-3)


@pytest.mark.parametrize(("counts", "end"), [((3, 1), 12.0), ((0, 0), 2.5), ((4, 2), 12.0)])
def test_pure_counts_are_exact(counts, end):
    """Fails if the region is not that of p-values summed over all outcomes, to 1 % of the area.

    By hand in 160 x 160 cells up to an end; ours is from one of 3 points or of 6 up to 12.
    """
    signal, background, cl = 1.0, 1.0, 0.9
    mu = np.linspace(0, end, 161)
    middle = (mu[1:] + mu[:-1]) / 2
    n = np.arange(60)
    q = q_of(middle[:, None], n, signal, background)  # (points, outcomes)
    chance = poisson.pmf(n, middle[:, None] * signal + background)
    seen = q[:, counts[0]][None] + q[:, counts[1]][:, None]
    p = np.empty(seen.shape)
    for j in range(len(middle)):
        for i in range(len(middle)):
            far = q[i][None] + q[j][:, None] >= seen[j, i] - 1e-9
            p[j, i] = (chance[i][None] * chance[j][:, None] * far).sum()
    expected = np.count_nonzero(p > 1 - cl) * (middle[1] - middle[0]) ** 2
    for points in (3, 6):
        c = two_counts(signal, background, counts, (0.0, 12.0), points)
        found = region(c, [Statistic(np.empty(0), 0)] * len(c.points), cl)
        assert found.exact is not None
        assert found.by_toys.area == pytest.approx(expected, rel=0.01)
        assert not found.by_toys.clipped  # 0 is the bound of the parameters themselves
