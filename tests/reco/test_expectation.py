"""Expected numbers: the paper's, the measurement's, and against integrals done otherwise."""

import numpy as np
import pytest
from nuspill import load, shipped_experiments
from nuspill.generator.constants import MUON_LIFETIME, PION_LIFETIME
from nuspill.generator.cross_section import recoil_factors, recoil_max
from nuspill.generator.rate import integral
from nuspill.reco.arrival import emission_times, window_shares
from nuspill.reco.expectation import (
    background_per_kg_day,
    expectations,
    rates,
    selected_signal,
    steady_background,
    truth_threshold,
)
from scipy.special import ndtr

TABLE1 = ("ess-csi", "ess-si", "ess-xe", "ess-ge", "ess-ar", "ess-c3f8")
FLAT = {"name": "b", "rate": 1.0, "total": True}


def recoil_spectrum(experiment, recoil):
    """dN/dT a year, 1/keV: as the project's, but with sums over 2e5 energies for its quadrature."""
    t, result = recoil * 1e-3, np.zeros_like(recoil)
    for flavour in experiment.source.flavours:
        spectrum = flavour.spectrum
        if not spectrum.is_line:
            energy = np.linspace(0.1, spectrum.end_point, 200_001)
            density = spectrum.density(energy) / energy ** np.arange(3)[:, None]
            areas = (density[:, 1:] + density[:, :-1]) / 2 * np.diff(energy)
            above = np.cumsum(np.pad(areas, ((0, 0), (0, 1)))[:, ::-1], axis=1)[:, ::-1]
        for nucleus in experiment.target.nuclei:
            nuclei = nucleus.per_kg * experiment.target.mass
            flux = flavour.per_year / (4 * np.pi * (100 * experiment.source.distance) ** 2)
            least = (t + np.sqrt(t**2 + 2 * t * nucleus.mass)) / 2
            if spectrum.is_line:
                moments = (least < spectrum.end_point) / spectrum.end_point ** np.arange(3)[:, None]
            else:
                moments = np.stack([np.interp(least, energy, row) for row in above])
            factors = recoil_factors(recoil, nucleus, experiment.interaction, flavour.name)
            result += nuclei * flux * np.sum(factors * moments, axis=0)
    return result


@pytest.mark.parametrize("name", TABLE1)
def test_table_1(name, reference):
    """Fails if the paper's choices give a rate more than 2.5 % off Table 1."""
    published = reference("table1")["rate"][name]
    assert rates(load(name, preset="paper"))["above_threshold"] == pytest.approx(
        published, rel=0.025
    )


@pytest.mark.parametrize(
    ("name", "preset", "ratio"),
    [
        ("ess-csi", "paper", 0.997),
        ("ess-si", "paper", 1.007),
        ("ess-xe", "paper", 1.020),
        ("ess-ar", "paper", 0.998),
        ("ess-ge", "paper-as-printed", 0.935),
        ("ess-c3f8", None, 1.09),
    ],
)
def test_what_does_not_agree_with_table_1(name, preset, ratio, reference):
    """Fails if a ratio to Table 1 is not the one computed apart from this project (rounding)."""
    published = reference("table1")["rate"][name]
    found = rates(load(name, preset=preset))["above_threshold"] / published
    assert found == pytest.approx(ratio, abs=0.005 if preset is None else 0.0011)


@pytest.mark.parametrize("name", TABLE1)
def test_natural_targets(name, reference):
    """Fails if natural isotopes move a rate by more than the paper's choices allow.

    Germanium 0.99 to 1.02 and C3F8 1.09 are stated; the others within 2.5 % as the preset.
    """
    found = rates(load(name))["above_threshold"] / reference("table1")["rate"][name]
    low, high = {"ess-ge": (0.99, 1.02), "ess-c3f8": (1.08, 1.10)}.get(name, (0.975, 1.025))
    assert low < found < high


@pytest.mark.parametrize("couplings", ["tree", "radiative"])
def test_the_measured_case(couplings, reference):
    """Fails if the SNS measurement is not expected within 3 % of the independent number."""
    numbers = reference("coherent2017")
    found = rates(load("sns-csi-2017", {"interaction.couplings": couplings}))["selected"]
    assert found == pytest.approx(numbers["computed"][couplings], rel=0.03)
    published = numbers["published"]
    assert abs(found - published["expected"]) < published["expected_error"]


