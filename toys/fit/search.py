"""Global minima of many data sets.

Rates are squares of couplings, so χ² has several minima: a coupling and its mirror image beyond
the point where its part of the rate is least. Where the rate is a sum of functions of one
parameter each, a_i θ² + b_i θ + c_i in bin i, x = (θ − v)² ≥ 0 with the vertex v of the sum over
bins takes nearly all of the dependence: in x the problem is convex and has one minimum, perhaps at
x = 0, where a flavour's rate vanishes. Normalisations f that multiply all of it, and a strength
that multiplies all of the signal if v is common to all bins, go into y = x f, in which the rate is
linear. Every θ = v ± √x is then a start in θ; where nuclei differ in v, the minima that these lead
to have their mirror images tried as well. Other models start from the truth and from the minima
that a lattice of starts finds on the Asimov data.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.cluster.workers import HERE, Here
from ..counts.model import Data, Model
from ..counts.polynomial import Polynomial, Powers
from ..kernels.status import CONVERGED
from .coordinates import (
    LEAST,
    Coordinates,
    Reflection,
    coordinates,
    nominal_of,
    reflections,
    with_power,
)
from .local import Fits, local_fit, take
from .valley import chi2_at, valleys

MOST_STARTS = 16
EXACT = 1e-12
"""What x may leave out of the rate, relative, for its minima to be those of χ²."""
WEAK = 0.01
"""Relative size of products of couplings up to which a rate counts as a sum of squares."""
ALIKE = 0.01
"""Relative difference of vertices up to which minima lie where the common x has them."""
FLAT = 0.75
"""Part of the rise that is expected along a valley below which another minimum may be there."""
LOW = 3e-4
"""And this much more of χ², where hardly a rise is expected."""
ASIDE = 1.5
"""Standard deviations from its centre at which fits start again along a nuisance that bends."""
BEND = 3.0
"""Standard deviations within which it may."""
SPREAD = 5.0
"""Standard deviations of data that are reckoned with there."""
LATTICE = 200
"""Starts tried where χ² may have minima that are no mirror images."""
LIKE, SOME = 6, 50
"""Data sets like the first that are tried as well, and starts of each."""


@dataclass(frozen=True, eq=False)
class Search:
    """How the global minimum of a model is found; made once, used for any data."""

    coordinates: Coordinates
    """Variables in which the model is fitted."""
    held: tuple[int, ...]
    """Numbers of the variables that are not fitted."""
    straight: Model | None
    """The model in x = (θ − v)², if the rate is a sum of functions of one parameter each."""
    bounds: tuple[Array, Array] | None
    """Bounds of its variables, shape (variables,) each."""
    vertices: Mapping[int, float]
    """Vertex v by number of a parameter that enters with its square."""
    factors: Mapping[int, tuple[int, ...]]
    """Numbers of what multiplies a parameter that enters only as y, times them, by its number."""
    lost: float
    """What x leaves out of the rate, relative: how much vertices of bins differ; 0 if exact."""
    starts: Array
    """Other starts of fits, shape (starts, variables)."""

    def fit(self, data: Data, start: Array | None = None, workers: Here = HERE) -> Fits:
        """Global minimum of each data set.

        Parameters
        ----------
        start
            Values of the variables, shape (1, variables) or (sets, variables), with those of the
            held ones; by default the truth. The fit is never worse than from there.
        workers
            Threads, by default one a core.
        """
        truth = self.coordinates.original.truth
        start = truth[None] if start is None else np.atleast_2d(np.asarray(start, float))
        fits = self._fit(data, self.coordinates.inward(start), workers)
        return fits._replace(values=self.coordinates.outward(fits.values, start))

    def local(self, data: Data, start: Array, workers: Here = HERE) -> Fits:
        """Minimum that is reached from starts, shape (sets, variables), as `local_fit`."""
        fits = local_fit(self.model, data, self.coordinates.inward(start), self.held, workers)
        return fits._replace(values=self.coordinates.outward(fits.values, start))

    def around(self, values: Array) -> Search:
        """The search for data thrown at some values, shape (variables,), of the variables."""
        if self.straight is not None:
            return self
        z = self.coordinates.inward(values[None])[0]
        model = self.model
        data = Data(model.counts(z)[None], (model.tau * model.background)[None], z[None])
        return replace(self, starts=_lattice(model, self.held, data, z))

    @property
    def model(self) -> Model:
        """The model in the variables of the fit."""
        return self.coordinates.model

    def _fit(self, data: Data, start: Array, workers: Here) -> Fits:
        """Global minima, in the variables of the fit."""
        if self.straight is None:
            return self._fit_from_all(data, start, workers)
        squared = start.copy()
        for i, v in self.vertices.items():
            squared[:, i] = (start[:, i] - v) ** 2
        for i, numbers in self.factors.items():
            squared[:, i] *= self._multiplied(numbers, start)
        straight = local_fit(self.straight, data, squared, self.held, workers, self.bounds)
        if self.lost < EXACT:
            straight = self._across_bends(straight, data, workers, self.straight, self.bounds)
        mirrors = [self._mirrors(i) for i in self.vertices]
        images = list(itertools.product(*mirrors))
        candidates = [self._there_and_back(straight, start, beyond) for beyond in images]
        if self.lost < EXACT:  # all are as good: the one on the side of the start
            return Fits(candidates[0], *straight[1:])
        best = local_fit(self.model, data, candidates[0], self.held, workers)
        for values in candidates[1:]:
            best = self._or_from(best, data, values, workers)
        if self.lost > ALIKE:
            for beyond in images[1:]:
                best = self._or_from(best, data, self._image(best.values, beyond), workers)
        if self.bent:
            nuisances = slice(len(self.model.parameters), None)
            for beyond in images:
                trial = self._image(best.values, beyond)
                trial[:, nuisances] = start[:, nuisances]
                best = self._or_from(best, data, trial, workers)
        best = self._across_bends(best, data, workers)
        best = self._along_valleys(best, straight, data, start, workers)
        failed = np.flatnonzero(best.status != CONVERGED)
        if failed.size:
            best = self._again(best, data, start, failed, workers)
        return best

    @cached_property
    def bent(self) -> bool:
        """Whether a nuisance parameter is more than a factor, so that there are more minima."""
        first = len(self.model.parameters)
        return any(max(powers[first:], default=0) > 1 for powers in self.model.expected.terms)

    @cached_property
    def bends(self) -> tuple[int, ...]:
        """Numbers of nuisance parameters along which counts bend so much that χ² may have minima.

        Half of χ² is convex along η where its pull's curvature, 1, is more than Σ (1 − n/N) N″
        over bins can take away, of which the standard deviation is √(Σ N″²/N).
        """
        model = self.model
        first, eta = len(model.parameters), np.linspace(-BEND, BEND, 13)
        counts = np.maximum(model.counts(model.truth), 1.0)
        bent = []
        for k, nuisance in enumerate(model.nuisances, first):
            others = {i: value for i, value in enumerate(model.truth) if i != k}
            along = model.expected.restrict(others)
            if nuisance.rate or max(power for (power,) in along.terms) < 2:
                continue
            second = sum(
                np.outer(power * (power - 1) * eta ** max(power - 2, 0), c)
                for (power,), c in along.terms.items()
            )
            if SPREAD * np.sqrt(np.max(np.sum(second**2 / counts, axis=1))) > 1:
                bent.append(k)
        return tuple(bent)

    def _across_bends(
        self,
        best: Fits,
        data: Data,
        workers: Here,
        model: Model | None = None,
        bounds: tuple[Array, Array] | None = None,
    ) -> Fits:
        """The better of fits of a model and those from either side of what bends its counts."""
        model = model or self.model
        for k in self.bends:
            for side in (-ASIDE, ASIDE):
                trial = best.values.copy()
                trial[:, k] = data.centre[:, k] + side
                highest = np.where(best.status == CONVERGED, best.chi2, np.inf)
                other = local_fit(model, data, trial, self.held, workers, bounds, highest)
                best = best.better(other)
        return best

    def _along_valleys(
        self, best: Fits, straight: Fits, data: Data, start: Array, workers: Here
    ) -> Fits:
        """The better of fits and those from where a parameter leaves the vertex of its square.

        In x it is at the bound there; what x leaves out of the rate may put another minimum along
        the valley that begins at the bound, if its floor rises by little.
        """
        if self.straight is None:
            return best
        squares = [*self.vertices, *sorted(self.coordinates.squares - {*self.held, *self.vertices})]
        found = valleys(self.straight, data, straight, squares, self.held, self.bounds)
        for i, valley in found.items():
            sets = valley.sets
            there = start[sets] if len(start) > 1 else start
            for other, (rise, values) in itertools.product(
                (False, True) if i in self.vertices else (False,),
                zip(valley.rise, valley.values, strict=True),
            ):
                along = straight.of(sets)._replace(values=values)
                trial = self._there_and_back(
                    along, there, self._sides(best.values[sets], there, i, other)
                )
                low = (
                    chi2_at(self.model, take(data, sets), trial)
                    < best.chi2[sets] + FLAT * rise + LOW
                )
                best = self._or_for_some(best, data, sets[low], trial[low], workers)
        return best

    def _sides(self, values: Array, start: Array, i: int, other: bool) -> list[NDArray[np.bool_]]:
        """For each parameter with a vertex whether values are beyond it, that of i perhaps not."""
        beyond = []
        for k, v in self.vertices.items():
            above = (start[:, k] >= v) & (self.model.upper[k] > v)
            beyond.append(above ^ ((values[:, k] >= v) ^ (other and k == i)))
        return beyond

    def _or_for_some(
        self, best: Fits, data: Data, sets: NDArray[np.int64], start: Array, workers: Here
    ) -> Fits:
        """The better of fits and those of some data sets from another start, fitted to the end."""
        if sets.size:
            other = local_fit(self.model, take(data, sets), start, self.held, workers)
            for whole, part in zip(best, best.of(sets).better(other), strict=True):
                whole[sets] = part
        return best

    def _fit_from_all(self, data: Data, start: Array, workers: Here) -> Fits:
        """The best of the fits from the start, from all others, and from mirror images."""
        model, single = self.model, len(data) == len(start) == 1
        starts = _lattice(model, self.held, data, start[0], 0) if single else self.starts
        best = local_fit(model, data, start, self.held, workers)
        fitted = [i for i in range(model.variables) if i not in self.held]
        for other in starts:
            trial = start.copy()
            trial[:, fitted] = other[fitted]
            best = self._or_from(best, data, trial, workers)
        for i in self._fitted_parameters() * 2:
            trial = best.values.copy()
            trial[:, i] = 2 * self._vertices_at(i, trial) - trial[:, i]
            trial[:, i] = np.clip(trial[:, i], model.lower[i], model.upper[i])
            best = self._or_from(best, data, trial, workers)
        for reflection in self._reflections:
            best = self._or_from(best, data, reflection.of(best.values), workers)
        return self._across_bends(best, data, workers)

    @cached_property
    def _reflections(self) -> list[Reflection]:
        """Reflections of several parameters at once, where there is no straight model."""
        return reflections(self.model, self._fitted_parameters(), self.model.truth)

    def _fitted_parameters(self) -> list[int]:
        return [i for i in range(len(self.model.parameters)) if i not in self.held]

    def _vertices_at(self, i: int, values: Array) -> Array:
        """θ_i at which the sum of the rate is least, the others given, shape (sets,).

        θ_i itself where the rate is not quadratic in it.
        """
        parts = [np.zeros(len(values)) for _ in range(3)]
        arguments = self.model.expected.arguments(values)
        for powers, counts in self.model.expected.terms.items():
            if powers[i] > 2:
                return values[:, i]
            others = np.array([q if k != i else 0 for k, q in enumerate(powers)])
            parts[powers[i]] += np.sum(counts) * np.prod(arguments**others, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = -parts[1] / (2 * parts[2])
        return np.where(parts[2] > 0, vertex, values[:, i])

    def _or_from(self, best: Fits, data: Data, start: Array, workers: Here) -> Fits:
        """The better of fits and those from another start, which are left if they end above."""
        highest = np.where(best.status == CONVERGED, best.chi2, np.inf)
        return best.better(local_fit(self.model, data, start, self.held, workers, highest=highest))

    def _image(self, values: Array, beyond: Sequence[bool]) -> Array:
        """Values with some parameters mirrored about their vertices."""
        image = values.copy()
        for (i, v), other in zip(self.vertices.items(), beyond, strict=True):
            if other:
                image[:, i] = np.clip(
                    2 * v - values[:, i], self.model.lower[i], self.model.upper[i]
                )
        return image

    def _mirrors(self, i: int) -> tuple[bool, ...]:
        """Whether θ is beyond the vertex, seen from the start, as the bounds allow."""
        inside = self.model.lower[i] < self.vertices[i] < self.model.upper[i]
        return (False, True) if inside else (False,)

    def _multiplied(self, numbers: Sequence[int], values: Array) -> Array:
        """Product of a strength and the factors of nuisance parameters, shape (sets,)."""
        first, product = len(self.model.parameters), np.ones(len(values))
        for k in numbers:
            factor = (
                np.maximum(values[:, k], LEAST)
                if k < first
                else self.model.nuisances[k - first].factor(values[:, k])
            )
            product = product * factor
        return product

    def _there_and_back(
        self, straight: Fits, start: Array, beyond: Sequence[bool | NDArray[np.bool_]]
    ) -> Array:
        values = straight.values.copy()
        for i, numbers in reversed([*self.factors.items()]):  # a strength first
            values[:, i] /= self._multiplied(numbers, values)
        for (i, v), other in zip(self.vertices.items(), beyond, strict=True):
            above = (start[:, i] >= v) & (self.model.upper[i] > v)
            x = v + np.where(above != other, 1.0, -1.0) * np.sqrt(np.maximum(values[:, i], 0.0))
            values[:, i] = np.clip(x, self.model.lower[i], self.model.upper[i])
        return values

    def _again(
        self, best: Fits, data: Data, start: Array, failed: NDArray[np.int64], workers: Here
    ) -> Fits:
        """Fit the data sets that failed once more, from their best point and from the start."""
        subset = take(data, failed)
        for trial in (best.values[failed], start[failed] if len(start) > 1 else start):
            again = local_fit(self.model, subset, trial, self.held, workers)
            part = best.of(failed).better(again)
            for whole, new in zip(best, part, strict=True):
                whole[failed] = new
        return best


def search(model: Model, held: Sequence[str] = ()) -> Search:
    """Prepare to find global minima, with some parameters held at the start's values."""
    numbers = tuple(model.number(name) for name in held)
    parameters = [i for i in range(len(model.parameters)) if i not in numbers]
    return _search(coordinates(model, parameters), numbers, parameters)


