"""Observed and fitted counts along each axis, by component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...generator.arrays import Array, Json
from ..counts.binning import Axis
from ..counts.model import Section
from ..counts.polynomial import Polynomial, derivative
from .fitted import Fitted


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Counts of an experiment in beam-on along one axis, the others summed over."""

    section: str
    """Name of the experiment."""
    axis: Axis
    observed: Array
    """Shape (bins,)."""
    components: Mapping[str, Array]
    """Counts at the best fit by name of a component, shape (bins,) each."""
    error: Array
    """Standard error of their sum by the covariance of the fit, shape (bins,)."""

    @property
    def total(self) -> Array:
        """Counts at the best fit, shape (bins,)."""
        return np.sum(list(self.components.values()), axis=0)

    @property
    def residual(self) -> Array:
        """Signed square roots of what bins add to χ², shape (bins,)."""
        return residuals(self.observed, self.total)

    def as_json(self) -> Json:
        """Content for JSON."""
        return {
            "experiment": self.section,
            "axis": self.axis.name,
            "unit": self.axis.unit,
            "edges": self.axis.edges.tolist(),
            "observed": self.observed.tolist(),
            "components": {name: counts.tolist() for name, counts in self.components.items()},
            "error": self.error.tolist(),
            "residual": self.residual.tolist(),
        }


def residuals(observed: Array, expected: Array) -> Array:
    """Signed square roots of the deviances of Poisson counts, about in standard deviations."""
    from scipy.special import kl_div

    return np.sign(observed - expected) * np.sqrt(2 * kl_div(observed, expected))


def component_counts(fit: Fitted) -> dict[str, dict[str, Array]]:
    """Counts at the best fit by experiment and component, each of shape (bins in beam-on,).

    What is free in each bin is what the fit leaves beside all others; of several such backgrounds
    each has the part that it has of what is expected.
    """
    return {section.name: _in_section(fit, section) for section in fit.model.sections}


def _in_section(fit: Fitted, section: Section) -> dict[str, Array]:
    own = [c for c in fit.model.components if c.section == section.name]
    size = (section.binning.bins,)
    counts = {c.name: np.array(np.broadcast_to(c.on.at(fit.values), size)) for c in own}
    free = [c.name for c in own if c.is_free]
    if free:
        expected = np.sum([counts[name] for name in free], axis=0)
        others = np.sum([counts[c.name] for c in own if not c.is_free], axis=0)
        left = fit.counts[section.on] - others
        for name in free:
            part = counts[name] / np.where(expected > 0, expected, 1.0)
            counts[name] = left * np.where(expected > 0, part, 1 / len(free))
    return counts


def errors_of_counts(fit: Fitted, section_on: slice, projection: Array) -> Array:
    """Standard errors of sums of expected counts, shape (sums,).

    Parameters
    ----------
    projection
        Which bins are summed, shape (sums, bins).
    """
    m = fit.model
    known = np.flatnonzero(np.isfinite(np.diag(fit.covariance)))
    slopes = [_slope(m.expected, int(k), fit.values, m.bins)[section_on] for k in known]
    along = projection @ np.array(slopes).T.reshape(projection.shape[1], known.size)
    matrix = fit.covariance[np.ix_(known, known)]
    return np.sqrt(np.maximum(np.einsum("bi,ij,bj->b", along, matrix, along), 0.0))


def _slope(polynomial: Polynomial, number: int, values: Array, bins: int) -> Array:
    return np.broadcast_to(derivative(polynomial, number).at(values), (bins,))


def spectra(fit: Fitted, counts: Mapping[str, Mapping[str, Array]]) -> list[Spectrum]:
    """Spectra of all experiments along all axes.

    Parameters
    ----------
    counts
        Of `component_counts`.
    """
    result = []
    for section in fit.model.sections:
        bins = section.binning
        for axis in bins.axes:
            project = partial(bins.project, names=[axis.name])
            result.append(
                Spectrum(
                    section.name, axis, project(fit.data.counts[0, section.on]),
                    {name: project(values) for name, values in counts[section.name].items()},
                    errors_of_counts(fit, section.on, project(np.eye(bins.bins)).T),
                )
            )  # fmt: skip
    return result
