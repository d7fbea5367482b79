"""Couplings: fail for a misprint of the paper taken over, a quark content or a flavour mixed up."""

import math

import numpy as np
import pytest
from generator_formulas import PUBLISHED, couplings, ess, table2_nucleus
from generator_goodness import approx
from nuspill.generator.coupling import (
    LEPTON,
    PDG,
    Coupling,
    Interaction,
    Matrix,
    Moment,
    Nsi,
    charge_radius_coupling,
    coupling,
    vector_couplings,
)
from nuspill.generator.rate import above, channels
from nuspill.generator.settings import setting
from nuspill.generator.target import NucleusSpec, Target
from pydantic import ValidationError

BEAM = ("numu", "nue", "numubar")
XENON = table2_nucleus("Xe")


def weak_charge_squared(interaction, flavour, nucleus=XENON):
    """𝒬² = 4 Σ_β |Z g_p + N g_n|²."""
    return 4 * sum(
        (nucleus.z * g.proton + nucleus.n * g.neutron) ** 2
        for g in vector_couplings(interaction, flavour)
    )


def nsi(quark="u", **entries):
    return Interaction(nsi=Nsi(**{quark: Matrix(**entries)}))


@pytest.mark.parametrize("flavour", PDG)
def test_weak_charge_of_the_standard_model(flavour):
    # g_p = 1/2 − 2 sin²θ_W = 0.02266, not the printed 1/2 − sin²θ_W, and no flavour change
    first, *others = vector_couplings(Interaction(), flavour)
    assert (first.proton, first.neutron) == approx((0.5 - 2 * 0.23867, -0.5), rel=1e-12)
    assert all(g.proton == g.neutron == 0 for g in others)
    expected = 4 * (54 * 0.02266 - 78 / 2) ** 2
    assert weak_charge_squared(Interaction(), flavour) == approx(expected, rel=1e-10)


@pytest.mark.parametrize("sin2w", [0.2, 0.25, 0.3])
def test_weak_mixing_angle_moves_the_proton_alone(sin2w):
    first = vector_couplings(Interaction(sin2w=sin2w), "nue")[0]
    assert (first.proton, first.neutron) == approx((0.5 - 2 * sin2w, -0.5))


@pytest.mark.parametrize("flavour", PDG)
def test_radiative_corrections(flavour):
    # published values, by flavour; fails if neutrino and antineutrino differ
    first = vector_couplings(Interaction(couplings="radiative"), flavour)[0]
    published = PUBLISHED["radiative"]
    lepton = LEPTON[flavour]
    assert first.proton == published["proton"][lepton]
    assert first.neutron == published["neutron"]


@pytest.mark.parametrize("sin2w", [0.0, 0.2, 0.3])
def test_weak_mixing_angle_with_radiative_corrections(sin2w):
    # arXiv:2303.09360: g_p moves as at tree level, from the published value at 0.23867
    first = vector_couplings(Interaction(couplings="radiative", sin2w=sin2w), "numu")[0]
    proton = PUBLISHED["radiative"]["proton"]["mu"]
    assert first.proton == approx(proton + 2 * (0.23867 - sin2w))
    assert first.neutron == PUBLISHED["radiative"]["neutron"]


def test_flavours():
    # the pairs of the PDG numbering scheme: 12, 14, 16, negative for antineutrinos
    assert PDG == {
        "nue": 12, "nuebar": -12, "numu": 14, "numubar": -14, "nutau": 16, "nutaubar": -16
    }  # fmt: skip
    assert {name: LEPTON[name] for name in PDG} == {
        name: name.removeprefix("nu").removesuffix("bar") for name in PDG
    }


@pytest.mark.parametrize("quark", ["u", "d"])
@pytest.mark.parametrize(("entry", "flavour"), [("ee", "nue"), ("mumu", "numubar")])
def test_quark_content_of_the_nucleons(quark, entry, flavour):
    # proton uud, neutron udd
    plain = vector_couplings(Interaction(), flavour)[0]
    shifted = vector_couplings(nsi(quark, **{entry: 0.1}), flavour)[0]
    proton, neutron = {"u": (0.2, 0.1), "d": (0.1, 0.2)}[quark]
    assert shifted.proton - plain.proton == approx(proton)
    assert shifted.neutron - plain.neutron == approx(neutron)


