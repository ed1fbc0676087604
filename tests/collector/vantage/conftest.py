"""What the tests of the vantage share."""

from pathlib import Path

import pytest


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    return tmp_path / "plans"
