"""A writer's connection to the collector's database, and a transaction on it: for the store and the logs beside it.

It must never leave a transaction open, whatever ends it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collector.errors import StoreError

BUSY_TIMEOUT_S: Final = 30.0
"""How long one writer waits for another's transaction."""


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection for one thread at a time, whose transactions its holder begins and ends. Raises `StoreError`."""
    try:
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened ({error})") from error


def connect_beside(path: Path, *pragmas: str) -> sqlite3.Connection:
    """Return a connection for a log in the database that `Store.open` has made, durable at each commit. Raises `StoreError`."""
    connection = connect(path)
    try:
        for pragma in ("synchronous = FULL", *pragmas):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: cannot be opened ({error})") from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do what stands in the block wholly or not at all, and durably. Raises `sqlite3.Error`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # A full disk has already undone it.
            connection.execute("ROLLBACK")
        raise
