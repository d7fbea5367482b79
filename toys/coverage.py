"""Coverage: how often regions hold the truth, by toys thrown at it.

Three regions are tried on every toy:

- *Wilks*: q below the χ² quantile;
- *Asimov*: q below the critical value of toys thrown at the experiments' own couplings, one
  threshold for the whole plane;
- *Feldman-Cousins*: q below the critical value of other toys thrown at the point itself, with the
  nuisance parameters as the ensemble says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ..generator.arrays import Array
from ..generator.display import Displayed
from ..reco.errors import ExperimentError
from ..reco.experiment import Experiment
from ..reco.runs.folder import tables
from .construction.belt import ROUNDING, order_statistic
from .construction.ensemble import Ensemble
from .construction.neyman import Construction, Statistic
from .counts.model import Model
from .fit.outline import threshold
from .records.distribute import throw_tasks
from .records.record import Record, missing

if TYPE_CHECKING:
    from ..reco.cluster.workers import Cluster


REGIONS = ("wilks", "asimov", "feldman_cousins")


@dataclass(frozen=True, repr=False)
class Coverage(Displayed):
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

    def facts(self) -> dict[str, object]:
        """Point, kind of region and coverage with its error."""
        return {
            "point": ", ".join(f"{x:g}" for x in self.point),
            "region": self.region,
            "CL": f"{100 * self.cl:g} %",
            "critical": f"{self.critical:.4g}",
            "coverage": f"{self.coverage:.4f} ± {self.error:.2g}",
            "toys": self.toys,
            "failed fits": self.failed,
        }

    @property
    def coverage(self) -> float:
        """Part of the toys."""
        return self.held / self.toys

    def as_json(self, names: Sequence[str]) -> dict[str, object]:
        """Content for JSON, with the names of the point's parameters."""
        return {
            "point": dict(zip(names, self.point, strict=True)),
            "cl": self.cl,
            "region": self.region,
            "critical": self.critical,
            "coverage": self.coverage,
            "interval": [self.low, self.high],
            "error": self.error,
            "toys": self.toys,
            "failed": self.failed,
        }


def clopper_pearson(held: int, toys: int, cl: float = 0.6827) -> tuple[float, float]:
    """Exact binomial limits of a part."""
    from scipy.stats import beta

    a = (1 - cl) / 2
    low = 0.0 if held == 0 else float(beta.ppf(a, held, toys - held + 1))
    high = 1.0 if held == toys else float(beta.ppf(1 - a, held + 1, toys - held))
    return low, high


@dataclass(frozen=True, eq=False)
class Trials:
    """Toys of a coverage by number, each point being a construction of one point.

    Point 0 is the experiments' own couplings, then come those that are asked for, then the same
    again with the toys that are tried, whose numbers follow those of the critical values.
    """

    constructions: tuple[Construction, ...]

    def warm(self) -> None:
        """Compute what all toys share."""
        for construction in self.constructions:
            construction.warm()

    def toys(self, point: int, start: int, stop: int) -> Statistic:
        """Toys of a point by number."""
        return self.constructions[point].toys(0, start, stop)


def plan_trials(
    model: Model,
    names: Sequence[str],
    points: Array,
    ensemble: Ensemble,
    truth: Ensemble,
    seed: int,
) -> Trials:
    """Plan the toys of a coverage; parameters as for it.

    Raises
    ------
    ExperimentError
        If a point is out of bounds, or the truth of its toys.
    """
    numbers = [model.number(name) for name in names]
    for point in points:
        for i, x in zip(numbers, point, strict=True):
            if not model.lower[i] <= x <= model.upper[i]:
                raise ExperimentError(
                    f"{model.names[i]} = {x:g}: must be from {model.lower[i]:g} to "
                    f"{model.upper[i]:g}"
                )
    own = model.truth[numbers]
    numbered = list(enumerate((own, *points)))
    tables = [_construction(model, names, p, ensemble, seed, k) for k, p in numbered]
    tried = [_construction(model, names, p, truth, seed, k) for k, p in numbered[1:]]
    trials = Trials((*tables, *tried))
    trials.warm()
    for construction in trials.constructions:
        construction.truth(0)
    return trials


