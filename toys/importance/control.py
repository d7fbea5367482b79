"""The quantile of q from toys and a surrogate q_s whose distribution is known.

What toys have to measure is how much the two differ,

    P(q > c) − P(q_s > c) = E[ S((q − c)/h) − S((q_s − c)/h) ],

a control variate of known mean (Hammersley and Handscomb 1964, chapter 5) with a smooth step S in
the place of a sharp one (Giles, Nagapetyan and Ritter, arXiv:1312.3130): each toy near c counts by
how far its q is off, not by whether q and q_s are on two sides of c. As the derivative of S has no
second moment, the bias is of order h⁴, and of the difference alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from ...generator.arrays import Array
from ..construction.belt import ROUNDING
from .surrogate import INTEGRATION, Surrogate

WIDTH = 0.7
"""Width of the step in q with 100 effective toys; it falls as their number to the power 1/5."""
FAR = 8.0
"""Widths beyond which the step is 0 or 1."""
LEAST_NEAR = 4
"""Least effective number of toys within two widths of the critical value."""


def step(x: Array) -> Array:
    """A step from 0 to 1 whose derivative has no second moment."""
    return ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(8 * np.pi)


class Compared(NamedTuple):
    """Weighted toys with q and the surrogate's q."""

    q: Array
    surrogate: Array
    weight: Array
    """Weights that average to one over `total` toys, of which those of no weight are left out."""
    total: int
    effective: float

    def width(self, c: float) -> float:
        """Width of the step at a value of q: narrow where q is near its bound 0."""
        return max(min(WIDTH * (self.effective / 100) ** -0.2, c / 3), 1e-6)

    def differences(self, c: float, h: float) -> Array:
        """Differences of the steps at q = c of each toy, with its weight."""
        weighted = np.zeros(len(self.q))
        u, v = (self.q - c) / h, (self.surrogate - c) / h
        near = np.flatnonzero((np.minimum(u, v) < FAR) & (np.maximum(u, v) > -FAR))
        weighted[near] = self.weight[near] * (step(u[near]) - step(v[near]))
        return weighted

    def above(self, model: Surrogate, c: float) -> float:
        """The probability of q > c."""
        if c <= ROUNDING:
            return 1.0
        probability = model.above(c) + self.differences(c, self.width(c)).sum() / self.total
        return float(np.clip(probability, 0.0, 1.0))


def controlled_quantile(
    model: Surrogate, toys: Compared, level: float
) -> tuple[float, float] | None:
    """Quantile of q and its standard error; none if too few toys are near."""
    tail = 1 - level
    most = float(model.table.max())
    start = float(brentq(lambda c: model.above(c) - tail, 0.0, most, xtol=1e-6))
    h = toys.width(start)

    def excess(c: float) -> float:
        return model.above(c) + toys.differences(c, h).sum() / toys.total - tail

    if h < 1e-3 or excess(start / 3) < 0 or excess(3 * start) > 0:
        return None
    critical = float(brentq(excess, start / 3, 3 * start, xtol=1e-6))
    near = np.exp(-(((toys.q - critical) / (2 * h)) ** 2)) * toys.weight
    if near.sum() ** 2 < LEAST_NEAR * np.sum(near**2):
        return None
    difference = toys.differences(critical, h)
    mean = difference.sum() / toys.total
    variance = max(float(np.sum(difference**2)) / toys.total - mean**2, 0.0) / toys.total
    density = (model.above(critical - h) - model.above(critical + h)) / (2 * h)
    return critical, float(np.sqrt(variance + INTEGRATION**2)) / density
