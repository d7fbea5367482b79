"""Types that signatures name: arrays, and JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Numbers in double precision; docstrings give shapes and units."""

Json = dict[str, Any]
"""A JSON object, or a table of TOML, whose keys others choose: a file, or the user."""
