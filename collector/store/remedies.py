"""What is wrong with a database that cannot be opened, and what an operator does about it, in words. It changes nothing."""

import os
import sqlite3
from pathlib import Path
from typing import Final

_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_HELD: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ROOM_BYTES: Final = 1024 * 1024
"""With less than this free, an error of the disk is taken for a full one: SQLite does not always tell them apart."""


def in_words(path: Path, error: sqlite3.Error) -> str:
    """Return what `error` means for the database at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return (
            f"{path}: it is damaged ({error}); keep it and its -wal as they are, and put a copy from before in its place, or "
            "begin anew with --data DIR: devices still hold what was not acknowledged, and docs/how-to/audit.md says how "
            "to save the rest"
        )
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return f"{path}: the disk is full ({error}); make room and start again: devices hold what was not acknowledged"
    if code in _HELD:
        return f"{path}: another program holds it ({error}); end that program, and start again"
    return f"{path}: cannot be used ({error})"


def _is_full(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES
