"""What follows in an experiment's data when a file, a preset or a setting changes part of it.

The source itself says it (`Source.changed`); the backgrounds that come with the beam follow it, as
their rates a day of beam are those of the source that they were written for.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import ValidationError

from ...generator.arrays import Json
from ...generator.beam import Source
from ..errors import ExperimentError

Key = tuple[str, ...]
"""A dotted key in its parts."""


def consistent(before: Json, after: Json, given: AbstractSet[Key], origin: str) -> Json:
    """`after` with what follows from the change of its source, or of its axes.

    Parameters
    ----------
    before, after
        Data of an experiment without and with the values of `given`; neither is changed.
    given
        Keys written anew; ``("source",)`` if it is another source, ``("background",)`` if all of
        them are others.
    origin
        What the error names.

    Raises
    ------
    ExperimentError
        If what follows is not clear, naming the key that must be given as well.
    """
    after = _one_binning(after, given)
    old = _valid(before.get("source"))
    if old is None:
        return after
    keys = {key[1] for key in given if key[0] == "source" and len(key) > 1}
    source = after.get("source")
    try:
        if keys and ("source",) not in given and isinstance(source, dict):
            after = after | {"source": old.changed({key: source[key] for key in keys})}
        new = _valid(after.get("source"))
        backgrounds = after.get("background")
        if new is None or ("background",) in given or not isinstance(backgrounds, (list, tuple)):
            return after
        rates = {key[1] for key in given if key[0] == "background" and key[2:] == ("rate",)}
        return after | {"background": [_at(new, old, item, rates) for item in backgrounds]}
    except ValueError as error:
        raise ExperimentError(f"{origin}: {error}") from None


def _one_binning(after: Json, given: AbstractSet[Key]) -> Json:
    """`after` without the short form of energy edges, if axes are given that replace it."""
    analysis = after.get("analysis")
    if not isinstance(analysis, dict):
        return after
    axes = analysis.get("axes") or ()
    new = {key[1] for key in given if key[0] == "analysis" and len(key) > 1} & {"axes", "edges"}
    energy = [axis for axis in axes if isinstance(axis, dict) and axis.get("name") == "energy"]
    settled = not energy or energy[0].get("edges") is not None
    if new == {"axes"} and axes and settled and isinstance(axes, (list, tuple)):
        return after | {"analysis": analysis | {"edges": None}}
    return after


def _valid(source: Any) -> Source | None:
    """The source of plain data, if it is a valid one."""
    try:
        return Source.model_validate(source)
    except ValidationError:
        return None


def _at(new: Source, old: Source, background: Any, given: AbstractSet[str]) -> Any:
    """A background of the source `old` at the source `new`; one that is `given` as it is."""
    if not isinstance(background, dict) or background.get("timing", "steady") == "steady":
        return background
    name, rate = background.get("name"), background.get("rate")
    if name in given or not isinstance(rate, (int, float)):
        return background
    if new.proton_energy != old.proton_energy:
        raise ValueError(
            f"source.proton_energy = {new.proton_energy} leaves background.{name}.rate open, which "
            f"comes with the beam at {old.proton_energy} GeV: give it as well"
        )
    ratio = (new.protons / old.protons) * (old.hours_per_year / new.hours_per_year)
    return background if abs(ratio - 1) < 1e-12 else background | {"rate": rate * ratio}
