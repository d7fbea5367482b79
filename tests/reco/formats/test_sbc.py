"""SBC tables: round trips, an independent reader, the format library's own file, and damage."""

import struct

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, read

C3F8 = "ess-c3f8"
PLACED = {"detector.geometry": {"shape": "cylinder", "size": [100.0, 200.0]}}


def table_of(path):
    """Rows of a table, read from what the format's description says, value by value."""
    data = path.read_bytes()
    magic, length = struct.unpack_from("<IH", data)
    assert magic == 0x01020304
    parts = data[6 : 6 + length].decode("ascii").split(";")
    codes = {"int32": ("i", 4), "int64": ("q", 8), "double": ("d", 8), "string100": ("400s", 400)}
    at, rows = 10 + length, []
    while at < len(data):
        row = {}
        for name, kind, dims in zip(parts[:-1:3], parts[1::3], parts[2::3], strict=True):
            code, size = codes[kind]
            count = int(np.prod([int(d) for d in dims.split(",")]))
            values = struct.unpack_from(f"<{code * count}", data, at)
            row[name] = values if count > 1 else values[0]
            at += size * count
        rows.append(row)
    return rows


def test_round_trip(ntuple, round_trip, equal):
    """Fails if a pulse, time, window or place is not what the ntuple has."""
    path = ntuple(C3F8, 1.0, **PLACED)
    before, after, folder, _ = round_trip(path, "sbc", "", C3F8, **{"daq.first_pulse": 0})
    tables = {"event.sbc", "bubble.sbc", "reco.sbc", "scintillation.sbc"}
    assert {f.name for f in folder.iterdir()} == tables
    equal(before, after, "pulse", "time", "window", "x", "y", "z", "selected")
    assert (after["e_reco"] == 2.0).all()
    events, places = table_of(folder / "event.sbc"), table_of(folder / "reco.sbc")
    assert [row["pulse"] for row in events] == before["pulse"].tolist()
    assert [row["coords_3D"][2] for row in places] == before["z"].tolist()
    since = np.array([row["cum_livetime"] for row in events])
    np.testing.assert_allclose(
        since, before["pulse"] / 14.0 + before["time"] * 1e-9, rtol=0, atol=1e-8
    )
    assert sum(row["ev_livetime"] for row in events) == pytest.approx(since[-1])
    assert events[0]["trigger_source"].decode("utf-32").rstrip("\0") == "nuspill"
    light = table_of(folder / "scintillation.sbc")
    assert [row["ev"] for row in light] == [row["ev"] for row in events]
    assert np.isnan([row["hit_area"] for row in light]).all()  # C3F8 does not scintillate


def test_light(ntuple, round_trip, equal):
    """Fails if the light of a detector that sees it is not that of its events."""
    path = ntuple("sns-csi-2017", 1.0, place=False)
    gain = {"daq.gain": 0.01, "daq.first_pulse": 0}
    before, after, folder, _ = round_trip(path, "sbc", "", "sns-csi-2017", **gain)
    equal(before, after, "pulse", "time", "window", "e_reco", "selected")
    rows = table_of(folder / "scintillation.sbc")
    areas = np.array([row["hit_area"] for row in rows])
    assert areas.shape == (len(before["e_reco"]), 32)
    np.testing.assert_allclose(areas.sum(axis=1) * 0.01, before["e_reco"], rtol=1e-6)
    np.testing.assert_allclose(rows[3]["hit_t0"], before["time"][3] * 1e-3)


def test_light_of_several_triggers(ntuple, tmp_path, selected):
    """Fails if an event is not as bright as its brightest trigger, or one in the dark is bright."""
    path, csi = ntuple("sns-csi-2017", 1.0, place=False), "sns-csi-2017"
    export_events(path, "sbc", tmp_path / "a")
    light = tmp_path / "a/scintillation.sbc"
    data = light.read_bytes()
    begin = 10 + struct.unpack_from("<H", data, 4)[0]
    kind = np.dtype([("runid", "<i4", 2), ("ev", "<i4"), *((f"c{i}", "<f8", 32) for i in range(9))])
    rows = np.frombuffer(data[begin:], kind).copy()
    again = rows[::-1].copy()
    again["c4"] /= 2
    again["c4"][:5] = np.nan
    rows["c4"][-3:] = np.nan
    light.write_bytes(data[:begin] + again.tobytes() + rows.tobytes())
    told = import_events(tmp_path / "a", tmp_path / "a.root", experiment=csi)
    before, (after, _) = selected(path), read(tmp_path / "a.root")
    assert told["events"] == len(before["e_reco"])
    np.testing.assert_array_equal(after["e_reco"][:-3], before["e_reco"][:-3])
    np.testing.assert_allclose(after["e_reco"][-3:], 4.25 * 0.0878 * 13.348, rtol=1e-6)
    assert not after["selected"][-3:].any()


