"""Binning: counts, projections and words for bins of any axes."""

import itertools

import numpy as np
import pytest
from nuspill import ExperimentError, build, load
from nuspill.toys.counts.binning import Axis, Binning, binning, numbered
from nuspill.toys.counts.template import templates

ENERGY = {"name": "energy", "edges": [1.0, 2.0, 5.0, 20.0]}
TIME = {"name": "time", "edges": [0.0, 1e4, 1e5, 2.8e6, 2.81e6]}


def three_axes():
    """Bins of three axes, of which one has other limits in its column."""
    return Binning(
        (
            Axis("a", "first", "keV", np.array([0.0, 1.0, 3.0]), "x"),
            Axis("b", "second", "", np.array([-1.0, 0, 2, 5]), "y", np.array([0, 10, 30, 60])),
            Axis("c", "third", "ns", np.array([0.0, 1.0]), "z"),
        )
    )  # fmt: skip


def test_counts_against_loops():
    """Fails if an event is in another bin than by hand: lower edges are in, upper ones out."""
    bins, rng = three_axes(), np.random.default_rng(3)
    columns = {
        "x": rng.choice([-0.5, 0.0, 0.7, 1.0, 2.9, 3.0, np.nan], 500),
        "y": rng.choice([-1.0, 0.0, 9.9, 10.0, 59.0, 60.0], 500),
        "z": rng.choice([0.0, 0.5, 1.0], 500),
    }
    weights = rng.random(500)
    limits = ([0, 1, 3], [0, 10, 30, 60], [0, 1])
    due = []
    for a, b, c in itertools.product(*(itertools.pairwise(edges) for edges in limits)):
        inside = (a[0] <= columns["x"]) & (columns["x"] < a[1])
        inside &= (b[0] <= columns["y"]) & (columns["y"] < b[1])
        inside &= (c[0] <= columns["z"]) & (columns["z"] < c[1])
        due.append((inside.sum(), weights[inside].sum()))
    np.testing.assert_array_equal(bins.count(columns), [n for n, _ in due])
    np.testing.assert_allclose(bins.count(columns, weights), [w for _, w in due])


def test_projections():
    """Fails if a projection is not the sum over the other axes, in the order that is asked for."""
    bins = three_axes()
    counts = np.arange(2 * bins.bins, dtype=float).reshape(2, -1)
    full = counts.reshape(2, 2, 3, 1)
    np.testing.assert_array_equal(bins.project(counts, ["a"]), full.sum(axis=(2, 3)))
    np.testing.assert_array_equal(
        bins.project(counts[0], ["c", "a"]), full[0].sum(axis=1).transpose(1, 0)
    )
    np.testing.assert_array_equal(bins.project(counts, ["a", "b", "c"]), full)
    np.testing.assert_array_equal(bins.project(counts, []), counts.sum(axis=1))
    for names in (["d"], ["a", "a"]):
        with pytest.raises(ExperimentError, match="one of a, b, c"):
            bins.project(counts, names)


def test_words():
    """Fails if a bin is not named by its edges, or an axis without its unit."""
    assert three_axes().describe(4) == "bin 4 a [1, 3] keV, b [0, 2], c [0, 1] ns"
    assert numbered(3).describe(2) == "bin 2 [2, 3]"
    assert [axis.title for axis in three_axes().axes] == ["first [keV]", "second", "third [ns]"]


def test_holding():
    """Fails if a place is not in the bin of its edges, whatever the column's limits."""
    places = np.array([[2.0, 4.0, 0.5], [0.0, -1.0, 0.0], [3.0, 0.0, 0.5]])
    assert three_axes().holding(places).tolist() == [5, 0, -1]


def test_energy_first():
    """Fails if the order of the axes in a file changes that of the bins."""
    one, other = (
        load("ess-csi", {"analysis.axes": axes}) for axes in ([ENERGY, TIME], [TIME, ENERGY])
    )
    assert binning(one).names == binning(other).names == ("energy", "time")
    assert binning(one).shape == (3, 4)
    np.testing.assert_array_equal(binning(one).time, TIME["edges"])


def test_one_axis_is_the_short_form():
    """Fails if an energy axis alone is not `edges`, or without edges `bin_width`, bit for bit."""
    for axis, short in ((ENERGY, {"analysis.edges": ENERGY["edges"]}), ({"name": "energy"}, {})):
        one, other = load("ess-csi", {"analysis.axes": [axis]}), load("ess-csi", short)
        np.testing.assert_array_equal(binning(one).energy, binning(other).energy)
        a, b = (build([e], ["strength"]) for e in (one, other))
        np.testing.assert_array_equal(a.counts(a.truth), b.counts(b.truth))


