"""Files that a setting names, and how they are found.

A path in an experiment's file is relative to the folder of that file; one of the command line
(``--set``, ``--weight``) or of Python, to the working folder. The file is read once, when the
experiment is loaded, and its values stand in place of its name from then on: in the experiment, in
provenances and manifests, and on the workers of a cluster. So nothing that is finished needs the
file again, and no other file of its name is taken for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...generator.arrays import Json
from ...generator.form_factor import TABLE_SUFFIXES, read_table
from ..errors import ExperimentError


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
    data = _with_form_factor(data, folder, origin)
    presets, periods = data.get("preset"), data.get("period")
    if isinstance(presets, dict):
        read = {name: _with_form_factor(layer, folder, origin) for name, layer in presets.items()}
        data = data | {"preset": read}
    if isinstance(periods, list):
        data = data | {"period": [_with_form_factor(layer, folder, origin) for layer in periods]}
    return data


def _with_form_factor(layer: Any, folder: Path, origin: str) -> Any:
    """A layer of settings with the values of its form factor; what is no layer as it is."""
    interaction = layer.get("interaction") if isinstance(layer, dict) else None
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
