"""Images of a skipper CCD: charge into hardware-binned pixels, noise, and clusters back again."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....generator.arrays import Array

if TYPE_CHECKING:
    from ...daq import Ccd

NEIGHBOUR = 0.5
"""Part of the threshold above which a pixel beside a cluster's highest one belongs to it."""


def images(
    frame: NDArray[np.int64], charge: Array, x: Array, y: Array, frames: int, ccd: Ccd
) -> Array:
    """Electrons in each pixel, (frames, rows, columns); x along columns, mm from the centre.

    The charge of an event is spread as a Gaussian over the pixel it falls in and its neighbours;
    what would fall beside the CCD stays in the last pixel.
    """
    electrons = np.zeros((frames, ccd.rows, ccd.columns))
    row, up = _shares(y, ccd.rows, ccd)
    column, across = _shares(x, ccd.columns, ccd)
    for i, j in product(range(3), repeat=2):
        r = np.clip(row + i - 1, 0, ccd.rows - 1)
        c = np.clip(column + j - 1, 0, ccd.columns - 1)
        np.add.at(electrons, (frame, r, c), charge * up[i] * across[j])
    return electrons


def _shares(at: Array, pixels: int, ccd: Ccd) -> tuple[NDArray[np.int64], list[Array]]:
    """Pixel of a coordinate, and parts of the charge before it, in it and after it."""
    from scipy.special import ndtr

    edge = ccd.binning * ccd.pixel
    place = np.clip(at / edge + pixels / 2, 0.0, pixels * (1 - 1e-12))
    pixel = np.floor(place).astype(np.int64)
    sigma = max(ccd.diffusion / edge, 1e-9)
    before, after = ndtr((pixel - place) / sigma), ndtr((place - pixel - 1) / sigma)
    return pixel, [before, 1 - before - after, after]


def clusters(charge: Array, ccd: Ccd) -> dict[str, NDArray[Any]]:
    """Clusters in images (frames, rows, columns) of electrons.

    Pixels that touch, also at a corner, and are above half of the threshold are a cluster if one of
    them is above the threshold.

    Returns
    -------
    dict
        frame; charge, the sum of the pixels; x and y of their centre, mm. In order of frame.
    """
    from scipy import ndimage

    least = ccd.threshold * ccd.noise / np.sqrt(ccd.skips)
    touching = np.zeros((3, 3, 3), int)
    touching[1] = 1
    labels, number = ndimage.label(charge > NEIGHBOUR * least, touching)
    indices = np.arange(1, number + 1)
    if number == 0:
        empty = np.empty(0)
        return {"frame": np.empty(0, np.int64), "charge": empty, "x": empty, "y": empty}
    indices = indices[ndimage.maximum(charge, labels, indices) > least]
    centre = np.array(ndimage.center_of_mass(charge, labels, indices)).reshape(-1, 3)
    edge = ccd.binning * ccd.pixel
    return {
        "frame": np.rint(centre[:, 0]).astype(np.int64),
        "charge": np.asarray(ndimage.sum_labels(charge, labels, indices)),
        "x": (centre[:, 2] + 0.5 - charge.shape[2] / 2) * edge,
        "y": (centre[:, 1] + 0.5 - charge.shape[1] / 2) * edge,
    }
