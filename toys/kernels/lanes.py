"""What the kernels of the compiled fit pass on: the objective, data sets, and the lanes.

LANES data sets are fitted side by side, each in a lane. A kernel does one step for all lanes, with
the lanes innermost, and the compiler vectorises it. Arrays of lanes have the lane as last axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.sampling.kernel import kernel, kernel_inline
from .status import CONVERGED, RUNNING
from .terms import Terms

LANES = 64

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Objective(NamedTuple):
    """χ² as a function of the variables: what it has in common for all data sets."""

    terms: Terms
    """Expected counts as a polynomial of the variables, and its derivatives by the free ones."""
    tau: Floats
    """Beam-off time over beam-on time, shape (bins,); 0 where a bin has no beam-off count."""
    free: Integers
    """Numbers of the free variables, shape (p,)."""
    weight: Floats
    """1/σ² of the pulls, 0 where there is none, shape (variables,)."""
    lower: Floats
    """Bounds of the variables, shape (variables,)."""
    upper: Floats


class DataSets(NamedTuple):
    """Data sets to fit; each array has one row for all sets, or a row a set."""

    counts: Floats
    """Shape (sets, bins)."""
    off: Floats
    """Beam-off counts, shape (sets, bins)."""
    centre: Floats
    """Centres of the pulls, shape (sets, variables)."""
    start: Floats
    """Values of the variables from which fits start, shape (sets, variables)."""
    highest: Floats
    """χ² above which a minimum is of no interest, shape (sets,)."""


class Results(NamedTuple):
    """Where the fits ended, to be written; see `search.Fits`."""

    values: Floats
    """Shape (sets, variables)."""
    chi2: Floats
    """Shape (sets,)."""
    status: Integers
    """One of `status.STATUS`, shape (sets,)."""
    steps: Integers
    """Evaluations of χ², shape (sets,)."""


class Point(NamedTuple):
    """A point of every lane, with χ² and its derivatives by the p free variables there."""

    z: Floats
    """Shape (variables, LANES)."""
    chi2: Floats
    """Shape (LANES,)."""
    gradient: Floats
    """Shape (p, LANES)."""
    hessian: Floats
    """Lower triangle by rows, shape (p (p + 1)/2, LANES)."""
    scale: Floats
    """Least D of the damping, shape (p, LANES)."""


class Bin(NamedTuple):
    """One bin in every lane, each of shape (LANES,)."""

    expected: Floats
    """N, without the background if that is measured in beam-off."""
    value: Floats
    """Half of χ², summed over the bins so far."""
    slope: Floats
    """Derivative of half of χ² of the bin by N."""
    curvature: Floats
    """Second derivative."""
    least: Floats
    """What the curvature counts as, at least, in the damping."""
    impossible: Floats
    """Number of bins so far that cannot have such counts."""


class Scratch(NamedTuple):
    """Room for `deviance.evaluate`."""

    arguments: Floats
    """Arguments of the polynomial, shape (variables, LANES)."""
    monomials: Floats
    """Shape (terms, LANES)."""
    derived: Floats
    """Monomials of the first derivatives with their factors, shape (len(first), LANES)."""
    slopes: Floats
    """Derivatives of N in a bin by the free variables, shape (p, LANES)."""
    bends: Floats
    """Slope times coefficient, summed over bins, of the curved terms, (len(curved), LANES)."""


class Newton(NamedTuple):
    """A Newton step of every lane, see `newton`."""

    damping: Floats
    """λ, shape (LANES,)."""
    held: Floats
    """1 where a free variable is held at its bound by the gradient, else 0, shape (p, LANES)."""
    factor: Floats
    """Cholesky factor of H + λ D, lower triangle by rows, shape (p (p + 1)/2, LANES)."""
    positive: Floats
    """1 where H + λ D is positive definite, else 0, shape (LANES,)."""
    damped: Floats
    """1 where λ was increased for that, else 0, shape (LANES,)."""
    step: Floats
    """Shape (p, LANES)."""
    predicted: Floats
    """Fall of χ² that the step promises, shape (LANES,)."""


class Progress(NamedTuple):
    """How far the fit of every lane has come, each of shape (LANES,)."""

    owner: Integers
    """Number of the data set, −1 for none."""
    status: Integers
    """RUNNING, or how the fit ended."""
    steps: Integers
    """Evaluations of χ²."""
    good: Floats
    """1 where the last step was accepted, else 0."""
    finishing: NDArray[np.bool_]
    """Whether the next step is the last, if it is accepted."""
    fall: Floats
    """Fall of χ² that the last step promised, 0 before the first."""


class Lanes(NamedTuple):
    """LANES fits side by side: their data, where they are, and room to work in."""

    counts: Floats
    """Shape (bins, LANES)."""
    off: Floats
    """Shape (bins, LANES)."""
    centre: Floats
    """Shape (variables, LANES)."""
    now: Point
    """The best point so far."""
    trial: Point
    """The next one."""
    newton: Newton
    progress: Progress
    bin: Bin
    scratch: Scratch


@kernel
def new_point(variables, p):  # type: ignore[no-untyped-def]
    """A `Point` of zeros."""
    return Point(
        z=np.zeros((variables, LANES)),
        chi2=np.zeros(LANES),
        gradient=np.zeros((p, LANES)),
        hessian=np.zeros((p * (p + 1) // 2, LANES)),
        scale=np.zeros((p, LANES)),
    )


@kernel
def new_lanes(objective):  # type: ignore[no-untyped-def]
    """Lanes for an `Objective`, none of which has a data set yet."""
    terms = objective.terms
    size, bins = terms.coefficients.shape
    variables, p = len(objective.weight), len(objective.free)
    newton = Newton(
        damping=np.zeros(LANES),
        held=np.zeros((p, LANES)),
        factor=np.zeros((p * (p + 1) // 2, LANES)),
        positive=np.zeros(LANES),
        damped=np.zeros(LANES),
        step=np.zeros((p, LANES)),
        predicted=np.zeros(LANES),
    )
    progress = Progress(
        owner=np.full(LANES, -1),
        status=np.full(LANES, CONVERGED),
        steps=np.zeros(LANES, np.int64),
        good=np.zeros(LANES),
        finishing=np.zeros(LANES, np.bool_),
        fall=np.zeros(LANES),
    )
    one = Bin(
        expected=np.zeros(LANES),
        value=np.zeros(LANES),
        slope=np.zeros(LANES),
        curvature=np.zeros(LANES),
        least=np.zeros(LANES),
        impossible=np.zeros(LANES),
    )
    scratch = Scratch(
        arguments=np.zeros((variables, LANES)),
        monomials=np.zeros((size, LANES)),
        derived=np.zeros((len(terms.first), LANES)),
        slopes=np.zeros((p, LANES)),
        bends=np.zeros((len(terms.curved), LANES)),
    )
    return Lanes(
        counts=np.zeros((bins, LANES)),
        off=np.zeros((bins, LANES)),
        centre=np.zeros((variables, LANES)),
        now=new_point(variables, p),
        trial=new_point(variables, p),
        newton=newton,
        progress=progress,
        bin=one,
        scratch=scratch,
    )


@kernel_inline
def reload(lanes, sets, following, total):  # type: ignore[no-untyped-def]
    """Put the next data sets into lanes that have none.

    `sets` is of `DataSets`, `following` the number of the next one, of `total`. Returns the number
    of the next one now. Before the first step, lanes for which nothing is left take a copy of the
    first set, so that their arithmetic is that of a real one.
    """
    progress, now, damping, z = lanes.progress, lanes.now.chi2, lanes.newton.damping, lanes.trial.z
    owner, status, steps = progress.owner, progress.status, progress.steps
    finishing, fall = progress.finishing, progress.fall
    counts, off, centre, start = sets.counts, sets.off, sets.centre, sets.start
    n, m_off, c = lanes.counts, lanes.off, lanes.centre
    first = following == 0
    for lane in range(LANES):
        if owner[lane] >= 0:
            continue
        if following < total:
            d = following
            following += 1
            owner[lane], status[lane], steps[lane] = d, RUNNING, 0
            finishing[lane], fall[lane] = False, 0.0
            now[lane], damping[lane] = np.inf, 0.0
        elif first:
            d = 0
        else:
            continue
        copy_row(counts, d, n, lane)
        copy_row(off, d, m_off, lane)
        copy_row(centre, d, c, lane)
        copy_row(start, d, z, lane)
    return following


@kernel_inline
def copy_row(rows, d, columns, lane):  # type: ignore[no-untyped-def]
    """Copy row d, or the only one, into the column of a lane."""
    row = d if len(rows) > 1 else 0
    for i in range(rows.shape[1]):
        columns[i, lane] = rows[row, i]
