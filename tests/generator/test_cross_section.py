"""Cross section: fail for a wrong term, unit, sign or limit of the kinematics."""

import numpy as np
import pytest
from generator_formulas import (
    G_F,
    HBARC,
    M_E,
    M_MU,
    TO_CM2,
    channel,
    dsigma_dt,
    helm,
    helm_radius,
    isotope,
    legendre,
    table2_nucleus,
)
from generator_goodness import approx
from nuspill.generator.coupling import Interaction, Matrix, Moment, Nsi
from nuspill.generator.cross_section import (
    axial_charge,
    differential,
    energy_min,
    recoil_factors,
    recoil_max,
)
from nuspill.generator.form_factor import fermi, klein_nystrand
from nuspill.generator.spectrum import decay_at_rest
from nuspill.generator.target import Nucleus, nuclei_of
from scipy import constants

POINT = Interaction(form_factor="unity")
HEAVY = Nucleus("heavy", 55.0, 78.0, 1e14, 1.0)
"""So heavy that T ≪ M holds to rounding."""
MASSES = [938.3, 3727.4, 26000.0, 122000.0]


@pytest.mark.parametrize("mass", MASSES)
def test_largest_recoil_and_least_energy_are_inverse(mass):
    # T_max(E_min(T)) = T and back; fails for the approximations 2E²/M and √(MT/2)
    t = np.geomspace(1e-6, 1e4, 101)
    assert recoil_max(energy_min(t, mass), mass) == approx(t, rel=1e-11)
    e = np.geomspace(1e-2, 300, 101)
    assert energy_min(recoil_max(e, mass), mass) == approx(e, rel=1e-11)


@pytest.mark.parametrize("mass", MASSES)
def test_largest_recoil_is_that_of_backward_scattering(mass):
    # momenta E + p' and √(2MT + T²) balance when the neutrino turns back
    e = np.geomspace(0.1, 300, 50)
    t = recoil_max(e, mass) * 1e-3
    back = e - t
    assert e + back == approx(np.sqrt(t**2 + 2 * mass * t), rel=1e-12)


def test_largest_recoils_of_the_paper():
    # Table 1's E_max = 2E²/M with Table 2's masses and E = m_μ/2, to its rounding
    for name, e_max in (("Xe", 45.6), ("Ar", 150.0), ("Ge", 78.9)):
        mass = table2_nucleus(name).mass
        assert recoil_max(M_MU / 2, mass) == approx(e_max, rel=4e-3)


CASES = {
    "standard": Interaction(),
    "radiative": Interaction(couplings="radiative"),
    "kinematic": Interaction(kinematic_terms=True),
    "axial": Interaction(axial=True),
    "axial and kinematic": Interaction(axial=True, kinematic_terms=True),
    "nsi": Interaction(
        nsi=Nsi(u=Matrix(ee=0.2, emu=0.1, mutau=-0.3), d=Matrix(mumu=-0.1, etau=0.2))
    ),
    "radius": Interaction(radius=Matrix(ee=-40, mumu=15, emu=10, etau=5)),
    "moment": Interaction(moment=Moment(numu=30, nue=50)),
    "moment of a point": Interaction(moment=Moment(numu=30, nue=50), moment_form_factor=False),
    "all": Interaction(
        couplings="radiative",
        axial=True,
        kinematic_terms=True,
        nsi=Nsi(u=Matrix(ee=0.2, mumu=0.1, emu=0.1)),
        radius=Matrix(ee=3, emu=10),
        moment=Moment(numu=30, nue=50),
    ),
}
NUCLEI = ["H[1]", "He[3]", "F", "Ge[73]", "Ar[40]", "I", "Xe[131]"]
E_GRID = np.array([1.0, 5.0, 10.0, 29.79, 40.0, 52.8])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("formula", NUCLEI)
@pytest.mark.parametrize("flavour", ["numu", "nue", "numubar", "nuebar"])
def test_differential_is_the_formula(name, formula, flavour):
    # coded once more from the papers, without the split into powers of 1/E
    nucleus, interaction = isotope(formula), CASES[name]
    e = E_GRID[:, None]
    t = np.linspace(0.001, 1.2, 60) * recoil_max(e, nucleus.mass)
    found = differential(t, e, nucleus, interaction, flavour)
    expected = dsigma_dt(t, e, nucleus, interaction, flavour)
    p0, p1, p2 = recoil_factors(t, nucleus, interaction, flavour)
    allowed = t <= recoil_max(e, nucleus.mass)
    # constants of CODATA 2018 and 2022 differ by 2e-9, next to the limit of two terms that cancel
    tolerance = 1e-8 * np.abs(p0)
    assert np.all(np.abs(found - expected) <= np.where(allowed, tolerance, 0))
    polynomial = p0 + p1 / e + p2 / e**2
    assert np.all(np.abs(polynomial - expected)[allowed] <= tolerance[allowed])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("formula", NUCLEI)
