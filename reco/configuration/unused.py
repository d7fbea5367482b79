"""Settings that change nothing, as another setting leaves them without effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ..response.background import Background


def _radius(experiment: Experiment) -> str:
    choice = experiment.interaction.form_factor
    if not isinstance(choice, str):
        return "the form factor is a table"
    return "interaction.form_factor = 'unity'" if choice == "unity" else ""


def _moment(experiment: Experiment) -> str:
    moments = any(experiment.interaction.moment.model_dump().values())
    return "" if moments else "interaction.moment is 0"


def _pulse_of(experiment: Experiment) -> str:
    if experiment.source.steady:
        return "source.steady = true"
    return "" if experiment.source.spectra is None else "source.spectra have no decays"


def _tail(experiment: Experiment) -> str:
    return "" if experiment.windows.on_length is None else "windows.on_length is given"


def _dead_time(experiment: Experiment) -> str:
    return "" if experiment.detector.dead_time > 0 else "detector.dead_time is 0"


def _pull(experiment: Experiment) -> str:
    statistic = experiment.analysis.statistic
    return "" if statistic == "pulls" else f"analysis.statistic = '{statistic}'"


def _background(experiment: Experiment, background: Background, key: str) -> str:
    if not background.enabled and key != "enabled":
        return f"background.{background.name}.enabled = false"
    if key == "pull" and background.uncertainty == 0:
        return f"background.{background.name}.uncertainty = 0"
    steady = background.timing == "steady"
    if key in {"pull", "uncertainty"} and steady and experiment.analysis.statistic == "on-off":
        return "analysis.statistic = 'on-off' leaves it free in each bin"
    steady = key == "delay" and steady
    return f"background.{background.name}.timing = 'steady'" if steady else ""


COMPUTED = {"source", "target", "interaction", "exposure", "detector"}
"""Sections from which computed components follow."""
UNUSED: dict[str, Callable[[Experiment], str]] = {
    "interaction.neutron_radius": _radius,
    "interaction.proton_radius": _radius,
    "interaction.moment_form_factor": _moment,
    "source.pulse_of": _pulse_of,
    "windows.on_tail": _tail,
    "detector.dead_time_of": _dead_time,
    "analysis.background_uncertainty": _pull,
}
"""Why a key has no effect in an experiment, by key; empty where it has one."""


def without_effect(experiment: Experiment, given: Iterable[str]) -> Iterator[str]:
    """Lines for those of the keys given that change nothing of an experiment."""
    for key in given:
        reason = UNUSED[key](experiment) if key in UNUSED else ""
        parts = key.split(".")
        for background in experiment.background:
            if parts[:2] == ["background", background.name]:
                reason = _background(experiment, background, parts[-1])
        if reason:
            yield f"{key} has no effect: {reason}"
        elif experiment.template and parts[0] in COMPUTED:
            names = ", ".join(template.name for template in experiment.template)
            yield f"{key} has no effect on {names}, whose counts are from files"
