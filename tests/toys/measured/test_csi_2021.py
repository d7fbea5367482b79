"""sns-csi-2021 against plain NumPy and SciPy, and its tables against the release."""

import tomllib

import numpy as np
import pytest
from csi_2021 import PE, TIME, neutrons, signal, steady
from nuspill import build, generate, load
from nuspill.generator.beam import shipped_source_text
from nuspill.generator.coupling import structure_couplings
from nuspill.reco.experiment import source_text
from nuspill.toys.counts.model import Data
from nuspill.toys.counts.template import templates
from nuspill.toys.fit.search import search

NAME = "sns-csi-2021"
EXPECTED = {"steady": 1286.0, "brn": 18.4, "nin": 5.6}


@pytest.fixture(scope="module")
def tables():
    """The tables of the file: the pulse and each background, as text says them."""
    data = tomllib.loads(source_text(NAME))
    backgrounds = {item["name"]: item for item in data["background"]}
    source = tomllib.loads(shipped_source_text(data["source"]["base"]))
    return source["pulse_shape"], backgrounds


def in_us(shape):
    return np.array(shape["time"]) / 1e3, np.array(shape["intensity"])


@pytest.fixture(scope="module")
def by_hand(tables):
    """Expected counts by component, shape (9, 11) each."""
    pulse, backgrounds = tables
    counts = signal(in_us(pulse))
    for name in ("brn", "nin"):
        item = backgrounds[name]
        spectrum = item["spectrum"]["counts"]
        counts[name] = neutrons(EXPECTED[name], spectrum, *in_us(item["profile"]))
    counts["steady"] = steady(EXPECTED["steady"], backgrounds["steady"]["spectrum"]["counts"])
    return counts


def by_flavour(experiment):
    """Signal of the templates by flavour, shape (bins,)."""
    counts = {}
    for (flavour, _, structure), part in templates(experiment).signal.items():
        factor = structure_couplings(experiment.interaction, flavour)[structure]
        counts[flavour] = counts.get(flavour, 0.0) + factor * part
    return counts


def test_standard_model_prediction(by_hand):
    """Fails if the prediction is not 320.8 within 0.5 %, by hand and by the templates."""
    ours = sum(part.sum() for part in by_flavour(load(NAME)).values())
    assert ours == pytest.approx(320.8, rel=0.005)
    assert sum(by_hand[f].sum() for f in ("numu", "nue", "numubar")) == pytest.approx(
        ours, rel=1e-3
    )


def test_every_bin(by_hand):
    """Fails if a component differs by 1e-3 in a bin of photo-electrons and time.

    Bins that hold less than 1e-4 of a component may differ by 1e-7 of it.
    """
    experiment = load(NAME)
    ours = by_flavour(experiment)
    ours |= {name: counts.on for name, counts in templates(experiment).backgrounds.items()}
    assert list(ours) == ["numu", "nue", "numubar", "steady", "brn", "nin"]
    for name, counts in ours.items():
        due = by_hand[name]
        np.testing.assert_allclose(
            counts.reshape(due.shape), due, rtol=1e-3, atol=1e-7 * due.sum(), err_msg=name
        )


def test_sum_of_every_bin(by_hand):
    """Fails if all that is expected in a bin differs by 3e-4."""
    experiment = load(NAME)
    found = templates(experiment)
    ours = sum(by_flavour(experiment).values()) + found.steady + found.beam
    np.testing.assert_allclose(ours, sum(by_hand.values()).ravel(), rtol=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 2])
def test_events_of_backgrounds(window, goodness):
    """Fails if selected events of a background do not fall in the bins as its template says."""
    experiment = load(NAME)
    found = templates(experiment)
    events = generate(experiment, seed=21, years=200.0, library="np")
    for name in ("steady", "brn", "nin"):
        number = {of: n for n, of in experiment.components.items()}[name]
        counts = found.binning.seen(events, window, events["component"] == number)
        due = found.backgrounds[name].on if window == 1 else found.backgrounds[name].off
        if due.sum() == 0:
            assert not counts.any()
        else:
            assert goodness(counts, 100.0 * due) > 1e-4, name


