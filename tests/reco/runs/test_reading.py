"""What an ntuple stands for: parts of runs that are there, twice there, or missing."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import uproot
from nuspill import ExperimentError, export_events, import_events, load, plan, read, write
from nuspill.reco.comparison.compare import compare
from nuspill.reco.comparison.side import both, side_of
from nuspill.reco.comparison.summary import histograms, summary
from nuspill.reco.runs.parts import write_parts
from nuspill.reco.runs.reading import reading


@pytest.fixture
def parts(short_run, tmp_path):
    """A folder of a run in four parts."""
    write_parts(short_run(), tmp_path / "parts", 4)
    return tmp_path / "parts"


def rows(ntuple):
    """Number of rows, all of which are checked."""
    return sum(len(block["event"]) for block in ntuple.blocks(["event"], step=100))


def refused(path, *texts):
    """An ntuple that is refused by all that read it, in one line with these texts."""
    output = path.parent / "refused.out"
    for use in (
        read,
        histograms,
        side_of,
        lambda p: export_events(p, "compass", output, selected_only=True),
    ):
        with pytest.raises(ExperimentError) as error:
            use(path)
        for text in texts:
            assert text in str(error.value)
        assert "\n" not in str(error.value)


def test_whole(short_run, parts, join, tmp_path):
    """Fails if a file, its parts, or the parts joined do not stand for all of the run."""
    run = short_run()
    write(run, tmp_path / "one.root")
    files = sorted(parts.glob("part-*.root"))
    join(tmp_path / "joined.root", files)
    shutil.copytree(parts, tmp_path / "bare")
    (tmp_path / "bare" / "manifest.json").unlink()
    for path in (tmp_path / "one.root", parts, tmp_path / "joined.root", tmp_path / "bare"):
        ntuple = reading(path)
        assert (ntuple.pulses, ntuple.missing, ntuple.part) == (run.pulses, (), 1.0)
        assert ntuple.protons == pytest.approx(run.protons, rel=1e-12)
        assert ntuple.years == pytest.approx(run.years, rel=1e-12)
        assert rows(ntuple) == run.events
        events, about = read(path)
        np.testing.assert_array_equal(events["e_reco"], run.make(0, run.events)["e_reco"])
        assert about["pulses"] == run.pulses
        assert about["events"] == run.events


def test_parts_tell_their_pulses(short_run, parts, told):
    """Fails if the pulses of parts are not those of their events, or not all of the run's."""
    run = short_run()
    stop = 0
    for file in sorted(parts.glob("part-*.root")):
        about, (events, _) = told(file), read(file)
        first, end = about["covered_pulses"]
        assert first == stop
        assert first <= events["pulse"].min() <= events["pulse"].max() < end
        stop = end
    assert stop == run.pulses


@pytest.mark.parametrize("lost", [[1], [0], [3], [1, 2], [0, 1, 2]])
def test_lost_parts(lost, short_run, parts, told):
    """Fails if a folder without some parts passes for the whole run anywhere."""
    run = short_run()
    gone = 0
    for number in lost:
        file = parts / f"part-0000{number}.root"
        first, stop = told(file)["covered_pulses"]
        gone += stop - first
        file.unlink()
    ntuple, share = reading(parts), 1 - gone / run.pulses
    assert 0.2 < share < 0.8
    assert ntuple.pulses == run.pulses - gone
    assert ntuple.protons == pytest.approx(share * run.protons, rel=1e-12)
    (text,) = ntuple.missing
    assert "seed 3" in text
    for number in lost:
        assert f"part-0000{number}.root" in text
    _, about = read(parts)
    assert about["years_of_operation"] == pytest.approx(share * run.years, rel=1e-12)
    assert about["live_time_s"]["beam"] == pytest.approx(ntuple.pulses / 14, rel=1e-9)
    assert about["missing"] == [text]
    side = side_of(parts)
    assert (side.pulses, side.missing) == (ntuple.pulses, (text,))
    numbers = summary(histograms(parts))
    assert numbers.missing == (text,)
    assert numbers.protons_on_target == pytest.approx(share * run.protons)
    whole = {row.component: row.selected[1] * run.years for row in run.expected}
    for row in numbers.counts:
        assert row.expected_on == pytest.approx(share * whole[row.component])


