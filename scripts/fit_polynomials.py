"""The polynomials of `generator.sampling.stream`, fitted again.

    python -m nuspill.scripts.fit_polynomials

Least squares at many Chebyshev nodes, which is close to the least maximum of the error. Kernels
have the coefficients written out, as the compiler needs them.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev, polynomial
from scipy.special import ndtri

from ..generator.arrays import Array

NODES = 4000
LOWEST = np.sqrt(3.0)
REACH = np.sqrt(24.6) - LOWEST
"""Least value of √(w + 3), at w = 0, and its range up to w = 21.6.

That is beyond −ln 4u of the least uniform, 2⁻³³.
"""


def nodes() -> Array:
    """Chebyshev nodes on [−1, 1], shape (NODES,)."""
    return np.asarray(np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES), float)


def quantile_factor(k: Array) -> Array:
    """F = z/(2u − 1) of the normal quantile z(u), at k on [−1, 1], the map of √(w + 3)."""
    w = (LOWEST + (k + 1) / 2 * REACH) ** 2 - 3
    root = np.sqrt(-np.expm1(-w))  # 1 − 2u
    u = np.exp(-w) / 2 / (1 + root)
    return np.asarray(ndtri(u) / -root)


def normal_quantile() -> Array:
    """Coefficients of f in k, from the constant on, shape (17,); the relative error is fitted."""
    k = nodes()
    f = quantile_factor(k)
    return np.asarray(chebyshev.cheb2poly(chebyshev.chebfit(k, f, 16, w=1 / f)), float)


def sine() -> Array:
    """Coefficients of sin(π x)/x in z = x², 0 ≤ z ≤ 1/4, shape (5,)."""
    z = (nodes() + 1) / 8
    return np.asarray(polynomial.polyfit(z, np.sin(np.pi * np.sqrt(z)) / np.sqrt(z), 4), float)


def cosine() -> Array:
    """Coefficients of cos(π x) in z = x², shape (6,); the kernel has 1 for the first."""
    z = (nodes() + 1) / 8
    return np.asarray(polynomial.polyfit(z, np.cos(np.pi * np.sqrt(z)), 5), float)


def main() -> None:
    """Print all coefficients, from the highest power down, as the kernels have them."""
    for fit in (normal_quantile, sine, cosine):
        lines = "\n".join(f"    {c:.17g}" for c in fit()[::-1])
        print(f"{fit.__name__}\n{lines}")  # noqa: T201


if __name__ == "__main__":
    main()
