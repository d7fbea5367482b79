"""Sources: fail for a wrong flux, period or duty factor, or a source file that is not valid."""

import tomllib
from importlib import resources

import numpy as np
import pytest
from generator_formulas import PUBLISHED, ess
from generator_goodness import approx
from nuspill.generator.beam import COMPONENT, Source, shipped_sources
from nuspill.generator.coupling import PDG
from nuspill.generator.spectrum import PION_LINE
from pydantic import ValidationError

FLUX = PUBLISHED["flux"]


def shipped(name):
    text = (resources.files("nuspill.generator") / "sources" / f"{name}.toml").read_text()
    return Source(**tomllib.loads(text))


BEAMS = tuple(name for name in shipped_sources() if shipped(name).spectra is None)


def test_which_sources_are_shipped():
    assert set(shipped_sources()) == {*BEAMS, "leibstadt"}
    assert {"ess", "sns", "ess-28hz", "ess-2.5gev", "ess-3gev"} <= set(shipped_sources())


@pytest.mark.parametrize("name", shipped_sources())
def test_shipped_source_is_valid_and_bears_its_name(name):
    # a stray key, a missing unit or a window that does not fit makes this fail
    source = shipped(name)
    assert source.name == name
    assert source.pulse_width <= source.beam_window < source.period
    flavours = {"numu", "nue", "numubar"} if name in BEAMS else {"nuebar"}
    assert {f.name for f in source.flavours} == flavours


@pytest.mark.parametrize("name", BEAMS)
def test_protons_agree_with_power_and_energy(name):
    # power × 5 000 h / (energy × e), to the rounding of the published numbers
    source = shipped(name)
    joules = source.power * 1e6 * source.hours_per_year * 3600
    protons = joules / (source.proton_energy * 1e9 * 1.602176634e-19)
    assert source.protons == approx(protons, rel=0.004)


@pytest.mark.parametrize("name", ["ess", "sns"])
def test_published_flux(name):
    for flavour in shipped(name).flavours:
        assert flavour.per_year == approx(FLUX[name], rel=1e-9)


def duty_factor(source):
    """Part of the time in which the beam-on window is open."""
    return source.beam_window / source.period


def test_published_duty_factors():
    # 14 Hz × 2.8 ms without a tail, and 60 Hz × 10 µs
    assert duty_factor(ess()) == approx(FLUX["ess_duty_factor"], rel=1e-9)
    assert duty_factor(shipped("sns")) == approx(FLUX["sns_duty_factor"], rel=1e-9)
    assert duty_factor(shipped("ess")) == approx(14 * 2.81e-3, rel=1e-9)


def test_upgrades_are_the_ess_with_more_of_something():
    # protons and pulses double at 28 Hz; at a higher energy each proton makes more neutrinos
    base, fast = shipped("ess"), shipped("ess-28hz")
    assert fast.pulses_per_year == 2 * base.pulses_per_year
    assert fast.protons / fast.pulses_per_year == approx(base.protons / base.pulses_per_year)
    for name in ("ess-2.5gev", "ess-3gev"):
        upgrade = shipped(name)
        gain = upgrade.proton_energy / base.proton_energy
        assert upgrade.flavours[0].per_year == approx(gain * base.flavours[0].per_year)
        assert upgrade.power == approx(gain * base.power)


def test_fluence_at_the_detector():
    # N/(4π L²) per cm²: 1.671e15 a year at 20 m from the ESS
    source = ess()
    fluence = source.fluence_per_year(source.flavours[0])
    assert fluence == approx(8.4e22 / (4 * np.pi * 4e6), rel=1e-12)
    assert fluence == approx(1.671e15, rel=1e-3)


def test_protons_from_power_and_energy():
    # 5 MW at 2 GeV for 5 000 h: 2.809e23, published as 2.8e23
    source = Source(power=5.0, proton_energy=2.0)
    assert source.protons == approx(5e6 * 1.8e7 / (2e9 * 1.602176634e-19), rel=1e-12)
    assert source.protons == approx(2.8e23, rel=5e-3)


def test_given_protons_are_kept_as_published():
    assert Source(power=5.0, proton_energy=2.0, protons_per_year=2.8e23).protons == 2.8e23


@pytest.mark.parametrize("protons", [2.76e23, 2.86e23, 1e23, 5.6e23])
def test_protons_that_the_power_does_not_bring(protons):
    # 1 % is the rounding of published numbers; beyond it both keys are named
    with pytest.raises(ValidationError, match=r"source.power = 5 MW.*source.protons_per_year = "):
        Source(power=5.0, proton_energy=2.0, protons_per_year=protons)


