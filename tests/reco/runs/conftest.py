"""Runs of several parts, and files joined as `hadd` joins them."""

import json

import numpy as np
import pytest
import uproot
from nuspill import load, plan

SHORT = {"exposure.years": 0.01, "exposure.slice_pulses": 100_000}


@pytest.fixture(scope="session")
def short_run():
    """A run of 26 slices and about 1800 events, by seed, years and settings."""

    def make(seed=3, years=0.01, **settings):
        return plan(load("ess-csi", SHORT | settings), seed, years=years)

    return make


@pytest.fixture(scope="session")
def join():
    """Rows of files one after the other, with the provenances that are kept, in their order."""

    def call(path, files, keep=None):
        arrays, texts = [], []
        for file in files:
            with uproot.open(file) as root:
                arrays.append(root["events"].arrays(library="np"))
                texts.append(str(root["provenance"]))
        joined = {name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]}
        with uproot.recreate(path) as root:
            root.mktree("events", {name: c.dtype for name, c in joined.items()}).extend(joined)
            for text in texts if keep is None else keep(texts):
                root["provenance"] = text
        return path

    return call


@pytest.fixture(scope="session")
def told():
    """The provenance of a file."""

    def call(path):
        with uproot.open(path) as root:
            return json.loads(str(root["provenance"]))

    return call
