"""χ² of many data sets side by side, with its exact first and second derivatives, compiled.

χ² = 2 Σ_i [N_i − n_i + n_i ln(n_i/N_i)] + Σ_k w_k (z_k − c_k)² (4.3, 4.4 of arXiv:1911.00762),
N_i a polynomial of z or of exp(r z). A bin with τ > 0 has a beam-off count m_i ~ Poisson(τ B_i)
with B_i free: B_i is solved for in closed form, and N_i is what comes on top of it.

LANES data sets are evaluated at once, an innermost loop over them doing the same step for all,
which the compiler vectorises. The arithmetic of a data set does not depend on its lane or its
neighbours.
"""

from __future__ import annotations

import math

import numpy as np

from ...generator.sampling.kernel import kernel, kernel_inline
from ...generator.sampling.stream import neg_log
from .expected import fill_monomials
from .lanes import LANES

NEGATIVE = 0.01
"""Part of 1 and the counts by which a signal beside a free background may be below nought.

Where a signal vanishes, the interpolation of an effect may be negative by a little; with a wall at
nought a fit would stay there. χ² goes on smoothly: the background B makes up for it.
"""


@kernel_inline
def evaluate(objective, lanes):  # type: ignore[no-untyped-def]
    """χ² of every lane with its derivatives at `lanes.trial.z`, into `lanes.trial`.

    `objective` is of `lanes.Objective`, `lanes` of `lanes.Lanes`.
    """
    _clear(objective.terms, lanes)
    _sum_bins(objective, lanes)
    _add_second(objective.terms, lanes)
    _add_pulls(objective, lanes)


@kernel_inline
def _clear(terms, lanes):  # type: ignore[no-untyped-def]
    """Set sums over bins to 0, and work out monomials and those of first derivatives."""
    trial, scratch = lanes.trial, lanes.scratch
    first, factor = terms.first, terms.first_factor
    monomials, derived = scratch.monomials, scratch.derived
    fill_monomials(terms, trial.z, LANES, scratch.arguments, monomials)
    for r in range(len(first)):
        a, e = first[r, 2], factor[r]
        for lane in range(LANES):
            derived[r, lane] = e * monomials[a, lane]
    lanes.bin.value[:] = 0.0
    lanes.bin.impossible[:] = 0.0
    trial.gradient[:] = 0.0
    trial.hessian[:] = 0.0
    trial.scale[:] = 0.0
    scratch.bends[:] = 0.0


@kernel_inline
def _sum_bins(objective, lanes):  # type: ignore[no-untyped-def]
    """Half of χ² over all bins and its derivatives, as far as N is linear in the variables."""
    tau, n, m_off, one = objective.tau, lanes.counts, lanes.off, lanes.bin
    curved, slopes, bends = objective.terms.curved, lanes.scratch.slopes, lanes.scratch.bends
    g, h, least, coefficients = one.slope, one.curvature, one.least, objective.terms.coefficients
    gradient, hessian, scale = lanes.trial.gradient, lanes.trial.hessian, lanes.trial.scale
    for i in range(len(tau)):
        _expect_bin(objective.terms, i, lanes.scratch, one.expected)
        if tau[i] > 0:
            _on_off(n[i], m_off[i], tau[i], one)
        else:
            _poisson(n[i], one)
        for j in range(len(slopes)):
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
                bends[r, lane] += g[lane] * x


@kernel_inline
def _expect_bin(terms, i, scratch, expected):  # type: ignore[no-untyped-def]
    """Expectation N of bin i in every lane, and its first derivatives, `scratch.slopes`."""
    coefficients, first, filled = terms.coefficients, terms.first, terms.filled
    monomials, derived, slopes = scratch.monomials, scratch.derived, scratch.slopes
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


