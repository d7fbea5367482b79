"""Physical constants, each with its source. House units: MeV, keV (recoil), ns, kg, u, cm², fm."""

from __future__ import annotations

HBARC = 197.3269804
"""ħc in MeV fm (CODATA 2018, exact)."""
FERMI_CONSTANT = 1.1663787e-11
"""G_F/(ħc)³ in MeV⁻² (CODATA 2018)."""
FINE_STRUCTURE = 7.2973525693e-3
"""α at zero momentum transfer (CODATA 2018)."""
ATOMIC_MASS_UNIT = 931.49410242
"""Atomic mass unit u in MeV (CODATA 2018)."""
AVOGADRO = 6.02214076e23
"""Avogadro constant in 1/mol (SI, exact)."""
ELEMENTARY_CHARGE = 1.602176634e-19
"""Elementary charge e in C (SI, exact)."""
ELECTRON_MASS = 0.51099895
"""Electron mass m_e in MeV (CODATA 2018)."""
MUON_MASS = 105.6583745
"""Muon mass m_μ in MeV (PDG 2020)."""
PION_MASS = 139.57039
"""Mass of the charged pion in MeV (PDG 2020)."""
W_MASS = 80379.0
"""W boson mass m_W in MeV (PDG 2020)."""
PION_LIFETIME = 26.033
"""Mean life of π± in ns (PDG 2020)."""
MUON_LIFETIME = 2196.9811
"""Mean life of μ± in ns (PDG 2020)."""
SIN2_THETA_W = 0.23867
"""sin²θ_W at zero momentum transfer (Erler and Ramsey-Musolf 2005, as in arXiv:1911.00762)."""

CM2_MEV2 = HBARC**2 * 1e-26
"""(ħc)² in cm² MeV²: turns a cross section in MeV⁻² into cm²."""
KEV = 1e-3
"""keV in MeV."""
