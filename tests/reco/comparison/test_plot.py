"""The numbers of the figure against direct counts of the ntuple, and the figure as a file."""

import json
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
import uproot
from nuspill import ExperimentError, OutputError, load, plan, read, write, write_parts
from nuspill.reco.comparison import summary as summaries
from nuspill.reco.comparison.axes import energy_edges, equal_bins
from nuspill.reco.comparison.plot import plot
from nuspill.reco.comparison.summary import histograms, summary

SNS = "sns-csi-2017"
MAGIC = {"pdf": b"%PDF-", "png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}
STEADY = {"name": "steady", "scale": "reco", "rate": 0.1, "range": [4.0, 40.0]}
NEUTRONS = STEADY | {"name": "neutrons", "timing": "prompt", "rate": 0.02}
QUIET = {"background": []}


def planned(name=SNS, settings=None, seed=3, **run):
    return plan(load(name, settings), seed, **(run or {"years": 5}))


def sample(path, name=SNS, settings=None, **options):
    write(planned(name, settings, years=5), path, **options)
    return path


@pytest.fixture(scope="module")
def sns(tmp_path_factory):
    """τ = 3, steady state over the whole period, and a background that comes with the beam."""
    settings = {
        "windows.off_ratio": 3.0,
        "windows.record": "all",
        "background": [STEADY, NEUTRONS],
    }
    return sample(tmp_path_factory.mktemp("plot") / "sns.root", settings=settings)


@pytest.fixture(scope="module")
def numbers(sns):
    return summary(histograms(sns)).as_json()


def counted(values, edges):
    """Counts in [low, high) of each bin, one bin after the other."""
    return [int(np.sum((values >= low) & (values < high))) for low, high in pairwise(edges)]


def same(one, other):
    return all(getattr(one, k) == getattr(other, k) for k in ("e_reco", "time", "e_nu"))


def test_histograms_are_direct_counts(sns, numbers):
    """Fails if a cut, a window, a component or an axis is mixed up."""
    events, told = read(sns)
    names = {int(code): name for code, name in told["components"].items()}
    assert list(names) == [1, 2, 3, 10, 11]
    for code, name in names.items():
        mine = events["selected"] & (events["component"] == code)
        on, off = mine & (events["window"] == 1), mine & (events["window"] == 2)
        for key, cut, chosen in (("e_reco", on, "on"), ("e_reco", off, "off"), ("time", on, "on")):
            values = events[key][cut].astype(float)
            assert numbers[key][chosen][name] == counted(values, numbers[key]["edges"])
        if code < 10:
            values = events["e_nu"][on].astype(float)
            assert numbers["e_nu"]["on"][name] == counted(values, numbers["e_nu"]["edges"])
            assert sum(numbers["e_nu"]["on"][name]) == on.sum()
        else:
            assert not any(numbers["e_nu"]["on"][name])
        row = next(row for row in numbers["counts"] if row["component"] == code)
        assert (row["name"], row["on"], row["off"]) == (name, on.sum(), off.sum())
        assert sum(numbers["time"]["on"][name]) == on.sum()
    for row in told["expected"]:
        mine = next(r for r in numbers["counts"] if r["component"] == row["component"])
        assert [mine["expected_on"], mine["expected_off"]] == row["selected"][1:]


def test_a_summary_shows_itself(sns, numbers):
    """Fails if it is more than a line, or its JSON loses the order of its keys."""
    found = summary(histograms(sns))
    assert repr(found).startswith("<Summary: experiment sns-csi-2017, length 5 years, beam-on ")
    assert "\n" not in repr(found)
    assert found._repr_html_().count("<tr>") == len(found.facts())
    assert " ".join(numbers["residual"]) == "title unit edges on value error expected_signal"
    assert " ".join(numbers["e_reco"]) == "title unit edges on off"


def test_residual_is_on_minus_off_over_tau(sns, numbers):
    events, _ = read(sns)
    on, off = (events["selected"] & (events["window"] == window) for window in (1, 2))
    beam = on & (events["component"] != 10)
    edges, residual = numbers["e_reco"]["edges"], numbers["residual"]
    n_on, n_off, n_beam = (np.array(counted(events["e_reco"][c], edges)) for c in (on, off, beam))
    assert n_off.sum() > 0
    assert numbers["tau"] == pytest.approx(3.0)
    np.testing.assert_allclose(residual["value"], n_on - n_off / 3)
    np.testing.assert_allclose(residual["error"], np.sqrt(n_on + n_off / 9))
    assert numbers["on_minus_off"] == pytest.approx(on.sum() - off.sum() / 3)
    assert numbers["on_minus_off_error"] == pytest.approx(np.sqrt(on.sum() + off.sum() / 9))
    assert set(residual["on"]) == {"numu", "nue", "numubar", "steady", "neutrons"}
    assert not any(residual["on"]["steady"])
    assert np.array_equal(np.sum(list(residual["on"].values()), axis=0), n_beam)
    background = n_on - n_beam + n_off
    used = background > 0
    terms = (n_on - n_off / 3 - n_beam)[used] ** 2 / (background[used] / 3)
    assert numbers["chi2_residual"]["ndf"] == used.sum()
    assert numbers["chi2_residual"]["value"] == pytest.approx(terms.sum())
    assert numbers["chi2_residual"]["p_value"] > 1e-4
    assert numbers["chi2_signal"]["p_value"] > 1e-4


@pytest.mark.parametrize("mean", [0.7, 5.0, 200.0])
def test_chi2_of_the_residual_has_mean_ndf(sns, monkeypatch, mean):
    """Means of 400 experiments with τ = 3; also with few events a bin, where other errors fail."""
    rng = np.random.default_rng(8)
    h = histograms(sns)
    view = h.e_reco.view(flow=True)
    monkeypatch.setattr(summaries, "expected_signal", lambda h: np.full(view.shape[-1] - 2, 10.0))
    value = ndf = 0
    for _ in range(400):
        view[:] = 0
        view[:3, 0] = rng.poisson(50.0, view[:3, 0].shape)
        view[3, 0], view[3, 1] = (
            rng.poisson(mean, view.shape[-1]),
            rng.poisson(3 * mean, view.shape[-1]),
        )
        found = summary(h).as_json()["chi2_residual"]
        value, ndf = value + found["value"], ndf + found["ndf"]
    assert value == pytest.approx(ndf, abs=5 * np.sqrt(2 * ndf))


@pytest.mark.parametrize("name", [SNS, "ess-ar", "ess-si"])
def test_expected_signal_adds_up(tmp_path, name):
    """Bins from quadrature: their sum is the expected number, and the events follow them."""
    h = histograms(sample(tmp_path / "a.root", name, QUIET))
    found = summary(h).as_json()
    total = sum(row["selected"][1] for row in h.provenance["expected"])
    assert sum(found["residual"]["expected_signal"]) == pytest.approx(total, rel=1e-3)
    assert found["chi2_signal"]["p_value"] > 1e-4
    assert found["chi2_residual"] == {"value": 0.0, "ndf": 0, "p_value": None}
    signal = np.sum(list(found["e_reco"]["on"].values()), axis=0)
    assert np.array_equal(found["residual"]["value"], signal)


def test_flavours_in_time_at_the_sns(numbers):
    """ν_μ within the pulse and a few pion lives, most of the others later than its middle."""
    time = numbers["time"]
    edges = np.array(time["edges"])
    late = {
        name: np.sum(np.array(n)[edges[:-1] >= 1200.0]) / sum(n) for name, n in time["on"].items()
    }
    assert late["numu"] < 0.01
    assert late["nue"] > 0.5
    assert late["numubar"] > 0.5


def test_parts_formats_and_steps_agree(tmp_path, monkeypatch):
    whole = histograms(sample(tmp_path / "a.root"))
    assert whole.e_reco.sum() > 1000
    write_parts(planned(years=5), tmp_path / "parts", 3)
    assert same(histograms(tmp_path / "parts"), whole)
    assert same(histograms(sample(tmp_path / "b.root", selected_only=True)), whole)
    assert same(histograms(sample(tmp_path / "c.root", format="rntuple")), whole)
    monkeypatch.setattr(summaries, "STEP", 1000)
    assert same(histograms(tmp_path / "a.root"), whole)
    (tmp_path / "parts" / "part-00001.root").unlink()
    part = histograms(tmp_path / "parts")
    left = [
        json.loads(str(uproot.open(f)["provenance"])) for f in (tmp_path / "parts").glob("*.root")
    ]
    pulses = sum(b - a for a, b in (told["covered_pulses"] for told in left))
    assert part.fraction == pulses / left[0]["pulses"]
    assert 0.2 < part.fraction < 0.9
    for one, every in zip(summary(part).counts, summary(whole).counts, strict=True):
        assert one.expected_on == pytest.approx(part.fraction * every.expected_on)


def test_axes_follow_the_detector():
    """Whole photo-electrons, two decades and more logarithmic, from the threshold to the end."""
    assert np.array_equal(energy_edges(load(SNS)), np.arange(5.5, 31.0))
    wide = energy_edges(load(SNS, {"detector.region": [6.0, 149.0]}))
    assert np.array_equal(wide, np.arange(5.5, 150.0, 3.0))
    edges = energy_edges(load("ess-csi"))
    assert edges[[0, -1]] == pytest.approx([0.1, 4.61], rel=1e-5)
    assert np.ptp(np.diff(edges)) < 1e-4
    edges = energy_edges(load("ess-ar"), 30)
    assert edges[[0, -1]] == pytest.approx([0.1, 150.0], rel=1e-5)
    assert len(edges) == 31
    assert np.ptp(np.diff(np.log(edges))) < 1e-4
    table = {"model": "table", "energy": [0.3, 1.0], "efficiency": [0.0, 1.0]}
    assert energy_edges(load("ess-csi", {"detector.efficiency": table}))[0] == pytest.approx(
        0.3, rel=1e-3
    )
    assert np.allclose(np.diff(equal_bins(0.0, 6000.0)), 100.0)
    assert np.allclose(np.diff(equal_bins(0.0, 55.0)), 1.0)


def test_time_of_an_exposure_is_the_true_one(tmp_path):
    h = histograms(sample(tmp_path / "a.root", "ess-si"))
    assert h.time.axes["time_true"].label == "ns"
    assert np.count_nonzero(h.time.values().sum(axis=0)) > 10


@pytest.mark.parametrize("kind", ["pdf", "PNG", "svg"])
def test_figure_appears_whole(sns, numbers, tmp_path, kind):
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    output = tmp_path / f"a.{kind}"
    assert plot(sns, output).as_json() == numbers
    content = output.read_bytes()
    assert content.startswith(MAGIC[kind.lower()])
    assert [f.name for f in tmp_path.iterdir()] == [output.name]
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before
    assert json.loads(json.dumps(numbers)) == numbers
    with pytest.raises(OutputError, match="overwrite"):
        plot(sns, output)
    assert output.read_bytes() == content


def test_nothing_in_the_file(tmp_path):
    """No event at all, and a background of none."""
    settings = {"background": [STEADY | {"rate": 0.0, "name": "a $ and _b"}]}
    write(planned(SNS, settings, years=1e-9), tmp_path / "a.root")
    found = plot(tmp_path / "a.root", tmp_path / "a.png").as_json()
    assert [row["on"] for row in found["counts"]] == [0, 0, 0, 0]
    assert found["chi2_signal"]["ndf"] == 0
    write(planned(SNS, settings, years=5), tmp_path / "b.root")
    found = summary(histograms(tmp_path / "b.root")).as_json()
    assert [row["on"] > 0 for row in found["counts"]] == [True, True, True, False]


def test_source_that_never_stops(tmp_path):
    """On minus off takes a reactor's signal away with the background."""
    reactor = {
        "source.steady": True,
        "source.window": 1e6,
        "source.repetition": 100.0,
        "source.pulse_width": 1e6,
        "windows.off_start": 2e6,
    }
    found = summary(histograms(sample(tmp_path / "a.root", settings=reactor))).as_json()
    assert found["counts"][0]["off"] > 0
    assert not any(sum(n) for n in found["residual"]["on"].values())
    assert found["chi2_residual"]["p_value"] > 1e-4


def test_events_beyond_the_axis_are_told(tmp_path):
    wide = STEADY | {"scale": "keV_nr", "range": [0.02, 300.0], "rate": 1e-4}
    found = summary(
        histograms(sample(tmp_path / "a.root", "ess-ar", {"background": [wide]}))
    ).as_json()
    inside = sum(sum(n) for key in ("on", "off") for n in found["e_reco"][key].values())
    assert found["outside_axis"] > 0
    assert found["outside_axis"] == sum(row["on"] + row["off"] for row in found["counts"]) - inside


@pytest.mark.parametrize("content", [None, b"", b"text", b"root" + bytes(200)])
def test_no_ntuple(tmp_path, content):
    if content is not None:
        (tmp_path / "a.root").write_bytes(content)
    with pytest.raises(ExperimentError, match=r"a\.root: (is not an|there is no) ntuple"):
        plot(tmp_path / "a.root", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_other_roots(sns, tmp_path):
    """Files without provenance or tree, cut short, of another run; an empty folder."""
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("events", {"e_reco": "float32"})
    with uproot.recreate(tmp_path / "b.root") as file, uproot.open(sns) as good:
        file["provenance"] = str(good["provenance"])
    (tmp_path / "c.root").write_bytes(sns.read_bytes()[:50_000])
    for name in "abc":
        with pytest.raises(ExperimentError, match=rf"{name}\.root: is not an ntuple"):
            plot(tmp_path / f"{name}.root", tmp_path / "a.png")
    (tmp_path / "parts").mkdir()
    with pytest.raises(ExperimentError, match="there is no ntuple"):
        plot(tmp_path / "parts", tmp_path / "a.png")
    for seed in (0, 1):
        write(planned(seed=seed, years=0.1), tmp_path / "parts" / f"part-0000{seed}.root")
    far = {"source.distance": 40.0}
    write(planned(settings=far, seed=2, years=0.1), tmp_path / "parts" / "part-00002.root")
    text = r"part-00002\.root: is of another experiment .* source\.distance is 40\.0"
    with pytest.raises(ExperimentError, match=text):
        plot(tmp_path / "parts", tmp_path / "a.png")
    assert not list(tmp_path.glob("*.png"))
    assert not list(tmp_path.glob(".*"))


def test_no_such_output(sns, tmp_path, monkeypatch):
    for name in ("a.jpg", "a", "png", "a.root"):
        with pytest.raises(ExperimentError, match=r"\.pdf, \.png, \.svg"):
            plot(sns, tmp_path / name)
    with pytest.raises(OutputError, match="no folder"):
        plot(sns, tmp_path / "none" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OutputError, match=r"b\.png: is a folder"):
        plot(sns, tmp_path / "b.png", overwrite=True)

    def full(self, file, **options):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OutputError, match="No space left"):
        plot(sns, tmp_path / "c.png")
    assert [f.name for f in tmp_path.iterdir()] == ["b.png"]
