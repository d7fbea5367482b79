"""Small models by hand: the reference problem of the benchmarks, and counting in bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..effects.effect import BackgroundNormalisation, SignalNormalisation
from .binning import numbered
from .model import Component, Model, Nuisance, Section
from .parameter import Parameter
from .polynomial import Polynomial


def counting(
    signal: ArrayLike,
    background: ArrayLike,
    signal_uncertainty: float = 0.0,
    background_uncertainty: float = 0.0,
    lower: float = 0.0,
) -> Model:
    """Counts with expectation μ (1 + σ_s η_s) s_i + (1 + σ_b η_b) b_i in bin i.

    Parameters
    ----------
    signal, background
        s and b, shape (bins,).
    signal_uncertainty, background_uncertainty
        σ_s and σ_b; without a nuisance parameter if 0.
    lower
        Least μ.
    """
    s, b = np.asarray(signal, float), np.asarray(background, float)
    pulls = (
        (SignalNormalisation().as_linear(), signal_uncertainty),
        (BackgroundNormalisation().as_linear(), background_uncertainty),
    )
    nuisances = tuple(Nuisance(effect.name, effect, value) for effect, value in pulls if value > 0)
    size = 1 + len(nuisances)
    mu = Polynomial.variable(0, size)
    counts = {"signal": mu * s, "background": Polynomial.constant(b, size)}
    expected = mu * s + b
    for i, nuisance in enumerate(nuisances, 1):
        change = (
            Polynomial.variable(i, size) * nuisance.uncertainty * counts[nuisance.effect.acts_on]
        )
        counts[nuisance.effect.acts_on] = counts[nuisance.effect.acts_on] + change
        expected = expected + change
    zeros = np.zeros(len(s))
    return Model(
        (Parameter("mu", "", r"$\mu$", lower, default=1.0),),
        nuisances,
        expected,
        len(s),
        np.array([1.0] + [0.0] * len(nuisances)),
        zeros,
        zeros,
        (Section("counts", slice(0, len(s)), None, numbered(len(s))),),
        components=tuple(Component(name, "counts", on) for name, on in counts.items()),
    )


def reference_problem() -> Model:
    """20 bins, s_i ∝ exp(−i/4) with Σ s_i = 25 215, b_i = 400, pulls of 10 % and 1 %."""
    shape = np.exp(-np.arange(20) / 4)
    return counting(25_215 * shape / shape.sum(), np.full(20, 400.0), 0.10, 0.01)
