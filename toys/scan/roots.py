"""Zeros of a function in many brackets at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array

MOST_STEPS = 200
RELATIVE = 1e-13
"""Width of a bracket, relative to its ends, at which it is a point."""
BISECTED = 4
"""Every so many steps a bracket is halved, whatever the values at its ends."""


Function = Callable[[Array, NDArray[np.int64]], Array]


def roots(function: Function, ends: Array, values: Array, small: Array) -> Array:
    """One zero between the ends of each bracket, by false position (Illinois) and bisection.

    Parameters
    ----------
    function
        Values at points in some of the brackets, by their numbers, all of shape (n,).
    ends
        Of the brackets, shape (2, brackets).
    values
        Of the function there, of opposite signs; they may be infinite.
    small
        Absolute value of the function that counts as zero, shape (brackets,).
    """
    x, f = np.array(ends, float), np.array(values, float)
    zero, last = np.mean(x, axis=0), np.full(x.shape[1], -1)
    left = np.arange(x.shape[1])
    for step in range(MOST_STEPS):
        left = left[np.ptp(x[:, left], axis=0) > RELATIVE * np.abs(x[:, left]).sum(axis=0)]
        if not left.size:
            break
        zero[left] = _between(x[:, left], f[:, left], halved=step % BISECTED == BISECTED - 1)
        value = function(zero[left], left)
        end = np.where((value > 0) == (f[0, left] > 0), 0, 1)
        x[end, left], f[end, left] = zero[left], value
        again = last[left] == end
        f[1 - end[again], left[again]] /= 2
        last[left] = end
        left = left[np.abs(value) > small[left]]
    return zero


def _between(x: Array, f: Array, halved: bool) -> Array:
    """The next point of each bracket, of which `x` and `f` have the ends and values."""
    middle = np.mean(x, axis=0)
    if halved:
        return middle
    with np.errstate(invalid="ignore", divide="ignore"):
        secant = x[0] - f[0] * (x[1] - x[0]) / (f[1] - f[0])
    inside = (secant > x.min(axis=0)) & (secant < x.max(axis=0))  # not where f is infinite
    return np.where(inside, secant, middle)