def test_radiative_couplings():
    """Fails if flavours do not rise as (Z g_p + N g_n)² with the couplings of physics, part 7."""
    argon = [{"name": "Ar40", "z": 18, "n": 22, "mass": 39.95}]
    tree, radiative = (
        rates(load("ess-ar", {"target.material": argon, "interaction.couplings": c}))
        for c in ("tree", "radiative")
    )
    before = 18 * (0.5 - 2 * 0.23867) - 22 * 0.5
    for flavour, proton in (("nue", 0.0381), ("numu", 0.0298), ("numubar", 0.0298)):
        ratio = ((18 * proton - 22 * 0.5117) / before) ** 2
        assert radiative[flavour] / tree[flavour] == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize("name", TABLE1)
def test_ess_over_sns(name):
    """Fails if the ESS does not give 9 to 10 times the signal of the SNS at the same distance."""
    ratio = (
        rates(load(name))["above_threshold"] / rates(load(name, source="sns"))["above_threshold"]
    )
    assert 9 < ratio < 10


@pytest.mark.parametrize("name", TABLE1)
def test_steady_background(name, reference):
    """Fails if it is not rate × mass × range × days × duty factor, from Table 1's numbers alone."""
    table = reference("table1")["input"][name]
    experiment = load(name, {"windows.off_ratio": 2.0}, preset="paper")
    span = table["e_max"] - table["threshold"]
    if table["scale"] == "keV_ee" and name == "ess-ge":
        span *= table["factor"]
    elif table["scale"] == "keV_ee":
        span = 0.30 * table["e_max"] - 0.1108 * table["threshold"] ** 1.518
    if table.get("total"):
        span = 1.0
    expected = table["background"] * table["mass"] * span * 5000 / 24 * 0.0392
    on, off = steady_background(experiment)
    assert on == pytest.approx(expected, rel=1e-9)
    assert off == pytest.approx(2 * expected, rel=1e-9)
    printed = rates(experiment)
    assert (printed["steady_on"], printed["steady_off"]) == (on, off)


def test_beam_backgrounds_are_not_steady():
    """Fails if a background that comes with the beam, or is disabled, counts as steady."""
    given = [FLAT | {"name": "n", "timing": "prompt"}, FLAT | {"name": "off", "enabled": False}]
    experiment = load("ess-csi", {"background": given})
    assert steady_background(experiment) == (0, 0)
    found = rates(experiment)
    assert found["beam_background"] == pytest.approx(22.5 * 5000 / 24)
    assert found["figure_of_merit"] is None


def test_keys_of_rates():
    """Fails if a number that users of `nuspill rates` rely on has another name."""
    found = rates(load("ess-c3f8"))
    assert {
        "above_threshold", "numu", "nue", "numubar", "selected", "steady_on", "steady_off",
        "flux_averaged_cross_section_cm2",
    } <= set(found)  # fmt: skip
    parts = found["numu"] + found["nue"] + found["numubar"]
    assert parts == pytest.approx(found["above_threshold"])
    assert set(found["flux_averaged_cross_section_cm2"]) == {"C12", "C13", "F19"}
    assert found["figure_of_merit"] == pytest.approx(
        found["above_threshold"] / found["steady_on"] ** 0.5
    )


@pytest.mark.parametrize("name", ["ess-csi", "ess-si", "ess-c3f8"])
def test_rate_by_another_quadrature(name):
    """Fails if events above threshold differ by 1e-4 from sums over plain grids in E and T."""
    experiment = load(name)
    t = np.geomspace(experiment.detector.threshold, experiment.end_point, 20_001)
    expected = np.trapezoid(recoil_spectrum(experiment, t), t)
    assert rates(experiment)["above_threshold"] == pytest.approx(expected, rel=1e-4)


def selected_by_hand(experiment, recoil):
    """Probability to be selected, written out for the responses of the shipped experiments."""
    d = experiment.detector
    if d.resolution.model == "photoelectrons":
        from scipy.stats import poisson

        pe = np.arange(6, 31)
        accepted = 0.6655 / (1 + np.exp(-0.4942 * (pe - 10.8507)))
        mean = 13.348 * 0.0878 * recoil
        return poisson.pmf(pe[:, None], mean).T @ accepted
    if d.resolution.model == "gamma":
        from scipy.stats import gamma

        energy = 1e3 * np.polyval([*d.quenching.coefficients[::-1], 0.0], 1e-3 * recoil)
        form, pe = 1 + 9.56 * energy, np.linspace(7.0, 60.0, 801)
        curve = 1.32045 / (1 + np.exp(-0.285979 * ((pe[1:] + pe[:-1]) / 2 - 10.8646))) - 0.333322
        scale = 13.351 * energy / form
        below = gamma.cdf(pe, form[:, None], scale=scale[:, None])
        return np.diff(below, axis=1) @ np.clip(curve, 0.0, None)
    if d.efficiency.model == "table":  # argon at the SNS
        energy = (0.246 + 0.00078 * recoil)[:, None] * recoil[:, None]
        seen = np.linspace((0.246 + 0.00078 * 3.0) * 3.0, 120.0, 6001)
        curve = np.interp(seen, d.efficiency.energy, d.efficiency.efficiency)
        below = ndtr((seen - energy) / (0.58 * np.sqrt(energy)))
        return np.diff(below, axis=1) @ ((curve[1:] + curve[:-1]) / 2)
    if d.resolution.model == "none":
        return d.efficiency.plateau * (recoil >= d.threshold)
    if d.resolution.model == "fano":
        low, high, noise = {  # keV_ee
            "conus-plus-2025": (0.16, 0.8, 0.02038),
            "sns-ge-2024": (1.5, 8.5, 0.11),
            "sns-ge-2024-wide": (1.5, 10.5, 0.11),
        }[experiment.name]
        energy = d.electron_equivalent(recoil)
        sigma = np.sqrt(noise**2 + 0.11 * 2.96e-3 * energy)
        return ndtr((energy - low) / sigma) - ndtr((energy - high) / sigma)
    sigma = d.resolution.relative * np.sqrt(recoil * d.threshold)
    return d.efficiency.plateau * ndtr((recoil - d.threshold) / sigma)


