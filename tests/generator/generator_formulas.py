"""The physics once more, written from the paper and not from the code under test.

arXiv:1911.00762 with its misprints mended; axial current of Barranco et al., JHEP 12 (2005) 021.
Constants are those of `scipy.constants` (CODATA), masses of muon and pion those of the PDG.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
from nuspill.generator.beam import FlavourFlux, Source
from nuspill.generator.coupling import Interaction
from nuspill.generator.rate import Channel
from nuspill.generator.spectrum import decay_at_rest
from nuspill.generator.target import Nucleus, nuclei_of
from scipy import constants
from scipy.special import spherical_jn

REFERENCE = Path(__file__).parent.parent / "reference"
PUBLISHED = tomllib.loads((REFERENCE / "generator.toml").read_text())

MEV = constants.value("atomic mass constant energy equivalent in MeV")
HBARC = constants.hbar * constants.c / constants.e * 1e-6 * 1e15
"""MeV fm."""
G_F = constants.value("Fermi coupling constant") * 1e-6
"""MeV⁻²."""
M_MU, M_PI, M_W = 105.6583745, 139.57039, 80379.0
M_E = constants.value("electron mass energy equivalent in MeV")
TO_CM2 = (HBARC * 1e-13) ** 2
"""MeV⁻² in cm²."""

LEPTON = {"numu": "mu", "numubar": "mu", "nue": "e", "nuebar": "e", "nutau": "tau"}


def phi_nue(e):
    """Spectrum of ν_e from muon decay at rest, 1/MeV (2.1)."""
    x = np.asarray(e) / M_MU
    return np.where((x >= 0) & (x <= 0.5), 192 / M_MU * x**2 * (0.5 - x), 0.0)


def phi_numubar(e):
    """Spectrum of ν̄_μ from muon decay at rest, 1/MeV (2.1)."""
    x = np.asarray(e) / M_MU
    return np.where((x >= 0) & (x <= 0.5), 64 / M_MU * x**2 * (0.75 - x), 0.0)


def cdf_nue(e):
    """Integral of `phi_nue` from 0."""
    x = np.asarray(e) / M_MU
    return 32 * x**3 - 48 * x**4


def cdf_numubar(e):
    """Integral of `phi_numubar` from 0."""
    x = np.asarray(e) / M_MU
    return 16 * x**3 - 16 * x**4


def helm(q, r0, s=0.9):
    """Helm form factor at q in 1/fm."""
    x = np.asarray(q) * r0
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, 3 * spherical_jn(1, safe) / safe) * np.exp(-((q * s) ** 2) / 2)


def helm_radius(a):
    """R0 of Lewin and Smith, fm."""
    c = 1.23 * a ** (1 / 3) - 0.6
    return np.sqrt(c**2 + 7 / 3 * np.pi**2 * 0.52**2 - 5 * 0.9**2)


def couplings(interaction, flavour):
    """[(g_p, g_n) of ν_α → ν_α, then of the transitions to the other two flavours]."""
    lepton = LEPTON[flavour]
    s2w = interaction.sin2w
    if interaction.couplings == "tree":
        g_p, g_n = 0.5 - 2 * s2w, -0.5
    else:
        g_p = PUBLISHED["radiative"]["proton"][lepton] + 2 * (0.23867 - s2w)
        g_n = PUBLISHED["radiative"]["neutron"]

    def entry(matrix, a, b):
        key = {"e", "mu", "tau"} & {a, b}
        for name, pair in {
            "ee": {"e"}, "mumu": {"mu"}, "tautau": {"tau"},
            "emu": {"e", "mu"}, "etau": {"e", "tau"}, "mutau": {"mu", "tau"},
        }.items():  # fmt: skip
            if pair == key:
                return getattr(matrix, name)
        raise KeyError(key)

    result = []
    for other in [lepton] + [x for x in ("e", "mu", "tau") if x != lepton]:
        u, d = (entry(m, lepton, other) for m in (interaction.nsi.u, interaction.nsi.d))
        r2 = entry(interaction.radius, lepton, other) * 1e-32 / TO_CM2
        q = 2 / 3 * M_W**2 * s2w * r2
        bare = (g_p, g_n) if other == lepton else (0.0, 0.0)
        result.append((bare[0] + 2 * u + d - q, bare[1] + u + 2 * d))
    return result


def dsigma_dt(recoil, energy, nucleus, interaction, flavour, f_p=None, f_n=None):
    """dσ/dT in cm²/keV at T (keV) and E (MeV); form factors are functions of q (1/fm)."""
    t, e = np.broadcast_arrays(np.asarray(recoil, float) * 1e-3, np.asarray(energy, float))
    mass = nucleus.mass_u * MEV - nucleus.z * M_E
    q = np.sqrt(2 * mass * t + t**2) / HBARC
    if f_n is None:
        r0 = helm_radius(nucleus.a)
        f_n = lambda q: helm(q, r0)  # noqa: E731
    shape_n = f_n(q)
    shape_p = (f_p or f_n)(q)
    vector = [
        nucleus.z * gp * shape_p + nucleus.n * gn * shape_n
        for gp, gn in couplings(interaction, flavour)
    ]
    total = 0.0
    for g_v in vector:
        bracket = 2 - mass * t / e**2
        if interaction.kinematic_terms:
            bracket = bracket - 2 * t / e + (t / e) ** 2
        total = total + g_v**2 * bracket
    if interaction.axial:
        g_a = (0.4955 * (nucleus.z % 2 == 1) - 0.5121 * (nucleus.n % 2 == 1)) * shape_n
        if flavour.endswith("bar"):
            g_a = -g_a
        # G_F² M/2π [(V + A)² + (V − A)²(1 − T/E)² − (V² − A²) M T/E²] less what A = 0 gives
        g_v, y = vector[0], t / e
        barranco = (
            (g_v + g_a) ** 2 + (g_v - g_a) ** 2 * (1 - y) ** 2 - (g_v**2 - g_a**2) * mass * t / e**2
        )
        total = total + barranco - g_v**2 * (1 + (1 - y) ** 2 - mass * t / e**2)
    value = G_F**2 * mass / (2 * np.pi) * total
    mu = {"mu": "numu", "e": "nue", "tau": "nutau"}[LEPTON[flavour]]
    moment = getattr(interaction.moment, mu) * 1e-10
    if moment:
        f2 = shape_p**2 if interaction.moment_form_factor else 1.0
        value = value + (
            np.pi * constants.alpha**2 / M_E**2
            * (1 / t - 1 / e + t / (4 * e**2))
            * nucleus.z**2 * f2 * moment**2
        )  # fmt: skip
    allowed = t <= 2 * e**2 / (mass + 2 * e)
    return np.where(allowed, value, 0.0) * TO_CM2 * 1e-3


def philox4x32_10(counter, key):
    """Philox as Salmon et al. write it: integers, ten rounds, the key bumped between them."""
    c, k = list(counter), list(key)
    for number in range(10):
        if number:
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        high_0, low_0 = divmod(0xD2511F53 * c[0], 2**32)
        high_1, low_1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high_1 ^ c[1] ^ k[0], low_1, high_0 ^ c[3] ^ k[1], low_0]
    return tuple(c)


def legendre(low, high, order):
    """Nodes and weights in [low, high], a trailing axis added."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = (np.asarray(high) - np.asarray(low))[..., None] / 2
    return np.asarray(low)[..., None] + half * (x + 1), half * w