@pytest.mark.parametrize("flavour", ["numu", "nue", "numubar"])
def test_never_negative(name, formula, flavour):
    # a cross section written with a wrong sign dips below zero near the kinematic limit
    nucleus = isotope(formula)
    e = E_GRID[:, None]
    t = np.linspace(1e-3, 1, 200) * recoil_max(e, nucleus.mass)
    p0, p1, p2 = recoil_factors(t, nucleus, CASES[name], flavour)
    assert np.all(p0 + p1 / e + p2 / e**2 >= -1e-12 * np.abs(p0))


def test_zero_beyond_the_kinematic_limit():
    nucleus = isotope("Ar[40]")
    top = recoil_max(30.0, nucleus.mass)
    inside, outside = differential([0.999 * top, 1.001 * top], 30.0, nucleus, POINT, "nue")
    assert inside > 0
    assert outside == 0


@pytest.mark.parametrize("energy", [5.0, 30.0, 50.0])
@pytest.mark.parametrize("formula", ["H[1]", "Ar[40]", "I"])
def test_total_cross_section_of_a_point_nucleus(energy, formula):
    # ∫ (2 − MT/E²) dT up to 2E²/(M + 2E) is 2E²(M + 4E)/(M + 2E)²: 2E²/M to order (E/M)², so that
    # σ → G_F² E²/π (Z g_p + N g_n)²
    nucleus = isotope(formula)
    mass = nucleus.mass
    t, w = legendre(0.0, float(recoil_max(energy, mass)), 20)
    sigma = float(differential(t, energy, nucleus, POINT, "nue") @ w)
    charge = nucleus.z * (0.5 - 2 * 0.23867) - nucleus.n / 2
    limit = G_F**2 * energy**2 / np.pi * charge**2 * TO_CM2
    exact = limit * mass * (mass + 4 * energy) / (mass + 2 * energy) ** 2
    assert sigma == approx(exact, rel=1e-7)
    assert sigma == approx(limit, rel=5 * (energy / mass) ** 2)


def test_size_of_the_cross_section():
    # σ ≈ 0.42e-44 cm² N² (E/MeV)² (Freedman, Schramm and Tubbs 1977), to the charge of the protons
    nucleus = isotope("Ar[40]")
    t, w = legendre(0.0, float(recoil_max(10.0, nucleus.mass)), 20)
    sigma = float(differential(t, 10.0, nucleus, POINT, "nue") @ w)
    assert sigma == approx(0.42e-44 * 22**2 * 100, rel=0.08)


