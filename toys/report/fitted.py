"""The fit of a model to one data set: best values, errors, correlations, impacts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...generator.arrays import Array
from ...generator.display import Displayed
from ...reco.cluster.workers import HERE, Here
from ...reco.errors import ExperimentError
from ..counts.model import Data, Model
from ..fit.likelihood import background
from ..fit.local import Fits
from ..fit.search import search
from ..kernels.status import CONVERGED
from ..scan.profile import Profile
from .errors import correlation, covariance, ends_of_nuisance, ends_of_parameter, impacts

LOWER = 1e-7
"""Of χ², by which a point must be lower than a best fit for that to be none."""
MOST_ROUNDS = 5
"""Most times that a fit begins again from a lower point."""


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Displayed):
    """A model's best fit to one data set, with errors of all variables."""

    model: Model
    data: Data
    best: Fits
    """Of one set."""
    ends: Array
    """Where Δχ² = 1 below and above, shape (variables, 2); nan where it is not reached."""
    covariance: Array
    """Shape (variables, variables); nan for variables at a bound."""
    impacts: Array
    """Moves of the parameters with each nuisance parameter at its `ends`, others fitted again,
    shape (nuisances, 2, parameters)."""

    def facts(self) -> dict[str, object]:
        """Best values and the quality of the fit."""
        number = len(self.model.parameters)
        shown = zip(self.model.names[:number], self.values, self.errors, strict=False)
        values = {name: f"{v:.4g} -{low:.3g} +{high:.3g}" for name, v, (low, high) in shown}
        return values | {"chi2": f"{self.chi2:.5g}", "degrees": self.degrees}

    @property
    def values(self) -> Array:
        """Best values of the variables, shape (variables,)."""
        return self.best.values[0]

    @property
    def chi2(self) -> float:
        """Least χ², 2 Σ (N − n + n ln(n/N)) and the pulls."""
        return float(self.best.chi2[0])

    @property
    def converged(self) -> bool:
        """Whether the fit converged."""
        return int(self.best.status[0]) == CONVERGED

    @property
    def errors(self) -> Array:
        """Errors below and above, both positive, shape (variables, 2); nan as `ends`."""
        return np.abs(self.ends - self.values[:, None])

    @property
    def sigma(self) -> Array:
        """Symmetric errors, by the covariance, shape (variables,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> Array:
        """Correlations of the variables, shape (variables, variables)."""
        return correlation(self.covariance)

    @property
    def pull_chi2(self) -> float:
        """What the pulls add to χ²."""
        pulls = self.model.weight * (self.values - self.data.centre[0]) ** 2
        return float(pulls.sum())

    @property
    def degrees(self) -> int:
        """Degrees of freedom: bins and pulls, less the variables."""
        return self.model.bins + int(np.sum(self.model.weight > 0)) - self.model.variables

    @cached_property
    def background(self) -> Array:
        """Backgrounds that are free in each bin, as fitted, in beam-on, shape (bins,)."""
        m, d = self.model, self.data
        signal = np.broadcast_to(m.expected.at(self.values), (m.bins,))
        return background(signal, m.tau, d.counts[0], d.off[0])

    @property
    def counts(self) -> Array:
        """Expected counts at the best fit, shape (bins,)."""
        m = self.model
        return np.broadcast_to(m.expected.at(self.values), (m.bins,)) + self.background


def fitted(model: Model, data: Data, workers: Here = HERE) -> Fitted:
    """Fit a model to one data set.

    Raises
    ------
    ExperimentError
        If the data are impossible: counts in a bin that expects none.
    """
    if len(data) != 1:
        raise ExperimentError(f"one data set is fitted, not {len(data)}")
    best = search(model).fit(data, workers=workers)
    if not np.isfinite(best.chi2[0]):
        raise ExperimentError(
            f"{', '.join(s.name for s in model.sections)}: the model cannot give these counts: "
            "some are in bins that expect none"
        )
    for _ in range(MOST_ROUNDS):
        result, lowest = _around(model, data, best, workers)
        if lowest.chi2[0] > best.chi2[0] - LOWER * (1 + abs(best.chi2[0])):
            break
        best = lowest
    return result


def _around(model: Model, data: Data, best: Fits, workers: Here) -> tuple[Fitted, Fits]:
    """A fit with its errors, and the lowest point that was met on the way."""
    matrix = covariance(model, data, best.values[0])
    sigma = np.sqrt(np.diag(matrix))
    ends = np.full((model.variables, 2), np.nan)
    moves = np.full((len(model.nuisances), 2, len(model.parameters)), np.nan)
    lowest = best
    for i, name in enumerate(model.names):
        profile = Profile(model, [name], data, workers, best)
        if i < len(model.parameters):
            ends[i] = ends_of_parameter(profile)
        else:
            ends[i] = ends_of_nuisance(profile, float(sigma[i]))
            moves[i - len(model.parameters)] = impacts(profile, ends[i])
        lowest = lowest.better(profile.best)
    return Fitted(model, data, best, ends, matrix, moves), lowest
