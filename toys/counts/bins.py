"""Edges of the bins, and counts of events in them."""

from __future__ import annotations

import numpy as np

from ...generator.arrays import Array
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment

MOST_BINS = 1000


def bin_edges(experiment: Experiment) -> Array:
    """Edges of the bins: as given, or from the threshold, each as wide as 2 σ at its centre.

    Detectors that only count have one bin. The unit is keV_nr, or that of e_reco if the
    experiment's analysis says so.

    Raises
    ------
    ExperimentError
        If there is no resolution to tell the width of a bin.
    """
    analysis, detector = experiment.analysis, experiment.detector
    if analysis.edges is not None:
        if len(analysis.edges) > MOST_BINS + 1:
            raise ExperimentError(
                f"{experiment.name}: analysis.edges has {len(analysis.edges) - 1} bins; "
                f"at most {MOST_BINS} are allowed"
            )
        return np.asarray(analysis.edges, float)
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


def measured_edges(experiment: Experiment, edges: Array) -> Array:
    """Edges of the bins on the scale of e_reco, which is what a detector measures.

    Events are always binned in e_reco: the recoil energies of a file, e_reco_nr, are those that
    the response of its own experiment gives, not the model's.
    """
    if experiment.analysis.scale == "reco":
        return edges
    return experiment.detector.reconstructed(edges)