@kernel_inline
def _add_second(terms, lanes):  # type: ignore[no-untyped-def]
    """Add to the Hessian what the second derivatives of N give."""
    second, factor, hessian = terms.second, terms.second_factor, lanes.trial.hessian
    monomials, bends = lanes.scratch.monomials, lanes.scratch.bends
    for r in range(len(second)):
        j, k, q, a, e = second[r, 0], second[r, 1], second[r, 2], second[r, 3], factor[r]
        row = j * (j + 1) // 2 + k
        for lane in range(LANES):
            hessian[row, lane] += e * monomials[a, lane] * bends[q, lane]


@kernel_inline
def _add_pulls(objective, lanes):  # type: ignore[no-untyped-def]
    """Go from half of χ² of the bins to the whole, with the pulls."""
    free, weight, c, z = objective.free, objective.weight, lanes.centre, lanes.trial.z
    f, value, impossible = lanes.trial.chi2, lanes.bin.value, lanes.bin.impossible
    gradient, hessian, scale = lanes.trial.gradient, lanes.trial.hessian, lanes.trial.scale
    for j in range(len(free)):
        k = free[j]
        row = j * (j + 1) // 2 + j
        w = weight[k]
        for lane in range(LANES):
            gradient[j, lane] = 2.0 * (gradient[j, lane] + w * (z[k, lane] - c[k, lane]))
            hessian[row, lane] += w
            scale[j, lane] = 2.0 * (scale[j, lane] + w)
    for r in range(len(hessian)):
        for lane in range(LANES):
            hessian[r, lane] *= 2.0
    for lane in range(LANES):
        f[lane] = 2.0 * value[lane] if impossible[lane] == 0.0 else np.inf
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
def _poisson(n, one):  # type: ignore[no-untyped-def]
    """Half of χ² of a bin with n counts of N expected, and its derivatives by N, in every lane.

    `n` has shape (LANES,), `one` is of `lanes.Bin`; the reference is `likelihood.bin_chi2`.
    Logarithms are left out if no lane needs one: with many counts N is close to n.
    """
    expected, f, g, h = one.expected, one.value, one.slope, one.curvature
    least, impossible = one.least, one.impossible
    distant = 0
    for lane in range(LANES):
        x, count = expected[lane], n[lane]
        impossible[lane] += 1.0 if (x < 0.0 or (x == 0.0 and count > 0.0)) else 0.0
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
def _on_off(n, m_off, tau, one):  # type: ignore[no-untyped-def]
    """The same of a bin with a beam-off count, its background B ≥ 0 solved for.

    `n` and `m_off` are the counts in beam-on and beam-off, shape (LANES,); `tau` is of `Objective`,
    and `one` of `lanes.Bin`. A bin without any count has B = 0, and half of χ² is its signal.
    """
    expected, f, g, h = one.expected, one.value, one.slope, one.curvature
    least, impossible = one.least, one.impossible
    a = 1.0 + tau
    for lane in range(LANES):
        s, count, beside = expected[lane], n[lane], m_off[lane]
        impossible[lane] += 1.0 if s < -NEGATIVE * (1.0 + count + beside) else 0.0
        empty = count + beside == 0.0
        b = count + beside - a * s
        square = b * b + 4.0 * a * beside * s
        root = math.sqrt(square if square > 0.0 else 0.0)
        other = root - b
        low = 2.0 * beside * s / (other if other > 0.0 else 1.0)
        background = (b + root) / (2.0 * a) if b > 0.0 else low
        background = 0.0 if empty else background
        x = s + background
        impossible[lane] += 1.0 if (x <= 0.0 and count > 0.0) else 0.0
        x = x if x > 1e-300 else 1e-300
        held = background if background > 1e-300 else 1e-300
        f[lane] += _deviance(x, count) + (s if empty and s < 0.0 else 0.0)
        f[lane] += _deviance(tau * held, beside)
        least[lane] = 1.0 / (s if s > 1.0 else 1.0)
        u = count / x / x
        v = beside / held / held
        inside = background > 0.0
        g[lane] = 1.0 - count / x
        total = u + v
        h[lane] = u * v / (total if total > 0.0 else 1.0) if inside else u
