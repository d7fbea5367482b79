"""Folders of runs looked at again: checksums, parts made anew, and parts joined to one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..cluster.workers import HERE, Here, Progress, nothing, one_ahead
from ..columns import BLOCK_EVENTS, Block, select
from ..errors import OutputError
from ..files import replacing
from .folder import Piece, checksum, pieces, read_manifest, refuse_another
from .layout import Options, part, restore_run
from .ntuple import provenance
from .reading import PARTS, reading
from .run import Run
from .tree import PROVENANCE, TREE, Counts, recreated


def wrong_files(folder: Path) -> Iterator[str]:
    """Names of files that are missing, or not what the log says they are."""
    for name, piece in sorted(pieces(folder).items()):
        path = folder / name
        try:
            if checksum(path) != piece.sha256:
                yield name
        except OSError:
            yield name


def strays(folder: Path) -> list[str]:
    """Names of parts in a folder that are none of its run by the log, and would be read with it."""
    known = pieces(folder)
    return [path.name for path in sorted(folder.glob(PARTS)) if path.name not in known]


def read_blocks(path: Path, columns: Sequence[str]) -> Iterator[Block]:
    """Blocks of the rows of a part.

    Raises
    ------
    OutputError
        If it cannot be read.
    """
    import uproot

    try:
        with uproot.open(path, object_cache=None, array_cache=None) as file:
            tree = file[TREE]
            for start in range(0, int(tree.num_entries), BLOCK_EVENTS):
                arrays = tree.arrays(
                    list(columns), entry_start=start, entry_stop=start + BLOCK_EVENTS
                )
                yield {name: np.asarray(arrays[name]) for name in columns}
    except (OSError, KeyError, ValueError, uproot.DeserializationError) as error:
        raise OutputError(f"{path}: is not a part of a run: {error}") from error


def part_is_right(
    run: Run, options: Options, folder: Path, number: int, workers: Here = HERE
) -> bool:
    """Make a part anew and compare it with that of the folder, bit for bit."""
    wanted = part(run, options.parts, number)
    made = run.blocks(wanted.start, wanted.stop, BLOCK_EVENTS, workers)
    chosen = (select(block) if options.selected_only else block for block in made)
    kept: Block = run.allocate(0)
    for block in read_blocks(folder / wanted.name, list(run.dtypes)):
        while len(kept["event"]) < len(block["event"]):
            following = next(chosen, None)
            if following is None:
                return False
            kept = {name: np.concatenate([kept[name], following[name]]) for name in kept}
        size = len(block["event"])
        for name, values in block.items():
            if values.dtype != kept[name].dtype or values.tobytes() != kept[name][:size].tobytes():
                return False
        kept = {name: values[size:] for name, values in kept.items()}
    return len(kept["event"]) == 0 and all(len(block["event"]) == 0 for block in chosen)


def join_parts(
    folders: Sequence[Path],
    path: Path,
    overwrite: bool = False,
    progress: Progress = nothing,
) -> Counts:
    """Write the parts of a run, from one folder or several, as one file.

    Raises
    ------
    OutputError
        If the folders are of different runs, or a part is in none of them.
    """
    inside = [folder for folder in folders if path.resolve().parent == folder.resolve()]
    if inside:
        raise OutputError(f"{path}: is in {inside[0]}, among the parts; write it elsewhere")
    run, options = restore_run(folders[0])
    first = read_manifest(folders[0])
    for other in folders[1:]:
        refuse_another(other, read_manifest(other), first)
    whole: dict[str, tuple[Path, Piece]] = {}
    for folder in folders:
        for name, piece in pieces(folder).items():
            if (folder / name).is_file():
                whole.setdefault(name, (folder / name, piece))
    parts = [part(run, options.parts, number) for number in range(options.parts)]
    missing = [wanted.name for wanted in parts if wanted.name not in whole]
    if missing:
        raise OutputError(
            f"{' '.join(map(str, folders))}: {len(missing)} of {len(parts)} parts are not there, "
            f"the first is {missing[0]}; nuspill resume makes them"
        )
    about = provenance(run, 0, run.events, options.selected_only)
    counts = Counts()

    def blocks() -> Iterator[Block]:
        for wanted in parts:
            source, piece = whole[wanted.name]
            if checksum(source) != piece.sha256:
                raise OutputError(f"{source}: is damaged; nuspill resume makes it again")
            yield from read_blocks(source, list(run.dtypes))
            progress(piece.size)

    with replacing(path, overwrite) as temporary:
        with recreated(temporary, options.compression) as file:
            make = file.mktree if options.format == "ttree" else file.mkrntuple
            tree = make(TREE, run.dtypes)
            for block in one_ahead(blocks()):
                tree.extend(block)
            for wanted in parts:
                counts += Counts(whole[wanted.name][1].generated)
            about["generated"] = counts.table()
            file[PROVENANCE] = json.dumps(about)
        reading(temporary)  # has as many rows as its provenance tells, or is not kept
    return counts
