"""The prediction for COHERENT's CsI[Na] of 2021 in plain NumPy and SciPy, from its release alone.

Nothing of nuspill is used: numbers and formulas are written out, energies in MeV unless they are
said to be in keV, times in µs. Tables of times and photo-electrons are arguments.
"""

from itertools import pairwise

import numpy as np
from scipy.special import gammainc

FERMI, HBARC, UNIT, ELECTRON, MUON, PION = (
    1.1663787e-11, 197.3269804, 931.49410242, 0.51099895, 105.6583745, 139.57039,
)  # fmt: skip
PE = np.array([0, 8, 12, 16, 20, 24, 32, 40, 50, 60.0])
TIME = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 48]) / 8
NUCLEI = {"Cs": (55, 78, 132.905452, 5.09, 4.821), "I": (53, 74, 126.904473, 5.03, 4.766)}
"""Protons, neutrons, atomic mass (u), rms radii of neutrons and protons (fm)."""
PROTON_COUPLING = {"e": 0.0381, "mu": 0.0298}
PER_FLAVOUR = 3.198e23 * 0.0848 / (4 * np.pi * 1930.0**2)
"""Neutrinos through a cm² in all of the exposure."""


def energy_efficiency(x):
    return np.clip(1.32045 / (1 + np.exp(-0.285979 * (x - 10.8646))) - 0.333322, 0, None)


def time_efficiency(t):
    return np.where(t < 0.52, 1.0, np.exp(-0.0494 * (t - 0.52)))


def helm(q, radius):
    x = q * np.sqrt(5 / 3 * (radius**2 - 3 * 0.9**2))
    return 3 * (np.sin(x) - x * np.cos(x)) / x**3 * np.exp(-((0.9 * q) ** 2) / 2)


def binned_by_energy(recoil):
    """Probability of a recoil to be accepted in each bin of photo-electrons, shape (n, 9)."""
    energy = 1e3 * np.polynomial.polynomial.polyval(
        recoil, [0, 0.0554628, 4.30681, -111.707, 840.384]
    )
    a, b = 0.0749 / energy, 9.56 * energy
    x = np.linspace(0, 60, 4801)
    middle = (x[1:] + x[:-1]) / 2
    chance = np.zeros((len(recoil), 9))
    for i in range(len(recoil)):
        below = gammainc(1 + b[i], a[i] * (1 + b[i]) * x)
        parts = np.diff(below) * energy_efficiency(middle)
        chance[i] = np.histogram(middle, PE, weights=parts)[0]
    return chance


def spectrum_integral(flavour, recoil, mass):
    """∫ (2 − M T/E²) φ(E) dE above the least energy for a recoil."""
    least = (recoil + np.sqrt(recoil**2 + 2 * mass * recoil)) / 2
    if flavour == "numu":
        line = (PION**2 - MUON**2) / (2 * PION)
        return np.where(least < line, 2 - mass * recoil / line**2, 0.0)
    u, weight = np.polynomial.legendre.leggauss(32)
    half = np.maximum(MUON / 2 - least, 0)[:, None] / 2
    energy = least[:, None] + half * (1 + u)
    x = energy / MUON
    density = 64 * x**2 * (0.75 - x) if flavour == "numubar" else 192 * x**2 * (0.5 - x)
    factor = 2 - mass * recoil[:, None] / energy**2
    return (factor * density / MUON * weight * half).sum(axis=1)


def energies(flavour, steps=1500):
    """Events of a flavour by photo-electrons before the efficiency in time, shape (9,)."""
    per_element = 14.6e3 * 6.02214076e23 / (132.905452 + 126.904473)
    coupling = PROTON_COUPLING["e" if flavour == "nue" else "mu"]
    counts = np.zeros(9)
    for z, n, atom, neutrons, protons in NUCLEI.values():
        mass = atom * UNIT - z * ELECTRON
        end = 2 * (MUON / 2) ** 2 / (mass + MUON)
        recoil = (np.arange(steps) + 0.5) * end / steps
        q = np.sqrt(2 * mass * recoil + recoil**2) / HBARC
        charge = z * coupling * helm(q, protons) - 0.5117 * n * helm(q, neutrons)
        rate = FERMI**2 * mass / (2 * np.pi) * charge**2 * (HBARC * 1e-13) ** 2
        rate *= spectrum_integral(flavour, recoil, mass) * PER_FLAVOUR * per_element * end / steps
        counts += rate @ binned_by_energy(recoil)
    return counts


def binned_by_time(time, density):
    """Parts of a density, linear between points (µs), in bins of time, with the efficiency."""
    fine = np.linspace(0, 6, 48_001)
    middle = (fine[1:] + fine[:-1]) / 2
    parts = np.interp(middle, time, density, left=0, right=0) * time_efficiency(middle)
    total = np.trapezoid(density, time)
    return np.histogram(middle, TIME, weights=parts)[0] * (fine[1] - fine[0]) / total


def delayed(time, density):
    """Arrival of what follows prompt neutrinos by the life of a muon: times (µs) and density."""
    fine = np.linspace(0, 6, 6001)
    prompt = np.interp(fine, time, density, left=0, right=0)
    life = np.exp(-fine / 2.1969811) / 2.1969811
    weights = np.full(len(fine), fine[1])
    weights[0] /= 2
    late = np.convolve(prompt, life * weights)[: len(fine)]
    return fine, late / np.trapezoid(prompt, fine)


def signal(waveform):
    """Expected events by flavour in photo-electrons and time, shape (9, 11)."""
    time, density = waveform
    fine, late = delayed(time, density)
    prompt = binned_by_time(time, density)
    after = np.array(
        [
            np.trapezoid((late * time_efficiency(fine))[chosen], fine[chosen])
            for low, high in pairwise(TIME)
            for chosen in [(fine >= low - 1e-9) & (fine <= high + 1e-9)]
        ]
    )
    return {
        name: np.outer(energies(name), prompt if name == "numu" else after)
        for name in ("numu", "nue", "numubar")
    }


def neutrons(total, energy_counts, time, density):
    """Neutrons in photo-electrons and time; counts of 60 bins of 1 PE, times in µs."""
    by_energy = np.add.reduceat(np.asarray(energy_counts), PE[:-1].astype(int))
    by_time = binned_by_time(time, density)
    return total * np.outer(by_energy / by_energy.sum(), by_time / by_time.sum())


def steady(total, energy_counts):
    """Steady state in photo-electrons and time; counts of 30 bins of 2 PE."""
    by_energy = np.add.reduceat(np.asarray(energy_counts), (PE[:-1] / 2).astype(int))
    by_time = -np.diff(np.exp(-0.0494 * TIME))
    return total * np.outer(by_energy / by_energy.sum(), by_time / by_time.sum())
