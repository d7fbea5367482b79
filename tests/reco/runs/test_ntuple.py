"""ROOT files: what is in them is what was made, whatever happens while they are written."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pytest
import uproot
from nuspill import ExperimentError, OutputError, load, plan, read, write, write_parts
from nuspill.reco.cluster.workers import Here
from nuspill.reco.experiment import validate
from nuspill.reco.runs.folder import LOG, MANIFEST, open_log, pieces, read_log
from nuspill.reco.runs.layout import Options, manifest_of

ESS = "ess-csi"
COMMAND = [sys.executable, "-c", "from nuspill.scripts.cli import main; main()"]
FORMATS = ("ttree", "rntuple")


def same(a, b):
    """Columns, types and every bit of their values are equal."""
    assert list(a) == list(b)
    for name, values in a.items():
        assert values.dtype == b[name].dtype, name
        assert values.tobytes() == b[name].tobytes(), name


def files(folder):
    """Names of all that is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def is_complete(folder):
    """Whether the last that the log tells is that the run is complete."""
    return list(read_log(folder))[-1]["what"] == "complete"


def run_hash(run):
    """Of all that decides the numbers of a run."""
    return manifest_of(run, Options(1)).digest


@pytest.fixture(scope="module")
def run():
    """A run of 9e4 events with places."""
    return plan(load(ESS), 21, years=0.5, place=True)


@pytest.fixture(scope="module")
def events(run):
    """Its events."""
    assert run.events > 80_000
    return run.make(0, run.events)


@pytest.mark.parametrize("format_", FORMATS)
def test_written_and_read(format_, run, events, tmp_path):
    """Fails if a value or type in the file is not that in memory, or another file is left."""
    path = tmp_path / "events.root"
    told = []
    counts = write(run, path, format=format_, workers=Here(progress=told.append))
    found, about = read(path)
    same(found, events)
    assert files(tmp_path) == ["events.root"]
    assert sum(told) == run.events
    assert about["generated"] == counts.table()
    with uproot.open(path) as file:
        kind = file.classname_of("events")
        assert kind == {"ttree": "TTree", "rntuple": "ROOT::RNTuple"}[format_]
        assert file["events"].num_entries == run.events


@pytest.mark.parametrize("format_", FORMATS)
def test_many_blocks(format_, tmp_path, monkeypatch):
    """Fails if blocks written one after the other, in reused arrays, are not the whole run."""
    monkeypatch.setattr("nuspill.reco.runs.ntuple.BLOCK_EVENTS", 7000)
    run = plan(load(ESS), 22, years=0.3)
    write(run, tmp_path / "events.root", format=format_)
    same(read(tmp_path / "events.root")[0], run.make(0, run.events))


@pytest.mark.parametrize("format_", FORMATS)
def test_part_of_a_run(format_, run, events, tmp_path):
    """Fails if start, stop or selected_only leave other events than asked for."""
    path = tmp_path / "events.root"
    write(run, path, events=range(1234, 5678), format=format_)
    found, told = read(path)
    same(found, {name: v[1234:5678] for name, v in events.items()})
    assert (told["first_event"], told["events"], told["run_events"]) == (1234, 4444, run.events)
    counts = write(run, path, selected_only=True, format=format_, overwrite=True)
    found, told = read(path)
    same(found, {name: v[events["selected"]] for name, v in events.items()})
    assert told["selected_only"] is True
    # all that was made is counted, not only what was kept
    assert sum(row["total"] for row in counts.table()) == run.events
    assert sum(sum(row["selected"]) for row in counts.table()) == len(found["event"])


@pytest.mark.parametrize("format_", FORMATS)
def test_no_events(format_, tmp_path):
    """Fails if a run without events gives no readable file with all columns."""
    run = plan(load("ess-ar"), 1, years=1 / (5000 * 3600 * 14))
    assert run.events == 0
    counts = write(run, tmp_path / "events.root", format=format_)
    found, told = read(tmp_path / "events.root")
    assert {name: v.dtype for name, v in found.items()} == run.dtypes
    assert all(len(v) == 0 for v in found.values())
    assert counts.table() == told["generated"] == []


