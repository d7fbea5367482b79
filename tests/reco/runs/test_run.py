"""A run is a pure function of experiment, seed and event number, however it is made."""

from itertools import pairwise

import awkward as ak
import numpy as np
import pytest
from nuspill import ExperimentError, generate, iterate, load, plan
from nuspill.generator.rate import integral
from nuspill.reco.cluster.workers import Here
from nuspill.reco.columns import COLUMNS
from scipy.stats import chi2, kstest

ESS, SNS = "ess-csi", "sns-csi-2017"
BUSY = {
    "name": "busy",
    "rate": 60.0,
    "total": True,
    "timing": "prompt",
    "measured": False,
    "range": [1.0, 20.0],
}


def same(a, b):
    """Columns and every bit of their values are equal."""
    assert list(a) == list(b)
    for name, values in a.items():
        assert values.dtype == b[name].dtype, name
        assert values.tobytes() == b[name].tobytes(), name


def joined(blocks):
    """Blocks as one, copied while they last."""
    copies = [{name: v.copy() for name, v in block.items()} for block in blocks]
    return {name: np.concatenate([c[name] for c in copies]) for name in copies[0]}


@pytest.fixture(scope="module")
def run():
    """A run with signal, steady and prompt background, places, vetoed exposures: 4e5 events."""
    settings = {
        "background": [{"name": "steady", "rate": 10.0}, BUSY],
        "detector.dead_time": 0.2,
        "detector.dead_time_of": "exposure",
        "detector.time_resolution": 1e4,
        "exposure.slice_pulses": 1_000_000,
    }
    return plan(load(ESS, settings), 77, years=0.7, place=True)


@pytest.fixture(scope="module")
def whole(run):
    """All its events, made by one thread."""
    assert run.events > 200_000
    assert run.slices >= 16  # several tasks for each thread
    return run.make(0, run.events, workers=Here(1))


@pytest.mark.parametrize("threads", [2, 3, None])
def test_threads(run, whole, threads):
    """Fails if an event depends on the number of threads."""
    same(run.make(0, run.events, Here(threads)), whole)


@pytest.mark.parametrize("step", [999, 50_000, 10_000_000])
@pytest.mark.parametrize("reuse", [False, True])
def test_blocks(run, whole, step, reuse):
    """Fails if an event depends on the size of blocks, or reused arrays are changed too early."""
    stop = 20_000 if step < 1000 else run.events
    found = joined(run.blocks(0, stop, step, reuse=reuse))
    same(found, {name: v[:stop] for name, v in whole.items()})


def test_any_part(run, whole):
    """Fails if events made from a number on are not those of the whole run."""
    rng = np.random.default_rng(4)
    edges = np.sort(rng.integers(0, run.events, (25, 2)), axis=1)
    border = run.offsets[5]
    edges = [
        *edges,
        (0, 1),
        (run.events - 1, run.events),
        (border, border + 1),
        (border - 1, border),
    ]
    for start, stop in edges:
        part = run.make(int(start), int(stop))
        same(part, {name: v[start:stop] for name, v in whole.items()})


def test_nothing(run):
    """Fails if no events from somewhere are not an empty block of the right types."""
    block = run.make(5, 5)
    assert {name: v.dtype for name, v in block.items()} == run.dtypes
    assert all(len(v) == 0 for v in block.values())


def test_made_in_given_arrays(run, whole):
    """Fails if events are not written to the arrays that are given, or beyond their number."""
    out = run.allocate(1500)
    out["pulse"][1000:] = -7
    block = run.make(0, 1000, out=out)
    same(block, {name: v[:1000] for name, v in whole.items()})
    assert block["pulse"].base is out["pulse"]
    assert np.all(out["pulse"][1000:] == -7)


def test_columns(run, whole):
    """Fails if a column has another type than documented."""
    assert [*whole][: len(COLUMNS)] == list(COLUMNS)
    for name, (kind, _, _) in COLUMNS.items():
        assert whole[name].dtype == np.dtype(kind)
    assert [*whole][len(COLUMNS) :] == ["module", "x", "y", "z"]


def test_order(run, whole):
    """Fails if events are not numbered 0 ... n − 1 in order of pulse and true time."""
    np.testing.assert_array_equal(whole["event"], np.arange(run.events))
    later = np.diff(whole["pulse"])
    assert later.min() >= 0
    assert np.diff(whole["time_true"])[later == 0].min() >= 0
    assert (later == 0).any()
    assert whole["pulse"].min() >= 0
    assert whole["pulse"].max() < run.pulses