def _search(simple: Coordinates, numbers: tuple[int, ...], parameters: Sequence[int]) -> Search:
    """A search in some coordinates, with some parameters held and the others fitted."""
    model = simple.model
    straight, weak = _without_weak_products(model, simple.bases)
    common = _common_factor(model, straight)
    apart = [i for i in parameters if i != common]
    if not _apart(straight, len(model.parameters), apart, common):
        return _from_lattice(simple, numbers)
    vertices, most = {}, weak
    lower, upper = model.lower.copy(), model.upper.copy()
    for i in apart:
        if max(powers[i] for powers in straight.terms) < 2:
            continue
        v = _vertex(model, i, common)
        straight, lost = _squared(straight, i, v)
        most = max(most, lost)
        vertices[i] = v
        ends = sorted(((lower[i] - v) ** 2, (upper[i] - v) ** 2))
        inside = lower[i] < v < upper[i]
        lower[i], upper[i] = 0.0 if inside else ends[0], ends[1]
    if common in parameters and most >= EXACT:
        by_root = coordinates(simple.original, parameters, common)
        if by_root.strength is None:
            return _from_lattice(simple, numbers)
        return _search(by_root, numbers, parameters)
    factors = {}
    for i in (*apart, *(i for i in parameters if i == common)):
        unbounded = lower[i] in {0.0, -np.inf} and upper[i] == np.inf
        if unbounded:
            shared = common if common in parameters and common != i else None
            straight, numbers_of_i = _without_factors(model, straight, i, shared)
            if numbers_of_i:
                factors[i] = numbers_of_i
    other = replace(model, expected=straight)
    none = np.empty((0, model.variables))
    return Search(simple, numbers, other, (lower, upper), vertices, factors, most, none)


