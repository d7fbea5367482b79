"""`nuspill reproduce` and `nuspill export-workspace`: what they write, and mistakes as one line."""

import json

import pytest


@pytest.fixture
def refused(nuspill, tmp_path):
    """Run a command that must fail in one line and leave every file as it was."""

    def call(*arguments):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        status, out, err = nuspill(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("nuspill: ")
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        return err

    return call


def test_plots_tables_and_json(nuspill, tmp_path):
    folder, file = tmp_path / "new", tmp_path / "a.json"
    status, out, err = nuspill("reproduce", "fig2", "rates", "-o", folder, "--json", file)
    assert (status, err) == (0, "")
    assert {f.name for f in folder.iterdir()} == {"fig2.pdf", "fig2.md", "rates.pdf", "rates.md"}
    assert (folder / "fig2.pdf").read_bytes().startswith(b"%PDF-")
    numbers = json.loads(file.read_text("utf-8"))
    row = next(r for r in numbers["rates"]["tables"][0]["rows"] if r["experiment"] == "ess-csi")
    assert row["paper"] == 8405
    assert "8 405" in out
    text = (folder / "rates.md").read_text("utf-8")
    assert f"| ess-csi | {row['nuspill']:,.0f} | 8 405 |".replace(",", " ") in text
    lines = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert len(set(lines)) == 1


def test_json_alone_and_overwriting(nuspill, tmp_path):
    (tmp_path / "fig2.png").write_text("old")
    status, out, err = nuspill(
        "reproduce", "fig2", "-o", tmp_path, "--format", "png", "--overwrite", "--json", "-"
    )
    assert (status, err) == (0, "")
    assert list(json.loads(out)) == ["fig2"]
    assert (tmp_path / "fig2.png").stat().st_size > 10_000


def test_mistakes_of_reproduce(refused, tmp_path):
    (tmp_path / "fig7.md").write_text("old")
    assert "--overwrite replaces it" in refused("reproduce", "fig2", "fig7", "-o", tmp_path)
    assert "'fig3' is not one of" in refused("reproduce", "fig3")
    assert "cannot be made" in refused("reproduce", "fig2", "-o", tmp_path / "fig7.md")
    assert "cannot be made" in refused("reproduce", "fig2", "-o", tmp_path / "a" / "b")
    assert "there is no folder" in refused("reproduce", "--json", tmp_path / "a" / "b.json")


def test_workspace(nuspill, tmp_path):
    file = tmp_path / "ws.json"
    status, out, err = nuspill("export-workspace", "ess-ar", "ess-c3f8", "-o", file)
    assert (status, out, err) == (0, "", "")
    written = json.loads(file.read_text("utf-8"))
    assert [c["name"] for c in written["channels"]] == ["ess-ar", "ess-c3f8"]
    assert written["measurements"][0]["config"]["poi"] == "strength"
    status, out, err = nuspill("export-workspace", "ess-ar", "--years", "1.5", "-o", "-")
    half = json.loads(out)["observations"][0]["data"][0]
    assert half == pytest.approx(written["observations"][0]["data"][0] / 2)


def test_mistakes_of_export_workspace(refused, tmp_path):
    (tmp_path / "ws.json").write_text("old")
    new = tmp_path / "new.json"
    systematic = "analysis.systematic=[{name='d', effect='quenching', uncertainty=0.01}]"
    export = "export-workspace"
    assert "--overwrite replaces it" in refused(export, "ess-ar", "-o", tmp_path / "ws.json")
    assert "no experiment 'ess-arr'" in refused(export, "ess-arr", "-o", new)
    assert "there is no folder" in refused(export, "ess-ar", "-o", tmp_path / "a" / "b.json")
    assert "analysis.systematic 'd'" in refused(export, "ess-ar", "-o", new, "--set", systematic)
    assert "'-o'" in refused(export, "ess-ar")
    assert "No such command" in refused("export_workspace", "ess-ar", "-o", new)
