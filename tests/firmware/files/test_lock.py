"""One process holds a file, says who it is, and lets go with its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.files.lock import FileHeldError, hold


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "lock"), opened(tmp_path / "lock")
    hold(first)
    with pytest.raises(FileHeldError) as caught:
        hold(second)
    assert caught.value.holder == str(os.getpid())
    os.close(first)
    hold(second)
    os.close(second)


def test_it_ends_with_the_process_and_a_shorter_pid_leaves_nothing_of_a_longer(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789012\n")
    code = "import os,sys; from firmware.files.lock import hold; hold(os.open(sys.argv[1], os.O_RDWR)); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=False)
    fd = opened(tmp_path / "lock")
    hold(fd)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_a_directory_is_held_too_and_its_holder_is_not_known(tmp_path: Path) -> None:
    """A read-only disk lets no lock file be made: then the directory stands in for it."""
    first, second = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    hold(first)
    with pytest.raises(FileHeldError, match="unknown"):
        hold(second)
    os.close(first)
    os.close(second)
