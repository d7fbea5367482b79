"""Folders of runs by commands: on a cluster, their status, resumed, verified, merged, refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from nuspill import load, plan, read
from nuspill.reco.runs.folder import digest, pieces

EVENTS = ("generate", "ess-csi", "--years", 1, "--seed", 4)
TOYS = ("toys", "ess-ar", "--years", 0.1, "--scan", "strength=0.5:1.5:5", "--toys", 3000)
COVERAGE = ("coverage", "ess-ar", "--years", 0.1, "--at", "strength=1", "--at", "strength=0.6",
            "--toys", 1000)  # fmt: skip


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A scheduler and two workers by a YAML file: the address of a cluster that stays."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, silence_logs=50,
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        path = tmp_path_factory.mktemp("cluster") / "cluster.yaml"
        path.write_text(yaml.safe_dump({"address": cluster.scheduler_address}))
        yield path


@pytest.fixture
def done(nuspill):
    """Run a command that must succeed in silence on standard error; gives what it prints."""

    def call(*arguments):
        status, output, errors = nuspill(*arguments)
        assert (status, errors) == (0, ""), errors
        return output

    return call


@pytest.fixture
def refused(nuspill):
    """Run a command that must fail with one line; gives the line."""

    def call(*arguments):
        status, output, errors = nuspill(*arguments)
        assert status == 2
        assert len(errors.splitlines()) == 1, errors
        assert output == ""
        return errors

    return call


def content(folder):
    """Names and bytes of a folder's toys."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("toys-*.npz"))}


def same(a, b):
    """Columns, types and every bit of their values are equal."""
    assert list(a) == list(b)
    for name, values in a.items():
        assert values.dtype == b[name].dtype, name
        assert values.tobytes() == b[name].tobytes(), name


def change(folder, **changes):
    """Write another configuration into a manifest, with a hash that fits."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["configuration"] |= changes
    manifest["hash"] = digest([manifest["kind"], manifest["configuration"]])
    path.write_text(json.dumps(manifest))


def test_events(scheduler, done, refused, tmp_path):
    """Fails if a cluster gives other events than one process, as parts or as a file."""
    run = plan(load("ess-csi"), 4, years=1)
    events = run.make(0, run.events)
    folder, file = tmp_path / "parts", tmp_path / "events.root"
    done(*EVENTS, "-o", folder, "--parts", 5, "--cluster", scheduler)
    done(*EVENTS, "-o", file, "--cluster", scheduler)
    same(read(folder)[0], events)
    same(read(file)[0], events)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.root", "parts"]
    assert "exists" in refused(*EVENTS, "-o", file, "--cluster", scheduler)
    (folder / "part-00002.root").unlink()
    (folder / "part-00004.root").write_bytes(b"damaged")
    status = json.loads(done("status", folder, "--json", "-"))
    assert status["complete"] is False
    assert [b["file"] for b in status["blocks"] if b["state"] == "missing"] == ["part-00002.root"]
    line = refused("verify", folder)
    assert "part-00002.root (checksum), part-00004.root (checksum)" in line
    log = (folder / "log.jsonl").read_text()
    told = [t for t in log.splitlines(keepends=True) if "part-00004" not in t]
    (folder / "part-00004.root").unlink()
    (folder / "log.jsonl").write_text("".join(t for t in told if "part-00002" not in t))
    assert "2 of 5 parts are missing" in refused("verify", folder, "--share", 0)
    done("resume", folder, "--cluster", scheduler)
    assert json.loads(done("status", folder, "--json", "-"))["complete"] is True
    assert "5 blocks made again" in done("verify", folder, "--share", 1)
    done("merge", folder, "-o", tmp_path / "merged.root")
    same(read(tmp_path / "merged.root")[0], events)
    assert "exists" in refused("merge", folder, "-o", tmp_path / "merged.root")


def test_folder_beside_the_file(done, refused, tmp_path):
    """Fails if files of one's own where the parts of a file go are lost, asked for or not."""
    pytest.importorskip("distributed")
    file, folder = tmp_path / "a.root", tmp_path / "a.root.parts"
    file.write_text("old")
    folder.mkdir()
    (folder / "part-mine.root").write_text("mine")
    command = ("generate", "ess-csi", "--years", 0.02, "-o", file, "--overwrite")
    assert "is not empty" in refused(*command, "--cluster", "local:1")
    assert file.read_text() == "old"
    (folder / "part-mine.root").rename(folder / "notes.txt")
    assert "is not empty" in refused(*command, "--cluster", "local:1")
    (folder / "notes.txt").unlink()
    folder.rmdir()
    (tmp_path / "scratch").mkdir()
    folder.symlink_to("scratch")
    done(*command, "--cluster", "local:1")
    assert len(read(file)[0]["event"]) > 1000
    assert list((tmp_path / "scratch").iterdir()) == []


