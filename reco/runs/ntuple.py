"""Ntuples: ROOT files with the columns of a run and their provenance.

A TTree `events` (default) or an RNTuple of that name, and beside it the string `provenance`, JSON.
A file is written under a temporary name and renamed when whole.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...generator.sampling.names import STREAMS
from ..cluster.workers import HERE, Here
from ..columns import BLOCK_EVENTS, select
from ..errors import ExperimentError
from ..expectation import cross_sections
from ..files import replacing
from .provenance import Provenance, described, live_time, versions
from .run import Extent, Run
from .tree import PROVENANCE, TREE, Counts, Format, parse_compression, recreated


def provenance(
    run: Run,
    start: int,
    stop: int,
    selected_only: bool = False,
    pulses: tuple[int, int] | None = None,
) -> Provenance:
    """What a file says of itself: versions, seed, experiment, exposure, expectations, columns.

    Exposure and expectations are of the run; the file has events start ... stop − 1 of it, which
    are those of `covered_pulses`: by default as `Run.extent` says.
    """
    if pulses is None:
        pulses = run.extent(start, stop)[2:]
    experiment, windows = run.experiment, run.experiment.beam_windows
    return {
        "program": "nuspill",
        "versions": versions(),
        "seed": run.seed,
        "streams": STREAMS,
        "experiment": experiment.model_dump(mode="json"),
        "years_of_operation": run.years,
        "protons_on_target": run.protons,
        "pulses": run.pulses,
        "covered_pulses": list(pulses),
        "pulse_period_ns": windows.period,
        "slice_pulses": int(run.chain.timing.slice_pulses),
        "fixed_signal_events": run.fixed_signal,
        "live_time_s": live_time(run.pulses, windows),
        "truth_threshold_kev": run.truth_threshold,
        "flux_averaged_cross_section_cm2": cross_sections(experiment),
        "components": {str(number): name for number, name in experiment.components.items()},
        "expected": [
            {
                "component": e.component,
                "name": e.name,
                "total": e.total * run.years,
                "in_window": [n * run.years for n in e.in_window],
                "selected": [n * run.years for n in e.selected],
            }
            for e in run.expected
        ],
        "run_events": run.events,
        "first_event": start,
        "events": stop - start,
        "selected_only": selected_only,
        "weights": {name: model.model_dump(mode="json") for name, model in run.models.items()},
        "columns": described(run.columns),
    }


def write(
    run: Run,
    path: str | Path,
    *,
    events: range | Extent | None = None,
    format: Format = "ttree",
    compression: str = "zstd",
    selected_only: bool = False,
    overwrite: bool = False,
    workers: Here = HERE,
) -> Counts:
    """Write events of a run to a ROOT file.

    Parameters
    ----------
    run
        The run, from `plan`.
    path
        The file; it appears when it is whole.
    events
        Numbers of the events to write, by default all; with `Extent` also their pulses.
    format
        ``"ttree"`` or ``"rntuple"``.
    compression
        See `parse_compression`.
    selected_only
        Leave out events that are not selected.
    overwrite
        Replace a file that is there.
    workers
        Threads; their `progress` is called with the number of events of each block written.

    Returns
    -------
    Counts
        Events made by component, window and selection, also in the provenance.

    Raises
    ------
    OutputError
        If the file exists or cannot be written; nothing is left behind.
    """
    path = Path(path)
    if format not in ("ttree", "rntuple"):
        raise ExperimentError(f"format must be 'ttree' or 'rntuple', not '{format}'")
    parse_compression(compression)
    extent = _extent(run, events)
    pulses = extent.first_pulse, extent.stop_pulse
    about = provenance(run, extent.start, extent.stop, selected_only, pulses)
    with replacing(path, overwrite) as temporary, recreated(temporary, compression) as file:
        tree = (file.mktree if format == "ttree" else file.mkrntuple)(TREE, run.dtypes)
        counts = Counts()
        for block in run.blocks(extent.start, extent.stop, BLOCK_EVENTS, workers, reuse=True):
            counts.add(block)
            tree.extend(select(block) if selected_only else block)
            workers.progress(len(block["event"]))
        about["generated"] = counts.table()
        file[PROVENANCE] = json.dumps(about)
    return counts


def _extent(run: Run, events: range | Extent | None) -> Extent:
    """Events to write, which are consecutive and of the run."""
    if isinstance(events, Extent):
        return events
    events = range(run.events) if events is None else events
    if events.step != 1 or not 0 <= events.start <= events.stop <= run.events:
        raise ExperimentError(f"events must be consecutive from 0 to {run.events}, not {events}")
    return run.extent(events.start, events.stop)
