"""Observed counts in a model's bins: from an ntuple, a histogram or a text.

Of an ntuple, what was measured is binned: e_reco with the model's response. What the file stands
for is that of `reco.runs.reading`, and what must be the same in file and model that of
`reco.runs.belonging`. A histogram and a text say nothing of themselves, and are taken as the
model's.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...reco.chain.codes import OFF, ON
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.runs.belonging import EXPOSURE_KEY, differences, refuse, refuse_unknown
from ...reco.runs.origin import Origin
from ...reco.runs.reading import Reading, reading
from ...reco.runs.tree import TREE
from .binning import Binning
from .model import Data, Model

EXPOSURE = 1e-3
"""Relative difference of protons on target that data and model may have, as rounding."""
MOST_COUNTS = 2.0**53
"""Most counts in a bin; greater numbers are not all whole as float64."""


def observed(
    model: Model,
    experiments: Sequence[Experiment],
    files: Sequence[str],
    accept: Collection[str] = (),
) -> Data:
    """One data set from a file for each experiment; pulls are centred at zero.

    Parameters
    ----------
    files
        For each experiment an ntuple (its selected events are counted), ``FILE.root:NAME`` for a
        histogram of beam-on counts, or a text of a line a bin: the count in beam-on, and where
        the background is measured that in beam-off.
    accept
        Keys, or sections, in which an ntuple may differ from the model; kept in `Data.origins`.

    Raises
    ------
    ExperimentError
        If a file does not fit, naming it and what is wrong.
    """
    refuse_unknown(accept)
    if len(files) != len(model.sections):
        raise ExperimentError(
            f"--data: {len(files)} files for {len(model.sections)} experiments; give one for each"
        )
    counts, off = np.zeros(model.bins), np.zeros(model.bins)
    origins: list[Origin] = []
    for section, experiment, file in zip(model.sections, experiments, files, strict=True):
        on_bins, off_bins, origin = _counts(file, section.binning, experiment, accept)
        origins += origin
        needs = bool(model.tau[section.on].any()) or section.off is not None
        if needs and off_bins is None:
            raise ExperimentError(
                f"{file}: has no beam-off counts, which analysis.statistic = "
                f"'{experiment.analysis.statistic}' of {section.name} needs"
            )
        counts[section.on] = on_bins
        if needs and off_bins is not None:
            if section.off is not None:
                counts[section.off] = off_bins.sum()
            else:
                off[section.on] = off_bins
    return Data(counts[None], off[None], np.zeros((1, model.variables)), tuple(origins))


def _counts(
    file: str, bins: Binning, experiment: Experiment, accept: Collection[str]
) -> tuple[Array, Array | None, list[Origin]]:
    """Counts in beam-on and, if there are any, in beam-off, and what is known of them."""
    path, _, name = file.partition(".root:")
    if name:
        return _histogram(Path(path + ".root"), name, bins), None, []
    if file.endswith(".root") or Path(file).is_dir():
        return _events(file, bins, experiment, accept)
    return *_text(Path(file), bins.bins), []


def _events(
    file: str, bins: Binning, experiment: Experiment, accept: Collection[str]
) -> tuple[Array, Array, list[Origin]]:
    ntuple = reading(file)
    origin = _origin(ntuple, experiment, accept)
    counts = {window: np.zeros(bins.bins) for window in (ON, OFF)}
    for block in ntuple.blocks([*bins.columns, "window", "selected"]):
        for window, sums in counts.items():
            sums += bins.seen(block, window)
    return counts[ON], counts[OFF], [origin]


def _origin(ntuple: Reading, experiment: Experiment, accept: Collection[str]) -> Origin:
    """Refuse an ntuple of another model or exposure, and keep what is accepted."""
    unlike = differences(ntuple.experiment, experiment, imported=ntuple.imported)
    unlike = refuse(ntuple.path, experiment.name, unlike, accept)
    accepted = [(each.key, each.data, each.model) for each in unlike]
    years = experiment.exposure.years
    wanted = experiment.source.protons * years
    if abs(ntuple.protons - wanted) > EXPOSURE * wanted:
        if not {EXPOSURE_KEY, "exposure"} & set(accept):
            _refuse_exposure(ntuple, experiment)
        accepted.append((EXPOSURE_KEY, ntuple.protons / wanted * years, years))
    return Origin(experiment.name, ntuple.protons, ntuple.years, ntuple.missing, tuple(accepted))


def _refuse_exposure(ntuple: Reading, experiment: Experiment) -> None:
    years = experiment.exposure.years
    wanted = experiment.source.protons * years
    missing = f"; not there: {'; '.join(ntuple.missing)}" if ntuple.missing else ""
    several = f" in {len(ntuple.runs)} runs" if len(ntuple.runs) > 1 else ""
    raise ExperimentError(
        f"{ntuple.path}: is of {ntuple.protons:.6g} protons on target ({ntuple.years:.6g} years of "
        f"operation{several}), the model of {experiment.name} of {wanted:.6g} ({years:.6g} years); "
        f"they must be the same within {EXPOSURE:.1%}: --years "
        f"{ntuple.protons / wanted * years:.6g}{missing}"
    )


def _histogram(path: Path, name: str, bins: Binning) -> Array:
    import uproot

    try:
        with uproot.open(path) as file:
            if name == TREE:
                raise ExperimentError(f"{path}: give the ntuple itself, without ':{TREE}'")
            values, *edges = file[name].to_numpy()
    except (OSError, KeyError, ValueError, AttributeError, uproot.DeserializationError) as error:
        raise ExperimentError(f"{path}: has no histogram '{name}': {error}") from error
    if len(edges) != len(bins.axes):
        raise ExperimentError(
            f"{path}: histogram '{name}' has {len(edges)} axes, not the model's "
            f"{len(bins.axes)}: {', '.join(bins.names)}"
        )
    for number, (found, axis) in enumerate(zip(edges, bins.axes, strict=True)):
        if len(found) != len(axis.edges) or not np.allclose(found, axis.edges, rtol=1e-6):
            which = f" on axis {number} ({axis.name})" if len(edges) > 1 else ""
            raise ExperimentError(
                f"{path}: histogram '{name}' has {len(found) - 1} bins{which} from {found[0]:g} to "
                f"{found[-1]:g}, not the model's {axis.bins} from {axis.edges[0]:g} to "
                f"{axis.edges[-1]:g}"
            )
    return _valid(path, np.asarray(values, float)).ravel()


def _text(path: Path, bins: int) -> tuple[Array, Array | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning of no data, which is said below
            numbers = np.loadtxt(path, ndmin=2, comments="#", delimiter=_delimiter(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ExperimentError(f"{path}: cannot be read: {reason}") from error
    except ValueError as error:
        raise ExperimentError(f"{path}: is not a table of counts: {error}") from error
    if numbers.shape[0] != bins or numbers.shape[1] not in {1, 2}:
        raise ExperimentError(
            f"{path}: has {numbers.shape[0]} lines of {numbers.shape[1]} numbers; expected are "
            f"{bins} lines, one a bin, of the count in beam-on and perhaps that in beam-off"
        )
    _valid(path, numbers)
    return numbers[:, 0], numbers[:, 1] if numbers.shape[1] == 2 else None


def _delimiter(path: Path) -> str | None:
    return "," if "," in path.read_text("utf-8") else None


def _valid(path: Path, counts: NDArray[Any]) -> Array:
    if not np.all((counts >= 0) & (counts < MOST_COUNTS)):
        raise ExperimentError(f"{path}: counts must be 0 or more, and less than {MOST_COUNTS:.0e}")
    return counts
