"""Formats by name, and the commands export, import and formats: what they do and refuse."""

import json
import subprocess
import sys

import pytest
from nuspill import ExperimentError
from nuspill.reco.formats.shared.about import About, parsed
from nuspill.reco.formats.shared.door import available, described

CSI = "ess-csi"


def test_every_format_says_what_it_is():
    """Fails if a format lacks a part of what the package asks for, or can do nothing."""
    for name, form in available().items():
        assert name == form.NAME
        assert form.PLACES in ("file", "either")
        assert hasattr(form, "read") or hasattr(form, "write")
        assert form.KEEPS
        assert form.LOSES
    assert {form.name for form in described()} == set(available())


def test_the_list_needs_no_heavy_package():
    """Fails if listing the formats imports a package of one of them, or the compiled chain."""
    code = (
        "import sys; from nuspill.reco.formats.shared.door import described; described(); "
        "heavy = {'h5py', 'uproot', 'numba', 'lh5', 'astropy', 'tables', 'pyhepmc', 'scipp'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_commands(ntuple, nuspill, tmp_path):
    """Fails if the three commands do not work together, or print other numbers than they write."""
    status, out, _ = nuspill("formats")
    assert status == 0
    assert "compass" in out
    file, back = tmp_path / "a.BIN", tmp_path / "a.root"
    status, _, _ = nuspill("export", ntuple(CSI), "--to", "compass", "-o", file, "--json",
                           tmp_path / "a.json", "--set", "daq.gain=0.01")  # fmt: skip
    number = json.loads((tmp_path / "a.json").read_text())["events"]
    assert status == 0
    status, out, _ = nuspill("import", file, "--experiment", CSI, "-o", back, "--json", "-")
    assert (status, json.loads(out)["events"]) == (0, number)


ABOUT = About({"name": "any"}, 7, 3, 40, 1.5e20, True)


def test_what_is_written_of_a_sample_comes_back():
    """Fails if it is changed on its way, or the text of another program passes as ours."""
    assert parsed(ABOUT.text(), "a.h5") == ABOUT
    assert parsed(ABOUT.text().replace("nuspill", "another"), "a.h5") is None
    assert parsed("", "a.h5") is None


@pytest.mark.parametrize("wrong", [{"pulses": -1}, {"pulses": 2.5}, {"first_pulse": 2**62},
                                   {"first_pulse": None}, {"protons_on_target": "x"},
                                   {"experiment": []}])  # fmt: skip
def test_what_is_written_of_a_sample_is_checked(wrong):
    """Fails if numbers pass that no clock can count, or anything but one line tells."""
    text = json.dumps(json.loads(ABOUT.text()) | wrong)
    with pytest.raises(ExperimentError, match=r"^a\.h5: what nuspill wrote of it is damaged: .+$"):
        parsed(text, "a.h5")


@pytest.fixture
def refused(nuspill, tmp_path):
    """Run a command that must fail in one line, leave nothing, and tell some texts."""

    def call(*arguments, texts):
        before = sorted(tmp_path.rglob("*"))
        status, out, errors = nuspill(*arguments)
        assert (status, out) == (2, "")
        assert len(errors.splitlines()) == 1, errors
        assert errors.startswith("nuspill: ")
        for text in texts:
            assert str(text) in errors
        assert sorted(tmp_path.rglob("*")) == before

    return call


def test_mistakes(ntuple, refused, tmp_path, monkeypatch):
    """Fails if a mistake is not one line that names the file, what was found and is allowed."""
    csi, out = ntuple(CSI), tmp_path / "new"
    text, empty, old = (tmp_path / name for name in ("a.txt", "empty.BIN", "old.BIN"))
    text.write_text("no data of any kind")
    empty.touch()
    old.write_bytes(b"\xe1\xca" + bytes(18))
    export = ("export", csi, "-o", out)
    refused(*export, "--to", "compas", texts=["'compas'", "did you mean 'compass'"])
    refused(*export, "--to", "compass", "--pulses", "5", texts=["'5'", "FIRST:STOP"])
    refused(*export, "--to", "compass", "--pulses", "5:5", texts=[csi, "5 to 5", "pulses"])
    refused(*export, "--to", "compass", "--set", "target.mass=3", texts=["only daq"])
    refused(*export, "--to", "compass", "--set", "daq.gain=-3", texts=["daq.gain", "-3"])
    refused(*export, "--to", "compass", "--set", "daq.run_start=now", texts=["daq", "now"])
    refused(*export, "--to", "compass", "--set", "daq.channels=[[1, -1]]", texts=["0 to 65535"])
    refused("export", text, "-o", out, "--to", "compass", texts=[text, "not an ntuple"])
    refused("export", out, "-o", out, "--to", "compass", texts=[out, "no ntuple"])
    refused("export", csi, "-o", old, "--to", "compass", texts=[old, "--overwrite"])
    importing = ("import", "-o", out)
    refused(*importing, text, texts=[text, "no known format", "--from"])
    refused(*importing, out, texts=[out, "no such file"])
    refused(*importing, empty, "--from", "compass", texts=[empty, "is empty"])
    refused(*importing, tmp_path, "--from", "compass", texts=[tmp_path, "is a folder"])
    refused(*importing, old, texts=[old, "give --experiment"])
    refused(*importing, old, "--from", "nothing", texts=["no format 'nothing'", "compass"])
    refused("import", old, "--experiment", CSI, "-o", old, texts=[old, "an input too"])
    monkeypatch.setattr(available()["compass"], "REQUIRES", ("no_such_package",))
    monkeypatch.setattr(available()["compass"], "EXTRA", "caen")
    refused(*export, "--to", "compass", texts=["no_such_package", "pip install 'nuspill[caen]'"])


def test_an_imported_ntuple_is_not_plotted(ntuple, nuspill, refused, tmp_path):
    """Fails if `nuspill plot`, which draws truth, ends in a traceback on imported data."""
    nuspill("export", ntuple(CSI), "--to", "compass", "-o", tmp_path / "a.BIN")
    nuspill("import", tmp_path / "a.BIN", "--experiment", CSI, "-o", tmp_path / "a.root")
    refused("plot", tmp_path / "a.root", "-o", tmp_path / "a.pdf", texts=["imported", "compare"])