def _from_lattice(simple: Coordinates, held: tuple[int, ...]) -> Search:
    """A search from the minima that a lattice of starts finds."""
    model = simple.model
    starts = _lattice(model, held, model.asimov(), model.truth)
    return Search(simple, held, None, None, {}, {}, 0.0, starts)


def _without_weak_products(
    model: Model, bases: Sequence[tuple[Sequence[int], Array]]
) -> tuple[Polynomial, float]:
    """The rate without small products of combined couplings, and how large they are, relative."""
    terms, weak = dict(model.expected.terms), 0.0
    for numbers, _ in bases:
        products = [q for q in terms if sum(q[i] > 0 for i in numbers) > 1]
        squares = [q for q in terms if any(q[i] == 2 for i in numbers) and q not in products]
        scale = max(float(np.max(np.abs(terms[q]))) for q in squares)
        size = max((float(np.max(np.abs(terms[q]))) for q in products), default=0.0) / scale
        if size < WEAK:
            weak = max(weak, size)
            for q in products:
                del terms[q]
    return model.expected.with_terms(terms), weak


def _common_factor(model: Model, expected: Polynomial) -> int | None:
    """Number of a parameter, not negative, that multiplies all that the others do to the rate."""
    parameters = range(len(model.parameters))
    signal = [q for q in expected.terms if any(q[i] for i in parameters)]
    for i in parameters:
        if model.lower[i] >= 0 and len(signal) > 1 and all(q[i] == 1 for q in signal):
            return i
    return None


