"""Truth of the signal as NuHepMC 1.0: neutrino and nucleus in, neutrino and recoil out, one vertex.

CEvNS has no process number of its own; 150 is low-energy neutral current on a nucleus. Momenta are
double precision, in MeV: neutrinos come along z, the azimuth of the recoil is not known and drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...generator.sampling.names import stream_key
from .shared.about import About, parsed

if TYPE_CHECKING:
    from ..columns import Block
    from .shared.sample import Sample
    from .shared.source import Source

NAME = "nuhepmc"
DESCRIPTION = "NuHepMC 1.0 (HepMC3 ASCII), truth of the signal"
EXTRA = "hepmc"
REQUIRES = ("pyhepmc",)
NEEDS = ("event", "pulse", "time_true", "time", "component", "nu_pdg", "target", "e_nu", "e_nr",
         "e_reco", "module", "x", "y", "z")  # fmt: skip
KEEPS = (
    "pulse, time_true, time, component, nu_pdg, target, e_nu, e_nr (to 1e-6), e_reco, module and "
    "place, pulses and protons of the run, experiment"
)
LOSES = "backgrounds, e_ee; without our own attributes e_reco comes back as the mean response"
PLACES = "file"
DEFAULT = None

PROCESS = 150
BEAM, TARGET, FINAL = 4, 20, 1
"""Status of particles."""
SAMPLE = "nuspill.sample"
OWN = {"pulse": np.int64, "time_true": np.float64, "time": np.float64, "component": np.int64,
       "e_reco": np.float32, "module": np.int16, "x": np.float32, "y": np.float32,
       "z": np.float32}  # fmt: skip
"""Columns kept as attributes `nuspill.<name>`, in full precision."""
MOST_PARTICLES = 10_000
STEP = 20_000
Row = dict[str, float]
"""Numbers of an event by column, whole ones as int."""
FIRST, LAST = "HepMC::Asciiv3-START_EVENT_LISTING", "HepMC::Asciiv3-END_EVENT_LISTING"


def recognise(path: Path) -> bool:
    """Whether a file begins as HepMC3 ASCII."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b"HepMC::Asciiv3" in file.read(100)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A file to read, of which HepMC3 itself prints nothing."""
    import pyhepmc

    setup = pyhepmc.Setup
    names = ("print_errors", "print_warnings", "debug_level")
    before = {name: getattr(setup, name) for name in names}
    for name in names:
        setattr(setup, name, 0 if name == "debug_level" else False)
    try:
        with pyhepmc.open(str(path)) as file:
            yield file
    finally:
        for name, value in before.items():
            setattr(setup, name, value)


