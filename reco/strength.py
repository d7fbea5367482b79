"""How much of a simulated signal is in counting data, by energy and time.

The data are counts in coincidence with the beam and in anti-coincidence, in bins of energy and
time; the model of a bin of coincidence is s S + n N + b B: the signal S expected, another
component N that comes with the beam with its uncertainty, and the steady background B, the product
of the anti-coincident sample's projections (energy and time are independent there). b is measured
by the two samples together. Minus twice the logarithm of the Poisson likelihood is minimised; the
error of s is where its profile has risen by 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TINY = 1e-12


@dataclass(frozen=True)
class Strength:
    """A fitted signal."""

    events: float
    """Signal in coincidence."""
    error: float
    """Half of the interval in which the profile rises by less than 1."""
    expected: float
    """Signal events of the simulation."""
    background: float
    other: float
    deviance: float
    """Minus twice the logarithm of the likelihood over that of the saturated model."""
    bins: int

    @property
    def strength(self) -> float:
        """Of the signal, in units of the expected."""
        return self.events / self.expected


def steady(off: Array) -> Array:
    """Background from counts (energies, times) in anti-coincidence: product of projections."""
    total = max(off.sum(), TINY)
    return np.asarray(np.outer(off.sum(axis=1), off.sum(axis=0)) / total)


def fit_strength(
    on: Array,
    off: Array,
    signal: Array,
    other: Array | None = None,
    other_error: float = 0.0,
    tau: float = 1.0,
) -> Strength:
    """Fit the signal in coincidence counts.

    Parameters
    ----------
    on, off
        Counts in coincidence and anti-coincidence, shape (energies, times).
    signal
        Events that are expected in coincidence, same shape.
    other
        Expected events of another component, which is left free within `other_error` of it, a part.
    tau
        Length of anti-coincidence over that of coincidence.

    Raises
    ------
    ValueError
        If shapes differ or nothing is expected.
    """
    from scipy.optimize import brentq, minimize

    if not on.shape == off.shape == signal.shape or signal.sum() <= 0:
        raise ValueError(f"counts {on.shape}, {off.shape} and signal {signal.shape} do not fit")
    base = steady(off) / tau
    rest = np.zeros_like(signal) if other is None else other

    def deviance(s: float, n: float, b: float) -> float:
        mu = np.maximum(s * signal + n * rest + b * base, TINY)
        value = 2 * float(np.sum(mu - on + np.where(on > 0, on * np.log(on / mu + TINY), 0.0)))
        count, mean = off.sum(), max(b * off.sum(), TINY)
        value += 2 * float(mean - count + (count * np.log(count / mean) if count else 0.0))
        return value + ((n - 1) / other_error) ** 2 if other_error else value

    def profile(s: float) -> tuple[float, Array]:
        found = minimize(
            lambda p: deviance(s, p[0] if other_error else 1.0, p[1]),
            np.array([1.0, 1.0]),
            method="Nelder-Mead",
            options={"xatol": 1e-5, "fatol": 1e-6},
        )
        return float(found.fun), found.x

    best = minimize(
        lambda p: deviance(p[0], p[1] if other_error else 1.0, p[2]),
        np.ones(3),
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-6, "maxiter": 4000},
    )
    s, n, b = best.x
    step = 3 * np.sqrt(max(on.sum(), 1.0)) / signal.sum()
    low, high = (
        brentq(lambda x: profile(x)[0] - best.fun - 1, *sorted((s, s + sign * step)), xtol=1e-4)
        for sign in (-1, 1)
    )
    expected = float(signal.sum())
    return Strength(
        events=float(s * expected),
        error=float((high - low) / 2 * expected),
        expected=expected,
        background=float(b * base.sum()),
        other=float((n if other_error else 1.0) * rest.sum()),
        deviance=deviance(s, n if other_error else 1.0, b),
        bins=on.size,
    )
