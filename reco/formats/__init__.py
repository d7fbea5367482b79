"""Formats of detectors' data acquisitions and reconstructions, one file each.

A format is a module of this folder, found by listing it; one that begins with an underscore is
shared by several. It says what it is, and has `read`, `write` or both:

    NAME         what it is called on the command line
    DESCRIPTION  one line
    EXTRA        the extra of pip that brings the packages it needs, or ""
    REQUIRES     names of these packages
    NEEDS        columns of the ntuple that are written
    KEEPS, LOSES what comes back from a file, and what does not
    PLACES       "file", or "either": written as a folder, read also from a file
    DEFAULT      experiment of a file that does not tell, or None
    recognise(path) -> bool                     whether a file looks like one, by its beginning
    write(sample: Sample, path: Path) -> int    events written
    read(source: Source) -> Iterator[Block]     blocks of columns, completed by the importer
    embedded(path) -> dict | None               what nuspill wrote of the sample (optional)

Modules import heavy packages inside their functions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._door import Format, available, described, find, missing, recognised

if TYPE_CHECKING:
    from ._sample import Sample, sample_of
    from ._source import Source
    from ._transfer import (
        blocks_of,
        export_events,
        export_sample,
        import_events,
        opened_source,
    )

_HOME = {
    "Sample": "_sample",
    "sample_of": "_sample",
    "Source": "_source",
    "blocks_of": "_transfer",
    "export_events": "_transfer",
    "export_sample": "_transfer",
    "import_events": "_transfer",
    "opened_source": "_transfer",
}
__all__ = [
    "Format",
    "Sample",
    "Source",
    "available",
    "blocks_of",
    "described",
    "export_events",
    "export_sample",
    "find",
    "import_events",
    "missing",
    "opened_source",
    "recognised",
    "sample_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
