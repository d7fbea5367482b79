"""The physics of `event` once more in plain NumPy: an independent check, and a yardstick for speed.

Nothing is shared with the compiled chain but what is tested on its own: rates by quadrature, the
detector's functions of arrays, windows, and the shapes of backgrounds. Random numbers are those of a
`numpy.random.Generator`, and energies are drawn by tables of quantiles instead of rejection.

It is written for speed as far as NumPy goes. A run is made in chunks whose arrays stay in cache. Places
in a chunk come in order from exponential spacings, with no sort: the integer part is the pulse, the
rest the place in it. The sources are a shuffled list of labels, and every later step works on all
events of a kind at once, in single precision but for times. A quantile is looked up by the uniform
itself as index, without a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..generator.constants import KEV, MUON_LIFETIME, PION_LIFETIME
from ..generator.cross_section import energy_min, recoil_max
from ..generator.kernel import kernel
from ..generator.rate import Channel
from ..generator.sampler import LEAST_RECOIL
from ..generator.stream import fill_words
from .background import Background
from .efficiency import Step
from .expectation import background_shape, expectations, mean_per_pulse, truth_threshold
from .experiment import Experiment
from .quenching import Constant, NoQuenching
from .resolution import NoResolution, Photoelectrons, Sqrt
from .run import COLUMNS

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Block = dict[str, NDArray[Any]]
Rows = slice | NDArray[np.intp]

CHUNK_EVENTS = 32768
QUANTILES = 16384
"""Steps of a table of quantiles; inside a step the density is constant."""
ENERGY_ROWS, ENERGY_STEPS = 128, 2048
"""Tables of the neutrino energy: rows in the least energy E_min(T), steps of probability."""


@dataclass(frozen=True, eq=False)
class Tables:
    """An experiment as arrays, by label: signal channels first, then backgrounds that are on."""

    experiment: Experiment
    channels: int
    backgrounds: tuple[Background, ...]
    mean: Array
    """Expected events a pulse."""
    component: NDArray[np.int8]
    nu_pdg: NDArray[np.int16]
    target: NDArray[np.int32]
    lives: Floats
    """Pion's and muon's mean life where they delay the event, else 0, ns; shape (2, labels)."""
    delay: Array
    """ns."""
    timing: dict[str, tuple[NDArray[np.bool_], Array]]
    """Labels that arrive alike, and quantiles of the time since the pulse (empty if uniform)."""
    recoil: Floats
    """Quantiles of T in keV, one row a channel."""
    energy: Floats
    """Quantiles of (E − E_low)/(E_high − E_low) by E_min(T); (channels, rows + 1, steps + 1)."""
    limits: Floats
    """M (MeV), and E_low, E_high and 1/(E_high − E_low); shape (4, channels)."""
    spectra: tuple[Floats, ...]
    """Quantiles of the backgrounds' energies; two if uniform."""
    unquench: tuple[Array, Array]
    """Points (e_ee, T) in keV."""


def tables(experiment: Experiment) -> Tables:
    """Tables of an experiment, for `generate`."""
    source, found = experiment.source, experiment.channels
    n = len(found)
    on = [b.enabled for b in experiment.background]
    backgrounds = tuple(b for b in experiment.background if b.enabled)
    low = truth_threshold(experiment)
    mean = mean_per_pulse(experiment, low)
    zeros = [0] * len(backgrounds)
    lives = np.array([0 if source.steady else c.flavour.lives for c in found] + zeros)
    lives[n:] = [2 if b.timing == "delayed" else 0 for b in backgrounds]
    energy = [_energy_quantiles(c, max(low, LEAST_RECOIL)) for c in found]
    top = experiment.energy_top
    recoil = np.linspace(0, np.sqrt(top), 65537) ** 2
    e_ee = experiment.detector.electron_equivalent(recoil)
    far = 100 * (recoil[-1] - recoil[-2])  # beyond the top on with the last slope
    recoil = np.append(recoil, recoil[-1] + far)
    e_ee = np.append(e_ee, e_ee[-1] + 100 * (e_ee[-1] - e_ee[-2]))
    return Tables(
        experiment,
        n,
        backgrounds,
        mean[[True] * n + on],
        np.array(
            [c.flavour.component for c in found] + [experiment.component_of(b) for b in backgrounds],
            np.int8,
        ),
        np.array([c.flavour.pdg for c in found] + zeros, np.int16),
        np.array([c.nucleus.pdg for c in found] + zeros, np.int32),
        np.array([PION_LIFETIME * (lives > 0), MUON_LIFETIME * (lives > 1)], np.float32),
        np.array([0.0] * n + [b.delay for b in backgrounds]),
        _timing(experiment, n, backgrounds),
        np.stack([_recoil_quantiles(c, max(low, LEAST_RECOIL)) for c in found]),
        np.stack([e[0] for e in energy]),
        np.stack([e[1] for e in energy], axis=1),
        tuple(_spectrum(experiment, b) for b in backgrounds),
        (e_ee, recoil),
    )


