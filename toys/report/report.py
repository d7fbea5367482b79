"""All that is said of a fit to data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...generator.arrays import Array, Json
from ...generator.display import Displayed
from ...reco.cluster.workers import HERE, Here
from ...reco.experiment import Experiment
from ..counts.combination import build
from ..counts.model import Data, Model
from ..counts.parameter import STRENGTH
from .fitted import Fitted, fitted
from .projection import projected, projected_data
from .quality import Goodness, Significance, goodness, significance
from .spectra import Spectrum, component_counts, spectra


@dataclass(frozen=True, eq=False, repr=False)
class Report(Displayed):
    """A fit to data, its quality, and the counts of components."""

    fit: Fitted
    goodness: Goodness
    significance: Significance
    spectra: tuple[Spectrum, ...]
    components: Mapping[str, float]
    """Counts in beam-on at the best fit by component; EXPERIMENT.COMPONENT if there are several
    experiments."""
    observed: float
    """Counts in beam-on."""

    def facts(self) -> dict[str, object]:
        """Best values, quality and significance."""
        p = self.goodness.p_value
        quality = {"p": f"{p:.3g}"} if p is not None else {}
        return self.fit.facts() | quality | {"no signal at": f"{self.significance.sigma:.3g}σ"}

    def as_json(self) -> Json:
        """Content for JSON."""
        fit, number = self.fit, len(self.fit.model.parameters)
        names = fit.model.names
        each = list(zip(names, fit.values.tolist(), map(_sides, fit.errors), strict=True))
        return {
            "best": {name: value for name, value, _ in each[:number]},
            "errors": {name: errors for name, _, errors in each[:number]},
            "chi2": fit.chi2,
            "bins": fit.model.bins,
            "degrees": fit.degrees,
            "converged": fit.converged,
            "observed": self.observed,
            "components": dict(self.components),
            "pulls": {
                name: {"value": value, **errors, "constrained": nuisance.weight > 0}
                for nuisance, (name, value, errors) in zip(
                    fit.model.nuisances, each[number:], strict=True
                )
            },
            "impacts": _impacts(fit),
            "correlation": {"names": list(names), "matrix": _finite(fit.correlation)},
            "significance": self.significance.as_json(),
            "goodness": self.goodness.as_json(),
            "spectra": [spectrum.as_json() for spectrum in self.spectra],
        }


def _sides(pair: Array) -> dict[str, float | None]:
    low, high = _finite(pair)
    return {"low": low, "high": high}


def _finite(values: Array) -> list[float | None]:
    """Nested lists, with null where a number is not finite."""
    objects = values.astype(object)
    objects[~np.isfinite(values)] = None
    return objects.tolist()


def _impacts(fit: Fitted) -> Json:
    """Impacts by nuisance parameter and parameter."""
    return {
        nuisance.name: {p.name: _sides(moves[:, k]) for k, p in enumerate(fit.model.parameters)}
        for nuisance, moves in zip(fit.model.nuisances, fit.impacts, strict=True)
    }


@dataclass(frozen=True, eq=False)
class Models:
    """The model that is fitted, and the same without signal."""

    model: Model
    without: Model
    """No parameter, the same nuisance parameters."""
    sums: Array | None = None
    """Which bins of data are summed, shape (bins, bins of data); None for none."""

    def on_axes(self, names: Sequence[str]) -> Models:
        """The same on some axes, the others summed over.

        Raises
        ------
        ExperimentError
            As `projected`.
        """
        model, sums = projected(self.model, names)
        return Models(model, projected(self.without, names)[0], sums)

    def summed(self, data: Data) -> Data:
        """Data in the bins of the models."""
        return data if self.sums is None else projected_data(data, self.sums)


def models(experiments: Sequence[Experiment], parameters: Sequence[str]) -> Models:
    """Models of experiments with some parameters free, and without signal.

    Raises
    ------
    ExperimentError
        As `build`.
    """
    others = [name for name in parameters if name != STRENGTH.name]
    if STRENGTH.name in parameters:
        model = whole = build(experiments, parameters)
    else:
        whole = build(experiments, [STRENGTH.name, *parameters])
        model = whole.fixed({STRENGTH.name: STRENGTH.default})
    truth = {name: float(whole.truth[whole.number(name)]) for name in others}
    return Models(model, whole.fixed(truth | {STRENGTH.name: 0.0}))


def report(models: Models, data: Data, workers: Here = HERE) -> Report:
    """Fit one data set and say all of it.

    Raises
    ------
    ExperimentError
        As `fitted`.
    """
    fit = fitted(models.model, data, workers)
    counts = component_counts(fit)
    several = len(counts) > 1
    totals = {
        f"{section}.{name}" if several else name: float(values.sum())
        for section, parts in counts.items()
        for name, values in parts.items()
    }
    observed = sum(float(data.counts[0, section.on].sum()) for section in fit.model.sections)
    return Report(
        fit,
        goodness(fit),
        significance(fit, models.without),
        tuple(spectra(fit, counts)),
        totals,
        observed,
    )
