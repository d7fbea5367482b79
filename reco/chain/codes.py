"""Integer codes by which kernels know windows, times, energy scales and models of the response.

A model tells its own code. Nothing here is compiled, so that settings can be read without numba.
"""

from __future__ import annotations

ON, OFF = 1, 2
"""Values of the column `window`; 0 is neither."""

STEADY, PROFILE, WITH_PROTONS = 0, 1, 2
"""When events come: at any time, by a table of their own, with the protons or after decays."""

RECOIL, ELECTRON, UNIT, TRUE = 0, 1, 2, 3
"""Scale of a background's energy: keV_nr, keV_ee, unit of e_reco, true recoils."""

NO_SMEARING, ROOT_T, PHOTOELECTRONS, WIDTH_TABLE, GAMMA = 0, 1, 2, 3, 4
"""Resolutions: none, Gaussian in keV_nr with σ ∝ √T, whole numbers, Gaussian or gamma in keV_ee."""

STEP, LOGISTIC, EFFICIENCY_TABLE = 0, 1, 2
"""Efficiencies: one value, a logistic function of e_reco, a table in it."""
