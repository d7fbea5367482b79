"""Skipper CCDs: images of hardware-binned pixels, averaged over the skips, in FITS files.

Frames, the on or off exposure of one pulse, are grouped: an image extension a CCD with a cube of
frames, and a table FRAMES that says of which pulse and exposure each is. Exposures without charge
are not written; their number is in the header.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...generator.sampling.names import stream_key
from .shared.about import About, parsed
from .shared.ccd import clusters, images

if TYPE_CHECKING:
    from ..columns import Block
    from ..daq import Ccd
    from ..experiment import Experiment
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "fits"
DESCRIPTION = "Skipper CCD images (FITS), events found again as clusters on import"
EXTRA = "fits"
REQUIRES = ("astropy",)
NEEDS = ("pulse", "window", "module", "x", "y", "e_reco")
KEEPS = (
    "pulse, window, CCD, e_reco within the noise, x and y to a binned pixel, pulses and protons of "
    "the run, experiment"
)
LOSES = "truth, time in the exposure, z, what does not pass the threshold of a cluster"
PLACES = "file"
DEFAULT = None

GROUP = 200
"""Frames of a group."""
MOST_FRAMES = 50_000
MOST_PIXELS = 1 << 22
"""Pixels of the frames that are read at a time."""
KEYS = {
    "skips": "NDCM",
    "rows": "NROW",
    "columns": "NCOL",
    "binning": "NPBIN",
    "gain": "GAIN",
    "offset": "OFFSET",
    "noise": "NOISE",
    "pair_energy": "PAIREV",
}
"""Keys of the header by settings of `daq.ccd`."""
START = b"SIMPLE  ="
LETTERS = "ABDCEFGHIJKLMNOPQRSTUVWXYZ"
"""Letters of the CCDs, in the order in which they are read out."""


def recognise(path: Path) -> bool:
    """Whether a file begins as FITS and says how often its pixels are read."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(5760)
    return start.startswith(START) and b"NDCM    =" in start


