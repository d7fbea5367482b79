"""Formats by name: which there are, and whether what they need is installed."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from ...errors import ExperimentError


class Format(Protocol):
    """What a module of this package says of itself; see the package."""

    NAME: str
    DESCRIPTION: str
    EXTRA: str
    REQUIRES: tuple[str, ...]
    NEEDS: tuple[str, ...]
    KEEPS: str
    LOSES: str
    PLACES: str
    DEFAULT: str | None

    def recognise(self, path: Path) -> bool:
        """Whether a file looks like one of this format."""


@cache
def available() -> dict[str, Format]:
    """Every format by its name."""
    package = importlib.import_module("..", __package__)
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg]
    modules = [importlib.import_module(f"..{name}", __package__) for name in sorted(names)]
    return {module.NAME: cast(Format, module) for module in modules}


def missing(form: Format) -> list[str]:
    """Packages that a format needs and that are not installed."""
    return [name for name in form.REQUIRES if importlib.util.find_spec(name) is None]


def find(name: str, ability: str) -> Any:
    """The format of a name that can ``"read"`` or ``"write"`` and has all that it needs.

    Raises
    ------
    ExperimentError
        If there is none, naming those there are, or the extra that brings what is missing.
    """
    able = {n: form for n, form in available().items() if hasattr(form, ability)}
    verb = {"read": "imported", "write": "exported"}[ability]
    if name not in able:
        close = difflib.get_close_matches(name, able, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ExperimentError(
            f"no format '{name[:80]}' that can be {verb}; {hint}there are: {', '.join(able)}"
        )
    form = able[name]
    if lacking := missing(form):
        raise ExperimentError(
            f"format '{name}' needs {', '.join(lacking)}: pip install 'nuspill[{form.EXTRA}]'"
        )
    return form


def recognised(path: Path) -> str:
    """Name of the format that a file or folder looks like.

    Raises
    ------
    ExperimentError
        If there is no such file, or it looks like none or several.
    """
    if not path.exists():
        raise ExperimentError(f"{path}: there is no such file")
    names = looks(path)
    if len(names) != 1:
        readable = [n for n, form in available().items() if hasattr(form, "read")]
        seems = f"looks like {' and '.join(names)}" if names else "looks like no known format"
        untried = [name for name in readable if missing(available()[name])]
        more = f" ({', '.join(untried)} not tried: packages are missing)" if untried else ""
        raise ExperimentError(
            f"{path}: {seems}{more}; say which with --from: {', '.join(readable)}"
        )
    return names[0]


def looks(path: Path) -> list[str]:
    """Names of the formats that a file or folder looks like."""
    try:
        return list(_recognised(path)) if path.exists() else []
    except OSError:  # a name that no file can have
        return []


def _recognised(path: Path) -> Iterator[str]:
    for name, form in available().items():
        try:
            if hasattr(form, "read") and not missing(form) and form.recognise(path):
                yield name
        except Exception:  # errors of many kinds: then it is not one
            continue


@dataclass(frozen=True)
class Description:
    """What a format can do, needs, keeps and loses."""

    name: str
    description: str
    imported: bool
    exported: bool
    extra: str
    missing: list[str]
    """Packages that are not installed."""
    keeps: str
    loses: str

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        names = {"imported": "import", "exported": "export"}
        return {names.get(key, key): value for key, value in vars(self).items()}


def described() -> list[Description]:
    """What every format can do, needs, keeps and loses."""
    return [
        Description(
            name=name,
            description=form.DESCRIPTION,
            imported=hasattr(form, "read"),
            exported=hasattr(form, "write"),
            extra=form.EXTRA,
            missing=missing(form),
            keeps=form.KEEPS,
            loses=form.LOSES,
        )
        for name, form in available().items()
    ]
