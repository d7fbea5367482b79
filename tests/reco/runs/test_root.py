"""The official ROOT reads what is written, as TTree and as RNTuple (pip install --pre root)."""

import json
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import uproot
from nuspill import ExperimentError, load, plan, read, write, write_parts
from nuspill.reco.comparison.summary import histograms
from nuspill.reco.runs.layout import part
from nuspill.reco.runs.reading import reading
from nuspill.reco.runs.tree import provenances

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # the wheel says that it is an alpha
    ROOT = pytest.importorskip("ROOT")

pytestmark = pytest.mark.root

FORMATS = ("ttree", "rntuple")
TYPES = {
    "int64": {"Long64_t", "std::int64_t", "long"},
    "float64": {"Double_t", "double"},
    "float32": {"Float_t", "float"},
    "int32": {"Int_t", "std::int32_t", "int"},
    "int16": {"Short_t", "std::int16_t", "short"},
    "int8": {"Char_t", "std::int8_t", "signed char", "char"},
    "bool": {"Bool_t", "bool"},
}


@pytest.fixture(scope="module")
def run():
    """A run of 9e4 events with places and a weight."""
    weights = {"nsi": {"interaction.nsi.u.ee": 0.1}}
    return plan(load("ess-csi"), 41, years=0.5, place=True, weights=weights)


@pytest.fixture(scope="module")
def events(run):
    """Its events."""
    return run.make(0, run.events)


@pytest.fixture(scope="module", params=FORMATS)
def path(request, run, tmp_path_factory):
    """The file."""
    path = tmp_path_factory.mktemp("root") / f"{request.param}.root"
    write(run, path, format=request.param)
    return path


def test_columns(path, run):
    """Fails if RDataFrame sees other columns, or another type."""
    frame = ROOT.RDataFrame("events", str(path))
    assert sorted(map(str, frame.GetColumnNames())) == sorted(run.dtypes)
    for name, kind in run.dtypes.items():
        assert str(frame.GetColumnType(name)) in TYPES[kind.name], name


def test_values(path, run, events):
    """Fails if count, or mean, least or largest of any column is not NumPy's."""
    frame = ROOT.RDataFrame("events", str(path))
    count = frame.Count()
    found = {name: [frame.Mean(name), frame.Min(name), frame.Max(name)] for name in run.dtypes}
    assert count.GetValue() == run.events == len(events["event"])
    for name, (mean, least, most) in found.items():
        values = events[name].astype(float)
        assert mean.GetValue() == pytest.approx(values.mean(), rel=1e-9, abs=1e-9), name
        for value, expected in ((least, values.min()), (most, values.max())):
            value = value.GetValue()
            value = ord(value) if isinstance(value, str) else value  # Char_t in Python
            assert value == expected, name


def test_arrays(path, events):
    """Fails if an array that ROOT hands over differs in any value."""
    names = ["pulse", "time", "nu_pdg", "target", "e_nu", "e_reco", "selected", "weight_nsi"]
    arrays = ROOT.RDataFrame("events", str(path)).AsNumpy(names)
    for name in names:
        np.testing.assert_array_equal(np.asarray(arrays[name]), events[name])


def test_filter_and_histogram(path, events):
    """Fails if cuts on integers and booleans, or a histogram of a cut, are not NumPy's."""
    frame = ROOT.RDataFrame("events", str(path))
    on = frame.Filter("selected && window == 1 && component < 10")
    count, histogram = on.Count(), on.Histo1D(("h", "", 20, 0.0, 5.0), "e_reco")
    cut = events["selected"] & (events["window"] == 1) & (events["component"] < 10)
    assert count.GetValue() == cut.sum() > 100
    n, _ = np.histogram(events["e_reco"][cut].astype(float), 20, (0, 5))
    found = [histogram.GetBinContent(i + 1) for i in range(20)]
    np.testing.assert_array_equal(found, n)


def test_snapshot(path, events, tmp_path):
    """Fails if ROOT cannot write a selection to a file of its own that reads back.

    In the same format: ROOT 6.40 crashes on any int8 column, its own too, from RNTuple to TTree.
    """
    import uproot

    copy, kinds = tmp_path / "copy.root", ROOT.RDF.ESnapshotOutputFormat
    options = ROOT.RDF.RSnapshotOptions()
    options.fOutputFormat = kinds.kTTree if path.stem == "ttree" else kinds.kRNTuple
    chosen = ROOT.RDataFrame("events", str(path)).Filter("selected")
    chosen.Snapshot("events", str(copy), ["event", "e_reco", "component"], options)
    with uproot.open(copy) as file:
        arrays = file["events"].arrays()
    for name in ("event", "e_reco", "component"):
        np.testing.assert_array_equal(np.asarray(arrays[name]), events[name][events["selected"]])


def test_provenance(path, run):
    """Fails if the string `provenance` is not to be had in ROOT, or not the JSON in the file."""
    file = ROOT.TFile.Open(str(path))
    told = json.loads(str(file.Get("provenance")))
    file.Close()
    assert told == read(path, ["event"])[1]
    assert (told["seed"], told["run_events"]) == (41, run.events)


