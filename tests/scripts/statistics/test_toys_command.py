"""`nuspill toys`, `merge` and `coverage`: bit for bit, killed and resumed, and bad input."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import uproot
from nuspill.toys.records.record import load_record

AR = ("ess-ar", "--years", "0.1", "--scan", "strength=0.5:1.5:5")
PLANE = ("ess-csi", "--scan", "nsi.u.ee=-0.2:0.6:3", "--scan", "nsi.u.mumu=-0.2:0.6:3")


def content(folder, points=5):
    """Bytes of the toys of each point."""
    return [s.value.tobytes() for s in load_record(folder).by_point(points)]


def region(folder):
    """What a folder's JSON says."""
    return json.loads((folder / "region.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def started():
    """Start the command in a process of its own."""

    def call(*arguments):
        code = "from nuspill.scripts.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return call


def test_threads_and_jobs(nuspill, tmp_path):
    """Fails if one bit of toys or region depends on threads, jobs, or resuming with more toys."""
    jobs = {"one": (0, 2000, 1), "two": (0, 2000, 2)}
    jobs |= {f"j{k}": (500 * k, 500, 1) for k in range(4)}
    for name, (first, toys, threads) in jobs.items():
        status, _, errors = nuspill(
            "toys", *AR, "-o", tmp_path / name, "--toys", toys, "--first-toy", first,
            "--threads", threads,
        )  # fmt: skip
        assert status == 0
        assert errors == ""
    folders = [tmp_path / f"j{k}" for k in (3, 1, 0, 2)]
    assert nuspill("merge", *folders, "-o", tmp_path / "merged")[0] == 0
    status, _, errors = nuspill("toys", *AR, "-o", tmp_path / "j0", "--toys", 2000, "--resume")
    assert (status, errors) == (0, "")
    for other in ("two", "merged", "j0"):
        assert content(tmp_path / other) == content(tmp_path / "one"), other
    one = region(tmp_path / "one")
    for other in ("two", "j0"):
        assert region(tmp_path / other) == one
    assert region(tmp_path / "merged") == one


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed(how, started, nuspill, tmp_path):
    """Fails if a killed run leaves half a file, or ends other than an uninterrupted one.

    Ctrl-C and SIGTERM keep what is done, in one line, and leave no temporary files.
    """
    toys = ("--toys", 300_000)  # and a file is closed after 2^20 of the 1.5 million
    seen = "toys-*.npz" if how == signal.SIGKILL else "manifest.json"
    folder = tmp_path / "toys"
    for wait in (0.3, 0.6, 1.2, 2.4):  # until toys are done before the signal comes
        run = started("toys", *AR, "-o", folder, *toys, "--threads", 1)
        limit = time.monotonic() + 120
        while not any(folder.glob(seen)) and time.monotonic() < limit:
            time.sleep(0.01)
        if how != signal.SIGKILL:
            time.sleep(wait)
        run.send_signal(how)
        output, errors = run.communicate(timeout=60)
        assert run.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 2), errors
        assert output == ""
        assert not (folder / "region.json").exists()
        if how != signal.SIGKILL:
            assert len(errors.splitlines()) == 1, errors
            assert "nuspill resume" in errors
            assert not [p for p in folder.iterdir() if p.name.startswith(".")]
        done = sum(b - a for _, a, b in load_record(folder).done())
        if done > 0:
            break
        shutil.rmtree(folder)
    assert 0 < done < 1_500_000
    assert nuspill("toys", *AR, "-o", folder, *toys, "--resume")[0] == 0
    assert nuspill("toys", *AR, "-o", tmp_path / "whole", *toys)[0] == 0
    assert content(folder) == content(tmp_path / "whole")
    assert region(folder) == region(tmp_path / "whole")


def test_json_has_what_issue_4_says(nuspill, tmp_path):
    """Fails if a key is missing, arrays are not of the grid's shape, or the ensemble untold."""
    status, output, _ = nuspill(
        "toys", *PLANE, "-o", tmp_path / "toys", "--toys", 200, "--json", "-",
        "--ensemble", "fixed", "--nuisance", "signal=0.5", "--ntuple",
    )  # fmt: skip
    assert status == 0
    content = json.loads(output)
    assert content == region(tmp_path / "toys")
    assert {
        "parameters", "best", "contours", "area", "cl", "delta_chi2", "grid", "failed",
        "experiments", "profiled", "critical", "critical_error", "toys", "ensemble", "wilks",
    } <= set(content)  # fmt: skip
    grid = content["grid"]
    assert set(np.linspace(-0.2, 0.6, 3)) <= set(grid["x"]) & set(grid["y"])  # as asked, or more
    points = len(grid["x"]) * len(grid["y"])
    shape = len(grid["y"]), len(grid["x"])
    assert np.shape(content["critical"]) == np.shape(content["critical_error"]) == shape
    assert content["ensemble"]["nuisance_truth"] == "fixed"
    assert content["ensemble"]["nuisance_values"] == {"signal": 0.5}
    assert content["toys"] == 200 * points
    assert content["failed"] == 0
    with uproot.open(tmp_path / "toys" / "toys.root") as file:
        assert file["toys"].num_entries == 200 * points


def test_meaningless_ensemble_warns(nuspill, tmp_path):
    """Fails if truth and centres both fixed goes without one line of warning."""
    status, _, errors = nuspill(
        "toys", *AR, "-o", tmp_path / "t", "--toys", 50, "--ensemble", "fixed", "--centres", "fixed"
    )
    assert status == 0
    assert len(errors.splitlines()) == 1
    assert errors.startswith("nuspill: warning: ")
    assert "both fixed" in errors


def test_data_importance_adaptive_and_orderings(nuspill, tmp_path):
    """Fails if data are not what the region is for, or an option's region is far off."""
    (tmp_path / "data.txt").write_text("125\n")  # the Asimov count is 111
    options = {
        "plain": (), "importance": ("--importance",), "adaptive": ("--adaptive", 0.1),
        "central": ("--ordering", "central"),
    }  # fmt: skip
    axis = ("ess-ar", "--years", "0.1", "--scan", "strength=0.5:2:16")
    found = {}
    for name, option in options.items():
        status, _, errors = nuspill(
            "toys", *axis, "-o", tmp_path / name, "--toys", 2000, "--data", tmp_path / "data.txt",
            *option,
        )  # fmt: skip
        assert (status, errors) == (0, "")
        found[name] = region(tmp_path / name)
    for name in ("importance", "adaptive", "central"):
        a, b = (np.array(found[x]["intervals"]) for x in ("plain", name))
        np.testing.assert_allclose(a, b, atol=0.08)
    assert found["plain"]["best"] > 1.02
    assert found["adaptive"]["toys"] < found["plain"]["toys"]
    assert "effective_toys" in found["importance"]["grid"]


def test_what_a_region_lacks_is_told(nuspill, tmp_path):
    """Fails if limits that are ends of the scan, or critical values of too few toys, pass as good.

    The region of the strength is from about 0.8 to 1.2; in hours it ends at its bound, 0.
    """
    toys = ("toys", "ess-ar", "--toys", 40, "--seed", 5)
    wide = ("--scan", "strength=0.5:1.5:6")
    status, output, errors = nuspill(*toys, *wide, "-o", tmp_path / "wide")
    assert (status, errors) == (0, "")
    assert "end of the scan" not in output
    found = region(tmp_path / "wide")
    assert not any(part["clipped"] for part in (found, found["wilks"], found["asimov"]))
    cut = ("--scan", "strength=0.95:1.5:6")
    status, output, errors = nuspill(*toys, *cut, "-o", tmp_path / "cut")
    assert (status, errors) == (0, "")
    assert output.count("[0.95 (end of the scan), ") == 3
    found = region(tmp_path / "cut")
    assert all(part["clipped"] for part in (found, found["wilks"], found["asimov"]))
    bound = ("--scan", "strength=0:20:11", "--years", 0.0003)
    status, output, errors = nuspill(*toys, *bound, "-o", tmp_path / "bound")
    assert status == 0
    found = region(tmp_path / "bound")
    assert found["wilks"]["intervals"][0][0] == 0
    assert found["wilks"]["clipped"] is False
    status, output, errors = nuspill(*toys, *wide, "--cl", 0.99, "-o", tmp_path / "few")
    assert status == 0
    assert "toys are too few for 99 % CL at 6 of 6 points" in errors
    assert "error of the critical values unknown" in output
    assert region(tmp_path / "few")["critical_error"] == [None] * 6
    plane = ("--scan", "nsi.u.ee=-0.02:0.02:3", "--scan", "nsi.u.mumu=-0.02:0.02:3")
    status, output, errors = nuspill(*toys, *plane, "-o", tmp_path / "plane")
    assert status == 0
    assert "goes on beyond the scan" in output
    assert region(tmp_path / "plane")["asimov"]["clipped"] is True


PURE = (
    "toys", "ess-ar", "--years", 0.002, "--set", "analysis.signal_uncertainty=0", "--set",
    "analysis.background_uncertainty=0", "--set", "background.steady.rate=17.085", "--toys", 100,
)  # fmt: skip
"""Pure counts: s = 2.2002 and b = 2.9998."""


@pytest.mark.parametrize("scan", ["strength=0:6:61", "strength=0:6:4", "strength=0:20"])
@pytest.mark.parametrize(
    ("ordering", "limit"), [("upper", 2.270), ("likelihood-ratio", 2.544), ("central", 2.797)]
)
def test_regions_of_pure_counts_are_exact(ordering, limit, scan, nuspill, tmp_path):
    """Fails if the limits of issue 14 on 4 counts depend on the grid, or do not say "exact"."""
    (tmp_path / "data.txt").write_text("4\n")
    status, output, errors = nuspill(
        *PURE, "--scan", scan, "--data", tmp_path / "data.txt", "-o", tmp_path / "toys",
        "--ordering", ordering,
    )  # fmt: skip
    assert (status, errors) == (0, "")
    assert "exact" in output
    assert "±" not in output
    found = region(tmp_path / "toys")
    assert found["exact"] is True
    np.testing.assert_allclose(found["intervals"], [[0, limit]], atol=6e-4)
    assert found["interval_errors"] == [[None, 0.0]]
    assert min(found["grid"]["p_value"]) > 0
    toys = np.array(found["grid"]["toys"])
    assert np.all(toys == 100)


def test_exact_regions_by_importance_and_from_a_folder(nuspill, tmp_path):
    """Fails if what is exact depends on how toys are thrown, or is lost by merge or adaptive."""
    scan = ("--scan", "strength=0.1:6:13")
    results = []
    for name, option in (("a", ()), ("b", ("--importance",)), ("c", ("--adaptive", 0.1))):
        assert nuspill(*PURE, *scan, "-o", tmp_path / name, *option)[0] == 0
        results.append(region(tmp_path / name))
    assert nuspill("merge", tmp_path / "a", "-o", tmp_path / "d")[0] == 0
    results.append(region(tmp_path / "d"))
    for found in results:
        assert found["exact"] is True
        assert found["intervals"] == results[0]["intervals"]
        assert found["grid"]["critical"] == results[0]["grid"]["critical"]
        assert found["grid"]["p_value"] == results[0]["grid"]["p_value"]


def test_orderings_of_a_rate_that_turns(nuspill, tmp_path):
    """Fails if an upper limit is taken on a coupling whose rate falls and rises, or toys thrown."""
    scan = ("ess-ar", "--scan", "nsi.u.ee=-1:1:5", "--toys", 100)
    for ordering in ("upper", "central"):
        status, output, errors = nuspill(
            "toys", *scan, "--ordering", ordering, "-o", tmp_path / ordering
        )
        assert (status, output) == (2, "")
        assert len(errors.splitlines()) == 1
        assert "nsi.u.ee" in errors
        assert "turn near 0.18" in errors
        assert not (tmp_path / ordering).exists()
    assert nuspill("toys", *scan, "-o", tmp_path / "toys")[0] == 0
    status, _, errors = nuspill(
        "merge", tmp_path / "toys", "-o", tmp_path / "joined", "--ordering", "upper"
    )
    assert status == 2
    assert "turn near" in errors


def test_limits_have_toys_of_their_own(nuspill, tmp_path):
    """Fails if no toys are thrown round limits, or they pass as the grid's, in the ntuple too."""
    folder = tmp_path / "toys"
    status, output, _ = nuspill("toys", *AR, "-o", folder, "--toys", 500, "--ntuple")
    assert status == 0
    assert "2500 toys at 5 points and 1000 at 2 round the limits" in output
    found = region(folder)
    assert found["toys"] == 2500
    assert all(0 < error < 0.05 for pair in found["interval_errors"] for error in pair)
    with uproot.open(folder / "toys.root") as file:
        assert file["toys"].num_entries == 2500
    status, output, _ = nuspill("status", folder, "--json", "-")
    assert json.loads(output)["done"] == json.loads(output)["wanted"] == 2500
    assert nuspill("verify", folder, "--share", 1)[0] == 0
    before = everything(folder)
    assert nuspill("toys", *AR, "-o", folder, "--toys", 500, "--ntuple", "--resume")[0] == 0
    assert {
        path: content for path, content in everything(folder).items() if path.suffix == ".npz"
    } == {path: content for path, content in before.items() if path.suffix == ".npz"}


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    """Fails if 20 times the toys need more than 60 MB more."""
    code = """
import resource, sys
from nuspill.scripts.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peak = []
    for k, toys in enumerate((50_000, 50_000, 1_000_000)):
        out = subprocess.run(
            [
                sys.executable, "-c", code, "toys", *AR[:2], AR[2], "--scan", "strength=0.5:1.5:3",
                "-o", str(tmp_path / str(k)), "--toys", str(toys), "--threads", "2",
            ],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        peak.append(int(out.splitlines()[-1]) / 1024)
    assert peak[2] < max(peak[:2]) + 60, peak


def test_coverage_command(nuspill, tmp_path):
    """Fails if the JSON lacks a region, a level or a point, or coverage is far off."""
    status, output, errors = nuspill(
        "coverage", "ess-ar", "--at", "strength=0.8", "--at", "strength=1.2", "--toys", 2000,
        "--cl", "0.68,0.9", "--nested", 400, "--json", "-",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    content = json.loads(output)
    rows = content["coverage"]
    assert len(rows) == 2 * 2 * 4
    assert {r["region"] for r in rows} == {"wilks", "asimov", "feldman_cousins", "nested"}
    for r in rows:
        assert r["interval"][0] < r["coverage"] < r["interval"][1]
        assert abs(r["coverage"] - r["cl"]) < 4 * r["error"] + (r["region"] in {"wilks", "asimov"})
        assert r["failed"] == 0
        assert (r["critical"] is None) == (r["region"] == "nested")
        assert r["toys"] == (400 if r["region"] == "nested" else 2000)
    assert content["ensemble"]["nuisance_truth"] == "profiled"


def test_coverage_where_centres_differ(nuspill):
    """Fails if nature has not centres of its own, or what means nothing goes unwarned.

    Critical values of toys with truth and centres both fixed hold 9 % of nature's at 90 %.
    """
    problem = (
        "coverage", "ess-csi", "--at", "strength=1", "--toys", 2000, "--cl", "0.9", "--ensemble",
        "fixed", "--json", "-",
    )  # fmt: skip

    def run(*centres):
        status, output, errors = nuspill(*problem, *centres)
        assert status == 0
        content = json.loads(output)
        found = {r["region"]: r["coverage"] for r in content["coverage"]}
        assert set(found) == {"wilks", "asimov", "feldman_cousins"}  # all data have the same toys
        told = tuple(content[name]["pull_centres"] for name in ("ensemble", "nature"))
        return told, found["feldman_cousins"], errors

    told, sound, errors = run()
    assert (told, errors) == (("fluctuated", "fluctuated"), "")
    assert sound == pytest.approx(0.9, abs=0.04)
    told, narrow, errors = run("--centres", "fixed", "--nature-centres", "fluctuated")
    assert told == ("fixed", "fluctuated")
    assert narrow < 0.3
    assert "warning: the truth of the nuisance parameters and the centres" in errors
    told, wide, errors = run("--nature-centres", "fixed")
    assert told == ("fluctuated", "fixed")
    assert wide > 0.99
    assert "warning: nature has" in errors
    told, _, errors = run("--centres", "fixed")
    assert told == ("fixed", "fixed")
    assert len(errors.splitlines()) == 1


def everything(folder):
    """Every file below a folder with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TOYS = ("toys", "ess-ar", "-o", "OUT", "--toys", "20", "--scan", "strength=0.5:1.5:3")
AT = ("coverage", "ess-ar", "--toys", "100", "--at")
REFUSED = {
    "no toys": ((*TOYS, "--toys", "0"), ["--toys", "0"]),
    "negative toys": ((*TOYS, "--toys", "-5"), ["--toys", "-5"]),
    "half a toy": ((*TOYS, "--toys", "1.5"), ["--toys", "1.5"]),
    "first toy": ((*TOYS, "--first-toy", "-1"), ["--first-toy", "-1"]),
    "seed": ((*TOYS, "--seed", "-1"), ["seed", "-1"]),
    "seed too large": ((*TOYS, "--seed", str(2**64)), ["seed", str(2**64)]),
    "threads": ((*TOYS, "--threads", "0"), ["--threads"]),
    "ordering": ((*TOYS, "--ordering", "lower"), ["--ordering", "lower"]),
    "central plane": ((*TOYS, "--scan", "nsi.u.ee=-1:1:3", "--ordering", "central"),
                      ["--ordering", "central", "one parameter"]),
    "three scans": ((*TOYS, "--scan", "sin2w=0.2:0.3:3", "--scan", "nsi.u.ee=-1:1:3"), ["two"]),
    "same scan": ((*TOYS, "--scan", "strength=0.5:1.5:3"), ["strength", "twice"]),
    "no scan": (TOYS[:-2], ["--scan"]),
    "empty range": ((*TOYS[:-1], "strength=1:1:3"), ["strength", "empty"]),
    "range backwards": ((*TOYS[:-1], "strength=2:1:3"), ["strength", "empty"]),
    "beyond the bound": ((*TOYS[:-1], "strength=-1:1:3"), ["strength", "-1"]),
    "one point": ((*TOYS[:-1], "strength=0:1:1"), ["points", "1"]),
    "nan range": ((*TOYS[:-1], "strength=nan:1:3"), ["--scan", "nan"]),
    "unknown parameter": ((*TOYS[:-1], "strenth=0:1:3"), ["strenth", "did you mean"]),
    "cl": ((*TOYS, "--cl", "1"), ["--cl", "1"]),
    "cl nan": ((*TOYS, "--cl", "nan"), ["--cl", "nan"]),
    "years": ((*TOYS, "--years", "nan"), ["years", "nan"]),
    "ensemble": ((*TOYS, "--ensemble", "posterior"), ["--ensemble", "posterior"]),
    "centres": ((*TOYS, "--centres", "free"), ["--centres", "free"]),
    "unknown nuisance": ((*TOYS, "--ensemble", "fixed", "--nuisance", "sgnal=1"), ["sgnal"]),
    "nuisance not used": ((*TOYS, "--nuisance", "signal=1"), ["signal", "fixed"]),
    "nuisance nan": ((*TOYS, "--ensemble", "fixed", "--nuisance", "signal=nan"), ["--nuisance"]),
    "nuisance without value": ((*TOYS, "--ensemble", "fixed", "--nuisance", "signal"),
                               ["--nuisance"]),
    "nuisance below its bound": ((*TOYS, "--set", "analysis.factors=linear", "--ensemble", "fixed",
                                  "--nuisance", "signal=-30"), ["signal", "-30", "-9.9"]),
    "importance of a prior": ((*TOYS, "--importance", "--ensemble", "prior"), ["prior"]),
    "importance of a limit": ((*TOYS, "--importance", "--ordering", "upper"), ["upper"]),
    "importance, too many": ((*TOYS, "--importance", "--toys", "9000000"), ["memory"]),
    "adaptive 0": ((*TOYS, "--adaptive", "0"), ["--adaptive", "0"]),
    "adaptive nan": ((*TOYS, "--adaptive", "nan"), ["--adaptive", "nan"]),
    "folder missing": ((*TOYS[:3], "no/such", *TOYS[4:]), ["no/such"]),
    "folder is a file": ((*TOYS[:3], "counts", *TOYS[4:]), ["counts", "exists"]),
    "folder of other things": ((*TOYS[:3], "mine", *TOYS[4:]), ["mine", "not empty"]),
    "plot": ((*TOYS, "--plot", "x.txt"), ["x.txt"]),
    "json": ((*TOYS, "--json", "no/such.json"), ["no/such.json"]),
    "data missing": ((*TOYS, "--data", "none"), ["none", "No such file"]),
    "data empty": ((*TOYS, "--data", "empty"), ["empty", "0 lines"]),
    "data negative": ((*TOYS, "--data", "negative"), ["negative", "0 or more"]),
    "data nan": ((*TOYS, "--data", "nan"), ["nan", "0 or more"]),
    "data of other bins": ((*TOYS, "--data", "two"), ["two", "2 lines"]),
    "data twice": ((*TOYS, "--data", "counts", "--data", "counts"), ["2 files"]),
    "data binary": ((*TOYS, "--data", "binary"), ["binary", "not text"]),
    "merge nothing": (("merge", "-o", "OUT"), ["FOLDERS"]),
    "merge no folder": (("merge", "none", "-o", "OUT"), ["none", "holds no run", "manifest"]),
    "merge of other things": (("merge", "mine", "-o", "OUT"), ["mine", "manifest"]),
    "merge cl": (("merge", "mine", "-o", "OUT", "--cl", "nan"), ["--cl", "nan"]),
    "at nothing": ((*AT, "strength"), ["--at", "'strength'"]),
    "at nan": ((*AT, "strength=nan"), ["--at", "nan"]),
    "at unknown": ((*AT, "strenth=1"), ["strenth", "did you mean"]),
    "at twice": ((*AT, "strength=1,strength=2"), ["--at", "twice"]),
    "at of three": ((*AT, "strength=1,sin2w=0.2,nsi.u.ee=0"), ["--at", "two"]),
    "at of others": ((*AT, "strength=1", "--at", "sin2w=0.2"), ["--at", "same"]),
    "at out of bounds": ((*AT, "sin2w=2"), ["sin2w", "2"]),
    "levels": ((*AT, "strength=1", "--cl", "0.9,1.1"), ["--cl", "1.1"]),
    "no levels": ((*AT, "strength=1", "--cl", ""), ["--cl"]),
    "coverage seed": ((*AT, "strength=1", "--seed", "-1"), ["seed", "-1"]),
    "coverage toys": (("coverage", "ess-ar", "--at", "strength=1", "--toys", "99"), ["--toys"]),
    "coverage nuisance": ((*AT, "strength=1", "--nuisance", "signal=1"), ["signal", "fixed"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, nuspill, tmp_path, monkeypatch):
    """Fails if a mistake is not one line with what was given, status 2, and nothing written."""
    arguments, parts = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    files = {"counts": "100\n", "empty": "", "negative": "-1\n", "nan": "nan\n", "two": "1\n2\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("text")
    before = everything(tmp_path)
    status, output, errors = nuspill(*("toys" if a == "OUT" else a for a in arguments))
    assert status == 2
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("nuspill: ")
    assert output == ""
    for part in parts:
        assert part in errors
    assert everything(tmp_path) == before
    assert not (tmp_path / "toys").exists()


def test_folders_that_do_not_fit(nuspill, tmp_path):
    """Fails if a run goes into a folder of another, or a damaged one, or changes what it holds."""

    def refused(*arguments, part):
        before = everything(tmp_path)
        status, output, errors = nuspill(*arguments)
        assert status == 2
        assert len(errors.splitlines()) == 1, errors
        assert part in errors
        assert output == ""
        assert everything(tmp_path) == before

    a, toys = tmp_path / "a", ("toys", *AR, "--toys", 50)
    assert nuspill(*toys, "-o", a)[0] == 0
    refused(*toys, "-o", a, part="--resume")
    refused(*toys, "-o", a, "--resume", "--seed", 2, part="another seed: 1, not 2")
    refused(*toys, "-o", a, "--resume", "--ensemble", "prior", part="another ensemble")
    refused(*toys, "-o", a, "--resume", "--set", "target.mass=11", part="another experiments")
    b, c = tmp_path / "b", tmp_path / "c"
    assert nuspill(*toys, "-o", b, "--first-toy", 25)[0] == 0
    assert nuspill(*toys, "-o", c, "--seed", 2)[0] == 0
    refused("merge", a, b, "-o", tmp_path / "x", part="overlap")
    refused("merge", a, c, "-o", tmp_path / "x", part="seed")
    refused("merge", a, b, "-o", a, part="overlap")
    path = min(a.glob("toys-*.npz"))
    path.write_bytes(path.read_bytes()[:-100])
    refused(*toys, "-o", a, "--resume", part=path.name)
    refused("merge", a, "-o", tmp_path / "x", part=path.name)
    assert not (tmp_path / "x").exists()
