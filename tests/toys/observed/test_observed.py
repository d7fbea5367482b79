"""Observed counts from texts, histograms and ntuples, and files that are none of these."""

import numpy as np
import pytest
import uproot
from nuspill import ExperimentError, export_events, generate, import_events, load
from nuspill.reco.runs.ntuple import write
from nuspill.reco.runs.origin import restored
from nuspill.reco.runs.run import plan
from nuspill.toys.counts.combination import build
from nuspill.toys.fit.search import search
from nuspill.toys.observed.observed import observed

SHORT = {"exposure.years": 0.02}


def experiment(name="ess-csi", statistic="pulls"):
    return load(name, SHORT | {"analysis.statistic": statistic})


@pytest.fixture(scope="module")
def csi():
    """Experiment and model with known background, and one data set."""
    e = experiment()
    model = build([e], ["strength"])
    return e, model, np.arange(model.bins) * 3.0 + 1


def test_text(csi, tmp_path):
    """Fails if a count a line, with comments and empty lines, is not read as such."""
    e, model, counts = csi
    path = tmp_path / "data.txt"
    path.write_text("# counts\n\n" + "\n".join(f"{n:g}  # bin" for n in counts) + "\n")
    data = observed(model, [e], [str(path)])
    np.testing.assert_array_equal(data.counts, counts[None])
    assert data.centre.shape == (1, model.variables)
    assert not data.centre.any()
    assert not data.off.any()


@pytest.mark.parametrize("separator", [",", ", ", " ", "\t"])
def test_two_columns(separator, tmp_path):
    """Fails if beam-on and beam-off counts of a CSV or a text are not told apart."""
    on = np.arange(build([experiment()], ["strength"]).bins) + 5.0
    path = tmp_path / "data.csv"
    path.write_text("\n".join(f"{n:g}{separator}{10 * n:g}" for n in on))
    for statistic in ("pulls", "on-off", "on-off-scaled"):
        e = experiment(statistic=statistic)
        model = build([e], ["strength"])
        data = observed(model, [e], [str(path)])
        np.testing.assert_array_equal(data.counts[0, : len(on)], on)
        if statistic == "on-off":
            np.testing.assert_array_equal(data.off[0], 10 * on)
        elif statistic == "on-off-scaled":
            assert data.counts[0, -1] == 10 * on.sum()


def test_histogram(csi, tmp_path):
    """Fails if a TH1 of ROOT is not read, or one with other bins is."""
    e, model, counts = csi
    path = tmp_path / "data.root"
    edges = model.section("ess-csi").binning.energy
    with uproot.recreate(path) as file:
        file["folder/h"] = counts, edges
        file["shifted"] = counts, edges + 0.1
        file["short"] = counts[:-1], edges[:-1]
        file["negative"] = -counts, edges
        file["plane"] = np.ones((2, 2)), np.arange(3.0), np.arange(3.0)
    data = observed(model, [e], [f"{path}:folder/h"])
    np.testing.assert_array_equal(data.counts, counts[None])
    for name, part in {
        "shifted": "bins from", "short": f"{len(counts) - 1} bins", "negative": "0 or more",
        "plane": "2 axes", "nosuch": "no histogram", "folder": "no histogram",
    }.items():  # fmt: skip
        with pytest.raises(ExperimentError, match=part) as error:
            observed(model, [e], [f"{path}:{name}"])
        assert "data.root" in str(error.value)


@pytest.mark.parametrize("statistic", ["pulls", "on-off"])
def test_ntuple(statistic, tmp_path):
    """Fails if events of an ntuple are not counted: selected ones, in the bins, by window."""
    e = experiment(statistic=statistic)
    model = build([e], ["strength"])
    path = tmp_path / "events.root"
    write(plan(e, 3), path)
    events = generate(e, seed=3, library="np")
    data = observed(model, [e], [str(path)])
    edges = model.section("ess-csi").binning.energy
    energy = events["e_reco_nr"].astype(float)
    for window, counts in ((1, data.counts[0]), (2, data.off[0])):
        chosen = events["selected"] & (events["window"] == window)
        expected = np.histogram(energy[chosen], edges)[0]
        if window == 1 or statistic == "on-off":
            np.testing.assert_array_equal(counts, expected)
    for name in ("events", "nosuch"):
        with pytest.raises(ExperimentError, match=r"events\.root"):
            observed(model, [e], [f"{path}:{name}"])