def test_same_again(whole):
    """Fails if a run planned anew from the experiment written down is another run."""
    experiment = load(ESS).model_validate_json(plan(load(ESS)).experiment.model_dump_json())
    a = plan(experiment, 5, years=0.01)
    b = plan(load(ESS), 5, years=0.01)
    same(a.make(0, a.events), b.make(0, b.events))


@pytest.mark.parametrize("name", [ESS, SNS, "ess-si", "ess-xe-he"])
def test_disabled_background_leaves_the_signal(name):
    """Fails if switching a background off changes any column of the signal but its number."""
    experiment = load(name)
    a_year = sum(e.total for e in plan(experiment).expected)
    years = 3e5 / a_year
    full, quiet = (
        plan(experiment.replace(**{"background.steady.enabled": enabled}), 9, years=years)
        for enabled in (True, False)
    )
    events = full.make(0, full.events)
    signal = {name: v[events["component"] < 10] for name, v in events.items()}
    alone = quiet.make(0, quiet.events)
    assert quiet.events == len(signal["event"])
    assert 0 < quiet.events < full.events
    for block in (signal, alone):
        del block["event"]
    same(signal, alone)


def test_one_background_leaves_another():
    """Fails if switching one background off changes the events of another."""
    given = {"background": [{"name": "steady", "rate": 10.0}, BUSY]}
    experiment = load(ESS, given)
    kept = []
    for enabled in (True, False):
        run = plan(experiment.replace(**{"background.busy.enabled": enabled}), 9, years=0.3)
        events = run.make(0, run.events)
        mine = events["component"] == 10
        kept.append({name: v[mine] for name, v in events.items() if name != "event"})
    same(*kept)
    assert len(kept[0]["pulse"]) > 10_000


def test_added_background_leaves_the_signal():
    """Fails if a further background, no larger than 64 times the signal, changes the signal."""
    kept = []
    for extra in ([], [BUSY]):
        given = {"background": [{"name": "steady", "rate": 10.0}, *extra]}
        run = plan(load(ESS, given), 9, years=0.3)
        events = run.make(0, run.events)
        mine = events["component"] < 10
        kept.append({name: v[mine] for name, v in events.items() if name != "event"})
    same(*kept)


def test_response_leaves_the_truth():
    """Fails if another resolution, window or acceptance changes true energies and times."""
    settings = {
        "detector.resolution.relative": 0.1,
        "detector.efficiency.plateau": 0.5,
        "detector.dead_time": 0.4,
        "windows.off_ratio": 2.0,
        "exposure.truth_threshold": 0.4,
        "background.steady.enabled": False,
    }
    a = plan(load(ESS, {k: settings[k] for k in list(settings)[4:]}), 3, years=1.0)
    b = plan(load(ESS, settings), 3, years=1.0)
    first, second = a.make(0, a.events), b.make(0, b.events)
    for name in ("event", "pulse", "time_true", "component", "target", "e_nu", "e_nr"):
        assert first[name].tobytes() == second[name].tobytes(), name
    assert (first["selected"] != second["selected"]).any()