def _apart(expected: Polynomial, among: int, parameters: Sequence[int], common: int | None) -> bool:
    """Whether the rate is a sum of linear or quadratic functions of one of the parameters each.

    Those that are held may multiply linear ones alone: vertices would depend on them; a `common`
    factor of all may multiply any.
    """
    terms = list(expected.terms)
    most = {i: max(powers[i] for powers in terms) for i in parameters}
    for powers in terms:
        for i in (i for i in parameters if powers[i]):
            others = [k for k in range(among) if k not in (i, common) and powers[k]]
            if powers[i] > 2 or (others and most[i] == 2) or any(k in most for k in others):
                return False
    return True


def _split(polynomial: Polynomial, i: int) -> list[dict[Powers, Array]]:
    """Coefficients of 1, θ and θ², which are polynomials in the others."""
    parts: list[dict[Powers, Array]] = [{}, {}, {}]
    for powers, value in polynomial.terms.items():
        parts[powers[i]][(*powers[:i], 0, *powers[i + 1 :])] = value
    return parts


def _vertex(model: Model, i: int, common: int | None) -> float:
    """θ at which the sum of the rate over all bins is least, whatever a common factor is."""
    nominal = nominal_of(model.expected, len(model.parameters))
    if common is not None:
        signal = {q: c for q, c in nominal.terms.items() if q[common]}
        nominal = nominal.with_terms({with_power(q, common, 0): c for q, c in signal.items()})
    zero = (0,) * nominal.variables
    _, linear, square = _split(nominal, i)
    return float(-np.sum(linear.get(zero, 0.0)) / (2 * np.sum(square[zero])))


