"""Keys of random numbers: fail for samples that share theirs."""

import subprocess
import sys
from itertools import combinations

import pytest
from nuspill.generator.sampling.names import stream_key, streams_of

FROZEN = 15490522104973789872
"""Key of seed 1 of ess-csi: another one needs another version `STREAMS`."""


def test_keys_differ():
    """Fails if two seeds, kinds or sets of experiments have one key, e.g. ab + c and a + bc."""
    names = [("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), ("a,b",), ('a", "b',), ("a\0b",), ()]
    keys = [
        stream_key(seed, kind, *experiments)
        for seed in (0, 1, 2**63, 2**64 - 1)
        for kind in ("events", "toys")
        for experiments in names
    ]
    assert len(set(keys)) == len(keys) == 4 * 2 * len(names)
    assert all(0 <= key < 2**64 for key in keys)


def test_keys_of_neighbouring_seeds_have_nothing_in_common():
    """Fails if a bit of the key follows the seed: half of 64 bits differ, ± 4."""
    keys = [stream_key(seed, "events", "ess-csi") for seed in range(200)]
    different = [(a ^ b).bit_count() for a, b in combinations(keys, 2)]
    mean = sum(different) / len(different)
    assert mean == pytest.approx(32, abs=0.5)
    for bit in range(64):
        ones = sum(key >> bit & 1 for key in keys)
        assert 100 - 35 < ones < 100 + 35, bit  # five standard deviations


def test_keys_do_not_depend_on_the_process():
    """Fails if a key is another in a process whose text hashes are others."""
    code = (
        "from nuspill.generator.sampling.names import stream_key;"
        "print(stream_key(1, 'events', 'ess-csi'))"
    )
    for salt in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": salt}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        assert int(made.stdout) == stream_key(1, "events", "ess-csi") == FROZEN


def test_streams_of_an_experiment_differ():
    """Fails if a background that is called signal or veto has the numbers of these."""
    streams = streams_of(["signal", "veto", "steady", "background/steady", ""])
    assert len(set(streams)) == len(streams) == 7
