"""A run as a folder: what it is, what is done of it, and what has happened.

`manifest.json` says what the run is: its configuration, which decides every number, and what is
asked of it. It is written once. `log.jsonl` is appended to, a line whenever a file is whole (its
name, checksum and content), work starts, stops or goes wrong: the block table and the log in one,
which costs the same for ten blocks and for a million. A line that was cut short by a full disk or a
dead process is dropped. Blocks are pure functions of configuration and number, so that whatever is
not in the log is simply made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from io import BufferedRandom
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from ...generator.arrays import Json
from ..errors import OutputError
from ..files import replacing
from .provenance import Generated

MANIFEST = "manifest.json"
LOG = "log.jsonl"
LIBRARIES = ("nuspill", "numpy", "scipy", "numba", "uproot", "awkward", "distributed")
SHOWN = 3
"""Most differences of two configurations that a message shows."""

Kind = Literal["events", "toys", "coverage"]


@dataclass(frozen=True)
class Manifest:
    """What a run is."""

    kind: Kind
    configuration: Json
    """All that decides the numbers of the run, the version of nuspill too, as JSON."""
    request: Json
    """How much of the run is wanted, and what to do with it; may change from call to call."""

    @property
    def digest(self) -> str:
        """SHA-256 of kind and configuration."""
        return digest([self.kind, self.configuration])


@dataclass(frozen=True)
class Piece:
    """A file of a run that is whole."""

    file: str
    sha256: str
    first: int
    """Number of the first event in it, or point."""
    size: int
    """Number of events, or toys."""
    generated: list[Generated]
    """Counts of events by component; empty for toys."""


class Entry(TypedDict, total=False):
    """A line of the log; `what` decides which of the others it has."""

    time: str
    """When the line was written, UTC."""
    what: str
    """Kind of line: ``start``, ``piece``, ``stop`` or ``complete``."""
    file: str
    """File name; it and the next four keys are the fields of a `Piece`."""
    sha256: str
    first: int
    size: int
    generated: list[Generated]
    seconds: float
    """Time that it took to make the file."""
    worker: str
    """Worker that made the file, on a cluster."""
    where: str
    """Threads or cluster on which the work started."""
    parts: int
    missing: int
    """Number of parts that were missing at the start."""
    events: int
    why: str
    """Reason for which the work stopped."""


def digest(content: Any) -> str:
    """SHA-256 of JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """What the run in a folder is.

    Raises
    ------
    OutputError
        If it holds none, or one that was changed.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text("utf-8"))
        stored = Manifest(content["kind"], content["configuration"], content["request"])
        if content["program"] != "nuspill" or stored.kind not in ("events", "toys", "coverage"):
            raise ValueError("it is of something else")
        if content["hash"] != stored.digest or not isinstance(stored.request, dict):
            raise ValueError("its hash does not fit")
    except FileNotFoundError as error:
        raise OutputError(f"{folder}: holds no run: there is no {path}") from error
    except KeyError as error:
        raise OutputError(f"{path}: is not a manifest of nuspill: {error} is missing") from error
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path}: is not a manifest of nuspill: {error}") from error
    return stored


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what a run is."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    content = {
        "program": "nuspill",
        "kind": manifest.kind,
        "hash": manifest.digest,
        "versions": versions,
        "request": manifest.request,
        "configuration": manifest.configuration,
    }
    with replacing(folder / MANIFEST, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1), "utf-8")


def make_folder(folder: Path) -> bool:
    """Make a folder if it is missing; tells whether it holds a manifest.

    Raises
    ------
    OutputError
        If it cannot be made, or is not empty and holds none.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    if (folder / MANIFEST).exists():
        return True
    left = [f for f in folder.iterdir() if not f.name.startswith(".")]
    if any(f.name != LOG or f.stat().st_size > 0 for f in left):
        raise OutputError(f"{folder}: is not empty and holds no {MANIFEST}")
    return False


