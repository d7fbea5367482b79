"""LH5: round trips, what LEGEND's own package finds, and damage."""

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load, read

lh5 = pytest.importorskip("lh5")
h5py = pytest.importorskip("h5py")

CSI, GE = "ess-csi", "ess-ge"


@pytest.mark.parametrize("name", [CSI, GE])
def test_round_trip(name, ntuple, round_trip, equal):
    """Fails if a column or the exposure is not what the ntuple has, without naming it."""
    years = {CSI: 0.02, GE: 0.5}[name]
    before, after, _, told = round_trip(ntuple(name, years, place=name == CSI), "lh5", ".lh5")
    equal(before, after, "pulse", "time", "window", "e_reco", "selected")
    if name == CSI:
        equal(before, after, "module")
    assert told["pulses"] == round(years * load(name).source.pulses_per_year)


def test_read_by_lgdo(ntuple, selected, tmp_path, monkeypatch):
    """Fails if LEGEND's package finds other hits, coincidences or events, over many blocks."""
    monkeypatch.setattr("nuspill.reco.runs.reading.BLOCK_EVENTS", 500)
    path, file = ntuple(CSI, 0.02), tmp_path / "a.lh5"
    number = export_events(path, "lh5", file)
    before, daq = selected(path), load(CSI).daq
    seconds = daq.epoch_ns * 1e-9 + before["pulse"] / 14 + before["time"] * 1e-9
    for module in range(4):
        mine = before["module"] == module
        hits = lh5.read(f"ch{module:07d}/hit", file)
        np.testing.assert_array_equal(hits["cuspEmax_ctc_cal"].nda, before["e_reco"][mine])
        np.testing.assert_allclose(hits["timestamp"].nda, seconds[mine], rtol=0, atol=1e-6)
        assert hits["timestamp"].attrs["units"] == "s"
    tcm = lh5.read("hardware_tcm_1", file)
    np.testing.assert_array_equal(tcm["table_key"].flattened_data.nda, before["module"])
    rows = tcm["row_in_table"].flattened_data.nda
    for module in range(4):
        mine = rows[before["module"] == module]
        np.testing.assert_array_equal(mine, np.arange(len(mine)))
    evt = lh5.read("evt", file).view_as("ak")
    assert len(evt) == number
    np.testing.assert_array_equal(evt.geds.energy[:, 0], before["e_reco"])
    np.testing.assert_allclose(evt.trigger.timestamp, seconds, rtol=0, atol=1e-6)


def test_raw_tier(ntuple, selected, tmp_path):
    """Fails if waveforms are not those of the energies."""
    path, file = ntuple(GE, 0.5, place=False), tmp_path / "a.lh5"
    settings = {"daq.gain": 0.001, "daq.waveform": {"samples": 200, "period": 16.0}}
    export_events(path, "lh5", file, settings=settings)
    raw = lh5.read("ch0000000/raw", file)
    counts = np.rint(selected(path)["e_reco"] / 0.001)
    np.testing.assert_allclose(raw["daqenergy"].nda, counts, atol=1)
    heights = raw["waveform"].values.nda.max(axis=1).astype(int) - 1000
    np.testing.assert_allclose(heights, counts, atol=1)
    assert (raw["waveform"].dt.nda == 16).all()


def test_files_of_others(ntuple, selected, tmp_path):
    """Fails if a file without our own columns is not read by its timestamps."""
    path, file = ntuple(GE, 0.5, place=False), tmp_path / "a.lh5"
    export_events(path, "lh5", file)
    with h5py.File(file, "r+") as opened:
        for name in ("nuspill", "ch0000000/hit/pulse", "ch0000000/hit/time"):
            del opened[name]
    import_events(file, tmp_path / "a.root", experiment=GE)
    before, (after, _) = selected(path), read(tmp_path / "a.root")
    np.testing.assert_array_equal(after["pulse"], before["pulse"])
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=300)


def change(path, name, values=None, units=None):
    """Replace a column of a file, or its units, or delete it."""
    with h5py.File(path, "r+") as file:
        if units is not None:
            file[name].attrs["units"] = units
            return
        old, attrs = file[name][()], dict(file[name].attrs)
        del file[name]
        if values is not None:
            file[name] = values(old)
            file[name].attrs.update(attrs)


def put(i, value):
    def values(array):
        array[i] = value
        return array

    return values


HIT = "ch0000000/hit"
DAMAGE = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:9000]), "is no whole file", None),
    "no energies": (lambda p: change(p, f"{HIT}/cuspEmax_ctc_cal"), "has no column /ch00", None),
    "shorter": (lambda p: change(p, f"{HIT}/pulse", lambda a: a[1:]), "different lengths", None),
    "MeV": (lambda p: change(p, f"{HIT}/cuspEmax_ctc_cal", units="MeV"), "in 'MeV'", None),
    "no channel": (lambda p: rename(p), "has no hits of a channel", None),
    "NaN": (
        lambda p: change(p, f"{HIT}/cuspEmax_ctc_cal", put(7, np.nan)), "without a finite", 1,
    ),
    "backwards": (lambda p: change(p, f"{HIT}/pulse", put(7, 10**9)), "order of time", 1),
}  # fmt: skip


def rename(path):
    with h5py.File(path, "r+") as file:
        file.move("ch0000000", "channel0")


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    damage, text, dropped = DAMAGE[case]
    file, back = tmp_path / "a.lh5", tmp_path / "a.root"
    number = export_events(ntuple(GE, 0.5, place=False), "lh5", file)
    damage(file)
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, back, "lh5", experiment=GE)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert not back.exists()
    if dropped is not None:
        told = import_events(file, back, "lh5", experiment=GE, repair=True)
        assert told["events"] == number - dropped
