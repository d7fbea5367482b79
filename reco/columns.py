"""The ntuple's columns: names, types, units, and as arrays for the kernels that make them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..generator.arrays import Array

COLUMNS: dict[str, tuple[str, str, str]] = {
    "event": ("int64", "", "number in the run"),
    "pulse": ("int64", "", "beam pulse since the start of the run"),
    "time_true": ("float64", "ns", "true time since the start of that pulse"),
    "time": ("float64", "ns", "the same as the detector measures it"),
    "window": ("int8", "", "0 neither, 1 beam-on, 2 beam-off"),
    "component": ("int8", "", "1 numu, 2 nue, 3 numubar, 4 nuebar, 5 nutau, 6 nutaubar; "
                  "from 10 the backgrounds in the order of the file"),
    "nu_pdg": ("int16", "", "PDG code of the neutrino, 0 for background"),
    "target": ("int32", "", "PDG code of the nucleus, 0 for background"),
    "e_nu": ("float32", "MeV", "neutrino energy, 0 for background"),
    "e_nr": ("float32", "keV", "true nuclear recoil energy, for background equivalent"),
    "e_ee": ("float32", "keV", "quenched energy"),
    "e_reco": ("float32", "", "reconstructed energy in the detector's own unit"),
    "e_reco_nr": ("float32", "keV", "the same on the nuclear-recoil scale"),
    "selected": ("bool", "", "above threshold, in the region and a window, accepted"),
}  # fmt: skip
"""Type, unit and meaning of the ntuple's columns."""
PLACE_COLUMNS: dict[str, tuple[str, str, str]] = {
    "module": ("int16", "", "crystal, CCD or chamber"),
    "x": ("float32", "mm", "place in it, from the centre of its active volume"),
    "y": ("float32", "mm", "place in it"),
    "z": ("float32", "mm", "place in it"),
}
"""Type, unit and meaning of the columns that are made on request."""


BLOCK_EVENTS = 1_000_000
"""Events in a block of `Run.blocks`."""

Block = dict[str, NDArray[Any]]


def select(block: Block) -> Block:
    """Only the selected events of a block."""
    keep = block["selected"]
    return {name: column[keep] for name, column in block.items()}


def counted(energy: NDArray[Any], edges: Array, weights: Array | None = None) -> Array:
    """Counts in bins that hold their lower edge alone, as those of templates do, shape (bins,).

    `np.histogram` lets the last bin hold its upper edge too, which photo-electrons may have.
    """
    inside = np.asarray(energy, float) < edges[-1]
    return np.histogram(
        np.asarray(energy, float)[inside],
        edges,
        weights=np.ones(int(inside.sum())) if weights is None else weights[inside],
    )[0]
