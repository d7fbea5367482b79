"""Comparison of two samples: what is the same passes, what differs does not, and the page."""

import json
import re

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, load, plan, write
from nuspill.reco.comparison.agreement import chi2_of, ks_of
from nuspill.reco.comparison.compare import compare
from nuspill.reco.comparison.report import write_report
from nuspill.reco.comparison.side import both, side_of

SNS = "sns-csi-2017"


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Two samples of one experiment, and one with half the signal (and another seed)."""
    folder = tmp_path_factory.mktemp("compare")
    for name, seed, years, settings in (
        ("a", 3, 20, {}),
        ("b", 4, 4, {}),
        ("half", 5, 4, {"source.neutrinos_per_proton": 0.04}),
    ):
        write(plan(load(SNS, settings), seed, years=years), folder / f"{name}.root")
    return folder


def test_the_same_experiment(samples):
    """Fails if two samples of one experiment are told apart, or the scale is not the exposure's."""
    found = compare(*both(samples / "a.root", samples / "b.root")).as_json()
    assert found["scale"] == pytest.approx(0.2)
    assert found["scaled_by"] == "live time"
    assert [panel["key"] for panel in found["panels"]] == [
        "e_reco_on", "e_reco_residual", "since_on", "since_residual", "live_time"]  # fmt: skip
    for panel in found["panels"]:
        assert panel["chi2"]["ndf"] > 10
        assert panel["chi2"]["p_value"] > 1e-3, panel["key"]
        assert panel["ks"] is None or panel["ks"]["p_value"] > 1e-3
    on, off = (found["counts"][0][key] for key in ("on", "off"))
    assert found["counts"][0]["on_minus_off"] == on - off
    assert abs(found["counts"][2]["on_minus_off"]) < 4


def test_a_comparison_shows_itself(samples):
    """Fails if it is more than a line, or its JSON loses a number or the order of its keys."""
    found = compare(*both(samples / "a.root", samples / "b.root"))
    assert repr(found).startswith("<Comparison: A a.root, B b.root, scale 0.2 by live time, ")
    assert "\n" not in repr(found)
    assert found._repr_html_().count("<tr>") == len(found.facts())
    numbers = json.loads(json.dumps(found.as_json()))
    assert [*numbers] == ["a", "b", "experiments", "scale", "scaled_by", "counts", "panels"]
    live, row = numbers["panels"][4], numbers["counts"][1]
    assert " ".join(live) == "key edges unit a a_error b b_error chi2 steady ks"
    assert [one["name"] for one in live["steady"]] == ["a.root", "b.root"]
    assert sum(live["b"]) == sum(found.panel("live_time").b.value) == row["on"]
    assert row["on_a_day"] == row["on"] / found.totals[1].live_days
    assert [*numbers["counts"][2]] == ["name", "on", "off", "on_minus_off"]


def test_half_the_signal_is_seen(samples):
    """Fails if the loss of half the signal is not seen where it must be, and only there."""
    found = compare(*both(samples / "a.root", samples / "half.root")).as_json()
    p_values = {panel["key"]: panel["chi2"]["p_value"] for panel in found["panels"]}
    assert p_values["e_reco_on"] < 1e-4
    assert p_values["e_reco_residual"] < 0.05
    assert found["counts"][2]["on_minus_off"] < -3
    assert abs(found["counts"][2]["off"]) < 4


def test_shapes(samples):
    """Fails if scaling to the counts does not make them equal."""
    found = compare(*both(samples / "a.root", samples / "half.root"), shape=True).as_json()
    a, b = (row["on"] for row in found["counts"][:2])
    assert found["scale"] == b / a


def test_chi2_has_its_distribution():
    """Fails if the p-values of equal Poisson samples are not uniform."""
    from scipy.stats import kstest

    rng = np.random.default_rng(3)
    mu, p_values = np.linspace(2, 60, 30), []
    for _ in range(400):
        a, b = rng.poisson(5 * mu), rng.poisson(mu)
        p_values.append(chi2_of(b - a / 5, (a + b) / 5, (a + b) / 6).p_value)
    assert kstest(p_values, "uniform").pvalue > 1e-3


def test_binned_ks():
    """Fails if the centres of bins differ from values spread over the same bins."""
    spread = np.arange(6.0, 30.0, 0.01)
    centres = np.floor(spread / 2) * 2 + 1
    edges = np.arange(6.0, 31.0, 2.0)
    assert ks_of(spread, centres, edges).distance == pytest.approx(0, abs=1e-9)
    assert ks_of(spread, centres, None).distance > 0.02