def bin_integrals(phi, cross_section, e_edges, t_edges, mass, knots=()):
    """∫∫ φ(E) dσ/dT dE dT in bins of (E, T), by nested quadrature cut at every kink.

    `mass` in MeV, `knots` are energies at which φ bends.
    """
    t_mev = np.asarray(t_edges) * 1e-3
    kinks = (t_mev + np.sqrt(t_mev**2 + 2 * mass * t_mev)) / 2
    inside = np.concatenate([kinks, np.asarray(knots, float)])
    inside = inside[(inside > e_edges[0]) & (inside < e_edges[-1])]
    cuts = np.unique(np.concatenate([e_edges, inside]))
    e, w = legendre(cuts[:-1], cuts[1:], 12)
    limit = 2 * e**2 / (mass + 2 * e) * 1e3
    low, high = t_edges[:-1], t_edges[1:]
    top = np.clip(limit[..., None], low, high)
    t, wt = legendre(np.broadcast_to(low, top.shape), top, 16)
    inner = (cross_section(t, e[..., None, None]) * wt).sum(-1)
    segments = (inner * (phi(e) * w)[..., None]).sum(1)
    owner = np.searchsorted(e_edges, (cuts[:-1] + cuts[1:]) / 2, side="right") - 1
    owner = np.clip(owner, 0, len(e_edges) - 2)  # a cut may lie within rounding of the last edge
    result = np.zeros((len(e_edges) - 1, len(low)))
    np.add.at(result, owner, segments)
    return result


def table2_nucleus(name, mass=None):
    """Nucleus of the paper's Table 2, one of it in a kilogram of nothing else."""
    z, n, mass_u = PUBLISHED["table2"][name]
    return Nucleus(name, z, n, mass or mass_u, 1.0)


def isotope(formula):
    """The one nucleus of a formula such as Ge[76]."""
    (nucleus,) = nuclei_of(formula)
    return nucleus


def channel(nucleus, flavour="numubar", interaction=None, spectrum=None):
    """Channel of unit exposure on a Nucleus or on a formula of one nucleus."""
    if isinstance(nucleus, str):
        nucleus = isotope(nucleus)
    spectrum = spectrum or decay_at_rest()[flavour]
    flux = FlavourFlux(flavour, spectrum, 1.0, 0)
    return Channel(flux, nucleus, interaction or Interaction(), 1.0)


def ess(**changes):
    """The ESS as in the paper: 2.8e23 protons, 0.3 neutrinos each, 20 m."""
    return Source(**({"protons_per_year": 2.8e23, "neutrinos_per_proton": 0.3} | changes))
