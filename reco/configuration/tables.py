"""Files that a setting names, and how they are found.

A path in an experiment's file is relative to the folder of that file; one of the command line
(``--set``, ``--weight``) or of Python, to the working folder. The file is read once, when the
experiment is loaded, and its values stand in place of its name from then on: in the experiment, in
provenances and manifests, and on the workers of a cluster. So nothing that is finished needs the
file again, and no other file of its name is taken for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...generator.arrays import Json
from ...generator.form_factor import TABLE_SUFFIXES, read_table
from ..errors import ExperimentError
from ..releases import RELEASES
from ..templates.histogram import read_histogram


def with_tables(data: Json, folder: Path, origin: str) -> Json:
    """Data of an experiment, its presets and periods, with the values of the files they name.

    Parameters
    ----------
    data
        It is not changed.
    folder
        Where relative paths begin.
    origin
        What the error names.

    Raises
    ------
    ExperimentError
        If a file cannot be read.
    """
    release = data.get("release")
    presets, periods = data.get("preset"), data.get("period")
    data = _with_files(data, release, folder, origin)
    if isinstance(presets, dict):
        read = {n: _with_files(layer, release, folder, origin) for n, layer in presets.items()}
        data = data | {"preset": read}
    if isinstance(periods, list):
        each = [_with_files(layer, release, folder, origin) for layer in periods]
        data = data | {"period": each}
    return data


def _with_files(layer: Any, release: Any, folder: Path, origin: str) -> Any:
    """A layer of settings with the values of its files; what is no layer as it is."""
    if not isinstance(layer, dict):
        return layer
    layer = _with_form_factor(layer, folder, origin)
    return _with_templates(layer, layer.get("release", release), folder, origin)


def _with_form_factor(layer: Json, folder: Path, origin: str) -> Json:
    """A layer of settings with the values of its form factor."""
    interaction = layer.get("interaction")
    name = interaction.get("form_factor") if isinstance(interaction, dict) else None
    if not isinstance(interaction, dict) or not isinstance(name, str):
        return layer
    if Path(name).suffix not in TABLE_SUFFIXES:
        return layer
    try:
        table = read_table(folder / name)
    except ValueError as error:
        raise ExperimentError(f"{origin}: interaction.form_factor = '{name}': {error}") from None
    return layer | {"interaction": interaction | {"form_factor": table.model_dump()}}


def _with_templates(layer: Json, release: Any, folder: Path, origin: str) -> Json:
    """A layer with the histograms of its templates, if it is known where their files lie."""
    templates, place, reader = layer.get("template"), folder, None
    if isinstance(release, dict):
        inside, name = release.get("folder"), release.get("reader")
        if isinstance(inside, str):
            place = (folder / inside).absolute()
            if "release" in layer:
                layer = layer | {"release": release | {"folder": str(place)}}
        reader = RELEASES.get(name) if isinstance(name, str) else None
        if name is not None and (reader is None or not isinstance(inside, str)):
            return layer
        if not place.is_dir():
            raise ExperimentError(f"{origin}: release.folder = '{inside}': there is no such folder")
    if not isinstance(templates, (list, tuple)):
        return layer

    def read(name: Any, key: str) -> Any:
        if not isinstance(name, str):
            return name
        try:
            histogram = reader.read(name, place) if reader else read_histogram(name, place)
        except ExperimentError as error:
            raise ExperimentError(f"{origin}: {key} = '{name}': {error}") from None
        return histogram.model_dump()

    return layer | {"template": [_read_files(item, read) for item in templates]}


def _read_files(template: Any, read: Callable[[Any, str], Any]) -> Any:
    """A template with histograms in place of names of files; what is no template as it is."""
    if not isinstance(template, dict):
        return template
    key = f"template.{template.get('name')}"
    result = dict(template)
    if "file" in result:
        result["file"] = read(result["file"], f"{key}.file")
    variants = result.get("variant")
    if isinstance(variants, (list, tuple)):
        result["variant"] = [_read_variant(item, key, read) for item in variants]
    return result


def _read_variant(variant: Any, key: str, read: Callable[[Any, str], Any]) -> Any:
    if not isinstance(variant, dict):
        return variant
    where = f"{key}.variant.{variant.get('name')}"
    files = {side: variant[side] for side in ("up", "down") if side in variant}
    return variant | {side: read(name, f"{where}.{side}") for side, name in files.items()}
