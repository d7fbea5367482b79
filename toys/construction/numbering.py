"""Numbers of points between those of a grid of one parameter.

A point of the grid has its place as number. One between has a number too, made of the cell of the
grid and its place in 4096ths of it, so that its toys are the same whoever throws them.
"""

from __future__ import annotations

BETWEEN = 1 << 30
"""Numbers from here on are of points between those of the grid."""
PARTS = 4096
"""Parts of a cell; points lie between two of them."""
AT_BEST = (1 << 32) - 1
"""Number of the best fit to the data, as a point of toys."""
AT_TRUTH = (1 << 32) - 2
"""Number of the experiments' own couplings, as a point of toys that is on no grid."""


def number_between(cell: int, part: int) -> int:
    """Number of a point in a cell, 0 < `part` < PARTS, the cell being that after point `cell`."""
    return BETWEEN + cell * PARTS + part


def place_between(number: int) -> tuple[int, int]:
    """Cell and part of a number."""
    return divmod(number - BETWEEN, PARTS)
