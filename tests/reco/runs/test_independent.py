"""Seeds: samples of different experiments are independent, variations of one have common numbers.

Over 200 seeds an estimate of a correlation of 0 spreads by 1/√200 = 0.07; four of that are allowed.
Before the name was part of the key, signal counts of CsI and Xe correlated by 0.955.
"""

import json
from functools import cache

import numpy as np
import pytest
from nuspill import OutputError, load, periods, plan
from nuspill.generator.sampling.names import STREAMS
from nuspill.reco.chain.event import slice_counts
from nuspill.reco.cluster.workers import Here
from nuspill.reco.runs.folder import digest
from nuspill.reco.runs.layout import restore_run
from nuspill.reco.runs.ntuple import provenance
from nuspill.reco.runs.parts import write_parts

SEEDS = 200
ALLOWED = 4 / np.sqrt(SEEDS)
YEARS = 0.01
RAMP = 'extends = "ess-csi"\nname = "ramp"\n[[period]]\nyears = 0.01\n[[period]]\nyears = 0.01\n'
TWO = {
    "background": [
        {"name": "steady", "rate": 5.0, "range": [1.0, 46.0]},
        {"name": "neutrons", "rate": 2.0, "timing": "prompt", "range": [1.0, 46.0]},
    ]
}


def counts(run, seeds=range(SEEDS)):
    """Numbers of signal and of each background in a run of one slice, shape (seeds, sources)."""
    numbers = np.empty((len(seeds), len(run.chain.sources.mean)), np.int64)
    for row, seed in zip(numbers, seeds, strict=True):
        slice_counts(run.with_seed(seed).key, run.chain, 0, -1, row)
    return numbers


@cache
def counts_of(name, **settings):
    """Counts of an experiment over 0.01 years."""
    return counts(plan(load(name, settings), years=YEARS))


def correlation(a, b):
    """Correlation of two rows of numbers over the seeds."""
    return np.corrcoef(a, b)[0, 1]


@pytest.mark.parametrize("pair", [("ess-csi", "ess-xe"), ("ess-ge", "ess-si"),
                                  ("ess-xe", "ess-xe-ar"), ("ess-ar", "sns-csi-2017")])  # fmt: skip
def test_experiments_of_one_seed(pair):
    """Fails if signal or background counts of two experiments follow one another."""
    first, second = (counts_of(name) for name in pair)
    for source in (0, 1):
        assert first[:, source].std() > 0
        assert abs(correlation(first[:, source], second[:, source])) < ALLOWED
        assert abs(correlation(first[:, source], second[:, 1 - source])) < ALLOWED


def test_periods_of_one_seed(tmp_path):
    """Fails if two periods of one file have the same events."""
    (tmp_path / "ramp.toml").write_text(RAMP)
    first, second = (counts(plan(load(name))) for name in periods(tmp_path / "ramp.toml"))
    for source in (0, 1):
        assert abs(correlation(first[:, source], second[:, source])) < ALLOWED


def test_sources_of_one_experiment():
    """Fails if signal and backgrounds of one experiment follow one another, or the next seed."""
    numbers = counts(plan(load("ess-csi").replace(**TWO), years=YEARS)).T
    assert len(numbers) == 3
    matrix = np.corrcoef(numbers)
    assert np.all(np.abs(matrix[np.triu_indices(3, 1)]) < ALLOWED)
    for row in numbers:
        assert abs(correlation(row[1:], row[:-1])) < ALLOWED


def test_variations_have_common_numbers():
    """Fails if another setting, not the name, throws other numbers: differences would be noisy."""
    csi, farther = counts_of("ess-csi"), counts_of("ess-csi", **{"source.distance": 20.2})
    assert correlation(csi[:, 0], farther[:, 0]) > 0.95
    np.testing.assert_array_equal(csi[:, 1], farther[:, 1])
    renamed = counts(plan(load("ess-csi", {"name": "mine"}), years=YEARS))
    assert abs(correlation(csi[:, 0], renamed[:, 0])) < ALLOWED


def test_events_of_one_seed():
    """Fails if events of two experiments have common energies, times or pulses."""
    settings = {"exposure.slice_pulses": 10**6}
    first, second = (
        plan(load("ess-csi", settings | other), 7, events=2000).make(0, 2000, Here(1))
        for other in ({}, {"name": "mine"})
    )
    for column in ("e_nr", "time_true", "e_reco"):
        assert not np.isin(first[column], second[column]).any()
    again = plan(load("ess-csi", settings), 7, events=2000).make(0, 2000, Here(1))
    np.testing.assert_array_equal(first["e_nr"], again["e_nr"])


def test_provenance_says_which_streams():
    """Fails if a file does not tell what its seed stands for."""
    about = provenance(plan(load("ess-ar"), 5, years=YEARS), 0, 1)
    assert (about["seed"], about["streams"], about["experiment"]["name"]) == (5, STREAMS, "ess-ar")


@pytest.mark.parametrize("seed", [np.int64(7), np.uint64(7), np.int8(7), np.array(7)])
def test_seeds_of_numpy(seed):
    """Fails if a whole number of NumPy's is another seed than Python's, or no JSON."""
    run = plan(load("ess-ar"), seed, years=YEARS)
    assert type(run.seed) is int
    assert run.key == plan(load("ess-ar"), 7, years=YEARS).key


def test_parts_of_older_streams(tmp_path):
    """Fails if parts whose seed stood for other numbers are gone on with, or told otherwise."""
    run = plan(load("ess-ar"), 5, years=YEARS)
    write_parts(run, tmp_path / "parts", 2)
    path = tmp_path / "parts/manifest.json"
    content = json.loads(path.read_text())
    assert content["configuration"].pop("streams") == STREAMS
    content["hash"] = digest([content["kind"], content["configuration"]])
    path.write_text(json.dumps(content))
    (tmp_path / "parts/part-00001.root").unlink()
    before = sorted(tmp_path.rglob("*"))
    for go_on in (restore_run, lambda folder: write_parts(run, folder, 2)):
        with pytest.raises(OutputError, match="parts: holds events of random streams 1; a seed"):
            go_on(tmp_path / "parts")
    assert sorted(tmp_path.rglob("*")) == before
