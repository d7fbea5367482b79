"""What the kernels of the chain read: an experiment as arrays, and the codes of its models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.sampling.sampler import RecoilTables


class Sources(NamedTuple):
    """What makes events: the signal of all channels (flavour, nucleus) first, then backgrounds."""

    stream: NDArray[np.uint64]
    mean: Array
    """Expected events of each source a pulse."""
    timing: NDArray[np.int64]
    """Code of arrival; the signal of a pulsed source has `WITH_PROTONS`, and its channels lives."""
    delay: Array
    """Delay that is added to the time, ns."""
    scale: NDArray[np.int64]
    """Code of the scale of a background's energy."""
    length: Array
    """Energy in which an exponential background falls to 1/e; 0 for a tabulated one."""
    spectrum: Array
    """Energies, density and cumulative of the backgrounds one after the other, (3, n)."""
    spectrum_start: NDArray[np.int64]
    """First column of each source, and the end."""
    profile: Array
    """Times (ns), density and cumulative of tabulated arrivals one after the other, (3, n)."""
    profile_start: NDArray[np.int64]
    kept: Array
    """Times in beam-on (ns) and efficiencies in time, one source after the other, (2, n)."""
    kept_start: NDArray[np.int64]
    """First column of each source, and the end; none of a source that is kept at all times."""
    component: NDArray[np.int8]
    """Component of each channel, then of each background; the next two and `muon` are so too."""
    nu_pdg: NDArray[np.int16]
    target: NDArray[np.int32]
    muon: NDArray[np.float32]
    """Mean life of the muon before the neutrino, ns; 0 without."""
    pion: NDArray[np.float32]
    """Mean life of the pion of each source, ns; 0 without."""
    decays: NDArray[np.bool_]
    """Whether events of a source come after decays."""
    channels: int
    """Number of channels: background number i has code channels + i."""


class Timing(NamedTuple):
    """Pulses, windows and veto; times in ns from the start of a pulse."""

    pulses: int
    """Number of pulses in the run."""
    slice_pulses: int
    period: float
    first: float
    """Start of the recorded period."""
    pulse_width: float
    pulse_shape: Array
    """Times, intensity and cumulative of a tabulated pulse, (3, n); (3, 0) if flat."""
    on_start: float
    on_stop: float
    off_start: float
    off_stop: float
    windows_only: bool
    sigma: float
    exposures: bool
    """Whether the time of an event is the middle of its window."""
    dead_time: float
    veto_exposures: bool
    veto_stream: np.uint64


class Response(NamedTuple):
    """Tables and codes of the response, from recoil energy to selection."""

    factor: float
    """Constant quenching factor; 0 for the tables."""
    quench: Array
    """e_ee in keV_ee at equal steps of √T."""
    quench_step: float
    unquench: Array
    """T in keV_nr at equal steps of √e_ee."""
    unquench_step: float
    resolution: int
    """Code: NO_SMEARING, ROOT_T, PHOTOELECTRONS, WIDTH_TABLE or GAMMA."""
    root_width: float
    """σ/√T of 1, √keV."""
    width: Array
    """σ of WIDTH_TABLE and GAMMA at equal steps of √e_ee."""
    per_kev: float
    """Units of e_reco in a keV_ee."""
    efficiency: int
    """Code: STEP, LOGISTIC or EFFICIENCY_TABLE."""
    threshold: float
    """Least e_reco_nr that is selected; least e_reco where that is a whole number."""
    logistic: Array
    """Plateau, slope, midpoint, cut, half_until, offset; a step uses the first."""
    table: Array
    """Energies and efficiencies, (2, n)."""
    region_low: float
    region_high: float
    modules: int
    cylinder: bool
    size: Array
    """Active volume of a module, mm."""


class Chain(NamedTuple):
    """All that the kernels know."""

    sources: Sources
    recoils: RecoilTables
    timing: Timing
    response: Response
