"""Files of data acquisitions and data releases as ntuples, without a file left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ...reco.errors import ExperimentError


@contextmanager
def as_ntuple(file: str) -> Iterator[str | None]:
    """The ntuple that a file or folder becomes by import, for as long; None if it is no such file.

    Its experiment is the one that nuspill wrote into it, or that of the release.

    Raises
    ------
    ExperimentError
        If it is of a format that tells of no experiment, or damaged.
    """
    from ...reco.formats.shared.door import looks
    from ...reco.formats.shared.transfer import import_events

    names = looks(Path(file))
    if len(names) != 1:
        yield None
        return
    with TemporaryDirectory(prefix="nuspill-") as folder:
        ntuple = Path(folder) / f"{Path(file).name}.root"
        try:
            import_events(file, ntuple, names[0])
        except ExperimentError as error:
            if "--experiment" not in str(error):
                raise
            raise ExperimentError(
                f"{file}: '{names[0]}' does not tell of which experiment it is: import it first, "
                "nuspill import --experiment"
            ) from None
        try:
            yield str(ntuple)
        except ExperimentError as error:  # the user knows of no temporary file
            raise ExperimentError(str(error).replace(str(ntuple), file)) from None
