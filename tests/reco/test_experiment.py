"""Experiment files: what is shipped, how they are changed, and what is refused."""

import math

import pytest
from nuspill import Experiment, ExperimentError, load, periods, shipped_experiments
from nuspill.generator.beam import shipped_sources
from nuspill.reco.configuration.explain import describe_keys
from nuspill.reco.experiment import source_text, validate

SHIPPED = shipped_experiments()
TABLE1 = ("ess-csi", "ess-si", "ess-xe", "ess-ge", "ess-ar", "ess-c3f8")

SEVENTH = """
name = "argon-at-a-reactor"
[source]
protons_per_year = 1e20
neutrinos_per_proton = 1.0
steady = true
repetition = 10.0
pulse_width = 1e6
distance = 12.0
[source.spectra.nuebar]
energy = [0.0, 2.0, 6.0, 9.0]
density = [0.0, 3.0, 1.0, 0.0]
per_year = 1e27
[target]
material = { Ar = 0.98, "Xe[132]" = 0.02 }
mass = 100.0
[detector]
threshold = 0.05
quenching = { model = "table", recoil = [0.1, 1.0, 10.0], energy = [0.02, 0.25, 3.0] }
resolution = { model = "table", energy = [0.1, 1.0], width = [0.02, 0.1] }
efficiency = { model = "table", energy = [0.0, 0.1], efficiency = [0.0, 0.9] }
"""


