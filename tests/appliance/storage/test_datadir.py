"""The data directory: made, locked, its identity kept, and each fault told in words."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import ApplianceError
from appliance.storage.datadir import (
    DataDir,
    DataDirError,
    DataDirInUseError,
    DataDirReadOnlyError,
    DeviceIdentityDamagedError,
    read_device,
)
from tests.appliance import namespaces


def test_it_is_made_for_us_alone_with_a_random_identity(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "a" / "data") as one, DataDir.open(tmp_path / "b") as other:
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o700
        assert re.fullmatch("[a-z0-9]{16}", one.device)
        assert one.device != other.device
        assert one.outbox == tmp_path / "a" / "data" / "outbox.sqlite3"


def test_the_identity_stays(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as first:
        device = first.device
    with DataDir.open(tmp_path) as second:
        assert second.device == device
    assert read_device(tmp_path) == device
    assert not list(tmp_path.glob("*.new"))


def test_a_directory_without_a_device_has_none(tmp_path: Path) -> None:
    assert read_device(tmp_path) is None


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from appliance.storage.datadir import DataDir\n"
        "DataDir.open(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=namespaces.ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirInUseError) as caught:
            DataDir.open(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path}: in use by process {holder.pid}. Stop that process, or give another directory with --data"
        )
        holder.kill()
    DataDir.open(tmp_path).close()  # the lock ended with its holder


def test_closing_lets_go(tmp_path: Path) -> None:
    first = DataDir.open(tmp_path)
    first.close()
    first.close()
    DataDir.open(tmp_path).close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"v": 1}',
        '{"v": 1, "device": "UPPER-CASE-IS-NO"}',
        '{"v": 1, "device": 7}',
        "\x00" * 40,
    ],
    ids=["empty", "cut", "array", "no-device", "wrong-letters", "number", "zeros"],
)
def test_a_damaged_identity_is_told_and_never_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "device.json").write_text(text)
    with pytest.raises(
        DeviceIdentityDamagedError, match=r"device\.json: does not hold .* Put a copy of it back"
    ):
        DataDir.open(tmp_path)
    assert (tmp_path / "device.json").read_text() == text
    (tmp_path / "device.json").unlink()
    DataDir.open(tmp_path).close()  # and it did not keep the lock


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataDirError, match="cannot be used as a data directory"):
        DataDir.open(tmp_path / "data")


def test_every_error_is_the_appliance_s(tmp_path: Path) -> None:
    (tmp_path / "device.json").write_text("{")
    with pytest.raises(ApplianceError):
        DataDir.open(tmp_path)


REPORT = """
import sys, pathlib
from appliance.storage.datadir import DataDir, DataDirReadOnlyError
try:
    DataDir.open(pathlib.Path(sys.argv[1]) / "data")
except DataDirReadOnlyError as error:
    print(error)
"""


def test_a_read_only_mount_is_told(tmp_path: Path) -> None:
    said = namespaces.run(
        REPORT,
        mounts='mount --bind "$DIR" "$DIR"; mount -o remount,ro,bind "$DIR"',
        directory=tmp_path,
    )
    assert f"{tmp_path / 'data'}: cannot be written (Read-only file system)" in said


def test_a_mount_that_became_read_only_is_told(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "data"):
        pass
    said = namespaces.run(
        REPORT,
        mounts='mount --bind "$DIR" "$DIR"; mount -o remount,ro,bind "$DIR"',
        directory=tmp_path,
    )
    assert "cannot be written (Read-only file system)" in said
    assert "--data" in said


def test_a_directory_we_may_not_write_is_told(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "data"):
        pass
    (tmp_path / "data").chmod(0o500)
    if os.geteuid() != 0:
        with pytest.raises(DataDirReadOnlyError, match="cannot be written"):
            DataDir.open(tmp_path / "data")
        return
    # Root may write anywhere, so it becomes somebody else, where pytest's own closed directories are out of the way.
    head, _, tail = REPORT.partition("try:")
    drop = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    said = namespaces.run(
        f"{head}{drop}try:{tail}",
        mounts='mount -t tmpfs tmpfs /mnt; mkdir -m 755 /mnt/d; cp -a "$DIR/data" /mnt/d/; DIR=/mnt/d',
        directory=tmp_path,
    )
    assert "cannot be written (Permission denied)" in said


def test_read_only_is_a_data_dir_error() -> None:
    assert issubclass(DataDirReadOnlyError, DataDirError)
