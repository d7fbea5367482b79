"""Templates from files: a two-dimensional experiment against a likelihood written by hand."""

import json

import numpy as np
import pytest
from iminuit import Minuit
from nuspill import ExperimentError, load
from nuspill.toys.construction.ensemble import Ensemble, Truth
from nuspill.toys.construction.throw import throw
from nuspill.toys.counts.combination import build
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.template import templates
from nuspill.toys.counts.workspace import workspace
from nuspill.toys.fit.likelihood import Chi2
from nuspill.toys.fit.search import search
from scipy.stats import chi2

uproot = pytest.importorskip("uproot")

ENERGY, PSD = np.array([0.0, 2.0, 5.0, 10.0]), np.array([0.5, 0.6, 0.7, 0.8, 0.9])
SIGNAL = np.outer([8.0, 4.0, 1.0], [1.0, 2.0, 3.0, 2.0])
NEUTRONS = np.outer([5.0, 6.0, 7.0], [3.0, 2.0, 1.0, 0.5])
STEADY = np.outer([30.0, 20.0, 15.0], [1.0, 1.0, 1.0, 1.0])
TILT = np.outer([1.0, 1.0, 1.0], [0.06, 0.02, -0.02, -0.06])
"""What of the neutrons moves at one standard deviation, relative."""
SOFTER = np.outer([1.06, 1.0, 0.95], [1.0, 1.0, 1.0, 1.0])
"""Factors on the signal at +1; the file at −1 has others."""
HARDER = np.outer([0.97, 1.0, 1.06], [1.0, 1.0, 1.0, 1.0])
TOML = """
name = "argon"
source.base = "sns"
target = { material = "Ar", mass = 24.4 }
[detector]
threshold = 3.0
quenching = { model = "constant", factor = 0.25 }
resolution = { model = "fano", fano = 1.0, pair_energy = 336.4, noise = 0.0 }

[[template]]
name = "signal"
file = "SIGNAL"
counts = 120.0
VARIANT

[[template]]
name = "neutrons"
file = "NEUTRONS"
counts = 90.0
uncertainty = 0.3
pull = "neutrons"
[[template.variant]]
name = "tilt"
up = "tilt_up.csv"
down = "tilt_down.csv"

[[template]]
name = "steady"
file = "STEADY"
uncertainty = 0.05

[analysis]
scale = "reco"
signal_uncertainty = 0.1
[[analysis.axes]]
name = "energy"
edges = [0, 2, 5, 10]
[[analysis.axes]]
name = "psd"
edges = [0.5, 0.6, 0.7, 0.8, 0.9]
"""
VARIANT = """
[[template.variant]]
name = "softer"
up = "softer.npy"
down = "harder.npy"
"""


