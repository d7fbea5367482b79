"""One clear line from a bad file, and every key with unit and meaning."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from ...generator.settings import Settings

CONTENTS = {"material", "file", "up", "down"}
"""Keys of what a name stands for, which is not described."""
EITHER = {
    ("target", "material"),
    ("interaction", "form_factor"),
    ("interaction", "neutron_radius"),
    ("interaction", "proton_radius"),
}
"""Keys that take a value or a table, of which the mistake lies in what was meant."""


def unknown(what: str, name: str, allowed: typing.Iterable[str]) -> str:
    """Say that there is no such name, which is close, and which there are."""
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"no {what} '{name}'; {hint}there are: {', '.join(allowed) or 'none'}"


def explain(error: ValidationError, model: type[BaseModel], data: Any, origin: str) -> str:
    """One line for the first mistake: file, key, value, what is allowed."""
    details = error.errors(include_url=False)
    deepest = max(details, key=_as_meant)
    same = details[0]["loc"][:2] == deepest["loc"][:2] and deepest["loc"][:2] in EITHER
    first = next(
        (d for d in details if d["type"] == "extra_forbidden"), deepest if same else details[0]
    )
    keys = _readable_location(first["loc"], data, first["type"] == "missing")
    where = ".".join(keys)
    value, message = first.get("input"), first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        section = [key for key in first["loc"] if isinstance(key, str)][:-1]
        allowed = sorted(_keys_of(model, section, data))
        message = "unknown key; " + unknown("key", keys[-1], allowed).split("; ", 1)[1]
    elif first["type"] == "missing":
        message = "is required"
    elif first["type"] in {"union_tag_invalid", "literal_error"}:
        message = str(first["msg"]).replace("Input tag", "model").replace("Input", "value")
    elif first["type"] == "tuple_type" and isinstance(value, dict):
        message = f"must be a list of tables: write [[{where}]], not [{where}]"
    elif first["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        message = "must be a table of settings, {...}"
    else:
        message = message.replace("Input should be", "must be")
    shown = ""
    if first["type"] not in {"missing", "extra_forbidden"} and not isinstance(
        value, (dict, BaseModel)
    ):
        shown = f" = {value!r}" if len(repr(value)) < 80 else f" = {repr(value)[:80]}..."
    more = (
        f" (and {len(details) - 1} more)"
        if len(details) > 1 and first["type"] != "extra_forbidden"
        else ""
    )
    return f"{origin}: {where}{shown}: {message}{more}" if where else f"{origin}: {message}{more}"


def _as_meant(detail: Any) -> tuple[int, bool]:
    """How likely a mistake is in the kind of value that was meant: the deepest, a table's."""
    location = detail["loc"]
    return len(location), isinstance(detail["input"], dict) and location[-1:] != ("str",)


def _readable_location(location: tuple[int | str, ...], data: Any, missing: bool) -> list[str]:
    """Location with backgrounds by name and without the tags that pydantic adds to unions.

    The last part of one that is `missing` is not in the data.
    """
    keys: list[str] = []
    place = data
    for i, part in enumerate(location):
        last = i == len(location) - 1
        if isinstance(part, int):
            item = place[part] if isinstance(place, (list, tuple)) and part < len(place) else None
            keys.append(str(item.get("name", part)) if isinstance(item, dict) else str(part))
            place = item
        elif isinstance(place, dict) and part in place:
            keys.append(part)
            place = place[part]
        elif last and missing:
            keys.append(part)
    return keys


def _keys_of(model: Any, section: list[str], data: Any) -> set[str]:
    """Keys allowed in a section, following the models chosen in the data."""
    for part in section:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        if part not in model.model_fields:
            continue
        candidates = list(_models_in(model.model_fields[part].annotation))
        data = data.get(part) if isinstance(data, dict) else None
        chosen = data.get("model") if isinstance(data, dict) else None
        named = [
            c
            for c in candidates
            if "model" in c.model_fields
            and chosen in typing.get_args(c.model_fields["model"].annotation)
        ]
        model = (named or candidates or [Settings])[0]
    return set(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _models_in(part)


def describe_keys(model: type[BaseModel]) -> list[tuple[str, str, str]]:
    """Every key that ``--set`` reaches: (key, unit, meaning)."""
    return list(_describe(model, ""))


def _describe(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        inner = list(_models_in(field.annotation))
        key = f"{prefix}{name}"
        if name in {"background", "template", "variant"}:
            key = f"{prefix}{name}.<name>"
        if not inner:
            yield key, unit, field.description or ""
            continue
        if len(inner) > 1 or str in typing.get_args(field.annotation):
            yield key, unit, field.description or ""
        seen: dict[str, tuple[str, str, str]] = {}
        for part in inner:
            if name in CONTENTS:
                continue
            below = f"{key}.<flavour>." if name == "spectra" else f"{key}."
            for row in _describe(part, below):
                row = (row[0], row[1] or unit, row[2])
                if row[0].endswith(".model") and row[0] in seen:
                    row = (row[0], "", f"{seen[row[0]][2]} | {row[2]}")
                seen.setdefault(row[0], row)
                if row[0].endswith(".model"):
                    seen[row[0]] = row
        yield from seen.values()
