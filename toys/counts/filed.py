"""Components from files in the bins of an experiment: its `[[template]]` and their variants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.releases import RELEASES
from ...reco.templates.histogram import Histogram
from ...reco.templates.template import File, Template
from ..observed.text import counts_of_table, valid
from .binning import Binning

ALIKE = 1e-6
"""Relative difference of edges that is rounding."""


@dataclass(frozen=True, eq=False)
class Filed:
    """Expected counts of a component that files give, in beam-on."""

    counts: Array
    """Shape (bins,)."""
    variants: dict[str, tuple[Array, Array]]
    """By pull: counts at −1 and at +1 standard deviation, shape (bins,) each."""


def filed(experiment: Experiment, bins: Binning, template: Template) -> Filed:
    """Counts of a template of an experiment.

    Raises
    ------
    ExperimentError
        If a file has not been read, or does not fit the bins, naming it.
    """
    if template.unread is not None:
        raise _unread(experiment, template)
    where = f"{experiment.name}: template.{template.name}"
    counts = _in_bins(template.file, bins, f"{where}.file")
    total = float(counts.sum())
    if total <= 0:
        raise ExperimentError(f"{where}.file: {_name(template.file)}: holds no counts")
    factor = 1.0 if template.counts is None else template.counts / total
    variants = {}
    for variant in template.variant:
        of_variant = f"{where}.variant.{variant.name}"
        up = _in_bins(variant.up, bins, f"{of_variant}.up")
        if variant.down is None:
            down = np.maximum(2 * counts - up, 0.0)
        else:
            down = _in_bins(variant.down, bins, f"{of_variant}.down")
        variants[variant.name] = (down * factor, up * factor)
    return Filed(counts * factor, variants)


def counts_of_histogram(histogram: Histogram, bins: Binning) -> Array:
    """Counts of a histogram in bins, shape (bins,).

    Raises
    ------
    ExperimentError
        If its shape or edges are others, or a count is negative.
    """
    array, name = histogram.array, histogram.name
    if histogram.is_text:
        on, off = counts_of_table(name, array, bins)
        if off is not None:
            raise ExperimentError(f"{name}: has two counts a line, and a template has one a bin")
        return on
    if array.shape != bins.shape:
        expected = ", ".join(f"{axis.bins} of {axis.name}" for axis in bins.axes)
        shape = " x ".join(map(str, array.shape)) or "none"
        raise ExperimentError(
            f"{name}: has {shape} bins, not the model's {' x '.join(map(str, bins.shape))} "
            f"({expected})"
        )
    for axis, edges in zip(bins.axes, histogram.edges or (), strict=False):
        if not np.allclose(edges, axis.edges, rtol=ALIKE, atol=0):
            raise ExperimentError(
                f"{name}: its {axis.bins} bins of {axis.name} are from {edges[0]:g} to "
                f"{edges[-1]:g}, not at the model's edges from {axis.edges[0]:g} to "
                f"{axis.edges[-1]:g}"
            )
    return valid(name, array).ravel()


def _name(file: File) -> str:
    return file if isinstance(file, str) else file.name


def _in_bins(file: File | None, bins: Binning, where: str) -> Array:
    assert isinstance(file, Histogram)
    try:
        return counts_of_histogram(file, bins)
    except ExperimentError as error:
        raise ExperimentError(f"{where}: {error}") from None


def _unread(experiment: Experiment, template: Template) -> ExperimentError:
    """Error of files that are not the project's and whose folder was not given."""
    release = experiment.release
    if release is None or release.reader is None:
        return ExperimentError(
            f"{experiment.name}: template.{template.name}: '{template.unread}' has not been read"
        )
    return ExperimentError(
        f"{experiment.name}: template.{template.name}: '{template.unread}' is a file of the "
        f"release {RELEASES[release.reader].ORIGIN}, which nuspill does not hold: give its folder, "
        "--set release.folder=FOLDER, or as --data FOLDER where it is fitted"
    )
