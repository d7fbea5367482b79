"""What every section of an experiment file has in common: frozen and strict about keys."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A frozen section of an experiment; an unknown key or a wrong type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def setting(default: Any, description: str, unit: str = "", **limits: Any) -> Any:
    """Field of a section: its default (`...` if it must be given), meaning, unit and limits."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)
