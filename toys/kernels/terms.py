"""A polynomial over bins as tables for kernels, with what its derivatives need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..counts.polynomial import Polynomial, Powers, lowered


class Terms(NamedTuple):
    """A polynomial over bins, with the tables that its derivatives need.

    Its arguments are the variables z, or exp(r z) of those with a rate r.
    """

    coefficients: NDArray[np.float64]
    """Shape (terms, bins)."""
    rate: NDArray[np.float64]
    """Rate r of each variable, 0 where it enters by itself, shape (variables,)."""
    parent: NDArray[np.int64]
    """A term is an argument times an earlier one, its parent; −1 for the constant, the first."""
    variable: NDArray[np.int64]
    """The variable of that argument."""
    first: NDArray[np.int64]
    """Rows (free variable, term, monomial): a term's derivative, where not zero."""
    first_factor: NDArray[np.float64]
    """What multiplies the monomial, shape (len(first),)."""
    second: NDArray[np.int64]
    """Rows (free variable, free variable, place in `curved`, monomial), likewise."""
    second_factor: NDArray[np.float64]
    """What multiplies the monomial, shape (len(second),)."""
    curved: NDArray[np.int64]
    """Terms with second derivatives."""
    filled: NDArray[np.int64]
    """Terms with coefficients; the others are derivatives of terms."""


def compile_terms(polynomial: Polynomial, bins: int, free: tuple[int, ...]) -> Terms:
    """Tables of a polynomial and its first two derivatives by the variables `free`."""
    cleaned = polynomial.without_zeros().terms
    order = _closed(cleaned, polynomial.variables)
    place = {powers: t for t, powers in enumerate(order)}
    coefficients = np.zeros((len(order), bins))
    for powers, value in cleaned.items():
        coefficients[place[powers]] = value
    parent, variable = np.full(len(order), -1), np.full(len(order), -1)
    for t, powers in enumerate(order[1:], 1):
        i = next(i for i, power in enumerate(powers) if power)
        parent[t], variable[t] = place[lowered(powers, i)], i
    filled = sorted(place[powers] for powers in cleaned)
    first: list[tuple[tuple[int, ...], float]] = []
    second: list[tuple[tuple[int, ...], float]] = []
    curved: list[int] = []
    for t in filled:
        powers = order[t]
        bent = False
        for j, i in enumerate(free):
            if not powers[i]:
                continue
            once, a = polynomial.slope(powers, i)
            first.append(((j, t, place[once]), a))
            for k, other in enumerate(free[: j + 1]):
                if once[other]:
                    twice, b = polynomial.slope(once, other)
                    second.append(((j, k, len(curved), place[twice]), a * b))
                    bent = True
        if bent:
            curved.append(t)
    return Terms(
        coefficients=coefficients,
        rate=np.array([polynomial.rates.get(i, 0.0) for i in range(polynomial.variables)]),
        parent=parent,
        variable=variable,
        first=np.array([row for row, _ in first], np.int64).reshape(-1, 3),
        first_factor=np.array([factor for _, factor in first]),
        second=np.array([row for row, _ in second], np.int64).reshape(-1, 4),
        second_factor=np.array([factor for _, factor in second]),
        curved=np.array(curved, np.int64),
        filled=np.array(filled, np.int64),
    )


def _closed(powers: Iterable[Powers], variables: int) -> list[Powers]:
    """Powers with all lower ones, which their monomials are made from, those first."""
    needed: set[Powers] = set()

    def close(one: Powers) -> None:
        if one not in needed:
            needed.add(one)
            for i, power in enumerate(one):
                if power:
                    close(lowered(one, i))

    for one in powers:
        close(one)
    return sorted(needed | {(0,) * variables}, key=lambda q: (sum(q), q))