def write_places(path, counts):
    """Lines of the centre of a bin and its counts, in another order than that of the bins."""
    centres = [(edges[1:] + edges[:-1]) / 2 for edges in (ENERGY, PSD)]
    places = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 2)
    lines = np.column_stack([places, counts.ravel()])
    np.savetxt(path, np.random.default_rng(1).permutation(lines), delimiter=",")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The templates in files of every kind."""
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "signal.npy", SIGNAL)
    np.save(folder / "softer.npy", SIGNAL * SOFTER)
    np.save(folder / "harder.npy", SIGNAL * HARDER)
    write_places(folder / "neutrons.csv", NEUTRONS)
    np.savetxt(folder / "tilt_up.csv", NEUTRONS * (1 + TILT), delimiter=",")
    np.savetxt(folder / "tilt_down.csv", NEUTRONS * (1 - TILT), delimiter=",")
    np.savetxt(folder / "steady.txt", STEADY)
    with uproot.recreate(folder / "all.root") as file:
        for name, counts in (("signal", SIGNAL), ("neutrons", NEUTRONS), ("steady", STEADY)):
            file[name] = (counts, ENERGY, PSD)
    return folder


def written(folder, signal="signal.npy", neutrons="neutrons.csv", steady="steady.txt", variant=""):
    """The experiment of some files."""
    text = TOML.replace("SIGNAL", signal).replace("NEUTRONS", neutrons).replace("STEADY", steady)
    path = folder / "argon.toml"
    path.write_text(text.replace("VARIANT", variant))
    return path


def linear_by_hand(counts):
    """χ² of strength and the pulls signal, tilt, neutrons and steady, as anybody would write it."""

    def value(strength, signal, tilt, neutrons, steady):
        expected = strength * 1.1**signal * 120 * SIGNAL / SIGNAL.sum()
        expected = expected + 1.3**neutrons * 90 * NEUTRONS / NEUTRONS.sum() * (1 + tilt * TILT)
        expected = expected + 1.05**steady * STEADY
        ratio = np.where(counts > 0, counts * np.log(np.maximum(counts, 1) / expected), 0.0)
        pulls = signal**2 + tilt**2 + neutrons**2 + steady**2
        return 2 * np.sum(expected - counts + ratio) + pulls

    return value


ORDER = ["strength", "signal", "tilt", "neutrons", "background.argon.steady"]


def test_chi2_by_hand(folder):
    """Fails if χ² at any values, or its least, is not that of NumPy by hand to 1e-6."""
    model = build([load(written(folder))], ["strength"])
    assert set(model.names) == set(ORDER)
    rng = np.random.default_rng(2)
    counts = rng.poisson(model.asimov().counts[0].reshape(SIGNAL.shape)).astype(float)
    by_hand = linear_by_hand(counts)
    data = Data(counts.reshape(1, -1), np.zeros((1, 12)), np.zeros((1, model.variables)))
    ours = Chi2(model, data)
    for _ in range(20):
        values = dict(zip(ORDER, [rng.uniform(0.2, 2), *rng.normal(0, 1.5, 4)], strict=True))
        found = ours([values[name] for name in model.names])
        assert found == pytest.approx(by_hand(*values.values()), abs=1e-6)
    m = Minuit(by_hand, 1, 0, 0, 0, 0)
    m.strategy, m.tol = 2, 1e-5
    m.migrad()
    best = search(model).fit(data)
    assert best.chi2[0] == pytest.approx(m.fval, abs=1e-6)
    for name, value in zip(ORDER, m.values, strict=True):
        assert best.values[0, model.number(name)] == pytest.approx(value, abs=2e-3)


@pytest.mark.parametrize(
    "files",
    [
        {"signal": "all.root:signal", "neutrons": "all.root:neutrons", "steady": "all.root:steady"},
        {"steady": "all.root:steady"},
    ],
)
def test_kinds_of_files_are_alike(folder, files):
    """Fails if the same counts in another kind of file are other counts."""
    first, second = (templates(load(written(folder, **kinds))) for kinds in ({}, files))
    np.testing.assert_allclose(first.filed, second.filed, rtol=1e-12)
    for name, counts in first.backgrounds.items():
        np.testing.assert_allclose(counts.on, second.backgrounds[name].on, rtol=1e-12)
    assert first.filed.sum() == pytest.approx(120.0)
    assert first.steady.sum() == 0
    assert first.backgrounds["steady"].on.sum() == pytest.approx(STEADY.sum())


def test_uneven_variants(folder):
    """Fails if counts are not a parabola through what the files at −1, 0 and +1 hold."""
    experiment = load(written(folder, variant=VARIANT))
    model = build([experiment], ["strength"])
    nominal = 120 * SIGNAL / SIGNAL.sum()
    (signal,) = (c for c in model.components if c.name == "signal")
    for eta in (-2.0, -1.0, -0.3, 0.0, 1.0, 1.7):
        values = np.zeros(model.variables)
        values[model.number("strength")] = 0.8
        values[model.number("softer")] = eta
        linear, bend = (SOFTER - HARDER) / 2, (SOFTER + HARDER) / 2 - 1
        due = 0.8 * nominal * (1 + linear * eta + bend * eta**2)
        np.testing.assert_allclose(signal.on.at(values), due.ravel(), rtol=1e-12)


def test_one_file_goes_both_ways(folder):
    """Fails if without `down` the counts are not as much the other way."""
    one = VARIANT.replace('down = "harder.npy"', "")
    model = build([load(written(folder, variant=one))], ["strength"])
    values = model.truth.copy()
    (signal,) = (c for c in model.components if c.name == "signal")
    nominal = signal.on.at(values)
    for eta in (-1.0, 2.0):
        values[model.number("softer")] = eta
        due = nominal * (1 + eta * (SOFTER.ravel() - 1))
        np.testing.assert_allclose(signal.on.at(values), due, rtol=1e-9)


def test_variants_can_be_left_out(folder):
    """Fails if analysis.variants = false leaves a pull of a shape."""
    model = build([load(written(folder), {"analysis.variants": False})], ["strength"])
    assert set(model.names) == {*ORDER} - {"tilt"}


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_workspace(folder):
    """Fails if pyhf's likelihood differs by more than a constant and 1e-6."""
    pyhf = pytest.importorskip("pyhf")
    experiment = load(written(folder))
    model = build([experiment], ["strength"])
    content = pyhf.Workspace(workspace([experiment]))
    theirs = content.model()
    data = content.data(theirs)
    ours = Chi2(model, model.asimov())
    rng, apart = np.random.default_rng(4), []
    for _ in range(12):
        values = [rng.uniform(0.3, 2), *rng.normal(0, 0.8, 4)]
        point = dict(zip(ORDER, values, strict=True))
        theirs_at = [point[name] for name in theirs.config.par_names]
        value = -2 * float(theirs.logpdf(theirs_at, data)[0])
        apart.append(value - ours([point[name] for name in model.names]))
    assert np.ptp(apart) < 1e-6