def test_fit_to_the_data(shared):
    """Fails if yields and χ² of the measured counts are not those computed with other code.

    Those of a free CEνNS yield: 308.9, 17.0 and 5.5 neutrons, 1272 steady, −2 ln L 84.38.
    """
    experiment = load(NAME, {"analysis.signal_uncertainty": 0.0})
    model = build([experiment], ["strength"])
    energy, time = np.loadtxt(shared / "coherent_csi_2021/dataBeamOnC.txt").T
    counts = model.sections[0].binning.count({"e_reco": energy, "time": 1e3 * time})
    assert counts.sum() == 1578
    none = np.zeros((1, model.bins)), np.zeros((1, model.variables))
    fit = search(model).fit(Data(counts[None], *none), model.truth[None])
    assert fit.chi2[0] == pytest.approx(84.38, abs=0.3)
    ours = sum(part.sum() for part in by_flavour(experiment).values())
    values = dict(zip(model.names, fit.values[0], strict=True))
    assert values["strength"] * ours == pytest.approx(308.9, abs=0.5)
    for name, due in (("steady", 1272.1), ("brn", 17.0), ("nin", 5.5)):
        pull = values[f"background.{NAME}.{name}"]
        relative = next(b.uncertainty for b in experiment.background if b.name == name)
        assert EXPECTED[name] * (1 + relative * pull) == pytest.approx(due, rel=0.005)


def test_shapes_move_the_rate():
    """Fails if the released shapes at one σ do not move the rate by 0.9, 3.1 and 11 %."""
    model = build([load(NAME, preset="shapes")], ["strength"])
    plain = by_flavour(load(NAME))
    nominal = sum(part.sum() for part in plain.values())
    for name, due in (("response 0", 0.009), ("response 1", -0.031), ("efficiency", 0.114)):
        values = model.truth.copy()
        values[model.names.index(f"CsI {name}")] = 1.0
        change = model.counts(values).sum() - model.counts(model.truth).sum()
        assert change / nominal == pytest.approx(due, abs=1e-3)


def test_tables_are_those_of_the_release(tables, shared):
    """Fails if a table of the file is not the release's: rebinned, within 3e-4 of the component."""
    pulse, backgrounds = tables
    folder = shared / "coherent_csi_2021"
    waveform = np.loadtxt(folder / "numu_waveform.csv", delimiter=",").T
    np.testing.assert_allclose(in_us(pulse), waveform, rtol=1e-6)
    for name in ("brn", "nin"):
        item = backgrounds[name]
        energy, counts = np.loadtxt(folder / f"{name}PE.txt").T
        np.testing.assert_allclose(item["spectrum"]["counts"], counts[energy < 60], rtol=1e-5)
        time, density = np.loadtxt(folder / f"{name}Trec.txt").T
        edges = np.append(time - 0.005, time[-1] + 0.005)
        released = np.diff(np.interp(TIME, edges, np.append(0, np.cumsum(density))))
        fine = np.linspace(0, 6, 60_001)
        table = np.interp((fine[1:] + fine[:-1]) / 2, *in_us(item["profile"]), left=0, right=0)
        ours = np.histogram((fine[1:] + fine[:-1]) / 2, TIME, weights=table)[0]
        np.testing.assert_allclose(ours / ours.sum(), released / released.sum(), atol=3e-4)
    events = np.loadtxt(folder / "dataBeamOnAC.txt")
    chosen = events[(events[:, 0] < 60) & (events[:, 1] < 6)]
    counts = np.histogram(chosen[:, 0], np.arange(0, 61, 2))[0]
    np.testing.assert_array_equal(backgrounds["steady"]["spectrum"]["counts"], counts)
    assert counts.sum() == 1295
    assert PE[-1] == 60
