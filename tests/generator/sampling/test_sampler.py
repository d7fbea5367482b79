"""True events against quadrature: fail for a distribution that is not φ(E) dσ/dT, or not random.

The expected shares come from `rate.integral`, and from the formulas coded apart in
`generator_formulas`. All p-values of a family share the limit of `generator_goodness`.
"""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from generator_formulas import (
    M_MU,
    bin_integrals,
    cdf_nue,
    cdf_numubar,
    channel,
    dsigma_dt,
    helm,
    legendre,
)
from generator_goodness import (
    approx,
    check,
    check_counts,
    check_uniform,
    chi2_pvalue,
    correlation_pvalue,
    histogram,
)
from nuspill.generator.coupling import Interaction, Matrix, Moment, Nsi
from nuspill.generator.cross_section import energy_min, recoil_factors
from nuspill.generator.form_factor import fermi, klein_nystrand
from nuspill.generator.rate import above, integral
from nuspill.generator.sampling import sampler
from nuspill.generator.sampling.draws import new_draws
from nuspill.generator.sampling.names import stream_number
from nuspill.generator.sampling.sampler import (
    COLUMN_BITS,
    KEPT_BITS,
    LEAST_RECOIL,
    RECOIL_CELLS,
    ROW_BITS,
    RecoilTables,
    new_candidates,
    pack,
    recoil_tables,
    sample,
    sample_recoils,
)
from nuspill.generator.spectrum import PION_LINE, line, tabulated
from nuspill.generator.target import nuclei_of
from scipy import stats

POINT = Interaction(form_factor="unity")
MOMENT = Moment(numu=30, nue=30)
POINT_MOMENT = Interaction(moment=MOMENT, moment_form_factor=False)

REACTOR = tabulated(
    np.linspace(1.8, 10, 400),
    np.exp(-np.linspace(1.8, 10, 400)) * (1 + np.sin(40 * np.linspace(1.8, 10, 400)) ** 2),
)
"""Falling, with 50 narrow peaks."""
SAW = tabulated([0, 5, 10, 10.001, 20, 20.001, 50], [0, 0, 1, 0.1, 0.1, 3, 0])
"""Empty, then a jump down and a jump up, each within 1 keV."""
BOX = tabulated([10, 50], [1, 1])

# name: nucleus, flavour, threshold in keV, interaction, spectrum (None: decay at rest)
COUPLINGS = {
    "nsi": ("I", "nue", 1.0, Interaction(nsi=Nsi(u=Matrix(ee=0.3, emu=0.1), d=Matrix(etau=0.2)))),
    "charge radius": ("I", "numubar", 1.0, Interaction(radius=Matrix(mumu=-25, emu=20))),
    "radiative": ("Cs", "nue", 1.0, Interaction(couplings="radiative")),
    "moment": ("Ge[74]", "nue", 1e-3, Interaction(moment=MOMENT)),
    "moment at a line": ("Ge[74]", "numu", 1e-3, Interaction(moment=MOMENT)),
    "moment of a point": ("I", "numubar", 1e-2, POINT_MOMENT),
    "great moment": ("Si[28]", "nue", 1.0, Interaction(moment=Moment(nue=2000))),
    "moment by default": ("Ge[74]", "numubar", LEAST_RECOIL, Interaction(moment=MOMENT)),
    "axial neutrino": ("H[1]", "nue", 1.0, Interaction(axial=True)),
    "axial antineutrino": ("H[1]", "numubar", 1.0, Interaction(axial=True)),
    "axial fluorine": ("F", "numubar", 2.0, Interaction(axial=True)),
    "kinematic": ("He[4]", "nue", 1.0, Interaction(kinematic_terms=True)),
    "kinematic and axial": ("H[1]", "nue", 1.0, Interaction(kinematic_terms=True, axial=True)),
    "unity": ("Xe[132]", "nue", 0.9, POINT),
    "klein-nystrand": ("Xe[132]", "numubar", 0.9, Interaction(form_factor="klein-nystrand")),
    "fermi": ("Xe[132]", "nue", 0.9, Interaction(form_factor="fermi")),
    "two radii": ("I", "numubar", 1.0, Interaction(neutron_radius=5.5, proton_radius=4.7)),
    "high threshold": ("Ar[40]", "nue", 100.0, Interaction()),
    "reactor": ("Ge[74]", "nuebar", 0.05, Interaction(), REACTOR),
    "reactor with a moment": ("Ge[74]", "nuebar", 1e-3, Interaction(moment=MOMENT), REACTOR),
    "saw": ("Si[28]", "nue", 0.16, Interaction(), SAW),
    "box": ("Ar[40]", "nue", 0.1, Interaction(), BOX),
}  # fmt: skip


