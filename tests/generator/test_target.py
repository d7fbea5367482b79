"""Nuclei per kilogram: fail for a wrong stoichiometry, isotope, mass or unit, or a silent typo."""

import pytest
from generator_formulas import PUBLISHED
from generator_goodness import approx
from nuspill.generator.target import Nucleus, NucleusSpec, Target, nuclei_of
from pydantic import ValidationError

AVOGADRO = 6.02214076e23
FORMULAS = ["CsI", "Ge", "C3F8", "Xe", "Ar", "Si", "Ne", "He", "Kr", "NaI", "H2O", "Bi4Ge3O12"]


def per_element(nuclei):
    total = {}
    for nucleus in nuclei:
        total[nucleus.z] = total.get(nucleus.z, 0.0) + nucleus.per_kg
    return total


@pytest.mark.parametrize(
    ("formula", "counts"),
    [("CsI", {"Cs": 1, "I": 1}), ("Ge", {"Ge": 1}), ("C3F8", {"C": 3, "F": 8}), ("Xe", {"Xe": 1})],
)
def test_nuclei_per_kg_from_published_atomic_weights(formula, counts):
    # fails for a wrong count, molar mass, or grams taken for kilograms
    z = {"Cs": 55, "I": 53, "Ge": 32, "C": 6, "F": 9, "Xe": 54}
    weights = PUBLISHED["weight"]
    molar = sum(counts[name] * weights[name][0] for name in counts)
    uncertainty = sum(counts[name] * weights[name][1] for name in counts) / molar
    found = per_element(nuclei_of(formula))
    assert set(found) == {z[name] for name in counts}
    for name, count in counts.items():
        expected = 1000 * AVOGADRO * count / molar
        assert found[z[name]] == approx(expected, rel=uncertainty + 1e-9)


def test_nuclei_per_kg_of_cesium_iodide_by_hand():
    # 6.02214076e26 / (132.90545 + 126.90447) of each in a kilogram
    cs, iodine = nuclei_of("CsI")
    assert cs.per_kg == approx(2.31790e24, rel=1e-5)
    assert iodine.per_kg == approx(2.31790e24, rel=1e-5)


@pytest.mark.parametrize("formula", FORMULAS)
def test_nuclei_of_a_kilogram_weigh_a_kilogram(formula):
    # fails if an isotope is lost, counted twice or has another's mass; standard atomic weights
    # round at 5e-5 (Ar 39.95 stands for 39.948)
    kilograms = sum(n.per_kg * n.mass_u for n in nuclei_of(formula)) / AVOGADRO / 1000
    assert kilograms == approx(1, abs=1e-4)


@pytest.mark.parametrize("element", ["Cs", "I", "Ge", "Xe", "Ar", "Si", "C", "F", "Ne", "Kr", "He"])
def test_shares_of_isotopes_add_up_to_one_atom(element):
    # fails if abundances are not normalised: the isotopes of a mole must be N_A atoms
    nuclei = nuclei_of(element)
    atoms = sum(n.per_kg for n in nuclei)
    mean_mass = sum(n.per_kg * n.mass_u for n in nuclei) / atoms
    assert atoms * mean_mass == approx(1000 * AVOGADRO, rel=1e-4)
    assert len({n.a for n in nuclei}) == len(nuclei)


@pytest.mark.parametrize("name", list(PUBLISHED["abundance"]))
def test_abundances_are_the_published_ones(name):
    # fails for abundances by mass in place of number, or a wrong isotope
    value, error = PUBLISHED["abundance"][name]
    nuclei = nuclei_of(name.rstrip("0123456789"))
    share = {n.name: n.per_kg for n in nuclei}
    assert 100 * share[name] / sum(share.values()) == approx(value, abs=error)


def test_natural_germanium_has_five_isotopes():
    # fails for the most abundant isotope, or one of the mean mass, in place of the element
    assert [n.name for n in nuclei_of("Ge")] == ["Ge70", "Ge72", "Ge73", "Ge74", "Ge76"]


def test_nuclear_mass_is_without_the_electrons():
    # fails if the atomic mass is used: 18 electrons are 9.2 MeV of 37215.5
    (argon,) = nuclei_of("Ar[40]")
    assert argon.mass == approx(39.9623831237 * 931.49410242 - 18 * 0.51099895, abs=1e-3)
    (helium,) = nuclei_of("He[4]")  # the alpha particle, CODATA: 3727.379 MeV
    assert helium.mass == approx(3727.379, abs=1e-3)


@pytest.mark.parametrize(
    ("formula", "code"),
    [("Cs", 1000551330), ("Ar[40]", 1000180400), ("Ge[76]", 1000320760), ("H[1]", 1000010010)],
)
def test_pdg_code(formula, code):
    # PDG numbering scheme of nuclei, 10LZZZAAAI
    (nucleus,) = nuclei_of(formula)
    assert nucleus.pdg == code


def test_protons_and_neutrons_add_up():
    for nucleus in nuclei_of("CsI") + nuclei_of("Xe"):
        z = {"Cs": 55, "I": 53, "Xe": 54}[nucleus.name.rstrip("0123456789")]
        assert nucleus.z == z
        assert nucleus.a == int(nucleus.name.lstrip("CsIXe"))
        assert nucleus.a == nucleus.z + nucleus.n
        assert nucleus.mass_u == approx(nucleus.a, rel=1.5e-3)  # mass defect


