"""Scans on the Asimov data: valleys, areas, intervals, and the paper's limits."""

import numpy as np
import pytest
from iminuit import Minuit
from nuspill import ExperimentError, load
from nuspill.generator.constants import SIN2_THETA_W
from nuspill.generator.coupling import structure_couplings
from nuspill.reco.cluster.workers import Here
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.template import templates
from nuspill.toys.fit.likelihood import Chi2
from nuspill.toys.scan.outline import threshold
from nuspill.toys.scan.profile import Profile
from nuspill.toys.scan.scan import Axis, scan_1d, scan_2d
from scipy.optimize import brentq
from scipy.stats import chi2

FEW = {"analysis.edges": [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 46.1]}
PLANE = ("nsi.u.ee", "nsi.u.mumu")


@pytest.fixture(scope="module")
def argon():
    """One bin, one nucleus: N = a_e (1 + ε_ee/R)² + a_μ (1 + ε_μμ/R)², (4.8)."""
    experiment = load("ess-ar", preset="paper")
    (nucleus,) = experiment.target.nuclei
    z, n = nucleus.z, nucleus.n
    r = (z * (0.5 - 2 * SIN2_THETA_W) - n / 2) / (2 * z + n)
    rate = {}
    for (flavour, _, structure), counts in templates(experiment).signal.items():
        g = structure_couplings(experiment.interaction, flavour)[structure]
        rate[flavour] = rate.get(flavour, 0.0) + g * counts.sum()
    return experiment, r, rate["nue"], rate["numu"] + rate["numubar"]


def test_valley_of_one_bin(argon):
    """Fails if χ² is not 0 all along the ellipse of (4.8), with the rates of the flavours."""
    experiment, r, a_e, a_mu = argon
    profile = Profile(build([experiment], PLANE), PLANE)
    phi = np.linspace(0, 2 * np.pi, 200)
    total = a_e + a_mu
    ee = -r + r * np.sqrt(total / a_e) * np.cos(phi)
    mumu = -r + r * np.sqrt(total / a_mu) * np.sin(phi)
    assert np.abs(profile(ee, mumu)).max() < 1e-9
    assert profile.failed == 0
    assert a_mu / a_e == pytest.approx(2, rel=0.1)  # as (4.8) has it
    off = profile(np.array([-r]), np.array([-r]))  # no signal at all
    assert off[0] > 50


def test_area_of_one_bin(argon):
    """Fails if the region is not the ring between two ellipses, whose area is known."""
    experiment, r, a_e, a_mu = argon
    level = threshold(0.9, 2)
    strength = scan_1d(build([experiment], ["strength"]), Axis("strength"), chi2.cdf(level, 1))
    ((low, high),) = strength.intervals
    assert strength.threshold == pytest.approx(level)
    exact = np.pi * r**2 * (a_e + a_mu) / np.sqrt(a_e * a_mu) * (high - low)
    scan = scan_2d(build([experiment], PLANE), (Axis(PLANE[0]), Axis(PLANE[1])))
    assert scan.failed == 0
    assert not scan.clipped
    assert len(scan.contours) == 2  # outer ellipse and hole
    assert scan.area == pytest.approx(exact, rel=0.01)
    for line in scan.contours:
        np.testing.assert_array_equal(line[0], line[-1])
        strengths = a_e * (1 + line[:, 0] / r) ** 2 + a_mu * (1 + line[:, 1] / r) ** 2
        strengths /= a_e + a_mu
        edge = high if np.median(strengths) > 1 else low
        np.testing.assert_allclose(strengths, edge, atol=0.01)


def test_finer_grid_same_area():
    """Fails if the area of CsI's pieces hangs on the grid."""
    model = build([load("ess-csi", FEW)], PLANE)
    areas = [
        scan_2d(model, (Axis(PLANE[0], -0.4, 0.8, n), Axis(PLANE[1], -0.4, 0.8, n))).area
        for n in (151, 451)
    ]
    assert areas[0] == pytest.approx(areas[1], rel=0.02)


@pytest.mark.parametrize("name", ["ess-ar", "ess-csi"])
@pytest.mark.parametrize("parameter", ["sin2w", "nsi.d.mumu", "moment.numu"])
def test_interval_against_iminuit(name, parameter):
    """Fails if an end of an interval is not where iminuit's profile crosses the threshold."""
    model = build([load(name, FEW if name == "ess-csi" else {})], [parameter])
    scan = scan_1d(model, Axis(parameter))
    cost = Chi2(model, model.asimov())

    def profile(x):
        minuit = Minuit(
            cost, np.append(x, np.zeros(model.variables - 1)), grad=cost.gradient, name=model.names
        )
        minuit.fixed[parameter] = True
        minuit.tol = 1e-4
        minuit.migrad()
        return minuit.fval - scan.threshold

    assert scan.threshold == pytest.approx(2.7055, abs=1e-4)
    for low, high in scan.intervals:
        step = 0.02 * (high - low)
        for end in (low, high):
            if parameter == "moment.numu" and end == 0:  # its bound
                continue
            found = brentq(profile, end - step, end + step, xtol=1e-9)
            assert end == pytest.approx(found, rel=1e-5)