def coupling_case(name):
    formula, flavour, threshold, interaction, *rest = COUPLINGS[name]
    return channel(formula, flavour, interaction, rest[0] if rest else None), threshold


def formula_of(c):
    """dσ/dT of a channel by the formulas coded apart, but for form factors tested elsewhere."""
    name = c.interaction.form_factor
    a = c.nucleus.a
    if c.interaction.neutron_radius:
        r_n, r_p = (
            np.sqrt(5 / 3 * (r**2 - 3 * 0.81))
            for r in (c.interaction.neutron_radius, c.interaction.proton_radius)
        )
        shapes = {"f_n": lambda q: helm(q, r_n), "f_p": lambda q: helm(q, r_p)}
    else:
        shape = {
            "helm": None,
            "unity": np.ones_like,
            "klein-nystrand": lambda q: klein_nystrand(q, a),
            "fermi": lambda q: fermi(q, a),
        }[name]
        shapes = {"f_n": shape}
    return lambda t, e: dsigma_dt(t, e, c.nucleus, c.interaction, c.flavour.name, **shapes)


def recoil_edges(c, low, bins=100):
    """Bins in T: half of them equal in √T, half in ln T, so that 1/T and the end are both seen."""
    root = np.linspace(np.sqrt(low), np.sqrt(c.end_point), bins // 2 + 1) ** 2
    logs = np.geomspace(low, c.end_point, bins // 2 + 1)
    edges = np.unique(np.concatenate([root, logs[1:-1]]))
    edges[0], edges[-1] = low, c.end_point * (1 + 1e-12)
    return edges[np.concatenate([[True], np.diff(edges) > 1e-9 * edges[1:]])]


def energy_edges(c, low, bins=40):
    spectrum = c.flavour.spectrum
    first = max(float(energy_min(low, c.nucleus.mass)), float(spectrum.edges[0]))
    edges = np.linspace(first * (1 - 1e-12), spectrum.end_point * (1 + 1e-12), bins + 1)
    knots = spectrum.edges[(spectrum.edges > first) & (spectrum.edges < spectrum.end_point)]
    return np.unique(np.concatenate([edges, knots])) if len(knots) < 10 else edges


def rates(c, edges):
    """Expected number in bins of T, by the quadrature of the package."""
    return np.array([integral(c, a, b) for a, b in pairwise(edges)])


def shares(c, e_edges, t_edges):
    """Expected number in bins of (E, T), by the independent formulas."""
    return bin_integrals(
        c.flavour.spectrum.density, formula_of(c), e_edges, t_edges, c.nucleus.mass,
        knots=c.flavour.spectrum.edges,
    )  # fmt: skip


NATURAL = [n.name for element in ("Cs", "I", "Xe", "Ge", "Ar", "Si") for n in nuclei_of(element)]
THRESHOLD = {"Cs": 1.0, "I": 1.0, "Xe": 0.9, "Ge": 0.6, "Ar": 0.1, "Si": 0.16}
FLAVOURS = ("numu", "nue", "numubar")
EVERY = [(name, flavour) for name in NATURAL for flavour in FLAVOURS]
MANY = {("Cs133", "nue"), ("I127", "numubar"), ("Xe132", "nue"), ("Ge74", "numubar"),
        ("Ar40", "nue"), ("Si28", "numubar"), ("Ar40", "numu")}  # fmt: skip


@pytest.mark.parametrize(("name", "flavour"), EVERY)
def test_recoil_energies_of_the_standard_model(name, flavour):
    # 10⁶ events on every natural isotope, 10⁷ on one of each element, in 100 bins of T
    element = name.rstrip("0123456789")
    c = channel(f"{element}[{name[len(element) :]}]", flavour)
    count = 10_000_000 if (name, flavour) in MANY else 1_000_000
    e, t = sample(c, count, 7, THRESHOLD[element])
    edges = recoil_edges(c, THRESHOLD[element])
    expected = rates(c, edges)
    check_counts(histogram(edges, t), expected, tests=len(EVERY))
    assert np.all(e >= energy_min(t, c.nucleus.mass) * (1 - 1e-12))


@pytest.mark.parametrize("name", COUPLINGS)
def test_both_energies_for_every_coupling(name):
    # 4·10⁶ events: T in 100 bins by `rate.integral`; E, and T at given E, by the formulas apart
    c, low = coupling_case(name)
    tests = 3 * len(COUPLINGS)
    e, t = sample(c, 4_000_000, 11, low)
    fine, coarse = recoil_edges(c, low), recoil_edges(c, low, 20)
    check_counts(histogram(fine, t), rates(c, fine), tests, label="T")
    if c.flavour.spectrum.is_line:
        assert np.all(e == PION_LINE)
        return
    e_edges = energy_edges(c, low)
    expected = shares(c, e_edges, coarse)
    by_rate = rates(c, coarse)
    assert expected.sum(axis=0) == approx(by_rate, rel=1e-6, abs=1e-9 * by_rate.sum())
    pairs = histogram((e_edges, coarse), e, t)
    check_counts(pairs.sum(axis=1), expected.sum(axis=1), tests, label="E")
    check_counts(pairs, expected, tests, label="E and T")


SAME_SHAPE = {"radiative", "nsi", "charge radius", "fermi"}
"""One form factor times a constant, or nearly: the shape of the Standard Model."""
WITH_SHAPE = {
    name
    for name, (_, _, _, interaction, *_) in COUPLINGS.items()
    if name not in SAME_SHAPE and interaction != Interaction()
}


@pytest.mark.parametrize("name", sorted(WITH_SHAPE))
def test_the_couplings_change_the_distribution(name):
    # so that agreement above means something: the same events do not follow the plain model
    c, low = coupling_case(name)
    plain = replace(c, interaction=Interaction())
    edges = recoil_edges(c, low)
    t = sample(c, 4_000_000, 11, low)[1]
    expected = rates(plain, edges)
    assert chi2_pvalue(histogram(edges, t), expected) < 1e-6


def test_the_test_sees_half_a_percent_in_the_radius():
    # negative control: 10⁷ events on xenon against a radius 0.5 % larger
    c = channel("Xe[132]", "numubar", Interaction(neutron_radius=4.8))
    other = replace(c, interaction=Interaction(neutron_radius=4.8 * 1.005))
    edges = recoil_edges(c, 0.9)
    counts = histogram(edges, sample(c, 10_000_000, 3, 0.9)[1])
    check_counts(counts, rates(c, edges))
    wrong = rates(other, edges)
    assert chi2_pvalue(counts, wrong) < 1e-6


@pytest.mark.parametrize("flavour", ["nue", "numubar"])
def test_recoil_given_the_energy_of_a_point_nucleus(flavour):
    # 10⁷ events: x = T/T_max has the density 1 − k x, k = M/(M + 2E), at every E, so its cumulative
    # function is uniform in every slice of E (closed form, no quadrature)
    c = channel("Ar[40]", flavour, POINT)
    e, t = sample(c, 10_000_000, 5)
    mass = c.nucleus.mass
    k = mass / (mass + 2 * e)
    x = t * 1e-3 * (mass + 2 * e) / (2 * e**2)
    u = (x - k * x**2 / 2) / (1 - k / 2)
    check_uniform(u, tests=4)
    bins = np.linspace(0, M_MU / 2, 21)
    table = histogram((bins, np.linspace(0, 1 + 1e-12, 51)), e, u)
    check(stats.chi2_contingency(table[table.sum(1) > 5000]).pvalue, tests=4)


@pytest.mark.parametrize(("flavour", "cdf"), [("nue", cdf_nue), ("numubar", cdf_numubar)])
def test_neutrino_energy_of_a_point_nucleus(flavour, cdf):
    # 10⁷ events: φ(E) E² (M + 4E)/(M + 2E)², in 200 bins of E, by fine sums over the closed form
    c = channel("Ar[40]", flavour, POINT)
    e, _ = sample(c, 10_000_000, 6)
    mass = c.nucleus.mass
    edges = np.linspace(0, M_MU / 2, 201)
    fine = np.linspace(0, M_MU / 2, 200 * 100 + 1)
    middle = (fine[1:] + fine[:-1]) / 2
    weight = np.diff(cdf(fine)) * middle**2 * (mass + 4 * middle) / (mass + 2 * middle) ** 2
    check_counts(histogram(edges, e), weight.reshape(200, 100).sum(axis=1), tests=2)


@pytest.mark.parametrize("energy", [10.0, PION_LINE, 50.0])
@pytest.mark.parametrize("threshold", [0.1, 5.0])
def test_recoil_at_one_energy(energy, threshold):
    # 10⁷ events of a line on a point nucleus: the closed form of (4.1) from the threshold on
    c = channel("Ar[40]", "numu", POINT, line(energy))
    e, t = sample(c, 10_000_000, 8, threshold)
    assert np.all(e == energy)

    def cumulative(t):
        return 2 * t - c.nucleus.mass * t**2 * 1e-3 / (2 * energy**2)

    low, high = cumulative(threshold), cumulative(c.end_point)
    check_uniform((cumulative(t) - low) / (high - low), tests=5)


def test_kinematics_and_threshold_hold_for_every_event():
    c = channel("Si[28]", "numubar", Interaction(moment=MOMENT))
    for low in (0.16, 20.0, 150.0):
        e, t = sample(c, 1_000_000, 1, low)
        assert t.min() >= low
        assert t.max() <= c.end_point
        assert np.all(e >= energy_min(t, c.nucleus.mass) * (1 - 1e-12))
        assert e.max() <= M_MU / 2


def cells(c, low):
    """Tables of one channel, with the scale that its factors have there."""
    tables = recoil_tables((c,), low)
    recoil = tables.recoil
    s = np.array([0.1, 0.9])
    t = recoil[:, :1] + recoil[:, 1:2] * s
    exact = (t.ravel() * c.factors(t.ravel())[0]).reshape(t.shape)
    scale = np.median(cubic(tables.factors[:, None, :4], s) / exact)
    return tables, scale


def cubic(c, x):
    return c[..., 0] + x * (c[..., 1] + x * (c[..., 2] + x * c[..., 3]))


GRID = [
    *((name, coupling_case(name)) for name in COUPLINGS),
    (
        "weak moment by default",
        (channel("I", "numubar", Interaction(moment=Moment(numu=9))), LEAST_RECOIL),
    ),
    *(
        (f"{formula} {flavour} {low:g} keV", (channel(formula, flavour), low))
        for formula in ("I", "Xe[136]", "Ge[74]", "Ar[40]", "Si[28]", "C[12]", "He[4]")
        for flavour in FLAVOURS
        for low in (LEAST_RECOIL, 0.1, 1.0)
    ),
]
CELLS = pytest.mark.parametrize(("c", "low"), [g[1] for g in GRID], ids=[g[0] for g in GRID])


def unpack(packed):
    """Part kept unseen, row in E and row in T of cells, from `pack`."""
    rows = packed >> np.uint64(COLUMN_BITS)
    columns = packed & np.uint64(2**COLUMN_BITS - 1)
    kept = (rows >> np.uint64(ROW_BITS)) / 2.0**KEPT_BITS
    return kept, (rows & np.uint64(2**ROW_BITS - 1)).astype(int), columns.astype(int)


@CELLS
def test_bound_is_nowhere_exceeded(c, low):
    # 64 random points in each cell and 1024 in those cut by the kinematic limit: where the density
    # is above the bound, events are lost, and where it is below what is kept unseen, there are too
    # many. It may differ by 1e-5 from the cubic pieces (next test)
    tables, scale = cells(c, low)
    energy, recoil = tables.energy, tables.recoil
    bound, surely = np.zeros((2, len(energy), RECOIL_CELLS))
    kept, *cell = unpack(tables.cell[:, 1])
    bound[tuple(cell)], surely[tuple(cell)] = tables.bound, kept
    spectrum, mass = c.flavour.spectrum, c.nucleus.mass
    rng = np.random.default_rng(4)

    def allowed(e, t):
        return t * 1e-3 * (mass + 2 * e) <= 2 * e**2

    def ratio(i, j, points):
        s, r = rng.random((2, len(i), points))
        e = energy[i, :1] + s * energy[i, 1:2]
        t = recoil[j, :1] + r * recoil[j, 1:2]
        phi = 1.0 if spectrum.is_line else spectrum.density(e)
        p0, p1, p2 = recoil_factors(t, c.nucleus, c.interaction, c.flavour.name) * scale
        density = np.where(allowed(e, t), phi * (p0 + p1 / e + p2 / e**2), 0.0)
        limit = bound[i, j][:, None]
        return np.divide(density, limit, out=np.where(density > 0, np.inf, 0.0), where=limit > 0)

    i, j = (x.ravel() for x in np.indices(bound.shape))
    most, least = energy[i, 0] + energy[i, 1], energy[i, 0]
    cut = allowed(most, recoil[j, 0]) & ~allowed(least, recoil[j, 0] + recoil[j, 1])
    for chosen, points in ((np.ones_like(cut), 64), (cut, 1024)):
        found = ratio(i[chosen], j[chosen], points)
        worst = found.max(axis=1, initial=0.0)
        number = int(np.sum(worst > 1 + 1e-5))
        assert number == 0, f"in {number} of {len(worst)} cells, by up to {worst.max():.3g}"
        least = found.min(axis=1, initial=np.inf) - surely[i[chosen], j[chosen]]
        assert least[bound[i[chosen], j[chosen]] > 0].min(initial=0.0) > -1e-5


@CELLS
def test_cubic_pieces_follow_the_factors(c, low):
    # to 1e-5 of the largest value, at 33 points a cell
    tables, scale = cells(c, low)
    recoil = tables.recoil
    s = np.linspace(0, 1, 33)
    t = recoil[:, :1] + recoil[:, 1:2] * s
    exact = t.ravel() * c.factors(t.ravel()) * scale  # the tables hold T P
    for k, column in zip(exact, (0, 4, 8), strict=True):
        pieces = cubic(tables.factors[:, None, column : column + 4], s).ravel()
        assert np.abs(pieces - k).max() <= 1e-5 * np.abs(k).max()


@CELLS
def test_cubic_pieces_change_no_share_by_more_than_1e_5(c, low):
    # what counts for events: ∫ |P − cubic| ⟨E⁻ᵏ⟩ dT over the rate above the threshold
    tables, scale = cells(c, low)
    recoil = tables.recoil
    x, w = np.polynomial.legendre.leggauss(9)
    s, w = (x + 1) / 2, w / 2
    t = (recoil[:, :1] + recoil[:, 1:2] * s).ravel()
    exact = c.factors(t) * scale
    pieces = [cubic(tables.factors[:, None, k : k + 4], s).ravel() / t for k in (0, 4, 8)]
    moments = c.flavour.spectrum.moments(energy_min(t, c.nucleus.mass))
    error = np.abs(((np.array(pieces) - exact) * moments).sum(axis=0))
    weights = (recoil[:, 1:2] * w).ravel()
    assert error @ weights <= 1e-5 * ((exact * moments).sum(axis=0) @ weights)


def draw(tables, count, seed, stream):
    """Candidates drawn, channels, E and T of events from tables."""
    e, t, number = np.empty(count), np.empty(count), np.empty(count, np.int16)
    draws = new_draws(seed, stream)
    drawn = sample_recoils(draws, count, tables, new_candidates(), number, e, t)
    return drawn, number, e, t


def drawn_for(c, count, low, seed=2):
    return draw(recoil_tables((c,), low), count, seed, 1)[0]


@CELLS
def test_acceptance(c, low):
    # above 85 %: otherwise the grid is too coarse or the bound too loose, and speed suffers. For a
    # table that rises or falls by half from point to point 80 %: each step is one cell in E
    least = 0.80 if c.flavour.spectrum is REACTOR else 0.85
    assert 200_000 / drawn_for(c, 200_000, low) > least


def test_number_of_candidates_follows_from_the_tables():
    # acceptance is ∫ density / Σ bound: fails if candidates are lost, used twice or miscounted
    c = channel("Ar[40]", "numubar")
    tables, scale = cells(c, 0.1)
    _, row, column = unpack(tables.cell[:, 1])
    bound = (tables.bound * tables.energy[row, 1] * tables.recoil[column, 1]).sum()
    p = above(c, 0.1) * scale / bound
    count = 1_000_000
    drawn = drawn_for(c, count, 0.1)
    sigma = np.sqrt(count * (1 - p)) / p
    assert abs(drawn - count / p) < 5 * sigma


POWERS = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, -3.0, 4.0)]