@pytest.fixture
def write(tmp_path):
    """Write an experiment file."""

    def save(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return save


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_experiments_load(name):
    """Fails if a file in the package is not valid, or is called other than it says."""
    experiment = load(name)
    assert experiment.name == name
    assert experiment.description
    assert experiment.end_point > experiment.detector.threshold
    assert source_text(name).startswith("#")


def test_what_is_shipped():
    """Fails if a detector or fill of the paper, or the measured case, is missing."""
    fills = {f"ess-xe-{gas}" for gas in ("ar", "ne", "kr", "he")}
    assert {*TABLE1, *fills, "sns-csi-2017"} <= set(SHIPPED)
    assert {"ess", "sns", "ess-28hz", "ess-2.5gev", "ess-3gev"} <= set(shipped_sources())


@pytest.mark.parametrize("name", TABLE1)
def test_inputs_are_those_of_table_1(name, reference):
    """Fails if target, mass, threshold, QF, width, range or background is not Table 1's."""
    expected = reference("table1")["input"][name]
    e = load(name)
    d = e.detector
    assert e.target.material == expected["material"]
    assert e.target.mass == expected["mass"]
    assert d.threshold == expected["threshold"]
    assert d.e_max == expected["e_max"]
    assert d.efficiency.model == "step"
    assert d.efficiency.plateau == 0.80
    if "relative" in expected:
        assert d.resolution.model == "sqrt"
        assert d.resolution.relative == expected["relative"]
        energy = float(d.electron_equivalent(d.threshold))
        assert energy == pytest.approx(expected["threshold_ee"], abs=5e-4)
        assert energy / d.threshold == pytest.approx(expected["factor"], abs=5e-3)
    else:
        assert d.resolution.model == "none"
        assert d.quenching.model == "none"
    (background,) = e.background
    assert background.rate == expected["background"]
    assert background.total == expected.get("total", False)
    assert background.scale == expected["scale"]
    assert background.timing == "steady"
    assert e.source.distance == 20.0
    assert e.source.protons * e.source.neutrinos_per_proton == pytest.approx(8.4e22)
    assert e.exposure.years == 3.0


def test_inputs_of_the_measured_case():
    """Fails if the SNS measurement's inputs are not those published."""
    e = load("sns-csi-2017")
    assert (e.target.material, e.target.mass) == ("CsI", 14.6)
    assert (e.source.distance, e.source.protons, e.source.neutrinos_per_proton) == (
        19.3, 1.76e23, 0.08,
    )  # fmt: skip
    assert e.source.days_per_year == pytest.approx(308.1)
    assert (e.source.repetition, e.source.pulse_width) == (60.0, 1000.0)
    assert e.detector.resolution.light_yield == 13.348
    assert e.detector.quenching.factor == 0.0878
    assert e.interaction.couplings == "radiative"


@pytest.mark.parametrize("name", SHIPPED)
def test_round_trip(name):
    """Fails if an experiment written down (Python or JSON) is not the same when read again."""
    e = load(name)
    assert Experiment.model_validate(e.model_dump()) == e
    assert Experiment.model_validate_json(e.model_dump_json()) == e
    assert validate(e.model_dump(mode="json"), "again") == e


def test_frozen():
    """Fails if an experiment can be changed under a run."""
    e = load("ess-csi")
    with pytest.raises(ValueError, match="frozen"):
        e.target.mass = 3.0


def test_paper_preset():
    """Fails if the preset does not bring the paper's nuclei and duty factor, and only there."""
    plain, paper = load("ess-c3f8"), load("ess-c3f8", preset="paper")
    assert {n.name for n in plain.target.nuclei} == {"C12", "C13", "F19"}
    (average,) = paper.target.nuclei
    assert (average.z, average.n, average.mass_u) == (8.1818, 8.9091, 18.18)
    assert paper.source.beam_window / paper.source.period == pytest.approx(0.0392)
    assert paper.detector == plain.detector
    printed = load("ess-ge", preset="paper-as-printed")
    assert printed.target.nuclei[0].mass_u == 75.92
    assert load("ess-ge", preset="paper").target.nuclei[0].mass_u == 71.92


def test_experiment_without_the_paper_preset():
    """Fails if `--preset paper` for all experiments stops at one that has none."""
    assert load("sns-csi-2017", preset="paper") == load("sns-csi-2017")


def test_unknown_preset():
    """Fails if a misspelt preset is taken for none."""
    with pytest.raises(ExperimentError, match=r"ess-ge.*'papr'.*did you mean 'paper'"):
        load("ess-ge", preset="papr")


def test_extends():
    """Fails if a fill of the gas chamber does not keep the settings of ess-xe."""
    xenon, argon = load("ess-xe"), load("ess-xe-ar")
    for section in ("source", "interaction", "exposure", "windows", "background"):
        assert getattr(argon, section) == getattr(xenon, section)
    assert argon.target == xenon.target.model_copy(update={"material": "Ar"})
    assert argon.detector == xenon.detector.model_copy(update={"e_max": 150.0})


def test_own_file(write):
    """Fails if a seventh detector, with all that can be tabulated, needs more than a file."""
    e = load(write(SEVENTH))
    assert e.components == {4: "nuebar"}
    masses = [n.per_kg * n.mass_u for n in e.target.nuclei]
    assert sum(masses) == pytest.approx(6.02214076e26, rel=1e-4)
    tmax = 2 * 9.0**2 / (35.967545 * 931.494) * 1e3
    assert e.end_point == pytest.approx(tmax, rel=1e-3)


def test_own_file_from_shipped_parts(write):
    """Fails if `extends` and `source.base` do not start from what is shipped."""
    path = write(
        'extends = "ess-ge"\nname = "mine"\nsource = { base = "ess-3gev", distance = 30.0 }\n'
        '[detector.quenching]\nmodel = "lindhard"\nz = 32\nk = 0.162\n'
        "[preset.close]\nsource.distance = 15.0\n"
    )
    e = load(path)
    assert (e.source.power, e.source.distance, e.target.mass) == (7.5, 30.0, 7.0)
    assert e.detector.quenching.model == "lindhard"
    assert load(path, preset="close").source.distance == 15.0
    with pytest.raises(ExperimentError, match="there are: close"):
        load(path, preset="paper-as-printed")


def test_settings_by_key():
    """Fails if a dotted key does not reach its value, or reaches another as well."""
    e = load("ess-csi", {"source.distance": 25.0, "background.steady.rate": 3.0})
    assert e.source.distance == 25.0
    assert e.background[0].rate == 3.0
    rest = e.replace(**{"source.distance": 20.0, "background.steady.rate": 10.0})
    assert rest == load("ess-csi")


def test_settings_of_models():
    """Fails if a model cannot be chosen by name alone, or by a table."""
    e = load("ess-csi", {"detector.resolution": "none"})
    assert e.detector.resolution.model == "none"
    e = load("ess-csi", {"detector.quenching": {"model": "lindhard", "z": 54, "a": 130}})
    assert e.detector.quenching.model == "lindhard"
    e = load("ess-csi", {"interaction.moment.numu": 5.0, "windows.off_ratio": 2})
    assert (e.interaction.moment.numu, e.windows.off_ratio) == (5.0, 2.0)


def test_source_in_place_of_the_own():
    """Fails if another source keeps values of the file's own."""
    e = load("sns-csi-2017", {"windows.off_start": 3e7, "source.distance": 20.0}, source="ess")
    assert e.source == load("ess-csi").source
    with pytest.raises(ExperimentError, match=r"ess-csi.*source 'ess-27hz'.*'ess-28hz'"):
        load("ess-csi", source="ess-27hz")


def test_replace():
    """Fails if the original changes, or a wrong value is taken."""
    e = load("ess-csi")
    heavier = e.replace(**{"target.mass": 30.0, "background.steady.enabled": False})
    assert (heavier.target.mass, e.target.mass) == (30.0, 22.5)
    assert heavier.components == {1: "numu", 2: "nue", 3: "numubar"}
    assert e.components == heavier.components | {10: "steady"}
    with pytest.raises(ExperimentError, match=r"ess-csi: target.mass = -1.*greater than 0"):
        e.replace(**{"target.mass": -1.0})
    with pytest.raises(ExperimentError, match=r"'stedy'.*did you mean 'steady'"):
        e.replace(**{"background.stedy.rate": 1.0})


def test_background_numbers():
    """Fails if a background's number depends on which others are enabled."""
    given = [{"name": n, "rate": 1.0, "enabled": n != "b"} for n in "abc"]
    e = load("ess-csi", {"background": given})
    assert e.components == {1: "numu", 2: "nue", 3: "numubar", 10: "a", 12: "c"}


def test_described_keys():
    """Fails if a key is without meaning, or one of these is missing or has another unit."""
    keys = {key: (unit, meaning) for key, unit, meaning in describe_keys(Experiment)}
    units = {
        "source.distance": "m",
        "target.material": "",
        "target.mass": "kg",
        "interaction.form_factor": "",
        "interaction.neutron_radius": "fm",
        "detector.threshold": "keV_nr",
        "detector.quenching.factor": "",
        "windows.off_ratio": "",
        "background.<name>.rate": "1/(kg day) an energy unit",
        "exposure.years": "years",
        "source.pulse_width": "ns",
        "source.repetition": "Hz",
    }
    assert {key: keys[key][0] for key in units} == units
    assert all(meaning for _, meaning in keys.values())
    assert len(describe_keys(Experiment)) == len(keys)


def test_every_described_key_can_be_set():
    """Fails if a key that is listed is unknown, or no value, when it is set to a wrong one."""
    experiment = load("ess-csi")
    chosen = tuple(
        f"detector.{key}" for key in ("quenching", "resolution", "efficiency", "time_efficiency")
    )
    for key, _, _ in describe_keys(Experiment):
        path = key.replace("<name>", "steady").replace("<flavour>", "nue")
        with pytest.raises(ExperimentError) as caught:
            experiment.replace(**{path: math.nan})
        message = str(caught.value)
        # keys of a model that is not chosen are unknown, and the model itself is a table
        models = ("background.<name>.spectrum", "background.<name>.time_efficiency")
        of_model = key.startswith((*chosen, *models))
        assert of_model or "unknown key" not in message, key
        assert of_model or "valid dictionary" not in message, key


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"target.mas": 3.0}, ["ess-csi", "target.mas", "unknown key", "'mass'"]),
        ({"targt.mass": 3.0}, ["ess-csi", "targt", "unknown key", "'target'"]),
        ({"target.mass": -3.0}, ["ess-csi", "target.mass", "-3.0", "greater than 0"]),
        ({"target.mass": "heavy"}, ["ess-csi", "target.mass", "'heavy'", "number"]),
        ({"target.mass": "30"}, ["ess-csi", "target.mass", "'30'", "number"]),
        ({"target.mass": True}, ["ess-csi", "target.mass", "True", "number"]),
        ({"target.mass": math.nan}, ["ess-csi", "target.mass", "nan", "finite"]),
        ({"target.mass": math.inf}, ["ess-csi", "target.mass", "inf", "finite"]),
        ({"target": [1, 2]}, ["ess-csi", "target", "[1, 2]"]),
        ({"target.material": ""}, ["ess-csi", "target.material", "formula"]),
        ({"target.material": "Cesium"}, ["ess-csi", "target.material", "Cesium", "formula"]),
        ({"target.material": {}}, ["ess-csi", "target.material", "at least one"]),
        ({"target.material": []}, ["ess-csi", "target.material", "empty"]),
        ({"target.material": "Tc"}, ["ess-csi", "target.material", "Tc", "isotopes"]),
        ({"target.material": "Na{+}Cl{-}"}, ["ess-csi", "target.material"]),
        ({"target.material": "CsI0"}, ["ess-csi", "target.material", "CsI0"]),
        ({"target.material": {"Xe": -1.0}}, ["ess-csi", "target.material", "Xe", "-1.0"]),
        ({"target.material": [{"name": "X", "z": 3, "n": 3, "mas": 6}]},
         ["ess-csi", "target.material", "mas", "unknown key"]),
        ({"detector.threshold": 100.0}, ["ess-csi", "detector.threshold", "100", "end point"]),
        ({"interaction.neutron_radius": {"Xe": 4.8}},
         ["ess-csi", "interaction.neutron_radius.Xe", "Cs133, I127"]),
        ({"interaction.proton_radius": {"Cs": -4.8}},
         ["ess-csi", "interaction.proton_radius", "-4.8", "greater than 0"]),
        ({"interaction.proton_radius": {"Cs": 0.5}}, ["ess-csi", "interaction", "0.5 fm", "Helm"]),
        ({"interaction.proton_radius": "small"}, ["ess-csi", "interaction.proton_radius", "small"]),
        ({"source.pulse_of": "pions"}, ["ess-csi", "source.pulse_of", "protons", "numu"]),
        ({"detector.resolution": {"model": "gamma", "light_yield": 13.35}},
         ["ess-csi", "detector.resolution", "b", "required"]),
        ({"background.steady.spectrum": {"model": "histogram", "edges": [0, 1], "counts": [1, 2]}},
         ["ess-csi", "spectrum", "edges must be one more than counts"]),
        ({"background.steady.spectrum": {"model": "histogram", "edges": [1, 1], "counts": [1]}},
         ["ess-csi", "spectrum", "edges must increase"]),
        ({"detector.time_efficiency.rate": 1.0}, ["ess-csi", "detector.time_efficiency"]),
        ({"detector.e_max": 0.5}, ["ess-csi", "detector.e_max", "0.5", "detector.threshold"]),
        ({"exposure.truth_threshold": 99.0}, ["ess-csi", "exposure.truth_threshold", "99"]),
        ({"exposure.years": 0.0}, ["ess-csi", "exposure.years", "0", "greater than 0"]),
        ({"exposure.slice_pulses": 0}, ["ess-csi", "exposure.slice_pulses", "0"]),
        ({"exposure.slice_pulses": 2.5}, ["ess-csi", "exposure.slice_pulses", "2.5", "integer"]),
        ({"detector.quenching": "lindhrd"}, ["ess-csi", "detector.quenching", "lindhrd"]),
        ({"detector.quenching": {"model": "polynomial", "coefficients": [0.1, -10.0]}},
         ["ess-csi", "detector.quenching", "polynomial", "increase", "keV_nr"]),
        ({"interaction.form_factor": "helmut"},
         ["ess-csi", "interaction.form_factor", "'helmut'", "helm"]),
        ({"interaction.form_factor": "none.csv"},
         ["ess-csi", "interaction.form_factor", "none.csv"]),
        ({"source.pulse_width": 1e9}, ["ess-csi", "source", "1e+09", "period"]),
        ({"source.spectra": {"numux": {"line": 3.0}}}, ["ess-csi", "source.spectra", "numux"]),
        ({"source.spectra": {}}, ["ess-csi", "source.spectra", "none"]),
        ({"source.spectra.nue": {"energy": [1, 3, 2], "density": [1, 1, 1]}},
         ["ess-csi", "source.spectra.nue", "increase"]),
        ({"background.steady.rate": -1}, ["ess-csi", "background.steady.rate", "-1"]),
        ({"background.stady.rate": 1}, ["ess-csi", "background.stady.rate", "'stady'", "'steady'"]),
        ({"background.steady": 1}, ["ess-csi", "background.steady", "key below"]),
        ({"background": [{"name": "a", "rate": 1}, {"name": "a", "rate": 2}]},
         ["ess-csi", "names must differ"]),
        ({"name.of": "x"}, ["ess-csi", "name.of", "name is a value"]),
        ({"source.distance.x": 3}, ["ess-csi", "source.distance.x", "source.distance is a value"]),
        ({"": 3}, ["ess-csi", "unknown key"]),
        ({"source.": 3}, ["ess-csi", "source.", "unknown key"]),
        ({"windows.record": 3}, ["ess-csi", "windows.record", "3", "windows"]),
        ({"source.base": "sns"}, ["ess-csi", "source.base"]),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_setting(settings, parts):
    """Fails if a wrong value is taken, or its error is not one line with file, key and value."""
    with pytest.raises(ExperimentError) as caught:
        load("ess-csi", settings)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name = ", ["mine.toml", "not valid TOML"]),
        ("name = 'x'\nname = 'y'", ["mine.toml", "not valid TOML"]),
        ('name = "x"', ["mine.toml", "is required"]),
        ('extends = "ess-cs"', ["mine.toml", "'ess-cs'", "ess-csi"]),
        ('extends = "ess-csi"\nsource = { base = "ess2" }', ["mine.toml", "source 'ess2'"]),
        ('extends = "ess-csi"\nsource = "ess"', ["mine.toml", "source", "'ess'"]),
        ('extends = "ess-csi"\n[detector]\nthreshhold = 3',
         ["mine.toml", "did you mean 'threshold'"]),
        ('extends = "ess-csi"\n[source]\nrepetition = "often"', ["mine.toml", "'often'"]),
        ('extends = "ess-csi"\n[preset]\npaper = 3', ["mine.toml", "preset"]),
        ('extends = "ess-csi"\npreset = 3', ["mine.toml", "preset"]),
    ],
)  # fmt: skip
def test_wrong_file(text, parts, write):
    """Fails if a wrong file is taken, or its error is not one line that names it."""
    with pytest.raises(ExperimentError) as caught:
        load(write(text), preset="paper")
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_file_that_cannot_be_read(tmp_path):
    """Fails if a missing file, a folder or binary garbage is no clear error."""
    garbage = tmp_path / "garbage.toml"
    garbage.write_bytes(bytes(range(256)))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    for path, reason in (
        (tmp_path / "none.toml", "No such file"),
        (garbage, "not UTF-8"),
        (folder, "directory"),
    ):
        with pytest.raises(ExperimentError, match=f"{path.name}.*{reason}"):
            load(path)


