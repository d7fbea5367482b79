"""Hostile input: whatever bytes a reader gets, it reads or refuses them in one line.

Every reader sees good files with bytes changed, cut out, doubled and cut off, and text of its own
beginning. It may raise `ExperimentError` and nothing else, and memory stays small.

NUSPILL_FUZZ=10000 is the number of files a reader gets, other ones each time, in place of the same
few; a campaign is `NUSPILL_FUZZ=10000 pytest tests/reco/formats -k fuzz`.
"""

import os
import resource
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nuspill.reco import ExperimentError
from nuspill.reco.formats import available, blocks_of, export_events, missing, opened_source

EXPERIMENTS = {"compass": "ess-csi", "compass-root": "ess-csi", "nexus": "ess-csi",
               "ev44": "ess-csi", "lh5": "ess-csi", "fits": "ess-si", "next": "ess-xe",
               "nuhepmc": "ess-csi", "sbc": "ess-c3f8", "coherent-2017": "sns-csi-2017",
               "coherent-2021": "sns-csi-2017"}  # fmt: skip
EXAMPLES = int(os.environ.get("NUSPILL_FUZZ", "150"))
SAME = "NUSPILL_FUZZ" not in os.environ
"""Whether the files are the same each time."""
MOST_MEMORY = 600_000
"""kB that reading may add to the peak."""


@pytest.fixture(scope="module")
def good(ntuple, tmp_path_factory):
    """A small good file of each format."""
    made = {}

    def make(name):
        if name in made:
            return made[name]
        folder = tmp_path_factory.mktemp("fuzz")
        if name == "coherent-2017":
            for state in ("coincidence", "anticoincidence"):
                rows = [f"{2 * i + 1.0}, 0.25, {i % 3}" for i in range(25)]
                (folder / f"data_{state}_beamOn.txt").write_text("\n".join(rows))
            made[name] = folder / "data_coincidence_beamOn.txt"
        elif name == "coherent-2021":
            for file in ("dataBeamOnC.txt", "dataBeamOnAC.txt"):
                (folder / file).write_text("# PE, us\n" + "12.5 1.25\n7 3.5\n" * 20)
            made[name] = folder / "dataBeamOnC.txt"
        else:
            experiment = EXPERIMENTS[name]
            years = {"ess-si": 0.1, "ess-c3f8": 0.1}.get(experiment, 0.001)
            options = {"daq.ccd.rows": 20, "daq.ccd.columns": 20} if name == "fits" else {}
            if name == "compass":
                options = {"daq.waveform": {"samples": 20}}
            path = ntuple(experiment, years, place=experiment in ("ess-csi", "ess-xe"))
            export_events(path, name, folder / "good", settings=options)
            made[name] = folder / "good/event.sbc" if name == "sbc" else folder / "good"
        return made[name]

    return make


changes = st.lists(
    st.tuples(
        st.sampled_from(["byte", "word", "cut", "double", "end"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from([b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8, b"\xff" * 7 + b"\x7f"]),
        ),
    ),
    min_size=1,
    max_size=4,
)


def changed(data, steps):
    """Bytes after some changes; most fall into the beginning, where headers are."""
    out = bytearray(data)
    for kind, where, value in steps:
        at = int(where**3 * len(out))
        if kind in ("byte", "word"):
            size = 1 if kind == "byte" else len(value)
            out[at : at + size] = value[:size]
        elif kind == "cut":
            del out[at : at + 16 * len(value)]
        elif kind == "double":
            out[at:at] = out[at : at + 16 * len(value)]
        else:
            del out[max(at, 1) :]
    return bytes(out) or b"\0"


def read_all(path, name, repair):
    """Number of events that a reader finds, all of them as they must be."""
    form, source = opened_source(path, name, experiment=EXPERIMENTS[name], repair=repair)
    events = 0
    for block in blocks_of(form, source):
        assert len({len(column) for column in block.values()}) == 1
        assert np.isfinite(block["e_reco"]).all() or np.abs(block["e_reco"]).max() > 1e38
        assert np.isfinite(block["time"]).all()
        assert (np.diff(block["pulse"]) >= 0).all()
        events += len(block["pulse"])
    return events


def test_every_reader_is_fuzzed():
    """Fails if a format is added and not here."""
    assert set(EXPERIMENTS) == {n for n, form in available().items() if hasattr(form, "read")}


@pytest.mark.filterwarnings("ignore")  # of the packages, about the damaged files
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_readers_read_or_refuse(name, good, tmp_path_factory):
    """Fails if a reader crashes, hangs, takes gigabytes or gives columns of several lengths."""
    if missing(available()[name]):
        pytest.skip(f"{name} needs packages")
    path = good(name)
    data = path.read_bytes()
    assert read_all(path, name, False) > 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = []

    @settings(max_examples=EXAMPLES, deadline=30_000, database=None, derandomize=SAME,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(steps=changes, repair=st.booleans())
    def check(steps, repair):
        folder = path.parent if name.startswith("coherent") else tmp_path_factory.getbasetemp()
        file = path if name.startswith("coherent") else folder / f"fuzz-{name}"
        file.write_bytes(changed(data, steps))
        told = str(file.parent if name.startswith("coherent") else file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_all(file, name, repair)
        except ExperimentError as error:
            told = str(error)
            seen.append(False)
        else:
            seen.append(True)
        assert str(file.parent if name.startswith("coherent") else file) in told
        assert "\n" not in told

    check()
    path.write_bytes(data)
    assert any(seen)
    assert not all(seen)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nothing_is_none_of_them(name, tmp_path):
    """Fails if a file of a few bytes, or of zeros, is taken for anything."""
    if missing(available()[name]):
        pytest.skip(f"{name} needs packages")
    for content in (b"\0", b"\0" * 5000, b"x" * 100, b"\xff" * 64):
        file = tmp_path / "a.txt"
        file.write_bytes(content)
        with pytest.raises(ExperimentError):
            read_all(file, name, False)
        assert not available()[name].recognise(file)