def test_seeds_differ():
    """Fails if two seeds, alike in their lower or upper half, give the same events."""
    seeds = [0, 1, 2**32, 2**32 + 1, 2**64 - 1]
    found = []
    for seed in seeds:
        run = plan(load(ESS), seed, events=2000)
        found.append(run.make(0, 1500)["time_true"])
    for i, a in enumerate(found):
        for b in found[:i]:
            assert np.intersect1d(a, b).size < 5
    assert plan(load(ESS), 2**64 - 1, years=0.001).make(0, 5)["event"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("events", [1, 2, 1000, 123_457])
@pytest.mark.parametrize("name", [ESS, SNS, "ess-c3f8"])
def test_fixed_number_of_signal_events(name, events):
    """Fails if a run for a number of signal events has one more or less, for any seed."""
    for seed in (1, 2, 3):
        run = plan(load(name), seed, events=events)
        block = run.make(0, run.events)
        assert np.count_nonzero(block["component"] < 10) == events


def test_fixed_number_scales_the_rest(goodness):
    """Fails if flavours are not shared multinomially, or background is not scaled to the signal."""
    run = plan(load(ESS), 6, events=300_000)
    n = np.bincount(run.make(0, run.events)["component"], minlength=11)
    expected = {e.component: e.total * run.years for e in run.expected}
    assert sum(v for k, v in expected.items() if k < 10) == pytest.approx(300_000, rel=1e-6)
    assert goodness(n[1:4], [expected[c] for c in (1, 2, 3)], total=300_000) > 1e-4
    assert abs(n[10] - expected[10]) < 5 * expected[10] ** 0.5
    assert run.years == pytest.approx(run.pulses / run.experiment.source.pulses_per_year, rel=1e-6)


def test_fixed_signal_is_uniform_in_the_run(goodness):
    """Fails if a fixed number of events is not shared among slices by their pulses."""
    run = plan(load(ESS, {"background.steady.enabled": False}), 8, events=500_000)
    n, _ = np.histogram(run.make(0, run.events)["pulse"], 1000, (0, run.pulses))
    assert goodness(n, np.ones(1000), total=500_000) > 1e-4


def test_numbers_are_poisson():
    """Fails if events a slice have another mean or variance than Poisson, over 3e4 slices."""
    experiment = load(ESS, {"exposure.slice_pulses": 20_000})
    run = plan(experiment, 12, years=3.0)
    n = np.diff(run.offsets)[:-1]
    mean = sum(e.total for e in run.expected) * 20_000 / experiment.source.pulses_per_year
    assert n.size > 30_000
    statistic = np.sum((n - mean) ** 2) / mean
    assert 1e-4 < chi2.sf(statistic, n.size) < 1 - 1e-4
    assert abs(n.sum() - mean * n.size) < 5 * np.sqrt(mean * n.size)


def test_slice_length_changes_no_distribution():
    """Fails if energies or times depend on how the run is cut (Kolmogorov-Smirnov)."""
    values = []
    for pulses in (20_000, 1_000_000, 50_000_000):
        settings = {"exposure.slice_pulses": pulses, "background.steady.enabled": False}
        run = plan(load(ESS, settings), 31, years=2.0)
        values.append(run.make(0, run.events))
    for other in values[1:]:
        for column in ("e_nr", "e_reco", "time_true", "pulse"):
            assert kstest(values[0][column], other[column]).pvalue > 1e-4


def test_protons_and_years():
    """Fails if protons on target are not turned into the same years."""
    experiment = load(ESS)
    a = plan(experiment, 3, pot=2.8e23 * 0.02)
    b = plan(experiment, 3, years=0.02)
    assert a.protons == pytest.approx(2.8e23 * 0.02)
    assert a.pulses == b.pulses == round(0.02 * 5000 * 3600 * 14)
    same(a.make(0, a.events), b.make(0, b.events))
    assert plan(experiment).years == experiment.exposure.years


MODELS = {
    "nsi": {"interaction.nsi.u.ee": 0.2, "interaction.nsi.d.mumu": -0.1},
    "moment": {"interaction.moment.numu": 20.0},
    "form": {"interaction.form_factor": "klein-nystrand", "interaction.axial": True},
    "same": {"interaction.couplings": "tree"},
}


def test_weights(goodness):
    """Fails if weighted counts of 1e6 events are not those another interaction would give.

    In bins of true recoil energy and flavour, with the variance of the weights.
    """
    settings = {"background.steady.enabled": False, "exposure.truth_threshold": 0.3}
    experiment = load(ESS, settings)
    run = plan(experiment, 51, events=1_000_000, weights=MODELS)
    block = run.make(0, run.events)
    edges = np.geomspace(0.3, experiment.end_point * 1.001, 31)
    for name, model in MODELS.items():
        weight = block[f"weight_{name}"].astype(float)
        other = load(ESS, settings | model)
        for component in (1, 2, 3):
            mine = block["component"] == component
            e_nr = block["e_nr"][mine]
            found, variance = (
                np.histogram(e_nr, edges, weights=weight[mine] ** k)[0] for k in (1, 2)
            )
            expected = run.years * np.array([
                sum(integral(c, *bin_) for c in other.channels
                    if c.flavour.component == component)
                for bin_ in pairwise(edges)
            ])  # fmt: skip
            filled = np.histogram(e_nr, edges)[0] > 100
            pulls = (found - expected)[filled] / np.sqrt(variance[filled])
            assert chi2.sf(np.sum(pulls**2), filled.sum()) > 1e-4, (name, component)


def test_weights_of_what_does_not_change():
    """Fails if background has a weight, the same interaction another than 1, or events change."""
    run = plan(load(ESS), 52, years=0.1, weights=MODELS)
    block = run.make(0, run.events)
    np.testing.assert_array_equal(block["weight_same"], 1)
    for name in MODELS:
        assert block[f"weight_{name}"].dtype == np.float32
        np.testing.assert_array_equal(block[f"weight_{name}"][block["component"] >= 10], 1)
    plain = plan(load(ESS), 52, years=0.1)
    without = plain.make(0, plain.events)
    same(without, {name: block[name] for name in without})
    same(run.make(0, run.events, workers=Here(1)), block)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a b": {"interaction.nsi.u.ee": 0.1}}, "'a b'"),
        ({"x": {"target.mass": 3.0}}, "'x'.*target.mass"),
        ({"x": {"interaction.nsi.u.eee": 0.1}}, "'ee'"),
        ({"x": {"interaction.sin2w": 3.0}}, "interaction.sin2w = 3.0"),
    ],
)
def test_wrong_weights(weights, message):
    """Fails if a weight that cannot be is planned, or the error does not name it."""
    with pytest.raises(ExperimentError, match=message):
        plan(load(ESS), weights=weights)


