"""Zeros in many brackets at once."""

import numpy as np
from nuspill.toys.scan.roots import roots


def test_zeros_of_many_functions():
    """Fails if a zero is missed where a function is steep, flat, infinite or falls."""
    functions = [
        lambda x: x - 0.3,
        lambda x: x**9 - 1e-9,
        lambda x: np.where(x < 0.5, np.inf, 1.25 - x),
        lambda x: np.exp(40 * x) - 2,
        lambda x: 1e-8 * (x - 0.7),
    ]
    exact = [0.3, 0.1, 1.25, np.log(2) / 40, 0.7]
    calls = []

    def value(x, piece):
        calls.append(len(x))
        return np.array([float(functions[k](t)) for k, t in zip(piece, x, strict=True)])

    ends = np.array([np.full(5, -0.2), np.full(5, 2.0)])
    every = np.arange(5)
    values = np.stack([value(e, every) for e in ends])
    found = roots(value, ends, values, np.full(5, 1e-18))
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    assert len(calls) < 90  # bisection alone takes 45 steps, and more for x⁹


def test_no_brackets():
    """Fails if nothing to solve is an error."""
    assert roots(lambda x, _: x, np.empty((2, 0)), np.empty((2, 0)), np.empty(0)).shape == (0,)
