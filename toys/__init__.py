"""Statistics of counts: templates, likelihood, fits, Asimov regions, toys and coverage.

`build` a `Model` of experiments, `scan_1d` and `scan_2d` its χ², take a `Construction` for regions
by toys, or `Chi2` for fits of your own with iminuit. They are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asimov import Axis, scan_1d, scan_2d
    from .combination import build
    from .ensemble import Ensemble
    from .fit import search
    from .likelihood import Chi2
    from .model import Data, Model
    from .neyman import Construction
    from .template import templates

_HOME = {
    "Axis": "asimov",
    "Chi2": "likelihood",
    "Construction": "neyman",
    "Data": "model",
    "Ensemble": "ensemble",
    "Model": "model",
    "build": "combination",
    "scan_1d": "asimov",
    "scan_2d": "asimov",
    "search": "fit",
    "templates": "template",
}
__all__ = [
    "Axis",
    "Chi2",
    "Construction",
    "Data",
    "Ensemble",
    "Model",
    "build",
    "scan_1d",
    "scan_2d",
    "search",
    "templates",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
