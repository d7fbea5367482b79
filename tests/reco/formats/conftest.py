"""Small ntuples, files and the measured data, for the formats' tests."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nuspill import export_events, import_events, load, plan, read, write
from nuspill.reco.formats.shared.transfer import blocks_of, opened_source

SHARED = Path(__file__).resolve().parents[4] / "shared/data"


@pytest.fixture(scope="session")
def ntuple(tmp_path_factory):
    """Path of an ntuple of about a thousand selected events or fewer, by experiment."""
    made = {}

    def make(name, years=0.01, seed=5, place=True, **settings):
        key = name, years, seed, place, str(settings)
        if key not in made:
            path = tmp_path_factory.mktemp("ntuple") / f"{name}.root"
            run = plan(load(name, settings or None), seed, years=years, place=place)
            write(run, path)
            made[key] = path
        return made[key]

    return make


@pytest.fixture(scope="session")
def selected():
    """Columns of the selected events of an ntuple."""

    def columns(path):
        events, _ = read(path)
        return {name: column[events["selected"]] for name, column in events.items()}

    return columns


@pytest.fixture
def round_trip(tmp_path, selected):
    """Export and import: what went in, what came back, and the file between."""

    def call(path, name, suffix="", experiment=None, **settings):
        file, back = tmp_path / f"there{suffix}", tmp_path / "back.root"
        number = export_events(path, name, file, settings=settings)
        told = import_events(
            file, back, experiment=experiment, settings=settings if experiment else None
        )
        before, (after, _) = selected(path), read(back)
        assert number == told["events"] == len(before["event"]) > 100
        assert len(after["event"]) == number
        return before, after, file, told

    return call


@pytest.fixture(scope="session")
def shared():
    """The folder of measured data beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"no measured data in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def equal():
    """Columns of two blocks are equal, in value and type."""

    def check(a, b, *names):
        for name in names:
            assert a[name].dtype == b[name].dtype, name
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)

    return check


EXPERIMENTS = {"compass": "ess-csi", "compass-root": "ess-csi", "nexus": "ess-csi",
               "ev44": "ess-csi", "lh5": "ess-csi", "fits": "ess-si", "next": "ess-xe",
               "nuhepmc": "ess-csi", "sbc": "ess-c3f8", "coherent-2017": "sns-csi-2017",
               "coherent-2021": "sns-csi-2021"}  # fmt: skip
"""Of every format that can be read."""


@pytest.fixture(scope="session")
def fuzz():
    """How many damaged files a reader gets, whether they are the same each time, and the memory.

    NUSPILL_FUZZ=10000 in the environment is a campaign, of other files each time.
    """
    number = os.environ.get("NUSPILL_FUZZ")
    return SimpleNamespace(
        experiments=EXPERIMENTS,
        examples=int(number or 150),
        same=number is None,
        most_memory=600_000,  # kB that reading may add to the peak
    )


@pytest.fixture(scope="session")
def good(ntuple, tmp_path_factory):
    """A small good file of each format."""
    made = {}

    def make(name):
        if name in made:
            return made[name]
        folder = tmp_path_factory.mktemp("fuzz")
        if name == "coherent-2017":
            for state in ("coincidence", "anticoincidence"):
                rows = [f"{2 * i + 1.0}, 0.25, {i % 3}" for i in range(25)]
                (folder / f"data_{state}_beamOn.txt").write_text("\n".join(rows))
            made[name] = folder / "data_coincidence_beamOn.txt"
        elif name == "coherent-2021":
            for file in ("dataBeamOnC.txt", "dataBeamOnAC.txt"):
                (folder / file).write_text("# PE, us\n" + "12.5 1.25\n7 3.5\n" * 20)
            made[name] = folder / "dataBeamOnC.txt"
        else:
            experiment = EXPERIMENTS[name]
            years = {"ess-si": 0.1, "ess-c3f8": 0.1}.get(experiment, 0.001)
            options = {"daq.ccd.rows": 20, "daq.ccd.columns": 20} if name == "fits" else {}
            if name == "compass":
                options = {"daq.waveform": {"samples": 20}}
            path = ntuple(experiment, years, place=experiment in ("ess-csi", "ess-xe"))
            export_events(path, name, folder / "good", settings=options)
            made[name] = folder / "good/event.sbc" if name == "sbc" else folder / "good"
        return made[name]

    return make


@pytest.fixture(scope="session")
def read_all():
    """Number of events that a reader finds, all of them as they must be."""

    def call(path, name, repair):
        form, source = opened_source(path, name, experiment=EXPERIMENTS[name], repair=repair)
        events = 0
        for block in blocks_of(form, source):
            assert len({len(column) for column in block.values()}) == 1
            assert np.isfinite(block["e_reco"]).all() or np.abs(block["e_reco"]).max() > 1e38
            assert np.isfinite(block["time"]).all()
            assert (np.diff(block["pulse"]) >= 0).all()
            events += len(block["pulse"])
        return events

    return call