def test_export_of_what_is_there(short_run, parts, told, tmp_path):
    """Fails if an export claims pulses that are not there, or refuses those that are."""
    pytest.importorskip("tables")
    last = told(parts / "part-00003.root")["covered_pulses"]
    middle = told(parts / "part-00001.root")["covered_pulses"]
    (parts / "part-00001.root").unlink()
    for pulses in (None, (0, short_run().pulses), tuple(middle), (middle[0] - 5, middle[0] + 5)):
        with pytest.raises(ExperimentError, match=r"not there: .*part-00001\.root; --pulses") as e:
            export_events(parts, "next", tmp_path / "a.h5", pulses=pulses)
        hint = str(e.value).rpartition("--pulses ")[2].split()[0]
        assert hint == f"{middle[1]}:{last[1]}"
    assert not (tmp_path / "a.h5").exists()
    number = export_events(parts, "next", tmp_path / "a.h5", pulses=(middle[1], last[1]))
    events, about = read(parts)
    inside = events["selected"] & (events["pulse"] >= middle[1])
    assert number == np.count_nonzero(inside) > 100
    back = import_events(tmp_path / "a.h5", tmp_path / "b.root")
    assert back["pulses"] - back["first_pulse"] == last[1] - middle[1]
    run = short_run()
    share = (last[1] - middle[1]) / run.pulses
    assert back["protons_on_target"] == pytest.approx(share * run.protons)
    assert about["pulses"] != last[1] - middle[1]


