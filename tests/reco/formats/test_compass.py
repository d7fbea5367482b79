"""CoMPASS binary: round trips, the digitiser's own file, and what legend-daq2lh5 makes of ours."""

import struct

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load, read
from nuspill.reco.formats.compass import record

CSI = "ess-csi"
GAIN = {"daq.gain": 0.002}


def rows_of(path, samples=0):
    """Records of a file and its header."""
    data = path.read_bytes()
    (header,) = struct.unpack("<H", data[:2])
    return header, np.frombuffer(data[2:], record(header, samples))


def test_round_trip(ntuple, round_trip, equal):
    """Fails if a pulse, time, window, module or energy is not what the ntuple has."""
    before, after, file, told = round_trip(ntuple(CSI, 0.02), "compass", ".BIN", CSI, **GAIN)
    assert file.read_bytes()[:2] == b"\xe1\xca"
    equal(before, after, "pulse", "window", "module")
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=5.1e-4)
    np.testing.assert_allclose(after["e_reco"], before["e_reco"], rtol=1e-6, atol=1.01e-3)
    assert np.isnan(after["e_nr"]).all()
    assert not after["component"].any()
    assert told["imported"]["pulses_from"] == "the last event"


@pytest.mark.parametrize("samples", [0, 16])
def test_file_that_goes_on_without_a_header(samples, ntuple, tmp_path):
    """Fails if such a file gives other events than with its header, or is not told."""
    whole, file = tmp_path / "a.BIN", tmp_path / "b.BIN"
    shape = {"daq.waveform": {"samples": samples}} if samples else {}
    export_events(ntuple(CSI), "compass", whole, settings=GAIN | shape)
    header, _ = rows_of(whole, samples)
    file.write_bytes(whole.read_bytes()[2:])
    with pytest.raises(ExperimentError, match=r"goes on without one set daq\.header"):
        import_events(file, tmp_path / "b.root", "compass", experiment=CSI, settings=GAIN)
    for path in (whole, file):
        told = GAIN | {"daq.header": header}
        import_events(path, path.with_suffix(".root"), "compass", experiment=CSI, settings=told)
    a, b = (read(tmp_path / f"{name}.root")[0] for name in "ab")
    assert len(a["pulse"]) > 50
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_calibrated_energies_are_exact(ntuple, round_trip, equal):
    """Fails if an energy loses a bit, or an event its selection."""
    before, after, file, _ = round_trip(
        ntuple(CSI, 0.02), "compass", ".BIN", CSI, **{"daq.calibrated": True}
    )
    assert file.read_bytes()[:2] == b"\xe3\xca"
    equal(before, after, "pulse", "window", "module", "e_reco", "selected")
    np.testing.assert_allclose(after["e_reco_nr"], before["e_reco_nr"], rtol=1e-4)


def test_channels_and_saturation(ntuple, tmp_path):
    """Fails if the channel map is not used, or too large an energy is not clipped and flagged."""
    channels = [[3, 7], [1, 2], [0, 0], [9, 1]]
    path = ntuple(CSI)
    export_events(path, "compass", tmp_path / "a.BIN",
                  settings={"daq.gain": 1e-5, "daq.channels": channels})  # fmt: skip
    _, rows = rows_of(tmp_path / "a.BIN")
    assert {(r["board"], r["channel"]) for r in rows} == {tuple(pair) for pair in channels}
    assert (rows["energy"] == 65535).any()
    assert ((rows["flags"] & 0x80 > 0) == (rows["energy"] == 65535)).all()
    with pytest.raises(ExperimentError, match="no channel of module 3, only 2"):
        export_events(path, "compass", tmp_path / "b.BIN",
                      settings={"daq.channels": channels[:2]})  # fmt: skip
    assert [f.name for f in tmp_path.iterdir()] == ["a.BIN"]


def test_stretch_of_a_run(ntuple, tmp_path, selected, equal):
    """Fails if a stretch holds other events, or they come back in other pulses."""
    path, between = ntuple(CSI, 0.02), (1_000_000, 3_000_000)
    export_events(path, "compass", tmp_path / "a.BIN", settings=GAIN, pulses=between)
    settings = GAIN | {"daq.first_pulse": between[0]}
    import_events(tmp_path / "a.BIN", tmp_path / "a.root", experiment=CSI, settings=settings)
    before = selected(path)
    keep = (before["pulse"] >= between[0]) & (before["pulse"] < between[1])
    equal({n: c[keep] for n, c in before.items()}, read(tmp_path / "a.root")[0], "pulse", "window")


def test_longer_than_the_clock(ntuple, tmp_path):
    """Fails if times that need more than 63 bits are written: 107 days in ps."""
    path = ntuple("ess-c3f8", 3.0, place=False)
    with pytest.raises(ExperimentError, match=r"clock counts to 2\^63"):
        export_events(path, "compass", tmp_path / "a.BIN")
    assert list(tmp_path.iterdir()) == []


def test_a_window_that_opens_before_the_pulse(ntuple, round_trip, equal):
    """Fails if events before their pulse, which may be the first, are of another one."""
    early = {"windows.on_start": -1e6, "windows.on_length": 4e6}
    beam = {"source.repetition": 50.0, "source.power": 5.0}
    path = ntuple(CSI, 0.002, **early, **beam, **{"background.steady.rate": 20000.0})
    export_events(path, "compass", path.with_suffix(".BIN"))
    before = read(path)[0]
    assert (before["time"][before["selected"]] < 0).any()
    file = path.parent / "early.toml"
    file.write_text(
        'extends = "ess-csi"\nname = "early"\nwindows.on_start = -1e6\nwindows.on_length = 4e6\n'
        "source.repetition = 50.0\nsource.power = 5.0\n"
    )
    before, after, _, _ = round_trip(path, "compass", ".BIN", file, **GAIN)
    equal(before, after, "pulse", "window")