@pytest.mark.parametrize("flavour", [*BEAM, "nuebar"])
@pytest.mark.parametrize("kind", ["nsi", "radius", "both"])
def test_couplings_are_those_of_the_formulas(flavour, kind):
    # (4.7), (4.12) written out once more, all entries different, so that none can be mistaken
    u = Matrix(ee=0.11, mumu=-0.07, tautau=0.4, emu=0.03, etau=-0.05, mutau=0.02)
    d = Matrix(ee=-0.21, mumu=0.13, tautau=-0.3, emu=-0.017, etau=0.041, mutau=0.008)
    r = Matrix(ee=-30, mumu=12, tautau=99, emu=5, etau=-7, mutau=3)
    chosen = {"nsi": Nsi(u=u, d=d)} if kind != "radius" else {}
    if kind != "nsi":
        chosen["radius"] = r
    interaction = Interaction(**chosen)
    found = sorted((g.proton, g.neutron) for g in vector_couplings(interaction, flavour))
    expected = sorted(couplings(interaction, flavour))
    assert np.array(found) == approx(np.array(expected), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("entry", "touched"),
    [("ee", {"nue"}), ("mumu", {"numu", "numubar"}), ("tautau", set()), ("emu", set(BEAM)),
     ("etau", {"nue"}), ("mutau", {"numu", "numubar"})],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["nsi", "radius"])
def test_each_entry_touches_its_flavours(entry, touched, kind):
    by_radius = Interaction(radius=Matrix(**{entry: 30.0}))
    changed = nsi(**{entry: 0.3}) if kind == "nsi" else by_radius
    for flavour in BEAM:
        differs = weak_charge_squared(changed, flavour) != weak_charge_squared(
            Interaction(), flavour
        )
        assert differs == (flavour in touched)


@pytest.mark.parametrize("sign", [1, -1])
def test_flavour_change_always_adds(sign):
    # (4.7) with ε_αβ^d in the proton's term: Z (2u + d) + N (u + 2d), squared
    changed = Interaction(nsi=Nsi(u=Matrix(emu=sign * 0.1), d=Matrix(emu=0.05)))
    gain = weak_charge_squared(changed, "nue") - weak_charge_squared(Interaction(), "nue")
    expected = 4 * (54 * (sign * 0.2 + 0.05) + 78 * (sign * 0.1 + 0.1)) ** 2
    assert gain == approx(expected, rel=1e-9)


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 12, endpoint=False))
@pytest.mark.parametrize("quark", ["u", "d"])
def test_degeneracy_of_nsi(angle, quark):
    # (4.8): along the ellipse the sum over the three flavours is that of the Standard Model
    g_p = 0.5 - 2 * 0.23867
    per_unit = 2 * 54 + 78 if quark == "u" else 54 + 2 * 78
    r = (54 * g_p - 78 / 2) / per_unit
    ee = np.sqrt(3) * abs(r) * np.cos(angle) - r
    mumu = np.sqrt(3 / 2) * abs(r) * np.sin(angle) - r
    changed = nsi(quark, ee=ee, mumu=mumu)
    total = sum(weak_charge_squared(changed, flavour) for flavour in BEAM)
    standard = sum(weak_charge_squared(Interaction(), flavour) for flavour in BEAM)
    assert total == approx(standard, rel=1e-12)


def test_degeneracy_of_nsi_in_rates_of_one_spectrum():
    # the same for events above a threshold, when the three flavours have one spectrum; off the
    # ellipse it is not so
    one = {"energy": [0, 20, 50], "density": [0, 1, 0]}
    source = ess(spectra=dict.fromkeys(BEAM, one))
    target = Target(material=[NucleusSpec(name="Xe", z=54, n=78, mass=131.29)], mass=1)

    def total(interaction):
        return sum(above(c, 1.0) for c in channels(source, target, interaction))

    r = (54 * (0.5 - 2 * 0.23867) - 39) / (108 + 78)
    standard = total(Interaction())
    for angle in (0.3, 1.9, 4.0):
        ee = np.sqrt(3) * abs(r) * np.cos(angle) - r
        mumu = np.sqrt(3 / 2) * abs(r) * np.sin(angle) - r
        assert total(nsi(ee=ee, mumu=mumu)) == approx(standard, rel=1e-10)
        assert abs(total(nsi(ee=ee, mumu=mumu + 0.1)) / standard - 1) > 0.01


def test_unit_of_charge_radii():
    # 1e-32 cm² ↔ 0.0264, physics.md section 3; linear in the radius
    published = PUBLISHED["charge_radius"]["coupling"]
    assert charge_radius_coupling(1.0, 0.23867) == approx(published, abs=5e-5)
    assert charge_radius_coupling(-65.0, 0.23867) == approx(
        -65 * charge_radius_coupling(1.0, 0.23867)
    )


def test_charge_radius_is_a_shift_of_the_weak_mixing_angle():
    # (4.10) and (4.12) agree: sin²θ_W → sin²θ_W (1 + m_W² ⟨r²⟩/3), m_W² 1e-32 cm² = 0.16592
    radius = -12.0
    shift = 80379.0**2 * radius * 1e-32 / (197.3269804e-13) ** 2 / 3
    by_angle = Interaction(sin2w=0.23867 * (1 + shift))
    by_radius = Interaction(radius=Matrix(ee=radius))
    assert weak_charge_squared(by_radius, "nue") == approx(
        weak_charge_squared(by_angle, "nue"), rel=1e-9
    )


def test_flavour_changing_charge_radius_sees_protons_alone():
    # + 4 Z² |Q_eμ|² (4.12), for neutrinos of both flavours
    changed = Interaction(radius=Matrix(emu=20.0))
    q = charge_radius_coupling(20.0, 0.23867)
    for flavour in BEAM:
        gain = weak_charge_squared(changed, flavour) - weak_charge_squared(Interaction(), flavour)
        assert gain == approx(4 * 54**2 * q**2, rel=1e-9)


def test_a_charge_radius_acts_alike_on_neutrino_and_antineutrino():
    changed = Interaction(radius=Matrix(mumu=-20.0))
    assert vector_couplings(changed, "numu") == vector_couplings(changed, "numubar")


def test_moments_belong_to_lepton_flavours():
    # μ_νμ acts on ν_μ and ν̄_μ
    moment = Moment(numu=1.0, nue=2.0, nutau=3.0)
    assert [moment.of(LEPTON[f]) for f in ("numu", "numubar", "nue", "nuebar", "nutau")] == [
        1, 1, 2, 2, 3
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"sin2w": -0.1},
        {"sin2w": 1.1},
        {"couplings": "loop"},
        {"neutron_radius": 0.0},
        {"proton_radius": -1.0},
        {"nsi": {"s": {"ee": 1}}},
        {"nsi": {"u": {"eemu": 1}}},
        {"moment": {"numubar": 1}},
        {"radius": {"ee": float("nan")}},
        {"sin2W": 0.23},
    ],
)
def test_interaction_refuses(wrong):
    # an unknown key or a value out of range is an error, never ignored
    with pytest.raises(ValidationError):
        Interaction(**wrong)


def test_interaction_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Interaction().sin2w = 0.3


def test_an_interaction_lists_its_couplings():
    """Fails if a number that `vector_couplings` or a moment uses is not listed, or one twice."""
    listed = [c for c in Interaction().all_couplings() if c.is_number]
    entries = ("ee", "mumu", "tautau", "emu", "etau", "mutau")
    assert [c.name for c in listed] == [
        "sin2w",
        *(f"nsi.{quark}.{entry}" for quark in "ud" for entry in entries),
        *(f"radius.{entry}" for entry in entries),
        *(f"moment.{neutrino}" for neutrino in ("numu", "nue", "nutau")),
    ]
    by_name = {c.name: c for c in nsi("d", emu=0.2).all_couplings()}
    assert by_name["nsi.d.emu"].value == 0.2
    assert by_name["nsi.d.emu"].label == r"$\epsilon^{d,V}_{e\mu}$"
    assert by_name["radius.ee"].unit == "1e-32 cm²"
    assert by_name["moment.nue"].lower == 0
    assert not by_name["couplings"].is_number


def test_a_further_coupling_lists_itself():
    """Fails if a subclass must be named elsewhere for its coupling to be listed."""

    class Extended(Interaction):
        scalar: float = coupling(0.0, "to a light scalar", "1e-5", r"$g_\phi$", lower=0.0)
        mass: float = setting(1.0, "which is no coupling")

    *_, last = Extended(scalar=0.3).all_couplings()
    assert last == Coupling("scalar", 0.3, "1e-5", r"$g_\phi$", 0.0, math.inf)