@pytest.mark.parametrize("name", shipped_experiments())
def test_truth_threshold_loses_nothing(name):
    """Fails if more than 1e-4 of the selected events lie below the truth threshold.

    Nor may it lie so low that most events that are made could never be selected.
    """
    experiment = load(name)
    low = truth_threshold(experiment)
    assert low <= experiment.detector.threshold
    if experiment.detector.resolution.model == "none":
        below = np.geomspace(1e-5, low * (1 - 1e-9), 3000)
        assert low == pytest.approx(experiment.detector.threshold, rel=0.1)
    else:
        below = np.geomspace(1e-5, low, 3000)
        assert low > 0.05 * experiment.detector.threshold
    above = np.geomspace(low, experiment.end_point, 5000)
    lost, kept = (
        np.trapezoid(recoil_spectrum(experiment, t) * selected_by_hand(experiment, t), t)
        for t in (below, above)
    )
    assert lost < 1e-4 * (lost + kept)


def test_truth_threshold_depends_on_the_response_alone():
    """Fails if backgrounds or the running time change which recoils are made."""
    plain = truth_threshold(load("ess-csi"))
    given = {"background": [FLAT | {"rate": 1e6}], "exposure.years": 0.1, "windows.off_ratio": 3.0}
    assert truth_threshold(load("ess-csi", given)) == plain
    assert truth_threshold(load("ess-csi", {"exposure.truth_threshold": 0.2})) == 0.2


@pytest.mark.parametrize("name", shipped_experiments())
def test_selected_by_another_quadrature(name):
    """Fails if the accepted signal differs by 2e-4 from sums over a plain grid in T."""
    experiment = load(name)
    low = truth_threshold(experiment)
    t = np.geomspace(low, experiment.end_point, 20_001)
    expected = np.trapezoid(recoil_spectrum(experiment, t) * selected_by_hand(experiment, t), t)
    found = sum(selected_signal(experiment, low).values())
    assert found == pytest.approx(expected, rel=2e-4)


def test_sharp_region_of_a_bubble_chamber():
    """Fails if a region of an unsmeared energy is not integrated from edge to edge (to 1e-4)."""
    experiment = load("ess-c3f8", {"detector.region": [5.3, 21.7]})
    expected = 0.8 * sum(integral(c, 5.3, 21.7) for c in experiment.channels)
    found = sum(selected_signal(experiment, truth_threshold(experiment)).values())
    assert found == pytest.approx(expected, rel=1e-4)


def test_expectations_add_up():
    """Fails if windows do not add up to the total, or more is selected than there is."""
    given = [FLAT, FLAT | {"name": "n", "timing": "prompt"}]
    experiment = load("ess-csi", {"background": given, "detector.dead_time": 0.25})
    found = expectations(experiment)
    assert [e.component for e in found] == [1, 2, 3, 10, 11]
    for e in found:
        assert sum(e.in_window) == pytest.approx(e.total, rel=1e-12)
        assert e.selected[0] == 0.0
        assert all(s <= n * 0.75 + 1e-9 for s, n in zip(e.selected, e.in_window, strict=True))
    steady = found[3]
    assert steady.selected[1] == pytest.approx(0.75 * steady.in_window[1])
    per_day = background_per_kg_day(experiment, experiment.background[0])
    assert steady.in_window[1] == pytest.approx(
        per_day * 22.5 * 5000 / 24 * experiment.source.beam_window / experiment.source.period
    )


