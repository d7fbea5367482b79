"""Configuration that is not what it seems: refused before work begins, or told in a line."""

import json

import numpy as np
import pytest
from nuspill import ExperimentError, build, load, plan
from nuspill.reco.errors import Notice
from nuspill.reco.runs.parts import write_parts

MINE = 'extends = "ess-csi"\nname = "mine"\n'
FAST = ("ess-ar", "--scan", "strength=0.5:1.5:5")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a file of an experiment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(MINE)
    return tmp_path


def everything(folder):
    """Every file below a folder with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


REFUSED = {
    "source at another distance": (
        "rates sns-csi-2017 --source ess", ["source.distance", "19.3 m", "20 m", "'ess'"]),
    "mass fractions": (
        "rates ess-xe --set target.material={Xe=0.9,He=0.3}", ["target.material", "= 1.2", "1"]),
    "mass fractions below": (
        "rates ess-xe --set target.material={Xe=0.9,He=0.05}", ["target.material", "= 0.95"]),
    "parts for fractions": (
        "rates ess-xe --set target.material={Xe=9,He=1}", ["target.material", "9 + 1 = 10"]),
    "twice in a combination": (
        "asimov ess-ar ess-ar --scan strength", ["ess-ar is given twice", "exposure.years"]),
    "twice, not beside": (
        "asimov ess-ar ess-c3f8 ess-ar --scan strength", ["ess-ar is given twice"]),
    "twice in toys": (
        "toys ess-ar ess-ar --scan strength -o toys", ["ess-ar is given twice"]),
    "twice in a workspace": (
        "export-workspace ess-ar ess-ar -o a.json", ["ess-ar is given twice"]),
    "two detectors of one name": (
        "asimov ess-ar ess-c3f8 --set name=chamber --scan strength",
        ["two experiments are called chamber", "Ar and C3F8"]),
    "Lindhard k": (
        "rates ess-ge --set detector.quenching={model='lindhard',z=32,k=1.5}",
        ["detector.quenching.k = 1.5", "less than or equal to 1"]),
    "Lindhard k of 0": (
        "rates ess-ge --set detector.quenching={model='lindhard',z=32,k=0}",
        ["detector.quenching.k = 0", "greater than 0"]),
    "Lindhard k by a and z": (
        "rates ess-ge --set detector.quenching={model='lindhard',z=92,a=1}",
        ["detector.quenching", "a = 1 nucleons"]),
    "ending": ("generate ess-ar -o foo.txt", ["-o", "'foo.txt'", ".root"]),
    "ending of a folder": ("generate ess-ar -o a.root --parts 2", ["-o", "a.root", "folder"]),
    "ending of an import": ("import mine.toml -o foo.txt", ["-o", "foo.txt", ".root"]),
    "ending of a workspace": ("export-workspace ess-ar -o foo.txt", ["-o", "foo.txt", ".json"]),
    "ending of a figure": ("plot mine.toml -o foo.txt", ["foo.txt"]),
    "ending of a report": ("compare mine.toml mine.toml -o foo.txt", ["foo.txt"]),
    "ending of a plot": (f"asimov {' '.join(FAST)} --plot foo.txt", ["foo.txt", ".pdf"]),
    "less than a pulse": (
        "generate ess-ar -o a.root --pot 1e3", ["ess-ar: pot = 1000", "pulses", "1.111e+15"]),
    "less than a pulse by years": ("generate ess-ar -o a.root --years 1e-12", ["years = 1e-12"]),
    "a pulse and a half": ("generate ess-ar -o a.root --pot 1.6667e15", ["1.5 pulses"]),
    "exposure.years of no pulse": (
        "generate ess-ar -o a.root --set exposure.years=1e-12", ["years = 1e-12"]),
    "key twice": (
        "rates ess-ar --set target.mass=3 --set target.mass=4", ["target.mass", "3 and 4"]),
    "key twice in a weight": (
        "generate ess-ar -o a.root --weight a:sin2w=0.2,sin2w=0.3", ["sin2w is given twice"]),
    "nuisance twice": (
        f"toys {' '.join(FAST)} -o t --ensemble fixed --nuisance signal=1 --nuisance signal=2",
        ["signal is given twice"]),
    "years twice": (
        f"asimov {' '.join(FAST)} --years 1 --set exposure.years=2", ["--years 1", "years=2"]),
    "years and years of events": (
        "generate ess-ar -o a.root --years 1 --set exposure.years=2", ["--years 1", "years=2"]),
    "protons and years": (
        "generate ess-ar -o a.root --pot 1e20 --set exposure.years=2", ["--pot 1e+20", "years=2"]),
    "events and years": (
        "generate ess-ar -o a.root --events 9 --set exposure.years=2", ["--events 9", "years=2"]),
    "JSON over the input": ("rates mine.toml --json mine.toml", ["--json", "an input too"]),
    "JSON over the input by another path": (
        "rates mine.toml --json ./mine.toml", ["--json", "an input too"]),
    "JSON over a period's file": (
        "rates mine.toml#1 --json mine.toml", ["--json", "an input too"]),
    "events over the input": (
        "export mine.toml --to compass -o mine.toml --overwrite", ["-o", "an input too"]),
    "two outputs": ("generate ess-ar -o a.root --json a.root", ["--json", "a.root"]),
    "plot and JSON": (
        f"asimov {' '.join(FAST)} --plot a.pdf --json a.pdf", ["--json", "--plot", "a.pdf"]),
    "years that are none": ("generate ess-ar -o a.root --years nan", ["years", "nan"]),
    "years without end": (f"asimov {' '.join(FAST)} --years inf", ["exposure.years = inf"]),
    "negative years": (f"asimov {' '.join(FAST)} --years -1", ["exposure.years = -1"]),
    "seed too large": (
        f"generate ess-ar -o a.root --seed {2**64}", ["seed must be from 0 to 2^64 - 1"]),
    "seed of toys too large": (
        f"toys {' '.join(FAST)} -o t --seed {2**64}", ["seed must be from 0 to 2^64 - 1"]),
    "seed with a point": ("generate ess-ar -o a.root --seed 1.5", ["--seed", "1.5"]),
    "unknown key": ("rates ess-ar --set detector.treshold=1", ["did you mean 'threshold'"]),
    "folder for a file": ("generate ess-ar -o . --years 0.001", ["is a folder"]),
    "no such folder": ("generate ess-ar -o no/a.root --years 0.001", ["no/a.root", "no folder"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, nuspill, place):
    """Fails if it is not refused in one line that names what is wrong, or anything is left."""
    words, parts = REFUSED[case]
    before = everything(place)
    status, output, errors = nuspill(*words.split())
    assert (status, output, len(errors.splitlines())) == (2, "", 1), errors
    assert all(part in errors for part in parts), errors
    assert everything(place) == before


TOLD = {
    "shadow": ("rates ess-csi", ["ess-csi is the experiment", "./ess-csi"]),
    "shadow with an ending": ("rates ess-xe", ["ess-xe is the experiment", "./ess-xe.toml"]),
    "no such preset": ("rates mine.toml --preset paper", ["mine.toml has no preset 'paper'"]),
    "radius of a point": (
        "rates ess-ar --set interaction.form_factor=unity --set interaction.neutron_radius=9",
        ["interaction.neutron_radius has no effect", "'unity'"]),
    "no moment": (
        "rates ess-ar --set interaction.moment_form_factor=false", ["moment_form_factor has no"]),
    "tail of a window": (
        "rates ess-si --set windows.on_tail=10", ["windows.on_tail has no effect", "on_length"]),
    "pulse without decays": (
        "rates conus-plus-2025 --set source.pulse_of=numu",
        ["source.pulse_of has no effect", "source.spectra"]),
    "pulse of a steady source": (
        "rates conus-plus-2025 --set source.pulse_of=numu --set source.steady=true",
        ["source.pulse_of has no effect", "source.steady = true"]),
    "no dead time": (
        "rates ess-ar --set detector.dead_time_of=exposure", ["detector.dead_time is 0"]),
    "no pull": (
        "rates ess-ar --set analysis.statistic=on-off --set analysis.background_uncertainty=0.2",
        ["analysis.background_uncertainty has no effect", "'on-off'"]),
    "background that is off": (
        "rates ess-ar --set background.steady.enabled=false --set background.steady.rate=9",
        ["background.steady.rate has no effect", "enabled = false"]),
    "delay of what is steady": (
        "rates ess-ar --set background.steady.delay=5",
        ["background.steady.delay has no effect", "'steady'"]),
    "weight that is one": (
        "generate ess-ar -o a.root --years 1e-3 --weight a:moment_form_factor=false",
        ["weight 'a': interaction.moment_form_factor has no effect"]),
    "truth threshold": (
        "generate ess-csi -o a.root --years 1e-4 --set exposure.truth_threshold=10",
        ["exposure.truth_threshold = 10 keV", "% of the selected signal"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_told(case, nuspill, place):
    """Fails if it is done without a word, or told more than once."""
    (place / "ess-csi").write_text(MINE)
    (place / "ess-xe.toml").write_text(MINE)
    words, parts = TOLD[case]
    if "generate" in words:
        (place / "ess-csi").unlink()
    status, output, errors = nuspill(*words.split())
    assert status == 0
    assert output
    assert errors.startswith("nuspill: note: ")
    assert len(errors.splitlines()) == 1, errors
    assert all(part in errors for part in parts), errors


def test_nothing_is_told_of_what_has_an_effect(nuspill, place):
    """Fails if what is as it seems is warned of."""
    words = [
        "rates ess-csi --set interaction.sin2w=0.3 --set interaction.neutron_radius=5",
        "rates ess-csi --set interaction.couplings=radiative --set interaction.sin2w=0.3 "
        "--set interaction.radius.ee=0.1",
        "rates ess-ar --set windows.on_tail=2e5 --preset paper",
        "rates ess-ar --set analysis.background_uncertainty=0.2",
        "rates ./mine.toml --set exposure.truth_threshold=0.1",
        "rates ess-csi --source ess-28hz",
        "rates ess-csi --set target.mass=3 --set target.mass=3",
        "rates ess-xe --set target.material={Xe=0.333,He=0.333,Ar=0.333}",
    ]
    for line in words:
        status, _, errors = nuspill(*line.split())
        assert (status, errors) == (0, ""), line


def test_the_shipped_one_is_taken(place, nuspill):
    """Fails if a file of the working folder changes what a shipped name is."""
    (place / "ess-csi").write_text(MINE + "[target]\nmass = 1.0\n")
    with pytest.warns(Notice, match=r"the file is \./ess-csi"):
        assert load("ess-csi").target.mass == 22.5
    assert load("./ess-csi").target.mass == 1.0
    output = json.loads(nuspill("rates", "./ess-csi", "--json", "-")[1])
    assert list(output) == ["./ess-csi"]


def test_distances_of_sources(place):
    """Fails if another source moves a detector without a word, by any door."""
    with pytest.raises(ExperimentError, match=r"source\.distance open: .* 19\.3 m as before"):
        load("sns-csi-2017", source="ess")
    for distance in (19.3, 20.0):
        settings = {"source.distance": distance, "windows.off_start": 3e7}
        assert load("sns-csi-2017", settings, source="ess").source.distance == distance
    based = '[windows]\noff_start = 3e7\n[source]\nbase = "ess"\n'
    based = 'extends = "sns-csi-2017"\nname = "mine"\n' + based
    (place / "mine.toml").write_text(based)
    with pytest.raises(ExperimentError, match=r"mine\.toml: .* source\.distance open"):
        load("mine.toml")
    (place / "mine.toml").write_text(based + "distance = 25.0\n")
    assert load("mine.toml").source.distance == 25.0
    preset = 'extends = "sns-csi-2017"\nname = "mine"\n[preset.far.source]\nbase = "ess"\n'
    (place / "mine.toml").write_text(preset)
    with pytest.raises(ExperimentError, match=r"source\.distance open"):
        load("mine.toml", preset="far")


def test_one_detector_at_two_settings_is_no_repetition():
    """Fails if a combination of other settings or names is taken for one of the same."""
    csi = load("ess-ar")
    for other in ({"exposure.years": 1.0}, {"name": "other"}, {"detector.threshold": 1.0}):
        assert len(build([csi, csi.replace(**other)]).sections) == 2


@pytest.mark.parametrize("number", [1.5, True, np.float64(3), "3"])
def test_numbers_that_are_not_whole(number, tmp_path):
    """Fails if a number of events or parts is found to be none after events are made."""
    with pytest.raises(ExperimentError, match="events must be a whole number"):
        plan(load("ess-ar"), events=number)
    run = plan(load("ess-ar"), years=0.01)
    with pytest.raises(ExperimentError, match="parts must be a whole number"):
        write_parts(run, tmp_path / "parts", number)
    with pytest.raises(ExperimentError, match="seed must be a whole number"):
        plan(load("ess-ar"), number)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy(tmp_path):
    """Fails if NumPy's whole numbers fail where the provenance is written, after all events."""
    run = plan(load("ess-ar", {"exposure.slice_pulses": 1000}), np.int64(4), events=np.int32(20))
    assert (type(run.seed), type(run.fixed_signal)) == (int, int)
    write_parts(run, tmp_path / "parts", np.int64(2))
    manifest = json.loads((tmp_path / "parts/manifest.json").read_text())["configuration"]
    assert (manifest["seed"], manifest["fixed_signal"], manifest["parts"]) == (4, 20, 2)


@pytest.mark.parametrize("pulses", [1, 2, 49, 1000.4])
def test_whole_pulses(pulses):
    """Fails if a run of whole pulses, or one that rounding hardly changes, is refused."""
    source = load("ess-ar").source
    assert plan(load("ess-ar"), years=pulses / source.pulses_per_year).pulses == round(pulses)
    pot = pulses * source.protons / source.pulses_per_year
    assert plan(load("ess-ar"), pot=pot).pulses == round(pulses)
