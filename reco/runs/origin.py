"""Where observed counts come from: what is kept of it with every result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...generator.arrays import Json


@dataclass(frozen=True)
class Origin:
    """Exposure of an experiment's data, and how they differ from its model."""

    experiment: str
    protons_on_target: float
    """Protons on target of the pulses that were read."""
    years_of_operation: float
    missing: tuple[str, ...]
    """What of the runs was not there; the exposure is of the rest."""
    accepted: tuple[tuple[str, object, object], ...]
    """Differences that were accepted: key, value of the data, and of the model."""

    def as_json(self) -> Json:
        """Content for JSON, of which `restored` is the opposite."""
        return {
            "experiment": self.experiment,
            "protons_on_target": self.protons_on_target,
            "years_of_operation": self.years_of_operation,
            "missing": list(self.missing),
            "accepted": [{"key": k, "data": d, "model": m} for k, d, m in self.accepted],
        }


def restored(content: Sequence[Json]) -> tuple[Origin, ...]:
    """Origins from their JSON."""
    return tuple(
        Origin(
            each["experiment"],
            each["protons_on_target"],
            each["years_of_operation"],
            tuple(each["missing"]),
            tuple((a["key"], a["data"], a["model"]) for a in each["accepted"]),
        )
        for each in content
    )