def test_emission_times():
    """Fails if means are not the lifetimes, or the median not the closed form's."""
    np.testing.assert_array_equal(emission_times(0), [0.0])
    assert emission_times(1).mean() == pytest.approx(PION_LIFETIME, rel=2e-3)
    assert emission_times(2).mean() == pytest.approx(PION_LIFETIME + MUON_LIFETIME, rel=2e-3)
    assert np.median(emission_times(1)) == pytest.approx(PION_LIFETIME * np.log(2), rel=1e-3)


PROFILE = {"time": [0.0, 100.0, 5000.0], "intensity": [0.0, 3.0, 1.0]}
SHARES = {
    "ess ν_μ": ("ess-csi", {}, None, 1, 0.0),
    "ess ν_e": ("ess-csi", {}, None, 2, 0.0),
    "ess early window": ("ess-ar", {}, None, 2, 0.0),
    "sns prompt": ("sns-csi-2017", {}, None, 1, 0.0),
    "sns delayed": ("sns-csi-2017", {}, None, 2, 0.0),
    "with the protons, late": ("sns-csi-2017", {}, None, 0, 5700.0),
    "short window": ("sns-csi-2017", {"windows.on_length": 700.0}, None, 1, 0.0),
    "smeared": ("sns-csi-2017", {"detector.time_resolution": 300.0}, None, 2, 0.0),
    "smeared, short": (
        "sns-csi-2017",
        {"detector.time_resolution": 300.0, "windows.on_length": 700.0},
        None,
        1,
        0.0,
    ),
    "tabulated pulse": ("sns-csi-2017", {"source.pulse_shape": PROFILE}, None, 2, 0.0),
    "tabulated background": ("sns-csi-2017", {}, "table", 0, 1500.0),
    "three periods late": ("sns-csi-2017", {}, None, 0, 3e9 / 60 + 1500.0),
    "before its pulse": ("sns-csi-2017", {"windows.off_start": 1.6e7}, None, 2, -6e5),
    "period of a few lives": (
        "sns-csi-2017",
        {
            "source.repetition": 3e5,
            "source.power": 1.0,
            "source.pulse_width": 500.0,
            "source.window": 700.0,
            "windows.on_length": 700.0,
            "windows.off_start": 2000.0,
            "windows.off_ratio": 1.7,
        },
        None,
        2,
        0.0,
    ),
    "leak into beam-off": ("sns-csi-2017", {"windows.off_start": 6000.0}, None, 2, 0.0),
}


@pytest.mark.parametrize("case", SHARES)
def test_window_shares(case):
    """Fails if parts in the windows are off a simulation with NumPy's generator by 5 σ (4e6)."""
    name, settings, timing, lives, delay = SHARES[case]
    given = [FLAT | {"timing": "table", "profile": PROFILE}]
    experiment = load(name, settings | {"background": given})
    rng = np.random.default_rng(20)
    n = 4_000_000
    if timing == "table" or experiment.source.pulse_shape is not None:
        t = np.linspace(0, 5000, 100_001)
        f = np.interp(t, PROFILE["time"], PROFILE["intensity"])
        cumulative = np.concatenate([[0], np.cumsum((f[1:] + f[:-1]) / 2)])
        time = np.interp(rng.random(n), cumulative / cumulative[-1], t)
    else:
        time = experiment.source.pulse_width * rng.random(n)
    if lives >= 1:
        time += PION_LIFETIME * rng.standard_exponential(n)
    if lives == 2:
        time += MUON_LIFETIME * rng.standard_exponential(n)
    time += delay
    time += experiment.detector.time_resolution * rng.standard_normal(n)
    w = experiment.beam_windows
    time = w.first + np.mod(time - w.first, w.period)
    on = np.mean((time >= w.on_start) & (time < w.on_stop))
    off = np.mean((time >= w.off_start) & (time < w.off_stop))
    expected = np.array([1 - on - off, on, off])
    found = window_shares(experiment, timing, lives, delay, experiment.background[0])
    error = np.sqrt(np.maximum(expected * (1 - expected), 1 / n) / n)
    np.testing.assert_array_less(np.abs(np.array(found) - expected) / error, 5.0)


def test_window_shares_of_steady_events():
    """Fails if steady background is not shared as the lengths of the windows."""
    experiment = load("ess-csi", {"windows.off_ratio": 3.0})
    duty = 2.81e6 * 14e-9
    found = window_shares(experiment, "steady", 0, 0.0)
    assert found == pytest.approx((1 - 4 * duty, duty, 3 * duty))


def test_end_point():
    """Fails if the largest recoil is not 2E²/(M + 2E) of the lightest nucleus."""
    experiment = load("ess-c3f8")
    lightest = 12.0 * 931.49410242 - 6 * 0.51099895
    assert experiment.end_point == pytest.approx(float(recoil_max(52.82918725, lightest)))
