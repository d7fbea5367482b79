"""Kernels for what a model expects: its monomials, and the counts at one point."""

from __future__ import annotations

import numpy as np

from ...generator.sampling.kernel import kernel, kernel_inline
from ...generator.sampling.stream import LN2

TO_WHOLE = 1.5 * 2.0**52
"""Added to a number, it leaves the nearest whole number in the low bits."""
LN2_HIGH = float(np.float32(LN2))
LN2_LOW = LN2 - LN2_HIGH
"""Rest of ln 2: whole numbers times the first part are exact."""


@kernel_inline
def exp(x):  # type: ignore[no-untyped-def]
    """e^x to 5e-16 + 4e-17 |x|, constant beyond |x| = 700: 2^n times a series, in vectors."""
    x = min(max(x, -700.0), 700.0)
    shifted = x * (1 / LN2) + TO_WHOLE
    n = shifted - TO_WHOLE
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1.0
    p = p * r + 1.0
    power = (np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52)
    return p * np.int64(power).view(np.float64)


@kernel_inline
def fill_monomials(terms, z, points, arguments, monomials):  # type: ignore[no-untyped-def]
    """Work out the monomials of `terms.Terms` at points side by side, their number `points`.

    z has shape (variables, points), the result `monomials` (terms, points): a monomial is one
    argument times an earlier one. `arguments` is scratch of the shape of z.
    """
    parent, variable, rate = terms.parent, terms.variable, terms.rate
    for k in range(len(rate)):
        r = rate[k]
        if r == 0.0:
            for point in range(points):
                arguments[k, point] = z[k, point]
        else:
            for point in range(points):
                arguments[k, point] = exp(r * z[k, point])
    for point in range(points):
        monomials[0, point] = 1.0
    for t in range(1, len(parent)):
        a, k = parent[t], variable[t]
        for point in range(points):
            monomials[t, point] = monomials[a, point] * arguments[k, point]


@kernel
def expect(terms, z, monomials, expected):  # type: ignore[no-untyped-def]
    """Expected counts at the point z of shape (variables, 1), into `expected` of shape (bins,).

    `terms` is of `terms.Terms`, and `monomials` scratch of shape (terms, 1).
    """
    coefficients, filled = terms.coefficients, terms.filled
    fill_monomials(terms, z, 1, np.empty_like(z), monomials)
    expected[:] = 0.0
    for r in range(len(filled)):
        t = filled[r]
        for i in range(len(expected)):
            expected[i] += monomials[t, 0] * coefficients[t, i]
