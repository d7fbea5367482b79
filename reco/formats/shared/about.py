"""What nuspill writes of a sample into a file of another format, so that it comes back complete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ....generator.arrays import Json
from ...errors import ExperimentError

LONGEST_TEXT = 10_000_000
"""Characters of JSON that are read from a file."""
MOST_PULSES = 2**62


@dataclass(frozen=True)
class About:
    """A sample: of which experiment, and how long."""

    experiment: Json
    """The experiment as `Experiment` dumps it."""
    seed: int | None
    first_pulse: int
    pulses: int
    """Number of pulses, from the first on."""
    protons_on_target: float
    selected_only: bool

    def text(self) -> str:
        """JSON to be kept in the file."""
        return json.dumps({"program": "nuspill", "version": version("nuspill")} | vars(self))


def parsed(text: str, path: Path) -> About | None:
    """What nuspill wrote; None if the text is something else.

    Raises
    ------
    ExperimentError
        If it begins as nuspill's but is damaged.
    """
    if len(text) > LONGEST_TEXT or '"nuspill"' not in text:
        return None
    try:
        content = json.loads(text)
        if not isinstance(content["experiment"], dict):
            raise TypeError("experiment")
        return About(
            experiment=content["experiment"],
            seed=content["seed"],
            first_pulse=_pulses(content["first_pulse"]),
            pulses=_pulses(content["pulses"]),
            protons_on_target=float(content["protons_on_target"]),
            selected_only=bool(content.get("selected_only", True)),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExperimentError(f"{path}: what nuspill wrote of it is damaged: {error}") from None


def _pulses(number: object) -> int:
    """A number of pulses that a clock can count."""
    if not isinstance(number, int) or not 0 <= number < MOST_PULSES:
        raise ValueError(f"{str(number)[:40]} pulses")
    return number
