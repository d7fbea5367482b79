"""`nuspill status`: how far a run is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ...reco.runs.folder import Entry, Manifest, pieces, read_log, read_manifest
from ...toys.construction.numbering import BETWEEN
from ..options.output import Output, json_option

RESULT = {"toys": "region.json", "coverage": "coverage.json"}
"""File of results that a run of each kind writes at its end."""


@dataclass(frozen=True)
class Block:
    """A file of a run, and whether it is there."""

    file: str
    state: str
    sha256: str
    first: int
    size: int


@dataclass(frozen=True)
class Status:
    """How far a run is."""

    folder: Path
    manifest: Manifest
    blocks: list[Block]
    seconds: float
    last: Entry | None
    """Last entry of the log; None if the log is empty."""

    @property
    def whole(self) -> list[Block]:
        """Blocks whose files are there."""
        return [block for block in self.blocks if block.state == "done"]

    @property
    def done(self) -> int:
        """Events or toys that are there; toys round limits are beside what is asked for."""
        last = BETWEEN if self.manifest.kind == "toys" else float("inf")
        return sum(block.size for block in self.whole if block.first < last)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum((self.folder / block.file).stat().st_size for block in self.whole)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        kind, wanted = self.manifest.kind, _wanted(self.manifest)[0]
        if kind == "events":
            return len(self.whole) == int(self.manifest.configuration["parts"])
        if wanted is not None and self.done < wanted and not self.manifest.request.get("adaptive"):
            return False
        return kind in RESULT and (self.folder / RESULT[kind]).exists()

    def as_json(self) -> dict[str, object]:
        """Content for JSON."""
        return {
            "folder": str(self.folder),
            "kind": self.manifest.kind,
            "experiments": _names(self.manifest),
            "seed": self.manifest.configuration["seed"],
            "version": self.manifest.configuration["version"],
            "hash": self.manifest.digest,
            "complete": self.complete,
            "done": self.done,
            "wanted": _wanted(self.manifest)[0],
            "bytes": self.bytes,
            "seconds": self.seconds,
            "last": self.last or {},
            "blocks": [asdict(block) for block in self.blocks],
        }

    def rows(self) -> list[tuple[str, str]]:
        """Lines of the table."""
        config = self.manifest.configuration
        wanted, unit = _wanted(self.manifest)
        progress = (
            "" if wanted is None else f" of {wanted} ({100 * self.done / max(wanted, 1):.1f} %)"
        )
        parts = f" of {config['parts']}" if self.manifest.kind == "events" else ""
        lost = len(self.blocks) - len(self.whole)
        missing = f"; {lost} are missing" if lost else ""
        last = self.last or Entry()
        happened = last.get("time"), last.get("what"), last.get("file"), last.get("why")
        return [
            ("state", "complete" if self.complete else "not complete: nuspill resume goes on"),
            (unit, f"{self.done}{progress}"),
            ("files", f"{len(self.whole)}{parts}, {self.bytes / 1e6:.1f} MB{missing}"),
            ("seed", str(config["seed"])),
            ("version", config["version"]),
            ("last", " ".join(text or "" for text in happened)),
        ]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def command(folder: Path, output: Output) -> None:
    """Tell what a folder's run is, which blocks are done, and what happened last.

    Files are only looked for; `nuspill verify` reads them.
    """
    status = look(folder)
    kind, names = status.manifest.kind, _names(status.manifest)
    output.table(f"{folder}: {kind} of {' + '.join(names)}", ["", ""], status.rows())
    output.json(status.as_json())


def look(folder: Path) -> Status:
    """Look for the files of a run."""
    manifest = read_manifest(folder)
    log = list(read_log(folder))
    blocks = [
        Block(
            file=name,
            state="done" if (folder / name).is_file() else "missing",
            sha256=piece.sha256,
            first=piece.first,
            size=piece.size,
        )
        for name, piece in sorted(pieces(folder).items())
    ]
    seconds = sum((float(entry.get("seconds", 0.0)) for entry in log), 0.0)
    return Status(folder, manifest, blocks, seconds, log[-1] if log else None)


def _names(manifest: Manifest) -> list[str]:
    config = manifest.configuration
    experiments = [config["experiment"]] if manifest.kind == "events" else config["experiments"]
    return [experiment["name"] for experiment in experiments]


def _wanted(manifest: Manifest) -> tuple[int | None, str]:
    """Events or toys that are asked for, if that is known."""
    config, request = manifest.configuration, manifest.request
    if manifest.kind == "events":
        return request["events"], "events"
    if manifest.kind == "coverage":
        return request.get("toys"), "toys"
    if "toys" not in request:
        return None, "toys"
    points = 1
    for axis in config["axes"].values():
        points *= len(axis)
    return request["toys"] * points, "toys"
