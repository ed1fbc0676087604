"""One thread's connection to the outbox's database: transactions whole or not at all, and what a full disk leaves possible.

SQLite's errors leave here as the outbox's, and damage that one thread meets is known to all. It must never write but
in a transaction, and never touch a database that another thread has replaced.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from appliance.storage.errors import OutboxError, OutboxFullError, damage_found, translate
from appliance.storage.file import begin_log_anew, connect, refuse_read_only
from appliance.storage.recovery import quarantined_files
from appliance.storage.shared import Shared

_T = TypeVar("_T")


class Handle:
    """A connection, counted among those that `shared` knows of. `owner` says that this one may replace the database."""

    def __init__(self, connection: sqlite3.Connection, path: Path, shared: Shared, *, owner: bool) -> None:
        self.connection = connection
        self.path = path
        self.shared = shared
        self._owner = owner
        self._generation = shared.generation
        # As text: what is asked before each commit takes a third of the time that way.
        self._name, self._folder = str(path), str(path.parent)
        self._file = _file_at(self._name)
        shared.opened()

    def clone(self) -> "Handle":
        """Return another on the same database, for the calling thread. Raises `OutboxError`."""
        with self.shared.opening(self.path):
            try:
                connection = connect(self.path)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise self.noted(error) from error
            return Handle(connection, self.path, self.shared, owner=False)

    def close(self) -> None:
        """Close it (from the thread that opened it)."""
        self.connection.close()
        self.shared.closed()

    def renew(self, connection: sqlite3.Connection) -> None:
        """Go on with `connection`, to the database that has taken the old one's place."""
        self.connection = connection
        self._generation = self.shared.generation
        self._file = _file_at(self._name)

    def close_damaged(self) -> None:
        """Close a database that is about to be replaced; one whose name is gone is first written back under it."""
        if _file_at(self._name) is None:
            with (
                contextlib.suppress(sqlite3.Error, OSError),
                contextlib.closing(sqlite3.connect(self.path)) as copy,
            ):
                self.connection.backup(copy)
        self.connection.close()

    def bound_log(self) -> None:
        """Let the log grow to half of the reserve, so that with its help a full disk can always take it in."""
        with self.translated():
            (size,) = self.connection.execute("PRAGMA page_size").fetchone()
            pages = max(16, self.shared.quota.reserve_bytes // 2 // size)
            self.connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def rows(self, sql: str, parameters: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with self.translated():
            return self.connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Let SQLite's errors out as the outbox's; refuse a database that was replaced by another."""
        self.shared.refuse_replaced(self._generation, self.path, owner=self._owner)
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self.noted(error) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do what stands in the block wholly or not at all, and durably, with SQLite's errors translated."""
        with self.translated():
            refuse_read_only(self.path, self._folder)
            self._refuse_gone()
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise

    def with_reserve(self, action: Callable[[], _T]) -> _T:
        """Do `action`; on a full disk release the reserve and do it again."""
        try:
            return self.with_log_reused(action)
        except OutboxFullError:
            if not self.shared.quota.release():
                raise
        # First the log into the database, for which the reserve was as large as a log: then neither has to grow.
        begin_log_anew(self.connection)
        return self.with_log_reused(action)

    def with_log_reused(self, action: Callable[[], _T]) -> _T:
        """Do `action`; on a full disk drop what was quarantined, begin the log anew in the space it has, and do it again."""
        try:
            return action()
        except OutboxFullError:
            quarantined_files.forget(self.path, keep=0)
            begin_log_anew(self.connection)
        return action()

    def _refuse_gone(self) -> None:
        """Raise `OutboxDamagedError` where what we have open has no name any more: nothing written there would last."""
        if _file_at(self._name) != self._file:
            error = damage_found(self.path, "it was deleted, or another put in its place")
            self.shared.note(error)
            raise error

    def noted(self, error: sqlite3.Error | UnicodeDecodeError) -> OutboxError:
        """Return the outbox's error for SQLite's, and let all know of damage."""
        found = translate(error, self.path)
        self.shared.note(found)
        return found

    def _rollback(self) -> None:
        # SQLite itself rolls back on some errors (a full disk, an I/O error): then there is nothing left to undo.
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


def _file_at(name: str) -> tuple[int, int] | None:
    """Return which file has this name, None where there is none or the disk does not say."""
    try:
        found = os.stat(name)  # noqa: PTH116 - as text, see above
    except OSError:
        return None
    return found.st_dev, found.st_ino
