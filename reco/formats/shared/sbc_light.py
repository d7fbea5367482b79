"""Light in a bubble chamber: `scintillation.sbc`, a row a trigger of the SiPMs' digitiser.

Columns are those of the collaboration's reconstruction (SBC-Collaboration/LAr10Ana, SiPMPulses),
each an array of the SiPMs: times in µs since the record starts, for us with the beam pulse, areas
in ADC counts. A SiPM without a hit, and what is not simulated, is NaN. Which SiPM sees how much is
not simulated either: they share the light, e_reco in counts of `daq.gain`, equally.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .sbc_table import Columns, found_at, key_of, keyed, rows_of
from .source import gain_of

if TYPE_CHECKING:
    from ...columns import Block
    from ...experiment import Experiment
    from .source import Source

FILE = "scintillation.sbc"
SIPMS = 32
"""Of the collaboration's chamber."""
UNKNOWN = ("baseline", "rms", "hit_tf", "hit_amp", "max_avg_fft_freq")
COLUMNS: Columns = {
    name: ("int64" if name == "second_pulse" else "double", (SIPMS,))
    for name in ("baseline", "rms", "hit_t0", "hit_tf", "hit_area", "hit_amp", "wvf_area",
                 "second_pulse", "max_avg_fft_freq")
}  # fmt: skip
MOST_AREAS = 1 << 20
"""Read at a time."""


def sees(experiment: Experiment) -> bool:
    """Whether a detector measures an energy, and does not only count."""
    return experiment.detector.unit != "keV_nr"


def fill(table: NDArray[Any], block: Block, experiment: Experiment) -> None:
    """Put the light of events into rows of the table."""
    for name in UNKNOWN:
        table[name] = np.nan
    area, time = np.full(len(table), np.nan), np.full(len(table), np.nan)
    if sees(experiment):
        area = block["e_reco"].astype(float) / gain_of(experiment) / SIPMS
        time = block["time"] * 1e-3
    table["hit_area"] = table["wvf_area"] = area[:, None]
    table["hit_t0"] = time[:, None]


def read(folder: Path, source: Source) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Sorted keys of events, and the sum of the areas of the brightest trigger of each, ADC counts.

    None if there is no such table, or the detector only counts.
    """
    path = folder / FILE
    if not path.is_file() or not sees(source.experiment):
        return None
    rows = rows_of(path, source)
    kind = rows.dtype["hit_area"] if "hit_area" in (rows.dtype.names or ()) else None
    if not keyed(rows) or kind is None or kind.base.kind not in "iuf":
        raise source.wrong(f"{FILE} has no columns runid, ev and hit_area of numbers")
    if len(rows) == 0:
        return None
    keys, areas = key_of(rows), np.empty(len(rows))
    step = max(MOST_AREAS // max(int(np.prod(kind.shape)), 1), 1)
    for start in range(0, len(rows), step):
        part = rows["hit_area"][start : start + step].astype(float)
        part = part.reshape(len(part), -1)
        dark = np.isnan(part).all(axis=1)
        areas[start : start + len(part)] = np.where(dark, np.nan, np.nansum(part, axis=1))
    order = np.lexsort((np.where(np.isnan(areas), -np.inf, areas), keys))
    last = np.append(np.diff(keys[order]) != 0, True)
    return keys[order][last], areas[order][last]


def energies(light: Any, keys: NDArray[np.int64] | None, n: int, source: Source) -> Block:
    """e_reco of n events from their light; where there is none, what a recoil at threshold has."""
    from .complete import recoil_scale

    experiment, detector = source.experiment, source.experiment.detector
    least = float(detector.electron_equivalent(detector.threshold)) * detector.per_kev
    if light is None or keys is None:
        return {"e_reco": np.full(n, least), "e_reco_nr": np.full(n, detector.threshold)}
    energy = found_at(keys, *light) * source.gain
    dark = np.isnan(energy)
    energy[dark] = least
    recoil = recoil_scale(energy, experiment)
    recoil[dark] = detector.threshold
    return {"e_reco": energy, "e_reco_nr": recoil}
