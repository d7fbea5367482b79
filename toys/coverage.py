"""Coverage: how often regions hold the truth, by toys thrown at it.

These regions are tried:

- *Wilks*: q below the χ² quantile;
- *Asimov*: q below the critical value of toys thrown at the experiments' own couplings, one
  threshold for the whole plane;
- *Feldman-Cousins*: q below the critical value of other toys thrown at the point itself, with the
  nuisance parameters as the ensemble says, profiled on the Asimov data: one critical value a point;
- *nested*: as `nuspill toys --data` does, with a critical value from toys that are profiled on
  each of the toys that are tried (`construction.nested`). These are fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version

import numpy as np

from ..generator.arrays import Array, Json
from ..generator.display import Displayed
from ..generator.sampling.names import STREAMS
from ..reco.cluster.workers import HERE, Workers
from ..reco.errors import ExperimentError, whole_number
from ..reco.experiment import Experiment
from ..reco.runs.folder import Manifest, refuse_another
from .construction.belt import ROUNDING, order_statistic
from .construction.ensemble import MEANINGLESS, Ensemble, expected_mean_q, warning
from .construction.nested import Nested, follows_the_data
from .construction.neyman import Construction, Statistic
from .counts.combination import build
from .counts.model import Model
from .fit.audit import Audit
from .records.distribute import throw_tasks
from .records.record import Record, Task, missing
from .records.restore import restore_ensemble, restore_experiments
from .scan.outline import threshold

REGIONS = ("wilks", "asimov", "feldman_cousins", "nested")
NESTED_TASK = 32
"""Nested toys that are made in one piece."""


@dataclass(frozen=True, repr=False)
class Coverage(Displayed):
    """Coverage of one kind of region at one point."""

    point: tuple[float, ...]
    region: str
    cl: float
    critical: float | None
    """None where each toy has its own."""
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
            "critical": "of each toy" if self.critical is None else f"{self.critical:.4g}",
            "coverage": f"{self.coverage:.4f} ± {self.error:.2g}",
            "toys": self.toys,
            "failed fits": self.failed,
        }

    @property
    def coverage(self) -> float:
        """Part of the toys whose region holds the truth."""
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
    """Exact binomial limits of the part `held` / `toys`."""
    from scipy.stats import beta

    a = (1 - cl) / 2
    low = 0.0 if held == 0 else float(beta.ppf(a, held, toys - held + 1))
    high = 1.0 if held == toys else float(beta.ppf(1 - a, held + 1, toys - held))
    return low, high


@dataclass(frozen=True, eq=False)
class Trials:
    """Toys of a coverage by number, each point being a thrower of one point.

    Point 0 is the experiments' own couplings, then come those that are asked for, then the same
    again with the toys that are tried, whose numbers follow those of the critical values, and again
    with those of them that are nested.
    """

    critical: tuple[Construction, ...]
    tried: tuple[Construction, ...]
    nested: tuple[Nested, ...]
    """As `tried`, or none."""

    @cached_property
    def throwers(self) -> tuple[Construction | Nested, ...]:
        """What makes the toys of each point."""
        return (*self.critical, *self.tried, *self.nested)

    def warm(self) -> None:
        """Compute what all toys share."""
        for thrower in self.throwers:
            thrower.warm()

    def toys(self, point: int, start: int, stop: int) -> Statistic:
        """Toys of a point by number."""
        return self.throwers[point].toys(0, start, stop)


@dataclass(frozen=True, eq=False)
class CoverageStudy:
    """A coverage that is asked for: at points of some parameters, the model's others profiled."""

    model: Model
    names: Sequence[str]
    """Parameters of the points."""
    points: Array
    """Values of the parameters, shape (points, names)."""
    levels: Sequence[float]
    """Confidence levels."""
    toys: int
    """Toys of each point for the coverage; as many others give the critical values."""
    ensemble: Ensemble = field(default_factory=Ensemble)
    """Ensemble of the toys that give critical values."""
    nature: Ensemble | None = None
    """Ensemble of the toys that are tried, by default the same; nature may be elsewhere."""
    nested: int = 0
    """Number of the toys of each point that are tried with toys of their own; at most `toys`."""
    toys_each: int = 1000
    """Most toys of each of these."""
    seed: int = 1
    experiments: Sequence[Experiment] = ()
    """Experiments of which the model is built; they are recorded where toys are kept."""

    def __post_init__(self) -> None:
        """Check the seed, before any toy."""
        seed = whole_number("seed", self.seed, 0, 2**64 - 1)
        object.__setattr__(self, "seed", seed)

    @property
    def tried(self) -> Ensemble:
        """Ensemble of the toys that are tried."""
        return self.nature or self.ensemble

    @property
    def tried_nested(self) -> int:
        """Toys of each point that are nested; 0 where all data have the same toys."""
        follows = follows_the_data(self.model, self.names, self.ensemble)
        return min(self.nested, self.toys) if follows else 0

    @property
    def all_toys(self) -> int:
        """Number of toys of all points, nested ones counted as one each."""
        size = len(self.points)
        return self.toys * (2 * size + 1) + self.tried_nested * size

    def configuration(self) -> Json:
        """Everything that decides the toys of the study."""
        nested = {"toys": self.nested, "toys_each": self.toys_each, "levels": list(self.levels)}
        return {
            "version": version("nuspill"),
            "streams": STREAMS,
            "seed": self.seed,
            "toys": self.toys,
            "names": list(self.names),
            "points": self.points.tolist(),
            "parameters": [p.name for p in self.model.parameters],
            "ensemble": self.ensemble.describe(),
            "nature": self.tried.describe(),
            "nested": nested if self.nested else None,
            "experiments": [e.model_dump(mode="json") for e in self.experiments],
        }

    def as_json(self, results: Iterable[Coverage]) -> dict[str, object]:
        """Content for JSON of the results of the study."""
        return {
            "experiments": [e.name for e in self.experiments],
            "parameters": list(self.names),
            "profiled": [p.name for p in self.model.parameters if p.name not in self.names],
            "seed": self.seed,
            "ensemble": self.ensemble.describe(),
            "nature": self.tried.describe(),
            "nested": {"toys": self.tried_nested, "toys_each": self.toys_each},
            "coverage": [result.as_json(self.names) for result in results],
        }

    @cached_property
    def trials(self) -> Trials:
        """Toys of the study, by number.

        Raises
        ------
        ExperimentError
            If a point is out of bounds, or the truth of its toys.
        """
        model = self.model
        numbers = [model.number(name) for name in self.names]
        for point in self.points:
            for i, x in zip(numbers, point, strict=True):
                if not model.lower[i] <= x <= model.upper[i]:
                    raise ExperimentError(
                        f"{model.names[i]} = {x:g}: must be from {model.lower[i]:g} to "
                        f"{model.upper[i]:g}"
                    )
        numbered = list(enumerate((model.truth[numbers], *self.points)))
        critical = [self._construction(self.ensemble, number, p) for number, p in numbered]
        tried = [self._construction(self.tried, number, p) for number, p in numbered[1:]]
        nested = [
            Nested(construction, self.ensemble, tuple(self.levels), self.toys_each)
            for construction in (tried if self.tried_nested else [])
        ]
        trials = Trials(tuple(critical), tuple(tried), tuple(nested))
        trials.warm()
        for construction in (*critical, *tried):
            construction.truth(0)
        return trials

    def warnings(self) -> list[str]:
        """What is wrong with the ensembles at the points, if anything."""
        critical, tried = (
            [c.truth(0) for c in constructions]
            for constructions in (self.trials.critical, self.trials.tried)
        )
        messages = [warning(self.model, critical, self.ensemble)]
        part = min(expected_mean_q(self.model, truth, self.tried) for truth in tried)
        if part < MEANINGLESS and self.tried != self.ensemble:
            messages.append(
                "nature has the truth of the nuisance parameters and the centres of their pulls "
                f"both fixed: toys that are tried have {part:.2g} of the q that the fit allows "
                "for, and regions hold more of them than of data"
            )
        return [message for message in messages if message is not None]

    def audit(self, checked: int = 200) -> Audit:
        """Try again some of the fits of the toys of all points, as `Construction.audit`."""
        makers = [(0, c) for c in self.trials.critical]
        makers += [(self.toys, c) for c in self.trials.tried]
        each = max(checked // len(makers), 2)
        audits = [c.audit(first, self.toys, each) for first, c in makers]
        return Audit(
            sum(a.checked for a in audits),
            sum(a.improvable for a in audits),
            max(a.largest for a in audits),
        )

    def _construction(self, ensemble: Ensemble, number: int, point: Array) -> Construction:
        """A grid of one point, whose toys have a number of their own."""
        axes = tuple((name, np.array([x])) for name, x in zip(self.names, point, strict=True))
        data = self.model.asimov()
        return Construction(self.model, axes, ensemble, self.seed, data, first_point=number)


def coverage(
    study: CoverageStudy, workers: Workers = HERE, keep: Callable[[], Record] | None = None
) -> list[Coverage]:
    """Coverage of the kinds of regions at the points of a study, for each of its levels.

    Parameters
    ----------
    workers
        Threads here, or a cluster; their `progress` is told numbers of toys.
    keep
        Opens, when all has been checked, the record where toys are kept and taken from.

    Raises
    ------
    ExperimentError
        If a point is out of bounds, or a level not between 0 and 1.
    """
    wilks = [threshold(cl, len(study.names)) for cl in study.levels]
    thrown = _throw(study, study.trials, workers, keep)
    size = len(study.points)
    first, nested = 1 + size, thrown[1 + 2 * size :]
    q = [t.value**2 if len(study.names) == 1 else t.value for t in thrown[: 1 + 2 * size]]
    asimov, critical, tried = q[0], q[1:first], q[first:]
    results = []
    for k, point in enumerate(study.points):
        for cl, from_wilks in zip(study.levels, wilks, strict=True):
            limits = (
                from_wilks, order_statistic(asimov, cl)[0], order_statistic(critical[k], cl)[0],
            )  # fmt: skip
            results += [
                _coverage_of(point, region, cl, limit, tried[k], thrown[first + k].failed)
                for region, limit in zip(REGIONS[:3], limits, strict=True)
            ]
            if nested:
                results.append(_coverage_of(point, "nested", cl, None, *nested[k]))
    return results


def _throw(
    study: CoverageStudy, trials: Trials, workers: Workers, keep: Callable[[], Record] | None
) -> list[Statistic]:
    """Toys of every point of the trials, thrown or from a record."""
    record = keep() if keep is not None else None
    done = record.done() if record is not None else set()
    points, todo = len(trials.throwers), _todo(study, trials, done)
    workers.progress(study.all_toys - sum(stop - start for _, start, stop in todo))
    results = throw_tasks(trials, todo, workers)
    if record is not None:
        for number in record.write(results, workers.name):
            workers.progress(number)
        return list(record.by_point(points))
    pieces: list[list[Statistic]] = [[] for _ in trials.throwers]
    for (point, start, stop), statistic in results:
        pieces[point].append(statistic)
        workers.progress(stop - start)
    return [
        Statistic(np.concatenate([s.value for s in piece]), sum(s.failed for s in piece))
        for piece in pieces
    ]


def _todo(study: CoverageStudy, trials: Trials, done: set[Task]) -> list[Task]:
    """Tasks of the toys that are not there yet."""
    toys, tried = study.toys, len(trials.critical)
    nested, end = tried + len(trials.tried), len(trials.throwers)
    todo = missing(range(tried), 0, toys, done)
    todo += missing(range(tried, nested), toys, 2 * toys, done)
    slow = missing(range(nested, end), toys, toys + study.tried_nested, done)
    return todo + [
        (point, low, min(low + NESTED_TASK, stop))
        for point, start, stop in slow
        for low in range(start, stop, NESTED_TASK)
    ]


def _coverage_of(
    point: Array, region: str, cl: float, critical: float | None, values: Array, failed: int
) -> Coverage:
    """How many toys of a point are held, with errors.

    Those with q up to a critical value, or without one with a part below CL of their own toys below
    them in q.
    """
    toys = len(values)
    inside = values < cl - ROUNDING if critical is None else values <= critical + ROUNDING
    held = int(np.count_nonzero(inside))
    low, high = clopper_pearson(held, toys)
    error = np.sqrt(max(held, 1) * max(toys - held, 1) / toys) / toys
    if region == "feldman_cousins":
        error = np.hypot(error, np.sqrt(cl * (1 - cl) / toys))
    at = tuple(float(x) for x in point)
    return Coverage(at, region, cl, critical, held, toys, low, high, float(error), failed)


def restore_study(record: Record) -> CoverageStudy:
    """The coverage that a record's toys are of.

    Raises
    ------
    OutputError
        If this version would make other toys.
    """
    c, request = record.config, record.manifest.request
    experiments = restore_experiments(record)
    ensemble, nature = (restore_ensemble(c[key]) for key in ("ensemble", "nature"))
    nested = c["nested"] or {"toys": 0, "toys_each": CoverageStudy.toys_each}
    study = CoverageStudy(
        build(experiments, c["parameters"]), c["names"], np.array(c["points"]), request["levels"],
        c["toys"], ensemble, nature, nested["toys"], nested["toys_each"], c["seed"], experiments,
    )  # fmt: skip
    wanted = Manifest("coverage", study.configuration(), request)
    refuse_another(record.folder, record.manifest, wanted)
    return study