def configuration(
    experiments: Sequence[Experiment],
    model: Model,
    names: Sequence[str],
    points: Array,
    toys: int,
    ensemble: Ensemble,
    truth: Ensemble,
    seed: int,
) -> dict[str, Any]:
    """Everything that decides the toys of a coverage; parameters as for it."""
    return {
        "version": version("nuspill"),
        "seed": seed,
        "toys": toys,
        "names": list(names),
        "points": points.tolist(),
        "parameters": [p.name for p in model.parameters],
        "ensemble": ensemble.describe(),
        "nature": truth.describe(),
        "experiments": [e.model_dump(mode="json") for e in experiments],
        "tables": tables(e.interaction for e in experiments),
    }


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
    keep: Callable[[], Record] | None = None,
    cluster: Cluster | None = None,
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
    keep
        Opens, when all has been checked, the record where toys are kept and taken from.
    cluster
        Throw them on its workers.

    Raises
    ------
    ExperimentError
        If a point is out of bounds, or a level not between 0 and 1.
    """
    ensemble = ensemble or Ensemble()
    wilks = [threshold(cl, len(names)) for cl in levels]
    trials = plan_trials(model, names, points, ensemble, truth or ensemble, seed)
    tables = 1 + len(points)
    record = keep() if keep is not None else None
    done = record.done() if record is not None else set()
    todo = [*missing(range(tables), 0, toys, done)]
    todo += missing(range(tables, len(trials.constructions)), toys, 2 * toys, done)
    left = sum(stop - start for _, start, stop in todo)
    progress(len(trials.constructions) * toys - left)
    results = throw_tasks(trials, todo, threads, cluster)
    if record is not None:
        where = "here" if cluster is None else cluster.name
        for number in record.write(results, where):
            progress(number)
        made = list(record.by_point(len(trials.constructions)))
    else:
        pieces: list[list[Statistic]] = [[] for _ in trials.constructions]
        for (point, start, stop), statistic in results:
            pieces[point].append(statistic)
            progress(stop - start)
        made = [
            Statistic(np.concatenate([s.value for s in mine]), sum(s.failed for s in mine))
            for mine in pieces
        ]
    square = [m.value**2 if len(names) == 1 else m.value for m in made]
    asimov, critical = square[0], square[1:tables]
    nature = [(q, m.failed) for q, m in zip(square, made, strict=True)][tables:]
    found = []
    for point, mine, (q, failed) in zip(points, critical, nature, strict=True):
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


@dataclass(frozen=True, eq=False)
class Wanted:
    """A coverage that is asked for."""

    experiments: list[Experiment]
    model: Model
    names: list[str]
    points: np.ndarray[Any, Any]
    levels: list[float]
    toys: int
    ensemble: Ensemble
    nature: Ensemble
    seed: int

    def configuration(self) -> dict[str, Any]:
        """Everything that decides its toys."""
        return configuration(
            self.experiments, self.model, self.names, self.points, self.toys, self.ensemble,
            self.nature, self.seed,
        )  # fmt: skip

    def as_json(self, results: Iterable[Coverage]) -> dict[str, object]:
        """Content for JSON of its results."""
        return {
            "experiments": [e.name for e in self.experiments],
            "parameters": self.names,
            "profiled": [p.name for p in self.model.parameters if p.name not in self.names],
            "seed": self.seed,
            "ensemble": self.ensemble.describe(),
            "nature": self.nature.describe(),
            "coverage": [result.as_json(self.names) for result in results],
        }

    def trials(self) -> Trials:
        """Its toys."""
        return plan_trials(
            self.model, self.names, self.points, self.ensemble, self.nature, self.seed
        )


def restore_wanted(record: Record) -> Wanted:
    """The coverage that a record's toys are of.

    Raises
    ------
    OutputError
        If this version would make other toys.
    """
    import numpy as np

    from ..reco.runs.folder import Manifest, refuse_another
    from .counts.combination import build
    from .records.restore import restore_ensemble, restore_experiments

    c, request = record.config, record.manifest.request
    experiments = restore_experiments(record)
    model = build(experiments, c["parameters"])
    ensemble, nature = (restore_ensemble(c[key]) for key in ("ensemble", "nature"))
    points = np.array(c["points"])
    levels, seed = request["levels"], c["seed"]
    found = Wanted(
        experiments, model, c["names"], points, levels, c["toys"], ensemble, nature, seed
    )
    there = Manifest("coverage", found.configuration(), request)
    refuse_another(record.folder, record.manifest, there)
    return found
