"""Variables in which χ² is simpler to minimise: products and squares of parameters.

The rate is a polynomial, and only parts of it are known to it:

- A parameter that comes only times another, such as a charge radius times sin²θ_W, is fitted as
  the product w = θ_i θ_j: χ² has no narrow valley at small θ_j then, which in θ_i has no end.
- A strength s that multiplies all of the signal, and the couplings θ beside it, are fitted as √s
  and √s θ: the signal is a quadratic form in them, and its valley of constant s θ² is straight.
- Couplings to up and to down quarks, or other pairs that add up to a nucleus' charge, are fitted as
  the combinations to which one nucleus each is blind: the rate is a sum of their squares then, and
  no valley runs across them.
- A parameter that enters only squared (magnetic moments, what changes flavour) is fitted as
  x = θ² ≥ 0: at θ = 0, where the gradient by θ vanishes for all data, a fit would stay.

All are exact, so that χ² of the model is that of the simpler one at the same point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...generator.arrays import Array
from ..counts.model import Model
from ..counts.polynomial import Polynomial, Powers

LEAST = 1e-9
"""Least factor of a product: where it falls to 0, the other one has no limit."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """A model in simpler variables, of the same numbers and names."""

    original: Model
    model: Model
    products: Mapping[int, int]
    """Number j of the parameter by number i of one that is fitted as θ_i θ_j."""
    strength: tuple[int, Sequence[int]] | None
    """Number of a strength that is fitted as its root, and of what is fitted times the root."""
    bases: tuple[tuple[Sequence[int], Array], ...]
    """Numbers of parameters θ that are fitted as y, and P of θ = P y, shape (k, k)."""
    squares: frozenset[int]
    """Numbers of parameters (or products) that are fitted as their squares x."""
    scaled: Mapping[int, tuple[int, int]]
    """j and m by number i of a square that is fitted as x_i θ_j^m."""

    def inward(self, values: Array) -> Array:
        """The variables of the fit, from those of the model; both of shape (sets, variables)."""
        z = values.copy()
        for i, j in self.products.items():
            z[:, i] *= values[:, j]
        if self.strength is not None:
            number, others = self.strength
            z[:, number] = np.sqrt(np.maximum(z[:, number], 0.0))
            z[:, others] *= z[:, [number]]
        for numbers, basis in self.bases:
            z[:, numbers] = _combined(np.asarray(np.linalg.inv(basis), float), z[:, numbers])
        for i in self.squares:
            z[:, i] **= 2
        for i, (j, m) in self.scaled.items():
            z[:, i] *= values[:, j] ** m
        return z

    def outward(self, z: Array, start: Array) -> Array:
        """Variables of the model, the squares' roots on the side of the start."""
        values = z.copy()
        for i, (j, m) in self.scaled.items():
            values[:, j] = np.where(z[:, i] == 0, values[:, j], np.maximum(values[:, j], LEAST))
            values[:, i] /= np.maximum(values[:, j], LEAST) ** m
        side = replace(self, squares=frozenset(), scaled={}).inward(start)
        for i in self.squares:
            root = np.sqrt(np.maximum(values[:, i], 0.0))
            values[:, i] = np.where(side[:, i] < 0, -root, root)
        for numbers, basis in self.bases:
            values[:, numbers] = _combined(basis, values[:, numbers])
        if self.strength is not None:
            number, others = self.strength
            root = values[:, [number]]
            values[:, others] /= np.where(root < 0, -1.0, 1.0) * np.maximum(np.abs(root), LEAST)
            values[:, number] **= 2
        for i, j in self.products.items():
            values[:, j] = np.where(
                values[:, i] == 0, values[:, j], np.maximum(values[:, j], LEAST)
            )
            values[:, i] /= np.maximum(values[:, j], LEAST)
        return values