def quantiles(x: Array, density: Array, steps: int = QUANTILES) -> Array:
    """Quantiles at `steps` + 1 equal steps of probability; density linear between points x."""
    cumulative = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(x)))
    return np.interp(np.linspace(0, cumulative[-1], steps + 1), cumulative, x)


def _fine(x: Array, density: Array) -> tuple[Array, Array]:
    """Points between points, for quantiles that follow a density's slope."""
    between = np.interp(np.arange(0, len(x) - 1 + 1e-9, 1 / 256), np.arange(len(x)), x)
    return between, np.interp(between, x, density)


def _spectrum(experiment: Experiment, background: Background) -> Floats:
    shape = background_shape(experiment, background)
    edges = shape.edges
    if shape.length > 0:
        x = np.linspace(edges[0], edges[-1], 65537)
        return quantiles(x, np.exp(-(x - edges[0]) / shape.length)).astype(np.float32)
    if len(edges) == 2 and shape.density[0] == shape.density[1]:
        return edges.astype(np.float32)
    return quantiles(*_fine(edges, shape.density)).astype(np.float32)


def _timing(
    experiment: Experiment, n: int, backgrounds: tuple[Background, ...]
) -> dict[str, tuple[NDArray[np.bool_], Array]]:
    source, w = experiment.source, experiment.beam_windows
    flat = "windows" if experiment.windows.record == "windows" else "steady"
    kinds = ["steady" if source.steady else "pulse"] * n
    kinds += [{"steady": flat, "table": b.name}.get(b.timing, "pulse") for b in backgrounds]
    found = {kind: np.array([k == kind for k in kinds]) for kind in kinds}
    shapes = {b.name: b.profile for b in backgrounds} | {"pulse": source.pulse_shape}
    uniform = {
        "steady": np.array([w.first, w.first + w.period]),
        "windows": np.array([w.on_start, w.on_start + w.on_length + w.off_length]),
        "pulse": np.array([0.0, source.pulse_width]),
    }
    result = {}
    for kind, labels in found.items():
        shape = shapes.get(kind)
        points = uniform.get(kind)
        if shape is not None:
            points = quantiles(*_fine(np.asarray(shape.time), np.asarray(shape.intensity)))
        assert points is not None
        result[kind] = (labels, points)
    return result


def _recoil_quantiles(channel: Channel, low: float) -> Floats:
    high = channel.end_point
    if low >= high:
        return np.zeros(QUANTILES + 1, np.float32)
    root = np.linspace(np.sqrt(low), np.sqrt(high), 6001)[1:-1] ** 2
    t = np.unique(np.concatenate([[low], root, np.geomspace(low, high, 4001)[1:-1], [high]]))
    return quantiles(t, channel.rate(t)).astype(np.float32)


def _energy_quantiles(channel: Channel, low: float) -> tuple[Floats, Array]:
    """Quantiles of E for rows of E_min(T), relative to what is allowed, and the limits."""
    spectrum, mass = channel.flavour.spectrum, channel.nucleus.mass
    high, first = spectrum.end_point, float(spectrum.edges[0])
    shape = (ENERGY_ROWS + 1, ENERGY_STEPS + 1)
    least = float(energy_min(low, mass))
    if spectrum.is_line or least >= high:
        return np.ones(shape, np.float32), np.array([mass, 0.0, high, 1 / high])
    table = np.empty(shape, np.float32)
    rows = np.linspace(least, high, ENERGY_ROWS + 1)
    rows[-1] = high - 1e-3 * (rows[-1] - rows[-2])  # a limit, where E may not move any more
    inside = np.linspace(0, 1, 4 * ENERGY_STEPS + 1)
    for row, e_min in enumerate(rows):
        start = max(e_min, first)
        e = start + inside * (high - start)
        p0, p1, p2 = channel.factors(np.array([float(recoil_max(e_min, mass))]))
        density = spectrum.density(e) * np.maximum(p0 + p1 / e + p2 / e**2, 0.0)
        table[row] = quantiles(inside, density, ENERGY_STEPS)
    return table, np.array([mass, least, high, 1 / (high - least)])


