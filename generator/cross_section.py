"""Differential cross section dσ/dT of CEνNS, and its kinematics.

Every term is a polynomial in 1/E, dσ/dT = P0(T) + P1(T)/E + P2(T)/E²: rates and the sampler use
the three functions P, so a new coupling or form factor is added here and nowhere else.

(4.1)   G_F² M/(2π) F² Σ_β |Z g_p + N g_n|² (2 − M T/E²), with −2T/E + T²/E² on request;
(4.14)  π α²/m_e² (μ/μ_B)² Z² F² (1/T − 1/E + T/(4E²));
axial   G_F² M/(2π) F² {G_A² [1 + (1 − T/E)² + M T/E²] ± 2 G_V G_A [1 − (1 − T/E)²]}, the sign plus
        for neutrinos, with G_A of the one unpaired nucleon (Barranco et al., JHEP 12 (2005) 021).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import form_factor
from .arrays import Array
from .constants import CM2_MEV2, ELECTRON_MASS, FERMI_CONSTANT, FINE_STRUCTURE, HBARC, KEV
from .coupling import Interaction, structure_couplings
from .target import Nucleus

AXIAL_PROTON = 0.4955
AXIAL_NEUTRON = -0.5121
"""Axial couplings of proton and neutron (Barranco et al. 2005, with radiative corrections)."""
MOMENT_UNIT = 1e-10
"""Magnetic moments are given in 1e-10 μ_B."""


def recoil_max(energy: ArrayLike, mass: float) -> Array:
    """Largest recoil energy 2E²/(M + 2E) in keV, for E and M in MeV."""
    e = np.asarray(energy, dtype=float)
    return 2 * e**2 / (mass + 2 * e) / KEV


def energy_min(recoil: ArrayLike, mass: float) -> Array:
    """Least neutrino energy (T + √(T² + 2MT))/2 in MeV for a recoil T in keV, M in MeV."""
    t = np.asarray(recoil, dtype=float) * KEV
    return (t + np.sqrt(t * (t + 2 * mass))) / 2


def axial_charge(nucleus: Nucleus) -> float:
    """G_A of the unpaired nucleons: at most one proton and one neutron; 0 for even-even nuclei."""
    unpaired_p, unpaired_n = round(nucleus.z) % 2, round(nucleus.n) % 2
    return AXIAL_PROTON * unpaired_p + AXIAL_NEUTRON * unpaired_n


def structure_factors(
    recoil: ArrayLike, nucleus: Nucleus, interaction: Interaction, flavour: str
) -> dict[str, Array]:
    """P0, P1, P2 of each coupling structure, which `coupling.structure_couplings` multiplies.

    Parameters
    ----------
    recoil
        Recoil energies T, keV, shape (n,).
    interaction
        Form factor and optional terms; its couplings are not used.
    flavour
        Key of `coupling.PDG`.

    Returns
    -------
    dict of arrays, shape (3, n)
        Factors in cm²/keV times MeV⁰, MeV¹ and MeV². ``pp``, ``pn`` and ``nn`` of the vector
        current; with `interaction.axial` also ``ap``, ``an`` (interference) and ``aa``; ``moment``.
    """
    t = np.asarray(recoil, dtype=float) * KEV
    mass = nucleus.mass
    q = np.sqrt(t * (t + 2 * mass)) / HBARC
    shape = form_factor.model(interaction.form_factor)
    neutron_radius, proton_radius = interaction.radii(nucleus.name)
    f_n = shape(q, nucleus.a, neutron_radius)
    f_p = f_n if proton_radius == neutron_radius else shape(q, nucleus.a, proton_radius)
    protons, neutrons = nucleus.z * f_p, nucleus.n * f_n

    scale = FERMI_CONSTANT**2 * mass / (2 * np.pi) * CM2_MEV2 * KEV
    zero, one = np.zeros_like(t), np.ones_like(t)
    p0, p1, p2 = 2 * one, zero, -mass * t
    if interaction.kinematic_terms:
        p1, p2 = p1 - 2 * t, p2 + t**2
    vector = scale * np.stack([p0, p1, p2])
    structures = {
        "pp": protons**2 * vector,
        "pn": protons * neutrons * vector,
        "nn": neutrons**2 * vector,
    }
    if interaction.axial:
        g_a = axial_charge(nucleus) * f_n
        sign = -1 if flavour.endswith("bar") else 1
        mixed = sign * 2 * g_a * scale * np.stack([zero, 2 * t, -(t**2)])
        structures["ap"], structures["an"] = protons * mixed, neutrons * mixed
        structures["aa"] = g_a**2 * scale * np.stack([2 * one, -2 * t, t**2 + mass * t])
    f2 = f_p**2 if interaction.moment_form_factor else one
    strength = np.pi * (FINE_STRUCTURE / ELECTRON_MASS * MOMENT_UNIT * nucleus.z) ** 2
    safe = np.where(t > 0, t, np.inf)
    structures["moment"] = strength * CM2_MEV2 * KEV * f2 * np.stack([1 / safe, -one, t / 4])
    return structures


def recoil_factors(
    recoil: ArrayLike, nucleus: Nucleus, interaction: Interaction, flavour: str
) -> Array:
    """P0, P1, P2 with dσ/dT = P0 + P1/E + P2/E² below the kinematic limit.

    Parameters and units as `structure_factors`; returns an array of shape (3, n).
    """
    couplings = structure_couplings(interaction, flavour)
    factors = structure_factors(recoil, nucleus, interaction, flavour)
    return sum(
        (couplings[name] * factor for name, factor in factors.items() if couplings[name] != 0),
        np.zeros((3, *np.shape(recoil))),
    )


def differential(
    recoil: ArrayLike,
    energy: ArrayLike,
    nucleus: Nucleus,
    interaction: Interaction,
    flavour: str,
) -> Array:
    """dσ/dT in cm²/keV at recoil (keV) and neutrino energy (MeV), broadcast; 0 where forbidden."""
    t, e = np.broadcast_arrays(np.asarray(recoil, float), np.asarray(energy, float))
    p0, p1, p2 = recoil_factors(t, nucleus, interaction, flavour)
    value = p0 + p1 / e + p2 / e**2
    return np.where(t <= recoil_max(e, nucleus.mass), np.maximum(value, 0.0), 0.0)