def test_toys_cover(folder):
    """Fails if Δχ² at the truth of toys is not distributed as χ² of one parameter."""
    model = build([load(written(folder))], ["strength"])
    truth = Truth(model.truth, model.background)
    toys = throw(model, Ensemble("fixed"), truth, 7, 0, 0, 1500)
    delta = search(model, ["strength"]).fit(toys).chi2 - search(model).fit(toys).chi2
    for cl in (0.68, 0.9):
        inside = np.mean(delta < chi2.ppf(cl, 1))
        assert abs(inside - cl) < 4 * np.sqrt(cl * (1 - cl) / len(delta))


def test_round_trip_needs_no_file(folder, tmp_path):
    """Fails if an experiment that was loaded reads its files again."""
    path = written(folder)
    content = json.loads(load(path).model_dump_json())
    from nuspill.reco.experiment import validate

    again = validate(content, "again")
    assert again == load(path)
    np.testing.assert_array_equal(templates(again).filed, templates(load(path)).filed)


def test_signal_of_a_file_has_strength_alone(folder):
    """Fails if a coupling may be fitted to a signal that says nothing of it."""
    with pytest.raises(ExperimentError, match=r"'nsi.u.ee': its signal is from a file.*strength"):
        build([load(written(folder))], ["nsi.u.ee"])
    moved = [{"name": "scale", "effect": "quenching", "uncertainty": 0.05}]
    with pytest.raises(ExperimentError, match=r"'signal' is from a file.*template.variant"):
        build([load(written(folder), {"analysis.systematic": moved})], ["strength"])


