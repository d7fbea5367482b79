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


class Analysis(Settings):
    """Bins, statistic and nuisance parameters."""

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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.edges is not None and np.any(np.diff(self.edges) <= 0):
            raise ValueError(f"edges must increase, not {self.edges}")
        if self.scale == "reco" and self.edges is None:
            raise ValueError("scale 'reco' needs `edges`")
        names = [s.name for s in self.systematic]
        if len(set(names)) < len(names):
            raise ValueError(f"names of systematics must differ, not {', '.join(names)}")
        return self