def test_some_columns(run, events, tmp_path):
    """Fails if only the columns asked for are not read."""
    write(run, tmp_path / "events.root")
    found, _ = read(tmp_path / "events.root", ["e_reco", "selected"])
    same(found, {name: events[name] for name in ("e_reco", "selected")})


def test_counts(run, events, tmp_path):
    """Fails if the table of counts is not what is in the file."""
    table = write(run, tmp_path / "events.root").table()
    assert [row["component"] for row in table] == [1, 2, 3, 10]
    for row in table:
        mine = events["component"] == row["component"]
        kept = mine & events["selected"]
        assert row["total"] == mine.sum()
        assert row["in_window"] == np.bincount(events["window"][mine], minlength=3).tolist()
        assert row["selected"] == np.bincount(events["window"][kept], minlength=3).tolist()


def test_provenance(tmp_path):
    """Fails if a file does not say how to make it again, and what its numbers mean."""
    settings = {"source.distance": 15.0, "windows.off_ratio": 2.0}
    run = plan(load(ESS, settings), 2**64 - 1, years=0.02)
    write(run, tmp_path / "events.root")
    with uproot.open(tmp_path / "events.root") as file:
        told = json.loads(str(file["provenance"]))
    assert told["program"] == "nuspill"
    for name in ("nuspill", "numpy", "numba", "uproot", "awkward"):
        assert told["versions"][name] == version(name)
    assert told["seed"] == 2**64 - 1
    again = plan(validate(told["experiment"], "file"), told["seed"],
                 years=told["years_of_operation"])  # fmt: skip
    assert again.experiment == run.experiment
    same(again.make(0, again.events), read(tmp_path / "events.root")[0])

    pulses = round(0.02 * 5000 * 3600 * 14)
    assert told["pulses"] == pulses
    assert told["protons_on_target"] == pytest.approx(0.02 * 2.8e23)
    live = told["live_time_s"]
    assert live["beam"] == pytest.approx(pulses / 14)
    assert live["on"] == pytest.approx(pulses * 2.81e-3)
    assert live["off"] == pytest.approx(pulses * 5.62e-3)
    assert told["fixed_signal_events"] is None
    assert told["components"] == {"1": "numu", "2": "nue", "3": "numubar", "10": "steady"}
    assert set(told["flux_averaged_cross_section_cm2"]) == {"Cs133", "I127"}
    assert all(1e-39 < s < 1e-37 for s in told["flux_averaged_cross_section_cm2"].values())
    for made, expected in zip(told["generated"], told["expected"], strict=True):
        assert made["component"] == expected["component"]
        assert abs(made["total"] - expected["total"]) < 5 * expected["total"] ** 0.5
        assert sum(expected["in_window"]) == pytest.approx(expected["total"])
    columns = told["columns"]
    assert list(columns) == list(run.dtypes)
    assert columns["e_nu"]["unit"] == "MeV"
    assert columns["time"]["unit"] == "ns"
    assert columns["e_reco"]["unit"] == "keV_ee"
    assert all(column["meaning"] for column in columns.values())


def test_short_run_is_told_as_it_is(tmp_path):
    """Fails if a run of a few pulses states other protons and expectations than it has."""
    run = plan(load(ESS, {"source.protons_per_year": 2.8e30}), 5, years=1.009 / (5000 * 3600 * 14))
    write(run, tmp_path / "events.root")
    told = read(tmp_path / "events.root")[1]
    a_year = 5000 * 3600 * 14
    assert told["pulses"] == 1
    assert told["protons_on_target"] == pytest.approx(2.8e30 * told["pulses"] / a_year)
    made, expected = (sum(row["total"] for row in told[k] if row["component"] < 10)
                      for k in ("generated", "expected"))  # fmt: skip
    assert abs(made - expected) < 5 * expected**0.5


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("compression", ["none", "zstd", "zstd:9", "lz4", "zlib:6", "lzma"])
def test_compression(compression, format_, tmp_path):
    """Fails if a compression changes values, or is not the one in the file."""
    run = plan(load(ESS), 23, years=0.05)
    path = tmp_path / "events.root"
    write(run, path, compression=compression, format=format_)
    same(read(path)[0], run.make(0, run.events))
    name, _, level = compression.partition(":")
    with uproot.open(path) as file:
        used = file.file.compression
    if name == "none":
        assert used is None or used.level == 0
    else:
        assert type(used).__name__ == name.upper()
        assert used.level == int(level or 1)