def embedded(path: Path) -> About | None:
    """What nuspill wrote of the sample."""
    with opened(path) as hdus:
        if "NUSPILL" in hdus:
            return parsed(str(hdus["NUSPILL"].data["json"][0]), path)
    return None


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A FITS file to read; what is wrong with it is a ValueError."""
    from astropy.io import fits

    with path.open("rb") as file:  # astropy would unpack a compressed one
        if not file.read(9).startswith(START):
            raise ValueError("it does not begin as FITS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of truncated files; their sizes are checked
        try:
            with fits.open(path, memmap=True) as hdus:
                yield hdus
        except (AttributeError, fits.VerifyError, AssertionError) as error:
            raise ValueError(str(error)) from error


def write(sample: Sample, path: Path) -> int:
    """Write the frames with charge."""
    from astropy.io import fits

    experiment = sample.experiment
    ccds = experiment.detector.geometry.modules if experiment.detector.geometry else 1
    kind = f"readout noise from pulse {sample.first_pulse} on"
    key = stream_key(experiment.daq.ccd.seed, kind, experiment.name)
    rng = np.random.Generator(np.random.Philox(key))
    if ccds > len(LETTERS):
        raise ValueError(f"there are {len(LETTERS)} names of CCDs, not {ccds}")
    fits.PrimaryHDU(header=_header(sample)).writeto(path, checksum=True)
    about = np.array([sample.about()])
    note = fits.BinTableHDU.from_columns(
        [fits.Column("json", f"{len(about[0])}A", array=about)], name="NUSPILL"
    )
    fits.append(path, note.data, note.header, checksum=True)
    frames = events = 0
    for block in sample.blocks(NEEDS):
        if (block["window"] == 0).any():
            raise ValueError("there are events outside of both exposures; leave out --all")
        start = np.flatnonzero(np.diff(block["pulse"] * 4 + block["window"], prepend=-1))
        frames += len(start)
        if frames > MOST_FRAMES:
            raise ValueError(f"more than {MOST_FRAMES} frames have charge; export fewer --pulses")
        frame = np.repeat(np.arange(len(start)), np.diff(start, append=len(block["pulse"])))
        for first in range(0, len(start), GROUP):
            in_group = (frame >= first) & (frame < first + GROUP)
            part = {name: column[in_group] for name, column in block.items()}
            _group(path, part, frame[in_group] - first, sample, ccds, rng)
        events += len(frame)
    return events


def _header(sample: Sample) -> Any:
    from astropy.io import fits

    experiment, ccd = sample.experiment, sample.experiment.daq.ccd
    windows = experiment.beam_windows
    start = datetime.fromtimestamp(experiment.daq.epoch_ns / 1e9, UTC)
    stop = start + timedelta(seconds=sample.pulses * windows.period * 1e-9)
    cards = {
        "INSTRUME": (experiment.name[:60].encode("ascii", "replace").decode(), ""),
        "NDCM": (ccd.skips, "readings of a pixel, averaged"),
        "NROW": (ccd.rows, ""),
        "NCOL": (ccd.columns, ""),
        "NPBIN": (ccd.binning, "physical rows a row"),
        "NSBIN": (ccd.binning, "physical columns a column"),
        "PRESCAN": (0, ""),
        "PHYSROW": (ccd.rows * ccd.binning, ""),
        "PHYSCOL": (ccd.columns * ccd.binning, ""),
        "EXPOSURE": (windows.on_length * 1e-9, "s, of a beam-on frame"),
        "EXPOFF": (windows.off_length * 1e-9, "s, of a beam-off frame"),
        "DATEINI": (start.isoformat(), ""),
        "DATEEND": (stop.isoformat(), ""),
        "GAIN": (ccd.gain, "ADU an electron"),
        "OFFSET": (ccd.offset, "ADU without charge"),
        "NOISE": (ccd.noise, "electrons, of one reading"),
        "PAIREV": (ccd.pair_energy, "eV an electron"),
        "NPULSES": (sample.pulses, "beam pulses; frames without charge are left out"),
    }
    return fits.Header([(key, value, comment) for key, (value, comment) in cards.items()])


def _group(
    path: Path,
    block: Block,
    frame: NDArray[np.int64],
    sample: Sample,
    ccds: int,
    rng: np.random.Generator,
) -> None:
    """Append images of all CCDs, and the table of their frames."""
    from astropy.io import fits

    ccd, n = sample.experiment.daq.ccd, len(frame)
    edge = ccd.binning * ccd.pixel
    if "x" in block:
        module, x, y = block["module"], block["x"].astype(float), block["y"].astype(float)
    else:
        module = np.zeros(n, np.int16)
        x = rng.uniform(-0.5, 0.5, n) * ccd.columns * edge
        y = rng.uniform(-0.5, 0.5, n) * ccd.rows * edge
    electrons = block["e_reco"].astype(float) / _energy(sample.experiment, ccd.pair_energy)
    frames, first = int(frame[-1]) + 1, np.unique(frame, return_index=True)[1]
    for number in range(ccds):
        on_ccd = module == number
        image = images(frame[on_ccd], electrons[on_ccd], x[on_ccd], y[on_ccd], frames, ccd)
        image += rng.normal(0.0, ccd.noise / np.sqrt(ccd.skips), image.shape)
        adu = (ccd.offset + ccd.gain * image).astype(np.float32)
        header = fits.Header([("EXTNAME", f"CCD_{LETTERS[number]}"), ("BUNIT", "ADU")])
        fits.append(path, adu, header, checksum=True, verify=False)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("pulse", "K", array=block["pulse"][first]),
            fits.Column("window", "I", array=block["window"][first]),
        ],
        name="FRAMES",
    )
    fits.append(path, table.data, table.header, checksum=True, verify=False)


def _energy(experiment: Experiment, pair_energy: float) -> float:
    """Energy of an electron in the unit of e_reco."""
    unit = experiment.detector.unit
    energies = {"electrons": 1.0, "keV_ee": pair_energy * 1e-3}
    if unit not in energies:
        raise ValueError(f"CCDs collect electrons, and {experiment.name} measures {unit}")
    return energies[unit]


def read(source: Source) -> Iterator[Block]:
    """Clusters of all frames, group by group."""
    with opened(source.path) as hdus:
        ccd = _settings(hdus[0].header, source)
        scale = _energy(source.experiment, ccd.pair_energy)
        windows = source.experiment.beam_windows
        middle = np.array(
            [
                np.nan,
                (windows.on_start + windows.on_stop) / 2,
                (windows.off_start + windows.off_stop) / 2,
            ]
        )
        cubes: dict[int, Any] = {}
        end = 0
        for hdu in hdus[1:]:
            end = _fits_in(hdu, source)
            if hasattr(hdu, "compression_type"):
                raise source.wrong(f"has compressed images, {hdu.name or 'without a name'}")
            if hdu.name.startswith("CCD_") and hdu.name[4:] in LETTERS:
                cubes[LETTERS.index(hdu.name[4:])] = hdu
            elif hdu.name == "FRAMES":
                pulse, window = _frames(hdu, source)
                for cube in cubes.values():
                    if cube.shape != (len(pulse), ccd.rows, ccd.columns):
                        raise source.wrong(
                            f"has images {cube.name} of shape {cube.shape} for {len(pulse)} frames "
                            f"of {ccd.rows} x {ccd.columns} pixels"
                        )
                parts = [_clusters(cube.data, n, ccd, source) for n, cube in cubes.items()]
                cubes.clear()
                if not parts:
                    continue
                block = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
                order = np.argsort(block["frame"], kind="stable")
                block = {name: column[order] for name, column in block.items()}
                at = block.pop("frame")
                block["e_reco"] = block.pop("charge") * scale
                yield block | {"pulse": pulse[at], "time": middle[window[at]]}
        source.damage.found(len(cubes), "images without a table of their frames")
        left = source.path.stat().st_size - end
        source.damage.found(left, "bytes at the end that are no FITS extension")


def _clusters(data: Any, number: int, ccd: Ccd, source: Source) -> Block:
    """Clusters of the frames of a CCD, few frames at a time."""
    step, parts = max(MOST_PIXELS // (ccd.rows * ccd.columns), 1), []
    for start in range(0, max(len(data), 1), step):
        charge = (np.asarray(data[start : start + step], np.float64) - ccd.offset) / ccd.gain
        wrong = ~np.isfinite(charge)
        source.damage.found(int(wrong.sum()), "pixels that are no numbers")
        charge[wrong] = 0.0
        columns = clusters(charge, ccd)
        parts.append(columns | {"frame": columns["frame"] + start})
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return whole | {"module": np.full(len(whole["frame"]), number, np.int16)}


def _settings(header: Any, source: Source) -> Ccd:
    """The CCD's settings as the header has them, else those of the experiment."""
    given = {name: header[key] for name, key in KEYS.items() if key in header}
    for name in ("skips", "rows", "columns"):
        if name not in given:
            raise source.wrong(f"has no {KEYS[name]} in its header")
    now = source.experiment.daq.ccd
    ccd = type(now).model_validate(now.model_dump() | given, strict=False)
    if source.facts.pulses is None and "NPULSES" in header:
        source.facts.pulses = int(header["NPULSES"])
    return ccd


def _fits_in(hdu: Any, source: Source) -> int:
    """Where an extension ends; an error if that is not within the file."""
    size, file_size, place = hdu.size, source.path.stat().st_size, hdu.fileinfo()
    if not 0 <= size <= file_size - place["datLoc"]:
        raise source.wrong(
            f"claims {size} bytes of {hdu.name or 'an extension'}; it has {file_size}"
        )
    return int(place["datLoc"] + place["datSpan"])


def _frames(hdu: Any, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    names = hdu.columns.names if hasattr(hdu, "columns") else []
    if "pulse" not in names or "window" not in names:
        raise source.wrong("has a table FRAMES without pulse and window")
    pulse = np.asarray(hdu.data["pulse"], np.int64)
    window = np.asarray(hdu.data["window"], np.int64)
    if ((window < 1) | (window > 2)).any():
        raise source.wrong("has frames of a window that is neither 1, on, nor 2, off")
    return pulse, window
