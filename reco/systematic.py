"""One entry of `[[analysis.systematic]]`: what is uncertain, by how much, and of which components.

`toys.effects.effect` holds a class for each effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from ..generator.settings import Settings, setting
from .response.efficiency import Efficiency

EffectName = Literal[
    "flux",
    "distance",
    "quenching",
    "resolution",
    "threshold",
    "beam background",
    "rate",
    "energy scale",
    "quenching parameters",
    "efficiency",
    "time shift",
    "time width",
    "radius",
    "templates",
]
"""What a systematic may change."""
RELATIVE = 0.5
"""Below this is a relative uncertainty of a response."""
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "quenching parameters": ("change",),
    "efficiency": ("efficiency_up", "efficiency_down"),
    "templates": ("up", "down"),
}
"""Keys that an effect needs in place of `uncertainty`."""
RATE = ("uncertainty_down", "distribution")
"""Keys that an effect on a rate may have."""


class Systematic(Settings):
    """A further uncertainty, as a nuisance parameter with a Gaussian pull."""

    name: str = setting(..., "its pull; the same name elsewhere is the same pull", min_length=1)
    effect: EffectName = setting(
        ...,
        "what is uncertain: neutrinos, metres, energy scale, width, acceptance threshold, the rate "
        "of what comes with the beam; or of components `on`: rate, energy scale, parameters of "
        "the quenching, efficiency, shift or width of arrival times, radius of neutrons, or any "
        "templates",
    )
    on: tuple[str, ...] | None = setting(
        None, "components it acts on, 'signal' or names of backgrounds; by default the effect's",
        strict=False, min_length=1,
    )  # fmt: skip
    uncertainty: PositiveFloat | None = setting(
        None, "relative, one standard deviation; of effect = 'time shift' in ns"
    )
    uncertainty_down: PositiveFloat | None = setting(
        None, "of a rate: relative, at -1 standard deviation, where it is another", lt=1
    )
    distribution: Literal["log-normal", "normal"] | None = setting(
        None, "of a rate, (1 + σ)^η or 1 + σ η; by default as analysis.factors"
    )
    change: dict[str, float | list[float]] | None = setting(
        None, "what is added to keys of detector.quenching at +1 standard deviation"
    )
    efficiency_up: Efficiency | None = setting(None, "efficiency at +1 standard deviation")
    efficiency_down: Efficiency | None = setting(None, "efficiency at -1 standard deviation")
    up: list[NonNegativeFloat] | None = setting(
        None, "factors on the counts of each bin, in C order of the axes, at +1 standard deviation"
    )
    down: list[NonNegativeFloat] | None = setting(None, "the same at -1 standard deviation")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        required = REQUIRED.get(self.effect, ("uncertainty",))
        allowed = {*required, *(RATE if self.effect == "rate" else ())}
        keys = ("uncertainty", *RATE, *(key for keys in REQUIRED.values() for key in keys))
        for key in keys:
            if key in required and getattr(self, key) is None:
                raise ValueError(f"effect '{self.effect}' needs `{key}`")
            if key not in allowed and getattr(self, key) is not None:
                raise ValueError(f"`{key}` has no meaning for effect '{self.effect}'")
        if self.effect == "rate":
            self._check_rate()
        elif self.effect != "time shift" and (self.uncertainty or 0.0) >= RELATIVE:
            raise ValueError(
                f"uncertainty {self.uncertainty:g} of effect '{self.effect}' must be less than "
                f"{RELATIVE:g}"
            )
        if self.on is not None and len(set(self.on)) < len(self.on):
            raise ValueError(f"names in `on` must differ, not {', '.join(self.on)}")
        return self

    def _check_rate(self) -> None:
        if self.uncertainty_down is not None and self.distribution is not None:
            raise ValueError("uncertainty_down says what the distribution is: leave that out")
