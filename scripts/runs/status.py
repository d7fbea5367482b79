"""`nuspill status`: how far a run is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...reco.runs.folder import Manifest, pieces, read_log, read_manifest
from ..common import json_option, print_table, write_json


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def command(folder: Path, json_file: str | None) -> None:
    """Tell what a folder's run is, which blocks are done, and what happened last.

    Files are only looked for; `nuspill verify` reads them.
    """
    manifest = read_manifest(folder)
    last: dict[str, Any] = {}
    seconds = 0.0
    for entry in read_log(folder):
        last = entry
        seconds += float(entry.get("seconds", 0.0))
    done = pieces(folder)
    blocks = [
        {
            "file": name,
            "state": "done" if (folder / name).is_file() else "missing",
            "sha256": piece.sha256,
            "first": piece.first,
            "size": piece.size,
        }
        for name, piece in sorted(done.items())
    ]
    whole = [block for block in blocks if block["state"] == "done"]
    made = sum(int(str(block["size"])) for block in whole)
    wanted, unit = _wanted(manifest)
    complete = (folder / f"{RESULT[manifest.kind]}").exists() if manifest.kind in RESULT else False
    if manifest.kind == "events":
        complete = len(whole) == manifest.configuration["parts"]
    elif wanted is not None and made < wanted and not manifest.request.get("adaptive"):
        complete = False
    size = sum((folder / str(block["file"])).stat().st_size for block in whole)
    content = {
        "folder": str(folder),
        "kind": manifest.kind,
        "experiments": _names(manifest),
        "seed": manifest.configuration["seed"],
        "version": manifest.configuration["version"],
        "hash": manifest.digest,
        "complete": complete,
        "done": made,
        "wanted": wanted,
        "bytes": size,
        "seconds": seconds,
        "last": last,
        "blocks": blocks,
    }
    of = "" if wanted is None else f" of {wanted} ({100 * made / max(wanted, 1):.1f} %)"
    files = f"{len(whole)}"
    if manifest.kind == "events":
        files += f" of {manifest.configuration['parts']}"
    lost = len(blocks) - len(whole)
    rows = [
        ("state", "complete" if complete else "not complete: nuspill resume goes on"),
        (unit, f"{made}{of}"),
        ("files", f"{files}, {size / 1e6:.1f} MB" + (f"; {lost} are missing" if lost else "")),
        ("seed", str(manifest.configuration["seed"])),
        ("version", manifest.configuration["version"]),
        ("last", " ".join(str(last.get(key, "")) for key in ("time", "what", "file", "why"))),
    ]
    title = f"{folder}: {manifest.kind} of {' + '.join(_names(manifest))}"
    print_table(title, ["", ""], rows, json_file == "-")
    write_json(json_file, content)


RESULT = {"toys": "region.json", "coverage": "coverage.json"}
"""Written at the end."""


def _names(manifest: Manifest) -> list[str]:
    config = manifest.configuration
    found = [config["experiment"]] if manifest.kind == "events" else config["experiments"]
    return [experiment["name"] for experiment in found]


def _wanted(manifest: Manifest) -> tuple[int | None, str]:
    """Events or toys that are asked for, if that is known."""
    config, request = manifest.configuration, manifest.request
    if manifest.kind == "events":
        return request["events"], "events"
    if manifest.kind == "coverage":
        return config["toys"] * (2 * len(config["points"]) + 1), "toys"
    if "toys" not in request:
        return None, "toys"
    points = 1
    for axis in config["axes"].values():
        points *= len(axis)
    return request["toys"] * points, "toys"
