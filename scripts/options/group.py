"""A group of options becomes one argument: a frozen dataclass whose fields are the options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import field, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def option(*flags: str, default: Any = None, **attributes: Any) -> Any:
    """A field of a group, given by an option of the command line.

    Parameters
    ----------
    flags
        Names on the command line, e.g. ``--seed``.
    default
        Default of the option, and of the field where the option is left out.
    attributes
        Further arguments of ``click.option``.
    """
    empty = () if default is None and attributes.get("multiple") else default
    return field(default=empty, metadata={"flags": flags, "option": attributes})


OUTPUTS = {"-o", "--output", "--json", "--plot"}
"""Options that name what is written."""


def refuse_same_files(context: click.Context) -> None:
    """Refuse an output of a command that is another output of it, or one of its inputs."""
    named: dict[Path, str] = {}
    for parameter in sorted(context.command.params, key=lambda p: bool(OUTPUTS & {*p.opts})):
        given = context.params.get(parameter.name or "")
        is_output = bool(OUTPUTS & {*parameter.opts})
        for value in given if isinstance(given, (tuple, list)) else (given,):
            if not isinstance(value, (str, Path)) or str(value) == "-":
                continue
            path = Path(re.sub(r"(\.toml)#\d+$", r"\1", str(value)))
            with suppress(OSError):  # names that no file can have
                place = path.resolve()
                if is_output and place in named:
                    raise click.BadParameter(
                        f"'{value}' is {named[place]} too", param_hint=parameter.opts[0]
                    )
                if is_output or path.exists():
                    named[place] = parameter.opts[0] if is_output else "an input"


def group_options(group: type, without: Iterable[str] = ()) -> Callable[[F], F]:
    """Add the options of a group to a command, and hand over one object of them.

    Parameters
    ----------
    group
        A dataclass whose fields are made by :func:`option`. The command gets it as the argument of
        the class's name, e.g. ``toy_ensemble`` for ``ToyEnsemble``.
    without
        Fields that are left out: they keep their defaults.
    """
    chosen = [f for f in fields(group) if f.name not in without]
    argument = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", group.__name__).lower()

    def add(command: F) -> F:
        @wraps(command)
        def call(*args: Any, **values: Any) -> Any:
            refuse_same_files(click.get_current_context())
            group_values = {f.name: values.pop(f.name) for f in chosen}
            return command(*args, **values, **{argument: group(**group_values)})

        for f in reversed(chosen):
            attributes = dict(f.metadata["option"])
            if f.default not in (None, ()):
                attributes["default"] = f.default
            click.option(*f.metadata["flags"], f.name, **attributes)(call)
        return call  # type: ignore[return-value]

    return add