def test_compression_makes_it_smaller(tmp_path):
    """Fails if compression is set but does nothing."""
    run = plan(load(ESS), 23, years=0.2)
    size = {}
    for name in ("none", "zstd"):
        write(run, tmp_path / f"{name}.root", compression=name)
        size[name] = (tmp_path / f"{name}.root").stat().st_size
    assert size["zstd"] < 0.75 * size["none"]


@pytest.mark.parametrize("text", ["gzip", "zstd:x", "zstd:99", "zlib:22", "lzma:22", "lz4:²", ""])
def test_unknown_compression(text, tmp_path):
    """Fails if a compression or level that is none is no ValueError that names it."""
    run = plan(load(ESS), 23, years=0.001)
    with pytest.raises(ValueError, match=f"compression '{text}'"):
        write(run, tmp_path / "events.root", compression=text)
    assert files(tmp_path) == []


def test_unknown_format(run, tmp_path):
    """Fails if a format that is none is taken for one of the two."""
    with pytest.raises(ValueError, match="'tree'"):
        write(run, tmp_path / "events.root", events=range(10), format="tree")
    assert files(tmp_path) == []


def test_file_that_exists(run, tmp_path):
    """Fails if a file is replaced unasked, or not when asked."""
    path = tmp_path / "events.root"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"events.root: exists"):
        write(run, path, events=range(10))
    assert path.read_text() == "mine"
    write(run, path, events=range(10), overwrite=True)
    assert len(read(path)[0]["event"]) == 10
    assert files(tmp_path) == ["events.root"]


def test_no_place_to_write(run, tmp_path):
    """Fails if a missing folder, or a folder in the file's place, is no OutputError."""
    with pytest.raises(OutputError, match=r"no/events.root: there is no folder"):
        write(run, tmp_path / "no" / "events.root", events=range(10))
    (tmp_path / "folder.root").mkdir()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"folder.root"):
            write(run, tmp_path / "folder.root", events=range(10), overwrite=overwrite)
    assert files(tmp_path) == ["folder.root"]


def test_full_disk(mounted):
    """Fails if a full disk is no OutputError with its reason, or leaves anything there."""
    disk = mounted("size=1m")
    run = plan(load(ESS), 1, years=1.0)
    for format_ in FORMATS:
        with pytest.raises(OutputError, match=r"events.root: .*No space left"):
            write(run, disk / "events.root", format=format_, compression="none")
        assert files(disk) == []
    with pytest.raises(OutputError, match="No space left"):
        write_parts(run, disk / "parts", 4, compression="none")
    assert not [name for name in files(disk / "parts") if name not in (MANIFEST, LOG)]


def test_read_only_folder(mounted):
    """Fails if a folder that cannot be written to is no OutputError with its reason."""
    disk = mounted("ro")
    run = plan(load(ESS), 1, years=0.01)
    with pytest.raises(OutputError, match=r"events.root: .*Read-only"):
        write(run, disk / "events.root")
    with pytest.raises(OutputError, match=r"parts: .*Read-only"):
        write_parts(run, disk / "parts", 2)


def test_error_in_between_leaves_nothing(run, tmp_path):
    """Fails if an error of the caller's own leaves a file, finished or not."""

    def stop(number):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write(run, tmp_path / "events.root", workers=Here(progress=stop))
    assert files(tmp_path) == []