def test_a_file_of_a_format_is_as_good_as_its_ntuple(samples, tmp_path):
    """Fails if an exported sample differs from itself; B is read as of A's experiment."""
    write(plan(load(SNS), 6, years=0.3), tmp_path / "b.root")
    export_events(tmp_path / "b.root", "compass", tmp_path / "b.BIN",
                  settings={"daq.calibrated": True})  # fmt: skip
    a, b = both(tmp_path / "b.root", tmp_path / "b.BIN")
    assert b.experiment.name == SNS
    assert a.pulses == pytest.approx(b.pulses, rel=3e-2)
    np.testing.assert_array_equal(a.pulse, b.pulse)
    np.testing.assert_array_equal(a.e_reco, b.e_reco)
    np.testing.assert_allclose(a.since, b.since, rtol=0, atol=1e-3)


@pytest.mark.parametrize("ending", ["html", "pdf"])
def test_report(ending, samples, tmp_path):
    """Fails if the page asks for anything outside of it, or the PDF is none."""
    numbers = compare(*both(samples / "a.root", samples / "b.root"))
    file = tmp_path / f"a.{ending}"
    write_report(numbers, file)
    data = file.read_bytes()
    if ending == "pdf":
        assert data.startswith(b"%PDF-")
        return
    text = data.decode("utf-8")
    assert re.findall(r'(?:src|href)="(.{14})', text) == ["data:image/png"]
    assert "http" not in text.replace(re.search(r'base64,[^"]*', text)[0], "")
    assert "a.root" in text
    assert str(numbers.totals[0].on) in text


def test_coherent_2017(samples, shared_data):
    """Fails if the release's residuals of energy and time do not follow the simulation."""
    a, b = both(samples / "a.root", shared_data / "coherent_csi_2017")
    found = compare(a, b, energy=np.linspace(6, 30, 13), time=np.linspace(0, 6000, 13)).as_json()
    assert (found["counts"][1]["on"], found["counts"][1]["off"]) == (547, 405)
    panels = {panel["key"]: panel for panel in found["panels"]}
    assert "live_time" not in panels
    for key in ("e_reco_residual", "since_residual"):
        assert panels[key]["chi2"]["ndf"] == 12
        assert panels[key]["chi2"]["p_value"] > 0.01


@pytest.fixture
def shared_data():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[4] / "shared/data"
    if not folder.is_dir():
        pytest.skip(f"no measured data in {folder}")
    return folder


def test_command(samples, nuspill, tmp_path):
    """Fails if the command prints or writes other numbers than the function gives."""
    a, b, out = samples / "a.root", samples / "b.root", tmp_path / "r.html"
    status, text, errors = nuspill("compare", a, b, "-o", out, "--json", tmp_path / "r.json")
    assert (status, errors) == (0, "")
    assert out.stat().st_size > 50_000
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(
        json.dumps(compare(*both(a, b)).as_json())
    )
    assert "on minus beam-off" in text


def test_mistakes(samples, nuspill, tmp_path):
    """Fails if a mistake is not one line."""
    a, b = samples / "a.root", samples / "b.root"
    other = tmp_path / "text.txt"
    other.write_text("nothing")
    old = tmp_path / "old.html"
    old.write_text("old")
    for arguments, text in (
        ((a, other), "looks like no known format"),
        ((a, tmp_path / "no.root"), "there is no such file"),
        ((a, b, "-o", old), "--overwrite"),
        ((a, b, "-o", tmp_path / "a.doc"), ".html or .pdf"),
        ((a, b, "--energy", "6:30"), "LOW:HIGH:BINS"),
        ((a, b, "--time", "6:3:4"), "LOW:HIGH:BINS"),
        ((a, b, "--from-b", "compass"), "not with a CoMPASS header"),
    ):
        status, out, errors = nuspill("compare", *arguments)
        assert (status, out) == (2, "")
        assert len(errors.splitlines()) == 1
        assert text in errors
    assert sorted(f.name for f in tmp_path.iterdir()) == ["old.html", "text.txt"]


def test_without_events(tmp_path):
    """Fails if a sample without events, or of other units, ends in something but an error."""
    write(plan(load(SNS), 1, years=1 / load(SNS).source.pulses_per_year), tmp_path / "none.root")
    write(plan(load(SNS), 1, years=0.1), tmp_path / "some.root")
    write(plan(load("ess-ge"), 1, years=0.01), tmp_path / "ge.root")
    with pytest.raises(ExperimentError, match=r"none\.root: has no"):
        compare(*both(tmp_path / "some.root", tmp_path / "none.root"))
    with pytest.raises(ExperimentError, match="has energies in keV_ee"):
        both(tmp_path / "some.root", tmp_path / "ge.root")
    assert side_of(tmp_path / "ge.root").live_days > 0
