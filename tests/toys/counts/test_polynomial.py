"""Polynomials: against NumPy's, laws of a ring, and what is cut out of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.polynomial.polynomial import polyder, polyval3d
from nuspill.toys.counts.polynomial import Polynomial, derivative
from nuspill.toys.kernels.terms import compile_terms

VARIABLES, BINS = 3, 4

numbers = st.floats(-3, 3).map(lambda x: round(x, 3))
powers = st.tuples(*[st.integers(0, 3)] * VARIABLES)
coefficients = numbers | arrays(float, BINS, elements=numbers)
polynomials = st.dictionaries(powers, coefficients, min_size=1, max_size=5).map(Polynomial)
points = arrays(float, VARIABLES, elements=numbers)
factors = numbers | arrays(float, BINS, elements=numbers)


def by_numpy(polynomial, point):
    """Value by NumPy's own polynomials, shape (BINS,)."""
    degree = 1 + max(max(p) for p in polynomial.terms)
    table = np.zeros((degree,) * VARIABLES + (BINS,))
    for place, value in polynomial.terms.items():
        table[place] += value
    return polyval3d(*point, table)


def value(polynomial, point):
    return np.broadcast_to(polynomial.at(point), (BINS,))


def close(a, b):
    """Equal to rounding; the largest value a term here takes is about 1e9."""
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-4)


@given(polynomials, points)
def test_value(polynomial, point):
    """Fails if a power, a coefficient or the sum over terms is wrong."""
    np.testing.assert_allclose(
        value(polynomial, point), by_numpy(polynomial, point), rtol=1e-12, atol=1e-9
    )


@settings(max_examples=50)
@given(polynomials, polynomials, polynomials, points)
def test_ring(a, b, c, point):
    """Fails if sums and products are not those of values, or break a law of a ring."""
    x, y, z = (by_numpy(p, point) for p in (a, b, c))
    close(value(a + b, point), x + y)
    close(value(a - b, point), x - y)
    close(value(-a, point), -x)
    close(value(a * b, point), x * y)
    close(value(a * b, point), value(b * a, point))
    close(value((a + b) + c, point), value(a + (b + c), point))
    close(value(a * (b + c), point), x * (y + z))


@settings(max_examples=50)
@given(polynomials, factors, points, st.integers(0, 3))
def test_with_numbers_and_arrays(a, factor, point, power):
    """Fails if a number or an array on either side is taken for something else."""
    x = by_numpy(a, point)
    close(value(a + factor, point), x + factor)
    close(value(factor + a, point), x + factor)
    close(value(a - factor, point), x - factor)
    close(value(factor - a, point), factor - x)
    close(value(a * factor, point), x * factor)
    close(value(factor * a, point), x * factor)
    np.testing.assert_allclose(value(a**power, point), x**power, rtol=1e-9, atol=1e-2)


@pytest.mark.parametrize("factor", [np.float64(2.0), np.int64(2), np.full(BINS, 2.0)])
def test_numpy_on_the_left(factor):
    """Fails if NumPy takes a product apart into an array of polynomials."""
    product = factor * Polynomial.variable(1, VARIABLES)
    assert isinstance(product, Polynomial)
    np.testing.assert_array_equal(value(product, [5.0, 3.0, 7.0]), np.full(BINS, 6.0))
    assert isinstance(factor - product, Polynomial)
    assert isinstance(factor + product, Polynomial)


@given(polynomials, points, st.sets(st.integers(0, VARIABLES - 1), max_size=VARIABLES - 1))
def test_restrict(polynomial, point, fixed):
    """Fails if fixed variables leave another value, or the others another order."""
    rest = [i for i in range(VARIABLES) if i not in fixed]
    less = polynomial.restrict({i: float(point[i]) for i in fixed})
    assert less.variables == len(rest)
    np.testing.assert_allclose(
        value(less, point[rest]), by_numpy(polynomial, point), rtol=1e-12, atol=1e-9
    )


@given(polynomials, points)
def test_arrays(polynomial, point):
    """Fails if the arrays for a kernel are another polynomial."""
    exponents, table = polynomial.arrays(BINS)
    assert exponents.dtype == np.int64
    assert exponents.shape == (len(table), VARIABLES)
    found = np.prod(point**exponents, axis=1) @ table
    np.testing.assert_allclose(found, by_numpy(polynomial, point), rtol=1e-12, atol=1e-9)


