"""Interpolation of counts between those at −1, 0 and +1 standard deviations of a nuisance.

A parabola in η, or in bins where that falls below zero the square of one: counts that are
impossible would hold a fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ..counts.polynomial import Polynomial

ROUNDING = 1e-9
"""Below zero by this part, counts are zero."""
FAR = 0.1
"""Part of a bin's counts by which it may be off there; of the largest bin's, the square of it."""
FARTHEST = 8.0
"""Standard deviations within which an effect leaves no counts below zero."""


def through(nominal: Polynomial, eta: Polynomial, down: Polynomial, up: Polynomial) -> Polynomial:
    """What leads counts through those at −1, 0 and +1 standard deviations η.

    It leaves nothing negative: it is a parabola in η; in bins where that falls below zero, the
    square of one through the roots.
    """
    parts = {
        powers: [np.asarray(p.terms.get(powers, 0.0) + zero) for p in (down, nominal, up)]
        for powers, value in nominal.terms.items()
        for zero in [np.zeros(np.shape(value))]
    }
    dips = np.any([_dips(*part) for part in parts.values()], axis=0)
    changes = [_parabola(*part) for part in parts.values()]
    squares = [_square(*part) for part in parts.values()]
    result = eta * 0.0
    for order in range(4):
        terms = {}
        for powers, parabola, square in zip(parts, changes, squares, strict=True):
            terms[powers] = np.where(dips, square[order], parabola[order])
        result = result + Polynomial(terms) * eta ** (order + 1)
    return result.without_zeros()


def check(
    nominal: Polynomial, change: Polynomial, x: Polynomial, eta: float, exact: Polynomial
) -> None:
    """Refuse what an interpolation leads to at η if the counts there are others.

    Raises
    ------
    ValueError
        If a bin is off by more than FAR.
    """
    (number,) = (i for i, power in enumerate(next(iter(x.terms))) if power)
    there = dict(nominal.terms)
    for powers, counts in change.terms.items():
        rest = (*powers[:number], 0, *powers[number + 1 :])
        there[rest] = there.get(rest, 0.0) + counts * eta ** powers[number]
    for powers, counts in nominal.terms.items():
        size = np.abs(np.asarray(counts, float))
        error = np.abs(np.asarray(there[powers] - exact.terms.get(powers, 0.0)))
        allowed = FAR * size + FAR**2 * np.max(size)
        if np.any(error > allowed):
            worst = int(np.argmax(error / np.maximum(allowed, 1e-300)))
            raise ValueError(
                f"at {eta:+g} standard deviations the interpolation through those of 1 is off by "
                f"{error[worst] / max(size[worst], 1e-300):.0%} of the counts in bin {worst}, "
                f"and may be by {FAR:.0%}: give a smaller uncertainty, or wider bins"
            )


def _parabola(down: Array, zero: Array, up: Array) -> tuple[Array, ...]:
    """Coefficients of η to η⁴ of a parabola through values at −1, 0 and 1, shape (bins,) each."""
    none = np.zeros_like(zero)
    return (up - down) / 2, (up + down) / 2 - zero, none, none


def _square(down: Array, zero: Array, up: Array) -> tuple[Array, ...]:
    """Coefficients of the square of a parabola; of a parabola where values differ in sign."""
    sign = np.sign(down + zero + up)
    low, middle, high = (np.sqrt(np.maximum(sign * x, 0.0)) for x in (down, zero, up))
    linear, bend = (high - low) / 2, (high + low) / 2 - middle
    square = (
        2 * middle * linear, linear**2 + 2 * middle * bend, 2 * linear * bend, bend**2
    )  # fmt: skip
    least = np.minimum(np.minimum(sign * down, sign * zero), sign * up)
    alike = least >= -ROUNDING * np.abs(down + zero + up)
    parabola = _parabola(down, zero, up)
    return tuple(np.where(alike, sign * a, b) for a, b in zip(square, parabola, strict=True))


def _dips(down: Array, zero: Array, up: Array) -> NDArray[np.bool_]:
    """Whether a parabola through values at −1, 0 and 1 changes its sign within FARTHEST."""
    linear, bend, *_ = _parabola(down, zero, up)
    sign = np.sign(down + zero + up)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.clip(np.nan_to_num(-linear / (2 * bend)), -FARTHEST, FARTHEST)
    places = (turn, -FARTHEST, FARTHEST)
    least = np.min([sign * (zero + linear * x + bend * x**2) for x in places], axis=0)
    return np.asarray(least < 0)
