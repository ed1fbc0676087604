"""The collector's data directory: held by one collector at a time.

    DIR/lock                 held with flock while a collector runs; holds its pid
    DIR/collector.sqlite3    the store
    DIR/broker/              the broker's configuration and log
    DIR/collector.json       where to reach the running collector; there only while it is ready

It must never make anything outside DIR.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Final, Self

from collector.errors import CollectorDataDirError, CollectorDataDirInUseError
from firmware.files.durable import write_durably
from firmware.files.lock import FileHeldError, hold
from firmware.model.jsontypes import JsonObject

_REMEDY: Final = "give another directory with --data"


class CollectorDataDir:
    """An open, locked data directory. `close` lets another collector have it."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.database = path / "collector.sqlite3"
        self.broker = path / "broker"
        self.measurement = path / "measurement"
        self.ready_file = path / "collector.json"
        self._lock_fd = lock_fd

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the directory (0700) if it is missing, and lock it. Raises `CollectorDataDirInUseError`, `CollectorDataDirError`."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CollectorDataDirError(
                f"{path}: cannot be used as a data directory ({error.strerror}): {_REMEDY}"
            ) from error
        try:
            hold(lock_fd)
        except FileHeldError as error:
            os.close(lock_fd)
            raise CollectorDataDirInUseError(
                f"{path}: in use by another collector, process {error.holder}: stop it, or {_REMEDY}"
            ) from error
        directory = cls(path, lock_fd)
        directory.not_ready()
        return directory

    def ready(self, facts: JsonObject) -> None:
        """Write `facts` to `collector.json`, whole or not at all. Raises `CollectorDataDirError`."""
        try:
            write_durably(self.ready_file, json.dumps(facts).encode() + b"\n")
        except OSError as error:
            raise CollectorDataDirError(f"{self.ready_file}: cannot be written ({error.strerror})") from error

    def not_ready(self) -> None:
        """Take `collector.json` away: whoever reads it would call at a closed door."""
        with contextlib.suppress(OSError):
            self.ready_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the directory. Closing twice is harmless."""
        if self._lock_fd >= 0:
            self.not_ready()
            os.close(self._lock_fd)
            self._lock_fd = -1