def test_left_over_files(run, tmp_path):
    """Fails if what a killed process left is kept, or what a living one writes is taken away."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getppid()):
        (tmp_path / f".events.root.{pid}.tmp").touch()
    (tmp_path / f".other.root.{dead.pid}.tmp").touch()
    write(run, tmp_path / "events.root", events=range(10))
    left = [f".events.root.{os.getppid()}.tmp", f".other.root.{dead.pid}.tmp", "events.root"]
    assert files(tmp_path) == sorted(left)


@pytest.mark.parametrize("format_", FORMATS)
def test_parts_are_the_single_file(format_, run, events, tmp_path):
    """Fails if the parts one after the other are not the run, or manifest and counts differ."""
    folder = tmp_path / "parts"
    counts = write_parts(run, folder, 2, format=format_)
    same(read(folder)[0], events)
    assert files(folder) == [LOG, MANIFEST, "part-00000.root", "part-00001.root"]
    manifest = json.loads((folder / MANIFEST).read_text())
    assert is_complete(folder)
    assert manifest["configuration"]["seed"] == 21
    assert manifest["request"]["events"] == run.events
    first = 0
    for name in ("part-00000.root", "part-00001.root"):
        part = pieces(folder)[name]
        assert part.first == first
        first += part.size
        assert part.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert len(read(folder / name)[0]["event"]) == part.size
    assert first == run.events
    assert counts.table() == write(run, tmp_path / "one.root").table()


def test_more_parts_than_slices(tmp_path):
    """Fails if parts that get no slice are missing or unreadable."""
    run = plan(load(ESS), 3, years=0.01)
    assert run.slices < 4
    for format_ in FORMATS:
        write_parts(run, tmp_path / format_, run.slices + 2, format=format_)
        same(read(tmp_path / format_)[0], run.make(0, run.events))
        assert len(files(tmp_path / format_)) == run.slices + 4


SLICED = {"exposure.slice_pulses": 2_000_000}


@pytest.fixture(scope="module")
def five_parts(tmp_path_factory):
    """A run in five parts, complete."""
    folder = tmp_path_factory.mktemp("five") / "parts"
    run = plan(load(ESS, SLICED), 4, years=0.3)
    write_parts(run, folder, 5)
    return run, folder


@pytest.fixture
def parted(five_parts, tmp_path):
    """A copy of it, to be spoilt."""
    run, folder = five_parts
    return run, shutil.copytree(folder, tmp_path / "parts")


def test_missing_and_corrupt_parts_are_made_again(parted):
    """Fails if a run is not resumed from the parts that are whole, or others are not remade."""
    run, folder = parted
    kept = (folder / "part-00000.root").stat().st_mtime_ns
    (folder / "part-00003.root").unlink()
    for name, offset in (("part-00001.root", 2000), ("part-00004.root", -50)):
        content = bytearray((folder / name).read_bytes())
        content[offset] ^= 0xFF
        (folder / name).write_bytes(content)
    (folder / "part-00002.root").write_bytes(b"")
    counts = write_parts(run, folder, 5)
    same(read(folder)[0], run.make(0, run.events))
    assert (folder / "part-00000.root").stat().st_mtime_ns == kept
    assert sum(row["total"] for row in counts.table()) == run.events
    assert is_complete(folder)


def test_complete_run_is_not_made_again(parted):
    """Fails if a complete folder is silently rewritten, or not when that is asked for."""
    run, folder = parted
    with pytest.raises(OutputError, match="holds this run, complete"):
        write_parts(run, folder, 5)
    before = (folder / "part-00000.root").stat().st_mtime_ns
    write_parts(run, folder, 5, existing="replace")
    assert (folder / "part-00000.root").stat().st_mtime_ns > before


@pytest.mark.parametrize("difference", ["seed", "years", "settings", "parts", "format", "selected"])
def test_folder_of_another_run(difference, parted):
    """Fails if the parts of two runs can come into one folder."""
    _, folder = parted
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    settings = SLICED | ({"target.mass": 23.0} if difference == "settings" else {})
    other = plan(
        load(ESS, settings),
        5 if difference == "seed" else 4,
        years=0.31 if difference == "years" else 0.3,
    )
    (folder / "part-00002.root").unlink()
    with pytest.raises(OutputError, match=r"holds a run of another .*--overwrite"):
        write_parts(
            other,
            folder,
            6 if difference == "parts" else 5,
            format="rntuple" if difference == "format" else "ttree",
            selected_only=difference == "selected",
        )
    del before["part-00002.root"]
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_fewer_parts_over_more(parted):
    """Fails if parts of the old run are left among those of the new one."""
    run, folder = parted
    write_parts(run, folder, 2, existing="replace")
    assert files(folder) == [LOG, MANIFEST, "part-00000.root", "part-00001.root"]
    same(read(folder)[0], run.make(0, run.events))


def test_folder_with_other_files(tmp_path):
    """Fails if a folder with files of one's own is written to unasked, or parts get mixed."""
    run = plan(load(ESS, SLICED), 4, years=0.05)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputError, match="is not empty"):
        write_parts(run, tmp_path, 2)
    assert files(tmp_path) == ["thesis.txt"]
    write(run, tmp_path / "part-00007.root")  # of a run whose manifest is lost
    write_parts(run, tmp_path, 2, existing="replace")
    assert (tmp_path / "thesis.txt").exists()
    same(read(tmp_path)[0], run.make(0, run.events))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "3", '{"run": 1}', '{"run": "x", "complete": true}', "\udcff"]
)
def test_broken_manifest(text, tmp_path):
    """Fails if a manifest that is none ends in anything but an OutputError."""
    run = plan(load(ESS, SLICED), 4, years=0.05)
    (tmp_path / MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OutputError):
        write_parts(run, tmp_path, 2)