def test_generate():
    """Fails if the events of `generate` are not the run's, in either library."""
    experiment = load(ESS)
    run = plan(experiment, 4, years=0.02)
    expected = run.make(0, run.events)
    arrays = generate(experiment, seed=4, years=0.02, library="np")
    same(arrays, expected)
    records = generate(experiment, seed=4, years=0.02)
    assert isinstance(records, ak.Array)
    assert records.fields == list(expected)
    for name, values in expected.items():
        assert np.asarray(records[name]).dtype == values.dtype
        np.testing.assert_array_equal(np.asarray(records[name]), values)
    part = generate(experiment, seed=4, years=0.02, start=100, stop=10**12, library="np")
    same(part, {name: v[100:] for name, v in expected.items()})
    chosen = generate(experiment, seed=4, years=0.02, selected_only=True, library="np")
    same(chosen, {name: v[expected["selected"]] for name, v in expected.items()})
    assert chosen["selected"].all()


def test_iterate():
    """Fails if blocks are not those of `generate`, in either library, also for a stop beyond."""
    experiment = load(ESS)
    expected = generate(experiment, seed=4, years=0.02, library="np")
    options = {"seed": 4, "years": 0.02}
    same(joined(iterate(experiment, step=700, library="np", **options)), expected)
    sizes = [len(block) for block in iterate(experiment, step=700, **options)]
    assert set(sizes[:-1]) == {700}
    assert sum(sizes) == len(expected["event"])
    chosen = joined(iterate(experiment, step=700, library="np", selected_only=True, **options))
    same(chosen, {name: v[expected["selected"]] for name, v in expected.items()})
    beyond = joined(iterate(experiment, start=100, stop=10**12, library="np", **options))
    same(beyond, {name: v[100:] for name, v in expected.items()})


def test_no_events():
    """Fails if a run without events is no empty run."""
    one_pulse = 1 / (5000 * 3600 * 14)
    run = plan(load("ess-ar"), 1, years=one_pulse)
    assert run.pulses == 1
    assert run.events == 0
    assert list(run.blocks()) == []
    assert len(generate(load("ess-ar"), years=one_pulse)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"years": 1.0, "pot": 1e20}, "at most one"),
        ({"years": 1.0, "events": 10}, "at most one"),
        ({"seed": -1}, "seed must be from 0 .* not -1"),
        ({"seed": 2**64}, "seed must be .* not 18446744073709551616"),
        ({"years": 0.0}, "years must be positive, not 0"),
        ({"years": -1.0}, "years must be positive, not -1"),
        ({"years": float("nan")}, "years must be positive, not nan"),
        ({"years": float("inf")}, "years must be positive, not inf"),
        ({"pot": 0.0}, "pot must be positive"),
        ({"events": 0}, "events must be positive, not 0"),
        ({"events": -5}, "events must be positive, not -5"),
        ({"place": True}, "ess-ge: detector.geometry is not given"),
        ({"years": 1e30}, "years"),
        ({"pot": 1e60}, "pot|years"),
        ({"events": 10**18}, "events"),
    ],
    ids=str,
)
def test_wrong_plan(options, message):
    """Fails if a run that cannot be is planned, or the error names neither number nor value."""
    with pytest.raises(ExperimentError, match=message):
        plan(load("ess-ge"), **options)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 10**12)])
def test_wrong_range(run, start, stop):
    """Fails if events outside the run are made up."""
    with pytest.raises(ValueError, match="not within the run"):
        run.make(start, stop)


def test_wrong_library():
    """Fails if a library that is none is taken for another."""
    with pytest.raises(ValueError, match="'ak' or 'np', not 'pd'"):
        generate(load(ESS), years=1e-4, library="pd")
