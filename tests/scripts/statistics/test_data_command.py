"""`toys --data` of parts of runs: the region of what is there, or a refusal.

With a quarter of the data taken for all of it the region was [0.11, 0.18], and [0.64, 0.92] or none
for a lost part and a file joined twice, where [0.88, 1.25] was right.
"""

import json
import shutil

import pytest
from nuspill import load, plan, read, write

QUIET = "background.steady.rate=0.1"
YEARS = 0.05
TOYS = ("toys", "ess-csi", "--set", QUIET, "--scan", "strength=0.2:2:37", "--toys", 60)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a run in four parts, others, and joined ones."""
    folder = tmp_path_factory.mktemp("data")
    settings = {"background.steady.rate": 0.1, "exposure.slice_pulses": 500_000}
    from nuspill.reco.runs.parts import write_parts

    run = plan(load("ess-csi", settings), 3, years=YEARS)
    write_parts(run, folder / "parts", 4)
    write(run, folder / "one.root")
    write(run, folder / "range.root", events=range(run.events // 4, run.events // 2))
    (folder / "two").mkdir()
    for seed in (3, 4):
        write(plan(load("ess-csi", settings), seed, years=YEARS), folder / "two" / f"{seed}.root")
    shutil.copytree(folder / "parts", folder / "lost")
    (folder / "lost" / "part-00002.root").unlink()
    shutil.copytree(folder / "parts", folder / "again")
    shutil.copy(folder / "parts" / "part-00001.root", folder / "again" / "part-00004.root")
    return folder


def interval(content):
    """The outermost ends of a region by Wilks, whose toys are few here."""
    ends = [end for pair in content["wilks"]["intervals"] for end in pair]
    return min(ends), max(ends)


@pytest.mark.parametrize(
    ("name", "share"),
    [("one.root", 1), ("parts", 1), ("parts/part-00001.root", None), ("range.root", None),
     ("lost", None), ("two", 2)],
)  # fmt: skip
def test_region_of_what_is_there(name, share, data, nuspill, tmp_path):
    """Fails if the exposure is not that of the file, or the region does not hold the truth, 1."""
    path, out = data / name, tmp_path / "out"
    call = [*TOYS, "--data", path, "-o", out]
    years = YEARS if share is None else share * YEARS
    if share != 1:
        status, _, errors = nuspill(*call, "--years", YEARS)
        assert status == 2
        assert len(errors.splitlines()) == 1
        assert f"{path}: is of" in errors
        assert ("not there: pulses" in errors) == (share is None)
        years = float(errors.partition("--years ")[2].split(";")[0])
    if share is None:
        assert 0.1 < years / YEARS < 0.85
    status, _, errors = nuspill(*call, "--years", years)
    assert status == 0
    assert ("not there: pulses" in errors) == (share is None)
    content = json.loads((out / "region.json").read_text())
    low, high = interval(content)
    assert low < 1 < high
    (origin,) = content["data"]
    _, about = read(path)
    assert origin["years_of_operation"] == pytest.approx(about["years_of_operation"])
    assert origin["years_of_operation"] == pytest.approx(years, rel=1e-3)
    assert origin["accepted"] == []
    assert bool(origin["missing"]) == (share is None)


def test_parts_that_count_twice(data, nuspill, tmp_path):
    """Fails if a part that is there twice is fitted, whatever the exposure."""
    for years in (YEARS, 1.25 * YEARS):
        call = (*TOYS, "--data", data / "again", "-o", tmp_path / "out", "--years", years)
        status, _, errors = nuspill(*call)
        assert status == 2
        assert "part-00004.root: holds" in errors
        assert "nothing may count twice" in errors
    assert not (tmp_path / "out").exists()


def test_accepted_differences_are_kept(data, nuspill, tmp_path):
    """Fails if --accept is not in the result, is lost by resume, or works without data."""
    out = tmp_path / "out"
    call = (*TOYS, "--years", YEARS, "--set", "detector.quenching.factor=0.11", "-o", out)
    status, _, errors = nuspill(*call, "--data", data / "one.root")
    assert status == 2
    assert "detector.quenching.factor is 0.1 in the file and 0.11 in the model" in errors
    assert "--accept detector.quenching.factor" in errors
    accept = ("--accept", "detector.quenching.factor")
    status, _, errors = nuspill(*call, *accept)
    assert status == 2
    assert "--accept" in errors
    assert not out.exists()
    status, _, errors = nuspill(*call, *accept, "--data", data / "one.root")
    assert status == 0
    assert "accepted: detector.quenching.factor is 0.1" in errors
    kept = [{"key": "detector.quenching.factor", "data": 0.1, "model": 0.11}]
    assert json.loads((out / "region.json").read_text())["data"][0]["accepted"] == kept
    (out / "region.json").unlink()
    status, *_ = nuspill("resume", out)
    assert status == 0
    assert json.loads((out / "region.json").read_text())["data"][0]["accepted"] == kept


def test_verify_of_ntuples(data, nuspill):
    """Fails if verify passes what is not whole, or a folder with a part of no part of its run."""
    for name in ("one.root", "two", "parts"):
        status, _, errors = nuspill("verify", data / name)
        assert (status, errors) == (0, ""), name
    for name, text in {
        "range.root": "not there: pulses",
        "parts/part-00000.root": "not there: pulses",
        "lost": "part-00002.root (checksum)",
        "again": "part-00004.root is no part of its run",
    }.items():
        status, _, errors = nuspill("verify", data / name)
        assert status == 2
        assert text in errors


def test_other_commands_tell(data, nuspill, tmp_path):
    """Fails if compare, plot and export take a folder without a part for the whole."""
    pytest.importorskip("tables")
    numbers = tmp_path / "a.json"
    status, _, errors = nuspill("compare", data / "lost", data / "one.root", "--json", numbers)
    assert status == 0
    assert "lost: not there: pulses" in errors
    content = json.loads(numbers.read_text())
    assert content["counts"][0]["live_days"] < 0.85 * content["counts"][1]["live_days"]
    assert content["counts"][0]["missing"]
    status, _, errors = nuspill("plot", data / "lost", "-o", tmp_path / "a.png")
    assert status == 0
    assert "lost: not there: pulses" in errors
    status, _, errors = nuspill("export", data / "lost", "--to", "next", "-o", tmp_path / "a.h5")
    assert status == 2
    assert "part-00002.root" in errors
    assert "--pulses 0:" in errors
    for call in (("compare", data / "again", data / "one.root"),
                 ("plot", data / "again", "-o", tmp_path / "b.png"),
                 ("export", data / "again", "--to", "next", "-o", tmp_path / "b.h5")):  # fmt: skip
        status, _, errors = nuspill(*call)
        assert status == 2
        assert "nothing may count twice" in errors


def test_merge(data, nuspill, tmp_path):
    """Fails if merge makes a file of less than the run, or of two runs."""
    status, _, errors = nuspill("merge", data / "lost", "-o", tmp_path / "a.root")
    assert status == 2
    assert "part-00002.root" in errors
    status, *_ = nuspill("merge", data / "lost", data / "parts", "-o", tmp_path / "a.root")
    assert status == 0
    status, *_ = nuspill("verify", tmp_path / "a.root")
    assert status == 0
    status, *_ = nuspill("merge", data / "again", "-o", tmp_path / "b.root")
    assert status == 0
    assert (tmp_path / "b.root").stat().st_size == (tmp_path / "a.root").stat().st_size
