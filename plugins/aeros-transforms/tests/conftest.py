import os
from pathlib import Path

import pytest


@pytest.fixture
def shared():
    """A function that returns the folder of a real data set, or skips the test."""

    def find(name):
        beside = Path(__file__).resolve().parents[4] / "shared" / "data"
        folder = Path(os.environ.get("AEROS_DATA", beside)) / name
        if not folder.is_dir():
            pytest.skip(f"{folder} is not there; set AEROS_DATA to the folder above it")
        return folder

    return find