def test_without_zeros():
    """Fails if a term that vanishes stays, or one that does not in some bin goes."""
    some = np.array([0.0, 0.0, 1.0, 0.0])
    all_terms = {(0, 0, 0): 0.0, (1, 0, 0): np.zeros(BINS), (0, 1, 0): some, (0, 0, 2): 0.0}
    assert set(Polynomial(all_terms).without_zeros().terms) == {(0, 0, 0), (0, 1, 0)}
    assert Polynomial({(1, 0, 0): 0.0}).without_zeros().terms == {(0, 0, 0): 0.0}
    assert Polynomial(all_terms).depends_on(1)
    assert not Polynomial(all_terms).depends_on(0)
    assert not Polynomial(all_terms).depends_on(2)


@given(polynomials, points, st.integers(0, VARIABLES - 1))
def test_derivative(polynomial, point, number):
    """Fails if a derivative is not NumPy's."""
    degree = 1 + max(max(p) for p in polynomial.terms)
    table = np.zeros((degree,) * VARIABLES + (BINS,))
    for place, c in polynomial.terms.items():
        table[place] += c
    expected = polyval3d(*point, polyder(table, axis=number))
    np.testing.assert_allclose(
        value(derivative(polynomial, number), point), expected, rtol=1e-12, atol=1e-9
    )


def evaluate(terms, point, free):
    """Value, gradient and Hessian from the kernel's tables, as the kernel reads them."""
    monomials = np.ones(len(terms.parent))
    arguments = np.where(terms.rate == 0, point, np.exp(terms.rate * point))
    for t in range(1, len(monomials)):
        assert 0 <= terms.parent[t] < t, "a monomial before its parent"
        monomials[t] = monomials[terms.parent[t]] * arguments[terms.variable[t]]
    total = monomials[terms.filled] @ terms.coefficients[terms.filled]
    gradient = np.zeros((len(free), total.size))
    for (j, term, monomial), factor in zip(terms.first, terms.first_factor, strict=True):
        gradient[j] += factor * monomials[monomial] * terms.coefficients[term]
    hessian = np.zeros((len(free), len(free), total.size))
    for (j, k, place, monomial), factor in zip(terms.second, terms.second_factor, strict=True):
        row = factor * monomials[monomial] * terms.coefficients[terms.curved[place]]
        hessian[j, k] += row
        hessian[k, j] += row if j != k else 0.0
    return total, gradient, hessian


@given(polynomials, points, st.sets(st.integers(0, VARIABLES - 1), min_size=1))
def test_tables_of_the_kernel(polynomial, point, free):
    """Fails if a table of the kernel gives another value or derivative, first or second."""
    free = tuple(sorted(free))
    total, gradient, hessian = evaluate(compile_terms(polynomial, BINS, free), point, free)

    def same(found, expected):
        np.testing.assert_allclose(
            found, value(expected, point), rtol=1e-10, atol=1e-8, err_msg=str(expected.terms)
        )

    same(total, polynomial)
    for j, a in enumerate(free):
        once = derivative(polynomial, a)
        same(gradient[j], once)
        for k, b in enumerate(free):
            same(hessian[j, k], derivative(once, b))


rates = st.dictionaries(
    st.integers(0, VARIABLES - 1), st.floats(-0.5, 0.5).filter(lambda r: r != 0)
)


@given(polynomials, points, rates, st.sets(st.integers(0, VARIABLES - 1), min_size=1))
def test_exponentials(polynomial, point, rates, free):
    """Fails if a variable with a rate is not its exponential, in any table or derivative."""
    bent = Polynomial(polynomial.terms, rates)
    inner = np.array([np.exp(rates[i] * z) if i in rates else z for i, z in enumerate(point)])
    close(value(bent, point), by_numpy(polynomial, inner))
    less = bent.restrict({i: float(point[i]) for i in free})
    close(value(less, np.delete(point, list(free))), value(bent, point))
    free = tuple(sorted(free))
    total, gradient, hessian = evaluate(compile_terms(bent, BINS, free), point, free)
    close(total, value(bent, point))
    chain = [rates[i] * inner[i] if i in rates else 1.0 for i in range(VARIABLES)]
    for j, a in enumerate(free):
        slope = value(derivative(polynomial, a), inner) * chain[a]
        close(gradient[j], slope)
        for k, b in enumerate(free):
            bend = value(derivative(derivative(polynomial, a), b), inner) * chain[a] * chain[b]
            close(hessian[j, k], bend + (slope * rates.get(a, 0.0) if a == b else 0.0))


def test_products_keep_their_exponentials():
    """Fails if a sum or a product forgets that a variable is an exponential."""
    factor = Polynomial.variable(1, VARIABLES, 0.1)
    rate = (Polynomial.variable(0, VARIABLES) * 3.0 + 2.0) * factor + 1.0 - factor * 0.5
    assert float(rate.at([2.0, 5.0, 0.0])) == pytest.approx(1 + 7.5 * np.exp(0.5))
