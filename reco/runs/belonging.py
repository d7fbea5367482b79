"""Whether data belong to a model, and two files to one sample: the one table of keys that decides.

The rule: every key of an experiment that decides which events there are, which of them are
selected, or what is measured of them, must be the same. `FREE` is the whole list of those that
decide nothing of this, each with its reason; what is not in it is compared. The interaction is
compared between files of one sample, but not between data and model: it is the hypothesis that a
fit tests. Exposures are compared in protons on target, of what was really read. Backgrounds are
compared by name; of imported data not at all, as what is written of them there made no event.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import ExperimentError
from ..experiment import Experiment

FREE = {
    "name": "a name",
    "description": "a text",
    "source.name": "a name",
    "exposure.years": "compared in protons on target",
    "exposure.slice_pulses": "the unit of random numbers",
    "detector.geometry": "decides places alone",
    "windows.record": "what lies in no window is not selected",
    "analysis": "of the fit alone: the model's own is used",
    "template": "of the fit alone: they make no events",
    "release": "where the files of the templates lie",
    "daq": "of recorded data alone; it has been applied",
}
"""Keys, or sections, that decide nothing of the selected events, and why."""
FREE_OF_BACKGROUNDS = ("uncertainty", "pull")
"""Keys of each background that are of the fit alone."""
HYPOTHESIS = "interaction"
EXPOSURE_KEY = "exposure.years"
TOLERANCE = 1e-9
"""Relative difference of numbers that is rounding."""
SHOWN = 3
"""Most differences that a message shows."""


@dataclass(frozen=True)
class Difference:
    """A key in which data and model differ."""

    key: str
    data: object
    """Value in the data's file."""
    model: object

    def __str__(self) -> str:
        """One clause of a message."""
        return (
            f"{self.key} is {_short(self.data)} in the file and {_short(self.model)} in the model"
        )


def differences(
    data: Experiment, model: Experiment, *, imported: bool = False
) -> tuple[Difference, ...]:
    """Keys in which data differ from the model, as far as that decides counts; not the exposure.

    Parameters
    ----------
    imported
        Whether the events are not nuspill's own.
    """
    free = {*FREE, HYPOTHESIS} | ({"background"} if imported else set())
    return tuple(_differences(data, model, free))


def refuse_another_experiment(file: object, other: Experiment, first: Experiment) -> None:
    """Refuse to put a file into a sample with those of another experiment."""
    unlike = tuple(_differences(other, first, set(FREE)))
    if unlike:
        a = unlike[0]
        raise ExperimentError(
            f"{file}: is of another experiment than the files before it: {a.key} is "
            f"{_short(a.data)}, and {_short(a.model)} there"
        )


def refuse(
    file: object, model: str, unlike: Collection[Difference], accepted: Collection[str]
) -> tuple[Difference, ...]:
    """Refuse differences that are not accepted; returns those that are.

    Parameters
    ----------
    accepted
        Keys, or sections such as ``detector``, that may differ.
    """
    refused = [each for each in unlike if not any(_is_in(each.key, key) for key in accepted)]
    if refused:
        more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        raise ExperimentError(
            f"{file}: does not belong to the model of {model}: "
            + "; ".join(map(str, refused[:SHOWN]))
            + f"{more}. --accept {refused[0].key} takes it so"
        )
    return tuple(unlike)


def refuse_unknown(accepted: Collection[str]) -> None:
    """Refuse keys to accept that no experiment has."""
    sections = Experiment.model_fields
    for key in accepted:
        if key.split(".")[0] not in sections:
            raise ExperimentError(
                f"--accept {key}: is not a key of an experiment, from {', '.join(sections)}"
            )


def _differences(data: Experiment, model: Experiment, free: set[str]) -> Iterator[Difference]:
    if data.beam_windows == model.beam_windows:
        free = free | {"windows"}
    a, b = (each.model_dump(mode="json") for each in (data, model))
    for difference in _unlike(a, b, ""):
        if not any(_is_in(difference.key, key) for key in free) and not _of_fit(difference.key):
            yield difference


def _of_fit(key: str) -> bool:
    """Whether a key is one of a background that a fit alone reads."""
    return key.startswith("background.") and key.endswith(
        tuple(f".{name}" for name in FREE_OF_BACKGROUNDS)
    )


def _unlike(a: Any, b: Any, key: str) -> Iterator[Difference]:
    a, b = _by_name(a), _by_name(b)
    if isinstance(a, dict) and isinstance(b, dict):
        for name in dict.fromkeys([*a, *b]):
            inner = f"{key}.{name}" if key else name
            yield from _unlike(a.get(name), b.get(name), inner)
    elif not _same(a, b):
        yield Difference(key, a, b)


def _by_name(value: Any) -> Any:
    """A list of tables with names as a dictionary; only what is enabled counts."""
    if isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value):
        return {v["name"]: v for v in value if v.get("enabled", True)}
    return value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    numbers = (int, float)
    if isinstance(a, numbers) and isinstance(b, numbers) and bool not in (type(a), type(b)):
        return math.isclose(a, b, rel_tol=TOLERANCE)
    return bool(a == b)


def _is_in(key: str, section: str) -> bool:
    return key == section or key.startswith(section + ".")


def _short(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