@pytest.mark.parametrize("line", ["[]", "{", "3", '{"what": "piece"}', '{"time": ""}', "\udcff"])
def test_broken_log(line, parted):
    """Fails if a log that is none ends in anything but an OutputError, or is written to."""
    run, folder = parted
    (folder / "part-00002.root").unlink()
    with (folder / LOG).open("ab") as log:
        log.write(line.encode("utf-8", "surrogateescape") + b"\n")
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    with pytest.raises(OutputError, match=r"log\.jsonl"):
        write_parts(run, folder, 5)
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_line_that_was_cut_short(parted):
    """Fails if a torn line, of a disk that was full, stops a run or spoils the next line."""
    run, folder = parted
    (folder / "part-00002.root").unlink()
    whole = (folder / LOG).read_bytes()
    for torn in (b'{"what": "pie', b"\0" * 10_000):
        (folder / LOG).write_bytes(whole + torn)
        assert "part-00002.root" in pieces(folder)
    write_parts(run, folder, 5)
    assert is_complete(folder)
    assert (folder / LOG).read_bytes().startswith(whole + b'{"time"')


def test_two_processes_on_one_run(parted):
    """Fails if a second process works on a folder while the first does."""
    run, folder = parted
    (folder / "part-00002.root").unlink()
    with open_log(folder), pytest.raises(OutputError, match="another process"):
        write_parts(run, folder, 5)
    write_parts(run, folder, 5)


def test_folder_is_a_file(tmp_path):
    """Fails if a file in the folder's place, or no parent, is no OutputError."""
    run = plan(load(ESS), 4, years=0.05)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "no" / "parts"):
        with pytest.raises(OutputError, match=f"{path}: cannot be made"):
            write_parts(run, path, 2)


def test_wrong_number_of_parts(run, tmp_path):
    """Fails if no parts are asked for and something is made."""
    with pytest.raises(ValueError, match="parts must be from 1 to 99999, not 0"):
        write_parts(run, tmp_path / "parts", 0)
    assert files(tmp_path) == []


def test_hash_sees_a_changed_form_factor(tmp_path):
    """Fails if a run is resumed with another form factor in the table of the same name."""
    table = tmp_path / "form.csv"
    found = []
    for radius in (4.0, 5.0):
        q = np.linspace(0, 2, 50)
        np.savetxt(table, np.column_stack([q, np.exp(-((q * radius) ** 2) / 6)]), delimiter=",")
        run = plan(load(ESS, {"interaction.form_factor": str(table)}), 1, years=0.01)
        found.append((run_hash(run), run.make(0, 20)["e_nr"].tobytes()))
    assert found[0][1] != found[1][1]
    assert found[0][0] != found[1][0]


def test_hash_is_the_same_for_the_same_run():
    """Fails if a run cannot be resumed by a process that plans it anew."""
    a, b = (run_hash(plan(load(ESS), 1, years=0.1)) for _ in range(2))
    assert a == b
    assert a != run_hash(plan(load(ESS), 2, years=0.1))


def test_not_an_ntuple(tmp_path):
    """Fails if reading something else is no ExperimentError that names it."""
    (tmp_path / "text.root").write_text("not ROOT")
    with uproot.recreate(tmp_path / "other.root") as file:
        file["numbers"] = "1 2 3"
    (tmp_path / "empty").mkdir()
    for name in ("text.root", "other.root", "none.root", "empty"):
        with pytest.raises(ExperimentError, match=name):
            read(tmp_path / name)


