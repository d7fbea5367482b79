"""An experiment as numbers and arrays, for the kernels of `event`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...generator.arrays import Array
from ...generator.constants import MUON_LIFETIME
from ...generator.sampling.names import streams_of
from ...generator.sampling.sampler import recoil_tables
from ..expectation import background_shape, mean_per_pulse
from ..experiment import Experiment
from ..response.background import BackgroundShape
from ..response.detector import Geometry
from .codes import ELECTRON, PROFILE, RECOIL, STEADY, TRUE, UNIT, WITH_PROTONS
from .tables import Chain, Response, Sources, Timing

CURVE_POINTS = 16385
SLICE_SIGNAL = 2048
"""Signal events a slice aims at: enough to fill the loops over them."""
SLICE_EVENTS = 131_072
"""Events a slice holds at most on average: memory of a thread stays below 20 MB."""


def build_chain(experiment: Experiment, pulses: int, low: float) -> Chain:
    """Arrays for a run of a number of pulses, with true recoils above `low` (keV)."""
    mean = mean_per_pulse(experiment, low)
    n = len(experiment.channels)
    length = experiment.exposure.slice_pulses or slice_pulses(mean[:n].sum(), mean.sum())
    enabled = np.array(
        [True] * len(experiment.channels) + [b.enabled for b in experiment.background]
    )
    sources = _sources(experiment, np.where(enabled, mean, 0.0))
    return Chain(
        sources=sources,
        recoils=recoil_tables(experiment.channels, low),
        timing=_timing(experiment, pulses, length),
        response=_response(experiment),
    )


def slice_pulses(signal: float, total: float) -> int:
    """Pulses a slice for expected events a pulse: a power of two.

    Backgrounds, disabled ones too, count only where they outnumber the signal 64 to 1, so that the
    signal stays the same events whatever the backgrounds are.
    """
    wanted = [SLICE_SIGNAL / signal if signal > 0 else 2.0**31]
    if total > 0:
        wanted.append(SLICE_EVENTS / total)
    return int(2 ** np.clip(np.round(np.log2(min(wanted))), 0, 31))


def with_cumulative(x: Array, density: Array) -> Array:
    """Rows x, density, cumulative of a density linear between points."""
    steps = (density[1:] + density[:-1]) / 2 * np.diff(x)
    return np.stack([x, density, np.concatenate([[0.0], np.cumsum(steps)])])


def _sources(experiment: Experiment, mean: Array) -> Sources:
    source, backgrounds = experiment.source, experiment.background
    channels = experiment.channels
    named = {"steady": STEADY, "prompt": WITH_PROTONS, "delayed": WITH_PROTONS, "table": PROFILE}
    scales = {"keV_nr": RECOIL, "keV_ee": ELECTRON, "reco": UNIT}
    shapes: list[BackgroundShape] = [background_shape(experiment, b) for b in backgrounds]
    spectra = [with_cumulative(s.edges, s.density) for s in shapes]
    profiles = [
        with_cumulative(np.asarray(b.profile.time, float), np.asarray(b.profile.intensity, float))
        if b.profile
        else np.zeros((3, 0))
        for b in backgrounds
    ]
    codes = [(c.flavour.component, c.flavour.pdg, c.nucleus.pdg) for c in channels]
    codes += [(experiment.component_of(b), 0, 0) for b in backgrounds]
    component, nu_pdg, target = np.array(codes).T
    lives = np.array(
        [0 if source.steady else c.flavour.lives for c in channels]
        + [2 * (b.timing == "delayed") for b in backgrounds]
    )
    w = experiment.beam_windows
    kept = [
        experiment.time_efficiency(b).kernel_table(w.on_start, w.on_stop)
        for b in (None, *backgrounds)
    ]
    _, *streams = streams_of([b.name for b in backgrounds])
    empty, n = np.zeros((3, 0)), len(channels)
    return Sources(
        stream=np.array(streams, np.uint64),
        mean=np.append(mean[:n].sum(), mean[n:]),
        timing=np.array(
            [STEADY if source.steady else WITH_PROTONS, *(named[b.timing] for b in backgrounds)],
            np.int64,
        ),
        delay=np.array([0.0, *(b.delay for b in backgrounds)]),
        scale=np.array([TRUE, *(scales[b.scale] if b.measured else TRUE for b in backgrounds)]),
        length=np.array([0.0, *(s.length for s in shapes)]),
        spectrum=np.ascontiguousarray(np.concatenate([empty, *spectra], axis=1)),
        spectrum_start=_starts(spectra),
        profile=np.ascontiguousarray(np.concatenate([empty, *profiles], axis=1)),
        profile_start=_starts(profiles),
        kept=np.ascontiguousarray(np.concatenate(kept, axis=1)),
        kept_start=_starts(kept)[1:],
        component=component.astype(np.int8),
        nu_pdg=nu_pdg.astype(np.int16),
        target=target.astype(np.int32),
        muon=np.where(lives > 1, MUON_LIFETIME, 0.0).astype(np.float32),
        pion=np.where(lives[n - 1 :] > 0, source.pion_life, 0.0).astype(np.float32),
        decays=lives[n - 1 :] > 0,
        channels=n,
    )


def _starts(tables: list[Array]) -> NDArray[np.int64]:
    lengths = [0, *(t.shape[1] for t in tables)]  # the signal has none
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _timing(experiment: Experiment, pulses: int, length: int) -> Timing:
    source, detector, w = experiment.source, experiment.detector, experiment.beam_windows
    shape = source.pulse_shape
    resolution = detector.time_resolution
    return Timing(
        pulses=pulses,
        slice_pulses=min(length, pulses),
        period=w.period,
        first=w.first,
        pulse_width=source.pulse_width,
        pulse_shape=with_cumulative(
            np.asarray(shape.time, float), np.asarray(shape.intensity, float)
        )
        if shape
        else np.zeros((3, 0)),
        on_start=w.on_start,
        on_stop=w.on_stop,
        off_start=w.off_start,
        off_stop=w.off_stop,
        windows_only=experiment.windows.record == "windows",
        sigma=0.0 if isinstance(resolution, str) else float(resolution),
        exposures=isinstance(resolution, str),
        dead_time=detector.dead_time,
        veto_exposures=detector.dead_time_of == "exposure",
        veto_stream=np.uint64(streams_of()[0]),
    )


def _response(experiment: Experiment) -> Response:
    detector, top = experiment.detector, experiment.energy_top
    root = np.linspace(0, np.sqrt(top), CURVE_POINTS)
    e_top = float(detector.electron_equivalent(top))
    e_root = np.linspace(0, np.sqrt(e_top), CURVE_POINTS)
    resolution, efficiency = detector.resolution, detector.efficiency
    low, high = detector.region or (-np.inf, np.inf)
    geometry = detector.geometry or Geometry(size=[1.0, 1.0, 1.0])
    return Response(
        factor=detector.quenching.kernel_factor(),
        quench=np.ascontiguousarray(detector.electron_equivalent(root**2)),
        quench_step=float(root[1]),
        unquench=detector.recoil_equivalent(e_root**2, top),
        unquench_step=float(e_root[1]),
        resolution=resolution.kernel_code(),
        root_width=resolution.root_width(detector.threshold),
        width=resolution.kernel_widths(e_root**2, detector.threshold),
        per_kev=detector.per_kev,
        efficiency=efficiency.kernel_code(),
        threshold=float(
            detector.reconstructed(detector.threshold)
            if resolution.whole_numbers
            else detector.threshold
        ),
        logistic=efficiency.kernel_values(),
        table=efficiency.kernel_table(e_top * detector.per_kev),
        region_low=float(low),
        region_high=float(high),
        modules=geometry.modules,
        cylinder=geometry.shape == "cylinder",
        size=np.array([*geometry.size, 0.0][:3]),
    )
