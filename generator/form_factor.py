"""Nuclear form factors F(q), one at q = 0.

Which one: Helm is the paper's choice; Klein-Nystrand is common in heavy-ion and COHERENT work;
the symmetrised Fermi function follows measured charge densities; unity is for checks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import ValidationError, model_validator

from .arrays import Array
from .settings import Settings, setting

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

HELM_SKIN = 0.9
"""Helm's surface thickness s, fm (Lewin and Smith, Astropart. Phys. 6 (1996) 87)."""
FERMI_DIFFUSENESS = 0.52
"""a of the Fermi density, fm (ibid.)."""
KLEIN_NYSTRAND_RANGE = 0.7
"""Range of the Yukawa potential a_k, fm (Klein and Nystrand, PRC 60 (1999) 014903)."""


def half_density_radius(a: float) -> float:
    """C = 1.23 A^(1/3) − 0.60 fm (Lewin and Smith 1996)."""
    return max(1.23 * a ** (1 / 3) - 0.60, 0.0)


def _sphere(x: Array) -> Array:
    """3 j1(x)/x, by its series below x = 0.01."""
    safe = np.where(x < 1e-2, 1.0, x)
    value = 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3
    return np.where(x < 1e-2, 1 - x**2 / 10 + x**4 / 280, value)


def _radius(square: float, model: str, rms: float | None) -> float:
    """Root of R² (fm²), which a given rms radius may leave negative."""
    if square < 0 and rms is not None:
        raise ValueError(f"an rms radius of {rms:g} fm is below the skin of the {model} model")
    return float(np.sqrt(max(square, 0.0)))


def helm(q: Array, a: float, rms: float | None = None) -> Array:
    """Helm form factor, 3 j1(qR0)/(qR0) exp(−q²s²/2).

    Parameters
    ----------
    q
        Momentum transfer, 1/fm.
    a
        Mass number; sets R0² = c² + 7/3 π²a² − 5s² (Lewin and Smith 1996, eq. 4.11).
    rms
        Root-mean-square radius in fm; if given R0² = 5/3 (rms² − 3 s²).
    """
    if rms is None:
        c = half_density_radius(a)
        r2 = c**2 + 7 / 3 * (np.pi * FERMI_DIFFUSENESS) ** 2 - 5 * HELM_SKIN**2
    else:
        r2 = 5 / 3 * (rms**2 - 3 * HELM_SKIN**2)
    return _sphere(q * _radius(r2, "Helm", rms)) * np.exp(-((q * HELM_SKIN) ** 2) / 2)


def klein_nystrand(q: Array, a: float, rms: float | None = None) -> Array:
    """Klein-Nystrand form factor, 3 j1(qR)/(qR) / (1 + q²a_k²), R = 1.2 A^(1/3) fm.

    With `rms` (fm), R² = 5/3 (rms² − 6 a_k²). `q` in 1/fm.
    """
    r2 = (
        (1.2 * a ** (1 / 3)) ** 2 if rms is None else 5 / 3 * (rms**2 - 6 * KLEIN_NYSTRAND_RANGE**2)
    )
    return _sphere(q * _radius(r2, "Klein-Nystrand", rms)) / (1 + (q * KLEIN_NYSTRAND_RANGE) ** 2)


def fermi(q: Array, a: float, rms: float | None = None) -> Array:
    """Symmetrised Fermi form factor, closed form (Sprung and Martorell, J. Phys. A 30 (1997) 6525).

    Half-density radius c = 1.23 A^(1/3) − 0.60 fm and a = 0.52 fm; with `rms` (fm),
    c² = 5/3 rms² − 7/3 (πa)². `q` in 1/fm.
    """
    d = np.pi * FERMI_DIFFUSENESS
    c2 = half_density_radius(a) ** 2 if rms is None else 5 / 3 * rms**2 - 7 / 3 * d**2
    c = max(_radius(c2, "Fermi", rms), 1e-2)
    y = np.where(q < 1e-3, 1e-3, q)
    qd, qc = d * y, c * y
    value = (
        3
        / (qc * (qc**2 + qd**2))
        * (qd / np.sinh(qd))
        * (qd * np.sin(qc) / np.tanh(qd) - qc * np.cos(qc))
    )
    mean_square = 3 / 5 * c2 + 7 / 5 * d**2
    return np.where(q < 1e-3, 1 - q**2 * mean_square / 6, value)


def unity(q: Array, a: float, rms: float | None = None) -> Array:  # noqa: ARG001
    """Point nucleus, F = 1."""
    return np.ones_like(q)


FormFactor = Callable[[Array, float, float | None], Array]
MODELS: dict[str, FormFactor] = {
    "helm": helm,
    "klein-nystrand": klein_nystrand,
    "fermi": fermi,
    "unity": unity,
}


TABLE_SUFFIXES = (".csv", ".txt", ".dat")
"""Endings of names that are those of tables."""


class FormFactorTable(Settings):
    """User's points (q, F): a monotone cubic through them, and zero beyond the last q.

    The same F serves every nucleus of the target.
    """

    file: str | None = setting(None, "name of the file that the points were read from")
    q: tuple[float, ...] = setting(
        ..., "momentum transfers, increasing from 0", "1/fm", min_length=2, strict=False
    )
    f: tuple[float, ...] = setting(..., "F at each, 1 at q = 0", min_length=2, strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.q) != len(self.f) or np.any(np.diff(self.q) <= 0):
            raise ValueError("a form factor needs q (1/fm, increasing) and as many F")
        if self.q[0] != 0 or not np.isclose(self.f[0], 1.0, atol=1e-6):
            raise ValueError("a form factor must begin with q = 0, F = 1")
        return self

    @cached_property
    def _curve(self) -> PchipInterpolator:
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(self.q, self.f, extrapolate=False)

    def __call__(self, q: Array, a: float, rms: float | None = None) -> Array:  # noqa: ARG002
        """F at q in 1/fm."""
        return np.nan_to_num(self._curve(q), nan=0.0)


def read_table(path: str | Path) -> FormFactorTable:
    """Points of a file of two columns, q (1/fm) and F.

    Raises
    ------
    ValueError
        Naming the file, if it cannot be read or is no form factor.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = np.loadtxt(path, delimiter="," if path.suffix == ".csv" else None, ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise ValueError(f"form factor table '{path}' cannot be read: {error}") from error
    if table.shape[1] != 2 or len(table) < 2:
        raise ValueError(f"form factor table '{path}' needs two columns q (1/fm), F, and two rows")
    q, f = (tuple(column.tolist()) for column in table.T)
    try:
        return FormFactorTable(file=path.name, q=q, f=f)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"form factor table '{path}': {reason}") from error


def model(choice: str | FormFactorTable) -> FormFactor:
    """Form factor by name (``helm``, ``klein-nystrand``, ``fermi``, ``unity``), or a table."""
    if not isinstance(choice, str):
        return choice
    if choice in MODELS:
        return MODELS[choice]
    raise ValueError(
        f"'{choice}' is none of {', '.join(MODELS)}, nor a table file "
        f"({', '.join(TABLE_SUFFIXES)}) whose values are known"
    )
