"""Observed data straight from a release or a data acquisition's file."""

import numpy as np
import pytest
from nuspill import ExperimentError, build, export_events, load, plan, write
from nuspill.toys.observed.observed import observed

NAME = "sns-csi-2021"


@pytest.fixture
def release(tmp_path):
    """A folder like that of COHERENT's release, with events of our own; and its arrays."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "release"
    folder.mkdir()
    arrays = []
    for name, number in (("dataBeamOnC.txt", 500), ("dataBeamOnAC.txt", 300)):
        events = np.stack([rng.uniform(5, 100, number), rng.uniform(0, 6, number)], axis=1)
        np.savetxt(folder / name, events, header="energy (PE), time (microsecond)")
        arrays.append(events)
    return folder, arrays


def test_of_a_release(release):
    """Fails if the events of a release are not in the bins where they lie, or a file is left."""
    folder, (on, _) = release
    experiment = load(NAME)
    model = build([experiment], ["strength"])
    axes = [axis.edges for axis in model.sections[0].binning.axes]
    counts, _, _ = np.histogram2d(on[:, 0], on[:, 1] * 1e3, axes)
    for path in (folder, folder / "dataBeamOnC.txt"):
        data = observed(model, [experiment], [str(path)])
        assert data.counts[0].tolist() == counts.ravel().tolist()
        assert data.origins[0].protons_on_target == pytest.approx(3.198e23)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["release"]


def test_of_another_detector(release):
    """Fails if a release is taken for the data of another detector, or a path is made up."""
    folder, _ = release
    other = load(NAME, {"target.mass": 20.0})
    with pytest.raises(ExperimentError, match=r"target\.mass is 14\.6 in the file") as error:
        observed(build([other], ["strength"]), [other], [str(folder)])
    assert str(error.value).startswith(f"{folder}: ")


def test_of_a_data_acquisition(tmp_path):
    """Fails if events are lost on the way through a DAQ's file that says whose they are."""
    pytest.importorskip("h5py")
    experiment = load("ess-xe", {"exposure.years": 0.002})
    model = build([experiment], ["strength"])
    write(plan(experiment, 3), tmp_path / "a.root")
    direct = observed(model, [experiment], [str(tmp_path / "a.root")])
    pytest.importorskip("tables")
    export_events(tmp_path / "a.root", "next", tmp_path / "a.h5")
    imported = observed(model, [experiment], [str(tmp_path / "a.h5")])
    assert imported.counts.sum() == pytest.approx(direct.counts.sum(), rel=0.02)
    assert imported.origins[0].experiment == "ess-xe"
