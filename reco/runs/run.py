"""A run: a stretch of beam time with a seed, any part of which can be made at any time.

Event number n of a run is the same event whichever thread, process or machine makes it: a run is
cut into slices of equal numbers of pulses, each a pure function of (experiment, seed, number).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from ...generator.coupling import Interaction
from ...generator.display import Displayed
from ...generator.sampling.names import stream_key, streams_of
from ..chain.build import build_chain
from ..chain.event import share_out, slice_totals
from ..chain.fill import Stretch, fill
from ..chain.stage import Columns, Place, Scratch, new_scratch
from ..chain.tables import Chain
from ..chain.weight import Reweighting, other_interaction, reweighting, weights
from ..cluster.workers import ALONE, HERE, Here, one_ahead
from ..columns import BLOCK_EVENTS, COLUMNS, PLACE_COLUMNS, Block, select
from ..errors import ExperimentError, notice, whole_number
from ..expectation import Expectation, expectations, selected_signal, truth_threshold
from ..experiment import Experiment

TASK_EVENTS = 60_000, 500_000
"""Events that a thread makes in one go, about: at least, and at most."""
MOST_EVENTS = 1e12
"""Events, and slices, of one run."""
PULSE_ROUNDING = 0.01
"""Part of a run by which rounding to whole pulses may change it."""
TRUTH_ROUNDING = 0.01
"""Part of the selected signal that may lie below a truth threshold without a word."""
NO_PLACE = Place(np.empty(0, np.int16), *(np.empty(0, np.float32) for _ in range(3)))


class Extent(NamedTuple):
    """Events of a run, and the pulses whose events they are."""

    start: int
    """Number of the first event."""
    stop: int
    """Number of the event after the last."""
    first_pulse: int
    stop_pulse: int
    """Pulse after the last."""


@dataclass(frozen=True, eq=False, repr=False)
class Run(Displayed):
    """A run of an experiment; make one with `plan`."""

    experiment: Experiment
    seed: int
    pulses: int
    """Beam pulses in the run."""
    fixed_signal: int | None
    """Number of signal events, if fixed; otherwise everything is Poisson."""
    place: bool
    """Whether module and place are made."""
    models: Mapping[str, Interaction]
    """Other interactions for which weights are made, by name."""

    def facts(self) -> dict[str, object]:
        """Experiment, length and seed."""
        fixed = self.fixed_signal
        return {
            "experiment": self.experiment.name,
            "length": f"{self.years:.4g} years",
            "pulses": self.pulses,
            "seed": self.seed,
            "signal": "Poisson" if fixed is None else f"{fixed} events",
            "columns": ", ".join(self.columns),
        }

    @property
    def years(self) -> float:
        """Years of operation."""
        return self.pulses / self.experiment.source.pulses_per_year

    @property
    def key(self) -> np.uint64:
        """Key of its random numbers, by seed and name of the experiment."""
        return np.uint64(stream_key(self.seed, "events", self.experiment.name))

    @cached_property
    def chain(self) -> Chain:
        """Experiment as arrays, for the kernels."""
        return build_chain(self.experiment, self.pulses, self.truth_threshold)

    @cached_property
    def truth_threshold(self) -> float:
        """Least true recoil energy that is made, keV."""
        return truth_threshold(self.experiment)

    def with_seed(self, seed: int, rates: NDArray[np.float64] | float = 1.0) -> Run:
        """The same run under another seed; tables are shared.

        Parameters
        ----------
        rates
            Factors on the rates of the signal and of each background, shape (1 + backgrounds,);
            what `experiment` and `expected` say is without them.
        """
        other, sources = replace(self, seed=seed), self.chain.sources
        chain = self.chain._replace(sources=sources._replace(mean=sources.mean * rates))
        other.__dict__.update(chain=chain, truth_threshold=self.truth_threshold)
        return other

    @property
    def slices(self) -> int:
        """Number of slices."""
        return -(-self.pulses // self.chain.timing.slice_pulses)

    @cached_property
    def _fixed(self) -> NDArray[np.int64]:
        if self.fixed_signal is None:
            return np.empty(0, np.int64)
        fixed = np.empty(self.slices, np.int64)
        _, signal = streams_of()
        share_out(self.key, self.chain.timing, np.uint64(signal), self.fixed_signal, fixed)
        return fixed

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Number of the first event of each slice, and the number of all; shape (slices + 1,)."""
        events = float(self.chain.sources.mean.sum()) * self.pulses
        if max(events, self.slices) > MOST_EVENTS:
            raise ExperimentError(
                f"{self.experiment.name}: {self.years:.3g} years would give {events:.2g} events in "
                f"{self.slices:.2g} slices, at most {MOST_EVENTS:.0e}; make several runs, with "
                "other seeds"
            )
        totals = np.empty(self.slices, np.int64)
        slice_totals(self.key, self.chain, 0, self._fixed, totals)
        return np.concatenate([[0], np.cumsum(totals)])

    @property
    def events(self) -> int:
        """Number of events in the run."""
        return int(self.offsets[-1])

    def extent(self, start: int, stop: int) -> Extent:
        """Events start ... stop − 1 with their pulses: up to that of the next event, or the end."""
        return Extent(start, stop, self._pulse_at(start), self._pulse_at(stop, end=True))

    def extent_of_slices(self, first: int, stop: int) -> Extent:
        """Events of slices first ... stop − 1."""
        pulses = (min(i * self.chain.timing.slice_pulses, self.pulses) for i in (first, stop))
        events = (int(self.offsets[i]) for i in (first, stop))
        return Extent(*events, *map(int, pulses))

    def _pulse_at(self, event: int, end: bool = False) -> int:
        """Pulse with which an extent starts at an event, or ends before it."""
        if event == 0 and not (end and self.events == 0):
            return 0
        if event == self.events:
            return self.pulses
        number = int(np.searchsorted(self.offsets, event))
        if self.offsets[number] == event:
            return number * int(self.chain.timing.slice_pulses)
        return int(self.make(event, event + 1, ALONE)["pulse"][0])

    @property
    def protons(self) -> float:
        """Protons on target."""
        return self.experiment.source.protons * self.years

    @cached_property
    def expected(self) -> list[Expectation]:
        """Expected numbers of each component, a year of operation."""
        return expectations(self.experiment, self.truth_threshold)

    @cached_property
    def reweightings(self) -> tuple[Reweighting, ...]:
        """What is expected of the sample with each of its weights."""
        return tuple(
            reweighting(self.experiment, name, model, self.truth_threshold, self.years)
            for name, model in self.models.items()
        )

    @property
    def columns(self) -> dict[str, tuple[str, str, str]]:
        """Type, unit and meaning of each column of a block."""
        columns = COLUMNS | (PLACE_COLUMNS if self.place else {})
        columns["e_reco"] = ("float32", self.experiment.detector.unit, COLUMNS["e_reco"][2])
        for name in self.models:
            columns[f"weight_{name}"] = ("float32", "", f"weight to the interaction '{name}'")
        return columns

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Columns of a block and their types."""
        return {name: np.dtype(kind) for name, (kind, _, _) in self.columns.items()}

    def allocate(self, events: int) -> Block:
        """Arrays for a block of a number of events, not yet filled."""
        return {name: np.empty(events, kind) for name, kind in self.dtypes.items()}

    def make(self, start: int, stop: int, workers: Here = HERE, out: Block | None = None) -> Block:
        """Events start ... stop − 1 of the run, in order of time.

        Parameters
        ----------
        start, stop
            Event numbers, 0 ≤ start ≤ stop ≤ `events`.
        workers
            Threads; by default one for each core. The events do not depend on them.
        out
            Arrays at least as long to write to, in place of new ones.
        """
        if not 0 <= start <= stop <= self.events:
            raise ValueError(f"events {start} to {stop} are not within the run, 0 to {self.events}")
        n = stop - start
        block = {name: column[:n] for name, column in (out or self.allocate(n)).items()}
        if n == 0:
            return block
        offsets = self.offsets
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, stop, side="left"))
        threads = workers.threads()
        least, most = (max(1, round(events * (last - first) / n)) for events in TASK_EVENTS)
        edges = [first]
        while edges[-1] < last:  # ever smaller ones, so that all threads end at the same time
            wanted = (last - edges[-1]) // (2 * threads)
            edges.append(min(edges[-1] + min(max(wanted, least), most), last))
        tasks = list(pairwise(edges))
        room = int(np.diff(offsets[first : last + 1]).max())
        spare: list[Scratch] = []

        def fill_part(task: tuple[int, int]) -> None:
            scratch = spare.pop() if spare else new_scratch(room, len(self.chain.sources.mean))
            self._fill(block, start, stop, *task, scratch)
            spare.append(scratch)

        for _ in (workers if len(tasks) > 1 else ALONE).map(fill_part, tasks):
            pass
        return block

    def _fill(
        self, block: Block, start: int, stop: int, first: int, last: int, scratch: Scratch
    ) -> None:
        """Fill the part of a block that slices first ... last − 1 make."""
        offsets = self.offsets
        low, high = max(int(offsets[first]), start), min(int(offsets[last]), stop)
        part = {name: column[low - start : high - start] for name, column in block.items()}
        columns = Columns(*(part[name] for name in COLUMNS))
        place = Place(*(part[name] for name in PLACE_COLUMNS)) if self.place else NO_PLACE
        totals = np.diff(offsets[first : last + 1])
        stretch = Stretch(first_slice=first, first_event=int(offsets[first]), low=low, high=high)
        fill(self.key, self.chain, stretch, totals, self._fixed, columns, place, scratch)
        for name, interaction in self.models.items():
            part[f"weight_{name}"][:] = weights(self.experiment, interaction, part)

    def blocks(
        self,
        start: int = 0,
        stop: int | None = None,
        step: int = BLOCK_EVENTS,
        workers: Here = HERE,
        reuse: bool = False,
    ) -> Iterator[Block]:
        """Blocks of at most `step` events; the next is made while one is used, save by one thread.

        With `reuse` the arrays of a block are overwritten when the next but one is asked for:
        memory stays in use and is not asked for anew.
        """
        stop = self.events if stop is None else min(stop, self.events)
        edges = [*range(start, stop, step), stop]
        tasks = list(pairwise(edges))
        size = min(step, stop - start)
        spare = [self.allocate(size), self.allocate(size)] if reuse else None

        def make(task: tuple[int, tuple[int, int]]) -> Block:
            i, edges = task
            return self.make(*edges, workers, spare[i % 2] if spare else None)

        blocks = map(make, enumerate(tasks))
        yield from blocks if workers.threads() == 1 else one_ahead(blocks)


def plan(
    experiment: Experiment,
    seed: int = 1,
    *,
    years: float | None = None,
    pot: float | None = None,
    events: int | None = None,
    place: bool = False,
    weights: Mapping[str, Mapping[str, Any]] | None = None,
) -> Run:
    """Plan a run.

    Parameters
    ----------
    experiment
        The experiment, from `load`.
    seed
        Key of the random numbers, 0 to 2⁶⁴ − 1.
    years, pot, events
        At most one: years of operation (default `exposure.years`), protons on target, or a fixed
        number of signal events to which live time and backgrounds are scaled.
    place
        Also make module and place (needs `detector.geometry`).
    weights
        Settings of other interactions by name, e.g. ``{"nsi": {"interaction.nsi.u.ee": 0.1}}``:
        each makes a column ``weight_<name>``.

    Raises
    ------
    ExperimentError
        If a number is out of range, the experiment cannot give it, or a weight is to a model that
        expects what the sample does not hold.
    """
    if sum(x is not None for x in (years, pot, events)) > 1:
        raise ExperimentError("give at most one of years, pot and events")
    seed = whole_number("seed", seed, 0, 2**64 - 1)
    if events is not None:
        events = whole_number("events", events, -(2**63), 2**63 - 1)
    for name, value in (("years", years), ("pot", pot), ("events", events)):
        if value is not None and not 0 < value < float("inf"):
            raise ExperimentError(f"{name} must be positive, not {value}")
    if place and experiment.detector.geometry is None:
        raise ExperimentError(
            f"{experiment.name}: detector.geometry is not given, so there are no places to make"
        )
    if pot is not None:
        years = pot / experiment.source.protons
    elif events is not None:
        signal = sum(e.total for e in expectations(experiment) if e.component < 10)
        if signal <= 0:
            raise ExperimentError(f"{experiment.name}: no signal is expected, so none can be fixed")
        years = events / signal
    elif years is None:
        years = experiment.exposure.years
    models = {
        name: other_interaction(experiment, name, settings)
        for name, settings in (weights or {}).items()
    }
    given = {"pot": pot, "events": events, "years": years}
    asked = next(f"{name} = {value}" for name, value in given.items() if value is not None)
    _tell_truth_threshold(experiment)
    run = Run(experiment, seed, _whole_pulses(experiment, years, asked), events, place, models)
    for weighed in run.reweightings:
        weighed.refuse()
    return run


def _whole_pulses(experiment: Experiment, years: float, asked: str) -> int:
    """Pulses in years of operation; refuses what is changed by rounding to whole pulses."""
    source = experiment.source
    pulses = years * source.pulses_per_year
    if pulses >= 2**62:
        raise ExperimentError(
            f"{experiment.name}: {asked} is too long a run, of 2^62 pulses or more"
        )
    if abs(round(pulses) - pulses) > PULSE_ROUNDING * pulses:
        raise ExperimentError(
            f"{experiment.name}: {asked} is {pulses:.3g} pulses, and a run is of whole ones: a "
            f"pulse is {source.protons / source.pulses_per_year:.4g} protons, or "
            f"{1 / source.pulses_per_year:.6g} years"
        )
    return round(pulses)


def _tell_truth_threshold(experiment: Experiment) -> None:
    """Tell of a truth threshold that is set so high that selected events are not made."""
    low = experiment.exposure.truth_threshold
    if low is None:
        return
    settings = {"exposure.truth_threshold": None}
    everything = selected_signal(experiment, truth_threshold(experiment.replace(**settings)))
    due, made = (sum(n.values()) for n in (everything, selected_signal(experiment, low)))
    lost = 1 - made / due if due > 0 else 0.0
    if lost > TRUTH_ROUNDING:
        notice(
            f"{experiment.name}: exposure.truth_threshold = {low:g} keV leaves out "
            f"{100 * lost:.2g} % of the selected signal, which fits expect"
        )


@overload
def generate(
    experiment: Experiment,
    *,
    seed: int = ...,
    start: int = ...,
    stop: int | None = ...,
    library: Literal["np"],
    **options: Any,
) -> Block: ...
@overload
def generate(
    experiment: Experiment,
    *,
    seed: int = ...,
    start: int = ...,
    stop: int | None = ...,
    library: Literal["ak"] = ...,
    **options: Any,
) -> Any: ...
def generate(
    experiment: Experiment,
    *,
    seed: int = 1,
    start: int = 0,
    stop: int | None = None,
    library: Literal["ak", "np"] = "ak",
    workers: Here = HERE,
    selected_only: bool = False,
    **options: Any,
) -> Any:
    """Events of a run as an awkward Array, or a dict of NumPy columns.

    Parameters
    ----------
    experiment
        The experiment, from `load`.
    seed
        Key of the random numbers.
    start, stop
        Event numbers; by default all events of the run.
    library
        ``"ak"`` for an awkward Array of records, ``"np"`` for a dict of arrays.
    workers
        Threads; the events do not depend on them.
    selected_only
        Leave out events that are not selected.
    **options
        ``years``, ``pot``, ``events``, ``place``, ``weights``: see `plan`.

    Returns
    -------
    awkward.Array or dict
        Columns as in `COLUMNS`, in order of time.
    """
    run = plan(experiment, seed, **options)
    block = run.make(start, run.events if stop is None else min(stop, run.events), workers)
    if selected_only:
        block = select(block)
    return _as(block, library)


def iterate(
    experiment: Experiment,
    *,
    seed: int = 1,
    start: int = 0,
    stop: int | None = None,
    step: int = BLOCK_EVENTS,
    library: Literal["ak", "np"] = "ak",
    workers: Here = HERE,
    selected_only: bool = False,
    **options: Any,
) -> Iterator[Any]:
    """Events of a run in blocks of at most `step`; parameters as for `generate`."""
    run = plan(experiment, seed, **options)
    for block in run.blocks(start, stop, step, workers):
        yield _as(select(block) if selected_only else block, library)


def _as(block: Block, library: str) -> Any:
    if library == "np":
        return block
    if library != "ak":
        raise ValueError(f"library must be 'ak' or 'np', not '{library}'")
    import awkward as ak

    return ak.zip(block, depth_limit=1)
