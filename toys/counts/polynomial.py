"""Polynomials in several variables whose coefficients are numbers or arrays over bins.

A variable z enters by itself, or as exp(r z): what multiplies counts and stays positive.

A prediction is one: signal structures times powers of couplings times nuisance parameters. Its
values and derivatives are exact and cost microseconds. `generator.coupling` works on them as it
does on numbers, so that no formula of the couplings is written twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Powers = tuple[int, ...]
MOST = 700.0
"""Beyond these exponents an exponential stays, as in the kernels."""


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Sum over terms of a coefficient and powers of the variables; without terms it is zero."""

    terms: Mapping[Powers, Any]
    """Coefficients by the powers of all variables: numbers, or arrays of one shape."""
    rates: Mapping[int, float] = field(default_factory=dict)
    """Rate r by number of a variable z that enters as exp(r z)."""

    @classmethod
    def constant(cls, value: Any, variables: int) -> Polynomial:
        """Polynomial that is the same everywhere."""
        return cls({(0,) * variables: value})

    @classmethod
    def variable(cls, number: int, variables: int, rate: float = 0.0) -> Polynomial:
        """Polynomial that is one of the variables, or with a rate its exponential."""
        powers = tuple(int(i == number) for i in range(variables))
        return cls({powers: 1.0}, {number: rate} if rate else {})

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(next(iter(self.terms), ()))

    def with_terms(self, terms: Mapping[Powers, Any]) -> Polynomial:
        """Other terms in the same variables."""
        return replace(self, terms=terms)

    def _beside(self, other: Polynomial, terms: Mapping[Powers, Any]) -> Polynomial:
        """Terms in the variables of two polynomials."""
        return Polynomial(terms, {**self.rates, **other.rates})

    def __add__(self, other: Any) -> Polynomial:
        """Sum with a polynomial, a number or an array."""
        if not isinstance(other, Polynomial):
            other = Polynomial.constant(other, self.variables)
        terms = dict(self.terms)
        for powers, coefficient in other.terms.items():
            terms[powers] = terms[powers] + coefficient if powers in terms else coefficient
        return self._beside(other, terms)

    def __mul__(self, other: Any) -> Polynomial:
        """Product with a polynomial, a number or an array."""
        if not isinstance(other, Polynomial):
            return self.with_terms({powers: c * other for powers, c in self.terms.items()})
        terms: dict[Powers, Any] = {}
        for p, a in self.terms.items():
            for q, b in other.terms.items():
                powers = tuple(i + j for i, j in zip(p, q, strict=True))
                terms[powers] = terms[powers] + a * b if powers in terms else a * b
        return self._beside(other, terms)

    def __pow__(self, power: int) -> Polynomial:
        """Product with itself, `power` times."""
        result = Polynomial.constant(1.0, self.variables)
        for _ in range(power):
            result = result * self
        return result

    __radd__ = __add__
    __rmul__ = __mul__
    __array_ufunc__ = None  # so that array * polynomial comes to __rmul__

    def __neg__(self) -> Polynomial:
        """The polynomial times −1."""
        return self * -1.0

    def __sub__(self, other: Any) -> Polynomial:
        """Difference from a polynomial, a number or an array."""
        return self + other * -1.0

    def __rsub__(self, other: Any) -> Polynomial:
        """Difference of a number or an array and the polynomial."""
        return -self + other

    def without_zeros(self) -> Polynomial:
        """The polynomial without terms that vanish, but for the constant."""
        kept = {p: c for p, c in self.terms.items() if not any(p) or np.any(np.asarray(c) != 0)}
        return self.with_terms(kept or {(0,) * self.variables: 0.0})

    def depends_on(self, number: int) -> bool:
        """Whether any term has the variable."""
        return any(p[number] and np.any(np.asarray(c) != 0) for p, c in self.terms.items())

    def holds(self, powers: Powers) -> bool:
        """Whether it has a term of these powers."""
        return powers in self.terms and bool(np.any(np.asarray(self.terms[powers]) != 0))

    def slope(self, powers: Powers, number: int) -> tuple[Powers, float]:
        """Powers and factor of the derivative of a monomial by a variable that it holds."""
        rate = self.rates.get(number)
        new = lowered(powers, number) if rate is None else powers
        return new, powers[number] * (1.0 if rate is None else rate)

    def arguments(self, values: ArrayLike) -> NDArray[np.float64]:
        """What the powers are of: the variables, or their exponentials; (..., variables)."""
        result = np.array(values, float)
        for i, rate in self.rates.items():
            result[..., i] = np.exp(np.clip(rate * result[..., i], -MOST, MOST))
        return result

    def at(self, values: Sequence[float] | NDArray[np.float64]) -> Any:
        """Value at a point, shape (variables,)."""
        point = self.arguments(values)
        return sum(c * np.prod(point ** np.array(p)) for p, c in self.terms.items())

    def restrict(self, fixed: Mapping[int, float]) -> Polynomial:
        """Polynomial in the other variables, in their order, with some fixed."""
        rest = [i for i in range(self.variables) if i not in fixed]
        factors = {i: np.exp(self.rates[i] * x) if i in self.rates else x for i, x in fixed.items()}
        terms: dict[Powers, Any] = {}
        for powers, coefficient in self.terms.items():
            value = coefficient * np.prod([x ** powers[i] for i, x in factors.items()])
            kept = tuple(powers[i] for i in rest)
            terms[kept] = terms[kept] + value if kept in terms else value
        rates = {place: self.rates[i] for place, i in enumerate(rest) if i in self.rates}
        return Polynomial(terms, rates)

    def arrays(self, bins: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Powers, shape (terms, variables), and coefficients, (terms, bins), for the kernels."""
        cleaned = self.without_zeros().terms
        powers = np.array(list(cleaned), np.int64).reshape(len(cleaned), -1)
        coefficients = np.zeros((len(cleaned), bins))
        for row, value in zip(coefficients, cleaned.values(), strict=True):
            row[:] = value
        return powers, coefficients


ZERO = Polynomial({})
"""Zero, whatever the variables."""


def derivative(polynomial: Polynomial, number: int) -> Polynomial:
    """Derivative by a variable."""
    terms = {}
    for powers, c in polynomial.terms.items():
        if powers[number]:
            new, factor = polynomial.slope(powers, number)
            terms[new] = c * factor
    return polynomial.with_terms(terms or {(0,) * polynomial.variables: 0.0})


def lowered(powers: Powers, number: int) -> Powers:
    """Powers with that of one variable less by one."""
    return (*powers[:number], powers[number] - 1, *powers[number + 1 :])