@pytest.mark.parametrize(
    ("flavour", "average"),
    [
        ("nue", lambda y: 1 - 6 * y**2 + 8 * y**3 - 3 * y**4),
        ("numubar", lambda y: 1 - 4 * y**2 + 4 * y**3 - y**4),
    ],
)
def test_flux_averages(flavour, average):
    # ⟨1 − MT/2E²⟩ over E > E_min, physics.md section 1, y² = 2MT/m_μ²; T ≪ M
    y = np.linspace(0.02, 0.99, 60)
    mass = HEAVY.mass
    recoil = y**2 * M_MU**2 / (2 * mass) * 1e3
    moments = decay_at_rest()[flavour].moments(energy_min(recoil, mass))
    assert moments[0] - mass * recoil * 1e-3 / 2 * moments[2] == approx(
        average(y), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize(
    ("flavour", "average"),
    [
        ("nue", lambda y: 1 - 6 * y**2 + 8 * y**3 - 3 * y**4),
        ("numubar", lambda y: 1 - 4 * y**2 + 4 * y**3 - y**4),
    ],
)
def test_flux_averaged_cross_section_in_closed_form(flavour, average):
    # the same through the whole chain: G_F² M/π (Z g_p + N g_n)² times the average, F = 1
    y = np.linspace(0.02, 0.99, 60)
    recoil = y**2 * M_MU**2 / (2 * HEAVY.mass) * 1e3
    found = channel(HEAVY, flavour, POINT).cross_section_average(recoil)
    charge = 55 * (0.5 - 2 * 0.23867) - 39
    scale = G_F**2 * HEAVY.mass / np.pi * charge**2 * TO_CM2 * 1e-3
    assert found == approx(scale * average(y), rel=1e-7, abs=1e-12 * scale)


def test_form_factor_is_that_of_the_recoil():
    # F² at q² = 2MT + T²; fails for F in place of F², or q in MeV
    nucleus = isotope("I")
    t = np.linspace(0.5, 40, 30)
    ratio = differential(t, 60.0, nucleus, Interaction(), "nue") / differential(
        t, 60.0, nucleus, POINT, "nue"
    )
    q = np.sqrt(2 * nucleus.mass * t * 1e-3 + (t * 1e-3) ** 2) / HBARC
    assert ratio == approx(helm(q, helm_radius(127)) ** 2, rel=1e-7)


@pytest.mark.parametrize("name", ["klein-nystrand", "fermi"])
def test_other_form_factors(name):
    shape = {"klein-nystrand": klein_nystrand, "fermi": fermi}[name]
    nucleus = isotope("I")
    t = np.linspace(0.5, 40, 30)
    found = differential(t, 50.0, nucleus, Interaction(form_factor=name), "nue")
    expected = dsigma_dt(t, 50.0, nucleus, Interaction(), "nue", f_n=lambda q: shape(q, 127.0))
    assert found == approx(expected, rel=1e-7)


def test_separate_radii_of_protons_and_neutrons():
    # Z g_p F_p + N g_n F_n, each with its own radius; the magnetic moment sees the protons
    nucleus = isotope("I")
    t = np.linspace(0.5, 40, 30)
    interaction = Interaction(neutron_radius=5.2, proton_radius=4.7, moment=Moment(nue=50))
    found = differential(t, 50.0, nucleus, interaction, "nue")

    def shape(rms):
        return lambda q: helm(q, np.sqrt(5 / 3 * (rms**2 - 3 * 0.81)))

    expected = dsigma_dt(t, 50.0, nucleus, interaction, "nue", f_p=shape(4.7), f_n=shape(5.2))
    assert found == approx(expected, rel=1e-7)
    swapped = dsigma_dt(t, 50.0, nucleus, interaction, "nue", f_p=shape(5.2), f_n=shape(4.7))
    assert np.abs(found / swapped - 1).max() > 1e-2


def test_a_neutron_radius_alone_serves_both():
    nucleus = isotope("I")
    t = np.linspace(0.5, 40, 30)
    one = differential(t, 50.0, nucleus, Interaction(neutron_radius=5.0), "nue")
    both = differential(t, 50.0, nucleus, Interaction(neutron_radius=5.0, proton_radius=5.0), "nue")
    assert one == approx(both, rel=1e-12)


def test_radii_of_each_nucleus():
    """Fails if a nucleus has not the radius of its own, its element's, or else the default."""
    caesium, iodine = nuclei_of("CsI")
    both = Interaction(neutron_radius={"Cs": 5.09, "I127": 5.03}, proton_radius={"Cs133": 4.821})
    t = np.linspace(1.0, 30.0, 7)
    for nucleus, alone in (
        (caesium, Interaction(neutron_radius=5.09, proton_radius=4.821)),
        (iodine, Interaction(neutron_radius=5.03)),
    ):
        found, due = (differential(t, 50.0, nucleus, i, "nue") for i in (both, alone))
        np.testing.assert_array_equal(found, due)
    one = Interaction(neutron_radius={"Cs": 5.09})
    found, due = (differential(t, 50.0, iodine, i, "nue") for i in (one, Interaction()))
    np.testing.assert_array_equal(found, due)
    assert both.unknown_radii(["Cs133", "I127"]) == []
    assert both.unknown_radii(["Xe132"]) == [
        "neutron_radius.Cs", "neutron_radius.I127", "proton_radius.Cs133",
    ]  # fmt: skip


def test_a_proton_radius_alone_leaves_the_neutrons():
    nucleus = isotope("I")
    t = np.linspace(0.5, 40, 30)
    found = differential(t, 50.0, nucleus, Interaction(proton_radius=4.7), "nue")
    r_p, r_n = np.sqrt(5 / 3 * (4.7**2 - 3 * 0.81)), helm_radius(127)
    expected = dsigma_dt(
        t, 50.0, nucleus, Interaction(), "nue",
        f_p=lambda q: helm(q, r_p), f_n=lambda q: helm(q, r_n),
    )  # fmt: skip
    assert found == approx(expected, rel=1e-7)


@pytest.mark.parametrize(("flavour", "moment"), [("numu", 9.0), ("numubar", 9.0), ("nue", 4.0)])
def test_magnetic_moment_at_low_recoil(flavour, moment):
    # Z² μ² π α²/m_e² 1/T, with π α²/m_e² the 0.2495 barn of Thomson scattering: 1/T law and size
    nucleus = isotope("Ge[74]")
    t = np.geomspace(1e-5, 1e-3, 20)
    interaction = Interaction(moment=Moment(numu=9.0, nue=4.0))
    gain = differential(t, 50.0, nucleus, interaction, flavour) - differential(
        t, 50.0, nucleus, Interaction(), flavour
    )
    expected = 2.4947e-45 * moment**2 * 32**2 / t  # per MeV at MeV is per keV at keV
    assert gain == approx(expected, rel=2e-4)  # the form factor is 2e-5 below one
    by_codata = np.pi * constants.alpha**2 / M_E**2 * 1e-20 * TO_CM2
    assert by_codata == approx(2.4947e-45, rel=1e-4)


def test_magnetic_moment_vanishes_at_the_kinematic_limit_of_a_light_nucleus():
    # 1/T − 1/E + T/4E² = (1 − T/2E)²/T, positive; T < 2E always
    nucleus = isotope("H[1]")
    interaction = Interaction(moment=Moment(nue=1e6), form_factor="unity")
    e, t = 50.0, np.linspace(1, 4000, 50)
    found = differential(t, e, nucleus, interaction, "nue") - differential(
        t, e, nucleus, POINT, "nue"
    )
    shape = (1 - t * 1e-3 / (2 * e)) ** 2 / t
    assert found / found[0] == approx(shape / shape[0], rel=1e-8)


def test_moment_form_factor_can_be_switched_off():
    nucleus = isotope("I")
    t = np.linspace(0.5, 40, 20)
    plain = differential(t, 50.0, nucleus, Interaction(), "nue")
    with_f, without = (
        differential(
            t, 50.0, nucleus, Interaction(moment=Moment(nue=50), moment_form_factor=on), "nue"
        )
        - plain
        for on in (True, False)
    )
    q = np.sqrt(2 * nucleus.mass * t * 1e-3 + (t * 1e-3) ** 2) / HBARC
    assert with_f / without == approx(helm(q, helm_radius(127)) ** 2, rel=1e-7)


def test_kinematic_terms():
    # bracket 2 − MT/E² − 2T/E + T²/E²
    nucleus = isotope("H[1]")
    e = 50.0
    t = np.linspace(1, float(recoil_max(e, nucleus.mass)), 50)
    plain = differential(t, e, nucleus, POINT, "nue")
    full = differential(t, e, nucleus, POINT.model_copy(update={"kinematic_terms": True}), "nue")
    y = t * 1e-3 / e
    without = 2 - nucleus.mass * t * 1e-3 / e**2
    assert full / plain == approx((without - 2 * y + y**2) / without, rel=1e-9)


@pytest.mark.parametrize(
    ("formula", "charge"),
    [("Ar[40]", 0.0), ("F", 0.4955), ("Ge[73]", -0.5121), ("H[2]", 0.4955 - 0.5121), ("I", 0.4955)],
)
def test_axial_charge_is_of_unpaired_nucleons(formula, charge):
    # fails for a sum over all nucleons
    assert axial_charge(isotope(formula)) == approx(charge)


def test_axial_part_leaves_even_nuclei_alone():
    t = np.linspace(0.5, 100, 30)
    nucleus = isotope("Ar[40]")
    found = differential(t, 50.0, nucleus, Interaction(axial=True), "nue")
    assert found == approx(differential(t, 50.0, nucleus, Interaction(), "nue"), rel=1e-14)


def test_axial_interference_has_opposite_signs_for_neutrino_and_antineutrino():
    # ± 4 G_V G_A T/E: V is positive for the proton (g_p > 0), so ν is above ν̄ there, and below it
    # for fluorine, where V < 0; with T at half its limit
    axial = Interaction(axial=True, form_factor="unity")
    for formula, sign in (("H[1]", 1), ("F", -1), ("Ge[73]", 1)):
        nucleus = isotope(formula)
        t = recoil_max(50.0, nucleus.mass) / 2
        nu, antinu = (differential(t, 50.0, nucleus, axial, f) for f in ("numu", "numubar"))
        assert np.sign(nu - antinu) == sign
        y = t * 1e-3 / 50.0
        charge = nucleus.z * (0.5 - 2 * 0.23867) - nucleus.n / 2
        expected = 4 * charge * axial_charge(nucleus) * (2 * y - y**2)
        expected *= G_F**2 * nucleus.mass / (2 * np.pi) * TO_CM2 * 1e-3
        assert nu - antinu == approx(expected, rel=1e-7)


def test_chirality_of_the_proton_current():
    # V = A: only the left-handed current is left: neutrinos flat in y, antineutrinos as (1 − y)²
    nucleus = Nucleus("p", 1.0, 0.0, 1.00782503, 1.0)
    equal = Interaction(
        axial=True, kinematic_terms=True, form_factor="unity", sin2w=(0.5 - 0.4955) / 2
    )
    e = 50.0
    t = np.linspace(1, float(recoil_max(e, nucleus.mass)), 40)
    nu = differential(t, e, nucleus, equal, "nue")
    antinu = differential(t, e, nucleus, equal, "nuebar")
    assert nu / nu[0] == approx(1, rel=1e-9)
    y = t * 1e-3 / e
    assert antinu / nu == approx((1 - y) ** 2, rel=1e-9)


def test_broadcast_and_scalar():
    nucleus = isotope("Ar[40]")
    grid = differential(np.ones((3, 1)), np.full(4, 50.0), nucleus, Interaction(), "nue")
    assert grid.shape == (3, 4)
    assert grid == approx(float(differential(1.0, 50.0, nucleus, Interaction(), "nue")))
