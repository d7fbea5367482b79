"""Where the bins of an experiment lie among those of a model."""

from __future__ import annotations

from dataclasses import dataclass

from ...generator.arrays import Array


@dataclass(frozen=True, eq=False)
class Section:
    """One experiment's part of a model."""

    name: str
    """Of the experiment; NAME#2 and so on where it is combined with others of its name."""
    on: slice
    """Its bins in beam-on."""
    off: slice | None
    """The bin of its beam-off counts, all together; None where the model has no such bin."""
    edges: Array
    """Of the bins in beam-on, shape (bins + 1,)."""
