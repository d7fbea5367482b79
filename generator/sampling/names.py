"""What random numbers belong to: keys by seed and experiment, streams by name; not compiled.

A random number is a function of a key, a stream and counters, see `stream`. The key is a hash of
the seed, of what is drawn (``"events"``, ``"toys"``, ...) and of the names of the experiments that
it is drawn for. So two experiments of one seed are independent, also where one is another period
of a beam or part of a combination, and so are events and toys. An experiment of the same name with
other settings has common random numbers, by which a difference has less noise than its parts; with
another seed, or another ``name``, it is independent. In an experiment, signal and backgrounds have
streams of their own.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence

STREAMS = 2
"""Version of what a seed stands for, kept with whatever is made; 1 had no experiments in its keys.

Samples of another version cannot be made again, but can be read.
"""


def stream_number(name: str) -> int:
    """Stream of a component by its name (CRC-32), so that others do not shift it."""
    return zlib.crc32(name.encode())


def streams_of(backgrounds: Sequence[str] = ()) -> list[int]:
    """Streams of an experiment: of the veto, the signal, and each background by its name."""
    names = ["veto", "signal", *(f"background/{name}" for name in backgrounds)]
    return [stream_number(name) for name in names]


def stream_key(seed: int, kind: str, *experiments: str) -> int:
    """Key of the random numbers of a kind of sample, 64 bits, from its seed.

    Parameters
    ----------
    seed
        From 0 to 2⁶⁴ − 1.
    kind
        What is drawn.
    experiments
        Names of the experiments that it is drawn for, in their order.
    """
    text = json.dumps([STREAMS, seed, kind, *experiments])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