def generate(
    experiment: Experiment,
    rng: np.random.Generator,
    *,
    years: float | None = None,
    events: int | None = None,
    prepared: Tables | None = None,
    out: Block | None = None,
) -> Block:
    """Events of a run, in order of time.

    Parameters
    ----------
    experiment
        From `load`.
    rng
        Any generator; `numpy.random.Philox` is the counterpart of the chain's.
    years, events
        At most one: years of operation (default `exposure.years`), or a fixed number of signal
        events to which live time and backgrounds are scaled.
    prepared
        The experiment's `tables`, if they are at hand.
    out
        Columns at least as long as needed to write to, in place of new ones.

    Returns
    -------
    dict
        Columns as of `run.generate` with ``library="np"``.
    """
    if years is not None and events is not None:
        raise ValueError("give at most one of years and events")
    given = prepared or tables(experiment)
    if events is not None:
        years = events / sum(e.total for e in expectations(experiment) if e.component < 10)
    elif years is None:
        years = experiment.exposure.years
    pulses = max(round(experiment.source.pulses_per_year * years), 1)
    step = max(int(CHUNK_EVENTS / max(given.mean.sum(), 1e-300)), 1)
    starts = np.arange(0, pulses, min(step, pulses))
    lengths = np.diff(np.append(starts, pulses))
    counts = rng.poisson(np.outer(lengths, given.mean))
    if events is not None:
        shares = np.outer(lengths, given.mean[: given.channels])
        fixed = rng.multinomial(events, shares.ravel() / shares.sum())
        counts[:, : given.channels] = fixed.reshape(shares.shape)
    edges = np.append(0, np.cumsum(counts.sum(axis=1)))
    total = int(edges[-1])
    block = out or {name: np.empty(total, kind) for name, (kind, _, _) in COLUMNS.items()}
    block = {name: column[:total] for name, column in block.items()}
    block["event"][:] = np.arange(total)
    for i, start in enumerate(starts):
        part = {name: column[edges[i] : edges[i + 1]] for name, column in block.items()}
        if len(part["event"]) > 0:
            _chunk(given, rng, counts[i], int(start), int(lengths[i]), part)
    return block


def _chunk(
    given: Tables, rng: np.random.Generator, counts: NDArray[np.int64], start: int, pulses: int, out: Block
) -> None:
    """Fill the columns of a chunk that begins with pulse `start`."""
    experiment, n = given.experiment, len(out["event"])
    detector, w = experiment.detector, experiment.beam_windows
    label = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
    rng.shuffle(label)
    place = np.cumsum(rng.standard_exponential(n + 1))
    place *= pulses / place[-1]
    pulse = place[:n].astype(np.int64)
    part = place[:n] - pulse
    np.add(pulse, start, out=out["pulse"])

    time, spread = out["time_true"], np.zeros(0)
    for kind, (members, points) in given.timing.items():
        rows = _rows(members, label)
        t = _quantile(points, part[rows])
        if kind == "windows":
            t += (w.off_start - w.on_stop) * (t >= w.on_stop)
        if kind == "pulse":
            for life in given.lives:
                if life.any():
                    delay = rng.standard_exponential(len(t), np.float32)
                    t += delay * life.take(label[rows])
        if given.delay.any():
            t += given.delay.take(label[rows])
        time[rows] = t
    if not isinstance(detector.time_resolution, str) and detector.time_resolution > 0:
        spread = detector.time_resolution * rng.standard_normal(n)
        time -= spread * given.measured_flat.take(label)
    same = np.flatnonzero(pulse[1:] == pulse[:-1])
    if len(same) > 0:  # events of one pulse may have changed places
        rows = np.unique(np.concatenate([same, same + 1]))
        order = rows[np.lexsort((time[rows], pulse[rows]))]
        for column in (time, label, spread)[: 3 if len(spread) else 2]:
            column[rows] = column[order]
    measured = out["time"]
    measured[:] = time + spread if len(spread) else time
    on = (measured >= w.on_start) & (measured < w.on_stop)
    off = (measured >= w.off_start) & (measured < w.off_stop)
    np.add(on, 2 * off.view(np.int8), out=out["window"])
    if isinstance(detector.time_resolution, str):
        measured[on], measured[off] = (w.on_start + w.on_stop) / 2, (w.off_start + w.off_stop) / 2

    for name, values in (("component", given.component), ("nu_pdg", given.nu_pdg), ("target", given.target)):
        values.take(label, out=out[name])
    rows = _rows(np.arange(len(counts)) < given.channels, label)
    e_nu, e_nr = _recoils(given, rng, label[rows])
    out["e_nu"][:] = 0
    out["e_nu"][rows] = e_nu
    _respond(given, rng, e_nr, rows, out)
    for i, background in enumerate(given.backgrounds):
        rows = _rows(np.arange(len(counts)) == given.channels + i, label)
        energy = _quantile(given.spectra[i], rng.random(len(label[rows]), np.float32))
        if background.measured:
            _measure(given, energy, background.scale, rows, out)
        else:
            _respond(given, rng, energy, rows, out)

    selected = out["selected"]
    selected &= out["window"] > 0
    if detector.region is not None:
        low, high = detector.region
        selected &= (out["e_reco"] >= low) & (out["e_reco"] <= high)
    if detector.dead_time > 0 and detector.dead_time_of == "event":
        selected &= rng.random(n, np.float32) >= detector.dead_time
    elif detector.dead_time > 0:
        exposures, number = np.unique(pulse * 4 + out["window"], return_inverse=True)
        selected &= (rng.random(len(exposures)) >= detector.dead_time)[number]


