"""What may be wrong with an outbox, in words, and SQLite's own errors as these.

Each says what is wrong, where, and what to do. Foreign errors become ours here and nowhere else.
"""

import sqlite3
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError

BUSY_TIMEOUT_S: Final = 10.0
"""How long one thread waits for the other's transaction; theirs last milliseconds, or one card's flush."""

# Primary result codes, sqlite.org/rescode.html
_FULL: Final = frozenset({sqlite3.SQLITE_FULL})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_READ_ONLY: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)
# SQLITE_ERROR here means a table that is not as the migrations left it; CONSTRAINT, counters that contradict rows.
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}
)
# I/O errors that have a meaning of their own, by their extended codes.
_AS: Final = {
    # A place of the card that cannot be read any more: what is around it can, and is carried over.
    sqlite3.SQLITE_IOERR_READ: sqlite3.SQLITE_CORRUPT,
    # A file that ends before what its own counts say.
    sqlite3.SQLITE_IOERR_SHORT_READ: sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_IOERR_CORRUPTFS: sqlite3.SQLITE_CORRUPT,
    # No space for the index of the log, which SQLite makes even to read.
    sqlite3.SQLITE_IOERR_SHMSIZE: sqlite3.SQLITE_FULL,
}


class OutboxError(ApplianceError):
    """The outbox cannot do what was asked. Nothing that was committed is lost by it."""


class OutboxTooNewError(OutboxError):
    """The database was written by a newer version of this software."""


class OutboxDamagedError(OutboxError):
    """The database cannot be trusted."""


class OutboxForeignError(OutboxError):
    """The database holds another device's records."""


class OutboxFullError(OutboxError):
    """The disk is full: what was to be stored is not stored."""


class OutboxReadOnlyError(OutboxError):
    """The database cannot be opened or written."""


class OutboxBusyError(OutboxError):
    """Another connection held the database for longer than `BUSY_TIMEOUT_S`."""


class OutboxNotReadyError(OutboxBusyError):
    """The database is being checked or recovered, as it should be: ask again."""


def translate(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> OutboxError:
    """Return the outbox's error for SQLite's. A misuse of the module itself is raised as it is.

    A `UnicodeDecodeError` is what Python makes of a damaged name in SQLite's own words about it.
    """
    if isinstance(error, UnicodeDecodeError):
        return damage_found(path, f"text that is not text, {error.reason}")
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        raise error
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    code = _AS.get(extended, extended & 0xFF)
    if code in _FULL:
        return OutboxFullError(
            f"the disk is full ({error})", where=path, remedy="Free some space: measuring and sending go on"
        )
    if code in _BUSY:
        return OutboxBusyError(
            f"held by another process for more than {BUSY_TIMEOUT_S:.0f} s",
            where=path,
            remedy="Close whatever else has the file open for writing",
        )
    if code in _READ_ONLY:
        return OutboxReadOnlyError(
            f"cannot be opened or written ({error})",
            where=path,
            remedy="Mount its disk read-write, as our own",
        )
    if code in _DAMAGED:
        return OutboxDamagedError(
            f"the database is damaged ({_printable(str(error))})",
            where=path,
            remedy="Restart: it is quarantined and a new one begins",
        )
    return OutboxError(
        f"the disk failed ({error})", where=path, remedy="Look at the kernel's log; replace the card"
    )


def damage_found(path: Path, found: str) -> OutboxDamagedError:
    """Return what is said of a database in which something is `found` that cannot be."""
    return OutboxDamagedError(
        f"the database is damaged ({_printable(found)})", where=path, remedy="It is quarantined"
    )


def _printable(found: str) -> str:
    """Return what is said of damage in characters that any file and terminal takes."""
    return found.encode("utf-8", "replace").decode()