def test_parts_joined_by_hadd(run, events, tmp_path):
    """Fails if ROOT's copy of the parts has other events, or nuspill expects those of one part."""
    folder, one = tmp_path / "parts", tmp_path / "one.root"
    write_parts(run, folder, 5)
    hadd = Path(ROOT.__file__).with_name("bin") / "hadd"
    parts = sorted(map(str, folder.glob("part-*.root")))
    subprocess.run([hadd, "-v", "0", "-ff", one, *parts], check=True)
    found, told = read(one)
    for name, values in events.items():
        np.testing.assert_array_equal(found[name], values)
    assert told["experiment"] == run.experiment.model_dump(mode="json")
    with uproot.open(one) as file:
        each = provenances(file)
    assert [e["first_event"] for e in each] == [part(run, 5, n).start for n in range(5)]
    whole, joined = histograms(folder), histograms(one)
    assert joined.fraction == whole.fraction == 1
    assert joined.e_reco == whole.e_reco


def hadd(output, *files):
    """Join files with ROOT's own program."""
    program = Path(ROOT.__file__).with_name("bin") / "hadd"
    subprocess.run([program, "-v", "0", "-ff", output, *files], check=True)
    return output


def test_what_hadd_joined_twice(tmp_path):
    """Fails if hadd of a file with itself, of a part twice, or of hadded ones, counts twice."""
    run = plan(load("ess-csi", {"exposure.slice_pulses": 500_000}), 41, years=0.05)
    folder, one = tmp_path / "parts", tmp_path / "one.root"
    write_parts(run, folder, 4)
    write(run, one)
    a, b, c, d = sorted(folder.glob("part-*.root"))
    half = hadd(tmp_path / "half.root", b, a)
    assert reading(half).missing
    whole = hadd(tmp_path / "whole.root", d, half, c)
    assert (reading(whole).missing, reading(whole).pulses) == ((), run.pulses)
    np.testing.assert_array_equal(read(whole)[0]["event"], np.arange(run.events))
    for name, files in {
        "1": (one, one),
        "2": (a, b, c, d, c),
        "3": (half, a),
        "4": (one, a),
    }.items():
        with pytest.raises(ExperimentError, match=rf"{name}\.root: holds .* seed 41 "):
            read(hadd(tmp_path / f"{name}.root", *files))


def test_seeds_that_hadd_joined(run, tmp_path):
    """Fails if the exposure of two seeds in a file of hadd is not the sum."""
    for seed in (1, 2):
        write(run.with_seed(seed), tmp_path / f"{seed}.root")
    both = reading(hadd(tmp_path / "both.root", tmp_path / "2.root", tmp_path / "1.root"))
    assert both.protons == pytest.approx(2 * run.protons)
    assert sum(len(block["event"]) for block in both.blocks(["event"], 1000)) == (
        run.with_seed(1).events + run.with_seed(2).events
    )


@pytest.mark.parametrize("format_", FORMATS)
def test_chain_of_parts(format_, run, events, tmp_path):
    """Fails if parts, one of them empty, are not one run to RDataFrame."""
    folder = tmp_path / "parts"
    write_parts(run, folder, run.slices + 1, format=format_)
    parts = sorted(str(p) for p in folder.glob("part-*.root"))
    assert len(parts) == run.slices + 1
    frame = ROOT.RDataFrame("events", parts)
    arrays = frame.AsNumpy(["event", "e_reco"])
    np.testing.assert_array_equal(arrays["event"], np.arange(run.events))
    np.testing.assert_array_equal(arrays["e_reco"], events["e_reco"])
    if format_ == "ttree":
        chain = ROOT.TChain("events")
        assert chain.Add(str(folder / "part-*.root")) == len(parts)
        assert chain.GetEntries() == run.events


def test_compressions(tmp_path):
    """Fails if ROOT cannot read one of the compressions."""
    run = plan(load("ess-csi"), 42, years=0.01)
    for name in ("none", "zstd", "lz4", "zlib", "lzma"):
        for format_ in FORMATS:
            path = tmp_path / f"{name}-{format_}.root"
            write(run, path, compression=name, format=format_)
            mean = ROOT.RDataFrame("events", str(path)).Mean("e_nr").GetValue()
            expected = run.make(0, run.events)["e_nr"].astype(float).mean()
            assert mean == pytest.approx(expected, rel=1e-9)


def test_no_events(tmp_path):
    """Fails if ROOT cannot open a run without events.

    The RNTuple by its reader: RDataFrame of ROOT 6.40 crashes on any empty one, ROOT's own too.
    """
    experiment = load("ess-ar")
    empty = plan(experiment, 1, years=1 / experiment.source.pulses_per_year)
    paths = {format_: str(tmp_path / f"{format_}.root") for format_ in FORMATS}
    for format_, path in paths.items():
        write(empty, path, format=format_)
    frame = ROOT.RDataFrame("events", paths["ttree"])
    assert frame.Count().GetValue() == 0
    assert "e_reco" in list(map(str, frame.GetColumnNames()))
    reader = ROOT.RNTupleReader.Open("events", paths["rntuple"])
    assert reader.GetNEntries() == 0
