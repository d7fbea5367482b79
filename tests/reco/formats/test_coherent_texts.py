"""COHERENT's releases: counts of the real files, small files of the same layout, and damage."""

import numpy as np
import pytest
from nuspill import ExperimentError, import_events, read

STATES = ("coincidence_beamOn", "anticoincidence_beamOn", "coincidence_beamOff",
          "anticoincidence_beamOff")  # fmt: skip


@pytest.fixture
def release(tmp_path):
    """A folder of the 2017 layout: 25 x 24 bins with known counts."""
    for state, text in enumerate(STATES):
        lines = [
            f"{2 * i + 1.0}, {0.5 * j + 0.25}, {(i * j + state) % 3}"
            for i in range(25)
            for j in range(24)
        ]
        (tmp_path / f"data_{text}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def histogram(events, window):
    """Counts of bins of 2 PE and 0.5 µs, of coincidence (1) or not (2)."""
    start = {1: 0.0, 2: 1e6}[window]
    mine = (events["time"] >= 1e6) == (window == 2)
    edges = np.arange(26) * 2.0, np.arange(25) * 500.0
    return np.histogram2d(events["e_reco"][mine], events["time"][mine] - start, edges)[0]


@pytest.mark.parametrize("state", ["On", "Off"])
def test_counts_come_back(state, release):
    """Fails if a bin of either sample has another count than the file."""
    path = release / f"data_coincidence_beam{state}.txt" if state == "Off" else release
    told = import_events(path, release / "a.root")
    events, _ = read(release / "a.root")
    for window, name in ((1, "coincidence"), (2, "anticoincidence")):
        rows = np.loadtxt(release / f"data_{name}_beam{state}.txt", delimiter=",")
        np.testing.assert_array_equal(histogram(events, window).ravel(), rows[:, 2])
    assert (events["pulse"] == -1).all()
    assert told["protons_on_target"] == (1.76e23 if state == "On" else 0.0)


@pytest.mark.parametrize(
    ("file", "counts"), [("", (547, 405)), ("data_anticoincidence_beamOff.txt", (209, 207))]
)
def test_published_counts_2017(file, counts, shared, tmp_path):
    """Fails if 6-30 PE and < 6 µs do not hold the counts that the release states."""
    import_events(shared / "coherent_csi_2017" / file, tmp_path / "a.root")
    events, told = read(tmp_path / "a.root")
    found = [int((events["selected"] & (events["window"] == w)).sum()) for w in (1, 2)]
    assert tuple(found) == counts
    assert told["imported"]["format"] == "coherent-2017"


def test_events_of_2021(shared, tmp_path):
    """Fails if a line of the files is not an event."""
    folder = shared / "coherent_csi_2021"
    told = import_events(folder, tmp_path / "a.root")
    events, _ = read(tmp_path / "a.root")
    late = events["time"] >= 1e6
    for name, mine, start in (("C", ~late, 0.0), ("AC", late, 1e6)):
        rows = np.loadtxt(folder / f"dataBeamOn{name}.txt")
        np.testing.assert_allclose(events["e_reco"][mine], rows[:, 0], rtol=1e-6)
        np.testing.assert_allclose(events["time"][mine] - start, rows[:, 1] * 1e3, atol=1e-6)
    assert told["imported"]["format"] == "coherent-2021"
    assert told["protons_on_target"] == 3.198e23


def test_published_counts_2021(shared, tmp_path):
    """Fails if the region of the analysis does not hold the published counts, as by default."""
    import_events(shared / "coherent_csi_2021", tmp_path / "a.root")
    events, told = read(tmp_path / "a.root")
    found = [int((events["selected"] & (events["window"] == w)).sum()) for w in (1, 2)]
    assert found == [1578, 1295]
    assert told["experiment"]["name"] == "sns-csi-2021"


DAMAGE = {
    "text": ("1.0, 0.25, none", "1 lines without 3 numbers", True),
    "two numbers": ("1.0, 0.25", "1 lines without 3 numbers", True),
    "half a count": ("1.0, 0.25, 0.5", "1 bins without a whole number of counts", True),
    "negative count": ("1.0, 0.25, -3", "1 bins without a whole number of counts", True),
    "2^63 counts": ("1.0, 0.25, 9223372036854775808", "claims 9.22e+18 counts", False),
    "no number": ("nan, 0.25, 2", "2 events without a finite energy and time", True),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(case, release):
    """Fails if a wrong line is not one clear error, or its repair drops more."""
    line, text, mended = DAMAGE[case]
    with (release / "data_coincidence_beamOn.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ExperimentError) as wrong:
        import_events(release, release / "a.root")
    assert str(wrong.value).startswith(str(release))
    assert text in str(wrong.value)
    if mended:
        told = import_events(release, release / "a.root", repair=True)
        assert sum(told["imported"]["dropped"].values()) == int(text[0])
    (release / "data_coincidence_beamOn.txt").unlink()
    with pytest.raises(ExperimentError, match="there is no data_coincidence_beamOn"):
        import_events(release, release / "b.root", "coherent-2017")