def _squared(polynomial: Polynomial, i: int, v: float) -> tuple[Polynomial, float]:
    """The polynomial in x = (θ − v)², and what is lost: the term in θ − v, relative."""
    zeroth, linear, square = (
        polynomial.with_terms(p) if p else None for p in _split(polynomial, i)
    )
    assert square is not None
    constant = square * v**2
    slope = square * (2 * v)
    if linear is not None:
        constant, slope = constant + linear * v, slope + linear
    if zeroth is not None:
        constant = constant + zeroth
    lost = max(float(np.max(np.abs(c))) for c in slope.terms.values())
    scale = max(float(np.max(np.abs(c))) for c in square.terms.values()) * max(abs(v), 1e-3)
    x = Polynomial.variable(i, polynomial.variables)
    return constant + square * x, lost / scale


def _without_factors(
    model: Model, polynomial: Polynomial, i: int, common: int | None
) -> tuple[Polynomial, tuple[int, ...]]:
    """The polynomial in y = x f in the place of the variable x = z_i, if it enters only so.

    Also the numbers of the common factor and of the nuisance parameters whose factors are f.
    """
    numbers = []
    if common is not None:
        terms = {with_power(q, common, 0) if q[i] else q: c for q, c in polynomial.terms.items()}
        polynomial = polynomial.with_terms(terms)
        numbers.append(common)
    for k, nuisance in enumerate(model.nuisances, len(model.parameters)):
        own = {q: c for q, c in polynomial.terms.items() if q[i]}
        if not nuisance.effect.is_factor or not any(q[k] for q in own):
            continue
        bare = {(*q[:k], 0, *q[k + 1 :]): c for q, c in own.items() if q[k] == bool(nuisance.rate)}
        whole = Polynomial.variable(k, model.variables, nuisance.rate)
        product = polynomial.with_terms(bare) * (
            whole if nuisance.rate else 1.0 + whole * nuisance.uncertainty
        )
        if _same(product.terms, own):
            rest = {q: c for q, c in polynomial.terms.items() if not q[i]}
            polynomial = polynomial.with_terms(rest | bare)
            numbers.append(k)
    return polynomial, tuple(numbers)