def test_ntuple_of_another_run(tmp_path):
    """Fails if events of another exposure or target are fitted as if they were the model's."""
    e = experiment()
    model = build([e], ["strength"])
    years = e.exposure.years
    for factor, right in ((0.9995, True), (0.97, False), (0.995, False), (1.03, False)):
        path = tmp_path / f"{factor}.root"
        write(plan(e, 3, years=factor * years), path)
        if right:
            observed(model, [e], [str(path)])
            continue
        with pytest.raises(ExperimentError, match=rf"{factor}\.root: .* --years {factor * years}"):
            observed(model, [e], [str(path)])
    germanium = tmp_path / "ge.root"
    write(plan(experiment("ess-ge"), 3), germanium)
    with pytest.raises(ExperimentError, match=r"ge\.root: .*target\.material is 'Ge' .* 'CsI'"):
        observed(model, [e], [str(germanium)])


def test_several_experiments(csi, tmp_path):
    """Fails if files are not taken for the experiments in their order, or one is missing."""
    other = experiment("ess-ar")
    e, _, counts = csi
    model = build([e, other], ["strength"])
    (tmp_path / "a").write_text("\n".join(map(str, counts)))
    (tmp_path / "b").write_text("77")
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    data = observed(model, [e, other], files)
    np.testing.assert_array_equal(data.counts[0], [*counts, 77])
    for wrong in (files[:1], [*files, files[0]]):
        with pytest.raises(ExperimentError, match="2 experiments"):
            observed(model, [e, other], wrong)
    with pytest.raises(ExperimentError, match="lines"):
        observed(model, [e, other], files[::-1])


BAD = {
    "empty": b"",
    "comments only": b"# nothing\n",
    "too few": b"1\n2\n",
    "three columns": b"1 2 3\n" * 19,
    "ragged": b"1\n" * 18 + b"1 2\n",
    "negative": b"1\n" * 18 + b"-1\n",
    "nan": b"1\n" * 18 + b"nan\n",
    "infinite": b"1\n" * 18 + b"inf\n",
    "huge": b"1\n" * 18 + b"1e300\n",
    "words": b"one\n" * 19,
    "binary": bytes(range(256)),
    "header": b"on,off\n" + b"1,2\n" * 19,
}


@pytest.mark.parametrize("case", BAD)
def test_bad_text(case, csi, tmp_path):
    """Fails if a file that is no table of counts is taken, or the file is not named."""
    e, model, counts = csi
    assert len(counts) == 19
    path = tmp_path / "data.txt"
    path.write_bytes(BAD[case])
    with pytest.raises(ExperimentError, match=r"data\.txt"):
        observed(model, [e], [str(path)])


