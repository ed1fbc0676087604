"""A file that one process at a time holds: locked with flock, with the holder's pid in it for whoever comes second.

The lock ends with the process, however that ends. The pid is for a message only: it must never decide who holds the file.
"""

import contextlib
import fcntl
import os


class FileHeldError(Exception):
    """Another process holds the file. `holder` is its pid as it wrote it, "unknown" where it could not."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}")
        self.holder = holder


def hold(fd: int) -> None:
    """Lock the open file `fd` for this process, until it is closed. Raises `FileHeldError`; then `fd` is as it was."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = ""
        with contextlib.suppress(OSError):
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        raise FileHeldError(holder or "unknown") from error
    # A full or read-only disk, or a directory that stands in for the file, takes no pid; the lock needs none.
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
