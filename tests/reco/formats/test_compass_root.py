"""CoMPASS ROOT trees: round trips, what uproot finds in them, and damage."""

import numpy as np
import pytest
import uproot
from nuspill import ExperimentError, export_events, import_events
from nuspill.reco.formats.compass import record

CSI = "ess-csi"
GAIN = {"daq.gain": 0.002}


def test_round_trip(ntuple, round_trip, equal):
    """Fails if a pulse, time, window, module or energy is not what the ntuple has."""
    before, after, _, _ = round_trip(ntuple(CSI), "compass-root", ".root", CSI, **GAIN)
    equal(before, after, "pulse", "window", "module")
    np.testing.assert_allclose(after["time"], before["time"], rtol=0, atol=5.1e-4)
    np.testing.assert_allclose(after["e_reco"], before["e_reco"], rtol=1e-6, atol=1.01e-3)


def test_the_same_rows_as_the_binary(ntuple, tmp_path):
    """Fails if uproot finds other names, types or values than the binary file has."""
    for name, file in (("compass", "a.BIN"), ("compass-root", "a.root")):
        export_events(ntuple(CSI), name, tmp_path / file, settings=GAIN)
    rows = np.fromfile(tmp_path / "a.BIN", record(0xCAE1), offset=2)
    with uproot.open(tmp_path / "a.root") as root:
        tree = root["Data_R"]
        kinds = {"Channel": "uint16_t", "Timestamp": "uint64_t", "Board": "uint16_t",
                 "Energy": "uint16_t", "EnergyShort": "uint16_t", "Flags": "uint32_t"}  # fmt: skip
        assert tree.typenames() == kinds
        for name in ("Channel", "Timestamp", "Board", "Energy", "Flags"):
            np.testing.assert_array_equal(tree[name].array(library="np"), rows[name.lower()])


def test_damage(ntuple, tmp_path):
    """Fails if another tree, a missing column or a cut file is not one clear error."""
    good, other, cut = (tmp_path / name for name in ("good.root", "other.root", "cut.root"))
    export_events(ntuple(CSI), "compass-root", good, settings=GAIN)
    cut.write_bytes(good.read_bytes()[:2000])
    with uproot.recreate(other) as root:
        root.mktree("Data_R", {"Board": "u2", "Channel": "u2", "Timestamp": "u8"})
    for file, text in (
        (ntuple(CSI), "has no tree Data_R"),
        (other, "has no column Energy"),
        (cut, "is "),
    ):
        with pytest.raises(ExperimentError, match=text) as wrong:
            import_events(file, tmp_path / "a.root", "compass-root", experiment=CSI)
        assert str(file) in str(wrong.value)
        assert not (tmp_path / "a.root").exists()
