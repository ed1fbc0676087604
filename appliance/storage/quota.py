"""Room on the disk for the outbox: its cap, the space that is left to others, and a reserve file to let go of.

On a full disk SQLite can not even delete: a transaction is first written to the log. So a file that holds nothing
lies beside the database; it goes when the disk is full, which is room enough to acknowledge and to give up records,
and is made again when there is space. This file must never touch a record.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CAP_BYTES: Final = 3 * 1024 * 1024 * 1024
"""The database grows to this and no further: a cut of 87 days, measured at the cadence of a line that is not well, is two thirds of it."""
FLOOR_BYTES: Final = 32 * 1024 * 1024
"""Space on the disk that is left to everything else; on a small disk a twentieth of it."""
RESERVE_BYTES: Final = 4 * 1024 * 1024
"""As much as the log grows to before it begins anew; on a small disk a sixteenth of it."""

_BEFORE: Final = ".ballast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The room for the database at `path`; `cap_bytes` is what its pages may fill.

    A record is too old after the device has been running for `max_age_s` since it was stored (0: never).
    """

    path: Path
    cap_bytes: int = CAP_BYTES
    max_age_s: int = 0

    @property
    def reserve(self) -> Path:
        """The file that is deleted when the disk is full."""
        return self.path.with_name(self.path.name + ".reserve")

    @property
    def reserve_bytes(self) -> int:
        """How large the reserve is, where there is space for it."""
        return min(RESERVE_BYTES, self._space()[0] // 16)

    def release(self) -> bool:
        """Release the reserve; return whether there was any."""
        try:
            self.reserve.unlink()
        except OSError:
            return False
        return True

    def restore(self) -> None:
        """Make the reserve again, if there is space for it and for others."""
        with contextlib.suppress(OSError):
            self.path.with_name(
                self.path.name + _BEFORE
            ).unlink()  # the name that the software before gave it
        total, free = self._space()
        size = self.reserve_bytes
        if self.has_reserve(size) or size == 0 or free < _floor(total) + 2 * size:
            return
        try:
            fd = os.open(self.reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError:
            with contextlib.suppress(OSError):
                self.reserve.unlink()
        finally:
            os.close(fd)

    def allowed_bytes(self, file_bytes: int) -> int:
        """Return how large the database, now `file_bytes`, may be: the cap, or less where the disk is nearly full."""
        total, free = self._space()
        return max(1, min(self.cap_bytes, file_bytes + max(0, free - _floor(total))))

    def has_reserve(self, size: int = 1) -> bool:
        """Return whether there is a reserve; a power cut may have left the name of one, and nothing in it."""
        try:
            return self.reserve.stat().st_size >= size
        except OSError:
            return False

    def _space(self) -> tuple[int, int]:
        try:
            found = os.statvfs(self.path.parent)
        except OSError:
            return 0, 2**62
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def _floor(total_bytes: int) -> int:
    return min(FLOOR_BYTES, total_bytes // 20)
