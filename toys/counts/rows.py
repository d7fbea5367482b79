"""Rows of a model: how counts in beam-on and in beam-off become bins of its χ².

Of a component S falls in beam-on and K in beam-off, in each bin; whatever it is, signal or
background, K is not forgotten:

- `pulls` compares beam-on alone, S;
- `on-off-scaled` has one row more, all of beam-off: S and Σ K;
- `on-off` leaves a background B free in each bin, of which beam-off measures τ B. B is all that
  comes in both in the ratio of their lengths: the steady-state background, and K/τ of everything
  else. Beam-on expects S − K/τ on top of it, and beam-off τ B, so that B is solved for in closed
  form as ever. What is flat in the period is no more than B.
"""

from __future__ import annotations

import numpy as np

from ...generator.arrays import Array
from ...reco.arrival import background_shares, shares
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from .binning import Binning
from .template import Templates

ROUNDING = 1e-9
"""Relative size of what is left when equal counts are taken from each other."""


def arranged(counts: Templates, on: Array, off: Array) -> Array:
    """Rows of what has counts `on` and `off` in the bins of beam-on and beam-off."""
    statistic = counts.experiment.analysis.statistic
    if statistic == "pulls":
        return on
    return on - off / counts.tau if statistic == "on-off" else np.append(on, off.sum())


def steady_rows(counts: Templates, on: Array, off: Array) -> Array:  # noqa: ARG001
    """Rows of a steady-state background; that of `on-off` is part of its B."""
    scaled = counts.experiment.analysis.statistic == "on-off-scaled"
    return np.append(on, counts.tau * on.sum()) if scaled else on


def beam_rows(counts: Templates, on: Array, off: Array) -> Array:
    """Rows of a background that comes with the beam; what is nothing but rounding is zero."""
    rows = arranged(counts, on, off)
    return np.where(np.abs(rows) <= ROUNDING * (on + off).sum(), np.maximum(rows, 0.0), rows)


def leaked_rows(counts: Templates, on: Array, off: Array) -> Array:  # noqa: ARG001
    """What of a component is part of the free background of `on-off`, which beam-off measures."""
    return off / counts.tau


def check_beam(counts: Templates) -> None:
    """Refuse backgrounds of which nothing is left in a bin of `on-off`.

    Raises
    ------
    ExperimentError
        If beam-off holds more of them than beam-on.
    """
    rows = arranged(counts, counts.beam, counts.beam_off)
    if np.any(rows < -ROUNDING * (counts.beam + counts.beam_off).sum()):
        raise _more_in_off(counts.experiment)


def check_measurable(counts: Templates) -> None:
    """Refuse a steady-state background that beam-off cannot measure.

    Raises
    ------
    ExperimentError
        If beam-off holds as much signal as beam-on for its length, or if there is no background.
    """
    experiment = counts.experiment
    statistic = experiment.analysis.statistic
    for flavour in experiment.source.flavours if statistic != "pulls" else ():
        on, off = shares(experiment, flavour, counts.binning.time)
        if on.sum() - off.sum() / counts.tau <= ROUNDING * on.sum():
            raise ExperimentError(
                f"{experiment.name}: analysis.statistic = '{statistic}': beam-off holds "
                f"{off.sum() / max(on.sum(), 1e-300):.2g} of the {flavour.name} events of beam-on, "
                f"and windows.off_ratio {counts.tau:.3g} is its length: it must be less; take "
                "other windows (windows.on_length, windows.off_start), or statistic = 'pulls'"
            )
        if statistic == "on-off" and np.any(on - off / counts.tau < -ROUNDING * on.sum()):
            raise _late(experiment, flavour.name, on - off / counts.tau, counts.binning)
    if statistic == "on-off-scaled" and not counts.steady.any():
        raise ExperimentError(
            f"{experiment.name}: beam-off expects 0 counts of steady-state background, which "
            "analysis.statistic = 'on-off-scaled' measures: give it one (background.<name>.rate), "
            "or take statistic = 'pulls'"
        )


def _late(experiment: Experiment, name: str, rows: Array, bins: Binning) -> ExperimentError:
    """Error that names the bin of time with more of a component in beam-off for its length."""
    axis = bins.axis("time")
    where = f" in the bin of time {axis.interval(int(np.argmin(rows)))} ns" if axis else ""
    return ExperimentError(
        f"{experiment.name}: analysis.statistic = 'on-off': beam-off holds more {name} events for "
        f"its length than beam-on{where}, which leaves less than none of them there: take "
        "statistic = 'on-off-scaled' or 'pulls', or other windows (windows.off_start)"
    )


def _more_in_off(experiment: Experiment) -> ExperimentError:
    """Error that names the background of which most is in beam-off for its length."""
    w = experiment.beam_windows
    shares = {
        b.name: background_shares(experiment, b, kept=True)
        for b in experiment.background
        if b.enabled and b.timing != "steady"
    }
    worst = max(shares, key=lambda name: shares[name][2] * w.on_length - shares[name][1])
    _, on, off = shares[worst]
    return ExperimentError(
        f"{experiment.name}: analysis.statistic = 'on-off': background '{worst}' has "
        f"{off:.3g} of its events in beam-off and {on:.3g} in beam-on, and beam-off, which is "
        f"{w.off_length / w.on_length:.3g} times as long, would measure more than there is in "
        "beam-on: take statistic = 'on-off-scaled', or another windows.off_start"
    )
