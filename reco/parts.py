"""Long runs: a folder of numbered parts with a manifest, resumed from the parts that are there."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..generator.form_factor import MODELS
from .errors import OutputError
from .ntuple import Counts, Format, Progress, replacing, write
from .run import Run

MANIFEST = "manifest.json"


def run_hash(run: Run, **options: Any) -> str:
    """SHA-256 of everything that decides the content of a run's files."""
    tables = {
        model.form_factor: _checksum(Path(model.form_factor))
        for model in (run.experiment.interaction, *run.models.values())
        if model.form_factor not in MODELS
    }
    content = {
        "tables": tables,
        "experiment": run.experiment.model_dump(mode="json", exclude={"analysis"}),
        "seed": run.seed,
        "pulses": run.pulses,
        "fixed_signal": run.fixed_signal,
        "columns": list(run.columns),
        "weights": {name: model.model_dump(mode="json") for name, model in run.models.items()},
        "version": version("nuspill"),
        **options,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def part_name(number: int) -> str:
    """File name of a part."""
    return f"part-{number:05d}.root"


def write_parts(
    run: Run,
    folder: str | Path,
    parts: int,
    *,
    format: Format = "ttree",
    compression: str = "zstd",
    selected_only: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Write a run as numbered parts in a folder, going on from the parts that are there.

    Parameters
    ----------
    run, format, compression, selected_only, threads, progress
        As for `write`.
    folder
        Made if missing. It holds the parts and `manifest.json`.
    parts
        Number of parts, of equal numbers of slices.
    overwrite
        Begin anew if the folder holds a finished run or another one.

    Returns
    -------
    Counts
        Of all parts. The parts, in order of time, are together the single file, event by event.

    Raises
    ------
    OutputError
        If the folder holds something else, or cannot be written.
    """
    if parts < 1:
        raise ValueError(f"parts must be at least 1, not {parts}")
    folder = Path(folder)
    digest = run_hash(
        run, parts=parts, format=format, compression=compression, selected_only=selected_only
    )
    manifest = _open_folder(folder, digest, run, parts, overwrite)
    edges = [run.slices * i // parts for i in range(parts + 1)]
    counts = Counts()
    for number in range(parts):
        name = part_name(number)
        path = folder / name
        start, stop = (int(run.offsets[edge]) for edge in edges[number : number + 2])
        done = manifest["parts"].get(name)
        if done is not None and path.is_file() and _checksum(path) == done["sha256"]:
            counts += Counts(done["generated"])
            if progress is not None:
                progress(stop - start)
        else:
            made = write(
                run,
                path,
                start=start,
                stop=stop,
                format=format,
                compression=compression,
                selected_only=selected_only,
                overwrite=True,
                threads=threads,
                progress=progress,
            )
            manifest["parts"][name] = {
                "first_event": start,
                "events": stop - start,
                "sha256": _checksum(path),
                "generated": made.table(),
            }
            counts += made
            manifest["complete"] = len(manifest["parts"]) == parts
            _save(folder / MANIFEST, manifest)
    return counts


def _open_folder(folder: Path, digest: str, run: Run, parts: int, overwrite: bool) -> Any:
    fresh = {
        "run": digest,
        "experiment": run.experiment.name,
        "seed": run.seed,
        "events": run.events,
        "number_of_parts": parts,
        "complete": False,
        "parts": {},
    }
    path = folder / MANIFEST
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    if not path.exists():
        left = [f for f in folder.iterdir() if not f.name.startswith(f".{MANIFEST}.")]
        if left and not overwrite:
            raise OutputError(f"{folder}: is not empty and holds no {MANIFEST}")
        return _start(folder, fresh)
    try:
        manifest = json.loads(path.read_text("utf-8"))
        same = manifest["run"] == digest and isinstance(manifest["parts"], dict)
        complete = manifest["complete"] and all(
            (folder / part_name(i)).is_file() for i in range(parts)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is not a manifest of nuspill: {error}") from error
    if same and not complete:
        return manifest
    if not overwrite:
        raise OutputError(
            f"{folder}: holds this run, complete; --overwrite makes it anew"
            if same
            else f"{folder}: holds another run ({manifest.get('experiment')}, seed "
            f"{manifest.get('seed')}, {manifest.get('events')} events in "
            f"{manifest.get('number_of_parts')} parts); --overwrite replaces it"
        )
    return _start(folder, fresh)


def _start(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Begin a folder anew, without the parts of another run."""
    for left in folder.glob("part-*.root"):
        left.unlink()
    _save(folder / MANIFEST, manifest)
    return manifest


def _save(path: Path, manifest: dict[str, Any]) -> None:
    with replacing(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1), "utf-8")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
