"""Small ntuples and the measured data, for the formats' tests."""

from pathlib import Path

import numpy as np
import pytest
from nuspill.reco import load, plan, read, write
from nuspill.reco.formats import export_events, import_events

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
