"""Makes the helpers beside the tests importable, and gives the folder of measured data."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
SHARED = Path(__file__).resolve().parents[4] / "shared/data"


@pytest.fixture(scope="session")
def shared():
    """The folder of measured data beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"no measured data in {SHARED}")
    return SHARED
