"""Hostile input inside of files that are well formed: HDF5 with other objects than it should have.

Objects are deleted, renamed, linked to each other, and put in place of each other; columns get
other types, shapes and values, attributes other texts. Readers refuse them in one line, or read.
"""

import resource
import shutil
import warnings
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nuspill import ExperimentError
from nuspill.reco.formats.shared.door import recognised

h5py = pytest.importorskip("h5py")

NAMES = ("nexus", "lh5", "next")
COMPOUND = np.dtype([("a", "i4"), ("b", "f8")])
TYPES = ["u1", "i1", "i2", "<i4", ">i8", "u8", "f2", "f4", ">f8", "c16", "S5", "V7", "?",
         h5py.string_dtype(), h5py.vlen_dtype("f8"), h5py.ref_dtype, COMPOUND]  # fmt: skip
NUMBERS = [0, 1, -1, 2**31, -(2**31), 2**62, 2**63 - 1, np.nan, np.inf, -np.inf, 1e300, 1e-300]
TEXTS = ["", "ns", "furlong", "1970-01-01T00:00:00Z", "NXevent_data", "NXentry", "keV", "\x00",
         "µs", "table{}", b"\xff\xfe", 7, np.nan, np.zeros((3, 3)), h5py.Empty("f4")]  # fmt: skip
SHAPES = ["same", "shorter", "longer", "empty", "scalar", "square", "null", "claim"]

changes = st.lists(
    st.tuples(
        st.sampled_from(["delete", "type", "shape", "value", "attribute", "soft", "hard", "away",
                         "external", "group"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(TYPES),
        st.sampled_from(SHAPES),
        st.sampled_from(NUMBERS),
        st.sampled_from(TEXTS),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip


def objects(file):
    """Paths of all groups and datasets."""
    found = []
    file.visit(found.append)
    return found


def damage(file, kind, where, other, dtype, shape, number, text):
    """Change one object of a file; what HDF5 itself refuses is left as it is."""
    names = objects(file)
    if not names:
        return
    name, beside = names[int(where * len(names))], names[int(other * len(names))]
    found = file[name]
    data = isinstance(found, h5py.Dataset)
    if kind == "attribute":
        keys = [*found.attrs, "units", "start", "NX_class", "pulses", "unit"]
        found.attrs[keys[int(other * len(keys))]] = text
    elif kind == "value" and data and found.size and found.dtype.kind in "iuf" and found.ndim:
        with np.errstate(all="ignore"):
            values = found[()]
            one = np.array(number, float).astype(values.dtype)
            values[int(other * len(values)) :: 1 + int(other * 7)] = one
        found[...] = values
    elif kind == "shape" and data:
        remade(file, name, found.dtype, shape, found)
    elif kind == "type" and data:
        remade(file, name, dtype, shape if other < 0.3 else "same", found)
    elif kind in ("delete", "soft", "hard", "away", "external", "group"):
        there = file[beside]
        del file[name]
        if kind == "soft":
            file[name] = h5py.SoftLink(f"/{beside}")
        elif kind == "hard":
            file[name] = there
        elif kind == "external":
            file[name] = h5py.ExternalLink("nowhere.h5", "/a")
        elif kind == "group":
            file.create_group(name)
        elif kind == "away":
            file[f"{name}_"] = there


def remade(file, name, dtype, shape, old):
    """Put another column in place of one."""
    n = len(old) if old.shape else 1
    attrs = dict(old.attrs)
    shapes = {"same": old.shape, "shorter": (max(n - 1, 0),), "longer": (n + 1,), "empty": (0,),
              "scalar": (), "square": (n, 2), "claim": (2**62,)}  # fmt: skip
    del file[name]
    if shape == "null":
        file[name] = h5py.Empty("f8")
    else:
        chunks = (1000,) if shape == "claim" else None
        file.create_dataset(name, shapes[shape], dtype, chunks=chunks)
    file[name].attrs.update(attrs)


@pytest.mark.filterwarnings("ignore")  # of the packages, about the damaged files
@pytest.mark.parametrize("name", NAMES)
def test_readers_read_or_refuse(name, good, read_all, fuzz, tmp_path_factory):
    """Fails if a reader crashes, hangs, takes gigabytes or gives columns of several lengths."""
    pytest.importorskip({"nexus": "h5py", "lh5": "lh5", "next": "tables"}[name])
    folder, number = tmp_path_factory.mktemp("inside"), count()
    path = good(name)
    before, seen = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []

    @settings(max_examples=fuzz.examples, deadline=30_000, database=None, derandomize=fuzz.same,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(steps=changes, repair=st.booleans())
    def check(steps, repair):
        file = folder / f"{name}{next(number)}"  # PyTables may keep a damaged one open
        shutil.copy(path, file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with h5py.File(file, "r+") as opened:
                for step in steps:
                    try:
                        damage(opened, *step)
                    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
                        continue
            for look in (lambda: read_all(file, name, repair), lambda: recognised(file)):
                told = str(file)
                try:
                    look()
                    seen.append(True)
                except ExperimentError as error:
                    seen.append(False)
                    told = str(error)
                assert told.startswith(str(file))
                assert "\n" not in told
        file.unlink()

    check()
    assert any(seen)
    assert not all(seen)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < fuzz.most_memory
