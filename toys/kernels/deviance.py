"""χ² of many data sets side by side, with its exact first and second derivatives, compiled.

χ² = 2 Σ_i [N_i − n_i + n_i ln(n_i/N_i)] + Σ_k w_k (z_k − c_k)², N_i a polynomial of z (4.3, 4.4 of
arXiv:1911.00762). A bin with τ > 0 has a beam-off count m_i ~ Poisson(τ B_i) with B_i free:
B_i is solved for in closed form, and N_i is what comes on top of it.

LANES data sets are evaluated at once, an innermost loop over them doing the same step for all,
which the compiler vectorises. The arithmetic of a data set does not depend on its lane or its
neighbours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.sampling.kernel import kernel, kernel_inline
from ...generator.sampling.stream import neg_log

LANES = 64
ROUNDING = 1e-12
"""Below nought by this part of the counts, a signal that vanishes is nought."""


class Work(NamedTuple):
    """Scratch of `evaluate`."""

    monomials: NDArray[np.float64]
    derived: NDArray[np.float64]
    slopes: NDArray[np.float64]
    pulls: NDArray[np.float64]
    expected: NDArray[np.float64]
    g: NDArray[np.float64]
    h: NDArray[np.float64]
    least: NDArray[np.float64]
    bad: NDArray[np.float64]


@kernel
def evaluate(  # type: ignore[no-untyped-def]
    coefficients, parent, variable, first, second, curved, filled, tau, free, weight, z, n, m_off,
    c, work, f, gradient, hessian, scale,
):  # fmt: skip
    """χ², gradient, Hessian (lower triangle by rows) and least D of every lane at z."""
    monomials, derived, slopes, pulls, expected, g, h, least, bad = work
    p = len(free)
    bins = coefficients.shape[1]
    for lane in range(LANES):
        monomials[0, lane] = 1.0
        f[lane] = 0.0
        bad[lane] = 0.0
    for t in range(1, len(parent)):
        a, k = parent[t], variable[t]
        for lane in range(LANES):
            monomials[t, lane] = monomials[a, lane] * z[k, lane]
    for r in range(len(first)):
        a, e = first[r, 2], float(first[r, 3])
        for lane in range(LANES):
            derived[r, lane] = e * monomials[a, lane]
    gradient[:] = 0.0
    hessian[:] = 0.0
    scale[:] = 0.0
    pulls[:] = 0.0
    for i in range(bins):
        t = filled[0]
        x = coefficients[t, i]
        for lane in range(LANES):
            expected[lane] = monomials[t, lane] * x
        for r in range(1, len(filled)):
            t = filled[r]
            x = coefficients[t, i]
            for lane in range(LANES):
                expected[lane] += monomials[t, lane] * x
        slopes[:] = 0.0
        for r in range(len(first)):
            j, x = first[r, 0], coefficients[first[r, 1], i]
            for lane in range(LANES):
                slopes[j, lane] += derived[r, lane] * x
        if tau[i] > 0:
            _on_off(n[i], m_off[i], tau[i], expected, f, g, h, least, bad)
        else:
            _poisson(n[i], expected, f, g, h, least, bad)
        for j in range(p):
            for lane in range(LANES):
                gradient[j, lane] += slopes[j, lane] * g[lane]
                scale[j, lane] += slopes[j, lane] * slopes[j, lane] * least[lane]
            row = j * (j + 1) // 2
            for k in range(j + 1):
                for lane in range(LANES):
                    hessian[row + k, lane] += slopes[j, lane] * slopes[k, lane] * h[lane]
        for r in range(len(curved)):
            x = coefficients[curved[r], i]
            for lane in range(LANES):
                pulls[r, lane] += g[lane] * x
    for r in range(len(second)):
        j, k, q, a, e = second[r, 0], second[r, 1], second[r, 2], second[r, 3], second[r, 4]
        row = j * (j + 1) // 2 + k
        for lane in range(LANES):
            hessian[row, lane] += float(e) * monomials[a, lane] * pulls[q, lane]
    for j in range(p):
        k = free[j]
        row = j * (j + 1) // 2 + j
        w = weight[k]
        for lane in range(LANES):
            gradient[j, lane] = 2.0 * (gradient[j, lane] + w * (z[k, lane] - c[k, lane]))
            hessian[row, lane] += w
            scale[j, lane] = 2.0 * (scale[j, lane] + w)
    for r in range(p * (p + 1) // 2):
        for lane in range(LANES):
            hessian[r, lane] *= 2.0
    for lane in range(LANES):
        f[lane] = 2.0 * f[lane] if bad[lane] == 0.0 else np.inf
    for k in range(len(weight)):
        w = weight[k]
        if w > 0:
            for lane in range(LANES):
                f[lane] += w * (z[k, lane] - c[k, lane]) * (z[k, lane] - c[k, lane])


@kernel_inline
def _near(difference, total, count):  # type: ignore[no-untyped-def]
    """N − n + n ln(n/N) where |N − n| < n/5, given N − n, N + n and n.

    There the terms cancel: with s = (N − n)/(N + n) what is left is
    (N − n) s − 2 n (s³/3 + s⁵/5 + ...), exact for any n.
    """
    s = difference / total
    z = s * s
    p = 1 / 15
    p = p * z + 1 / 13
    p = p * z + 1 / 11
    p = p * z + 1 / 9
    p = p * z + 1 / 7
    p = p * z + 1 / 5
    p = p * z + 1 / 3
    return difference * s - 2.0 * count * s * z * p


@kernel_inline
def _far(x, count):  # type: ignore[no-untyped-def]
    """The same elsewhere, n = 0 included."""
    return x - count + count * neg_log(x / (count if count > 0.0 else 1.0))


@kernel_inline
def _deviance(x, count):  # type: ignore[no-untyped-def]
    """N − n + n ln(n/N) of N = x and n = count."""
    close = abs(x - count) < 0.2 * count
    return _near(x - count, x + count, count) if close else _far(x, count)


@kernel
def _poisson(n, expected, f, g, h, least, bad):  # type: ignore[no-untyped-def]
    """Half of χ² of a bin with expectation N, and its derivatives by N.

    Logarithms are left out if no lane needs one: with many counts N is close to n.
    """
    distant = 0
    for lane in range(LANES):
        x, count = expected[lane], n[lane]
        bad[lane] += 1.0 if (x < 0.0 or (x == 0.0 and count > 0.0)) else 0.0
        x = x if x > 1e-300 else 1e-300
        close = abs(x - count) < 0.2 * count
        distant += 0 if close else 1
        f[lane] += _near(x - count, x + count, count) if close else 0.0
        inverse = 1.0 / x
        g[lane] = 1.0 - count * inverse
        h[lane] = count * inverse * inverse  # x² may be 0
        least[lane] = inverse if inverse < 1.0 else 1.0
    if distant > 0:
        for lane in range(LANES):
            x, count = expected[lane], n[lane]
            x = x if x > 1e-300 else 1e-300
            close = abs(x - count) < 0.2 * count
            f[lane] += 0.0 if close else _far(x, count)


@kernel
def _on_off(n, m_off, tau, expected, f, g, h, least, bad):  # type: ignore[no-untyped-def]
    """The same of a bin with a beam-off count, its background B ≥ 0 solved for."""
    a = 1.0 + tau
    for lane in range(LANES):
        s, count, beside = expected[lane], n[lane], m_off[lane]
        bad[lane] += 1.0 if s < -ROUNDING * (1.0 + count + beside) else 0.0
        s = s if s > 0.0 else 0.0
        b = count + beside - a * s
        root = math.sqrt(b * b + 4.0 * a * beside * s)
        other = root - b
        low = 2.0 * beside * s / (other if other > 0.0 else 1.0)
        background = (b + root) / (2.0 * a) if b > 0.0 else low
        x = s + background
        bad[lane] += 1.0 if (x <= 0.0 and count > 0.0) else 0.0
        x = x if x > 1e-300 else 1e-300
        held = background if background > 1e-300 else 1e-300
        f[lane] += _deviance(x, count)
        f[lane] += _deviance(tau * held, beside)
        least[lane] = 1.0 / (s if s > 1.0 else 1.0)
        u = count / x / x
        v = beside / held / held
        inside = background > 0.0
        g[lane] = 1.0 - count / x
        total = u + v
        h[lane] = u * v / (total if total > 0.0 else 1.0) if inside else u
