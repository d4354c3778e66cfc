"""What all tests share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """Real images and networks that are no part of the project; tests that use them are skipped without them."""
    if not DATA.is_dir():
        pytest.skip("the real images and networks are not here")
    return DATA
