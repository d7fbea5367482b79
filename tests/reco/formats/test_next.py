"""NEXT's HDF5: round trips, what PyTables finds, and damage."""

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load, read

tables = pytest.importorskip("tables")

XE = "ess-xe"


def test_round_trip(ntuple, round_trip, equal):
    """Fails if a column or the exposure is not what the ntuple has, without naming it."""
    before, after, _, told = round_trip(ntuple(XE, 0.02), "next", ".h5")
    equal(before, after, "pulse", "time", "window", "module", "x", "y", "e_reco", "selected")
    np.testing.assert_allclose(after["z"], before["z"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(after["e_nr"], before["e_nr"], rtol=3e-7)
    assert told["pulses"] == round(0.02 * load(XE).source.pulses_per_year)


def test_read_by_pytables(ntuple, selected, tmp_path):
    """Fails if PyTables finds other types, times, places or energies."""
    path, file = ntuple(XE, 0.02), tmp_path / "a.h5"
    number = export_events(path, "next", file, settings={"daq.gain": 0.003})
    before, daq = selected(path), load(XE).daq
    seconds = daq.epoch_ns * 1e-9 + before["pulse"] / 14 + before["time"] * 1e-9
    with tables.open_file(file) as opened:
        dst, run = opened.root.DST.Events.read(), opened.root.Run.events.read()
        assert opened.root.Run.runInfo.nrows == 1
        hits = opened.root.MC.hits.read()
    assert len(dst) == len(run) == len(hits) == number
    assert (dst.dtype["event"], dst.dtype["nS2"], dst.dtype["Z"]) == ("i8", "u2", "f8")
    np.testing.assert_allclose(dst["S2e"] * 0.003, before["e_reco"], rtol=1e-7)
    np.testing.assert_allclose(dst["time"], seconds, rtol=0, atol=1e-6)
    np.testing.assert_allclose(run["timestamp"], seconds * 1e3, rtol=0, atol=1)
    np.testing.assert_allclose(dst["R"] * np.cos(dst["Phi"]), before["x"], atol=1e-4)
    assert ((dst["Z"] >= 0) & (dst["Z"] <= 720)).all()
    np.testing.assert_allclose(hits["energy"], before["e_nr"] * 1e-3, rtol=1e-6)


def test_files_of_others(ntuple, selected, tmp_path):
    """Fails if a kdst alone is not read by its times."""
    path, file = ntuple(XE, 0.02), tmp_path / "a.h5"
    export_events(path, "next", file)
    with tables.open_file(file, "a") as opened:
        opened.remove_node("/NUSPILL", recursive=True)
        opened.remove_node("/MC", recursive=True)
        del opened.root._v_attrs.nuspill
    import_events(file, tmp_path / "a.root", experiment=XE)
    before, (after, _) = selected(path), read(tmp_path / "a.root")
    np.testing.assert_array_equal(after["pulse"], before["pulse"])
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=300)
    assert np.isnan(after["e_nr"]).all()


def change(name, column, i, value):
    def damage(path):
        with tables.open_file(path, "a") as opened:
            rows = opened.get_node(name).read()
            rows[column][i] = value
            opened.get_node(name).modify_rows(0, rows=rows)

    return damage


def without(path):
    with tables.open_file(path, "a") as opened:
        opened.remove_node("/DST/Events")
        opened.create_table("/DST", "Events", np.zeros(3, [("event", "i8"), ("time", "f8")]))


def removed(path):
    with tables.open_file(path, "a") as opened:
        opened.remove_node("/DST/Events")


DAMAGE = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:30_000]), "is no whole file", None),
    "wrong magic": (lambda p: p.write_bytes(b"x" + p.read_bytes()[1:]), "is no whole", None),
    "no table": (removed, "has no table /DST/Events", None),
    "no columns": (without, "has no column S2e, X, Y, Z", None),
    "NaN": (change("/DST/Events", "S2e", 4, np.nan), "1 events without a finite energy", 1),
    "backwards": (change("/NUSPILL/Clock", "pulse", 4, 10**9), "1 events out of the order", 1),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    damage, text, dropped = DAMAGE[case]
    file, back = tmp_path / "a.h5", tmp_path / "a.root"
    number = export_events(ntuple(XE, 0.02), "next", file)
    damage(file)
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, back, "next", experiment=XE)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert not back.exists()
    if dropped is not None:
        told = import_events(file, back, "next", experiment=XE, repair=True)
        assert told["events"] == number - dropped
