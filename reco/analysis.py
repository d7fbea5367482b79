"""How counts are binned and compared: the section `[analysis]` of an experiment.

The defaults are those of arXiv:1911.00762, section 4: bins twice the resolution wide, 10 % on the
signal and 1 % on the background. Pulls of the same name are one and the same where several
experiments are combined.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from ..generator.settings import Settings, setting
from .systematic import EffectName as EffectName
from .systematic import Systematic

KNOWN = ("energy", "time")
"""Axes that are known of computed components too, in the order of the bins; others follow."""


class BinAxis(Settings):
    """One of the axes along which counts are binned."""

    name: str = setting(
        ..., "energy, time, or another one, which templates from files have", min_length=1
    )
    edges: list[float] | None = setting(
        None,
        "edges of the bins; of the energy by default `analysis.edges` or `analysis.bin_width`",
        "unit of `scale`; ns after the start of the pulse, as measured",
        min_length=2,
    )
    unit: str = setting("", "unit of an axis other than energy and time")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == "time" and self.edges is None:
            raise ValueError("the time axis needs `edges`, ns after the start of the pulse")
        if self.name != "energy" and self.edges is None:
            raise ValueError(f"the axis '{self.name}' needs `edges`")
        if self.name in KNOWN and self.unit:
            raise ValueError(f"the unit of the {self.name} is known: leave `unit` out")
        if self.edges is not None and np.any(np.diff(self.edges) <= 0):
            raise ValueError(f"edges must increase, not {self.edges}")
        return self


class Analysis(Settings):
    """Bins, statistic and nuisance parameters."""

    axes: tuple[BinAxis, ...] = setting(
        (), "what is binned: energy, time, or others of files; by default energy", strict=False
    )
    bin_width: PositiveFloat = setting(2.0, "width of a bin, in σ at its centre")
    edges: list[float] | None = setting(
        None, "edges of the bins in place of `bin_width`", "unit of `scale`", min_length=2
    )
    scale: Literal["keV_nr", "reco"] = setting(
        "keV_nr", "energy that is binned: e_reco_nr, or e_reco in its own unit (needs `edges`)"
    )
    statistic: Literal["pulls", "on-off", "on-off-scaled"] = setting(
        "pulls",
        "steady background known with a pull; or measured in beam-off, where all else that comes "
        "is expected too: free in each bin, or up to a factor",
    )
    signal_uncertainty: NonNegativeFloat = setting(0.10, "of the signal, relative", lt=1)
    signal_pull: str = setting("signal", "name of its pull", min_length=1)
    background_uncertainty: NonNegativeFloat = setting(
        0.01, "of the steady-state background, relative; for statistic = pulls", lt=1
    )
    background_pull: str | None = setting(
        None, "name of its pull; by default the experiment's own", min_length=1
    )
    factors: Literal["log-normal", "linear"] = setting(
        "log-normal",
        "what a pull η of uncertainty σ multiplies counts by: (1 + σ)^η, or the paper's 1 + σ η",
    )
    systematic: tuple[Systematic, ...] = setting((), "further uncertainties", strict=False)
    variants: bool = setting(True, "whether variants of [[template]] are uncertainties")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.edges is not None and np.any(np.diff(self.edges) <= 0):
            raise ValueError(f"edges must increase, not {self.edges}")
        self._check_axes()
        if self.scale == "reco" and self.bins_energy and self.energy_edges is None:
            raise ValueError("scale 'reco' needs `edges`")
        names = [s.name for s in self.systematic]
        if len(set(names)) < len(names):
            raise ValueError(f"names of systematics must differ, not {', '.join(names)}")
        return self

    def _check_axes(self) -> None:
        """Refuse an axis that is there twice, and energies that are given twice or not binned."""
        names = [axis.name for axis in self.axes]
        if len(set(names)) < len(names):
            raise ValueError(f"names of axes must differ, not {', '.join(names)}")
        if self.edges is None or not self.axes:
            return
        if not self.bins_energy:
            raise ValueError(
                "edges are those of an energy axis, and axes has none: leave them out, or add "
                "{ name = 'energy' } to axes"
            )
        if self._edges("energy") is not None:
            raise ValueError("edges are given twice: in axes as those of the energy, and alone")

    def _edges(self, name: str) -> list[float] | None:
        """Edges that `axes` gives."""
        return next((axis.edges for axis in self.axes if axis.name == name), None)

    @property
    def bins_energy(self) -> bool:
        """Whether energy is binned."""
        return not self.axes or "energy" in [axis.name for axis in self.axes]

    @property
    def others(self) -> tuple[BinAxis, ...]:
        """Axes other than energy and time, in their order."""
        return tuple(axis for axis in self.axes if axis.name not in KNOWN)

    @property
    def energy_edges(self) -> list[float] | None:
        """Edges of the energy, if they are given."""
        return self._edges("energy") or self.edges

    @property
    def time_edges(self) -> list[float] | None:
        """Edges of the time, ns after the start of the pulse; None where it is not binned."""
        return self._edges("time")