def _rows(members: NDArray[np.bool_], label: NDArray[np.int16]) -> Rows:
    """Rows whose label is a member: a slice if all are, else their numbers."""
    return slice(None) if members.all() else np.flatnonzero(members.take(label))


def _quantile(table: NDArray[Any], u: NDArray[Any], first: Any = 0) -> NDArray[Any]:
    """Quantiles at uniforms; `table` begins at `first` and has QUANTILES + 1 points, or two."""
    if len(table) == 2:
        return table[0] + u * (table[1] - table[0])
    x = u * table.dtype.type(QUANTILES)
    i = x.astype(np.int32)
    x -= i
    i += first
    low = table.take(i)
    i += 1
    return low + x * (table.take(i) - low)


def _recoils(
    given: Tables, rng: np.random.Generator, label: NDArray[np.int16]
) -> tuple[Floats, Floats]:
    """Neutrino and recoil energies: T from its marginal distribution, then E for this T."""
    n = len(label)
    channel = label.astype(np.int32)
    e_nr = _quantile(given.recoil.ravel(), rng.random(n, np.float32), channel * (QUANTILES + 1))
    mass, low, high, inverse = (limit.take(channel) for limit in given.limits)
    t = e_nr * np.float32(KEV)
    e_min = np.float32(0.5) * (t + np.sqrt(t * (t + 2 * mass)))
    x = (e_min - low) * inverse * np.float32(ENERGY_ROWS)
    np.clip(x, 0, ENERGY_ROWS - 1e-5, out=x)
    y = rng.random(n, np.float32) * np.float32(ENERGY_STEPS)
    i, j = x.astype(np.int32), y.astype(np.int32)
    x -= i
    y -= j
    i += channel * (ENERGY_ROWS + 1)
    i *= ENERGY_STEPS + 1
    i += j
    table = given.energy.ravel()
    a = table.take(i)
    i += 1
    a += y * (table.take(i) - a)
    i += ENERGY_STEPS
    b = table.take(i)
    i += 1
    b += y * (table.take(i) - b)
    np.maximum(e_min, given.first.take(channel), out=e_min)
    return e_min + (a + x * (b - a)) * (high - e_min), e_nr


def _respond(given: Tables, rng: np.random.Generator, e_nr: Floats, rows: Rows, out: Block) -> None:
    """Quench, smear and accept true recoils."""
    detector = given.experiment.detector
    model, n = detector.resolution, len(e_nr)
    e_ee = _quenched(given, e_nr)
    if isinstance(model, Sqrt):
        spread = rng.standard_normal(n, np.float32)
        spread *= np.sqrt(e_nr) * np.float32(model.relative * np.sqrt(detector.threshold))
        e_reco_nr = np.maximum(e_nr + spread, np.float32(0))
        e_reco = _quenched(given, e_reco_nr)
    else:
        if isinstance(model, NoResolution):
            e_reco = e_ee
        elif isinstance(model, Photoelectrons):
            e_reco = rng.poisson(e_ee * detector.per_kev) / detector.per_kev
        else:
            spread = model.sigma(e_ee) * rng.standard_normal(n, np.float32)
            e_reco = np.maximum(e_ee + spread, 0)
        e_reco_nr = _unquenched(given, e_reco)
    e_reco = _in_unit(given, e_reco)
    chance = rng.random(n, np.float32)
    if isinstance(detector.efficiency, Step):
        selected = (e_reco_nr >= detector.threshold) & (chance < detector.efficiency.plateau)
    else:
        selected = chance < detector.efficiency.at(e_reco)
    _store(rows, out, e_nr, e_ee, e_reco, e_reco_nr, selected)
