"""Bins of counts along any axes, and counts of events in them.

A `Binning` is the only thing that knows how many axes there are: for all else counts have the shape
(bins,), in C order of the axes, energy first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.chain.codes import OFF
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.window import Windows

MOST_BINS = 1000
"""Most bins of an axis."""
MOST_TOGETHER = 10_000
"""Most bins of all axes."""
EVERYTHING = np.array([-np.inf, np.inf])
"""Edges of one bin of all energies."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of bins that hold their lower edge alone."""

    name: str
    label: str
    unit: str
    edges: Array
    """Increasing, shape (bins + 1,), in `unit`."""
    column: str = ""
    """Column of an ntuple that is binned."""
    limits: Array | None = None
    """Edges on the scale of `column`, if that is another one, shape (bins + 1,)."""

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    @property
    def title(self) -> str:
        """Label with the unit, as a plot has it."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    @property
    def counted(self) -> Array:
        """Edges on the scale of `column`, shape (bins + 1,)."""
        return self.edges if self.limits is None else self.limits

    def number(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Number of the bin of each value of `column`; −1 below all, and `bins` above."""
        return np.searchsorted(self.counted, np.asarray(values, float), side="right") - 1

    def interval(self, number: int) -> str:
        """Both edges of a bin, as text."""
        return f"[{self.edges[number]:.4g}, {self.edges[number + 1]:.4g}]"


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins of one experiment's counts along its axes."""

    axes: tuple[Axis, ...]
    windows: Windows | None = None
    """Windows of the experiment; with an axis of time, beam-off has the same bins."""

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Bins of each axis."""
        return tuple(axis.bins for axis in self.axes)

    @cached_property
    def bins(self) -> int:
        """Number of all bins."""
        return int(np.prod(self.shape))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    def axis(self, name: str) -> Axis | None:
        """Axis of a name, if there is one."""
        return next((axis for axis in self.axes if axis.name == name), None)

    @property
    def energy(self) -> Array:
        """Edges in energy, shape (energies + 1,); infinite ones where energy is no axis."""
        axis = self.axis("energy")
        return EVERYTHING if axis is None else axis.edges

    @property
    def time(self) -> Array | None:
        """Edges in time of beam-on, ns, shape (times + 1,); None where time is no axis."""
        axis = self.axis("time")
        return None if axis is None else axis.edges

    @property
    def columns(self) -> list[str]:
        """Columns of an ntuple that `count` needs; `seen` needs `window` and `selected` too."""
        return [axis.column for axis in self.axes]

    def seen(
        self,
        events: Mapping[str, NDArray[Any]],
        window: int,
        among: NDArray[np.bool_] | None = None,
    ) -> Array:
        """Counts of selected events of a window, ON or OFF, shape (bins,).

        Times of beam-off are mapped linearly to those of beam-on.

        Parameters
        ----------
        events
            Columns of an ntuple, shape (events,) each.
        among
            Which of them, shape (events,); by default all.
        """
        chosen = events["selected"] & (events["window"] == window)
        if among is not None:
            chosen &= among
        columns = {name: events[name][chosen] for name in self.columns}
        w = self.windows
        if window == OFF and w is not None and "time" in columns:
            columns["time"] = w.as_in_on(np.asarray(columns["time"], float))
        return self.count(columns)

    def count(self, columns: Mapping[str, NDArray[Any]], weights: Array | None = None) -> Array:
        """Counts of events in the bins, shape (bins,); those outside of an axis are in none.

        Parameters
        ----------
        columns
            `self.columns` of the events, shape (events,) each.
        weights
            Of the events, shape (events,); by default one.
        """
        number = self._numbers([axis.number(columns[axis.column]) for axis in self.axes])
        inside = number >= 0
        chosen = None if weights is None else weights[inside]
        return np.bincount(number[inside], chosen, minlength=self.bins).astype(float)

    def holding(self, places: Array) -> NDArray[np.int64]:
        """Number of the bin that holds each place, −1 if none does, shape (places,).

        Parameters
        ----------
        places
            In the units of the axes, shape (places, axes).
        """
        return self._numbers(
            [
                np.searchsorted(axis.edges, column, side="right") - 1
                for axis, column in zip(self.axes, places.T, strict=True)
            ]
        )

    def _numbers(self, along: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Numbers of bins by those along each axis; −1 where one is outside."""
        inside = np.logical_and.reduce(
            [(n >= 0) & (n < axis.bins) for n, axis in zip(along, self.axes, strict=True)]
        )
        return np.where(inside, np.ravel_multi_index(along, self.shape, mode="clip"), -1)

    def joined(self, energy: Array, time: Array) -> Array:
        """Counts of what has energies and times independent of each other, shape (bins,).

        Parameters
        ----------
        energy
            Counts, shape (energies,).
        time
            Parts of them in each bin of time, shape (times,); (1,) where time is no axis.
        """
        return np.outer(energy, time).ravel()

    def project(self, counts: Array, names: Sequence[str]) -> Array:
        """Counts summed over all axes but some, in the order of these.

        Parameters
        ----------
        counts
            Shape (..., bins).
        names
            Axes that are left.

        Returns
        -------
        array, shape (..., bins of the first name, bins of the second, ...)

        Raises
        ------
        ExperimentError
            If there is no such axis, or it is given twice.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown or len(set(names)) < len(names):
            raise ExperimentError(
                f"axes {', '.join(names)}: each must be one of {', '.join(self.names)}, once"
            )
        values = np.asarray(counts)
        before = values.ndim - 1
        full = values.reshape(*values.shape[:-1], *self.shape)
        rest = tuple(before + i for i, name in enumerate(self.names) if name not in names)
        left = [name for name in self.names if name in names]
        order = [before + left.index(name) for name in names]
        return full.sum(axis=rest).transpose(*range(before), *order)

    def describe(self, number: int) -> str:
        """A bin in words: its number and its edges."""
        places = np.unravel_index(number, self.shape)
        parts = [axis.interval(int(i)) for axis, i in zip(self.axes, places, strict=True)]
        if len(parts) > 1:
            parts = [
                f"{axis.name} {part} {axis.unit}".rstrip()
                for axis, part in zip(self.axes, parts, strict=True)
            ]
        return f"bin {number} {', '.join(parts)}"


def numbered(bins: int) -> Binning:
    """Bins that have numbers alone."""
    return Binning((Axis("number", "bin", "", np.arange(bins + 1.0)),))


def binning(experiment: Experiment) -> Binning:
    """Bins of an experiment as its `[analysis]` says.

    Raises
    ------
    ExperimentError
        As `energy_edges`, or if there are too many bins.
    """
    analysis, axes = experiment.analysis, []
    if analysis.bins_energy:
        axes.append(_energy(experiment))
    if analysis.time_edges is not None:
        edges = np.asarray(analysis.time_edges, float)
        axes.append(Axis("time", "time after the start of the pulse", "ns", edges, "time"))
    for other in analysis.others:
        edges = np.asarray(other.edges, float)
        axes.append(Axis(other.name, other.name, other.unit, edges, other.name))
    result = Binning(tuple(axes), experiment.beam_windows)
    if max(result.shape) > MOST_BINS or result.bins > MOST_TOGETHER:
        shape = " x ".join(f"{axis.bins} of {axis.name}" for axis in axes)
        raise ExperimentError(
            f"{experiment.name}: analysis.axes has {shape} bins; at most {MOST_BINS} of each axis "
            f"and {MOST_TOGETHER} in all are allowed"
        )
    return result


def _energy(experiment: Experiment) -> Axis:
    """Axis of the energy; events are always binned in e_reco, which is what was measured.

    The recoil energies of a file, e_reco_nr, are those that the response of its own experiment
    gives, not the model's.
    """
    edges, detector = energy_edges(experiment), experiment.detector
    if experiment.analysis.scale == "reco":
        return Axis("energy", "reconstructed energy", detector.unit, edges, "e_reco")
    limits = detector.reconstructed(edges)
    return Axis("energy", "reconstructed energy", "keV_nr", edges, "e_reco", limits)


def energy_edges(experiment: Experiment) -> Array:
    """Edges in energy: as given, or from the threshold, each bin as wide as 2 σ at its centre.

    Detectors that only count have one bin. The unit is keV_nr, or that of e_reco if the
    experiment's analysis says so.

    Raises
    ------
    ExperimentError
        If there is no resolution to tell the width of a bin.
    """
    analysis, detector = experiment.analysis, experiment.detector
    given = analysis.energy_edges
    if given is not None:
        if len(given) > MOST_BINS + 1:
            raise ExperimentError(
                f"{experiment.name}: analysis.edges has {len(given) - 1} bins; "
                f"at most {MOST_BINS} are allowed"
            )
        return np.asarray(given, float)
    low, high = detector.threshold, experiment.e_max
    if not detector.resolution.has_width:
        if detector.quenching.sees_recoils:
            return np.array([low, high])
        raise ExperimentError(
            f"{experiment.name}: analysis.edges must be given, since detector.resolution is 'none'"
        )
    edges = [low]
    while edges[-1] < high:
        if len(edges) > MOST_BINS:
            raise ExperimentError(
                f"{experiment.name}: analysis.bin_width = {analysis.bin_width:g} gives more than "
                f"{MOST_BINS} bins; give a larger one, or analysis.edges"
            )
        width = 0.0
        for _ in range(60):  # the width at the centre depends on the width
            new = analysis.bin_width * float(detector.recoil_sigma(edges[-1] + width / 2))
            width = (width + new) / 2
        edges.append(min(edges[-1] + width, high))
    if len(edges) > 2 and edges[-1] - edges[-2] < (edges[-2] - edges[-3]) / 2:
        edges.pop(-2)  # no sliver at the end
    return np.array(edges)
