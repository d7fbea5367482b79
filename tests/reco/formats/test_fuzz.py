"""Hostile input: whatever bytes a reader gets, it reads or refuses them in one line.

Every reader sees good files with bytes changed, cut out, doubled and cut off, and text of its own
beginning. It may raise `ExperimentError` and nothing else, and memory stays small.

NUSPILL_FUZZ=10000 is the number of files a reader gets, other ones each time, in place of the same
few; a campaign is `NUSPILL_FUZZ=10000 pytest tests/reco/formats -k fuzz`.
"""

import resource
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nuspill import ExperimentError
from nuspill.reco.formats.shared.door import available, missing, recognised

NAMES = [name for name, form in available().items() if hasattr(form, "read")]

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


def test_every_reader_is_fuzzed(fuzz):
    """Fails if a format is added and not here."""
    assert set(fuzz.experiments) == set(NAMES)


@pytest.mark.filterwarnings("ignore")  # of the packages, about the damaged files
@pytest.mark.parametrize("name", NAMES)
def test_readers_read_or_refuse(name, good, read_all, fuzz, tmp_path_factory):
    """Fails if a reader crashes, hangs, takes gigabytes or gives columns of several lengths."""
    if missing(available()[name]):
        pytest.skip(f"{name} needs packages")
    path = good(name)
    data = path.read_bytes()
    assert read_all(path, name, False) > 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = []

    @settings(max_examples=fuzz.examples, deadline=30_000, database=None, derandomize=fuzz.same,
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
                recognised(file)
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
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < fuzz.most_memory


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_none_of_them(name, read_all, tmp_path):
    """Fails if a file of a few bytes, or of zeros, is taken for anything."""
    if missing(available()[name]):
        pytest.skip(f"{name} needs packages")
    for content in (b"\0", b"\0" * 5000, b"x" * 100, b"\xff" * 64):
        file = tmp_path / "a.txt"
        file.write_bytes(content)
        with pytest.raises(ExperimentError):
            read_all(file, name, False)
        assert not available()[name].recognise(file)
