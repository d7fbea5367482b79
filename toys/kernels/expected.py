"""Kernels for what a model expects: its monomials, and the counts at one point."""

from __future__ import annotations

from ...generator.sampling.kernel import kernel, kernel_inline


@kernel_inline
def fill_monomials(terms, z, points, monomials):  # type: ignore[no-untyped-def]
    """Work out the monomials of `terms.Terms` at points side by side, their number `points`.

    z has shape (variables, points), the result `monomials` (terms, points): a monomial is one
    variable times an earlier one.
    """
    parent, variable = terms.parent, terms.variable
    for point in range(points):
        monomials[0, point] = 1.0
    for t in range(1, len(parent)):
        a, k = parent[t], variable[t]
        for point in range(points):
            monomials[t, point] = monomials[a, point] * z[k, point]


@kernel
def expect(terms, z, monomials, expected):  # type: ignore[no-untyped-def]
    """Expected counts at the point z of shape (variables, 1), into `expected` of shape (bins,).

    `terms` is of `terms.Terms`, and `monomials` scratch of shape (terms, 1).
    """
    coefficients, filled = terms.coefficients, terms.filled
    fill_monomials(terms, z, 1, monomials)
    expected[:] = 0.0
    for r in range(len(filled)):
        t = filled[r]
        for i in range(len(expected)):
            expected[i] += monomials[t, 0] * coefficients[t, i]
