"""Components of an experiment from files: the sections `[[template]]` and `[release]`.

A file is read when the experiment is loaded, and its histogram stands in place of its name from
then on. Files of a release that the project does not hold stay names until their folder is given.
"""

from __future__ import annotations

from typing import Self

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from ...generator.settings import Settings, setting
from ..releases import ReleaseName
from ..response.background import SIGNAL
from .histogram import Histogram

File = str | Histogram
"""Name of a file, and what it holds once it has been read."""


class Release(Settings):
    """Whose files the templates are, and where they lie."""

    reader: ReleaseName | None = setting(None, "layout of the files, if it is a release's own")
    folder: str | None = setting(
        None, "where they lie, by default beside the file; of a release also by --data FOLDER"
    )


class Variant(Settings):
    """Shapes of a template one standard deviation up and down."""

    name: str = setting(..., "its pull; the same name elsewhere is the same pull", min_length=1)
    up: File = setting(..., "file at +1 standard deviation")
    down: File | None = setting(
        None, "file at -1; by default as much the other way, and not below 0"
    )


class Template(Settings):
    """The signal or a background as counts in the bins, of the whole run, from a file."""

    name: str = setting(..., "'signal', or a name of a background", min_length=1)
    file: File = setting(
        ..., "text, CSV, NumPy or FILE.root:NAME, of the axes of `analysis.axes` in their order"
    )
    counts: PositiveFloat | None = setting(
        None, "their sum, to which file and variants are scaled; by default as the file has it"
    )
    uncertainty: NonNegativeFloat = setting(
        0.0, "of a background's rate, relative, one standard deviation", le=10
    )
    pull: str | None = setting(
        None, "name of the pull of its rate; by default background.EXPERIMENT.NAME", min_length=1
    )
    variant: tuple[Variant, ...] = setting((), "±1σ pairs of shapes", strict=False)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == SIGNAL and (self.uncertainty > 0 or self.pull is not None):
            raise ValueError(
                "uncertainty and pull of the signal are analysis.signal_uncertainty and signal_pull"
            )
        names = [variant.name for variant in self.variant]
        if len(set(names)) < len(names):
            raise ValueError(f"names of variants must differ, not {', '.join(names)}")
        return self

    @property
    def unread(self) -> str | None:
        """Name of a file that has not been read; None if all have been."""
        files = [self.file, *(f for v in self.variant for f in (v.up, v.down))]
        return next((f for f in files if isinstance(f, str)), None)