def test_of_files_and_computed(folder, tmp_path):
    """Fails if a background from a file beside a computed signal is not what the file holds."""
    np.savetxt(tmp_path / "flat.txt", np.full(6, 2.5))
    given = [{"name": "neutrons", "file": str(tmp_path / "flat.txt"), "uncertainty": 0.5}]
    axes = [
        {"name": "energy", "edges": [1.0, 3.0, 8.0, 46.1]},
        {"name": "time", "edges": [0.0, 1e6, 2.8e6]},
    ]
    alone = load("ess-csi", {"analysis.axes": axes})
    both = load("ess-csi", {"analysis.axes": axes, "template": given})
    first, second = (build([e], ["nsi.u.ee"]) for e in (alone, both))
    more = second.asimov().counts - first.asimov().counts
    np.testing.assert_allclose(more[0], 2.5, rtol=1e-9)
    assert second.names[-1] == "background.ess-csi.neutrons"


NEGATIVE = SIGNAL - 5.0


def test_a_file_by_a_setting(folder, tmp_path, monkeypatch):
    """Fails if a file of a setting does not begin in the working folder."""
    monkeypatch.chdir(tmp_path)
    np.savetxt(tmp_path / "other.txt", 2 * STEADY)
    experiment = load(written(folder), {"template.steady.file": "other.txt"})
    found = templates(experiment).backgrounds["steady"].on
    np.testing.assert_allclose(found, 2 * STEADY.ravel(), rtol=1e-12)


def test_shared_pulls(folder):
    """Fails if pulls of one name in two experiments are not one, or those without a name are."""
    path = written(folder)
    both = [load(path), load(path, {"name": "other"})]
    model = build(both, ["strength"])
    assert set(model.names) == {*ORDER, "background.other.steady"}
    values = model.truth.copy()
    values[model.number("tilt")] = 1.5
    counts = model.counts(values).reshape(2, *SIGNAL.shape)
    np.testing.assert_allclose(counts[0], counts[1], rtol=1e-12)
    assert not np.allclose(counts[0], model.counts(model.truth)[:12].reshape(SIGNAL.shape))


def test_events_are_of_computed_components_alone(nuspill, folder, tmp_path):
    """Fails if it goes unsaid that templates make no events, or toys of events leave them out."""
    path = written(folder)
    out = tmp_path / "events.root"
    status, _, errors = nuspill("generate", path, "--years", "0.001", "-o", out)
    assert status == 0
    assert "signal, neutrons, steady are counts from files, which make no events" in errors
    toys = ("toys", path, "--scan", "strength=0.5:1.5:2", "--toys", "2", "--events")
    status, _, errors = nuspill(*toys, "-o", tmp_path / "toys")
    assert status != 0
    assert "(signal, neutrons, steady) make no events; use binned toys" in errors


@pytest.mark.parametrize("kind", ["preset", "period"])
def test_files_of_a_layer(folder, kind, tmp_path, monkeypatch):
    """Fails if a file of a preset or a period does not begin in the folder of the TOML."""
    monkeypatch.chdir(tmp_path)
    header = "[preset.flat]" if kind == "preset" else "[[period]]\nyears = 1.0"
    key = "preset.flat.template" if kind == "preset" else "period.template"
    text = written(folder).read_text() + header + "\n"
    for name, file in (("signal", "signal.npy"), ("steady", "signal.npy")):
        text += f'[[{key}]]\nname = "{name}"\nfile = "{file}"\n'
    path = folder / f"{kind}.toml"
    path.write_text(text)
    experiment = load(path, preset="flat") if kind == "preset" else load(f"{path}#1")
    found = templates(experiment)
    np.testing.assert_allclose(found.backgrounds["steady"].on, SIGNAL.ravel(), rtol=1e-12)