def test_power_of_the_protons():
    # 1.15e23 protons of 0.94 GeV in 5 000 h; without an energy there is none
    source = Source(protons_per_year=1.15e23, proton_energy=0.94)
    joules = 1.15e23 * 0.94e9 * 1.602176634e-19
    assert source.beam_power == approx(joules / 1.8e7 / 1e6, rel=1e-12)
    assert ess().beam_power is None
    assert Source(power=2.0, proton_energy=2.0).beam_power == 2.0


@pytest.mark.parametrize(("energy", "number"), [(0.94, 0.08), (2.0, 0.3), (1.995, 0.3)])
def test_neutrinos_a_proton_by_energy(energy, number):
    # arXiv:1911.00762, section 2: both energies, and nothing between two targets
    assert Source(power=1.0, proton_energy=energy).neutrinos == number
    assert Source(power=1.0, proton_energy=energy, neutrinos_per_proton=0.1).neutrinos == 0.1
    assert Source(power=1.0, proton_energy=energy).flavours[0].per_year == approx(
        number * 1.8e13 / (energy * 1e9 * 1.602176634e-19)
    )


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"power": 1.0, "proton_energy": 1.3}, "1.3 GeV"),
        ({"power": 0.5, "proton_energy": 0.57}, "0.57 GeV"),
        ({"power": 5.0, "proton_energy": 2.03}, "2.03 GeV"),
        ({"protons_per_year": 1e23}, "not given"),
        (
            {"protons_per_year": 1e23, "spectra": {"nue": {"line": 3.0}}}, "not given",
        ),
    ],
)  # fmt: skip
def test_neutrinos_a_proton_that_nobody_knows(settings, shown):
    # the default for the ESS would be wrong by a factor at another energy
    message = rf"source.neutrinos_per_proton.*source.proton_energy is {shown}"
    with pytest.raises(ValidationError, match=message):
        Source(**settings)


def test_neutrinos_of_their_own_need_no_yield():
    spectra = {"nuebar": {"line": 3.0, "per_year": 1e27}}
    assert Source(protons_per_year=1.0, spectra=spectra).flavours[0].per_year == 1e27


def test_flux_at_the_detector():
    # neutrinos a cm² in a year are those of the seconds in which the source is on
    spectra = {"nuebar": {"line": 3.0, "flux": 2e13}}
    reactor = {"protons_per_year": 1.0, "spectra": spectra, "hours_per_year": 8000.0}
    pulses = {"repetition": 10.0, "pulse_width": 2e7}  # on for a fifth
    for settings, on in (({"steady": True}, 1.0), (pulses, 0.2)):
        source = Source(**reactor, **settings, distance=12.0)
        (nuebar,) = source.flavours
        assert source.fluence_per_year(nuebar) == approx(2e13 * 8000 * 3600 * on)
    far = Source(**source.changed({"distance": 24.0}))
    assert far.spectra["nuebar"].flux == approx(2e13 / 4)
    shorter = Source(**source.changed({"hours_per_year": 4000.0}))
    assert shorter.fluence_per_year(shorter.flavours[0]) == approx(2e13 * 4000 * 3600 * 0.2)
    assert shorter.spectra["nuebar"].flux == 2e13


def test_flux_goes_with_the_power():
    # twice the power is twice the flux, and the same flux for half the hours
    spectra = {"numu": {"line": 29.8, "flux": 1e7}}
    beam = Source(power=1.0, proton_energy=1.0, neutrinos_per_proton=0.1, spectra=spectra)
    assert Source(**beam.changed({"power": 2.0})).spectra["numu"].flux == approx(2e7)
    assert Source(**beam.changed({"hours_per_year": 2500})).spectra["numu"].flux == approx(1e7)


def test_prompt_neutrinos_of_a_measured_pulse():
    # a pulse of numu already holds the life of the pion
    assert Source(power=5.0, proton_energy=2.0).pion_life == approx(26.033)
    assert Source(power=5.0, proton_energy=2.0, pulse_of="numu").pion_life == 0.0


def test_window_of_a_tabulated_pulse():
    # the end of the shape, not that of a flat pulse which there is not
    shape = {"time": [0, 400, 1000], "intensity": [0, 1, 0]}
    assert ess(pulse_shape=shape).beam_window == 1000
    assert ess(pulse_shape=shape, window=6000.0).beam_window == 6000
    assert ess(pulse_shape=shape, pulse_width=500.0, window=6000.0).beam_window == 6000
    with pytest.raises(ValidationError, match=r"pulse_width = 500 .*source.pulse_shape, 1000 ns"):
        ess(pulse_shape=shape, pulse_width=500.0)


def test_a_change_of_nothing_changes_nothing():
    # bit for bit, also where numbers are published rounded
    for name in shipped_sources():
        source = shipped(name)
        given = {key: getattr(source, key) for key in ("power", "repetition", "pulse_width")}
        assert Source(**source.changed(given)) == source
        assert Source(**source.changed({"hours_per_year": source.hours_per_year})) == source
        assert Source(**source.changed({})) == source


