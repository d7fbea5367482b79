"""Mistakes of the user: exit status 2, one line that says what and where, and nothing left.

Interrupted and killed runs are in test_ntuple.
"""

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nuspill import Experiment, ExperimentError, load
from nuspill.reco.configuration.explain import describe_keys
from nuspill.reco.experiment import source_text
from nuspill.scripts.options.loading import parse_settings, setting_value

ESS = "ess-csi"
HEAD = 'extends = "ess-csi"\nname = "mine"\n'


def everything(folder):
    """Every file below a folder with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def refused(nuspill, tmp_path):
    """Run a command that must fail as described above; checks the parts of its message."""

    def call(arguments, parts):
        before = everything(tmp_path)
        status, output, errors = nuspill(*arguments)
        assert status == 2
        assert len(errors.splitlines()) == 1, errors
        assert errors.startswith("nuspill: ")
        assert "Traceback" not in errors
        for part in parts:
            assert part in errors
        assert output == ""
        assert everything(tmp_path) == before

    return call


SETTINGS = {
    "unknown key": ("target.colour=red", ["target.colour", "unknown key"]),
    "unknown section": ("detektor.threshold=1", ["detektor", "unknown key", "'detector'"]),
    "misspelt key": ("detector.treshold=1", ["detector.treshold", "did you mean 'threshold'"]),
    "misspelt target": ("target.material=CsJ", ["target.material", "'CsJ'", "formula"]),
    "no such element": ("target.material=Xy", ["target.material", "'Xy'", "formula"]),
    "empty material": ("target.material=''", ["target.material", "''", "formula"]),
    "empty mixture": ("target.material={}", ["target.material", "at least one"]),
    "ions": ("target.material=Cs{+}I{-}", ["target.material", "Cs{+}I{-}"]),
    "mass number as atoms": ("target.material=Ge76", ["target.material", "Ge[76]"]),
    "no atoms of it": ("target.material=CsI0", ["target.material", "CsI0"]),
    "negative mass": ("target.mass=-22.5", ["target.mass", "-22.5", "greater than 0"]),
    "zero mass": ("target.mass=0", ["target.mass", "0", "greater than 0"]),
    "nan": ("target.mass=nan", ["target.mass", "nan", "finite"]),
    "infinite": ("source.distance=inf", ["source.distance", "inf", "finite"]),
    "text for a number": ("source.distance=far", ["source.distance", "'far'", "number"]),
    "quoted number": ("source.distance='20'", ["source.distance", "'20'", "number"]),
    "boolean for a number": ("target.mass=true", ["target.mass", "True", "number"]),
    "number for a boolean": ("source.steady=3", ["source.steady", "3", "boolean"]),
    "list for a table": ("target=[1, 2]", ["target", "[1, 2]"]),
    "list for a number": ("target.mass=[1, 2]", ["target.mass", "[1, 2]", "number"]),
    "table for a number": ("target.mass={a = 1}", ["target.mass", "number"]),
    "number for text": ("interaction.form_factor=3", ["interaction.form_factor", "3", "string"]),
    "value below a value": ("target.mass.kg=3", ["target.mass.kg", "target.mass is a value"]),
    "threshold above the end": ("detector.threshold=60", ["detector.threshold", "60", "end point"]),
    "e_max below the threshold": ("detector.e_max=0.5", ["detector.e_max", "0.5"]),
    "truth threshold": ("exposure.truth_threshold=60", ["exposure.truth_threshold", "60"]),
    "unknown model": (
        "detector.quenching=linhard", ["detector.quenching", "linhard", "'lindhard'"],
    ),
    "model without its values": (
        "detector.quenching=lindhard", ["detector.quenching.z", "required"],
    ),
    "table not increasing": (
        "detector.quenching={model='table', recoil=[1, 3, 2], energy=[0.1, 0.2, 0.3]}",
        ["detector.quenching", "recoil must increase", "2 follows 3"],
    ),
    "table of two lengths": (
        "detector.quenching={model='table', recoil=[1, 3], energy=[0.1]}",
        ["detector.quenching", "2 values", "1"],
    ),
    "polynomial that falls": (
        "detector.quenching={model='polynomial', coefficients=[0.1, -3.0]}",
        ["detector.quenching", "increase"],
    ),
    "polynomial that overflows": (
        "detector.quenching={model='polynomial', coefficients=[0.1, 1e308]}",
        ["detector.quenching"],
    ),
    "exponent that overflows": (
        "detector.quenching={model='power', coefficient=0.1, exponent=1e4}",
        ["detector.quenching"],
    ),
    "window too long": ("windows.on_length=8e7", ["windows", "8e+07", "period"]),
    "windows overlap": ("windows.off_start=1e6", ["windows", "1e+06", "overlap"]),
    "pulse too long": ("source.pulse_width=1e9", ["source", "1e+09", "period"]),
    "source without protons": ("source={name='x'}", ["source", "protons_per_year"]),
    "power of other protons": (
        "source={power=2, proton_energy=2, protons_per_year=2.8e23}",
        ["source.power = 2 MW", "source.protons_per_year = 2.8e+23"],
    ),
    "rate of an open power": (
        "source.repetition=28", ["source.repetition = 28 Hz", "source.power", "10 MW"],
    ),
    "energy of no known yield": (
        "source.proton_energy=3",
        ["source.neutrinos_per_proton", "source.proton_energy is 3 GeV", "0.3 at 2 GeV"],
    ),
    "form factor table missing": ("interaction.form_factor=no.csv", ["form_factor", "no.csv"]),
    "form factor unknown": ("interaction.form_factor=helmm", ["form_factor", "'helmm'", "helm"]),
    "spectrum not increasing": (
        "source.spectra.nue={energy=[1, 3, 2], density=[1, 1, 1]}",
        ["source.spectra.nue", "increase"],
    ),
    "spectrum of no flavour": ("source.spectra.nux={line=3}", ["source.spectra", "nux", "numu"]),
    "spectrum that is nothing": (
        "source.spectra.nue={energy=[1, 2], density=[0, 0]}", ["source.spectra.nue", "positive"],
    ),
    "unknown background": ("background.stedy.rate=1", ["'stedy'", "did you mean 'steady'"]),
    "background without key": ("background.steady=1", ["background.steady", "key below"]),
    "negative background": ("background.steady.rate=-1", ["background.steady.rate", "-1"]),
    "two of one name": (
        "background=[{name='a', rate=1}, {name='a', rate=1}]", ["names must differ", "a, a"],
    ),
    "backgrounds as text": ("background=many", ["background", "'many'"]),
    "flat time shape": ("background.steady.timing=table", ["background.steady", "profile"]),
    "dead all the time": ("detector.dead_time=1", ["detector.dead_time", "1", "less than 1"]),
    "module of no size": (
        "detector.geometry={shape='box', size=[1, 2]}", ["detector.geometry", "x, y, z"],
    ),
    "years zero": ("exposure.years=0", ["exposure.years", "0", "greater than 0"]),
    "years huge": ("exposure.years=1e30", ["years", "1e+30"]),
    "years as a date": ("exposure.years=2020-01-01", ["exposure.years", "2020", "number"]),
    "half a pulse": ("exposure.slice_pulses=0.5", ["exposure.slice_pulses", "0.5", "integer"]),
    "number of 5000 digits": ("target.mass=" + "9" * 5000, ["target.mass"]),
    "nested too deep": ("target.mass=" + "[" * 3000, ["target.mass"]),
    "empty key": ("=3", ["'=3'", "KEY=VALUE"]),
    "no value": ("target.mass", ["'target.mass'", "KEY=VALUE"]),
    "dots": ("..=3", ["unknown key"]),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_setting(case, refused, tmp_path):
    """Fails if a wrong --set is taken, or the line does not name file, key and value."""
    text, parts = SETTINGS[case]
    unread = parts[-1] == "KEY=VALUE"  # so that it is not known what is to be set
    refused(
        ("generate", ESS, "-o", tmp_path / "out.root", "--set", text),
        [*parts, "--set" if unread else ESS],
    )


def test_events_of_all_periods(refused, tmp_path):
    """Fails if a sample of periods, each of another power, is made at one power."""
    path = tmp_path / "ramp.toml"
    path.write_text(HEAD + "[[period]]\nyears = 1.0\nsource.power = 2.0\n[[period]]\nyears = 3.0\n")
    refused(("generate", path, "-o", tmp_path / "out.root"), ["2 periods", "ramp.toml#1"])
    refused(("asimov", path, "--years", "2", "--scan", "nsi.u.ee"), ["exposure.years", "period 1"])


TABLES = {
    "no text": (bytes(range(256)), "cannot be read"),
    "empty": (b"", "form.csv"),
    "one column": (b"0\n1\n2\n", "two columns"),
    "not increasing": (b"0,1\n2,0.5\n1,0.7\n", "increasing"),
    "not from zero": (b"0.1,1\n2,0.5\n", "begin with q = 0"),
    "not from one": (b"0,2\n2,0.5\n", "begin with q = 0"),
    "not a number": (b"0,1\n1,nan\n2,0.1\n", "form.csv"),
    "words": (b"q,F\n0,1\n1,0.5\n", "cannot be read"),
}


@pytest.mark.parametrize("case", TABLES)
def test_form_factor_table(case, refused, tmp_path):
    """Fails if a table that is none is taken, or anything but the one line is printed."""
    content, part = TABLES[case]
    path = tmp_path / "form.csv"
    path.write_bytes(content)
    refused(
        ("generate", ESS, "-o", tmp_path / "out.root", "--set", f"interaction.form_factor={path}"),
        [ESS, "interaction.form_factor", str(path), part],
    )


FILES = {
    "not TOML": ("name = \n", ["not valid TOML", "line 1"]),
    "key twice": ("name = 'a'\nname = 'b'\n", ["not valid TOML"]),
    "binary": (bytes(range(256)), ["UTF-8"]),
    "zeros": (bytes(100), ["not valid TOML"]),
    "empty": ("", ["is required"]),
    "unknown key": (HEAD + "[detector]\ntreshold = 1.0\n", ["detector.treshold", "'threshold'"]),
    "unknown section": (HEAD + "[detectors]\nthreshold = 1.0\n", ["detectors", "unknown key"]),
    "table for a list": (HEAD + '[background]\nname = "x"\n', ["background", "[[background]]"]),
    "negative mass": (HEAD + "[target]\nmass = -1\n", ["target.mass", "-1", "greater than 0"]),
    "wrong type": (HEAD + '[target]\nmass = "1"\n', ["target.mass", "'1'", "number"]),
    "not finite": (HEAD + "[target]\nmass = nan\n", ["target.mass", "nan", "finite"]),
    "unknown base": (HEAD + '[source]\nbase = "esss"\n', ["source 'esss'", "'ess'"]),
    "extends unknown": ('extends = "ess-csy"\n', ["ess-csy", "ess-csi"]),
    "section is a value": (HEAD + "target = 3\n", ["target", "3"]),
    "presets are a value": (HEAD + "preset = 3\n", ["preset", "3"]),
    "preset is a value": (HEAD + "preset.paper = 3\n", ["preset", "3"]),
    "background without rate": (HEAD + "[[background]]\nname = 'n'\n", ["background.n.rate"]),
    "window": (HEAD + "[windows]\non_length = 1e9\n", ["windows", "1e+09", "period"]),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("command", ["generate", "rates"])
def test_file(command, case, refused, tmp_path):
    """Fails if a wrong file is taken, or the line does not name it."""
    content, parts = FILES[case]
    path = tmp_path / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    output = ("-o", tmp_path / "out.root") if command == "generate" else ()
    refused((command, path, *output, "--preset", "paper"), [str(path), *parts])


OPTIONS = {
    "unknown experiment": (("generate", "ess-cci", "-o", "OUT"), ["'ess-cci'", "'ess-csi'"]),
    "missing file": (("generate", "none.toml", "-o", "OUT"), ["none.toml", "No such file"]),
    "long name": (("generate", "x" * 300, "-o", "OUT"), ["xxx"]),
    "folder for a file": (("rates", "."), ["'.'"]),
    "unknown preset": (("rates", ESS, "--preset", "papr"), [ESS, "'papr'", "'paper'"]),
    "unknown source": (("rates", ESS, "--source", "sn"), [ESS, "'sn'", "'sns'"]),
    "show unknown": (("show", "ess-cci"), ["'ess-cci'", "'ess-csi'"]),
    "unknown command": (("generat",), ["generat"]),
    "unknown option": (("rates", "--jsom", "x"), ["--jsom"]),
    "no output": (("generate", ESS), ["output"]),
    "no experiment": (("generate", "-o", "OUT"), ["NAME"]),
    "events 0": (("generate", ESS, "-o", "OUT", "--events", "0"), ["events", "0"]),
    "events negative": (("generate", ESS, "-o", "OUT", "--events", "-3"), ["events", "-3"]),
    "events a fraction": (("generate", ESS, "-o", "OUT", "--events", "1.5"), ["events", "1.5"]),
    "events huge": (("generate", ESS, "-o", "OUT", "--events", "1" + "0" * 18), ["events", "1000"]),
    "years 0": (("generate", ESS, "-o", "OUT", "--years", "0"), ["years", "0"]),
    "years negative": (("generate", ESS, "-o", "OUT", "--years", "-1"), ["years", "-1"]),
    "years nan": (("generate", ESS, "-o", "OUT", "--years", "nan"), ["years", "nan"]),
    "years inf": (("generate", ESS, "-o", "OUT", "--years", "inf"), ["years", "inf"]),
    "years huge": (("generate", ESS, "-o", "OUT", "--years", "1e30"), ["years", "1e+30"]),
    "years a word": (("generate", ESS, "-o", "OUT", "--years", "two"), ["years", "two"]),
    "pot 0": (("generate", ESS, "-o", "OUT", "--pot", "0"), ["pot", "0"]),
    "pot huge": (("generate", ESS, "-o", "OUT", "--pot", "1e60"), ["1e+60"]),
    "two lengths": (("generate", ESS, "-o", "OUT", "--pot", "1e20", "--years", "1"),
                    ["years", "pot"]),
    "seed negative": (("generate", ESS, "-o", "OUT", "--seed", "-1"), ["seed", "-1"]),
    "seed too large": (("generate", ESS, "-o", "OUT", "--seed", str(2**64)), ["seed", str(2**64)]),
    "seed a word": (("generate", ESS, "-o", "OUT", "--seed", "x"), ["seed", "x"]),
    "compression unknown": (("generate", ESS, "-o", "OUT", "--compression", "gz"),
                            ["compression", "'gz'", "zstd"]),
    "compression level": (("generate", ESS, "-o", "OUT", "--compression", "zstd:99"),
                          ["compression", "'zstd:99'"]),
    "level of zlib": (("generate", ESS, "-o", "OUT", "--years", "1e-3", "--compression", "zlib:22"),
                      ["compression", "'zlib:22'"]),
    "level of lzma": (("generate", ESS, "-o", "OUT", "--years", "1e-3", "--compression", "lzma:15"),
                      ["compression", "'lzma:15'"]),
    "level no digit": (("generate", ESS, "-o", "OUT", "--compression", "zstd:²"),
                       ["compression", "'zstd:²'"]),
    "format": (("generate", ESS, "-o", "OUT", "--format", "csv"), ["format", "csv", "rntuple"]),
    "parts 0": (("generate", ESS, "-o", "OUT", "--parts", "0"), ["parts", "0"]),
    "threads 0": (("generate", ESS, "-o", "OUT", "--threads", "0"), ["threads", "0"]),
    "place without geometry": (("generate", "ess-ge", "-o", "OUT", "--place"),
                               ["ess-ge", "detector.geometry"]),
    "weight": (("generate", ESS, "-o", "OUT", "--weight", "nsi"), ["weight", "nsi"]),
    "weight of a key that is none": (
        ("generate", ESS, "-o", "OUT", "--weight", "nsi:nsi.x.ee=1"), ["nsi.x"]),
    "weight of a bad name": (
        ("generate", ESS, "-o", "OUT", "--weight", "a-b:nsi.u.ee=1"), ["'a-b'"]),
    "output folder missing": (("generate", ESS, "-o", "no/such/out.root"),
                              ["no/such/out.root", "folder"]),
    "output folder missing, parts": (("generate", ESS, "-o", "no/such/parts", "--parts", "2"),
                                     ["no/such/parts"]),
    "json of rates": (("rates", ESS, "--json", "no/such.json"), ["no/such.json"]),
    "json is a folder": (("rates", ESS, "--json", "."), [".: ", "directory"]),
    "json of generate": (("generate", ESS, "-o", "OUT", "--years", "0.001", "--json",
                          "no/such.json"), ["no/such.json"]),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_option(case, nuspill, tmp_path, monkeypatch):
    """Fails if a wrong option is taken, or the line does not name it and its value."""
    arguments, parts = OPTIONS[case]
    monkeypatch.chdir(tmp_path)
    status, _, errors = nuspill(*("out.root" if a == "OUT" else a for a in arguments))
    assert status == 2
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("nuspill: ")
    for part in parts:
        assert part in errors
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("parts", [(), ("--parts", 2)], ids=["file", "parts"])
def test_output_that_exists(parts, refused, tmp_path):
    """Fails if a file or a folder in the output's place is touched."""
    (tmp_path / "out.root").write_text("mine")
    refused(("generate", ESS, "-o", tmp_path / "out.root", "--years", 0.001, *parts), ["out.root"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    for overwrite in ((), ("--overwrite",)):
        if parts and overwrite:
            continue  # that is what --overwrite allows
        refused(
            ("generate", ESS, "-o", tmp_path / "folder", "--years", 0.001, *parts, *overwrite),
            ["folder"],
        )


@pytest.mark.parametrize("arguments", [(), ("--format", "rntuple"), ("--parts", 2)], ids=str)
def test_full_disk(arguments, nuspill, mounted):
    """Fails if a full disk is not one line with its reason, or an unfinished file is left."""
    disk = mounted("size=1m")
    status, _, errors = nuspill(
        "generate", ESS, "-o", disk / "out", "--years", 1, "--compression", "none", *arguments
    )
    assert status == 2
    assert len(errors.splitlines()) == 1, errors
    assert "out" in errors
    assert "No space left" in errors
    assert {path.name for path in everything(disk)} <= {"manifest.json", "log.jsonl"}


@pytest.mark.parametrize("arguments", [(), ("--parts", 2)], ids=str)
def test_read_only_folder(arguments, nuspill, mounted):
    """Fails if a folder that cannot be written to is not one line with its reason."""
    disk = mounted("ro")
    status, _, errors = nuspill("generate", ESS, "-o", disk / "out", "--years", 0.01, *arguments)
    assert status == 2
    assert len(errors.splitlines()) == 1, errors
    assert f"{disk}/out" in errors
    assert "Read-only" in errors


# what no one would type: never anything but an experiment or an ExperimentError

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from([0.0, 1.0, 0.5, -1.0, 1e-300, 1e300, math.nan, math.inf]),
    st.sampled_from(["none", "constant", "table", "power", "fano", "helm", "", "CsI", "Xe[131]"]),
    st.text(max_size=8),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["model", "energy", "width", "recoil", "factor", "name", "rate", "x"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=6,
)
REAL_KEYS = st.sampled_from(
    [
        k.replace("<name>", "steady").replace("<flavour>", "nue")
        for k, _, _ in describe_keys(Experiment)
    ]
    + ["source", "target", "detector", "windows", "background", "exposure", "interaction"]
)
KEYS = st.one_of(
    REAL_KEYS,
    st.builds("{}.{}".format, REAL_KEYS, st.sampled_from(["x", "model", "name", "0", ""])),
    st.text(alphabet="abc.[]\"'= é\0", max_size=10),
)
FUZZ = {"deadline": None, "derandomize": True, "database": None}


def loads_or_is_refused(name, given_settings):
    """Load an experiment, or have it refused as it should be."""
    with suppress(ExperimentError):
        load(name, given_settings)


@settings(max_examples=600, **FUZZ)
@given(key=REAL_KEYS, value=VALUES)
def test_any_value_of_a_key(key, value):
    """Fails if a value of any kind ends in an error, or a warning, of Python's own."""
    loads_or_is_refused(ESS, {key: value})


@settings(max_examples=150, **FUZZ)
@given(given_settings=st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_keys(given_settings):
    """Fails if keys of any kind, several at a time, end in an error of Python's own."""
    loads_or_is_refused("sns-csi-2017", given_settings)


@settings(max_examples=150, **FUZZ)
@given(text=st.text(max_size=30))
def test_any_text_of_set(text):
    """Fails if the text of a --set is neither TOML nor taken as it stands."""
    found = parse_settings([f"target.material={text}"])
    assert list(found) == ["target.material"]
    loads_or_is_refused(ESS, found)
    assert setting_value("1.5") == 1.5


@settings(max_examples=150, **FUZZ)
@given(data=st.data())
def test_any_change_of_a_file(data, tmp_path_factory):
    """Fails if a file with a piece cut out or put in ends in an error of Python's own."""
    text = source_text(data.draw(st.sampled_from(["ess-si", "sns-csi-2017", "ess-xe-ar"])))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(start + 30, len(text))))
    inserted = data.draw(st.sampled_from(["", "-", "0", "x", "[", "]", "=", "nan", "\n", '"']))
    path = tmp_path_factory.getbasetemp() / "changed.toml"
    path.write_text(text[:start] + inserted + text[stop:], "utf-8")
    loads_or_is_refused(path, {})
