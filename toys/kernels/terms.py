"""A polynomial over bins as tables for kernels, with what its derivatives need."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..counts.polynomial import Polynomial, Powers


class Terms(NamedTuple):
    """A polynomial over bins, with the tables that its derivatives need."""

    coefficients: NDArray[np.float64]
    """Shape (terms, bins)."""
    parent: NDArray[np.int64]
    """A term is a variable times an earlier one, its parent; −1 for the constant, the first."""
    variable: NDArray[np.int64]
    """That variable."""
    first: NDArray[np.int64]
    """Rows (free variable, term, monomial, factor): a term's derivative, where not zero."""
    second: NDArray[np.int64]
    """Rows (free variable, free variable, place in `curved`, monomial, factor), likewise."""
    curved: NDArray[np.int64]
    """Terms with second derivatives."""
    filled: NDArray[np.int64]
    """Terms with coefficients; the others are derivatives of terms."""


def compile_terms(polynomial: Polynomial, bins: int, free: tuple[int, ...]) -> Terms:
    """Tables of a polynomial and its first two derivatives by the variables `free`."""
    cleaned = polynomial.without_zeros().terms
    needed: set[Powers] = set()

    def close(powers: Powers) -> None:
        if powers in needed:
            return
        needed.add(powers)
        for i, power in enumerate(powers):
            if power:
                close(_lowered(powers, i))

    for powers in cleaned:
        close(powers)
    order = sorted(needed | {(0,) * polynomial.variables}, key=lambda q: (sum(q), q))
    place = {powers: t for t, powers in enumerate(order)}
    coefficients = np.zeros((len(order), bins))
    for powers, value in cleaned.items():
        coefficients[place[powers]] = value
    parent, variable = np.full(len(order), -1), np.full(len(order), -1)
    for t, powers in enumerate(order[1:], 1):
        i = next(i for i, power in enumerate(powers) if power)
        parent[t], variable[t] = place[_lowered(powers, i)], i
    filled = sorted(place[powers] for powers in cleaned)
    first: list[tuple[int, ...]] = []
    second: list[tuple[int, ...]] = []
    curved: list[int] = []
    for t in filled:
        powers = order[t]
        bent = False
        for j, i in enumerate(free):
            if not powers[i]:
                continue
            once = _lowered(powers, i)
            first.append((j, t, place[once], powers[i]))
            for k, other in enumerate(free[: j + 1]):
                if once[other]:
                    twice = _lowered(once, other)
                    second.append((j, k, len(curved), place[twice], powers[i] * once[other]))
                    bent = True
        if bent:
            curved.append(t)
    return Terms(
        coefficients=coefficients,
        parent=parent,
        variable=variable,
        first=np.array(first, np.int64).reshape(-1, 4),
        second=np.array(second, np.int64).reshape(-1, 5),
        curved=np.array(curved, np.int64),
        filled=np.array(filled, np.int64),
    )


def _lowered(powers: Powers, i: int) -> Powers:
    return (*powers[:i], powers[i] - 1, *powers[i + 1 :])
