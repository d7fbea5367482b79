"""Toys on disk: resumed, merged and killed runs hold the toys of one run, bit for bit."""

import json

import numpy as np
import pytest
from nuspill import OutputError, load
from nuspill.reco.cluster.workers import Here
from nuspill.toys.construction.ensemble import Ensemble
from nuspill.toys.construction.neyman import Construction
from nuspill.toys.counts.combination import build
from nuspill.toys.records import record as module
from nuspill.toys.records.distribute import throw_tasks
from nuspill.toys.records.record import load_record, merge, missing, open_record, tasks_of
from nuspill.toys.records.restore import configuration, restore, write_ntuple
from nuspill.toys.regions.region import region

POINTS = 4


@pytest.fixture(scope="module")
def made():
    """A small construction and its configuration."""
    experiments = [load("ess-ar", {"exposure.years": 0.1})]
    model = build(experiments, ["strength"])
    axes = (("strength", np.linspace(0.4, 1.6, POINTS)),)
    c = Construction(model, axes, Ensemble(), 6, model.asimov())
    return c, configuration(c, experiments)


def write(folder, made, start, stop, points=range(POINTS), threads=1):
    """Add toys to a folder."""
    c, config = made
    record = open_record(folder, config, resume=True)
    todo = missing(points, start, stop, record.done())
    assert sum(record.write(throw_tasks(c, todo, Here(threads)))) == sum(b - a for _, a, b in todo)
    return record


def content(record):
    """Values of each point and failed toys."""
    return [(s.value.tobytes(), s.failed) for s in record.by_point(POINTS)]


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """All toys in one run."""
    return content(write(tmp_path_factory.mktemp("whole") / "toys", made, 0, 1000))


def test_one_run(made, whole):
    """Fails if what is read is not what was made."""
    c, _ = made
    for point, (values, failed) in enumerate(whole):
        assert values == c.toys(point, 0, 1000).value.tobytes()
        assert failed == 0


def test_four_jobs_merged(made, whole, tmp_path):
    """Fails if toys of four jobs, joined in any order, are not those of one job."""
    jobs = [write(tmp_path / f"job{k}", made, 250 * k, 250 * (k + 1)).folder for k in range(4)]
    assert content(merge([jobs[k] for k in (2, 0, 3, 1)], tmp_path / "all")) == whole
    by_point = [write(tmp_path / f"p{k}", made, 0, 1000, [k]).folder for k in range(POINTS)]
    assert content(merge(by_point, tmp_path / "points")) == whole


def test_merged_twice(made, whole, tmp_path):
    """Fails if merging what is there already, or folders that share toys, changes anything."""
    a = write(tmp_path / "a", made, 0, 600).folder
    b = write(tmp_path / "b", made, 600, 1000).folder
    both = merge([a, b, a], tmp_path / "both")
    assert content(both) == whole
    files = {path.name: path.read_bytes() for path in both.folder.iterdir()}
    assert content(merge([a, both.folder], tmp_path / "both")) == whole
    assert {path.name: path.read_bytes() for path in both.folder.iterdir()} == files


def test_more_toys_in_the_same_folder(made, whole, tmp_path):
    """Fails if going on with a greater number of toys makes any of them twice."""
    write(tmp_path / "toys", made, 300, 400, [1, 3])
    write(tmp_path / "toys", made, 0, 700)
    record = write(tmp_path / "toys", made, 0, 1000, threads=2)
    assert content(record) == whole
    assert missing(range(POINTS), 0, 1000, record.done()) == []


def test_interrupted_anywhere(made, whole, tmp_path, monkeypatch):
    """Fails if an interrupt loses toys of files that were whole, or resuming does not end alike."""
    c, config = made
    monkeypatch.setattr(module, "TOYS_A_FILE", 300)
    monkeypatch.setattr(module, "TOYS_A_TASK", 128)
    for number in (0, 1, 2, 5, 17):
        folder = tmp_path / f"toys{number}"
        record = open_record(folder, config, resume=False)

        def cut(tasks, left=number):
            for k, result in enumerate(throw_tasks(c, tasks, Here(2))):
                if k == left:
                    raise KeyboardInterrupt
                yield result

        with pytest.raises(KeyboardInterrupt):
            list(record.write(cut(tasks_of(range(POINTS), 0, 1000))))
        assert len(record.done()) == number
        assert content(write(folder, made, 0, 1000)) == whole


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ([], [(7, 10, 20)]),
        ([(7, 10, 20)], []),
        ([(7, 0, 30)], []),
        ([(6, 10, 20), (8, 10, 20)], [(7, 10, 20)]),
        ([(7, 0, 12), (7, 15, 17)], [(7, 12, 15), (7, 17, 20)]),
        ([(7, 12, 30)], [(7, 10, 12)]),
        ([(7, 20, 30), (7, 0, 10)], [(7, 10, 20)]),
        ([(7, 0, 15), (7, 10, 12), (7, 18, 40)], [(7, 15, 18)]),
    ],
)
def test_missing(done, expected):
    """Fails if toys that are there are made again, or others are not."""
    assert missing([7], 10, 20, done) == expected


def test_tasks_cover_every_toy_once(monkeypatch):
    """Fails if long ranges are not cut into pieces that touch."""
    monkeypatch.setattr(module, "TOYS_A_TASK", 64)
    assert tasks_of([3], 10, 200) == [(3, 10, 74), (3, 74, 138), (3, 138, 200)]


