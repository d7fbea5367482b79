"""Detector response, experiments, runs and files.

`load` an experiment, `plan` a run or `generate` and `iterate` its events, `write` an ntuple. They
are imported on first use, so that a command that needs no compiled code starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import ExperimentError, OutputError
    from .experiment import Experiment, load, shipped_experiments
    from .ntuple import read, write
    from .parts import write_parts
    from .run import Run, generate, iterate, plan

_HOME = {
    "Experiment": "experiment",
    "ExperimentError": "errors",
    "OutputError": "errors",
    "load": "experiment",
    "shipped_experiments": "experiment",
    "Run": "run",
    "generate": "run",
    "iterate": "run",
    "plan": "run",
    "read": "ntuple",
    "write": "ntuple",
    "write_parts": "parts",
}
__all__ = [
    "Experiment",
    "ExperimentError",
    "OutputError",
    "Run",
    "generate",
    "iterate",
    "load",
    "plan",
    "read",
    "shipped_experiments",
    "write",
    "write_parts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
