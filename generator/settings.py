"""What every section of an experiment file has in common: frozen and strict about keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A frozen section of an experiment; an unknown key or a wrong type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; with other values it is checked as a new one, and nothing derived is kept."""
        if not update:
            return super().model_copy(deep=deep)
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(values | dict(update))

    def copy(self, **changes: Any) -> Self:
        """Pydantic's old name of `model_copy`."""
        return self.model_copy(**changes)


def setting(default: Any, description: str, unit: str = "", **limits: Any) -> Any:
    """Field of a section: its default (`...` if it must be given), meaning, unit and limits."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)


T = TypeVar("T", bound=Settings)


def unchecked(section: T, **values: Any) -> T:
    """A copy with values that nothing checks, a polynomial for a number, say.

    What was derived of the section is kept: it must not depend on these values.
    """
    return BaseModel.model_copy(section, update=values)
