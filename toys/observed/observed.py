"""Observed counts in a model's bins: from an ntuple, a histogram or a text.

Of an ntuple, what was measured is binned: e_reco with the model's response. What the file stands
for is that of `reco.runs.reading`, and what must be the same in file and model that of
`reco.runs.belonging`. A histogram and a text say nothing of themselves, and are taken as the
model's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...generator.arrays import Array
from ...reco.chain.codes import OFF, ON
from ...reco.errors import ExperimentError
from ...reco.experiment import Experiment
from ...reco.formats.shared.door import available
from ...reco.runs.belonging import EXPOSURE_KEY, Difference, differences, refuse, refuse_unknown
from ...reco.runs.origin import Origin
from ...reco.runs.reading import Reading, reading
from ...reco.runs.tree import TREE
from ...reco.templates.histogram import read_root
from ..counts.binning import Binning
from ..counts.model import Data, Model
from .imported import as_ntuple
from .released import Released, released
from .text import counts_of_text, valid

GRID = 1e-6
"""Part of a bin by which an edge may be beside it, as rounding."""
EXPOSURE = 1e-3
"""Relative difference of protons on target that data and model may have, as rounding."""


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
        For each experiment an ntuple, or a file of a data acquisition or release that can be
        imported (selected events are counted), the folder of a release of counts,
        ``FILE.root:NAME`` for a
        histogram of as many axes as the model's with the counts in beam-on (``:NAME,OTHER`` for
        those in beam-off too), or a text as `counts_of_text` reads it.
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
        on, _, off = name.partition(",")
        first, *rest = (_histogram(Path(path + ".root"), n, bins) for n in (on, off) if n)
        return first, rest[0] if rest else None, []
    if _is_folder(file):
        release = released(Path(file), bins, experiment)
        if release is not None:
            return _release(Path(file), release, experiment, accept)
    with as_ntuple(file) as ntuple:
        if ntuple is not None:
            return _events(ntuple, bins, experiment, accept)
    if file.endswith(".root") or _is_folder(file):
        return _events(file, bins, experiment, accept)
    return *counts_of_text(Path(file), bins), []


def _is_folder(file: str) -> bool:
    try:
        return Path(file).is_dir()
    except OSError:  # a name that no file can have
        return False


def _release(
    folder: Path, release: Released, experiment: Experiment, accept: Collection[str]
) -> tuple[Array, Array | None, list[Origin]]:
    years = release.protons / experiment.source.protons
    about = _Exposure(folder, release.protons, years)
    return release.on, release.off, [_origin(about, [], experiment, accept)]


def _events(
    file: str, bins: Binning, experiment: Experiment, accept: Collection[str]
) -> tuple[Array, Array, list[Origin]]:
    ntuple = reading(file)
    absent = [name for name in bins.columns if name not in ntuple.columns]
    if absent:
        raise ExperimentError(
            f"{file}: has no column '{absent[0]}', an axis of {experiment.name}: give counts"
        )
    unlike = differences(ntuple.experiment, experiment, imported=ntuple.imported)
    several = f" in {len(ntuple.runs)} runs" if len(ntuple.runs) > 1 else ""
    about = _Exposure(ntuple.path, ntuple.protons, ntuple.years, several, ntuple.missing)
    origin = _origin(about, unlike, experiment, accept)
    _check_grid(ntuple, bins)
    counts = {window: np.zeros(bins.bins) for window in (ON, OFF)}
    first, last = np.inf, -np.inf
    for block in ntuple.blocks([*bins.columns, "window", "selected"]):
        for window, sums in counts.items():
            sums += bins.seen(block, window)
        if bins.time is not None:
            times = block["time"][block["window"] == ON]
            first, last = times.min(initial=first), times.max(initial=last)
    if ntuple.imported and first == last and counts[ON].sum() > 1:
        raise ExperimentError(
            f"{file}: all events in beam-on have the time {first:g} ns, the middle of the window: "
            "it has no times, and analysis.axes of the model bins them"
        )
    return counts[ON], counts[OFF], [origin]


def _check_grid(ntuple: Reading, bins: Binning) -> None:
    """Refuse bins across those of a format whose events come back at their centres."""
    start = {"time": bins.windows.on_start if bins.windows else 0.0}
    for name in sorted(ntuple.formats & set(available())):
        for column, width in getattr(available()[name], "GRID", {}).items():
            for axis in (axis for axis in bins.axes if axis.column == column):
                steps = (axis.counted - start.get(column, 0.0)) / width
                if np.abs(steps - np.round(steps)).max() > GRID:
                    raise ExperimentError(
                        f"{ntuple.path}: format {name} gives {column} to the centre of a bin of "
                        f"{width:g}, which edges of the model's axis {axis.name} cut: "
                        f"{', '.join(f'{edge:g}' for edge in axis.counted)}"
                    )


@dataclass(frozen=True)
class _Exposure:
    """For what data stand."""

    path: Path
    protons: float
    years: float
    several: str = ""
    """In how many runs, if in several."""
    missing: tuple[str, ...] = ()


def _origin(
    data: _Exposure,
    unlike: Sequence[Difference],
    experiment: Experiment,
    accept: Collection[str],
) -> Origin:
    """Refuse data of another model or exposure, and keep what is accepted."""
    unlike = refuse(data.path, experiment.name, unlike, accept)
    accepted = [(each.key, each.data, each.model) for each in unlike]
    years = experiment.exposure.years
    wanted = experiment.source.protons * years
    if abs(data.protons - wanted) > EXPOSURE * wanted:
        if not {EXPOSURE_KEY, "exposure"} & set(accept):
            _refuse_exposure(data, experiment)
        accepted.append((EXPOSURE_KEY, data.protons / wanted * years, years))
    return Origin(experiment.name, data.protons, data.years, data.missing, tuple(accepted))


def _refuse_exposure(data: _Exposure, experiment: Experiment) -> None:
    years = experiment.exposure.years
    wanted = experiment.source.protons * years
    missing = f"; not there: {'; '.join(data.missing)}" if data.missing else ""
    raise ExperimentError(
        f"{data.path}: is of {data.protons:.6g} protons on target ({data.years:.6g} years of "
        f"operation{data.several}), the model of {experiment.name} of {wanted:.6g} ({years:.6g} "
        f"years); they must be the same within {EXPOSURE:.1%}: --years "
        f"{data.protons / wanted * years:.6g}{missing}"
    )


def _histogram(path: Path, name: str, bins: Binning) -> Array:
    if name == TREE:
        raise ExperimentError(f"{path}: give the ntuple itself, without ':{TREE}'")
    values, edges = read_root(path, name)
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
    return valid(path, np.asarray(values, float)).ravel()