@pytest.mark.parametrize("name", ["none.txt", "none.root", "none.root:h", ".", "text.root"])
def test_no_such_data(name, csi, tmp_path, monkeypatch):
    """Fails if a missing file, a folder or a false ROOT file is not refused by name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.root").write_text("no ROOT")
    e, model, _ = csi
    with pytest.raises(ExperimentError, match=name.split(":", maxsplit=1)[0].replace(".", r"\.")):
        observed(model, [e], [name])


def test_beam_off_is_needed(tmp_path):
    """Fails if beam-on counts alone are taken where beam-off measures the background."""
    e = experiment(statistic="on-off")
    model = build([e], ["strength"])
    path = tmp_path / "data.txt"
    path.write_text("1\n" * model.bins)
    with pytest.raises(ExperimentError, match="has no beam-off counts"):
        observed(model, [e], [str(path)])


def test_upper_edge(tmp_path):
    """Fails if the last bin holds its upper edge, which that of a template does not.

    Photo-electrons are whole numbers, and 30 of them lie on it.
    """
    e = load("sns-csi-2017", {"exposure.years": 20.0})
    path = tmp_path / "events.root"
    write(plan(e, seed=5), path)
    events = generate(e, seed=5, library="np")
    on = events["selected"] & (events["window"] == 1)
    energy = events["e_reco"][on]
    assert np.count_nonzero(energy == 30) > 100
    data = observed(build([e], ["strength"]), [e], [str(path)])
    assert data.counts[0, 11] == np.count_nonzero((energy >= 28) & (energy < 30))


WITH_PULL = {
    "exposure.years": 1.0,
    "background.steady.rate": 0.1,
    "analysis.systematic": [{"name": "quenching", "effect": "quenching", "uncertainty": 0.1}],
}


def test_quenching_of_the_data_is_seen(tmp_path):
    """Fails if data with half the quenching are binned with their own: a pull of 0.003 then."""
    e = load("ess-csi", WITH_PULL)
    model = build([e], ["strength"])
    pulls = {}
    for factor in (0.1, 0.05):
        path = tmp_path / f"{factor}.root"
        write(plan(load("ess-csi", WITH_PULL | {"detector.quenching.factor": factor}), 3), path)
        if factor != 0.1:
            text = r"0\.05\.root: .*detector\.quenching\.factor is 0\.05 in the file and 0\.1 in"
            with pytest.raises(ExperimentError, match=text):
                observed(model, [e], [str(path)])
        accept = [] if factor == 0.1 else ["detector.quenching"]
        data = observed(model, [e], [str(path)], accept)
        (origin,) = data.origins
        assert len(origin.accepted) == len(accept)
        fit = search(model).fit(data)
        pulls[factor] = fit.values[0, model.names.index("quenching")], fit.chi2[0]
    assert abs(pulls[0.1][0]) < 3 * 0.31
    assert pulls[0.05][0] < -3
    assert pulls[0.05][1] > pulls[0.1][1] + 500


@pytest.mark.parametrize("name", ["ess-csi", "ess-ge", "ess-si", "ess-ar", "sns-csi-2017"])
def test_energies_of_the_file_are_not_used(name, tmp_path):
    """Fails if counts change with a file's own recoil energies, which are a model's."""
    e = experiment(name)
    model = build([e], ["strength"])
    run = plan(e, 3)
    path, other = tmp_path / "a.root", tmp_path / "b.root"
    write(run, path)
    with uproot.open(path) as file:
        events, text = file["events"].arrays(library="np"), str(file["provenance"])
    events["e_reco_nr"] = 2 * events["e_reco_nr"]
    with uproot.recreate(other) as file:
        file.mktree("events", {n: c.dtype for n, c in events.items()}).extend(events)
        file["provenance"] = text
    a, b = (observed(model, [e], [str(p)]) for p in (path, other))
    np.testing.assert_array_equal(a.counts, b.counts)
    due = model.counts(model.truth).sum()
    assert abs(a.counts.sum() - due) < 5 * np.sqrt(due)


@pytest.mark.filterwarnings("ignore::nuspill.reco.errors.Notice")  # of the truth threshold
@pytest.mark.parametrize(
    "settings",
    [{"source.distance": 25.0}, {"target.mass": 20.0}, {"detector.threshold": 2.0},
     {"detector.efficiency.plateau": 0.4}, {"windows.off_ratio": 2.0},
     {"windows.on_start": 5e5}, {"background.steady.rate": 20.0},
     {"source.power": 2.0}, {"exposure.truth_threshold": 10.0}],
)  # fmt: skip
def test_data_of_another_model(settings, tmp_path):
    """Fails if events of another source, target, detector, window or background are fitted."""
    e = experiment()
    model = build([e], ["strength"])
    path = tmp_path / "a.root"
    write(plan(load("ess-csi", SHORT | settings), 3), path)
    (key,) = settings
    with pytest.raises(ExperimentError, match=rf"a\.root: does not belong .*{key}"):
        observed(model, [e], [str(path)])
    data = observed(model, [e], [str(path)], [key, "source", "windows", "exposure"])
    assert key in [accepted[0] for accepted in data.origins[0].accepted]


def test_data_of_the_same_detector(tmp_path):
    """Fails if other couplings, seed, bins, statistic or DAQ of the file are refused."""
    e = load("ess-csi", SHORT | {"analysis.edges": [1.0, 3.0, 9.0]})
    model = build([e], ["strength"])
    path = tmp_path / "a.root"
    settings = {"interaction.nsi.u.ee": 0.2, "daq.gain": 0.02, "analysis.statistic": "on-off"}
    write(plan(load("ess-csi", settings), 12, years=0.02), path)
    (origin,) = observed(model, [e], [str(path)]).origins
    assert (origin.accepted, origin.missing) == ((), ())
    assert origin.years_of_operation == pytest.approx(0.02)


def test_exposure_that_is_accepted(tmp_path):
    """Fails if another exposure cannot be accepted, or that is not kept."""
    e = experiment()
    model = build([e], ["strength"])
    write(plan(e, 3, years=0.01), tmp_path / "a.root")
    for key in ("exposure.years", "exposure"):
        (origin,) = observed(model, [e], [str(tmp_path / "a.root")], [key]).origins
        assert origin.accepted == (("exposure.years", pytest.approx(0.01), 0.02),)
        assert restored([origin.as_json()]) == (origin,)
    with pytest.raises(ExperimentError, match="--accept exposures: is not a key"):
        observed(model, [e], [str(tmp_path / "a.root")], ["exposures"])


AXES = [
    {"name": "energy", "edges": [1.0, 2.0, 4.0, 10.0]},
    {"name": "time", "edges": [0.0, 2e5, 1e6, 2e6, 2.81e6]},
]
PLACES = [(e, t) for e in (1.5, 3.0, 7.0) for t in (1e5, 5e5, 1.5e6, 2.5e6)]


def in_time(statistic="pulls", axes=AXES):
    """Experiment and model with counts in several axes."""
    e = load("ess-csi", SHORT | {"analysis.axes": axes, "analysis.statistic": statistic})
    return e, build([e], ["strength"])


@pytest.mark.parametrize("separator", [",", " "])
@pytest.mark.parametrize("off", [False, True])
def test_texts_of_two_axes(off, separator, tmp_path):
    """Fails if a line a bin, a line with its place in any order, or a matrix is another count."""
    e, model = in_time("on-off" if off else "pulls")
    on, path = np.arange(12.0) + 3, tmp_path / "data.txt"
    beside = [[n, 100 + n] if off else [n] for n in on]
    order = np.random.default_rng(2).permutation(12)
    for lines in (beside, [[*PLACES[i], *beside[i]] for i in order]):
        path.write_text("\n".join(separator.join(f"{x:g}" for x in line) for line in lines))
        data = observed(model, [e], [str(path)])
        np.testing.assert_array_equal(data.counts[0], on)
        if off:
            np.testing.assert_array_equal(data.off[0], 100 + on)
    path.write_text("\n".join(separator.join(f"{x:g}" for x in row) for row in on.reshape(3, 4)))
    if off:
        with pytest.raises(ExperimentError, match="has no beam-off counts"):
            observed(model, [e], [str(path)])
    else:
        np.testing.assert_array_equal(observed(model, [e], [str(path)]).counts[0], on)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "11 lines of 3 numbers; expected are 12 lines.*3 lines of 4"),
        (lambda lines: [*lines[:-1], lines[0]], r"1.5, 100000 of line 12 is in the bin of another"),
        (lambda lines: [*lines[:-1], (11.0, 5e5, 2)], "11, 500000 of line 12 is in no bin"),
        (lambda lines: [*lines[:-1], (7.0, 2.5e6, -2)], "0 or more"),
    ],
)
def test_texts_of_two_axes_that_do_not_fit(change, message, tmp_path):
    """Fails if a bin that is missing, twice or nowhere is taken for another one."""
    e, model = in_time()
    path = tmp_path / "data.txt"
    lines = change([(*place, n) for n, place in enumerate(PLACES)])
    path.write_text("\n".join(" ".join(f"{x:.10g}" for x in line) for line in lines))
    with pytest.raises(ExperimentError, match=message):
        observed(model, [e], [str(path)])


def test_histograms_of_two_axes(tmp_path):
    """Fails if a TH2 is not read in the order of the bins, with beam-off on request, or turned."""
    e, model = in_time("on-off")
    path, on = tmp_path / "data.root", np.arange(12.0).reshape(3, 4)
    energy, time = (np.array(axis["edges"]) for axis in AXES)
    with uproot.recreate(path) as file:
        file["on"], file["off"] = (on, energy, time), (on + 50, energy, time)
        file["turned"] = on.T, time, energy
        file["one"] = on.sum(axis=1), energy
    data = observed(model, [e], [f"{path}:on,off"])
    np.testing.assert_array_equal(data.counts[0], on.ravel())
    np.testing.assert_array_equal(data.off[0], on.ravel() + 50)
    for name, message in {"on": "no beam-off", "turned": "axis 0", "one": "1 axes"}.items():
        with pytest.raises(ExperimentError, match=message):
            observed(model, [e], [f"{path}:{name}"])


@pytest.mark.parametrize("statistic", ["pulls", "on-off", "on-off-scaled"])
@pytest.mark.parametrize("axes", [AXES, AXES[1:]])
def test_ntuple_in_time(statistic, axes, tmp_path):
    """Fails if events are in other bins of time: those of beam-off are as late as in beam-on."""
    e, _ = in_time(statistic, axes)
    e = e.replace(**{"windows.off_ratio": 2.0})
    model, path = build([e], ["strength"]), tmp_path / "events.root"
    write(plan(e, 3), path)
    events, w = generate(e, seed=3, library="np"), e.beam_windows
    data = observed(model, [e], [str(path)])
    found = []
    for window, start, length in ((1, w.on_start, w.on_length), (2, w.off_start, w.off_length)):
        chosen = events["selected"] & (events["window"] == window)
        part = (events["time"][chosen] - start) / length
        columns = [events["e_reco_nr"][chosen].astype(float), w.on_start + part * w.on_length]
        edges = [np.array(axis["edges"]) for axis in axes]
        found.append(np.histogramdd(columns[-len(axes) :], edges)[0].ravel())
    section = model.sections[0]
    np.testing.assert_array_equal(data.counts[0, section.on], found[0])
    if statistic == "on-off":
        np.testing.assert_array_equal(data.off[0], found[1])
    elif statistic == "on-off-scaled":
        assert data.counts[0, -1] == found[1].sum()


def test_imported_data_without_times(tmp_path):
    """Fails if events of a format that loses their times are binned in the middle of the window."""
    pytest.importorskip("astropy.io.fits")
    timed = {"detector.time_resolution": 1e4, "detector.dead_time_of": "event"}
    e = load("ess-si", timed | {"exposure.years": 1.0, "daq.ccd.rows": 30, "daq.ccd.columns": 30})
    here, there, back = (tmp_path / name for name in ("a.root", "a.fits", "b.root"))
    write(plan(e, 3), here)
    export_events(here, "fits", there)
    import_events(there, back)
    axes = [{"name": "energy", "edges": [0.5, 2.0, 20.0]}, {"name": "time", "edges": [0.0, 2e6]}]
    e = e.replace(**{"analysis.axes": axes})
    model = build([e], ["strength"])
    assert observed(model, [e], [str(here)]).counts.sum() > 20
    with pytest.raises(ExperimentError, match="it has no times"):
        observed(model, [e], [str(back)], ["detector", "exposure"])


@pytest.mark.parametrize(
    ("axes", "refused"),
    [
        ([{"name": "energy", "edges": [6.0, 10.0, 30.0]}], ""),
        ([{"name": "energy", "edges": [6.0, 10.0, 30.0]},
          {"name": "time", "edges": [-1500.0, 0.0, 1500.0]}], ""),
        ([{"name": "energy", "edges": [6.0, 9.0, 30.0]}], "e_reco"),
        ([{"name": "time", "edges": [0.0, 250.0, 1500.0]}], "time"),
    ],
)  # fmt: skip
def test_binned_data_in_other_bins(axes, refused, tmp_path):
    """Fails if counts that a release gives in bins are put in bins that cut these."""
    for name in ("coincidence", "anticoincidence"):
        lines = [f"{2 * i + 1}, {0.5 * j + 0.25}, 3" for i in range(25) for j in range(12)]
        (tmp_path / f"data_{name}_beamOn.txt").write_text("\n".join(lines) + "\n")
    settings = {"windows.on_start": -1500.0, "analysis.axes": axes}
    settings["analysis.statistic"] = "on-off"
    e = load("sns-csi-2017", settings)
    path = tmp_path / "data.root"
    import_events(tmp_path, path, "coherent-2017", experiment="sns-csi-2017", settings=settings)
    model = build([e], ["strength"])
    if refused:
        with pytest.raises(ExperimentError, match=f"{refused} to the centre of a bin"):
            observed(model, [e], [str(path)])
        return
    data = observed(model, [e], [str(path)])
    times = 12 if len(axes) == 1 else 3
    np.testing.assert_array_equal(data.counts[0][:: len(model.tau) // 2], [6 * times, 30 * times])
    np.testing.assert_array_equal(data.off, data.counts)
