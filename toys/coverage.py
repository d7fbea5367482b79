"""Coverage: how often regions hold the truth, by toys thrown at it.

Three regions are tried on every toy:

- *Wilks*: q below the χ² quantile;
- *Asimov*: q below the critical value of toys thrown at the experiments' own couplings, one
  threshold for the whole plane;
- *Feldman-Cousins*: q below the critical value of other toys thrown at the point itself, with the
  nuisance parameters as the ensemble says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..reco.errors import ExperimentError
from .asimov import threshold
from .ensemble import Ensemble
from .model import Model
from .neyman import ROUNDING, Construction, order_statistic

Array = NDArray[np.float64]

REGIONS = ("wilks", "asimov", "feldman_cousins")


@dataclass(frozen=True)
class Coverage:
    """Coverage of one kind of region at one point."""

    point: tuple[float, ...]
    region: str
    cl: float
    critical: float
    held: int
    """Toys whose region holds the truth."""
    toys: int
    low: float
    """Clopper-Pearson limits of one standard deviation (68.27 %)."""
    high: float
    error: float
    """Standard error of the coverage; for Feldman-Cousins that of the critical value included."""
    failed: int

    @property
    def coverage(self) -> float:
        """Part of the toys."""
        return self.held / self.toys


def clopper_pearson(held: int, toys: int, cl: float = 0.6827) -> tuple[float, float]:
    """Exact binomial limits of a part."""
    from scipy.stats import beta

    a = (1 - cl) / 2
    low = 0.0 if held == 0 else float(beta.ppf(a, held, toys - held + 1))
    high = 1.0 if held == toys else float(beta.ppf(1 - a, held + 1, toys - held))
    return low, high


def coverage(
    model: Model,
    names: Sequence[str],
    points: Array,
    levels: Sequence[float],
    toys: int,
    ensemble: Ensemble | None = None,
    truth: Ensemble | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> list[Coverage]:
    """Coverage at points of some parameters, the model's others being profiled.

    Parameters
    ----------
    points
        Shape (points, names).
    levels
        Confidence levels.
    toys
        Of each point, for the coverage, and as many others for the critical values.
    ensemble
        Of the toys that give critical values.
    truth
        Of the toys that are tried, by default the same; nature may be elsewhere.
    progress
        Called with numbers of toys.

    Raises
    ------
    ExperimentError
        If a point is out of bounds, or a level not between 0 and 1.
    """
    ensemble = ensemble or Ensemble()
    wilks = [threshold(cl, len(names)) for cl in levels]
    numbers = [model.number(name) for name in names]
    for point in points:
        for i, x in zip(numbers, point, strict=True):
            if not model.lower[i] <= x <= model.upper[i]:
                raise ExperimentError(
                    f"{model.names[i]} = {x:g}: must be from {model.lower[i]:g} to "
                    f"{model.upper[i]:g}"
                )
    own = model.truth[numbers]
    tables = [
        _construction(model, names, p, ensemble, seed, k) for k, p in enumerate((own, *points))
    ]
    tried = [
        _construction(model, names, p, truth or ensemble, seed, k) for k, p in enumerate(points, 1)
    ]
    threads = threads or os.cpu_count() or 1

    def make(construction: Construction, start: int) -> tuple[Array, int]:
        construction.warm()
        statistic = construction.toys(0, start, start + toys)
        progress(toys)
        square = statistic.value**2 if len(names) == 1 else statistic.value
        return square, statistic.failed

    with ThreadPoolExecutor(threads) as pool:
        starts = [0] * len(tables) + [toys] * len(tried)
        made = list(pool.map(make, [*tables, *tried], starts))
    (asimov, _), critical, nature = made[0], made[1 : len(points) + 1], made[len(points) + 1 :]
    found = []
    for point, (mine, _), (q, failed) in zip(points, critical, nature, strict=True):
        for cl, from_wilks in zip(levels, wilks, strict=True):
            limits = (from_wilks, order_statistic(asimov, cl)[0], order_statistic(mine, cl)[0])
            for region, limit in zip(REGIONS, limits, strict=True):
                held = int(np.count_nonzero(q <= limit + ROUNDING))
                low, high = clopper_pearson(held, toys)
                error = np.sqrt(max(held, 1) * max(toys - held, 1) / toys) / toys
                if region == "feldman_cousins":
                    error = np.hypot(error, np.sqrt(cl * (1 - cl) / toys))
                found.append(
                    Coverage(
                        tuple(float(x) for x in point), region, cl, limit, held, toys, low, high,
                        float(error), failed,
                    )
                )  # fmt: skip
    return found


def _construction(
    model: Model, names: Sequence[str], point: Array, ensemble: Ensemble, seed: int, number: int
) -> Construction:
    """A grid of one point, whose toys have a number of their own."""
    axes = tuple((name, np.array([x])) for name, x in zip(names, point, strict=True))
    return Construction(model, axes, ensemble, seed, model.asimov(), first_point=number)
