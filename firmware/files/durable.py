"""What is asked of a file system: whole files, names made durable, and whether it takes writes at all."""

import contextlib
import os
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a whole file so that a power cut leaves the old state or the new, never half of it. Raises `OSError`.

    `mode` are its permissions, whatever the umask; None leaves them to it.
    """
    draft = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


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
