"""The outbox's schema, step by step, as sqlite-utils migrations.

A step that has been released is never edited: a change is a new step at the end. sqlite-utils costs 80 ms and
12 MB to import, so it is imported only when a step is due; that is why the steps are plain functions.
"""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlite_utils import Database

SET: Final = "outbox"
"""The set's name in sqlite-utils' own table of what has been applied."""


def m001_outbox(db: "Database") -> None:
    """Make the tables of the first release."""
    # One row: who we are and the counters, so that no count ever scans the backlog.
    db.create_table(
        "state",
        {
            "id": int,
            "device": str,
            "epoch": str,
            "created_utc_ns": int,
            "produced": int,
            "acknowledged": int,
            "quarantined": int,
            "unstored": int,
        },
        pk="id",
        not_null={"device", "epoch", "created_utc_ns", "produced", "acknowledged", "quarantined", "unstored"},
        strict=True,
    )
    # What waits for the collector. What stands beside the body is for choosing what to give up, some day.
    db.create_table(
        "waiting",
        {
            "seq": int,
            "body": str,
            "test": str,
            "rung": str,
            "failure": str,
            "verdict": str,
            "start_utc_ns": int,
            "stored_utc_ns": int,
        },
        pk="seq",
        not_null={"body", "test", "start_utc_ns", "stored_utc_ns"},
        strict=True,
    )
    # What will never be taken, and who said so (`collector` or `device`).
    db.create_table(
        "quarantine",
        {"seq": int, "body": str, "reason": str, "said_by": str, "moved_utc_ns": int},
        pk="seq",
        not_null={"body", "reason", "said_by", "moved_utc_ns"},
        strict=True,
    )
    # The last rounds' conclusions, kept after they were acknowledged, for whoever looks at the device.
    db.create_table(
        "round", {"seq": int, "round_id": int, "body": str}, pk="seq", not_null={"body"}, strict=True
    )


STEPS: Final[tuple[Callable[["Database"], None], ...]] = (m001_outbox,)
NAMES: Final[tuple[str, ...]] = tuple(step.__name__ for step in STEPS)


def applied(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the names of the steps this database has had, in order; empty for a new one."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone()
    if known is None:
        return ()
    rows = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id", (SET,)
    )
    return tuple(name for (name,) in rows)


def apply(connection: sqlite3.Connection) -> None:
    """Apply the steps that are due, each in a transaction of its own."""
    from sqlite_utils import Database, Migrations  # noqa: PLC0415 - see the head of this file

    migrations = Migrations(SET)
    for step in STEPS:
        migrations()(step)
    migrations.apply(Database(connection, execute_plugins=False))
