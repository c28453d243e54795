"""Fixtures that every kind of test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos and weights beside the project, where the machine has them."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MOBILENS_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the shared real data is not on this machine (MOBILENS_SHARED_DATA)")
    return folder