# what follows kills and interrupts processes of its own

LONG = ["--years", "4", "--seed", "8", "--threads", "1"]


def started(*arguments):
    """Start `nuspill generate ess-csi` with a long run."""
    return subprocess.Popen(
        [*COMMAND, "generate", ESS, *LONG, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process):
    """Wait until a condition holds while a process runs; says whether it was in time."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if condition():
            return process.poll() is None
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    raise TimeoutError


@pytest.mark.slow
def test_killed_run_goes_on(tmp_path):
    """Fails if a run killed at several moments does not become the run made at once.

    It is killed while the first part is written, after two, and after four.
    """
    folder = tmp_path / "parts"
    arguments = ("-o", folder, "--parts", 6, "--set", "exposure.slice_pulses=4000000")
    in_time = []
    for parts in (0, 2, 4):
        process = started(*arguments)
        in_time.append(
            wait_for(
                lambda n=parts: (
                    len(list(folder.glob("part-*.root"))) >= n and any(folder.glob(".part-*.tmp"))
                ),
                process,
            )
        )
        process.kill()
        process.communicate()
        for part in folder.glob("part-*.root"):  # what looks finished is
            assert len(read(part)[0]["event"]) == read(part)[1]["events"]
        assert not is_complete(folder)
    assert in_time == [True] * 3
    process = started(*arguments)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    run = plan(load(ESS, {"exposure.slice_pulses": 4_000_000}), 8, years=4)
    found, told = read(folder)
    same(found, run.make(0, run.events))
    assert told["first_event"] + told["events"] == run.events
    assert files(folder) == [LOG, MANIFEST, *(f"part-{i:05d}.root" for i in range(6))]
    assert is_complete(folder)
    assert sum(part.size for part in pieces(folder).values()) == run.events


def test_killed_before_the_manifest(tmp_path):
    """Fails if a run killed while it wrote its first manifest cannot be resumed."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".{MANIFEST}.{dead.pid}.tmp").write_text("{")
    run = plan(load(ESS, SLICED), 4, years=0.05)
    write_parts(run, tmp_path, 2)
    assert files(tmp_path) == [LOG, MANIFEST, "part-00000.root", "part-00001.root"]


def test_killed_between_part_and_manifest(parted):
    """Fails if a part that the manifest does not know yet is trusted, or stops the run."""
    run, folder = parted
    lines = (folder / LOG).read_text().splitlines(keepends=True)
    assert "part-00004.root" in lines[-2]
    (folder / LOG).write_text("".join(lines[:-2]))
    (folder / "part-00004.root").write_bytes(b"half")
    write_parts(run, folder, 5)
    same(read(folder)[0], run.make(0, run.events))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_interrupted_run(number, tmp_path):
    """Fails if an interrupted run ends in more than one line, not with 2, or leaves a file."""
    process = started("-o", tmp_path / "events.root", "--years", 40)
    assert wait_for(lambda: any(tmp_path.glob(".events.root.*.tmp")), process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.splitlines() == ["nuspill: interrupted; no unfinished file is left"]
    assert output == ""
    assert files(tmp_path) == []


@pytest.mark.slow
def test_interrupted_parts_go_on(tmp_path):
    """Fails if an interrupted run in parts loses finished parts, or leaves an unfinished one."""
    folder = tmp_path / "parts"
    arguments = ("-o", folder, "--parts", 6, "--set", "exposure.slice_pulses=4000000")
    process = started(*arguments)
    assert wait_for(lambda: len(list(folder.glob("part-*.root"))) >= 2, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert not list(folder.glob(".*.tmp"))
    done = {p.name: p.stat().st_mtime_ns for p in folder.glob("part-*.root")}
    kept = pieces(folder)
    assert 2 <= len(done) < 6
    process = started(*arguments)
    process.communicate()
    assert process.returncode == 0
    assert kept
    for name in kept:
        assert (folder / name).stat().st_mtime_ns == done[name]
    run = plan(load(ESS, {"exposure.slice_pulses": 4_000_000}), 8, years=4)
    assert sum(part.size for part in pieces(folder).values()) == run.events
