"""Errors that a user can mend. Each says in one line what was given, where, and what is allowed."""

from __future__ import annotations

import warnings
from operator import index
from typing import Any


class ExperimentError(ValueError):
    """A setting that is wrong: names file, key, value and what is allowed."""


class OutputError(OSError):
    """A file that cannot be written, with the reason."""


class Notice(UserWarning):
    """What a user should know before the work: something given that is not what it seems."""


def notice(line: str) -> None:
    """Tell a line: a warning in Python, ``nuspill: note: ...`` on the command line."""
    warnings.warn(line, Notice, stacklevel=3)


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """A whole number, NumPy's too, as Python's own, which JSON can hold.

    Raises
    ------
    ExperimentError
        If it is none (booleans are not), or out of range.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None:
        raise ExperimentError(f"{name} must be a whole number, not {value!r}")
    if not least <= number <= most:
        raise ExperimentError(f"{name} must be from {_shown(least)} to {_shown(most)}, not {value}")
    return number


def _shown(limit: int) -> str:
    """A limit of a range, as a power where it is one of a machine."""
    return f"2^{(limit + 1).bit_length() - 1} - 1" if limit >= 2**31 - 1 else str(limit)
