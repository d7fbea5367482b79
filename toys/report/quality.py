"""How well a fit describes the data, and how well they exclude that there is no signal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...generator.arrays import Json
from ...reco.cluster.workers import ALONE, HERE, Here
from ..construction.ensemble import Ensemble, Truth
from ..construction.numbering import AT_BEST
from ..construction.throw import throw
from ..counts.model import Data, Model
from ..fit.search import search
from .fitted import Fitted

TOYS_AT_ONCE = 1024
"""Toys that are thrown and fitted together."""


@dataclass(frozen=True)
class Goodness:
    """Goodness of fit: χ² is −2 ln of the likelihood over that of the saturated model."""

    chi2: float
    degrees: int
    """Degrees of freedom."""
    p_value: float | None
    """Chance of a greater χ² by the χ² distribution; None without degrees of freedom."""
    toys: int = 0
    toys_p_value: float | None = None
    """The same by toys thrown at the best fit, (k + 1)/(N + 1) for k of N toys beyond the data."""
    toys_error: float | None = None
    """Its standard error."""

    def as_json(self) -> Json:
        """Content for JSON."""
        content: Json = {"chi2": self.chi2, "degrees": self.degrees, "p_value": self.p_value}
        if self.toys:
            content["toys"] = {
                "number": self.toys, "p_value": self.toys_p_value, "error": self.toys_error
            }  # fmt: skip
        return content

    def __str__(self) -> str:
        """One line."""
        text = f"χ² {round(self.chi2, 9) + 0.0:.5g} with {self.degrees} degrees of freedom"
        if self.p_value is not None:
            text += f", p = {self.p_value:.3g}"
        if self.toys_p_value is not None:
            text += f"; {self.toys_p_value:.3g} ± {self.toys_error:.1g} by {self.toys} toys"
        return text


@dataclass(frozen=True)
class Significance:
    """How much worse no signal describes the data."""

    q: float
    """Its χ² less the least one; infinite where counts are impossible without signal."""
    sigma: float
    """Standard deviations, √q; 0 where no signal is as good."""
    p_value: float
    """One-sided chance of as many standard deviations."""

    def as_json(self) -> Json:
        """Content for JSON, with null for what is infinite."""
        finite = np.isfinite(self.q)
        return {
            "q": self.q if finite else None,
            "sigma": self.sigma if finite else None,
            "p_value": self.p_value,
        }

    def __str__(self) -> str:
        """One line."""
        if np.isinf(self.q):
            return "no signal is impossible: some counts are in bins that expect nothing else"
        return f"no signal is disfavoured at {self.sigma:.3g}σ (Δχ² = {self.q:.4g})"


def goodness(fit: Fitted) -> Goodness:
    """Goodness of fit by the χ² distribution."""
    from scipy.special import chdtrc

    p = float(chdtrc(fit.degrees, max(fit.chi2, 0.0))) if fit.degrees > 0 else None
    return Goodness(fit.chi2, fit.degrees, p)


def goodness_by_toys(fit: Fitted, toys: int, seed: int, workers: Here = HERE) -> Goodness:
    """Goodness of fit by toys too, thrown at the best fit with fluctuated centres of the pulls."""
    truth = Truth(fit.values, fit.background)
    free = search(fit.model).around(fit.values)

    def beyond(start: int) -> int:
        stop = min(start + TOYS_AT_ONCE, toys)
        data = throw(fit.model, Ensemble(), truth, seed, AT_BEST, start, stop)
        fits = free.fit(data, fit.values[None], ALONE)
        workers.progress(stop - start)
        return int(np.count_nonzero(fits.chi2 >= fit.chi2))

    number = sum(workers.map(beyond, range(0, toys, TOYS_AT_ONCE)))
    p = (number + 1) / (toys + 1)
    error = float(np.sqrt(p * (1 - p) / toys))
    return replace(goodness(fit), toys=toys, toys_p_value=p, toys_error=error)


def significance(fit: Fitted, null: Model) -> Significance:
    """Significance of a signal: the model without it has the same nuisance parameters and bins.

    With a strength that may not be negative, √q are the standard deviations of the asymptotic
    distribution; of other parameters it compares two hypotheses.
    """
    from scipy.special import ndtr

    first, data = len(fit.model.parameters), fit.data
    alone = Data(data.counts, data.off, data.centre[:, first:])
    chi2 = float(search(null).fit(alone).chi2[0])
    q = chi2 - fit.chi2
    sigma = float(np.sqrt(max(q, 0.0)))
    return Significance(q, sigma, float(ndtr(-sigma)))