def test_tables_are_part_of_a_run(done, refused, tmp_path):
    """Fails if toys or coverage of another form factor go into a run because of its file's name."""
    table = tmp_path / "f.csv"
    option = ("--set", f"interaction.form_factor={table}")
    for name, command in {"toys": TOYS, "coverage": COVERAGE}.items():
        table.write_text("0,1\n1,0.5\n2,0.1\n")
        done(*command, *option, "-o", tmp_path / name)
        table.write_text("0,1\n1,0.4\n2,0.1\n")
        line = refused(*command, *option, "-o", tmp_path / name, "--resume")
        assert "experiments[0].interaction.form_factor.f[1]: 0.5, not 0.4" in line
        before = content(tmp_path / name)
        table.unlink()
        done("resume", tmp_path / name)
        done("verify", tmp_path / name, "--share", 1)
        assert content(tmp_path / name) == before != {}


def test_content_that_is_wrong(done, refused, tmp_path):
    """Fails if files whose checksums fit, but not their content, are called right."""
    folder = tmp_path / "parts"
    done(*EVENTS, "-o", folder, "--parts", 3)
    log, other = folder / "log.jsonl", pieces(folder)["part-00002.root"].sha256
    (folder / "part-00001.root").write_bytes((folder / "part-00002.root").read_bytes())
    log.write_text(log.read_text().replace(pieces(folder)["part-00001.root"].sha256, other))
    assert "part-00001.root (content)" in refused("verify", folder, "--share", 1)
    toys = tmp_path / "toys"
    done(*TOYS, "-o", toys)
    (name, piece), *_ = sorted(pieces(toys).items())
    with np.load(toys / name) as arrays:
        changed = dict(arrays)
    changed["values"][-1] = np.nextafter(changed["values"][-1], 9)
    np.savez(toys / name, **changed)
    line = refused("verify", toys, "--share", 0)
    assert f"{name} (checksum)" in line
    from nuspill.reco.runs.folder import checksum

    log = toys / "log.jsonl"
    log.write_text(log.read_text().replace(piece.sha256, checksum(toys / name)))
    assert f"{name} (content)" in refused("verify", toys, "--share", 1)


def test_toys(scheduler, done, refused, tmp_path):
    """Fails if a cluster gives another byte of toys or region than one process."""
    done(*TOYS, "-o", tmp_path / "here", "--threads", 1)
    done(*TOYS, "-o", tmp_path / "there", "--cluster", scheduler)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    region = (tmp_path / "here" / "region.json").read_bytes()
    assert (tmp_path / "there" / "region.json").read_bytes() == region
    name = min(content(tmp_path / "there"))
    (tmp_path / "there" / name).write_bytes(b"damaged")
    (tmp_path / "there" / "region.json").unlink()
    assert json.loads(done("status", tmp_path / "there", "--json", "-"))["complete"] is False
    assert name in refused("verify", tmp_path / "there")
    done("resume", tmp_path / "there", "--cluster", scheduler)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert (tmp_path / "there" / "region.json").read_bytes() == region
    assert "made again, all the same" in done("verify", tmp_path / "there", "--share", 1)
    assert json.loads(done("status", tmp_path / "there", "--json", "-"))["complete"] is True