@pytest.mark.parametrize("name", ["ess-cci", "", "x" * 300, "a\0b"])
def test_unknown_experiment(name):
    """Fails if a name that is no experiment and no file ends in anything but a clear error."""
    with pytest.raises(ExperimentError, match="no experiment"):
        load(name)


RAMP = """
extends = "ess-csi"
name = "ramp"
[[period]]
years = 0.5
source.power = 0.5
source.proton_energy = 0.57
source.neutrinos_per_proton = 0.02
[[period]]
years = 1
source.power = 2.0
[[period]]
years = 3.0
"""


def test_periods_of_a_rising_power(write):
    """Fails if a period has the years, the protons or the yield of another."""
    path = write(RAMP)
    names = periods(path)
    assert names == (f"{path}#1", f"{path}#2", f"{path}#3")
    first, second, third = (load(name) for name in names)
    assert [e.exposure.years for e in (first, second, third)] == [0.5, 1, 3.0]
    assert first.source.protons == pytest.approx(2.8e23 * 0.1 * 2 / 0.57, rel=1e-12)
    assert (first.source.neutrinos, second.source.neutrinos) == (0.02, 0.3)
    assert second.source.protons == pytest.approx(1.12e23, rel=1e-12)
    assert third.source == load("ess-csi").source
    assert load(names[0], {"source.power": 1.0}).source.power == 1.0
    assert load(names[1], source="sns").source == load("ess-csi", source="sns").source
    assert periods("ess-csi") == ("ess-csi",)
    assert periods(names[1]) == (names[1],)


