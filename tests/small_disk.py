"""A small disk of a test's own, which can be full to its last block: a tmpfs, in a child of `tests.namespaces`.

def stores_on_a_full_disk(folder: str) -> None:          # a plain function of the test's module
    with small_disk.mounted(Path(folder)) as disk:
        ...
        disk.fill()                                      # ENOSPC from here on, as the kernel says it
        ...
        disk.empty()

@pytest.mark.namespace
def test_a_full_disk(tmp_path: Path) -> None:
    namespaces.call(stores_on_a_full_disk, str(tmp_path))
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallDisk:
    """Mounted at `path`."""

    path: Path

    def fill(self) -> None:
        """Take all the space there is, to the last block."""
        fd = os.open(self.path / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (1 << 16, 1):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(fd, bytes(size))
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                os.write(fd, b"x")
        finally:
            os.close(fd)

    def empty(self) -> None:
        """Give back what `fill` took."""
        (self.path / "filler").unlink()


@contextlib.contextmanager
def mounted(folder: Path, *, size_kb: int = 8 * 1024) -> Iterator[SmallDisk]:
    """Mount a disk of `size_kb` over `folder`; only in a mount namespace of the test's own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk(path=folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
