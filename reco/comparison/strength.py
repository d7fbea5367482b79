"""How much of a simulated signal is in counting data, by energy and time.

The data are counts in coincidence with the beam and in anti-coincidence, in bins of energy and
time. Coincidence expects s S + n N + B: the signal S, another component N that comes with the beam
and is known to a part, and the steady background B, of which anti-coincidence has τ B. In B energy
and time are independent; both distributions are free. Minus twice the logarithm of the Poisson
likelihood of both samples is minimised; the error of s is where its profile has risen by 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ...generator.arrays import Array
from ...generator.display import Displayed

TINY = 1e-12
STEPS = 5000
"""Steps of expectation-maximisation, at most."""


@dataclass(frozen=True, repr=False)
class Strength(Displayed):
    """A fitted signal."""

    events: float
    """Signal events in coincidence."""
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
        """Strength of the signal, in units of the expected."""
        return self.events / self.expected

    def facts(self) -> dict[str, object]:
        """Signal, what is expected, and the quality of the fit."""
        return {
            "signal": f"{self.events:.4g} ± {self.error:.2g} events",
            "expected": f"{self.expected:.4g}",
            "strength": f"{self.strength:.3g}",
            "background": f"{self.background:.4g}",
            "deviance": f"{self.deviance:.4g} in {self.bins} bins",
        }

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return asdict(self) | {"strength": self.strength}


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
        Expected events of another component, known to the part `other_error` of it.
    tau
        Length of anti-coincidence over that of coincidence.

    Raises
    ------
    ValueError
        If shapes differ or nothing is expected.
    """
    from scipy.optimize import brentq

    if not on.shape == off.shape == signal.shape or signal.sum() <= 0:
        raise ValueError(f"counts {on.shape}, {off.shape} and signal {signal.shape} do not fit")
    rest = np.zeros_like(signal) if other is None else other
    data = _Data(on, off, signal, rest, other_error, tau)
    best, s, n, base = data.maximum(None)

    def rise(strength: float) -> float:
        return data.maximum(strength)[0] - best - 1

    step = np.sqrt(max(on.sum() + off.sum(), 1.0)) / signal.sum()
    low = 0.0 if rise(0.0) < 0 else brentq(rise, 0.0, s, xtol=1e-3)
    top = s + step
    while rise(top) < 0:
        top += step
    high = brentq(rise, s, top, xtol=1e-3)
    expected = float(signal.sum())
    return Strength(
        events=s * expected,
        error=(high - low) / 2 * expected,
        expected=expected,
        background=float(base.sum()),
        other=float(n * rest.sum()),
        deviance=best,
        bins=2 * on.size,
    )


@dataclass(frozen=True, eq=False)
class _Data:
    """Counts and expectations of a fit."""

    on: Array
    off: Array
    signal: Array
    rest: Array
    error: float
    tau: float

    def maximum(self, fixed: float | None) -> tuple[float, float, float, Array]:
        """Least deviance, and s, n and background at it; s is `fixed` or free.

        Expectation-maximisation: counts in coincidence are shared out among the components, and
        each component is then the best one for its share.
        """
        s, n = 1.0 if fixed is None else fixed, 1.0
        base = np.outer(self.off.sum(axis=1), self.off.sum(axis=0)) + TINY
        base *= max(self.off.sum(), TINY) / base.sum() / self.tau
        total_s, total_n, before = self.signal.sum(), self.rest.sum(), np.inf
        for step in range(STEPS):
            share = self.on / np.maximum(s * self.signal + n * self.rest + base, TINY)
            if fixed is None:
                s *= float((share * self.signal).sum()) / total_s
            if self.error > 0:
                events = n * float((share * self.rest).sum())
                slope = total_n * self.error**2 - 1
                n = (np.sqrt(slope**2 + 4 * events * self.error**2) - slope) / 2
            whole = share * base + self.off
            base = np.outer(whole.sum(axis=1), whole.sum(axis=0))
            base /= max(whole.sum(), TINY) * (1 + self.tau)
            if step % 20 == 0:
                now = self.deviance(s, n, base)
                if before - now < 1e-6:
                    break
                before = now
        return self.deviance(s, n, base), s, n, base

    def deviance(self, s: float, n: float, base: Array) -> float:
        """Deviance of both samples, and of n from its expectation."""
        value = _poisson(self.on, s * self.signal + n * self.rest + base)
        value += _poisson(self.off, self.tau * base)
        return value + (((n - 1) / self.error) ** 2 if self.error > 0 else 0.0)


def _poisson(counts: Array, mean: Array) -> float:
    mean = np.maximum(mean, TINY)
    ratio = np.where(counts > 0, counts, 1.0) / mean
    return 2 * float(np.sum(mean - counts + counts * np.log(np.where(counts > 0, ratio, 1.0))))
