"""How objects show themselves: a line that says what they are, and a small table in notebooks."""

from __future__ import annotations

from html import escape


class Displayed:
    """Something with a one-line `repr` and a table for notebooks, both from its `facts`.

    Examples
    --------
    >>> class Beam(Displayed):
    ...     def facts(self):
    ...         return {"power": "5 MW", "rate": "14 Hz"}
    >>> Beam()
    <Beam: power 5 MW, rate 14 Hz>
    """

    def facts(self) -> dict[str, object]:
        """What a reader wants to know first, by name; units stand in the values."""
        return {}

    def __repr__(self) -> str:
        """One line: the class and its facts."""
        facts = ", ".join(f"{name} {value}" for name, value in self.facts().items())
        return f"<{type(self).__name__}: {facts}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table><caption>{escape(type(self).__name__)}</caption>{rows}</table>"
