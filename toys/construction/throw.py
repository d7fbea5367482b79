"""Binned toys by number: Poisson counts and fluctuated pull centres.

A draw is counted (toy, point, draw, stream), so that a toy is the same whoever makes it. Where all
toys of a point have one truth, counts come from alias tables, two words each.
"""

from __future__ import annotations

import numpy as np

from ...generator.arrays import Array
from ...generator.sampling.names import stream_key
from ..counts.model import Data, Model
from ..kernels.expected import expect
from ..kernels.terms import compile_terms
from ..kernels.throw import (
    AliasTables,
    Series,
    Source,
    Thrown,
    draw_truths,
    fill_alias,
    throw_alike,
    throw_each,
)
from .ensemble import Ensemble, Truth

LARGEST_TABLE = 1 << 16
"""Numbers in a table; greater means are drawn by rejection."""


def toy_key(model: Model, seed: int) -> np.uint64:
    """Key of the random numbers of a model's toys, by seed and all of its experiments in order."""
    return np.uint64(stream_key(seed, "toys", *(section.name for section in model.sections)))


def throw(
    model: Model,
    ensemble: Ensemble,
    truth: Truth,
    seed: int,
    point: int,
    start: int,
    stop: int,
) -> Data:
    """Toys number `start` to `stop` − 1 of a grid point.

    Returns
    -------
    Data
        Arrays of shape (stop − start, bins), and (stop − start, variables) for the centres.
    """
    toys = stop - start
    counts = np.empty((toys, model.bins))
    off = np.zeros((toys if model.tau.any() else 1, model.bins))
    centre = np.zeros((toys, model.variables))
    terms = model.terms(())
    expected = np.empty(model.bins)
    expect(terms, truth.values[:, None], np.empty((len(terms.parent), 1)), expected)
    means = [expected + truth.background, (model.tau * truth.background)[model.tau > 0]]
    tables = alias_tables(np.maximum(np.concatenate(means), 0.0))  # −1e-17 where a rate vanishes
    prior, fluctuated = ensemble.truth == "prior", ensemble.centres == "fluctuated"
    series = Series(key=toy_key(model, seed), point=np.uint64(point), start=start)
    source = _source(model, truth)
    thrown = Thrown(counts=counts, off=off, centre=centre)
    if prior or len(tables.chance) == 0:
        throw_each(series, source, terms, prior, fluctuated, thrown)
    else:
        throw_alike(series, source, tables, fluctuated, thrown)
    return Data(counts, off, centre)


def true_values(
    model: Model,
    ensemble: Ensemble,
    truth: Truth,
    seed: int,
    point: int,
    start: int,
    stop: int,
) -> Array:
    """True values of the variables of the toys that `throw` makes, shape (toys, variables)."""
    values = np.repeat(truth.values[None], stop - start, axis=0)
    if ensemble.truth == "prior":
        series = Series(key=toy_key(model, seed), point=np.uint64(point), start=start)
        draw_truths(series, _source(model, truth), values)
    return values


def _source(model: Model, truth: Truth) -> Source:
    """What toys are thrown from, for the kernels."""
    return Source(
        values=truth.values,
        background=truth.background,
        leaked=compile_terms(model.leaked, model.bins, ()),
        weight=model.weight,
        lower=model.lower,
        tau=model.tau,
    )


def alias_tables(means: Array) -> AliasTables:
    """Tables of numbers within 9 standard deviations and 30 of each mean; what is left is < 1e-17.

    They are empty if a mean is so large that they would not pay.
    """
    reach = 9 * np.sqrt(means) + 30
    low = np.maximum(np.floor(means - reach), 0.0)
    sizes = (np.ceil(means + reach) - low + 1).astype(int)
    if len(means) == 0 or sizes.max() > LARGEST_TABLE:
        sizes = np.zeros(len(means), int)
    first = np.concatenate([[0], np.cumsum(sizes)])
    tables = AliasTables(
        first=first,
        lowest=low,
        chance=np.empty(first[-1]),
        alias=np.empty(first[-1], np.int64),
    )
    fill_alias(means, tables)
    return tables