@pytest.mark.parametrize("powers", POWERS)
def test_kernel_draws_each_power_of_the_inverse_energy(powers):
    # 10⁷ events of one cell in E with φ = 1 + s − s² + s³ and constant P, alone and together, which
    # in physics are small corrections: φ (P0 + P1/E + P2/E²) in E, uniform in T
    energy, phi = np.array([[2.0, 8.0]]), np.array([[1.0, 1.0, -1.0, 1.0]])
    width = 5.0 / RECOIL_CELLS
    recoil, factors = np.zeros((RECOIL_CELLS, 2)), np.zeros((RECOIL_CELLS, 12))
    recoil[:, 0], recoil[:, 1] = 1.0 + width * np.arange(RECOIL_CELLS), width
    for column, p in zip((0, 4, 8), powers, strict=True):  # the tables hold T P
        factors[:, column], factors[:, column + 1] = p * recoil[:, 0], p * width
    cell = np.zeros((RECOIL_CELLS, 2), np.uint64)
    sampler.build_alias(np.ones(RECOIL_CELLS), cell[:, 0])
    cell[:, 1] = pack(np.zeros(1), np.zeros(1, int), np.arange(RECOIL_CELLS))  # none kept unseen
    largest = max(sum(p / x**k for k, p in enumerate(powers)) for x in (2.0, 10.0))
    bound = np.full(RECOIL_CELLS, 2.0 * largest)
    count = 10_000_000
    one = np.zeros(1, np.int16)
    tables = RecoilTables(cell, bound, energy, one, phi, recoil, factors, np.zeros(1))
    _, _, e, t = draw(tables, count, 1, POWERS.index(powers))
    edges = np.linspace(2.0, 10.0, 101)
    nodes, weights = legendre(edges[:-1], edges[1:], 12)
    s = (nodes - 2.0) / 8.0
    factor = sum(p / nodes**k for k, p in enumerate(powers))
    expected = ((1 + s - s**2 + s**3) * factor * weights).sum(axis=1)
    check_counts(histogram(edges, e), expected, tests=2 * len(POWERS))
    check_uniform((t - 1.0) / 5.0, tests=2 * len(POWERS))


