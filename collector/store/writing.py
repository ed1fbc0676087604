"""A writer's connection to the collector's database, and a transaction on it: for the store and the logs beside it.

It must never leave a transaction open, whatever ends it.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from collector.errors import StoreError

Made = TypeVar("Made")
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


def holding(connection: sqlite3.Connection, make: Callable[[sqlite3.Connection], Made]) -> Made:
    """Return what `make` makes of a connection, which is closed where it cannot. Raises `StoreError`."""
    try:
        return make(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"the database cannot be opened ({error})") from error


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
