"""Outlines of regions of values on a grid: pieces, holes, areas, the edge of the grid."""

import numpy as np
import pytest
from nuspill.toys.scan.outline import contours, outlines


def test_outlines():
    """Fails if pieces, holes or the part beyond the grid of a known region are lost."""
    x, y = np.linspace(-3, 3, 301), np.linspace(-2, 2, 201)
    r2 = x[None] ** 2 + y[:, None] ** 2
    (ring,) = outlines(x, y, np.abs(r2 - 1.5), 0.5)
    assert len(ring) == 2
    disc = outlines(x, y, r2, 1.0)
    assert [len(piece) for piece in disc] == [1]
    pieces = outlines(x, y, (np.abs(x[None]) - 2) ** 2 + y[:, None] ** 2, 0.25)
    assert len(pieces) == 2
    (everything,) = outlines(x, y, np.zeros_like(r2), 1.0)
    assert np.ptp(everything[0][:, 0]) == pytest.approx(6)
    assert outlines(x, y, r2 + 5, 1.0) == []


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_area_of_ellipses_with_holes(scale):
    """Fails if the area of a ring of ellipses is off by more than 0.2 %, or its hole is lost."""
    x, y = np.linspace(-2, 2, 201) * scale, np.linspace(-1, 1, 161)
    r = np.hypot(*np.meshgrid(x / scale / 1.5, y / 0.75))
    lines, area = contours((x, y), np.maximum(r - 1, 0.4 - r).ravel())
    assert area == pytest.approx(np.pi * 1.5 * 0.75 * (1 - 0.16) * scale, rel=2e-3)
    assert len(lines) == 2
    assert all(np.array_equal(line[0], line[-1]) for line in lines)


def test_region_cut_by_the_plane():
    """Fails if a region beyond the plane is not closed at its limits."""
    x = y = np.linspace(0, 1, 101)
    r = np.hypot(*np.meshgrid(x, y))
    _, area = contours((x, y), (r - 0.8).ravel())
    assert area == pytest.approx(np.pi * 0.64 / 4, rel=2e-3)
