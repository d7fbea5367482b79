"""The physics of `event` once more in plain NumPy: independent check, and yardstick for speed.

Shared with the compiled chain is only what is tested on its own: rates by quadrature, the
detector's functions of arrays, windows, shapes of backgrounds. It is written for speed as far as
NumPy goes: in chunks, in single precision but for times, all events of a kind at once. Places in
a chunk come in order from exponential spacings, without a sort: the integer part is the pulse.
Energies come from tables of quantiles; a uniform is itself the index, so that nothing is sought.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...generator.constants import KEV, MUON_LIFETIME
from ...generator.cross_section import energy_min, recoil_max
from ...generator.rate import Channel
from ..columns import COLUMNS, Block
from ..expectation import background_shape, mean_per_pulse, truth_threshold
from ..experiment import Experiment
from ..response.background import BackgroundShape
from .codes import OFF

Array = NDArray[Any]

CHUNK_EVENTS = 131072
STEPS, E_STEPS, E_ROWS = 16384, 4096, 24
"""Steps of probability in quantiles, in those of the neutrino energy, and rows of these."""
IN_WINDOWS, ANY_TIME, IN_PULSE = "in the recorded windows", "at any time", "with the protons"


class Reference:
    """An experiment as arrays by label: signal channels first, then the backgrounds that are on."""

    def __init__(self, experiment: Experiment) -> None:
        source, w, channels = experiment.source, experiment.beam_windows, experiment.channels
        self.experiment, self.detector, self.windows = experiment, experiment.detector, w
        self.unit = 1.0 if self.detector.unit == "keV_nr" else self.detector.per_kev
        self.backgrounds = extra = [b for b in experiment.background if b.enabled]
        self.channels, low = len(channels), truth_threshold(experiment)
        on = [True] * len(channels) + [b.enabled for b in experiment.background]
        self.mean = mean_per_pulse(experiment, low)[on]
        codes = [(c.flavour.component, c.flavour.pdg, c.nucleus.pdg) for c in channels]
        codes += [(experiment.component_of(b), 0, 0) for b in extra]
        self.codes = np.array(codes).T
        # who arrives alike, quantiles of their times (two if uniform), lives and delays; all in ns
        flat = IN_WINDOWS if experiment.windows.record == "windows" else ANY_TIME
        kinds = [ANY_TIME if source.steady else IN_PULSE] * len(channels)
        kinds += [{"steady": flat, "table": b.name}.get(b.timing, IN_PULSE) for b in extra]
        self.kinds = {kind: np.array([k == kind for k in kinds]) for kind in kinds}
        self.steady = np.array(
            [source.steady] * len(channels) + [b.timing == "steady" for b in extra]
        )
        self.times = {ANY_TIME: np.array([w.first, w.first + w.period])}
        self.times[IN_WINDOWS] = np.array([w.on_start, w.on_stop + w.off_length])
        self.times[IN_PULSE] = np.array([0.0, source.pulse_width])
        shapes = {IN_PULSE: source.pulse_shape} | {b.name: b.profile for b in extra}
        for kind, shape in shapes.items():
            if shape:
                t = np.linspace(shape.time[0], shape.time[-1], 65537)
                self.times[kind] = quantiles(t, np.interp(t, shape.time, shape.intensity))
        lives = [c.flavour.lives for c in channels] + [2 * (b.timing == "delayed") for b in extra]
        life = np.array([[source.pion_life], [MUON_LIFETIME]], np.float32)
        self.lives = life * np.greater.outer(lives, [0, 1]).T
        self.delay = np.array([0.0] * len(channels) + [b.delay for b in extra]) * ~self.steady
        # quantiles of T (keV) by channel, and of E by channel and E_min(T); points (e_ee, T)
        tables = zip(*(_channel(c, low) for c in channels), strict=True)
        self.recoils, self.neutrinos, limits = (np.array(t, np.float32) for t in tables)
        self.limits = limits.T.copy()
        self.spectra = [_spectrum(background_shape(experiment, b)) for b in extra]
        t = np.append(np.linspace(0, np.sqrt(experiment.energy_top), 65537) ** 2, 0.0)
        e_ee = self.detector.electron_equivalent(t)
        for x in (t, e_ee):  # beyond the end with the last slope
            x[-1] = x[-2] + 1e6 * (x[-2] - x[-3])
        self.unquench = e_ee, t

    def arrive(self, rng: Generator, count: Any, start: int, pulses: int, out: Block) -> Array:
        """Labels of events in order of time; codes, pulses, times and windows go to the columns."""
        label = np.repeat(np.arange(len(count)), count)
        rng.shuffle(label)
        place = np.cumsum(rng.standard_exponential(len(label) + 1))
        place *= pulses / place[-1]
        pulse = place[:-1].astype(np.int64)
        part = place[:-1] - pulse
        np.add(pulse, start, out=out["pulse"])
        time, w, spread = out["time_true"], self.windows, np.zeros(1)
        for kind, members in self.kinds.items():
            rows = _rows(members, label)
            t = _quantile(self.times[kind], part[rows])
            if kind == IN_WINDOWS:
                t += (w.off_start - w.on_stop) * (t >= w.on_stop)
            for life in self.lives if kind == IN_PULSE else ():
                t += rng.standard_exponential(len(t), np.float32) * life.take(label[rows])
            time[rows] = t + self.delay.take(label[rows]) if self.delay.any() else t
        sigma = self.detector.time_resolution
        if not isinstance(sigma, str) and sigma > 0:  # what is steady is flat as measured
            spread = sigma * rng.standard_normal(len(label))
            time -= spread * self.steady.take(label)
        self.fold(time, time + spread, label)
        same = np.flatnonzero(pulse[1:] == pulse[:-1])
        if len(same) > 0:  # several in one pulse need not be in order
            rows = np.unique(np.concatenate([same, same + 1]))
            order = rows[np.lexsort((time[rows], pulse[rows]))]
            for column in (time, label, spread)[: 2 + (len(spread) > 1)]:
                column[rows] = column[order]
        measured = np.add(time, spread, out=out["time"])
        on = (measured >= w.on_start) & (measured < w.on_stop)
        off = (measured >= w.off_start) & (measured < w.off_stop)
        np.add(on.view(np.int8), 2 * off.view(np.int8), out=out["window"])
        if isinstance(sigma, str):
            measured[on] = (w.on_start + w.on_stop) / 2
            measured[off] = (w.off_start + w.off_stop) / 2
        for name, codes in zip(("component", "nu_pdg", "target"), self.codes, strict=True):
            out[name][:] = codes.take(label)
        return label

    def fold(self, time: Array, measured: Array, label: Array) -> None:
        """Move what comes with the beam and is measured outside the period into the period."""
        w = self.windows
        rows = np.flatnonzero((measured < w.first) | (measured >= w.first + w.period))
        rows = rows[~self.steady.take(label[rows])]
        time[rows] -= w.period * np.floor((measured[rows] - w.first) / w.period)

    def observe(self, rng: Generator, label: Array, out: Block) -> None:
        """Energies and selection of events with these labels go to the columns."""
        detector, e_reco, selected = self.detector, out["e_reco"], out["selected"]
        number = np.arange(len(self.mean))
        rows = _rows(number < self.channels, label)
        out["e_nu"][:] = 0
        out["e_nu"][rows], e_nr = self.sample(rng, label[rows])
        self.respond(rng, rows, e_nr, out)
        for i, background in enumerate(self.backgrounds):
            rows = _rows(number == self.channels + i, label)
            energy = _quantile(self.spectra[i], rng.random(len(label[rows]), np.float32))
            if background.measured:
                self.measured(rows, background.scale, energy, out)
            else:
                self.respond(rng, rows, energy, out)
        selected &= out["window"] > 0
        if detector.resolution.whole_numbers:
            selected &= e_reco >= np.float32(detector.reconstructed(detector.threshold))
        else:
            selected &= out["e_reco_nr"] >= np.float32(detector.threshold)
        if detector.region is not None:
            selected &= (e_reco >= detector.region[0]) & (e_reco <= detector.region[1])
        selected &= self.keep_by_time(rng, label, out["time"], out["window"])
        if detector.dead_time > 0 and detector.dead_time_of == "event":
            selected &= rng.random(len(label)) >= detector.dead_time
        elif detector.dead_time > 0:
            exposures, which = np.unique(out["pulse"] * 4 + out["window"], return_inverse=True)
            selected &= (rng.random(len(exposures)) >= detector.dead_time)[which]

    def keep_by_time(self, rng: Generator, label: Array, time: Array, window: Array) -> Array:
        """Whether the efficiency in time keeps each event; in no window it does not matter."""
        keep = np.ones(len(label), bool)
        models = [self.experiment.time_efficiency(b) for b in (None, *self.backgrounds)]
        number = np.maximum(np.arange(len(self.mean)) - self.channels + 1, 0)
        for i, model in enumerate(models):
            if not model.keeps_all():
                rows = _rows(number == i, label)
                late = np.where(window == OFF, self.windows.as_in_on(time), time)[rows]
                keep[rows] = rng.random(len(late)) < model.at(late)
        return keep

    def sample(self, rng: Generator, label: Array) -> tuple[Array, Array]:
        """E and T of signal events: T from its marginal distribution, E from that at this T."""
        uniforms = rng.random((2, len(label)), np.float32)
        e_nr = _quantile(self.recoils, uniforms[0], label * (STEPS + 1))
        mass, least, high, first, scale = (limit.take(label) for limit in self.limits)
        t = e_nr * np.float32(KEV)
        e_min = np.float32(0.5) * (t + np.sqrt(t * (t + mass + mass)))
        row = np.clip((e_min - least) * scale, 0, np.float32(E_ROWS - 1e-4))
        step = uniforms[1] * np.float32(E_STEPS)
        i, j = row.astype(np.intp), step.astype(np.intp)
        row, step = row - i, step - j
        i = ((E_ROWS + 1) * label + i) * (E_STEPS + 1) + j
        part = _between(self.neutrinos, i, step)
        part += row * (_between(self.neutrinos, i + (E_STEPS + 1), step) - part)
        e_min = np.maximum(e_min, first)
        return e_min + part * (high - e_min), e_nr

    def respond(self, rng: Generator, rows: Any, e_nr: Array, out: Block) -> None:
        """Quench, smear and accept true recoils."""
        detector, model, n = self.detector, self.detector.resolution, len(e_nr)
        e_ee: Array = detector.electron_equivalent(e_nr)
        if model.on_recoil:
            spread = np.sqrt(e_nr) * np.float32(model.root_width(detector.threshold))
            spread *= rng.standard_normal(n, np.float32)
            e_reco_nr = np.maximum(e_nr + spread, np.float32(0))
            e_reco: Array = detector.electron_equivalent(e_reco_nr) * self.unit
        else:
            if model.whole_numbers:
                e_reco = rng.poisson(e_ee * self.unit)
            elif model.is_gamma():
                form = (e_ee / np.maximum(model.sigma(e_ee, detector.threshold), 1e-30)) ** 2
                e_reco = self.unit * rng.standard_gamma(form) * (e_ee / np.maximum(form, 1e-30))
            elif not model.has_width:
                e_reco = e_ee * self.unit
            else:
                sigma = model.sigma(e_ee, detector.threshold)
                e_reco = self.unit * np.maximum(e_ee + sigma * rng.standard_normal(n), 0)
            e_reco_nr = np.interp(e_reco / self.unit, *self.unquench)
        chance = rng.random(n, np.float32)
        chosen = chance < detector.efficiency.at(e_reco)
        _store(out, rows, e_nr, e_ee, e_reco, e_reco_nr, chosen)

    def measured(self, rows: Any, scale: str, energy: Array, out: Block) -> None:
        """Store the measured energies of a background, and what else belongs to them."""
        if scale == "reco" and self.detector.resolution.whole_numbers:
            energy = np.floor(energy + 0.5)
        e_nr, e_ee = energy, energy / self.unit if scale == "reco" else energy
        if scale == "keV_nr":
            e_ee = self.detector.electron_equivalent(energy)
        else:
            e_nr = np.interp(e_ee, *self.unquench)
        e_reco = energy if scale == "reco" else e_ee * self.unit
        _store(out, rows, e_nr, e_ee, e_reco, e_nr, np.ones(len(e_nr), bool))


def generate(
    experiment: Experiment | Reference,
    rng: Generator,
    *,
    years: float | None = None,
    events: int | None = None,
    out: Block | None = None,
) -> Block:
    """Events of a run, in order of time: columns as of `run.generate` with ``library="np"``.

    Parameters
    ----------
    experiment
        The experiment, from `load`, or its `Reference` if that is at hand.
    rng
        Any generator; one on `numpy.random.Philox` is the counterpart of the chain.
    years, events
        The same as for `run.plan`.
    out
        Columns at least as long as needed to write to, in place of new ones.
    """
    reference = experiment if isinstance(experiment, Reference) else Reference(experiment)
    a_year = reference.experiment.source.pulses_per_year
    if events is not None:
        years = events / (reference.mean[: reference.channels].sum() * a_year)
    pulses = max(round(a_year * (years or reference.experiment.exposure.years)), 1)
    starts = np.arange(0, pulses, max(int(CHUNK_EVENTS / max(reference.mean.sum(), 1e-99)), 1))
    lengths = np.diff(starts, append=pulses)
    counts = rng.poisson(np.outer(lengths, reference.mean))
    if events is not None:
        shares = np.outer(lengths, reference.mean[: reference.channels])
        fixed = rng.multinomial(events, shares.ravel() / shares.sum())
        counts[:, : reference.channels] = fixed.reshape(shares.shape)
    edges = np.append(0, np.cumsum(counts.sum(axis=1)))
    columns = out or {name: np.empty(edges[-1], kind) for name, (kind, _, _) in COLUMNS.items()}
    columns = {name: column[: edges[-1]] for name, column in columns.items()}
    columns["event"][:] = np.arange(edges[-1])
    for i, count in enumerate(counts):
        part = {name: column[edges[i] : edges[i + 1]] for name, column in columns.items()}
        reference.observe(rng, reference.arrive(rng, count, starts[i], lengths[i], part), part)
    return columns


def quantiles(x: Array, density: Array, steps: int = STEPS) -> Array:
    """Quantiles at equal steps of probability, of a density taken as constant between points."""
    cumulative = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(x)))
    return np.interp(np.linspace(0, cumulative[-1], steps + 1), cumulative, x)


def _spectrum(shape: BackgroundShape) -> Array:
    if len(shape.edges) == 2 and shape.density[0] == shape.density[1]:
        return np.asarray(shape.edges, np.float32)
    x = np.linspace(shape.edges[0], shape.edges[-1], 65537)
    return np.interp(np.linspace(0, 1, STEPS + 1), shape.cdf(x), x).astype(np.float32)


def _channel(channel: Channel, low: float) -> tuple[Array, Array, list[float]]:
    """Quantiles of T in keV; those of (E − E_min)/(E_high − E_min) by E_min(T); limits in MeV."""
    spectrum, mass, end = channel.flavour.spectrum, channel.nucleus.mass, channel.end_point
    first, high, least = spectrum.edges[0], spectrum.end_point, float(energy_min(low, mass))
    recoils, neutrinos = np.zeros(STEPS + 1), np.ones((E_ROWS + 1, E_STEPS + 1))
    if least < high:
        root, logs = np.linspace(low**0.5, end**0.5, 4001), np.geomspace(low, end, 2001)
        t = np.unique(np.clip(np.append(root**2, logs), low, end))
        recoils = quantiles(t, channel.rate(t))
    if least >= high or spectrum.is_line:
        return recoils, neutrinos, [mass, 0.0, high, 0.0, 0.0]  # E = E_high
    inside = np.linspace(0, 1, 2 * E_STEPS + 1)
    rows = np.linspace(least, high, E_ROWS + 1)
    rows[-1] -= 1e-3 * (rows[-1] - rows[-2])  # at the end point itself nothing is left to share
    for row, e_min in enumerate(rows):
        e = max(e_min, first) + inside * (high - max(e_min, first))
        p0, p1, p2 = channel.factors(recoil_max(e_min, mass)[None])
        density = spectrum.density(e) * np.maximum(p0 + p1 / e + p2 / e**2, 0.0)
        neutrinos[row] = quantiles(inside, density, E_STEPS)
    return recoils, neutrinos, [mass, least, high, first, E_ROWS / (high - least)]


def _rows(members: NDArray[np.bool_], label: Array) -> Any:
    """Rows whose label is a member: a slice if all are, else their numbers."""
    return slice(None) if members.all() else np.flatnonzero(members.take(label))


def _quantile(table: Array, u: Array, first: Any = 0) -> Array:
    """Quantiles at uniforms u; `table` has STEPS + 1 points from `first` on, or two in all."""
    if table.size == 2:
        return table[0] + u * (table[1] - table[0])
    x = u * u.dtype.type(STEPS)
    i = x.astype(np.intp)
    return _between(table, i + first, x - i)


def _between(table: Array, i: Array, x: Array) -> Array:
    """Value of a table at i + x, linear between its points."""
    low = table.take(i)
    return low + x * (table.take(i + 1) - low)


def _store(out: Block, rows: Any, *values: Array) -> None:
    names = ("e_nr", "e_ee", "e_reco", "e_reco_nr", "selected")
    for name, value in zip(names, values, strict=True):
        out[name][rows] = value.astype(out[name].dtype, copy=False)  # of one type it is faster