def _same(a: Mapping[Powers, Array], b: Mapping[Powers, Array]) -> bool:
    """Whether two sets of terms are the same but for rounding."""
    if set(a) != set(b):
        return False
    size = max(float(np.max(np.abs(c))) for c in b.values())
    return all(np.allclose(a[q], b[q], rtol=1e-12, atol=1e-12 * size) for q in a)


def _lattice(
    model: Model, held: Sequence[int], data: Data, around: Array, like: int = LIKE
) -> Array:
    """Distinct minima of one data set, and of a number like it, from a lattice of starts."""
    parameters = [i for i in range(len(model.parameters)) if i not in held]
    scale = np.array([reach(model, i) for i in parameters])
    chosen: list[Array] = []

    def choose(fits: Fits, above: float, distance: float) -> None:
        for k in np.argsort(fits.chi2):
            if fits.chi2[k] > fits.chi2.min() + above or len(chosen) == MOST_STARTS:
                break
            new = fits.values[k]
            steps = [np.abs((new - old)[parameters] / scale).max() for old in chosen]
            if all(step > distance for step in steps):
                chosen.append(new)

    choose(
        local_fit(model, data, _starts(model, parameters, scale, around, LATTICE), held), 50, 0.1
    )
    some = _starts(model, parameters, scale, around, SOME)
    for seed in range(like):
        choose(local_fit(model, _like(data, seed), some, held), 9, 0.5)
    return np.array(chosen)


def _starts(
    model: Model, parameters: Sequence[int], scale: Array, around: Array, number: int
) -> Array:
    """A lattice of starts, shape (number, variables)."""
    from scipy.stats import qmc

    points = qmc.Halton(len(parameters), scramble=False).random(number + 1)[1:]
    starts = np.repeat(around[None], number, axis=0)
    for place, i in enumerate(parameters):
        start = around[i] + scale[place] * (8 * points[:, place] - 4)
        starts[:, i] = np.clip(start, model.lower[i], model.upper[i])
    return starts


def _like(data: Data, seed: int) -> Data:
    """The first data set with counts that fluctuate."""
    rng = np.random.Generator(np.random.Philox(seed))
    counts, off = (rng.poisson(a[:1]).astype(float) for a in (data.counts, data.off))
    return Data(counts, off, data.centre[:1])


def reach(model: Model, i: int) -> float:
    """Change of a parameter that moves the counts by half of what parameters decide at all."""
    parameters = range(len(model.parameters))
    counts = float(model.counts(model.truth).sum())
    nominal = nominal_of(model.expected, len(parameters)).terms
    decided = sum(abs(np.sum(counts)) for q, counts in nominal.items() if sum(q) == 1)
    for scale in np.geomspace(1e-4, 1e5, 91):
        moved = model.truth.copy()
        moved[i] += scale
        if abs(float(model.counts(moved).sum()) - counts) > 0.5 * max(float(decided), 1.0):
            return float(scale)
    return 1.0
