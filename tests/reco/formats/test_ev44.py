"""ev44 messages: round trips, what ess-streaming-data-types finds, and damage."""

import struct

import numpy as np
import pytest
from nuspill import ExperimentError, export_events, import_events, load

types = pytest.importorskip("streaming_data_types")

CSI = "ess-csi"


def messages(path):
    """Messages of a file."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<I", data[:4])
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


def test_round_trip(ntuple, round_trip, equal, monkeypatch):
    """Fails if a column or the pulses are not what the ntuple has, over several messages."""
    monkeypatch.setattr("nuspill.reco.formats.ev44.MESSAGE_EVENTS", 1000)
    before, after, _, told = round_trip(ntuple(CSI, 0.02), "ev44", ".ev44", CSI)
    equal(before, after, "pulse", "window", "module", "e_reco", "selected")
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=0.5)
    assert told["pulses"] == round(0.02 * load(CSI).source.pulses_per_year)


def test_read_by_the_facility(ntuple, selected, tmp_path):
    """Fails if the facility's package finds other times, pixels or energies."""
    path, file = ntuple(CSI, 0.02), tmp_path / "a.ev44"
    number = export_events(path, "ev44", file)
    before, epoch = selected(path), load(CSI).daq.epoch_ns
    event, energy, pulses = messages(file)
    told = types.deserialise_ev44(event)
    assert (told.source_name, told.message_id, len(told.pixel_id)) == ("nuspill", 0, number)
    np.testing.assert_array_equal(told.pixel_id, before["module"] + 1)
    np.testing.assert_array_equal(told.time_of_flight, np.rint(before["time"]))
    counts = np.diff(np.append(told.reference_time_index, number))
    exact = epoch + np.array([round(int(p) * 10**9 / 14) for p in before["pulse"]])
    assert np.abs(np.repeat(told.reference_time, counts) - exact).max() <= 1
    np.testing.assert_array_equal(types.deserialise_f144(energy).value, before["e_reco"])
    assert types.deserialise_f144(pulses).value == round(0.02 * 252_000_000)


DAMAGE = {
    "cut off": (lambda d: d[:-7], "1 messages cut off at the end", 0),
    "length of 4e9": (lambda d: b"\xff" * 4 + d[4:], "claims a message of 4294967295", None),
    "length of 3": (lambda d: b"\3\0\0\0" + d[4:], "claims a message of 3 bytes", None),
    "no energies": (lambda d: d.replace(b"nuspill_energy", b"nuspill_enargy"), "without e", -1),
    "other schema": (lambda d: d.replace(b"f144", b"f145"), "messages that cannot be read", -1),
    "nonsense": (lambda d: d[:12] + b"\xff" * 60 + d[72:], "messages that cannot be read", -1),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, ntuple, tmp_path):
    """Fails if damage is not one clear error, or a repair drops more than it says."""
    damage, text, dropped = DAMAGE[case]
    file, back = tmp_path / "a.ev44", tmp_path / "a.root"
    number = export_events(ntuple(CSI), "ev44", file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ExperimentError) as wrong:
        import_events(file, back, "ev44", experiment=CSI)
    assert str(wrong.value).startswith(str(file))
    assert text in str(wrong.value)
    assert not back.exists()
    if dropped is not None:
        told = import_events(file, back, "ev44", experiment=CSI, repair=True)
        assert told["events"] == (0 if dropped < 0 else number - dropped)
