"""Words of one stream in one block (of a slice's source, say), and what words are for.

A counter is (event, block, purpose + high part of the block, stream), see `stream`. The purposes
of all words of a slice stand here, and nowhere else: two that had the same number would be the
same numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kernel import kernel_inline
from .stream import BATCH, LOW, PURPOSE, SHIFT, draw

(
    COUNT,  # how many events a slice has of a source
    CANDIDATE,  # channel, E and T of the signal, four words a candidate
    PLACE_IN_SLICE,  # exponential spacings: pulse, and time of emission
    DEVIATE,  # normal deviates of the energy resolution
    POSITION,  # module and place in the active volume
    PHOTONS,  # numbers of photo-electrons, or their light
    VETO,  # dead time
    PION_LIFE,  # lives before the neutrino
    MUON_LIFE,
    TIME_DEVIATE,  # normal deviates of the time resolution
    ENERGY,  # energies of backgrounds
    ACCEPT,  # acceptance of signal events
    ACCEPT_TIME,  # acceptance of their times, and of those of backgrounds
) = (np.uint64(i) * PURPOSE for i in range(13))


class Draws(NamedTuple):
    """What a stream's words in a block are counted by, and room for a batch of them."""

    key: np.uint64
    """Key, by seed and experiment."""
    block: np.uint64
    """Low 32 bits of the number of the block."""
    high: np.uint64
    """High bits of the number of the block, below those of the purpose."""
    stream: np.uint64
    words: NDArray[np.uint32]
    """Words of a batch, shape (BATCH,)."""
    spare: NDArray[np.float32]
    """Two numbers for each event of a batch, shape (2, BATCH)."""


@kernel_inline
def draws_of(key, number, stream, words, spare):  # type: ignore[no-untyped-def]
    """Draws of a stream in block `number`.

    Parameters
    ----------
    key, number, stream
        Key, block and stream.
    words, spare
        Room, as in `Draws`.
    """
    block = np.uint64(number)
    return Draws(key, block & LOW, block >> SHIFT, stream, words, spare)


@kernel_inline
def draw_for(purpose, draws, start, count):  # type: ignore[no-untyped-def]
    """Write a word each of events start ... start + count − 1 for a purpose into `draws.words`."""
    draw(draws.key, start, draws.block, purpose + draws.high, draws.stream, count, draws.words)


def new_draws(seed: int, stream: int, number: int = 0) -> Draws:
    """Draws of a stream in block `number`, with room of their own."""
    return Draws(
        key=np.uint64(seed),
        block=np.uint64(number) & LOW,
        high=np.uint64(number) >> SHIFT,
        stream=np.uint64(stream),
        words=np.empty(BATCH, np.uint32),
        spare=np.empty((2, BATCH), np.float32),
    )
