"""NeXus event data: round trips, what scippnexus finds, and damage."""

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load

h5py = pytest.importorskip("h5py")

CSI = "ess-csi"
EVENTS = "entry/instrument/detector/events"


def test_round_trip(ntuple, round_trip, equal):
    """Fails if a column or the exposure is not what the ntuple has, without naming it."""
    before, after, _, told = round_trip(ntuple(CSI, 0.02), "nexus", ".nxs")
    equal(before, after, "pulse", "window", "module", "e_reco", "selected")
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=0.5)
    run = load(CSI)
    assert told["pulses"] == round(0.02 * run.source.pulses_per_year)
    assert told["protons_on_target"] == pytest.approx(0.02 * run.source.protons)
    assert told["imported"]["pulses_from"] == "the file"


def test_read_by_scippnexus(ntuple, selected, tmp_path):
    """Fails if scippnexus finds another number of events, times, modules or protons."""
    snx, sc = pytest.importorskip("scippnexus"), pytest.importorskip("scipp")
    path, file = ntuple(CSI, 0.02), tmp_path / "a.nxs"
    number = export_events(path, "nexus", file)
    before, run = selected(path), load(CSI)
    with snx.File(file) as opened:
        detector = opened["entry/instrument/detector"][()]
        charge = opened["entry/proton_charge"][()]
        energy = opened["entry/energy"][()]
    events = detector["events"].bins.concat().value
    assert events.sizes == {"event": number}
    modules = [int(np.sum(before["module"] == m)) for m in range(4)]
    assert detector["events"].bins.size().values.tolist() == modules
    order = np.argsort(events.coords["event_time_zero"].values, kind="stable")
    zero = events.coords["event_time_zero"].values.astype("datetime64[ns]").astype(np.int64)[order]
    exact = run.daq.epoch_ns + np.array([round(int(p) * 10**9 / 14) for p in before["pulse"]])
    assert np.abs(zero - exact).max() <= 1
    assert events.coords["event_time_offset"].unit == sc.Unit("ns")
    np.testing.assert_array_equal(
        np.sort(events.coords["event_time_offset"].values), np.sort(np.rint(before["time"]))
    )
    np.testing.assert_array_equal(energy.values, before["e_reco"])
    protons = charge.data.to(unit="C").sum().value / 1.602176634e-19
    assert protons == pytest.approx(0.02 * run.source.protons)


def change(path, name, values=None, **attributes):
    """Replace a column of a file, or delete it."""
    with h5py.File(path, "r+") as file:
        old = dict(file[name].attrs)
        if values is not None or not attributes:
            data = None if values is None else values(file[name][()])
            del file[name]
            if values is not None:
                file[name] = data
                file[name].attrs.update(old)
        file[name].attrs.update(attributes) if attributes else None


def empty_claim(path):
    """A column of 2^62 rows without a byte in the file."""
    with h5py.File(path, "r+") as file:
        del file[f"{EVENTS}/event_id"]
        file.create_dataset(f"{EVENTS}/event_id", (2**62,), "i4", chunks=(1000,))


def endless_heap(path):
    """A heap of texts whose free rest has no length, at which HDF5 itself never ends."""
    data = bytearray(path.read_bytes())
    at = start = data.index(b"GCOL") + 16
    while int.from_bytes(data[at : at + 2], "little"):
        at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
    assert start < at
    data[at + 8 : at + 16] = bytes(8)
    path.write_bytes(data)


def put(i, value):
    def values(array):
        array[i] = value
        return array

    return values


DAMAGE = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:20_000]), "is no whole file", None),
    "wrong magic": (lambda p: p.write_bytes(b"\x88" + p.read_bytes()[1:]), "is no whole", None),
    "missing column": (lambda p: change(p, f"{EVENTS}/event_id"), "no column /entry/ins", None),
    "no energies": (lambda p: change(p, "entry/energy"), "has no group /entry/energy", None),
    "shorter column": (
        lambda p: change(p, f"{EVENTS}/event_id", lambda a: a[:-1]), "different lengths", None,
    ),
    "text": (lambda p: change(p, f"{EVENTS}/event_id", lambda a: "ab"), "event_id is", None),
    "wrong units": (
        lambda p: change(p, f"{EVENTS}/event_time_zero", units="furlong"), "'furlong'", None,
    ),
    "wrong start": (
        lambda p: change(p, f"{EVENTS}/event_time_zero", start="then"), "'then'", None,
    ),
    "other unit": (
        lambda p: change(p, "entry/energy/energy", unit="PE"), "energies in PE", None,
    ),
    "claims 2^62": (empty_claim, "claims 4611686018427387904 values", None),
    "endless heap": (endless_heap, "the global heap at byte", None),
    "index beyond": (
        lambda p: change(p, f"{EVENTS}/event_index", put(5, 10**15)), "event_index", None,
    ),
    "index back": (lambda p: change(p, f"{EVENTS}/event_index", put(5, 0)), "event_index", None),
    "NaN energies": (
        lambda p: change(p, "entry/energy/energy", put(slice(3, 5), np.nan)),
        "2 events without a finite energy", 2,
    ),
    "backwards": (
        lambda p: change(p, f"{EVENTS}/event_time_zero", put(9, 19 * 10**17)),
        "out of the order of time", 1,
    ),
    "other JSON": (
        lambda p: change(p, "entry/nuspill/data", lambda a: b'{"program": "nuspill"}'),
        "nuspill wrote of it is damaged", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    damage, text, dropped = DAMAGE[case]
    file, back = tmp_path / "a.nxs", tmp_path / "a.root"
    number = export_events(ntuple(CSI), "nexus", file)
    damage(file)
    given = None if case == "other JSON" else CSI
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, back, "nexus", experiment=given)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert not back.exists()
    if dropped is not None:
        told = import_events(file, back, "nexus", experiment=given, repair=True)
        assert told["events"] == number - dropped


def test_microseconds_and_another_epoch(ntuple, tmp_path, selected):
    """Fails if units and the start of the times are not taken from the file."""
    file, back = tmp_path / "a.nxs", tmp_path / "a.root"
    export_events(ntuple(CSI), "nexus", file)
    change(file, f"{EVENTS}/event_time_offset", lambda a: a // 1000, units="us")
    day = 86_400 * 10**9
    change(file, f"{EVENTS}/event_time_zero", lambda a: a - np.uint64(day),
           start="1970-01-02T00:00:00Z")  # fmt: skip
    import_events(file, back)
    from nuspill import read

    before, (after, _) = selected(ntuple(CSI)), read(back)
    np.testing.assert_array_equal(after["pulse"], before["pulse"])
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=1001)
