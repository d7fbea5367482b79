"""Fits tried again by a slower search, which knows nothing of how they were found.

Each data set is fitted from many starts all over the parameters, in the model's own variables:
neither squares, products and combinations of parameters (`coordinates`) nor mirror images are used.
A fit that crawls along a valley is left after its steps; another start enters it elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...generator.arrays import Array
from ...reco.cluster.workers import HERE, Here
from ..counts.model import Data, Model
from .local import Fits, local_fit
from .search import reach

STARTS = 32
"""Of each data set."""
GAIN = 1e-5
"""Of χ² from which a fit could be improved."""


@dataclass(frozen=True)
class Audit:
    """Fits that were tried again."""

    checked: int
    improvable: int
    """How many the slower search improved by more than GAIN."""
    largest: float
    """Largest improvement of χ²."""

    def __str__(self) -> str:
        """One sentence."""
        more = f", by up to {self.largest:.2g}" if self.improvable else ""
        return (
            f"{self.improvable} of {self.checked} checked fits could be improved by more than "
            f"{GAIN:g}{more}"
        )


def gains(
    model: Model, data: Data, fits: Fits, held: Sequence[int] = (), workers: Here = HERE
) -> Array:
    """How much lower χ² is than in fits of data sets, by the slower search, shape (sets,).

    Parameters
    ----------
    held
        Numbers of the parameters that stay at their values.
    """
    from scipy.stats import qmc

    free = [i for i in range(len(model.parameters)) if i not in held]
    least = np.full(len(fits.chi2), np.inf)
    scale = np.array([reach(model, i) for i in free])
    lattice = qmc.Halton(max(len(free), 1), scramble=False).random(STARTS + 1)[1:]
    for k, place in enumerate(lattice):
        start = fits.values.copy()
        start[:, len(model.parameters) :] = 0.0
        width = 1.0 if k % 2 else 4.0
        for i, size, x in zip(free, scale, place, strict=False):
            away = model.truth[i] + width * size * (2 * x - 1)
            start[:, i] = np.clip(away, model.lower[i], model.upper[i])
        fits_there = local_fit(model, data, start, held, workers, only_saddles=True)
        least = np.minimum(least, fits_there.chi2)
    return np.maximum(fits.chi2 - least, 0.0)


def summed(*groups: Array) -> Audit:
    """The audit of groups of fits, by their gains."""
    gain = np.concatenate(groups)
    improvable = int(np.count_nonzero(gain > GAIN))
    return Audit(gain.size, improvable, float(gain.max()) if gain.size else 0.0)
