"""Export of an ntuple to a format, import of a format to an ntuple."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...columns import COLUMNS, PLACE_COLUMNS, Block
from ...errors import ExperimentError, OutputError
from ...experiment import Experiment, load, validate
from ...files import replacing
from ...runs.provenance import Provenance, described, live_time, versions
from ...runs.tree import PROVENANCE, TREE, Counts, recreated
from .about import About
from .blocks import clean, complete
from .door import find, recognised
from .sample import Sample, sample_of
from .source import Damage, Facts, Source


def export_sample(sample: Sample, name: str, output: Path, overwrite: bool = False) -> int:
    """Write a sample in a format; returns the number of events written.

    Raises
    ------
    ExperimentError
        If the format does not exist or cannot hold the sample.
    OutputError
        If the output exists or cannot be written; nothing is left behind.
    """
    form = find(name, "write")
    opened = replacing if form.PLACES == "file" else replacing_folder
    with opened(output, overwrite) as temporary:
        try:
            return int(form.write(sample, temporary))
        except (ExperimentError, OSError):
            raise
        except ValueError as error:
            raise ExperimentError(f"{output}: {error}") from error


def export_events(
    events: str | Path,
    name: str,
    output: str | Path,
    *,
    settings: Mapping[str, object] | None = None,
    pulses: tuple[int, int] | None = None,
    selected_only: bool = True,
    overwrite: bool = False,
) -> int:
    """Write an ntuple in a format; parameters as for `sample_of`."""
    find(name, "write")
    sample = sample_of(events, settings, pulses, selected_only)
    return export_sample(sample, name, Path(output), overwrite)


@contextmanager
def replacing_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` on success and vanishes otherwise."""
    if path.exists() and not (overwrite and path.is_dir()):
        raise OutputError(f"{path}: exists; --overwrite replaces a folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}")
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def opened_source(
    path: str | Path,
    name: str | None = None,
    *,
    experiment: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    repair: bool = False,
    fallback: Experiment | None = None,
) -> tuple[Any, Source]:
    """The format of a file, by default what it looks like, and what its reader needs.

    The experiment is the one given, the one that nuspill wrote into the file, the format's own, or
    `fallback`.
    """
    path = Path(path)
    form = find(name or recognised(path), "read")
    if not path.exists():
        raise ExperimentError(f"{path}: there is no such file")
    if form.PLACES == "file" and path.is_dir():
        raise ExperimentError(f"{path}: is a folder; '{form.NAME}' is a file")
    if path.is_file() and path.stat().st_size == 0:
        raise ExperimentError(f"{path}: is empty")
    about = _embedded(form, path)
    if experiment is not None or (about is None and form.DEFAULT is not None):
        known = load(experiment or form.DEFAULT, settings)
    elif about is not None:
        known = validate(about.experiment, str(path))
        known = known.replace(**{"daq.first_pulse": about.first_pulse, **(settings or {})})
    elif fallback is not None:
        known = fallback.replace(**(settings or {}))
    else:
        raise ExperimentError(
            f"{path}: '{form.NAME}' does not tell of which experiment it is: give --experiment"
        )
    facts = Facts(about.pulses, about.protons_on_target, about.seed) if about else Facts()
    return form, Source(path, known, Damage(path, repair), facts)


def _embedded(form: Any, path: Path) -> About | None:
    """What nuspill wrote into a file, if it is there and can be read."""
    if not hasattr(form, "embedded"):
        return None
    try:
        about: About | None = form.embedded(path)
    except ExperimentError:
        raise
    except Exception:  # the reader finds out what is wrong with the file
        return None
    return about


def blocks_of(form: Any, source: Source) -> Iterator[Block]:
    """Completed blocks of a file, in order of time."""
    last_pulse, events = -1, 0
    try:
        for raw in form.read(source):
            block, last_pulse = clean(raw, source.damage, last_pulse)
            if len(block["pulse"]):
                yield complete(block, source.experiment, events)
                events += len(block["pulse"])
    except ExperimentError:
        raise
    except MemoryError as error:
        raise source.wrong("does not fit in memory") from error
    except Exception as error:  # the packages raise errors of many kinds on damaged files
        text = str(error) or type(error).__name__
        raise source.wrong(f"is no whole file of format '{form.NAME}': {text[:200]}") from error
    source.facts.last_pulse, source.facts.events = last_pulse, events


def import_events(
    path: str | Path,
    output: str | Path,
    name: str | None = None,
    *,
    experiment: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    pulses: int | None = None,
    repair: bool = False,
    overwrite: bool = False,
) -> Provenance:
    """Read a file of a format into an ntuple.

    Parameters
    ----------
    path, name
        The file and its format; by default what it looks like.
    output
        The ROOT file.
    experiment
        Name or TOML file; by default what nuspill wrote into the file.
    settings
        Keys to change.
    pulses
        Beam pulses in the file; by default as the file says, or up to the last event.
    repair
        Drop damaged records, and count them, in place of an error.

    Returns
    -------
    dict
        The provenance of the ntuple.

    Raises
    ------
    ExperimentError
        If the file is not of the format, or damaged.
    OutputError
        If the output exists or cannot be written; nothing is left behind.
    """
    form, source = opened_source(
        path, name, experiment=experiment, settings=settings, repair=repair
    )
    with replacing(Path(output), overwrite) as temporary, recreated(temporary, "zstd") as file:
        counts, tree = Counts(), None
        empty = complete(
            {k: np.empty(0) for k in ("pulse", "time", "e_reco")}, source.experiment, 0
        )
        for block in blocks_of(form, source):
            if tree is None:
                tree = file.mktree(TREE, {name: c.dtype for name, c in block.items()})
                empty = block
            tree.extend(block)
            counts.add(block)
        if tree is None:
            file.mktree(TREE, {name: column.dtype for name, column in empty.items()})
        provenance = imported_provenance(form.NAME, source, list(empty), pulses)
        provenance["generated"] = counts.table()
        file[PROVENANCE] = json.dumps(provenance)
    return provenance


def imported_provenance(
    name: str, source: Source, columns: list[str], pulses: int | None
) -> Provenance:
    """What an imported ntuple says of itself; keys as of a generated one, where they are known."""
    experiment, facts = source.experiment, source.facts
    windows = experiment.beam_windows
    origin: Literal["given", "the file", "the last event"] = "given"
    if pulses is None:
        origin = "the last event" if facts.pulses is None else "the file"
    number = max(source.pulses if pulses is None else pulses, 0)
    protons, years = facts.protons_on_target, number / experiment.source.pulses_per_year
    meaning = COLUMNS | PLACE_COLUMNS
    meaning["e_reco"] = ("float32", experiment.detector.unit, COLUMNS["e_reco"][2])
    return {
        "program": "nuspill",
        "versions": versions(),
        "imported": {
            "file": str(source.path),
            "format": name,
            "pulses_from": origin,
            "dropped": dict(source.damage.dropped),
            "unknown": "0 in whole-number columns, NaN in the others; pulse -1",
        },
        "seed": facts.seed,
        "experiment": experiment.model_dump(mode="json"),
        "years_of_operation": years,
        "protons_on_target": experiment.source.protons * years if protons is None else protons,
        "first_pulse": experiment.daq.first_pulse,
        "pulses": experiment.daq.first_pulse + number,
        "pulse_period_ns": windows.period,
        "live_time_s": live_time(number, windows),
        "components": {"0": "measured"},
        "run_events": facts.events,
        "first_event": 0,
        "events": facts.events,
        "columns": described({c: about for c, about in meaning.items() if c in columns}),
    }
