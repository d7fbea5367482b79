"""χ² of one data set in plain NumPy: the reference for the compiled fit, and for iminuit.

    cost = Chi2(model, model.asimov())
    minuit = Minuit(cost, model.truth, grad=cost.gradient, name=model.names)

gives errors by MINOS (`errordef` is 1). A user's own model is any object with the attributes that
`Chi2` uses: `expected` as a `Polynomial`, `tau`, `weight` and `bins`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...generator.arrays import Array
from ..counts.model import Data, Model
from ..counts.polynomial import derivative
from ..kernels.deviance import NEGATIVE


class Chi2:
    """χ² of (4.3) and (4.4) as a function of the variables of a model, for one data set."""

    errordef = 1.0

    def __init__(self, model: Model, data: Data, number: int = 0) -> None:
        self.model = model
        self.counts, self.off, self.centre = (
            a[number if len(a) > 1 else 0] for a in (data.counts, data.off, data.centre)
        )

    def __call__(self, values: Sequence[float] | Array) -> float:
        """χ² at a point, shape (variables,); infinite where a count is impossible."""
        z = np.asarray(values, float)
        value = float(np.sum(self.model.weight * (z - self.centre) ** 2))
        return value + float(bin_chi2(self._signal(z), self.model.tau, self.counts, self.off).sum())

    def gradient(self, values: Sequence[float] | Array) -> Array:
        """Derivatives of χ² by the variables, shape (variables,)."""
        z = np.asarray(values, float)
        expected = self._signal(z)
        total = expected + background(expected, self.model.tau, self.counts, self.off)
        by_count = 2 * (1 - self.counts / np.maximum(total, 1e-300))
        result = 2 * self.model.weight * (z - self.centre)
        for k in range(len(z)):
            slope = derivative(self.model.expected, k).at(z)
            result[k] += np.sum(by_count * slope)
        return result

    def _signal(self, z: Array) -> Array:
        return np.broadcast_to(self.model.expected.at(z), (self.model.bins,))


def background(signal: Array, tau: Array, counts: Array, off: Array) -> Array:
    """Background B ≥ 0 in beam-on that fits best beside a signal; 0 where τ = 0, or no count is.

    The root of n/(s + B) + m/B = 1 + τ for counts n in beam-on and m in beam-off.
    """
    a = 1 + tau
    b = counts + off - a * signal
    root = np.sqrt(np.maximum(b**2 + 4 * a * off * signal, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        fitted = np.where(b > 0, (b + root) / (2 * a), 2 * off * signal / (root - b))
    return np.where((tau > 0) & (counts + off > 0), np.nan_to_num(fitted), 0.0)


def bin_chi2(signal: Array, tau: Array, counts: Array, off: Array) -> Array:
    """Contribution of each bin, where τ = 0 with the whole expectation as `signal`."""
    from scipy.special import kl_div

    impossible = signal < np.where(tau > 0, -NEGATIVE * (1 + counts + off), 0.0)
    beside = background(signal, tau, counts, off)
    total = signal + beside
    below = np.where((counts + off == 0) & (tau > 0), np.minimum(signal, 0.0), 0.0)
    value = below + kl_div(counts, np.maximum(total, 0.0))
    value = value + np.where(tau > 0, kl_div(off, tau * beside), 0.0)
    return np.where(impossible, np.inf, 2 * value)
