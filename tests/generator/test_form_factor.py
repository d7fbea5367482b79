"""Form factors: fail for a wrong radius, normalisation or a shape that is not the density's."""

import numpy as np
import pytest
from generator_formulas import helm as helm_by_hand
from generator_formulas import helm_radius
from generator_goodness import approx
from nuspill.generator import form_factor
from nuspill.generator.coupling import Interaction
from nuspill.generator.cross_section import differential
from nuspill.generator.target import nuclei_of
from pydantic import ValidationError
from scipy.integrate import quad
from scipy.special import spherical_jn

MODELS = ["helm", "klein-nystrand", "fermi"]
NUCLEI = [12.0, 28.0, 40.0, 73.0, 133.0]
Q = np.linspace(0, 2, 401)


def radius_from_slope(f, a, rms=None):
    """√⟨r²⟩ from F = 1 − q²⟨r²⟩/6 + O(q⁴), the O(q⁴) removed by a second point."""
    q = np.array([0.01, 0.02])
    one, two = 6 * (1 - f(q, a, rms)) / q**2
    return np.sqrt((4 * one - two) / 3)


@pytest.mark.parametrize("name", [*MODELS, "unity"])
@pytest.mark.parametrize("a", [1.0, 4.0, *NUCLEI])
def test_one_at_zero(name, a):
    # fails for 0/0, or a charge in place of a form factor
    assert form_factor.model(name)(np.array([0.0, 1e-9]), a, None) == approx(1, abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("a", NUCLEI)
def test_never_above_one_and_falls(name, a):
    f = form_factor.model(name)(np.linspace(0, 0.5, 101), a, None)
    assert np.all(np.diff(f) < 0)
    assert np.all(np.abs(form_factor.model(name)(Q, a, None)) <= 1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rms", [2.7, 4.83, 5.5])
def test_slope_gives_the_radius_asked_for(name, rms):
    # fails for 3/5 and 5/3 swapped, or the skin forgotten
    assert radius_from_slope(form_factor.model(name), 133.0, rms) == approx(rms, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rms", [0.5, 1.2, 1.6])
def test_a_radius_below_the_skin_is_refused_or_right(name, rms):
    # Helm cannot be smaller than √3 s = 1.56 fm: no other radius may silently stand in
    try:
        found = radius_from_slope(form_factor.model(name), 4.0, rms)
    except ValueError:
        return
    assert found == approx(rms, rel=1e-4)


@pytest.mark.parametrize("a", NUCLEI)
def test_default_radii(a):
    # Lewin and Smith for Helm and Fermi (the same ⟨r²⟩ to the skins), 1.2 A^(1/3) for the other
    c = 1.23 * a ** (1 / 3) - 0.6
    expected = {
        "helm": np.sqrt(3 / 5 * helm_radius(a) ** 2 + 3 * 0.9**2),
        "fermi": np.sqrt(3 / 5 * c**2 + 7 / 5 * (np.pi * 0.52) ** 2),
        "klein-nystrand": np.sqrt(3 / 5 * (1.2 * a ** (1 / 3)) ** 2 + 6 * 0.7**2),
    }
    for name, rms in expected.items():
        assert radius_from_slope(form_factor.model(name), a) == approx(rms, rel=1e-5), name


@pytest.mark.parametrize("a", NUCLEI)
def test_helm_is_the_closed_form(a):
    # 3 j1(qR0)/(qR0) exp(−q²s²/2); includes the series at small q
    q = np.concatenate([Q, np.geomspace(1e-8, 1e-2, 50)])
    expected = helm_by_hand(q, helm_radius(a))
    assert form_factor.helm(q, a) == approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", ["helm", "klein-nystrand"])
def test_series_of_the_sphere_at_small_q(name):
    # 3 j1(x)/x = 1 − x²/10 + x⁴/280 − ..., and no step where the series takes over from the sine
    a = 133.0
    radius = {"helm": helm_radius(a), "klein-nystrand": 1.2 * a ** (1 / 3)}[name]
    x = np.array([1e-6, 1e-3, 5e-3, 0.0099, 0.00999999])
    q = x / radius
    skin = {"helm": np.exp(-((q * 0.9) ** 2) / 2), "klein-nystrand": 1 / (1 + 0.49 * q**2)}[name]
    expected = (1 - x**2 / 10 + x**4 / 280 - x**6 / 15120) * skin
    f = form_factor.model(name)
    assert f(q, a, None) == approx(expected, rel=1e-14)
    across = f(np.array([0.00999999, 0.01000001]) / radius, a, None)
    assert np.diff(across)[0] == approx(-2e-8 * 0.002, abs=5e-11)


def test_helm_of_cesium_iodide_in_the_paper():
    # R_n = 4.83 fm rms: R0² = 5/3 (R_n² − 3 s²)
    r0 = np.sqrt(5 / 3 * (4.83**2 - 3 * 0.81))
    assert form_factor.helm(Q, 133.0, 4.83) == approx(helm_by_hand(Q, r0), rel=1e-9)


def test_helm_vanishes_at_the_zero_of_the_bessel_function():
    # j1 vanishes where tan x = x, at 4.493409457909064
    q = 4.493409457909064 / helm_radius(133.0)
    f = form_factor.helm(np.array([0.999 * q, q, 1.001 * q]), 133.0)
    assert f[0] > 0 > f[2]
    assert f[1] == approx(0, abs=1e-14)


@pytest.mark.parametrize("a", NUCLEI)
def test_klein_nystrand_is_the_closed_form(a):
    # a sphere folded with a Yukawa potential: a product of Fourier transforms
    q = Q[1:]
    x = q * 1.2 * a ** (1 / 3)
    expected = 3 * spherical_jn(1, x) / x / (1 + 0.49 * q**2)
    assert form_factor.klein_nystrand(q, a) == approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(("a", "rms"), [(12.0, None), (40.0, None), (133.0, None), (133.0, 4.83)])
def test_fermi_is_the_fourier_transform_of_its_density(a, rms):
    # ρ ∝ sinh(c/d)/(cosh(r/d) + cosh(c/d)); fails for any slip in the closed form
    d = 0.52
    c = 1.23 * a ** (1 / 3) - 0.6
    if rms is not None:
        c = np.sqrt(5 / 3 * rms**2 - 7 / 3 * (np.pi * d) ** 2)

    def density(r):
        return 1 / (np.cosh(r / d) + np.cosh(c / d))

    def transform(q):
        return quad(
            lambda r: r**2 * np.sinc(q * r / np.pi) * density(r), 0, 30, limit=400, epsabs=1e-13
        )[0]

    q = np.array([0.0005, 0.00099, 0.00101, 0.01, 0.1, 0.3, 0.7, 1.2, 2.0])
    norm = transform(0.0)
    expected = [transform(x) / norm for x in q]
    assert form_factor.fermi(q, a, rms) == approx(expected, rel=1e-9, abs=1e-10)


def test_models_agree_for_one_radius_at_small_q():
    # to q² they must: at q R = 1 they differ by O(q⁴) alone
    q = np.array([0.05])
    values = [form_factor.model(name)(q, 133.0, 4.83)[0] for name in MODELS]
    assert np.ptp(values) < 0.01 * (1 - values[0])


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".dat"])
def test_table_of_the_user(tmp_path, suffix):
    # goes through its points, is monotone between them and zero beyond the last
    points = np.array([[0.0, 1.0], [0.2, 0.9], [0.5, 0.4], [1.0, 0.05], [1.5, 0.0]])
    path = tmp_path / f"f{suffix}"
    separator = "," if suffix == ".csv" else " "
    np.savetxt(path, points, delimiter=separator, header="q F")
    f = form_factor.model(form_factor.read_table(path))
    assert f(points[:, 0], 133.0, None) == approx(points[:, 1], abs=1e-14)
    assert np.all(np.diff(f(np.linspace(0, 1.5, 301), 133.0, None)) <= 0)
    assert f(np.array([1.51, 10.0]), 133.0, None) == approx(0, abs=0)


def test_table_of_helm_gives_the_rates_of_helm(tmp_path):
    # the table is used in the cross section, in 1/fm: fails for q in MeV
    (argon,) = nuclei_of("Ar[40]")
    q = np.linspace(0, 3, 601)
    path = tmp_path / "helm.csv"
    np.savetxt(path, np.column_stack([q, form_factor.helm(q, 40.0)]), delimiter=",")
    t = np.linspace(0.5, 100, 50)
    by_table = differential(
        t, 50.0, argon, Interaction(form_factor=form_factor.read_table(path)), "numu"
    )
    directly = differential(t, 50.0, argon, Interaction(), "numu")
    assert by_table == approx(directly, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q,F\n0,1\n1,0.5\n", "cannot be read"),
        ("0,1,2\n1,0.5,3\n", "two columns"),
        ("0,1\n", "two columns"),
        ("0,1\n1,0.5\n0.5,0.2\n", "increasing"),
        ("0.1,1\n1,0.5\n", "begin with q = 0"),
        ("0,0.9\n1,0.5\n", "F = 1"),
        ("", "two columns|cannot be read"),
        ("0,1\n1,nan\n2,0.1\n", "two columns|finite|cannot be read"),
        ("0,1\nnan,0.5\n2,0.1\n", "two columns|finite|cannot be read"),
        ("0,1\n1,inf\n", "two columns|finite|cannot be read"),
    ],
)
def test_table_refuses(tmp_path, text, message):
    # one error a user can act on: it names the file
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        form_factor.read_table(str(path))
    assert "bad.csv" in str(error.value)


def test_missing_table_and_unknown_name():
    with pytest.raises(ValueError, match=r"'nowhere\.csv' cannot be read"):
        form_factor.read_table("nowhere.csv")
    with pytest.raises(ValueError, match="'bessel' is none of helm, klein-nystrand, fermi, unity"):
        form_factor.model("bessel")


def test_interaction_checks_the_form_factor_at_once():
    # not only when the first rate is asked for
    with pytest.raises(ValidationError, match="'bessel' is none of"):
        Interaction(form_factor="bessel")