def test_a_change_of_power_energy_and_hours():
    # protons are those of the file × power × hours / energy; neutrinos go by the energy
    given = {"power": 2.5, "hours_per_year": 2000.0, "proton_energy": 0.94}
    source = Source(**shipped("ess").changed(given))
    assert source.protons == approx(2.8e23 * 0.5 * 0.4 * 2 / 0.94, rel=1e-12)
    assert source.neutrinos == 0.08
    assert source.pulses_per_year == approx(2000 * 3600 * 14)


def test_pulses():
    # 14 Hz: 71.43 ms from pulse to pulse, 2.52e8 pulses and 208.3 days in 5 000 h
    source = ess(repetition=14.0)
    assert source.period == approx(71.428571e6, rel=1e-8)
    assert source.pulses_per_year == approx(2.52e8)
    assert source.days_per_year == approx(5000 / 24)
    assert source.period * source.pulses_per_year * 1e-9 == approx(5000 * 3600)


def test_flavours_of_decay_at_rest():
    # components 1, 2, 3; ν_μ after one life (pion), the others after two
    flavours = ess().flavours
    assert [(f.name, f.component, f.pdg, f.lives) for f in flavours] == [
        ("numu", 1, 14, 1), ("nue", 2, 12, 2), ("numubar", 3, -14, 2)
    ]  # fmt: skip
    assert flavours[0].spectrum.end_point == PION_LINE


def test_components_are_distinct_for_all_flavours():
    assert set(COMPONENT) == set(PDG)
    assert len(set(COMPONENT.values())) == len(PDG)
    assert (COMPONENT["numu"], COMPONENT["nue"], COMPONENT["numubar"]) == (1, 2, 3)
    assert max(COMPONENT.values()) < 10  # backgrounds begin there


def test_tabulated_spectra():
    # in the order of components, their own number of neutrinos, promptly
    source = ess(
        spectra={
            "nuebar": {"energy": [2, 8], "density": [1, 0], "per_year": 1e25},
            "nue": {"line": 0.9},
        }
    )
    nue, nuebar = source.flavours
    assert (nue.name, nuebar.name) == ("nue", "nuebar")
    assert nuebar.per_year == 1e25
    assert nue.per_year == approx(8.4e22)
    assert nue.spectrum.is_line
    assert nuebar.spectrum.moments(0.0)[0] == approx(1)
    assert nue.lives == nuebar.lives == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protons_per_year": None}, "protons_per_year, or both power and proton_energy"),
        ({"protons_per_year": None, "power": 5.0}, "both power and proton_energy"),
        ({"protons_per_year": -1.0}, "greater than 0"),
        ({"protons_per_year": float("nan")}, "finite"),
        ({"power": 0.0}, "greater than 0"),
        ({"distance": 0.0}, "greater than 0"),
        ({"neutrinos_per_proton": 0.0}, "greater than 0"),
        ({"hours_per_year": 9000.0}, "8784"),
        ({"pulse_width": 8e7}, "longer than the period"),
        ({"repetition": 400.0}, "longer than the period"),
        ({"watts": 5.0}, "Extra inputs"),
        ({"spectra": {}}, "not none"),
        ({"spectra": {"nux": {"line": 30.0}}}, "not nux"),
        ({"spectra": {"nue": {}}}, "give either"),
        ({"spectra": {"nue": {"line": 30.0, "energy": [1, 2], "density": [1, 1]}}}, "give either"),
        ({"spectra": {"nue": {"line": -3.0}}}, "greater than 0"),
        ({"spectra": {"nue": {"energy": [1, 2]}}}, "two columns"),
        ({"spectra": {"nue": {"energy": [2, 1], "density": [1, 1]}}}, "must increase"),
        ({"spectra": {"nue": {"energy": [1, 2], "density": [1, -1]}}}, "greater than or equal"),
        ({"pulse_shape": {"time": [0, 1], "intensity": [1]}}, "increasing times"),
        ({"pulse_shape": {"time": [0, 0], "intensity": [1, 1]}}, "increasing times"),
        ({"pulse_shape": {"time": [0], "intensity": [1]}}, "increasing times"),
        ({"pulse_shape": {"time": [0, 1], "intensity": [0, 0]}}, "increasing times"),
        ({"pulse_shape": {"time": [0, 1], "intensity": [1, -1]}}, "greater than or equal"),
    ],
)
def test_source_refuses(change, message):
    with pytest.raises(ValidationError, match=message):
        ess(**change)


def test_beam_window_fits_the_period():
    # otherwise the duty factor, a part of the time, is above one
    with pytest.raises(ValidationError, match="window"):
        ess(window=8e7)


def test_tabulated_pulse_fits_the_period():
    # as the flat one has to
    with pytest.raises(ValidationError, match="period"):
        ess(pulse_shape={"time": [0, 8e7], "intensity": [1, 1]})


def test_source_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        ess().distance = 10.0