def test_events_without_a_pulse(shared, tmp_path):
    """Fails if data of which no pulse is known get a time of their own."""
    import_events(shared / "coherent_csi_2017", tmp_path / "a.root")
    with pytest.raises(ExperimentError, match="events of unknown pulse"):
        export_events(tmp_path / "a.root", "compass", tmp_path / "a.BIN")


def test_waveforms_read_by_legend(ntuple, tmp_path):
    """Fails if legend-daq2lh5 finds another number, channel, time, energy or pulse height."""
    pytest.importorskip("daq2lh5")
    from daq2lh5.compass.compass_streamer import CompassStreamer

    settings = {"daq.waveform": {"samples": 400}, **GAIN}
    beam = {"source.repetition": 1.0, "source.power": 5.0}
    path, file = ntuple(CSI, 0.02, **beam), tmp_path / "a.BIN"
    number = export_events(path, "compass", file, settings=settings)
    header, rows = rows_of(file, 400)
    assert header == 0xCAE9
    streamer = CompassStreamer()
    streamer.open_stream(str(file), buffer_size=2 * number)
    found = [one for one in streamer.read_chunk() if one.loc and "energy" in one.lgdo]
    streamer.close_stream()
    (one,) = found
    assert one.loc == number == len(rows) > 50
    for name in ("channel", "energy", "flags"):
        np.testing.assert_array_equal(one.lgdo[name].nda[:number], rows[name])
    times = one.lgdo["timestamp"].nda[:number]
    np.testing.assert_array_equal(times, rows["timestamp"].astype(float))
    pulses = one.lgdo["waveform"]["values"].nda[:number].astype(int)
    np.testing.assert_array_equal(pulses, rows["samples"])
    height = pulses.max(axis=1) - 1000
    np.testing.assert_allclose(height, np.minimum(rows["energy"], 64535), atol=1)


def test_measured_file(shared, tmp_path):
    """Fails if a real run is read in other numbers than byte by byte."""
    data = (shared / "daq_samples/compass_test_data.BIN").read_bytes()
    told, at = [], 2
    while at < len(data):
        board, channel, when, energy, _, _, _, samples = struct.unpack_from("<HHQHHIBI", data, at)
        told.append((board, channel, when, energy))
        at += 25 + 2 * samples
    assert (len(told), told[0][2], told[-1][2]) == (102, 97876200000, 5097843193999)
    import_events(shared / "daq_samples/compass_test_data.BIN", tmp_path / "a.root",
                  experiment=CSI, settings={"daq.gain": 1.0})  # fmt: skip
    events, _ = read(tmp_path / "a.root")
    board, channel, when, energy = np.array(told).T
    np.testing.assert_array_equal(events["e_reco"], energy)
    np.testing.assert_array_equal(events["module"], 8 * board + channel)
    period = load(CSI).beam_windows.period
    ns = events["pulse"] * period + events["time"]
    np.testing.assert_allclose(ns, when / 1000, rtol=0, atol=2e-3)


def altered(good, change):
    data = bytearray(good)
    change(data)
    return bytes(data)


DAMAGE = {
    "wrong magic": (lambda d: d.__setitem__(1, 0x10), "begins with 0x10E1", None),
    "no energies": (lambda d: d.__setitem__(0, 0xE0), "begins with 0xCAE0", None),
    "cut off": (lambda d: d.__delitem__(slice(-5, None)), "1 records cut off at the end", 1),
    "header alone cut": (lambda d: d.__delitem__(slice(1, None)), "begins with", None),
    "time goes back": (
        lambda d: d.__setitem__(slice(2 + 4, 2 + 12), (10**18).to_bytes(8, "little")),
        "events out of the order of time", 1,
    ),
    "time beyond 2^63": (
        lambda d: d.__setitem__(slice(2 + 4, 2 + 12), b"\xff" * 8),
        "1 records later than 2^63 ps", 1,
    ),
    "unknown channel": (
        lambda d: d.__setitem__(slice(2 + 2, 2 + 4), b"\x63\x00"),
        "1 records of no channel in daq.channels (the first on board 0, channel 99)", 1,
    ),
    "claims 4e9 samples": (
        lambda d: (d.__setitem__(0, 0xE9), d.__setitem__(slice(2 + 19, 2 + 23), b"\xff" * 4)),
        "claims a waveform of 4294967295 samples", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    change, text, dropped = DAMAGE[case]
    file = tmp_path / "a.BIN"
    number = export_events(ntuple(CSI, 0.02), "compass", file, settings=GAIN)
    file.write_bytes(altered(file.read_bytes(), change))
    options = {"experiment": CSI, "settings": GAIN}
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, tmp_path / "a.root", "compass", **options)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert not (tmp_path / "a.root").exists()
    if dropped is not None:
        told = import_events(file, tmp_path / "a.root", "compass", repair=True, **options)
        assert sum(told["imported"]["dropped"].values()) == dropped
        assert told["events"] == number - dropped