def test_mixture_is_by_mass_fraction():
    # fails for fractions by number or volume: 10 % helium by mass is most of the atoms
    mixed = per_element(nuclei_of({"Xe": 0.9, "He": 0.1}))
    xenon, helium = per_element(nuclei_of("Xe"))[54], per_element(nuclei_of("He"))[2]
    assert mixed == approx({54: 0.9 * xenon, 2: 0.1 * helium}, rel=1e-12)


def test_mixture_needs_no_normalisation():
    one, two = nuclei_of({"Xe": 0.9, "He": 0.1}), nuclei_of({"Xe": 45, "He": 5})
    assert [n.per_kg for n in one] == approx([n.per_kg for n in two], rel=1e-12)


def test_mixture_of_a_material_with_itself_changes_nothing():
    # fails if what two parts share is overwritten instead of added
    plain, mixed = nuclei_of("CsI"), nuclei_of({"CsI": 0.3, "ICs": 0.7})
    assert {n.name: n.per_kg for n in mixed} == approx({n.name: n.per_kg for n in plain})


def test_mixture_adds_an_enriched_isotope():
    natural, enriched = nuclei_of("Ge"), nuclei_of("Ge[76]")
    mixed = {n.name: n.per_kg for n in nuclei_of({"Ge": 1, "Ge[76]": 3})}
    share = {n.name: n.per_kg for n in natural}
    assert mixed["Ge76"] == approx(0.25 * share["Ge76"] + 0.75 * enriched[0].per_kg)
    assert mixed["Ge74"] == approx(0.25 * share["Ge74"])


@pytest.mark.parametrize("formula", ["GeGe[76]", "Ge[76]0.9Ge0.1", "Xe[136]3Xe"])
def test_a_nucleus_comes_once(formula):
    # its name is that of its random stream: the same name twice makes the same events twice
    names = [n.name for n in nuclei_of(formula)]
    assert len(set(names)) == len(names)


def test_nuclei_by_hand_come_once():
    # as above: merged, or refused
    same = NucleusSpec(name="Xe", z=54, n=78, mass=131.29)
    try:
        nuclei = Target(material=[same, same], mass=1).nuclei
    except ValidationError:
        return
    assert len(nuclei) == 1


def test_fractional_stoichiometry():
    # Si0.5Ge0.5 is SiGe
    half, whole = nuclei_of("Si0.5Ge0.5"), nuclei_of("SiGe")
    assert [n.per_kg for n in half] == approx([n.per_kg for n in whole], rel=1e-12)


def test_nuclei_by_hand():
    # the paper's nuclei: count atoms a formula unit, of the masses given
    material = [
        NucleusSpec(name="C", z=6, n=6, mass=12.01, count=3),
        NucleusSpec(name="F", z=9, n=10, mass=19.0, count=8),
    ]
    carbon, fluorine = Target(material=material, mass=10).nuclei
    molar = 3 * 12.01 + 8 * 19.0
    assert carbon.per_kg == approx(3 * 1000 * AVOGADRO / molar)
    assert fluorine.per_kg == approx(8 * 1000 * AVOGADRO / molar)
    assert (fluorine.z, fluorine.n, fluorine.mass_u) == (9, 10, 19.0)


def test_average_nucleus_has_the_code_of_the_nearest_one():
    average = Nucleus("C3F8", 8.1818, 8.9091, 18.18, 1.0)
    assert average.pdg == 1000080170


def test_target_keeps_nuclei_of_its_material():
    target = Target(material="CsI", mass=22.5)
    assert [n.name for n in target.nuclei] == ["Cs133", "I127"]
    assert target.nuclei == nuclei_of("CsI")


@pytest.mark.parametrize("formula", ["csi", "Cssi", "Xx", "", "C3F8)", "Xe[999]", "Xe-3", "n"])
def test_misspelt_formula_is_an_error_that_names_it(formula):
    with pytest.raises(ValueError, match="is not a chemical formula") as error:
        nuclei_of(formula)
    assert f"'{formula}'" in str(error.value)


@pytest.mark.parametrize("formula", ["Fe{2+}O{2-}", "Na{+}I{-}"])
def test_ions_are_read_or_refused(formula):
    # periodictable reads them; a TypeError from inside is no answer to a user
    try:
        nuclei = nuclei_of(formula)
    except ValueError:
        return
    assert {n.z for n in nuclei} <= {26, 8, 11, 53}


@pytest.mark.parametrize("element", ["Tc", "Po", "Rn"])
def test_element_without_natural_isotopes(element):
    with pytest.raises(ValueError, match=rf"has no natural isotopes.*{element}\[A\]"):
        nuclei_of(element)


def test_such_an_element_can_be_given_as_an_isotope():
    (technetium,) = nuclei_of("Tc[99]")
    assert (technetium.z, technetium.n) == (43, 56)


@pytest.mark.parametrize(
    ("material", "message"),
    [
        ({}, "at least one part"),
        ([], "list of nuclei is empty"),
        ({"Xe": -1.0}, "greater than 0"),
        ({"Xx": 1.0}, "'Xx' is not a chemical formula"),
        ("csi", "'csi' is not a chemical formula"),
    ],
)
def test_target_refuses(material, message):
    with pytest.raises(ValidationError, match=message):
        Target(material=material, mass=1)


@pytest.mark.parametrize("mass", [0.0, -1.0, float("nan"), float("inf")])
def test_target_mass_is_positive(mass):
    with pytest.raises(ValidationError):
        Target(material="Ar", mass=mass)


def test_unknown_key_is_an_error():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Target(material="Ar", mass=1, mas=2)


def test_target_is_frozen():
    target = Target(material="Ar", mass=1)
    with pytest.raises(ValidationError, match="frozen"):
        target.mass = 2
