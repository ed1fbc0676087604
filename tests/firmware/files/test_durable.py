"""A file is written whole or not at all, with the permissions asked for, and nothing is left beside it."""

import errno
import os
from pathlib import Path
from unittest import mock

import pytest

from firmware.files.durable import is_read_only, sync_directory, write_durably
from tests.appliance import namespaces


def test_it_is_written_with_its_permissions_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0o077)
    try:
        for mode in (0o600, 0o644):
            write_durably(path, b"%o" % mode, mode=mode)
            assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"%o" % mode, mode)
        write_durably(path, b"by the umask")
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("refused", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, refused: str) -> None:
    path = tmp_path / "settings"
    path.write_bytes(b"before")
    full = OSError(errno.ENOSPC, "no space")
    whose: object = Path if refused == "replace" else os
    with mock.patch.object(whose, refused, side_effect=full), pytest.raises(OSError, match="no space"):
        write_durably(path, b"after")
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["settings"]


def test_a_name_in_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "none")


def test_a_read_only_mount_is_known(tmp_path: Path) -> None:
    assert not is_read_only(tmp_path)
    script = "import sys; from firmware.files.durable import is_read_only; print(is_read_only(sys.argv[1]))"
    said = namespaces.run(
        script, mounts='mount -t tmpfs tmpfs "$DIR"; mount -o remount,ro "$DIR"', directory=tmp_path
    )
    assert said == "True\n"
