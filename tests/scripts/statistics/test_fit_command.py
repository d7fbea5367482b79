"""`nuspill fit`: simulated data, what is written, and mistakes of the user in one line."""

import json
import time

import numpy as np
import pytest
from iminuit import Minuit
from nuspill import Chi2, build, load, plan, write
from nuspill.toys.counts.model import Data
from nuspill.toys.observed.observed import observed

SNS = "sns-csi-2017"
KEYS = {
    "best", "errors", "components", "chi2", "bins", "pulls", "impacts", "intervals",
    "significance", "goodness", "correlation",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Counts of the SNS experiment and events of an argon detector, both simulated."""
    folder = tmp_path_factory.mktemp("data")
    model = build([load(SNS)], ["strength"])
    rng = np.random.default_rng(1)
    counts = rng.poisson(model.asimov().counts[0])
    share = model.asimov().counts[0, :-1]
    off = rng.multinomial(counts[-1], share / share.sum())
    np.savetxt(folder / "csi.txt", np.stack([counts[:-1], off], axis=1), fmt="%d")
    write(plan(load("ess-ar"), 2, years=0.02), folder / "ar.root")
    return folder


def fit(nuspill, tmp_path, *arguments):
    """Run the command; the content of its JSON and its output."""
    file = tmp_path / "fit.json"
    status, output, errors = nuspill("fit", *arguments, "--json", file)
    assert (status, errors) == (0, "")
    return json.loads(file.read_text()), output


def test_of_counts(nuspill, tmp_path, folder):
    """Fails if values, errors, χ² or pulls are not those of iminuit on the same file."""
    content, output = fit(nuspill, tmp_path, SNS, "--data", folder / "csi.txt")
    assert set(content) >= KEYS
    experiment = load(SNS)
    model = build([experiment], ["strength"])
    data = observed(model, [experiment], [str(folder / "csi.txt")])
    m = Minuit(Chi2(model, data), model.truth, name=model.names)
    m.strategy, m.tol = 2, 1e-3
    m.migrad()
    m.minos()
    assert content["chi2"] == pytest.approx(m.fval, abs=1e-6)
    assert content["best"] == {"strength": pytest.approx(m.values["strength"], rel=1e-3)}
    errors = m.merrors["strength"]
    assert content["errors"]["strength"]["low"] == pytest.approx(-errors.lower, rel=5e-3)
    assert content["errors"]["strength"]["high"] == pytest.approx(errors.upper, rel=5e-3)
    assert set(content["pulls"]) == set(model.names[1:])
    for name, pull in content["pulls"].items():
        assert pull["value"] == pytest.approx(m.values[name], abs=1e-2)
        assert pull["low"] == pytest.approx(-m.merrors[name].lower, rel=5e-3)
    assert content["bins"] == model.bins
    m.minos("strength", cl=0.9)
    ((low, high),) = content["intervals"]["strength"]
    assert low == pytest.approx(m.values["strength"] + m.merrors["strength"].lower, rel=5e-3)
    assert high == pytest.approx(m.values["strength"] + m.merrors["strength"].upper, rel=5e-3)
    assert f"[{low:.5g}, {high:.5g}]" in output


def test_components(nuspill, tmp_path, folder):
    """Fails if the counts of components are not those of the model at the best fit."""
    content, output = fit(nuspill, tmp_path, SNS, "--data", folder / "csi.txt")
    model = build([load(SNS)], ["strength"])
    z = [content["best"]["strength"], *(p["value"] for p in content["pulls"].values())]
    on = model.sections[0].on
    assert sum(content["components"].values()) == pytest.approx(model.counts(z)[on].sum())
    without = model.counts([0.0, *z[1:]])[on].sum()
    signal = model.counts(z)[on].sum() - without
    assert content["components"]["signal"] == pytest.approx(signal)
    (spectrum,) = content["spectra"]
    for name, counts in spectrum["components"].items():
        assert sum(counts) == pytest.approx(content["components"][name])
        assert name in output
    observed_counts = np.loadtxt(folder / "csi.txt")[:, 0]
    assert spectrum["observed"] == observed_counts.tolist()
    assert content["observed"] == observed_counts.sum()


def test_of_events(nuspill, tmp_path, folder):
    """Fails if the strength that made the events is not within 4 errors, or the plot fails."""
    plot = tmp_path / "a.png"
    arguments = ("ess-ar", "--years", 0.02, "--data", folder / "ar.root")
    content, _ = fit(nuspill, tmp_path, *arguments, "--plot", plot)
    errors = content["errors"]["strength"]
    assert abs(content["best"]["strength"] - 1) < 4 * errors["low"]
    assert content["data"][0]["experiment"] == "ess-ar"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_of_two(nuspill, tmp_path, folder):
    """Fails if a combination is not the joint fit, or mixes up components of one name."""
    arguments = ("ess-ar", "ess-ar", "--years", 0.02)
    data = ("--data", folder / "ar.root")
    status, _, errors = nuspill("fit", *arguments, *data, *data)
    assert status == 2
    assert "given twice" in errors
    other = tmp_path / "other.toml"
    other.write_text('extends = "ess-ar"\nname = "other"\n')
    model = build([load(str(other), {"exposure.years": 0.02})], ["strength"])
    np.savetxt(tmp_path / "b.txt", np.round(model.asimov().counts[0]))
    arguments = ("ess-ar", other, "--years", 0.02)
    content, _ = fit(nuspill, tmp_path, *arguments, *data, "--data", tmp_path / "b.txt")
    assert {"ess-ar.signal", "other.signal"} <= set(content["components"])
    alone, _ = fit(nuspill, tmp_path, "ess-ar", "--years", 0.02, *data)
    low = content["errors"]["strength"]["low"]
    assert low <= alone["errors"]["strength"]["low"]


def test_of_couplings(nuspill, tmp_path, folder):
    """Fails if two scanned parameters give no region, or the significance depends on them."""
    arguments = ("ess-ar", "--years", 0.02, "--data", folder / "ar.root")
    plane = ("--scan", "nsi.u.ee=-0.2:0.6:21", "--scan", "nsi.u.mumu=-0.2:0.6:21")
    content, output = fit(nuspill, tmp_path, *arguments, *plane)
    assert set(content["intervals"]) == {"nsi.u.ee", "nsi.u.mumu"}
    (region,) = [scan for scan in content["scans"] if "area" in scan]
    assert f"area {region['area']:.5g}" in output
    strength, _ = fit(nuspill, tmp_path, *arguments)
    more = content["significance"]["q"] - strength["significance"]["q"]
    assert more == pytest.approx(strength["chi2"] - content["chi2"], abs=1e-6)
    profiled, _ = fit(nuspill, tmp_path, *arguments, "--scan", "nsi.u.ee=-0.2:0.6",
                      "--profile", "nsi.u.mumu")  # fmt: skip
    assert list(profiled["best"]) == ["nsi.u.ee", "nsi.u.mumu"]
    assert list(profiled["intervals"]) == ["nsi.u.ee"]


def test_on_axes(nuspill, tmp_path):
    """Fails if a fit on one axis of two is not that of an experiment which has that axis alone."""
    energy = "{name='energy', edges=[1, 3, 6, 12, 46]}"
    times = "{name='time', edges=[0, 7e5, 1.4e6, 2.1e6, 2.8e6]}"
    common = ("ess-csi", "--years", 0.02, "--set", "windows.on_length=2.8e6")
    both = (*common, "--set", f"analysis.axes=[{energy}, {times}]")
    alone = (*common, "--set", f"analysis.axes=[{energy}]")
    experiment = load(
        "ess-csi",
        {
            "exposure.years": 0.02,
            "windows.on_length": 2.8e6,
            "analysis.axes": [
                {"name": "energy", "edges": [1.0, 3.0, 6.0, 12.0, 46.0]},
                {"name": "time", "edges": [0.0, 7e5, 1.4e6, 2.1e6, 2.8e6]},
            ],
        },
    )
    counts = np.random.default_rng(3).poisson(build([experiment], ["strength"]).asimov().counts[0])
    np.savetxt(tmp_path / "plane.txt", counts, fmt="%d")
    np.savetxt(tmp_path / "line.txt", counts.reshape(4, 4).sum(axis=1), fmt="%d")
    plane, _ = fit(nuspill, tmp_path, *both, "--data", tmp_path / "plane.txt")
    assert [s["axis"] for s in plane["spectra"]] == ["energy", "time"]
    assert plane["bins"] == 16
    ours, _ = fit(nuspill, tmp_path, *both, "--data", tmp_path / "plane.txt", "--axes", "energy",
                  "--plot", tmp_path / "a.pdf")  # fmt: skip
    theirs, _ = fit(nuspill, tmp_path, *alone, "--data", tmp_path / "line.txt")
    assert ours["bins"] == 4
    assert ours["chi2"] == pytest.approx(theirs["chi2"], rel=1e-6)
    assert ours["best"]["strength"] == pytest.approx(theirs["best"]["strength"], rel=1e-6)
    assert ours["components"] == pytest.approx(theirs["components"], rel=1e-6)
    status, _, errors = nuspill(
        "fit", *both, "--data", tmp_path / "plane.txt", "--axes", "energy,psd"
    )
    assert status == 2
    assert errors == "nuspill: --axes energy,psd: no axis 'psd'; there are: energy, time\n"


def test_fast(nuspill, tmp_path):
    """Fails if a fit of 99 bins takes 3 s of a core, once its code is loaded."""
    counts = build([load("sns-csi-2021")], ["strength"]).asimov().counts[0]
    np.savetxt(tmp_path / "a.txt", np.round(counts), fmt="%d")
    seconds = []
    for _ in range(2):
        begin = time.process_time()
        content, _ = fit(nuspill, tmp_path, "sns-csi-2021", "--data", tmp_path / "a.txt")
        seconds.append(time.process_time() - begin)
    assert content["bins"] == 99
    assert seconds[1] < 3


def test_by_toys(nuspill, tmp_path, folder):
    """Fails if the region by toys is another than that of `nuspill toys` with the same seed."""
    common = (SNS, "--scan", "strength=0.2:2:19", "--data", folder / "csi.txt", "--toys", 100)
    content, output = fit(nuspill, tmp_path, *common, "--seed", 3)
    status, *_ = nuspill("toys", *common, "--seed", 3, "-o", tmp_path / "toys")
    assert status == 0
    kept = json.loads((tmp_path / "toys" / "region.json").read_text())
    assert content["feldman_cousins"]["intervals"] == kept["intervals"]
    assert content["goodness"]["toys"]["number"] == 100
    assert "by 100 toys" in output


def test_fit_of_the_expected(nuspill, tmp_path):
    """Fails if data equal to what is expected do not give back the truth and no pulls."""
    model = build([load("ess-csi")], ["strength"])
    file = tmp_path / "asimov.txt"
    np.savetxt(file, model.asimov().counts[0])
    content, _ = fit(nuspill, tmp_path, "ess-csi", "--data", file)
    assert content["best"]["strength"] == pytest.approx(1.0, abs=1e-6)
    assert content["chi2"] == pytest.approx(0.0, abs=1e-8)
    assert all(abs(pull["value"]) < 1e-6 for pull in content["pulls"].values())
    assert isinstance(Chi2(model, Data(*_arrays(model)))(model.truth), float)


def _arrays(model):
    data = model.asimov()
    return data.counts, data.off, data.centre


MISTAKES = {
    "no data": ((SNS,), ["--data FILE is missing", SNS]),
    "too few files": ((SNS, "ess-ar", "--data", "csi.txt"), ["1 files for 2 experiments"]),
    "too many files": ((SNS, "--data", "csi.txt", "--data", "csi.txt"), ["2 files for 1"]),
    "no such file": ((SNS, "--data", "no.txt"), ["no.txt", "cannot be read"]),
    "no possible file": ((SNS, "--data", "a" * 400), ["aaa", "cannot be read"]),
    "a folder of nothing": ((SNS, "--data", "empty"), ["there is no ntuple"]),
    "no such parameter": ((SNS, "--data", "csi.txt", "--scan", "strenght"), ["'strength'"]),
    "three scans": (
        (SNS, "--data", "csi.txt", *("--scan", "a") * 3), ["one or two", "not 3"],
    ),
    "no level": ((SNS, "--data", "csi.txt", "--cl", "2"), ["--cl", "between 0 and 1"]),
    "no toys": ((SNS, "--data", "csi.txt", "--toys", "0"), ["--toys"]),
    "other bins": (("ess-csi", "--data", "csi.txt"), ["csi.txt", "lines"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case, nuspill, folder, monkeypatch):
    """Fails if a mistake is not one line that says what is wrong."""
    arguments, parts = MISTAKES[case]
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    status, output, errors = nuspill("fit", *arguments)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1, errors
    for part in parts:
        assert part in errors
