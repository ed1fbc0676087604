"""The outbox's schema, step by step, as sqlite-utils migrations.

A step that has been released is never edited: a change is a new step at the end. sqlite-utils costs 80 ms and
12 MB to import, so it is imported only when a step is due; that is why the steps are plain functions.
"""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from appliance.storage.tables import checked

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


def m002_epochs(db: "Database") -> None:
    """Let one database hold several epochs, say what each record is worth, and account for what was given up."""
    # One row an epoch from here on; the last one is the one that new records belong to. The records of the epoch
    # with `id` n stand at seq + (n - 1) * 2**44, so that those of the first stay where they are.
    db["state"].add_column("given_up", int, not_null_default=0)  # type: ignore[union-attr]
    # `value` is `appliance.storage.tables.priority.Priority`, `crc` the CRC-32 of the body: NULL in rows older than this step.
    db["waiting"].add_column("value", int)  # type: ignore[union-attr]
    db["waiting"].add_column("crc", int)  # type: ignore[union-attr]
    # What was given up and is not yet known to the collector: every seq from `low` to `high`.
    db.create_table(
        "tombstone",
        {"low": int, "high": int, "reason": str},
        pk="low",
        not_null={"high", "reason"},
        strict=True,
    )
    # How far giving up got, for each value.
    db.create_table("given_up_to", {"value": int, "seq": int}, pk="value", not_null={"seq"}, strict=True)
    # The starts of this software that the collector was told of: a copied card is found out by them.
    db.create_table(
        "run",
        {"id": int, "epoch": str, "run": str, "first": int, "confirmed": int},
        pk="id",
        not_null={"epoch", "run", "first", "confirmed"},
        strict=True,
    )
    # Every boot this outbox has seen, in order, and every sync point of its clock.
    db.create_table(
        "boot",
        {"id": int, "boot_id": str, "last_boottime_ns": int},
        pk="id",
        not_null={"boot_id", "last_boottime_ns"},
        strict=True,
    )
    db.create_table(
        "sync_point",
        {"id": int, "boot_id": str, "boottime_ns": int, "utc_ns": int, "error_ns": int},
        pk="id",
        not_null={"boot_id", "boottime_ns", "utc_ns", "error_ns"},
        strict=True,
    )


def m003_age(db: "Database") -> None:
    """Let records grow old by how long the device has been running, which no wall clock can jump over."""
    db.create_table(
        "age_mark", {"id": int, "ran_s": int, "seq": int}, pk="id", not_null={"ran_s", "seq"}, strict=True
    )


_MARKED: Final = {
    "state": "id, device, epoch, produced, acknowledged, quarantined, given_up, unstored",
    "tombstone": "low, high, reason",
    "run": "epoch, run, first, confirmed",
    "boot": "boot_id, last_boottime_ns",
    "sync_point": "boot_id, boottime_ns, utc_ns, error_ns",
    "age_mark": "ran_s, seq",
    "given_up_to": "value, seq",
}


def m004_marks(db: "Database") -> None:
    """Give every row a checksum, so that a bit that flipped on the card is found and not believed."""
    # `appliance.storage.tables.checked.mark` of the row's values; of a round, as of a waiting record, `body_mark`. What stands here
    # now is believed for the last time.
    db["round"].add_column("crc", int)  # type: ignore[union-attr]
    db.conn.create_function("mark", -1, checked.mark, deterministic=True)
    for table, columns in _MARKED.items():
        db[table].add_column("crc", int)  # type: ignore[union-attr]
        db.conn.execute(f"UPDATE {table} SET crc = mark({columns})")  # noqa: S608 - our own words


def m005_delivered(db: "Database") -> None:
    """Keep what was acknowledged until the authority has vouched for who acknowledged it."""
    # One row an ack: `appliance.storage.tables.delivered.Parcel`. `seqs` and `told` are JSON, `crc` is the mark of all
    # but `packed`, which is NULL where the bodies had to go.
    db.create_table(
        "delivered",
        {
            "id": int,
            "signer": str,
            "list": int,
            "boot_id": str,
            "boottime_ns": int,
            "seqs": str,
            "told": str,
            "packed": bytes,
            "crc": int,
        },
        pk="id",
        not_null={"signer", "list", "boot_id", "boottime_ns", "seqs", "told", "crc"},
        strict=True,
    )


def m006_packed_bodies(db: "Database") -> None:
    """Let bodies be packed (`appliance.storage.tables.packed`): the tables stay, and software that cannot unpack refuses them."""


STEPS: Final[tuple[Callable[["Database"], None], ...]] = (
    m001_outbox,
    m002_epochs,
    m003_age,
    m004_marks,
    m005_delivered,
    m006_packed_bodies,
)
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
