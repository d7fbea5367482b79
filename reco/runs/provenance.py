"""The provenance of an ntuple: the JSON beside its events, which says all that is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Literal, TypedDict

from ...generator.arrays import Json
from ..window import Windows

LIBRARIES = ("nuspill", "numpy", "numba", "uproot", "awkward")


class Expected(TypedDict):
    """Expected events of a component; lists are in no window, beam-on and beam-off."""

    component: int
    name: str
    total: float
    in_window: list[float]
    selected: list[float]


class Generated(TypedDict):
    """Events that were made of a component; lists as in `Expected`."""

    component: int
    total: int
    in_window: list[int]
    selected: list[int]


class LiveTime(TypedDict):
    """Seconds of the beam, and for which each window was open."""

    beam: float
    on: float
    off: float


class Column(TypedDict):
    """A column of the ntuple."""

    type: str
    unit: str
    meaning: str


class Imported(TypedDict):
    """Where events come from that nuspill did not make."""

    file: str
    format: str
    pulses_from: Literal["given", "the file", "the last event"]
    dropped: dict[str, int]
    unknown: str


class Provenance(TypedDict, total=False):
    """What an ntuple says of itself. Files that are imported lack what only a run knows."""

    program: str
    versions: dict[str, str]
    imported: Imported
    seed: int | None
    streams: int
    """Version of what the seed stands for, see `generator.sampling.names`; 1 if missing."""
    experiment: Json
    """Settings of the experiment, as `Experiment` dumps them."""
    years_of_operation: float
    protons_on_target: float
    first_pulse: int
    """Number of the first pulse; 0 where the key is missing."""
    pulses: int
    """Number of the pulse after the last one."""
    covered_pulses: list[int]
    """Pulses whose events are in the file: the first, and the one after the last."""
    missing: list[str]
    """What of the runs was not there, of an ntuple that is read; see `reading`."""
    pulse_period_ns: float
    slice_pulses: int
    fixed_signal_events: int | None
    live_time_s: LiveTime
    truth_threshold_kev: float
    flux_averaged_cross_section_cm2: dict[str, float]
    components: dict[str, str]
    """Names of the components by number."""
    expected: list[Expected]
    run_events: int
    first_event: int
    events: int
    selected_only: bool
    weights: dict[str, Json]
    """Other interactions, as `Interaction` dumps them, by name."""
    columns: dict[str, Column]
    generated: list[Generated]


def versions() -> dict[str, str]:
    """Versions of the packages that decide what is in a file."""
    return {name: version(name) for name in LIBRARIES}


def live_time(pulses: int, windows: Windows) -> LiveTime:
    """Live time of a number of beam pulses."""
    return {
        "beam": pulses * windows.period * 1e-9,
        "on": pulses * windows.on_length * 1e-9,
        "off": pulses * windows.off_length * 1e-9,
    }


def described(columns: Mapping[str, tuple[str, str, str]]) -> dict[str, Column]:
    """Columns from their type, unit and meaning."""
    return {
        name: {"type": kind, "unit": unit, "meaning": meaning}
        for name, (kind, unit, meaning) in columns.items()
    }
