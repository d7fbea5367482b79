"""Readers of several channels, each in order of pulses, as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...columns import Block

MOST = 1 << 20
"""Events of one channel that wait for the others; of a pulse with more, times are not in order."""


def merged(channels: list[Iterator[Block]]) -> Iterator[Block]:
    """Blocks of all channels in order of pulse, and of time in each pulse.

    Only what is not yet decided waits in memory: events no earlier than the last one known of the
    channel that is least far.
    """
    rest: dict[int, Block] = {}
    for i, channel in enumerate(channels):
        if (block := _next(channel)) is not None:
            rest[i] = block
    more = set(rest)
    while more:
        bound = min(int(rest[i]["pulse"][-1]) for i in more)
        yield from _taken(rest, bound, "left")
        for i in sorted(more):
            if len(rest[i]["pulse"]) and rest[i]["pulse"][-1] != bound:
                continue
            if len(rest[i]["pulse"]) > MOST:
                yield from _taken(rest, bound, "right")
            block = _next(channels[i])
            if block is None:
                more.remove(i)
            else:
                rest[i] = {n: np.concatenate([rest[i][n], block[n]]) for n in block}
    yield from _taken(rest, None, "left")


def _next(channel: Iterator[Block]) -> Block | None:
    """The next block of a channel that is not empty."""
    return next((block for block in channel if len(block["pulse"])), None)


def _taken(rest: dict[int, Block], bound: int | None, side: str) -> Iterator[Block]:
    """Take the events before a pulse from all channels, or with `side` "right" those in it too."""
    parts = []
    for i, block in rest.items():
        pulse = block["pulse"]
        n = len(pulse) if bound is None else int(np.searchsorted(pulse, bound, side=side))  # type: ignore[call-overload]
        if n:
            parts.append({name: values[:n] for name, values in block.items()})
            rest[i] = {name: values[n:] for name, values in block.items()}
    if parts:
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.lexsort((whole["time"], whole["pulse"]))
        yield {name: values[order] for name, values in whole.items()}