@pytest.mark.parametrize(
    ("change", "name", "settings", "message"),
    [
        (("", ""), "", {}, r"mine.toml has 3 periods: name one, from .*mine.toml#1 to .*#3"),
        (("", ""), "#4", {}, "no period 4; there are 3"),
        (("", ""), "#0", {}, "no period 0; there are 3"),
        (("", ""), "#1", {"exposure.years": 2.0}, "exposure.years contradicts period 1"),
        (("years = 1\n", ""), "#2", {}, "period 2: years is required"),
        (("years = 1\n", "years = 0\n"), "#2", {}, "exposure.years = 0: must be greater than 0"),
        (("years = 1\n", "yeers = 1\n"), "#2", {}, "period 2: years is required"),
        (("source.power", "source.pover"), "#2", {}, "did you mean 'power'"),
        (("[[period]]", "[[period]]\nexposure.years = 2"), "#1", {}, "exposure.years contradicts"),
        (("source.neutrinos_per_proton = 0.02\n", ""), "#1", {}, "is 0.57 GeV"),
        (("source.power = 2.0", "source.repetition = 28.0"), "#2", {}, "source.power open"),
        ((RAMP, 'extends = "ess-csi"\nperiod = 3'), "#1", {}, r"write \[\[period\]\]"),
        ((RAMP, 'extends = "ess-csi"\nname = "mine"'), "#1", {}, "no period 1; there are 0"),
    ],
)
def test_wrong_periods(change, name, settings, message, write):
    """Fails if a file with periods is taken as one of them, or a wrong one is taken."""
    path = write(RAMP.replace(*change) if change[0] else RAMP)
    with pytest.raises(ExperimentError, match=message) as caught:
        load(f"{path}{name}", settings)
    assert "\n" not in str(caught.value)