@pytest.mark.parametrize("selected_only", [False, True])
def test_events_of_a_range(selected_only, short_run, tmp_path):
    """Fails if part i of N, written by event numbers, passes for the whole, or parts do not add."""
    run = short_run()
    marks = [0, 1, run.events // 3, run.events // 3, run.events - 1, run.events]
    (tmp_path / "all").mkdir()
    pulses = 0
    for number, (start, stop) in enumerate(pairwise(marks)):
        path = tmp_path / "all" / f"{number}.root"
        write(run, path, events=range(start, stop), selected_only=selected_only)
        ntuple = reading(path)
        assert bool(ntuple.missing) == (ntuple.pulses < run.pulses)
        pulses += ntuple.pulses
    assert pulses == run.pulses
    assert reading(tmp_path / "all").missing == ()
    (tmp_path / "all" / "2.root").unlink()  # of no event
    assert reading(tmp_path / "all").missing == ()
    (tmp_path / "all" / "1.root").unlink()
    share = reading(tmp_path / "all").part
    assert share == pytest.approx(2 / 3, abs=5 * np.sqrt(2 / 9 / run.events))
    write(run, tmp_path / "all" / "6.root", events=range(2, run.events // 3 + 5))
    refused(tmp_path / "all", "events", "holds them too", "6.root")


def test_no_gap_by_wrong_range(short_run, tmp_path):
    """Fails if events that are not in the run, or not consecutive, are written."""
    run = short_run()
    for events in (range(0, 10, 2), range(-1, 5), range(5, run.events + 1)):
        with pytest.raises(ExperimentError, match="consecutive"):
            write(run, tmp_path / "a.root", events=events)


def test_joined_twice(short_run, parts, join, tmp_path):
    """Fails if a file that holds a run, or one part of it, twice is read."""
    one = tmp_path / "one.root"
    write(short_run(), one)
    join(tmp_path / "twice.root", [one, one])
    refused(tmp_path / "twice.root", "twice.root", "seed 3", "twice")
    files = sorted(parts.glob("part-*.root"))
    join(tmp_path / "part.root", [*files, files[2]])
    refused(tmp_path / "part.root", "part.root", "seed 3", "twice")
    shutil.copy(files[0], parts / "part-00004.root")
    refused(parts, "part-00004.root", "part-00000.root", "seed 3")


def test_joined_without_provenance(short_run, parts, join, tmp_path):
    """Fails if rows are added, cut away or doubled beside a provenance that stays as it was."""
    one, other = tmp_path / "one.root", tmp_path / "other.root"
    write(short_run(), one)
    write(short_run(seed=4), other)
    for files in ([one, one], [one, other]):
        join(tmp_path / "a.root", files, keep=lambda texts: texts[:1])
        refused(tmp_path / "a.root", "a.root: has", "its provenance tells of")
    with uproot.open(one) as root:
        arrays, text = root["events"].arrays(library="np"), str(root["provenance"])
    n = len(arrays["event"])
    orders = {
        "skimmed": arrays["selected"],
        "the first quarter": np.arange(n // 4),
        "a row twice": np.r_[0, np.arange(n - 1)],
        "the last row twice": np.r_[np.arange(1, n), n - 1],
        "the first half twice": np.r_[np.arange(n // 2), np.arange(n - n // 2)],
        "out of order": np.arange(n)[::-1],
    }
    for order in orders.values():
        with uproot.recreate(tmp_path / "b.root") as root:
            changed = {column: values[order] for column, values in arrays.items()}
            root.mktree("events", {c: v.dtype for c, v in changed.items()}).extend(changed)
            root["provenance"] = text
        with pytest.raises(ExperimentError, match=r"b\.root: (has|its rows)"):
            rows(reading(tmp_path / "b.root"))
        refused(tmp_path / "b.root", "b.root")


def test_two_seeds(short_run, join, tmp_path):
    """Fails if runs of two seeds are not added with their exposures, in a folder and joined."""
    pytest.importorskip("tables")
    (tmp_path / "both").mkdir()
    runs = [short_run(seed=4), short_run(seed=5, years=0.005)]
    files = [tmp_path / "both" / f"{run.seed}.root" for run in runs]
    for run, file in zip(runs, files, strict=True):
        write(run, file)
    join(tmp_path / "joined.root", files)
    join(tmp_path / "turned.root", files[::-1])
    alone = [side_of(file) for file in files]
    for path in (tmp_path / "both", tmp_path / "joined.root", tmp_path / "turned.root"):
        ntuple = reading(path)
        assert ntuple.missing == ()
        assert ntuple.protons == pytest.approx(sum(run.protons for run in runs), rel=1e-12)
        assert ntuple.pulses == sum(run.pulses for run in runs)
        side, (events, about) = side_of(path), read(path)
        assert len(events["event"]) == about["events"] == sum(run.events for run in runs)
        assert len(side.e_reco) == sum(len(each.e_reco) for each in alone)
        assert side.live_days == pytest.approx(sum(each.live_days for each in alone))
        assert 0 <= side.pulse.min() < side.pulse.max() < side.pulses
        steady = compare(side, side).panel("live_time").steady
        assert all(each.chi2.p_value > 1e-4 for each in steady)
        numbers = summary(histograms(path))
        assert numbers.part_of_run == 1
        expected = sum(row.selected[1] for row in runs[0].expected) * 0.015
        assert sum(row.expected_on for row in numbers.counts) == pytest.approx(expected, rel=1e-4)
        with pytest.raises(ExperimentError, match=r"2 runs \(seed \d, seed \d\)"):
            export_events(path, "next", tmp_path / "a.h5")


def test_parts_of_two_seeds(short_run, parts, tmp_path):
    """Fails if a part of another seed among the parts does not add what it is of, and no more."""
    write_parts(short_run(seed=7), tmp_path / "other", 4)
    shutil.copy(tmp_path / "other" / "part-00002.root", parts / "part-00004.root")
    ntuple, run = reading(parts), short_run()
    assert [each.name for each in ntuple.runs] == ["seed 3", "seed 7"]
    assert ntuple.pulses == run.pulses + reading(tmp_path / "other" / "part-00002.root").pulses
    (text,) = ntuple.missing
    assert "of seed 7" in text
    (parts / "part-00002.root").unlink()
    shutil.copy(tmp_path / "other" / "part-00002.root", parts / "part-00002.root")
    (parts / "part-00004.root").unlink()
    assert len(reading(parts).missing) == 2


def test_same_seed_of_another_length(short_run, tmp_path):
    """Fails if a run and a longer one of its seed, whose first events are the same, are added."""
    for years in (0.01, 0.005):
        write(short_run(years=years), tmp_path / f"{years}.root")
    refused(tmp_path, "0.01.root", "seed 3", "twice")


@pytest.mark.parametrize(
    "settings",
    [{"target.mass": 10.0}, {"interaction.sin2w": 0.25}, {"background.steady.rate": 1.0},
     {"windows.on_start": 100.0}, {"detector.dead_time": 0.1}],
)  # fmt: skip
def test_another_experiment(settings, short_run, tmp_path):
    """Fails if files of two experiments, also with other couplings, are one sample."""
    write(short_run(), tmp_path / "a.root")
    write(short_run(seed=4, **settings), tmp_path / "b.root")
    refused(tmp_path, "b.root: is of another experiment", next(iter(settings)))


def test_file_of_an_earlier_version(short_run, parts, join, tmp_path):
    """Fails if parts without their pulses are not whole together, or pass for whole alone."""

    def without(texts):
        abouts = [json.loads(text) for text in texts]
        for about in abouts:
            del about["covered_pulses"]
        return map(json.dumps, abouts)

    files = sorted(parts.glob("part-*.root"))
    join(tmp_path / "all.root", files, without)
    assert reading(tmp_path / "all.root").pulses == short_run().pulses
    assert rows(reading(tmp_path / "all.root")) == short_run().events
    join(tmp_path / "some.root", files[1:], without)
    refused(tmp_path / "some.root", "some.root", "missing", "earlier nuspill")


def test_imported(short_run, join, tmp_path):
    """Fails if stretches that were imported do not add, or one counts twice."""
    pytest.importorskip("tables")
    run = short_run()
    write(run, tmp_path / "a.root")
    half = run.pulses // 2
    (tmp_path / "both").mkdir()
    for name, pulses in (("0", (0, half)), ("1", (half, run.pulses)), ("2", (half - 9, half))):
        export_events(tmp_path / "a.root", "next", tmp_path / f"{name}.h5", pulses=pulses)
        import_events(tmp_path / f"{name}.h5", tmp_path / f"{name}.root")
    for name in "01":
        shutil.copy(tmp_path / f"{name}.root", tmp_path / "both")
    ntuple = reading(tmp_path / "both")
    assert ntuple.missing == ()
    assert ntuple.pulses == run.pulses
    assert ntuple.protons == pytest.approx(run.protons, rel=1e-9)
    shutil.copy(tmp_path / "2.root", tmp_path / "both")
    with pytest.raises(ExperimentError, match=r"holds pulses .* of seed 3"):
        reading(tmp_path / "both")


def test_no_events_in_parts(tmp_path):
    """Fails if a run without events in several parts is not whole."""
    run = plan(load("ess-ar", {"exposure.slice_pulses": 10}), 1, years=1e-7)
    assert run.events == 0
    write_parts(run, tmp_path / "parts", 2)
    assert reading(tmp_path / "parts").pulses == run.pulses == 25
    (tmp_path / "parts" / "part-00001.root").unlink()
    assert reading(tmp_path / "parts").missing


def test_compare_of_a_part(short_run, parts, tmp_path):
    """Fails if a part that is compared with its whole is taken for as long a run."""
    write(short_run(seed=8), tmp_path / "other.root")
    (parts / "part-00000.root").unlink()
    found = compare(*both(parts, tmp_path / "other.root"))
    assert found.scale == pytest.approx(1 / reading(parts).part)
    assert abs(found.difference.on) < 4
    assert found.as_json()["counts"][0]["missing"]