def test_files_of_the_same_ranges(made, tmp_path):
    """Fails if a file replaces one of other toys whose least and greatest numbers are the same."""
    c, config = made
    record = open_record(tmp_path / "toys", config, resume=False)
    for tasks in ([(0, 0, 50), (1, 50, 100)], [(0, 50, 100), (1, 0, 50)]):
        list(record.write(throw_tasks(c, tasks, Here(1))))
    assert [len(s.value) for s in record.by_point(2)] == [100, 100]


def test_what_a_killed_process_leaves_is_ignored(made, whole, tmp_path):
    """Fails if a half-written file is read, or in the way."""
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / ".manifest.json.999999.tmp").write_text("{")
    (folder / ".toys-0000000-0000003-0000000000-0000001000.npz.999999.tmp").write_bytes(b"PK")
    assert content(write(folder, made, 0, 1000)) == whole


def test_restored(made, tmp_path):
    """Fails if a construction made again from its folder does not give the same region."""
    c, _ = made
    record = write(tmp_path / "toys", made, 0, 300)
    again = restore(load_record(record.folder))
    a, b = (region(x, record.by_point(POINTS), 0.9).as_json() for x in (c, again))
    assert json.dumps(a) == json.dumps(b)


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no toys"),
    "other arrays": lambda path: np.savez(path, x=np.arange(3)),
    "pickle": lambda path: np.savez(path, tasks=np.array([{}], object)),
    "values missing": lambda path: np.savez(
        path, tasks=np.array([[0, 0, 9]]), failed=np.array([0]), values=np.zeros(3)
    ),
    "tasks of two columns": lambda path: np.savez(
        path, tasks=np.array([[0, 9]]), failed=np.array([0]), values=np.zeros(9)
    ),
    "fewer failed": lambda path: np.savez(
        path, tasks=np.array([[0, 0, 3]]), failed=np.zeros(0), values=np.zeros(3)
    ),
    "one bit": lambda path: path.write_bytes(
        path.read_bytes()[:900] + bytes([path.read_bytes()[900] ^ 1]) + path.read_bytes()[901:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files(damage, made, tmp_path):
    """Fails if a damaged file is read as if it were whole, or without saying which it is."""
    record = write(tmp_path / "toys", made, 0, 100)
    (path,) = record.files()
    DAMAGE[damage](path)
    with pytest.raises(OutputError, match="toys-0000000") as error:
        list(record.by_point(POINTS))
    assert "\n" not in str(error.value)
    with pytest.raises(OutputError):
        record.done()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hash": "", "configuration": {}}', "null"])
def test_damaged_manifests(text, made, tmp_path):
    """Fails if a manifest that was changed is taken."""
    record = write(tmp_path / "toys", made, 0, 10)
    (record.folder / "manifest.json").write_text(text)
    for call in (lambda: load_record(record.folder), lambda: write(record.folder, made, 0, 10)):
        with pytest.raises(OutputError, match=r"manifest\.json"):
            call()


def test_what_may_not_be_joined(made, tmp_path):
    """Fails if toys of two configurations, differing, or overlapping, are merged in part."""
    c, config = made
    a = write(tmp_path / "a", made, 0, 100).folder
    other = open_record(tmp_path / "other", config | {"seed": 7}, resume=False)
    with pytest.raises(OutputError, match="another seed: 7, not 6"):
        merge([a, other.folder], tmp_path / "x")
    overlap = write(tmp_path / "overlap", made, 50, 150).folder
    with pytest.raises(OutputError, match="toys 50 to 100 of point 0 overlap"):
        merge([a, overlap], tmp_path / "x")
    false = open_record(tmp_path / "false", config, resume=False)
    tasks = tasks_of(range(POINTS), 0, 100)
    list(false.write((t, s._replace(value=s.value + 1)) for t, s in throw_tasks(c, tasks, Here(1))))
    with pytest.raises(OutputError, match="differ"):
        merge([a, false.folder], tmp_path / "x")
    with pytest.raises(OutputError, match="nothing to merge"):
        merge([], tmp_path / "x")
    with pytest.raises(OutputError, match="holds no run"):
        merge([tmp_path / "none"], tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_folders_in_the_way(made, tmp_path):
    """Fails if a folder of something else, or of this run without `resume`, is written to."""
    _, config = made
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("text")
    with pytest.raises(OutputError, match="not empty"):
        open_record(tmp_path / "mine", config, resume=True)
    write(tmp_path / "toys", made, 0, 10)
    with pytest.raises(OutputError, match="--resume"):
        open_record(tmp_path / "toys", config, resume=False)
    with pytest.raises(OutputError, match="another"):
        open_record(tmp_path / "toys", config | {"ensemble": {}}, resume=True)
    with pytest.raises(OutputError, match="cannot be made"):
        open_record(tmp_path / "no" / "such", config, resume=False)


def test_ntuple(made, tmp_path):
    """Fails if the ROOT ntuple's q are not the record's, or its fits not those of q."""
    import uproot

    c, _ = made
    record = write(tmp_path / "toys", made, 0, 200)
    write_ntuple(c, record, tmp_path / "toys.root")
    with uproot.open(tmp_path / "toys.root") as file:
        found = file["toys"].arrays(library="np")
    assert set(found) == {
        "point", "toy", "q", "status", "chi2", "fit_strength", "fit_signal",
        "fit_background_ess-ar",
    }  # fmt: skip
    for point, s in enumerate(record.by_point(POINTS)):
        rows = found["point"] == point
        np.testing.assert_array_equal(found["toy"][rows], np.arange(200))
        np.testing.assert_allclose(np.maximum(found["q"][rows], 0), s.value**2, atol=1e-12)
        below = found["fit_strength"][rows] < c.points[point, 0]
        np.testing.assert_array_equal(below, np.signbit(s.value))
    assert np.all(found["status"] == 0)