def coordinates(model: Model, fitted: Sequence[int], strength: int | None = None) -> Coordinates:
    """Simpler variables in place of some parameters that are fitted, by their numbers.

    Parameters
    ----------
    strength
        Number of one that multiplies all of the signal, to be fitted by its root.
    """
    expected, products, squares = model.expected, {}, set()
    lower, upper = model.lower.copy(), model.upper.copy()
    free = [i for i in fitted if np.all(np.isinf([lower[i], upper[i]]))]
    for i in free:
        for j in fitted:
            if j != i and j not in products and lower[j] >= 0 and _comes_with(expected, i, j):
                products[i] = j
                expected = _divided(expected, i, j)
                break
    root = None if strength is None else (strength, [i for i in fitted if i != strength])
    if root is not None and set(root[1]) <= set(free) and _is_quadratic(expected, *root):
        expected = _homogeneous(expected, *root)
        lower[root[0]], upper[root[0]] = -np.inf, np.inf
        free.append(root[0])
    else:
        root = None
    bases = []
    for group in _groups(expected, free):
        basis = _basis(expected, group, len(model.parameters))
        if basis is not None:
            expected = _turned(expected, group, basis)
            bases.append((group, basis))
    for i in fitted:
        even = all(q[i] % 2 == 0 for q in expected.terms) and model.weight[i] == 0
        if even and (lower[i] == -upper[i] or lower[i] == 0):
            squares.add(i)
            expected = _halved(expected, i)
            lower[i], upper[i] = 0.0, upper[i] ** 2
    scaled = {}
    for i in (i for i in squares if upper[i] == np.inf):
        for j in fitted:
            m = _power_with(expected, i, j)
            if j != i and j not in squares and lower[j] >= 0 and m > 0:
                scaled[i] = j, m
                expected = _divided(expected, i, j, m)
                break
    parameters = tuple(
        replace(p, lower=float(lower[i]), upper=float(upper[i]))
        for i, p in enumerate(model.parameters)
    )
    simple = Coordinates(model, model, products, root, tuple(bases), frozenset(squares), scaled)
    truth = simple.inward(model.truth[None])[0]
    other = replace(model, parameters=parameters, expected=expected, truth=truth)
    return replace(simple, model=other)


def _combined(matrix: Array, columns: Array) -> Array:
    """Matrix times each row; unlike BLAS, the same by every bit for any number of rows."""
    parts = [[m * columns[:, k] for k, m in enumerate(row)] for row in matrix]
    return np.stack([sum(part[1:], part[0]) for part in parts], axis=1)


