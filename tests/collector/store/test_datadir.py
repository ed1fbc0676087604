"""One collector at a time holds a data directory, and its ready file tells the truth."""

import json
import os
from pathlib import Path

import pytest

from collector.errors import CollectorDataDirError
from collector.store.datadir import CollectorDataDir


def test_it_is_made_for_its_owner_only_and_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data"
    held = CollectorDataDir.open(path)
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(CollectorDataDirError, match=f"in use by another collector, process {os.getpid()}"):
        CollectorDataDir.open(path)
    held.close()
    held.close()
    CollectorDataDir.open(path).close()


def test_the_ready_file_is_there_only_while_it_is_true(tmp_path: Path) -> None:
    (tmp_path / "collector.json").write_text("left by one that was killed")
    directory = CollectorDataDir.open(tmp_path)
    assert not directory.ready_file.exists()
    directory.ready({"v": 1})
    assert json.loads(directory.ready_file.read_text()) == {"v": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collector.json", "lock"]
    directory.close()
    assert not directory.ready_file.exists()


def test_one_that_is_turned_away_leaves_the_ready_file(tmp_path: Path) -> None:
    directory = CollectorDataDir.open(tmp_path)
    directory.ready({"v": 1})
    with pytest.raises(CollectorDataDirError):
        CollectorDataDir.open(tmp_path)
    assert directory.ready_file.exists()
    directory.close()