def test_two_intervals():
    """Fails if the mirror image of the truth, disconnected from it, is not found."""
    model = build([load("ess-ar")], ["nsi.u.mumu"])
    scan = scan_1d(model, Axis("nsi.u.mumu"))
    assert len(scan.intervals) == 2
    (a, b), (c, d) = scan.intervals
    assert a < 0 < b < c < d
    narrow = scan_1d(model, Axis("nsi.u.mumu", -3.0, 3.0, 23))  # points 0.27 apart
    np.testing.assert_allclose(narrow.intervals, scan.intervals, rtol=1e-6)
    wide = scan_1d(build([load("ess-ar")], ["nsi.u.mumu"]), Axis("nsi.u.mumu", 0.2, 0.25))
    assert len(wide.intervals) <= 1  # of the region, what is in the range


def test_interval_between_coarse_points():
    """Fails if an interval narrower than the step of the scan is lost."""
    experiment = load("ess-csi", FEW | {"analysis.signal_uncertainty": 0.0})
    model = build([experiment], ["nsi.u.ee"])
    fine = scan_1d(model, Axis("nsi.u.ee"))
    coarse = scan_1d(model, Axis("nsi.u.ee", -1.03, 1.01, 41))
    assert len(fine.intervals) >= 1
    np.testing.assert_allclose(coarse.intervals, fine.intervals, rtol=1e-6, atol=1e-9)


def test_profiled_is_not_wider_than_by_brute_force():
    """Fails if profiling over a second parameter misses its best value at some point."""
    model = build([load("ess-csi", FEW)], PLANE)
    x = np.linspace(-0.3, 0.6, 19)
    ours = Profile(model, [PLANE[0]])(x)
    y = np.linspace(-1.0, 1.0, 401)
    plane = Profile(model, PLANE)(*(a.ravel() for a in np.meshgrid(x, y))).reshape(401, 19)
    assert np.all(ours <= plane.min(axis=0) + 1e-6)
    assert np.all(ours >= plane.min(axis=0) - 0.3)


def test_combination():
    """Fails if pulls that are common limit no more than pulls apart, or add less than one alone."""
    names = ("ess-csi", "ess-ar")
    one, two = (load(n, FEW if n == "ess-csi" else {}) for n in names)
    own = two.replace(**{"analysis.signal_pull": "other"})

    def width(*experiments):
        ((low, high),) = scan_1d(build(experiments, ["sin2w"]), Axis("sin2w")).intervals
        return high - low

    assert width(one, own) < min(width(one), width(two))
    assert width(one, own) < width(one, two) * 0.95  # 10 % twice, or 10 % in common
    assert width(one, two) < max(width(one), width(two))


@pytest.mark.parametrize("name", ["ess-ar", "ess-c3f8", "ess-csi", "ess-ge", "ess-xe"])
def test_sin2w_of_the_paper(name, reference):
    """Fails if a limit of Table 3 is 8 % off what is printed, or 1.5 % off the one computed apart.

    Rounding of the printed number apart.
    """
    table = reference("table3")
    ((low, high),) = scan_1d(
        build([load(name, preset="paper")], ["sin2w"]), Axis("sin2w")
    ).intervals
    found = np.array([SIN2_THETA_W - low, high - SIN2_THETA_W])
    printed, computed = (
        np.array(table["sin2w"][name]),
        np.array(reference("table3_computed")["sin2w"][name]),
    )
    assert np.all(np.abs(found - printed) < 0.08 * printed + 0.0005)
    np.testing.assert_allclose(found, computed, rtol=0.015)


@pytest.mark.parametrize("name", ["ess-ar", "ess-csi"])
@pytest.mark.parametrize("entry", ["ee", "mumu"])
def test_radii_of_the_paper(name, entry, reference):
    """Fails if a charge radius, the two others marginalised, is not as computed apart.

    Within 1 % of the width, 60 to 90.
    """
    free = [f"radius.{entry}", *(f"radius.{e}" for e in ("ee", "mumu", "emu") if e != entry)]
    scan = scan_1d(build([load(name, preset="paper")], free), Axis(free[0], points=101))
    computed = reference("table3_computed")[f"radius.{entry}"][name]
    assert scan.failed == 0
    found = [scan.intervals[0][0], scan.intervals[-1][1]]
    assert found == pytest.approx(computed, abs=0.01 * (computed[1] - computed[0]))


def test_threads():
    """Fails if a scan depends, by a bit, on the number of threads."""
    model = build([load("ess-csi", FEW)], PLANE)
    axes = Axis(PLANE[0], -0.3, 0.6, 61), Axis(PLANE[1], -0.3, 0.6, 61)
    one, two = (scan_2d(model, axes, workers=Here(n)).delta_chi2 for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("cl", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_confidence_level(cl):
    """Fails if a level outside (0, 1) has a threshold."""
    with pytest.raises(ExperimentError, match="cl must be between 0 and 1"):
        threshold(cl, 1)


def test_parameter_that_data_do_not_limit(argon):
    """Fails if an endless range is made where profiling undoes every limit."""
    experiment = argon[0]
    model = build([experiment], ["nsi.u.ee", "nsi.d.ee"])
    with pytest.raises(ExperimentError, match="the data do not limit it"):
        scan_1d(model, Axis("nsi.u.ee"))
    scan = scan_1d(model, Axis("nsi.u.ee", -5, 5, 51))
    assert np.abs(scan.delta_chi2).max() < 1e-6
    assert scan.intervals == ((-5, 5),)
