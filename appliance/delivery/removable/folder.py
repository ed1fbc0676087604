"""The folder `tidegauge-bundles` on a USB drive: opened, written and read without going anywhere that the USB drive points to.

    DIR/tidegauge-bundles/<device>-<epoch>-<utc>.bundle        what a device exported (see `firmware.wire.bundle`)
    DIR/tidegauge-bundles/<device>-<epoch>-<utc>.bundle.part   the same while it is written: not to be relied on
    DIR/tidegauge-bundles/<device>-<epoch>-<utc>.acks.bundle   what the collector answered to it
    DIR/tidegauge-bundles/trust-list.json                   which collectors count (`tidegauge provision trust --to`)

A USB drive may have been in anybody's hands. It must never follow a link there, wait for a pipe there, or leave its file system.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from firmware.wire.messages import DEVICE_PATTERN

FOLDER: Final = "tidegauge-bundles"
"""Not the marker's name: on FAT and exFAT `tidegauge` is the same as `TIDEGAUGE`."""
MARKER: Final = "TIDEGAUGE"
MARKER_BYTES: Final = 4096
BUNDLE: Final = ".bundle"
PART: Final = ".bundle.part"
ANSWERS: Final = ".acks.bundle"
MARGIN_BYTES: Final = 1024 * 1024
"""What is left free on a USB drive: the answers have to fit there, too."""
_FILES_MAX: Final = 10_000
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def is_for(marker: bytes, device: str) -> bool:
    """Return whether a USB drive with this marker is for `device`: one that names no device is for all, `#` begins a comment."""
    lines = [line.partition("#")[0].strip() for line in marker.decode("utf-8", "replace").splitlines()]
    named = [line for line in lines if DEVICE_PATTERN.fullmatch(line)]
    return device in named if named else not any(lines)


def read_marker(root: Path) -> bytes | None:
    """Return what the marker of the USB drive at `root` says, None where it has none."""
    with contextlib.suppress(OSError), _regular(os.open(root / MARKER, _READ)) as file:
        return file.read(MARKER_BYTES)
    return None


@dataclass(slots=True)
class Folder:
    """The folder of the USB drive at `root`, open. Close it before the USB drive is pulled."""

    root: Path
    _descriptor: int

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open the folder, made if it is missing. Raises `OSError`."""
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o700, dir_fd=top)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(FOLDER, flags, dir_fd=top)
            if os.fstat(descriptor).st_dev != os.fstat(top).st_dev:
                os.close(descriptor)
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(root / FOLDER))
        finally:
            os.close(top)
        return cls(root, descriptor)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / FOLDER

    def free_bytes(self) -> int:
        """Return how much may still be written."""
        found = os.fstatvfs(self._descriptor)
        return max(0, found.f_bavail * found.f_frsize - MARGIN_BYTES)

    def begin(self, stem: str) -> tuple[str, int]:
        """Make a new file for a bundle; return its stem, which nobody else has, and its descriptor. Raises `OSError`."""
        with os.scandir(self._descriptor) as entries:
            taken = {entry.name for entry in entries}
        free = stem
        for number in itertools.count(2):
            if not {free + BUNDLE, free + PART, free + ANSWERS} & taken:
                break
            free = f"{stem}-{number}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return free, os.open(free + PART, flags, 0o600, dir_fd=self._descriptor)

    def finish(self, stem: str) -> Path:
        """Give a bundle that is wholly written its name, durably. Raises `OSError`."""
        os.rename(stem + PART, stem + BUNDLE, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        self.sync()
        return self.path / (stem + BUNDLE)

    def drop(self, name: str) -> None:
        """Take a file away, if it can be."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def drop_parts(self, device: str) -> None:
        """Take away what this device began to write and was kept from ending."""
        for name in self._names(device, PART):
            self.drop(name)

    def answers(self, device: str) -> list[str]:
        """Return the stems of the bundles of `device` that have an answer, oldest first. Raises `OSError`."""
        return [name.removesuffix(ANSWERS) for name in self._names(device, ANSWERS)]

    def read(self, name: str) -> BinaryIO:
        """Open a file of the folder to be read. Raises `OSError`, also where it is not a plain file."""
        return _regular(os.open(name, _READ, dir_fd=self._descriptor))

    def sync(self) -> None:
        """Have everything on the USB drive that was written to it. Raises `OSError`."""
        # The directory alone does not do: FAT gives a renamed file its size there when its inode is written (syncfs(2)).
        if _LIBC.syncfs(self._descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(self.path))
        # And that alone neither: of FAT and exFAT only fsync has the USB drive empty its own cache, so it comes last.
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the USB drive."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _names(self, device: str, ending: str) -> list[str]:
        pattern = re.compile(re.escape(device) + r"-[0-9a-zA-Z-]{1,80}" + re.escape(ending))
        with os.scandir(self._descriptor) as entries:
            return sorted(entry.name for entry in entries if pattern.fullmatch(entry.name))[:_FILES_MAX]


def _regular(descriptor: int) -> BinaryIO:
    """Return a file for `descriptor`. Raises `OSError` where it is a directory, a pipe or a device."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(descriptor, "rb")
