"""NuHepMC: round trips, what pyhepmc finds, kinematics, and damage."""

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load, plan, read, write

pyhepmc = pytest.importorskip("pyhepmc")

CSI = "ess-csi"


def test_round_trip(ntuple, selected, tmp_path, equal):
    """Fails if truth or exposure is not what the ntuple has, without naming the experiment."""
    path, file, back = ntuple(CSI, 0.05), tmp_path / "a.hepmc", tmp_path / "a.root"
    number = export_events(path, "nuhepmc", file)
    told = import_events(file, back)
    before, (after, _) = selected(path), read(back)
    before = {name: column[before["nu_pdg"] != 0] for name, column in before.items()}
    assert number == told["events"] == len(before["pulse"]) > 200
    equal(before, after, "pulse", "time_true", "time", "window", "component", "nu_pdg", "target",
          "e_nu", "e_reco", "module", "x", "y", "z", "selected")  # fmt: skip
    np.testing.assert_allclose(after["e_nr"], before["e_nr"], rtol=1e-6)
    assert told["pulses"] == round(0.05 * load(CSI).source.pulses_per_year)


def test_read_by_pyhepmc(ntuple, selected, tmp_path):
    """Fails if a required key is missing, or energy and momentum are not conserved."""
    path, file = ntuple(CSI, 0.05), tmp_path / "a.hepmc"
    number = export_events(path, "nuhepmc", file)
    before = selected(path)
    recoils = before["e_nr"][before["nu_pdg"] != 0]
    with pyhepmc.open(str(file)) as opened:
        events = list(opened)
    assert len(events) == number
    run = events[0].run_info
    told = {key: value.astype(str) for key, value in run.attributes.items()}
    assert [told[f"NuHepMC.Version.{v}"] for v in ("Major", "Minor", "Patch")] == ["1", "0", "0"]
    assert told["NuHepMC.ProcessIDs"].split() == ["150"]
    assert told["NuHepMC.ProcessInfo[150].Name"] == "CEvNS"
    assert told["NuHepMC.AdditionalParticleNumbers"].split() == ["1000551330", "1000531270"]
    assert 0.5 < float(told["NuHepMC.FluxAveragedTotalCrossSection"]) < 3  # 1e-38 cm2
    assert run.weight_names == ["CV"]
    assert [tool.name for tool in run.tools] == ["nuspill"]
    for event, recoil in zip(events, recoils, strict=True):
        assert event.momentum_unit == pyhepmc.Units.MEV
        assert event.attributes["signal_process_id"].astype(int) == 150
        (vertex,) = event.vertices
        assert vertex.status == 1
        into = np.sum([list(p.momentum) for p in vertex.particles_in], axis=0)
        out = np.sum([list(p.momentum) for p in vertex.particles_out], axis=0)
        np.testing.assert_allclose(into, out, rtol=0, atol=1e-9)
        neutrino, nucleus = vertex.particles_out
        # the float32 energies of the ntuple leave the neutrino's mass a little beside 0
        assert abs(neutrino.momentum.m2()) < 1e-5 * into[3] ** 0.5
        kinetic = nucleus.momentum.e - nucleus.generated_mass
        assert kinetic * 1e3 == pytest.approx(recoil, rel=1e-6)


def test_files_of_others(ntuple, tmp_path):
    """Fails if a file without our own attributes is refused, or its recoils are others."""
    file, back = tmp_path / "a.hepmc", tmp_path / "a.root"
    number = export_events(ntuple(CSI, 0.05), "nuhepmc", file)
    lines = [line for line in file.read_text().splitlines() if " nuspill." not in line]
    file.write_text("\n".join(lines) + "\n")
    import_events(file, back, experiment=CSI)
    events, _ = read(back)
    assert len(events["pulse"]) == number
    assert (events["pulse"] == -1).all()
    np.testing.assert_allclose(events["e_reco"], 0.1 * events["e_nr"], rtol=1e-6)


def lines(old, new):
    return lambda text: text.replace(old, new, 1)


DAMAGE = {
    "truncated": (
        lambda t: t[: t.index("\n", len(t) * 2 // 3) + 1],
        "missing end of the listing",
        None,
    ),
    "cut in a line": (
        lambda t: t[: t.index("\nP 1 ", len(t) // 2) + 4],
        "is no particle: 'P 1'",
        None,
    ),
    "wrong magic": (lambda t: t.replace("Asciiv3", "Binary9"), "a.hepmc", None),
    "2^63 particles": (lines(" 1 4\nU", " 1 9223372036854775808\nU"), "claims an event", None),
    "no number": (lines(" 1 4\nU", " 1 x\nU"), "claims an event", None),
    "no neutrino": (lines(" 14 ", " 13 "), "1 events without neutrino", 1),
    "pulse of letters": (lines("nuspill.pulse ", "nuspill.pulse x"), "1 events without", 1),
    "NaN": (lines("nuspill.e_reco ", "nuspill.e_reco nan\nA 0 other "), "without a finite", 1),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    damage, text, dropped = DAMAGE[case]
    file, back = tmp_path / "a.hepmc", tmp_path / "a.root"
    number = export_events(ntuple(CSI, 0.05), "nuhepmc", file)
    file.write_text(damage(file.read_text()))
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, back, "nuhepmc", experiment=CSI)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert not back.exists()
    if dropped is not None:
        told = import_events(file, back, "nuhepmc", experiment=CSI, repair=True)
        assert told["events"] == number - dropped


def test_the_command_prints_one_line(ntuple, nuspill, tmp_path):
    """Fails if HepMC3 prints its own errors beside ours."""
    file = tmp_path / "a.hepmc"
    export_events(ntuple(CSI, 0.05), "nuhepmc", file)
    file.write_text(file.read_text().replace("\nP 3 ", "\nP x ", 1))
    status, out, errors = nuspill("import", file, "-o", tmp_path / "a.root")
    assert (status, out) == (2, "")
    assert len(errors.splitlines()) == 1, errors


def test_an_experiment_with_any_letters(tmp_path):
    """Fails if the experiment in the file is damaged by letters that HepMC3 escapes."""
    settings = {"description": 'a\\b \u00b5\u03bd | "c"', "exposure.years": 0.01}
    write(plan(load(CSI, settings), 1), tmp_path / "a.root")
    export_events(tmp_path / "a.root", "nuhepmc", tmp_path / "a.hepmc")
    told = import_events(tmp_path / "a.hepmc", tmp_path / "b.root")
    assert told["experiment"]["description"] == settings["description"]


def azimuths(file):
    """Azimuth of each recoil."""
    with pyhepmc.open(str(file)) as opened:
        nuclei = [event.vertices[0].particles_out[1].momentum for event in opened]
    return np.array([np.arctan2(p.y, p.x) for p in nuclei])


def test_directions_of_one_seed(tmp_path):
    """Fails if two experiments of one seed, or two stretches of a run, have common directions."""
    made = {}
    for name in ("a", "b"):
        run = plan(load(CSI, {"name": name}), 3, years=0.02)
        write(run, tmp_path / f"{name}.root")
        for first, stop in ((0, run.pulses // 2), (run.pulses // 2, run.pulses)):
            file = tmp_path / f"{name}{first}.hepmc"
            export_events(tmp_path / f"{name}.root", "nuhepmc", file, pulses=(first, stop))
            made[name, first] = azimuths(file)
    every = np.concatenate(list(made.values()))
    assert len(every) > 200
    assert len(np.unique(every)) == len(every)