BAD = {
    "shape": (lambda f: np.save(f / "bad.npy", SIGNAL.T), "bad.npy", "has 4 x 3 bins, not.* 3 x 4"),
    "negative": (lambda f: np.save(f / "bad.npy", NEGATIVE), "bad.npy", "counts must be 0 or more"),
    "empty": (lambda f: np.save(f / "bad.npy", 0 * SIGNAL), "bad.npy", "holds no counts"),
    "not finite": (lambda f: np.save(f / "bad.npy", SIGNAL * np.nan), "bad.npy", "not finite"),
    "no numbers": (lambda f: np.save(f / "bad.npy", np.array(["x"])), "bad.npy", "one array of"),
    "no array": (lambda f: (f / "bad.npy").write_text("x"), "bad.npy", "cannot be read"),
    "missing": (lambda f: None, "nowhere.txt", "nowhere.txt: cannot be read: No such file"),
    "text": (lambda f: (f / "bad.txt").write_text("a b\n"), "bad.txt", "not a table of counts"),
    "lines": (lambda f: np.savetxt(f / "bad.txt", np.ones(5)), "bad.txt", "has 5 lines of 1"),
    "two a line": (
        lambda f: np.savetxt(f / "bad.txt", np.ones((12, 2))), "bad.txt", "two counts a line",
    ),
    "no name": (lambda f: None, "all.root", "name a histogram of it: all.root:NAME"),
    "no ROOT file": (lambda f: None, "nowhere.root:signal", "nowhere.root: has no histogram"),
    "damaged": (lambda f: (f / "bad.root").write_text("x"), "bad.root:signal", "has no histogram"),
    "no histogram": (lambda f: None, "all.root:other", "no histogram 'other'"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_files(folder, what):
    """Fails if a file that does not fit is taken, or the error does not name it and what is due."""
    make, name, message = BAD[what]
    make(folder)
    with pytest.raises(ExperimentError, match=message) as error:
        build([load(written(folder, signal=name))], ["strength"])
    assert "template.signal.file" in str(error.value)
    assert name.split(":")[0] in str(error.value)
    assert "\n" not in str(error.value)


def test_other_edges(folder):
    """Fails if a histogram of as many bins at other edges is taken, or a line in no bin."""
    with uproot.recreate(folder / "other.root") as file:
        file["signal"] = (SIGNAL, ENERGY, PSD + 0.1)
    with pytest.raises(ExperimentError, match=r"4 bins of psd are from 0.6 to 1, not at"):
        build([load(written(folder, signal="other.root:signal"))], ["strength"])
    np.savetxt(folder / "other.txt", np.column_stack([np.full(12, 20.0), np.ones((12, 2))]))
    with pytest.raises(ExperimentError, match="energy, psd = 20, 1 of line 1 is in no bin"):
        build([load(written(folder, signal="other.txt"))], ["strength"])


SETTINGS = [
    ({"analysis.statistic": "on-off"}, "beam-off is not known"),
    ({"template.signal.uncertainty": 0.1}, "analysis.signal_uncertainty"),
    ({"template.steady.name": "neutrons"}, "another component of that name"),
    ({"template.other.counts": 1.0}, "no template 'other'"),
    ({"template.signal.counts": -1.0}, "greater than 0"),
    ({"background": [{"name": "gammas", "rate": 1.0}]}, r"\(gammas\) have energy and time alone"),
    ({"release.reader": "nothing"}, "coherent-lar-2020"),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS)
def test_settings_that_cannot_be(folder, settings, message):
    """Fails if what contradicts templates from files is accepted."""
    with pytest.raises(ExperimentError, match=message):
        load(written(folder), settings)


def test_order_of_axes(folder):
    """Fails if files may be of axes in another order than the bins."""
    axes = [{"name": "psd", "edges": PSD.tolist()}, {"name": "energy", "edges": ENERGY.tolist()}]
    with pytest.raises(ExperimentError, match="their order is energy, psd"):
        load(written(folder), {"analysis.axes": axes})


def test_what_follows_from_no_file_is_told(folder):
    """Fails if a change that templates from files cannot follow goes by unsaid."""
    with pytest.warns(UserWarning, match=r"target.mass has no effect on signal, neutrons, steady"):
        load(written(folder), {"target.mass": 30.0})