def _power_with(expected: Polynomial, i: int, j: int) -> int:
    """How often θ_i comes times θ_j, at least."""
    return min((q[j] // q[i] for q in expected.terms if q[i]), default=0)


def _comes_with(expected: Polynomial, i: int, j: int) -> bool:
    """Whether θ_i comes only times θ_j, as often at least."""
    return _power_with(expected, i, j) > 0


def _is_quadratic(expected: Polynomial, strength: int, others: Sequence[int]) -> bool:
    """Whether a strength multiplies, once, terms in some parameters of second order at most."""
    return all(
        (q[strength] == 1 and sum(q[i] for i in others) <= 2)
        or not (q[strength] or any(q[i] for i in others))
        for q in expected.terms
    )


def _homogeneous(expected: Polynomial, strength: int, others: Sequence[int]) -> Polynomial:
    """The polynomial in √s and √s θ, in the places of s and θ."""
    return _with_powers(
        expected, lambda q: with_power(q, strength, q[strength] * (2 - sum(q[i] for i in others)))
    )


def _divided(expected: Polynomial, i: int, j: int, m: int = 1) -> Polynomial:
    """The polynomial in w = θ_i θ_j^m, in the place of θ_i."""
    return _with_powers(expected, lambda q: with_power(q, j, q[j] - m * q[i]))


def _halved(expected: Polynomial, i: int) -> Polynomial:
    """The polynomial in x = θ_i², in the place of θ_i."""
    return _with_powers(expected, lambda q: with_power(q, i, q[i] // 2))


class Reflection(NamedTuple):
    """A map of parameters θ that multiply one another to v + R (θ − v), with nearly their rate."""

    numbers: list[int]
    """Numbers of the parameters."""
    vertex: Array
    """The v at which the rate is least, the others given, shape (k,)."""
    matrix: Array
    """The R, shape (k, k)."""

    def of(self, values: Array) -> Array:
        """Values of all variables, shape (sets, variables), reflected."""
        image = values.copy()
        away = values[:, self.numbers] - self.vertex
        image[:, self.numbers] = self.vertex + _combined(self.matrix, away)
        return image


def reflections(model: Model, fitted: Sequence[int], values: Array) -> list[Reflection]:
    """Reflections of parameters that multiply one another, the others at their values.

    The rate is nearly a sum of squares in some basis of theirs; each square has a mirror image.
    """
    free = [i for i in fitted if np.all(np.isinf([model.lower[i], model.upper[i]]))]
    held = {i: float(values[i]) for i in range(len(model.parameters)) if i not in free}
    nuisances = dict.fromkeys(range(len(model.parameters), model.variables), 0.0)
    rate = model.expected.restrict(held | nuisances)
    made = []
    for group in _groups(rate, range(len(free))):
        rest = {k: float(values[free[k]]) for k in range(len(free)) if k not in group}
        alone, size = rate.restrict(rest), len(group)
        basis, vertex = _basis(alone, range(size), size), _vertex(alone)
        if basis is None or vertex is None:
            continue
        inverse = np.asarray(np.linalg.inv(basis), float)
        for signs in itertools.product((1.0, -1.0), repeat=size):
            if min(signs) < 0:
                matrix = basis @ (np.array(signs)[:, None] * inverse)
                made.append(Reflection([free[k] for k in group], vertex, matrix))
    return made


def _vertex(rate: Polynomial) -> Array | None:
    """Where the sum of a rate that is quadratic in all its variables is least; None if nowhere."""
    size = rate.variables
    square, linear = np.zeros((size, size)), np.zeros(size)
    for powers, counts in rate.terms.items():
        numbers = [i for i, power in enumerate(powers) for _ in range(power)]
        if len(numbers) == 1:
            linear[numbers[0]] += np.sum(counts)
        elif len(numbers) == 2:
            square[numbers[0], numbers[1]] += np.sum(counts)
    square = square + square.T
    if np.min(np.linalg.eigvalsh(square)) <= 0:
        return None
    return np.asarray(np.linalg.solve(square, -linear))


def _groups(expected: Polynomial, free: Sequence[int]) -> list[list[int]]:
    """Parameters that multiply one another and no other parameter, without bounds."""
    left, groups = set(free), []
    while left:
        group = [left.pop()]
        for i in group:
            near = {k for q in expected.terms if q[i] for k in left if q[k]}
            left -= near
            group += sorted(near)
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


def _basis(expected: Polynomial, group: Sequence[int], parameters: int) -> Array | None:
    """P in which the rate of each bin is (nearly) a sum of squares; None if there is none.

    The rate of a bin is θ A θ + ...; two sums over bins of A, weighted differently, are diagonal
    together in the basis of their generalised eigenvectors.
    """
    from scipy.linalg import LinAlgError, eigh

    forms = _forms(expected, group, parameters)
    if forms is None:
        return None
    size = np.einsum("bii->b", forms)
    used = forms[size > 1e-9 * size.max()]
    tilt = np.linspace(0.0, 1.0, len(used))[:, None, None]
    whole = used / np.einsum("bii->b", used)[:, None, None]
    try:
        _, basis = eigh((tilt * whole).sum(axis=0), whole.sum(axis=0))
    except LinAlgError:
        return None
    return np.asarray(basis)


def nominal_of(expected: Polynomial, parameters: int) -> Polynomial:
    """The polynomial in the parameters alone, all nuisance parameters nought."""
    return expected.restrict(dict.fromkeys(range(parameters, expected.variables), 0.0))


def _forms(expected: Polynomial, group: Sequence[int], parameters: int) -> Array | None:
    """A of every bin, shape (bins, k, k), from terms of the group alone."""
    others = [k for k in range(parameters) if k not in group]
    forms: dict[tuple[int, int], Array] = {}
    for powers, coefficient in nominal_of(expected, parameters).terms.items():
        order = sum(powers[i] for i in group)
        if order > 2 or (order and any(powers[k] for k in others)):
            return None
        if order == 2:
            i, j = (n for n, i in enumerate(group) for _ in range(powers[i]))
            forms[i, j] = np.atleast_1d(coefficient) * (1.0 if i == j else 0.5)
    size = len(group)
    if any((i, i) not in forms for i in range(size)):
        return None
    bins = len(forms[0, 0])
    matrices = np.zeros((bins, size, size))
    for (i, j), value in forms.items():
        matrices[:, i, j] = matrices[:, j, i] = value
    return matrices


def _turned(expected: Polynomial, group: Sequence[int], basis: Array) -> Polynomial:
    """The polynomial in y of θ = P y, in the place of θ."""
    variables = expected.variables
    thetas = {}
    for n, i in enumerate(group):
        y = [Polynomial.variable(k, variables) * basis[n, m] for m, k in enumerate(group)]
        thetas[i] = sum(y[1:], y[0])
    result = Polynomial.constant(0.0, variables)
    for powers, coefficient in expected.terms.items():
        rest = tuple(0 if i in thetas else power for i, power in enumerate(powers))
        term = expected.with_terms({rest: coefficient})
        for i, theta in thetas.items():
            if powers[i]:
                term = term * theta ** powers[i]
        result = result + term
    return result


def _with_powers(expected: Polynomial, change: Callable[[Powers], Powers]) -> Polynomial:
    return expected.with_terms({change(powers): c for powers, c in expected.terms.items()})


def with_power(powers: Powers, i: int, power: int) -> Powers:
    """Powers with another one of a variable."""
    return (*powers[:i], power, *powers[i + 1 :])