def refuse_another(folder: Path, there: Manifest, wanted: Manifest, hint: str = "") -> None:
    """Refuse a folder of a run of another configuration or version, showing the difference."""
    if there.kind != wanted.kind:
        raise OutputError(f"{folder}: holds {there.kind}, not {wanted.kind}{hint}")
    made, now = (m.configuration.get("streams", 1) for m in (there, wanted))
    if made != now:
        raise OutputError(
            f"{folder}: holds {there.kind} of random streams {made}; a seed stands for other "
            f"numbers in streams {now} of this version, which cannot make it again{hint}"
        )
    lines = list(differences(there.configuration, wanted.configuration))
    if lines:
        more = f", and {len(lines) - SHOWN} more differences" if len(lines) > SHOWN else ""
        raise OutputError(
            f"{folder}: holds a run of another {'; '.join(lines[:SHOWN])}{more}{hint}"
        )


def differences(there: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """Lines `key: this, not that` for all values that differ in two configurations."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        for name in dict.fromkeys([*there, *wanted]):
            inner = f"{key}.{name}" if key else name
            yield from differences(there.get(name), wanted.get(name), inner)
    elif isinstance(there, list) and isinstance(wanted, list) and len(there) == len(wanted):
        for number, (a, b) in enumerate(zip(there, wanted, strict=True)):
            yield from differences(a, b, f"{key}[{number}]")
    elif there != wanted:
        a, b = (json.dumps(value)[:120] for value in (there, wanted))
        yield f"{key}: {a}, not {b}"


class Log:
    """The log of a run, held open by the one process that works on it."""

    def __init__(self, folder: Path, file: BufferedRandom) -> None:
        self.path, self._file = folder / LOG, file

    def add(self, what: str, **details: Any) -> None:
        """Append a line, on disk when this returns."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": now, "what": what, **details}).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def piece(self, piece: Piece, **details: Any) -> None:
        """Say that a file is whole."""
        self.add("piece", **asdict(piece), **details)


@contextmanager
def open_log(folder: Path, fresh: bool = False) -> Iterator[Log]:
    """The log of a run, with `fresh` an empty one.

    Raises
    ------
    OutputError
        If another process works on the run, or nothing can be written.
    """
    path = folder / LOG
    try:
        path.touch()
        file = path.open("rb+")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        _lock(file, folder)
        if fresh:
            file.truncate(0)
        _drop_cut_line(file)
        yield Log(folder, file)
    finally:
        try:
            file.close()
        except OSError as error:  # what could not be written is dropped when it is opened next
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _lock(file: BufferedRandom, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"{folder}: another process works on this run") from error
    except OSError:  # a file system without locks
        return


def _drop_cut_line(file: BufferedRandom) -> None:
    """Place the file after its last whole line."""
    file.seek(0, os.SEEK_END)
    end = at = file.tell()
    while at > 0:
        step = min(at, 4096)
        file.seek(at - step)
        last = file.read(step).rfind(b"\n")
        if last >= 0:
            at = at - step + last + 1
            break
        at -= step
    if at < end:
        file.truncate(at)
    file.seek(at)


def read_log(folder: Path) -> Iterator[Entry]:
    """Lines of the log, in order.

    Raises
    ------
    OutputError
        If a line is damaged.
    """
    path = folder / LOG
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    entry = json.loads(line)
                    if not isinstance(entry, dict) or "what" not in entry:
                        raise ValueError(f"line {number} is none")
                    yield cast(Entry, entry)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: is not a log of nuspill, or damaged: {error}") from error


def pieces(folder: Path) -> dict[str, Piece]:
    """Files that are whole by the log, by name; of a file made twice the last."""
    latest = {}
    for entry in read_log(folder):
        if entry["what"] == "piece":
            try:
                piece = Piece(
                    file=entry["file"],
                    sha256=entry["sha256"],
                    first=entry["first"],
                    size=entry["size"],
                    generated=entry["generated"],
                )
            except KeyError as error:
                raise OutputError(f"{folder / LOG}: a piece has no {error}") from error
            latest[piece.file] = piece
    return latest
