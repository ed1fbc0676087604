"""What the outbox asks of the file system beneath it: names made durable, and whether it takes writes at all."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable (a rename is not until its directory is synced). Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_read_only(path: Path | str) -> bool:
    """Return whether the kernel has mounted the disk of `path` read-only. Raises `OSError`."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
