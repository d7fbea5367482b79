"""Numbers of random streams by their names; not compiled, as settings check names by them."""

from __future__ import annotations

import zlib


def stream_number(name: str) -> int:
    """Stream of a component by its name (CRC-32), so that others do not shift it."""
    return zlib.crc32(name.encode())