def test_light_without_areas(ntuple, tmp_path):
    """Fails if a table of light without areas is taken for darkness."""
    export_events(ntuple("sns-csi-2017", 1.0, place=False), "sbc", tmp_path / "a")
    light = tmp_path / "a/scintillation.sbc"
    light.write_bytes(light.read_bytes().replace(b";hit_area;", b";hit_aria;"))
    with pytest.raises(ExperimentError, match=r"scintillation\.sbc has no columns .*hit_area"):
        import_events(tmp_path / "a", tmp_path / "a.root", experiment="sns-csi-2017")


def test_without_place_and_by_start_time(ntuple, tmp_path, selected):
    """Fails if tables without our own columns, or places, give other pulses and windows."""
    path = ntuple(C3F8, 1.0, place=False)
    export_events(path, "sbc", tmp_path / "a")
    event = tmp_path / "a/event.sbc"
    event.write_bytes(event.read_bytes().replace(b";pulse;int64;", b";pulsf;int64;"))
    event.write_bytes(event.read_bytes().replace(b";time;double;", b";tame;double;"))
    import_events(tmp_path / "a", tmp_path / "a.root", experiment=C3F8)
    before, (after, _) = selected(path), read(tmp_path / "a.root")
    np.testing.assert_array_equal(after["pulse"], before["pulse"])
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=500)
    assert "x" not in after


def test_measured_file(shared, tmp_path):
    """Fails if the library's own test file is read in other numbers than byte by byte."""
    path = shared / "daq_samples/sbc_test.sbc.bin"
    data = path.read_bytes()
    kind = np.dtype([("t", "<i4"), ("xyz", "<f8", 3), ("momentum", "<f8", (3, 2))])
    rows = np.frombuffer(data[10 + 63 :], kind)
    import_events(path, tmp_path / "a.root", experiment=C3F8)
    events, told = read(tmp_path / "a.root")
    assert len(rows) == len(events["event"]) == told["events"] > 100
    np.testing.assert_array_equal(events["time"], rows["t"])
    for i, axis in enumerate("xyz"):
        np.testing.assert_array_equal(events[axis], rows["xyz"][:, i].astype("f4"))
    assert not events["pulse"].any()


DAMAGE = {
    "wrong magic": (lambda d: b"\x05" + d[1:], "begins with 05030201", None),
    "header alone": (lambda d: d[:40], "ends within its header", None),
    "row cut off": (lambda d: d[:-3], "1 rows cut off at the end", 1),
    "claims 2^31 rows": (lambda d: claim(d, 2**31 - 1), "rows that event.sbc claims", 0),
    "unknown type": (lambda d: d.replace(b"int64", b"int65"), "column 'pulse;int65;1'", None),
    "absurd dimensions": (
        lambda d: headed(d, b"runid;int32;2;", b"runid;int32;999999999;"),
        "column 'runid;int32;999999999'", None,
    ),
    "no time": (
        lambda d: d.replace(b";time;", b";tame;").replace(b"start_time", b"start_tame"),
        "has no column of time", None,
    ),
    "backwards": (
        lambda d: d[:-516] + d[-516:].replace(d[-16:-8], b"\0" * 8), "out of the order of time", 1,
    ),
}  # fmt: skip


def headed(data, old, new):
    (length,) = struct.unpack_from("<H", data, 4)
    text = data[6 : 6 + length].replace(old, new)
    return data[:4] + struct.pack("<H", len(text)) + text + data[6 + length :]


def claim(data, rows):
    (length,) = struct.unpack_from("<H", data, 4)
    return data[: 6 + length] + struct.pack("<i", rows) + data[10 + length :]


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    change, text, dropped = DAMAGE[case]
    number = export_events(ntuple(C3F8, 1.0, place=False), "sbc", tmp_path / "a")
    event = tmp_path / "a/event.sbc"
    event.write_bytes(change(event.read_bytes()))
    with pytest.raises(ExperimentError) as wrong:
        import_events(tmp_path / "a", tmp_path / "a.root", "sbc", experiment=C3F8)
    assert str(wrong.value).startswith(str(tmp_path / "a"))
    assert text in str(wrong.value)
    if dropped is not None:
        told = import_events(
            tmp_path / "a", tmp_path / "a.root", "sbc", experiment=C3F8, repair=True
        )
        assert told["events"] == number - dropped