def embedded(path: Path) -> About | None:
    """What nuspill wrote of the sample: an attribute of the run, which is before all events."""
    with path.open("r", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(f"A {SAMPLE} "):
                return parsed(line.removeprefix(f"A {SAMPLE} ").replace("\\\\", "\\"), path)
            if line.startswith("E "):
                break
    return None


def write(sample: Sample, path: Path) -> int:
    """Write the signal; background has no neutrino."""
    import pyhepmc
    from pyhepmc.io import WriterAscii

    run = _run(sample)
    nuclei = {n.pdg: n.mass for n in sample.experiment.target.nuclei}
    seed = int(sample.provenance.get("seed") or 0)
    kind = f"directions from pulse {sample.first_pulse} on"
    key = stream_key(seed, kind, sample.experiment.name)
    rng = np.random.Generator(np.random.Philox(key))
    events = 0
    with WriterAscii(str(path), run) as file:
        for block in sample.blocks(NEEDS):
            block = {n: c[block["nu_pdg"] != 0] for n, c in block.items()}
            out, recoil = momenta(block, nuclei, rng)
            own = [name for name in OWN if name in block]
            for i in range(len(block["pulse"])):
                event = pyhepmc.GenEvent(run, pyhepmc.Units.MEV, pyhepmc.Units.MM)
                event.event_number = int(block["event"][i])
                vertex = pyhepmc.GenVertex((0.0, 0.0, 0.0, 0.0))
                vertex.status = 1
                pdg, nucleus = int(block["nu_pdg"][i]), int(block["target"][i])
                energy, mass = float(block["e_nu"][i]), nuclei[nucleus]
                vertex.add_particle_in(_particle((0.0, 0.0, energy, energy), pdg, BEAM, 0.0))
                vertex.add_particle_in(_particle((0.0, 0.0, 0.0, mass), nucleus, TARGET, mass))
                vertex.add_particle_out(_particle(out[i], pdg, FINAL, 0.0))
                vertex.add_particle_out(_particle(recoil[i], nucleus, FINAL, mass))
                event.add_vertex(vertex)
                event.weights = [1.0]
                event.attributes["signal_process_id"] = PROCESS
                place = [float(block[a][i]) for a in "xyz"] if "x" in block else [0.0, 0.0, 0.0]
                event.attributes["lab_pos"] = [*place, float(block["time_true"][i])]
                for name in own:
                    event.attributes[f"nuspill.{name}"] = f"{block[name][i].item():.17g}"
                file.write(event)
            events += len(block["pulse"])
    return events


def momenta(
    block: Block, nuclei: dict[int, float], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Four-momenta (x, y, z, E) in MeV of the neutrinos and nuclei after scattering, (n, 4)."""
    energy, t = block["e_nu"].astype(float), block["e_nr"].astype(float) * 1e-3
    mass = np.array([nuclei[int(code)] for code in block["target"]])
    p = np.sqrt(t * (t + 2 * mass))
    cosine = np.minimum((energy + mass) / energy * np.sqrt(t / (t + 2 * mass)), 1.0)
    across, phi = p * np.sqrt(1 - cosine**2), rng.uniform(0, 2 * np.pi, len(t))
    x, y, z = across * np.cos(phi), across * np.sin(phi), p * cosine
    out = np.stack([-x, -y, energy - z, energy - t], axis=-1)
    return out, np.stack([x, y, z, mass + t], axis=-1)


def _particle(momentum: Any, pdg: int, status: int, mass: float) -> Any:
    import pyhepmc

    particle = pyhepmc.GenParticle(tuple(map(float, momentum)), pdg, status)
    particle.generated_mass = mass
    return particle


def _run(sample: Sample) -> Any:
    import pyhepmc

    experiment = sample.experiment
    sigma = sample.provenance.get("flux_averaged_cross_section_cm2", {})
    pairs = [(n.per_kg, sigma[n.name]) for n in experiment.target.nuclei if n.name in sigma]
    average = sum(n * s for n, s in pairs) / sum(n for n, _ in pairs) if pairs else 0.0
    run = pyhepmc.GenRunInfo()
    run.tools = [("nuspill", "", "coherent elastic neutrino-nucleus scattering")]
    run.weight_names = ["CV"]
    attributes = {
        "Version.Major": 1,
        "Version.Minor": 0,
        "Version.Patch": 0,
        "Conventions": ["G.C.1", "G.C.2"],
        "Exposure.POT": f"{sample.protons:.17g}",
        "Exposure.Livetime": f"{sample.pulses * experiment.beam_windows.period * 1e-9:.17g}",
        "FluxAveragedTotalCrossSection": f"{average * 1e38:.17g}",
        "Units.CrossSection.Unit": "1e-38 cm2",
        "Units.CrossSection.TargetScale": "PerAtom",
        "ProcessIDs": [PROCESS],
        f"ProcessInfo[{PROCESS}].Name": "CEvNS",
        f"ProcessInfo[{PROCESS}].Description": "coherent elastic neutral current on a nucleus",
        "VertexStatusIDs": [1],
        "VertexStatusInfo[1].Name": "Primary",
        "VertexStatusInfo[1].Description": "The scattering",
        "ParticleStatusIDs": [FINAL, BEAM, TARGET],
        f"ParticleStatusInfo[{FINAL}].Name": "Final",
        f"ParticleStatusInfo[{FINAL}].Description": "Undecayed physical particle",
        f"ParticleStatusInfo[{BEAM}].Name": "Beam",
        f"ParticleStatusInfo[{BEAM}].Description": "Incoming neutrino",
        f"ParticleStatusInfo[{TARGET}].Name": "Target",
        f"ParticleStatusInfo[{TARGET}].Description": "Target nucleus",
        "AdditionalParticleNumbers": [n.pdg for n in experiment.target.nuclei],
    }
    for nucleus in experiment.target.nuclei:
        attributes[f"AdditionalParticleInfo[{nucleus.pdg}].Name"] = nucleus.name
        attributes[f"AdditionalParticleInfo[{nucleus.pdg}].Description"] = "Nucleus of the target"
    for key, value in attributes.items():
        run.attributes[f"NuHepMC.{key}"] = value
    run.attributes[SAMPLE] = sample.about()
    return run


def read(source: Source) -> Iterator[Block]:
    """Events with a neutrino in and a nucleus out, in the file's order."""
    written = _checked(source)
    events, rows = 0, list[Row]()
    try:
        with opened(source.path) as file:
            for event in file:
                events += 1
                row = _row(event)
                if row is None:
                    source.damage.found(1, "events without neutrino and nucleus, or their numbers")
                    continue
                rows.append(row)
                if len(rows) == STEP:
                    yield _block(rows, source)
                    rows = []
    except (RuntimeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    source.damage.found(abs(written - events), "events that cannot be read")
    if rows:
        yield _block(rows, source)


def _checked(source: Source) -> int:
    """Number of events by the lines of a file; each has the particles that it claims.

    HepMC3 would print what it finds wrong, and take what is claimed for room that it asks for.
    """
    events, ended, claimed, seen = 0, False, 0, 0
    with source.path.open("r", encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("P "):
                seen += 1
                if not _numbers(line, 10, (1, 2, 3, 9)) or int(line.split()[1]) != seen:
                    raise source.wrong(f"line {number} is no particle: '{line.strip()[:60]}'")
            elif line.startswith(("E ", LAST)):
                if seen != claimed:
                    raise source.wrong(f"line {number}: {seen} particles, {claimed} were claimed")
                ended, seen = line.startswith(LAST), 0
                if line.startswith("E "):
                    claimed = _claimed(line, source)
                    events += 1
                else:
                    claimed = 0
    source.damage.found(int(not ended), "missing end of the listing; the last event is in doubt")
    return events


def _claimed(line: str, source: Source) -> int:
    """Particles that the first line of an event claims."""
    numbers = line.split()[1:4]
    fine = len(numbers) == 3 and all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers)
    if not fine or max(map(int, numbers[1:])) > MOST_PARTICLES:
        raise source.wrong(
            f"claims an event '{line.strip()[:60]}', of more than {MOST_PARTICLES} particles or of "
            "no number"
        )
    return int(numbers[2])


def _numbers(line: str, fields: int, whole: tuple[int, ...]) -> bool:
    """Whether a line has so many fields with its letter, the others numbers, some of them whole."""
    parts = line.split()
    try:
        for i, part in enumerate(parts[1:], 1):
            (int if i in whole else float)(part)
    except ValueError:
        return False
    return len(parts) == fields


def _row(event: Any) -> Row | None:
    """Numbers of an event; None unless it is whole, with one neutrino, nucleus and recoil."""
    neutrino = [p for p in event.particles if p.status == BEAM and abs(p.pid) in (12, 14, 16)]
    target = [p for p in event.particles if p.status == TARGET and p.pid >= 10**9]
    recoil = [p for p in event.particles if p.status == FINAL and p.pid >= 10**9]
    if not len(neutrino) == len(target) == len(recoil) == 1:
        return None
    row = {
        "nu_pdg": neutrino[0].pid,
        "target": target[0].pid,
        "e_nu": neutrino[0].momentum.e,
        "e_nr": (recoil[0].momentum.e - target[0].momentum.e) * 1e3,
    }
    try:
        for name, kind in OWN.items():
            if f"nuspill.{name}" in event.attributes:
                text = str(event.attributes[f"nuspill.{name}"].astype(str))
                row[name] = int(text) if np.issubdtype(kind, np.integer) else float(text)
    except (ValueError, RuntimeError):
        return None
    whole = all(abs(row.get(n, 0)) < 2**62 for n in ("pulse", "component", "module"))
    return row if whole and row.get("component", 0) < 128 else None


def _block(rows: list[Row], source: Source) -> Block:
    experiment = source.experiment
    names = [name for name in rows[0] if all(name in row for row in rows)]
    block = {name: np.array([row[name] for row in rows]) for name in names}
    if "e_reco" not in block:
        detector = experiment.detector
        block["e_reco"] = detector.electron_equivalent(block["e_nr"]) * detector.per_kev
    if "pulse" not in block or "time" not in block:
        block |= {"pulse": np.full(len(rows), -1), "time": np.zeros(len(rows))}
    return block