def test_alias_table_has_the_weights_it_was_made_from():
    # the probability of each cell, summed over the table, exact to 32 bits
    rng = np.random.default_rng(3)
    for weight in (
        rng.random(1000) ** 20,
        np.concatenate([np.zeros(500), rng.random(524)]),
        np.ones(4096),
        np.array([0.0, 0.0, 1.0]),
        np.array([1.0]),
    ):
        alias = np.zeros(weight.size, np.uint64)
        sampler.build_alias(weight, alias)
        keep = (alias >> np.uint64(32)).astype(float) / (2**32 - 1)
        other = (alias & np.uint64(0xFFFFFFFF)).astype(int)
        found = keep + np.bincount(other, 1 - keep, weight.size)
        assert found / weight.size == approx(weight / weight.sum(), abs=1e-9)


def test_same_seed_same_events():
    c = channel("I", "nue")
    for one, two in zip(sample(c, 5000, 9, 1.0), sample(c, 5000, 9, 1.0), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("count", [1, 7, 511, 512, 513, 3000])
def test_events_do_not_depend_on_how_many_are_asked_for(count):
    # event number i is the same in a short and in a long sample
    c = channel("I", "nue")
    long, short = sample(c, 10_000, 9, 1.0), sample(c, count, 9, 1.0)
    for one, two in zip(short, long, strict=True):
        assert len(one) == count
        assert np.array_equal(one, two[:count])


def test_no_events():
    e, t = sample(channel("I", "nue"), 0, 9, 1.0)
    assert len(e) == len(t) == 0


def test_seeds_blocks_flavours_and_nuclei_are_independent():
    # each pair uncorrelated in E and T over 10⁶ events, and no event the same
    base = channel("I", "nue")
    samples = [
        sample(base, 1_000_000, 9, 1.0),
        sample(base, 1_000_000, 10, 1.0),
        sample(base, 1_000_000, 2**64 - 1, 1.0),
        sample(base, 1_000_000, 9, 1.0, block=1),
        sample(channel("I", "numubar"), 1_000_000, 9, 1.0),
        sample(channel("Cs", "nue"), 1_000_000, 9, 1.0),
    ]
    pairs = list(combinations(samples, 2))
    for one, two in pairs:
        for x, y in zip(one, two, strict=True):
            check(correlation_pvalue(x, y), tests=2 * len(pairs))
            assert np.mean(x == y) < 1e-6


def test_successive_events_are_independent():
    c = channel("I", "nue")
    e, t = sample(c, 2_000_000, 9, 1.0)
    for x in (e, t):
        check(correlation_pvalue(x[:-1], x[1:]), tests=2)


@pytest.mark.parametrize("threshold", [1e6, float("nan")])
def test_threshold_above_the_end_point(threshold):
    c = channel("I", "nue")
    with pytest.raises(ValueError, match=r"is not below the end point .* keV of I127"):
        sample(c, 10, 1, threshold)


def test_channels_together_have_the_tables_they_have_alone():
    # one of them below the threshold: it has no cell, and the others are untouched
    found = [channel("Xe[132]", "nue"), channel("Xe[132]", "numu"), channel("Si[28]", "nue")]
    low = 30.0
    assert found[1].end_point < low
    together = recoil_tables(tuple(found), low)
    kept, *where = unpack(together.cell[:, 1])
    channels = together.channel[where[0]]
    assert set(channels) == {0, 2}
    for i in (0, 2):
        alone, cell = recoil_tables((found[i],), low), channels == i
        assert np.array_equal(together.bound[cell], alone.bound)
        kept_alone, *where_alone = unpack(alone.cell[:, 1])
        assert np.array_equal(kept[cell], kept_alone)
        for k, name in ((0, "energy"), (0, "phi"), (1, "recoil"), (1, "factors")):
            rows = getattr(together, name)[where[k][cell]]
            assert np.array_equal(rows, getattr(alone, name)[where_alone[k]])


def test_cells_are_packed_and_unpacked():
    # fails if a field runs into the next, or more is kept unseen than may be
    rng = np.random.default_rng(11)
    surely = np.concatenate([[0.0, 1.0 - 1e-12, 1e-9], rng.random(1000)])
    row = rng.integers(0, 2**ROW_BITS, surely.size)
    column = rng.integers(0, 2**COLUMN_BITS, surely.size)
    kept, *where = unpack(pack(surely, row, column))
    assert np.array_equal(where, [row, column])
    assert np.all((kept <= surely) & (kept > surely - 2.0**-KEPT_BITS))
    with pytest.raises(ValueError, match="at most 4194303 rows in E and 262143 in T"):
        pack(np.zeros(1), np.array([2**22]), np.zeros(1, int))


def test_nothing_above_the_threshold():
    # no cells, rather than an error: an experiment may expect no signal
    assert recoil_tables((channel("Xe[132]", "numu"),), 1e3).bound.size == 0


def test_channels_come_by_their_rates():
    # a line beside continua of two nuclei: 3·10⁶ events, their numbers and the energies of each
    low, count = 0.1, 3_000_000
    found = (channel("Ar[40]", "numu"), channel("Ar[40]", "nue"), channel("Xe[132]", "numubar"))
    _, number, e, t = draw(recoil_tables(found, low), count, 3, stream_number("x"))
    check_counts(np.bincount(number), np.array([above(c, low) for c in found]), tests=4)
    assert np.all(e[number == 0] == PION_LINE)
    for i, c in enumerate(found):
        edges = recoil_edges(c, low)
        check_counts(histogram(edges, t[number == i]), rates(c, edges), tests=4)