def test_adaptive_toys(scheduler, done, tmp_path):
    """Fails if toys that are thrown where they are needed depend on the cluster."""
    for name, option in (("here", ()), ("there", ("--cluster", scheduler))):
        done(*TOYS, "-o", tmp_path / name, "--adaptive", 0.1, *option)
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_coverage(scheduler, done, refused, tmp_path):
    """Fails if coverage, or the toys it keeps, depend on the cluster or on an interruption."""
    here = done(*COVERAGE, "--json", "-")
    there = done(*COVERAGE, "-o", tmp_path / "kept", "--cluster", scheduler, "--json", "-")
    assert there == here
    assert (tmp_path / "kept" / "coverage.json").read_text() == here
    (name,) = content(tmp_path / "kept")
    (tmp_path / "kept" / name).unlink()
    assert done("resume", tmp_path / "kept", "--json", "-") == here
    assert "made again, all the same" in done("verify", tmp_path / "kept", "--share", 1)
    again = (*COVERAGE, "-o", tmp_path / "kept")
    assert "--resume" in refused(*again)
    assert "another seed: 1, not 2" in refused(*again, "--resume", "--seed", 2)
    assert "holds coverage, not toys" in refused(*TOYS, "-o", tmp_path / "kept", "--resume")


KINDS = {"events": (*EVENTS, "--parts", 2), "toys": TOYS, "coverage": COVERAGE}


@pytest.mark.parametrize("kind", KINDS)
def test_another_version_or_configuration(kind, done, refused, tmp_path):
    """Fails if a folder of another version or configuration is gone on with, or not told why."""
    folder = tmp_path / "run"
    done(*KINDS[kind], "-o", folder)
    resume = () if kind == "events" else ("--resume",)
    change(folder, version="0.0.7")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for command in (("resume", folder), ("verify", folder), (*KINDS[kind], "-o", folder, *resume)):
        assert 'version: "0.0.7", not "' in refused(*command)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "manifest.json").write_text('{"program": "nuspill"}')
    for command in ("status", "resume", "verify"):
        assert "manifest.json" in refused(command, folder)


@pytest.mark.parametrize("command", ["generate", "toys", "coverage", "resume"])
def test_wrong_clusters(command, done, refused, tmp_path, monkeypatch):
    """Fails if a cluster that cannot be is more than one line, or leaves a folder."""
    monkeypatch.setattr("nuspill.reco.cluster.connect.CONNECT", 0.3)
    (tmp_path / "bad.yaml").write_text("cluster: os.system\noptions: {command: touch x}\n")
    done(*KINDS["events"], "-o", tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    arguments = {"generate": EVENTS, "toys": TOYS, "coverage": COVERAGE, "resume": ("resume",)}
    where = (tmp_path / "run",) if command == "resume" else ("-o", tmp_path / "new")
    for text, message in (
        ("local:0", "local:0"), ("cloud", "'cloud'"), (tmp_path / "none.yaml", "none.yaml"),
        (tmp_path / "bad.yaml", "os.system"), ("tcp://127.0.0.1:9", "cannot be reached"),
    ):  # fmt: skip
        assert message in refused(*arguments[command], *where, "--cluster", text)
    assert sorted(tmp_path.rglob("*")) == before


def test_help_is_light():
    """Fails if `nuspill --help` imports numba or Dask, or status either."""
    code = (
        "import sys; from nuspill.scripts.cli import main; sys.argv = ['nuspill', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([n for n in ('numba', 'dask', 'distributed', 'yaml') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_without_dask(nuspill, monkeypatch, tmp_path):
    """Fails if anything but --cluster needs Dask, or --cluster does not say what it needs."""
    for name in ("dask", "distributed", "yaml"):
        monkeypatch.setitem(sys.modules, name, None)
    assert nuspill(*EVENTS, "-o", tmp_path / "parts", "--parts", 2)[0] == 0
    assert nuspill(*TOYS, "-o", tmp_path / "toys")[0] == 0
    for folder in ("parts", "toys"):
        for command in ("status", "verify"):
            assert nuspill(command, tmp_path / folder)[0] == 0
    (tmp_path / "c.yaml").write_text("address: tcp://127.0.0.1:9")
    for text in ("local:2", tmp_path / "c.yaml"):
        status, _, errors = nuspill(*EVENTS, "-o", tmp_path / "x", "--cluster", text)
        assert (status, len(errors.splitlines())) == (2, 1)
        assert "nuspill[cluster]" in errors
