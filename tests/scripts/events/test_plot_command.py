"""`nuspill plot`: what it writes and prints, and its mistakes as one line with exit status 2."""

import json
import sys

import pytest
from nuspill import load, plan, write
from nuspill.reco.comparison.summary import histograms, summary
from nuspill.scripts.cli import main


@pytest.fixture(scope="module")
def ntuple(tmp_path_factory):
    path = tmp_path_factory.mktemp("command") / "a.root"
    write(plan(load("sns-csi-2017"), 3, years=2), path)
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line; returns exit status, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nuspill", "plot", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return call


def test_figure_table_and_json(ntuple, tmp_path, run):
    output, file = tmp_path / "a.png", tmp_path / "a.json"
    status, out, err = run(ntuple, "-o", output, "--json", file)
    assert (status, err) == (0, "")
    assert output.stat().st_size > 10_000
    numbers = json.loads(file.read_text("utf-8"))
    assert numbers == summary(histograms(ntuple)).as_json()
    assert [row["name"] for row in numbers["counts"]] == ["numu", "nue", "numubar", "steady"]
    assert all(row["name"] in out for row in numbers["counts"])
    assert out.rstrip().endswith(str(output))


def test_json_alone_on_standard_output(ntuple, tmp_path, run):
    (tmp_path / "a.pdf").write_text("old")
    status, out, err = run(ntuple, "-o", tmp_path / "a.pdf", "--json", "-", "--overwrite")
    assert (status, err) == (0, "")
    assert json.loads(out)["experiment"] == "sns-csi-2017"
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")


def test_mistakes_are_one_line(ntuple, tmp_path, run):
    (tmp_path / "there.png").write_text("old")
    (tmp_path / "text.root").write_text("no ntuple")
    for given, output, text in (
        (ntuple, "a.jpg", "a figure is a .pdf, .png, .svg"),
        (ntuple, "there.png", "--overwrite replaces it"),
        (ntuple, "none/a.png", "there is no folder"),
        (tmp_path / "text.root", "a.png", "is not an ntuple"),
        (tmp_path / "none.root", "a.png", "there is no ntuple"),
    ):
        status, out, err = run(given, "-o", tmp_path / output)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("nuspill: ")
        assert text in err
    assert run(ntuple)[0] == 2
    assert (tmp_path / "there.png").read_text() == "old"
    assert {f.name for f in tmp_path.iterdir()} == {"there.png", "text.root"}