def test_axes_sum_to_each_other():
    """Fails if energy × time does not sum to energy alone, or to time alone."""
    both, energy, time = (
        templates(load("ess-csi", {"analysis.axes": axes}))
        for axes in ([ENERGY, TIME], [ENERGY], [TIME])
    )
    assert time.binning.shape == (4,)
    for key, counts in both.signal.items():
        np.testing.assert_allclose(
            both.binning.project(counts, ["energy"]), energy.signal[key], rtol=1e-6
        )
    np.testing.assert_allclose(both.binning.project(both.steady, ["energy"]), energy.steady)
    everything = templates(
        load("ess-csi", {"analysis.axes": [{"name": "energy", "edges": [0.0, 1.0, 500.0]}, TIME]})
    )
    for key, counts in everything.signal.items():
        np.testing.assert_allclose(
            everything.binning.project(counts, ["time"]), time.signal[key], rtol=1e-6
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"analysis.axes": [ENERGY, ENERGY]}, "must differ"),
        ({"analysis.axes": [TIME | {"edges": None}]}, "needs `edges`"),
        ({"analysis.axes": [TIME | {"edges": [0.0, 5e3, 5e3]}]}, "must increase"),
        ({"analysis.axes": [TIME | {"edges": [-1.0, 5e3]}]}, "must lie in beam-on, 0 to"),
        ({"analysis.axes": [TIME | {"edges": [0.0, 5e6]}]}, "must lie in beam-on"),
        ({"analysis.axes": [{"name": "place", "edges": [0.0, 1.0]}]}, "energy"),
        ({"analysis.axes": [ENERGY], "analysis.edges": [1.0, 2.0]}, "given twice"),
        ({"analysis.axes": [TIME], "analysis.edges": [1.0, 2.0]}, "axes has none"),
        ({"analysis.axes": [{"name": "energy"}], "analysis.scale": "reco"}, "needs `edges`"),
        ({"analysis.axes": [TIME], "detector.time_resolution": "exposure"}, "only the window"),
    ],
)  # fmt: skip
def test_axes_that_cannot_be(settings, message):
    """Fails if axes that contradict each other, the windows or the detector are accepted."""
    with pytest.raises(ExperimentError, match=message):
        load("ess-csi", settings)


def test_too_many_bins():
    """Fails if bins without number are made."""
    axes = [ENERGY | {"edges": np.linspace(1, 40, 202).tolist()},
            TIME | {"edges": np.linspace(0, 1e6, 102).tolist()}]  # fmt: skip
    with pytest.raises(ExperimentError, match="201 of energy x 101 of time bins"):
        binning(load("ess-csi", {"analysis.axes": axes}))


def test_axes_replace_the_edges_of_a_file():
    """Fails if a file's edges stand in the way of axes, or are lost where axes leave them."""
    time = TIME | {"edges": [0.0, 1e3, 6e3]}
    own = load("sns-csi-2017").analysis.edges
    kept = load("sns-csi-2017", {"analysis.axes": [{"name": "energy"}, time]})
    assert kept.analysis.energy_edges == own
    replaced = load("sns-csi-2017", {"analysis.axes": [ENERGY, time]})
    assert replaced.analysis.energy_edges == ENERGY["edges"]
    assert load("sns-csi-2017", {"analysis.axes": [time]}).analysis.energy_edges is None
    again = replaced.replace(**{"analysis.axes.time.edges": [0.0, 2e3]})
    assert again.analysis.time_edges == [0.0, 2e3]


def test_an_empty_bin_is_named():
    """Fails if a bin of energy × time that expects nothing is not said to be which."""
    early = TIME | {"edges": [-1e4, -5e3, 1e6]}
    e = load("ess-csi", {"background.steady.enabled": False, "windows.on_start": -1e4,
                         "analysis.axes": [ENERGY, early]})  # fmt: skip
    with pytest.raises(
        ExperimentError, match=r"energy \[1, 2\] keV_nr, time \[-1e\+04, -5000\] ns"
    ):
        build([e], ["strength"])


def test_hist():
    """Fails if the histogram of templates has not all axes with labels and counts."""
    found = templates(load("ess-csi", {"analysis.axes": [ENERGY, TIME]}))
    h = found.hist()
    assert [axis.name for axis in h.axes] == ["flavour", "nucleus", "structure", "energy", "time"]
    key = next(iter(found.signal))
    np.testing.assert_array_equal(h[(*key, ...)].values().ravel(), found.signal[key])
