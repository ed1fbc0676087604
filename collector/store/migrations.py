"""The collector's database, as steps that lead from one form to the next; applied in order, each once.

A step that was released is never edited: a change is a new step. This file must never read or change data
that a step does not need to move.

    device     who has been heard
    epoch      one outbox database of a device, and what its hello said of it
    record     what was measured; (device, epoch, seq) is its identity, `id` the order of arrival
    coverage   which seqs are accounted for, as ranges: by kind, and `accounted`, the union of the kinds
    tombstone  what a device gave up, and why
    reject     what was not accepted, with the reason and what arrived, bounded
    control_run, control_gap   what the control saw from outside, and when it did not look
"""

from typing import Final

from sqlite_utils.db import Database
from sqlite_utils.migrations import Migrations

MIGRATIONS: Final = Migrations("collector")

# A table whose rows are small and found by their key has no rowid; `record` and `reject` have large rows.
_FIRST: Final = (
    """CREATE TABLE device (
        id TEXT PRIMARY KEY,
        first_seen_ns INTEGER NOT NULL,
        last_seen_ns INTEGER NOT NULL,
        country TEXT NOT NULL DEFAULT '',
        software TEXT NOT NULL DEFAULT '',
        online INTEGER,
        rejects INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE epoch (
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        first_seen_ns INTEGER NOT NULL,
        last_seen_ns INTEGER NOT NULL,
        high INTEGER NOT NULL DEFAULT 0,
        waiting INTEGER,
        PRIMARY KEY (device, epoch)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        seq INTEGER NOT NULL,
        received_ns INTEGER NOT NULL,
        start_utc_ns INTEGER NOT NULL,
        clock_quality TEXT NOT NULL,
        clock_error_ns INTEGER,
        boot_id TEXT NOT NULL,
        start_boottime_ns INTEGER NOT NULL,
        test TEXT NOT NULL,
        rung TEXT,
        zone TEXT NOT NULL,
        target TEXT NOT NULL,
        target_name TEXT NOT NULL,
        round_id INTEGER,
        runtime_ns INTEGER NOT NULL,
        failure TEXT,
        verdict TEXT,
        rule_id TEXT,
        body TEXT NOT NULL,
        UNIQUE (device, epoch, seq)
    ) STRICT""",
    # One device's records in order of arrival (an index ends in the rowid, which is `id`).
    "CREATE INDEX record_of_device ON record (device)",
    # A device's rounds, newest first, and the measurements of one round.
    "CREATE INDEX record_ladder ON record (device, epoch, seq, verdict) WHERE test = 'ladder'",
    "CREATE INDEX record_round ON record (device, epoch, round_id) WHERE round_id IS NOT NULL",
    """CREATE TABLE coverage (
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('accounted', 'stored', 'tombstoned', 'rejected')),
        low INTEGER NOT NULL,
        high INTEGER NOT NULL CHECK (high >= low),
        PRIMARY KEY (device, epoch, kind, low)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE tombstone (
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        low INTEGER NOT NULL,
        high INTEGER NOT NULL,
        count INTEGER NOT NULL,
        reason TEXT NOT NULL,
        received_ns INTEGER NOT NULL,
        PRIMARY KEY (device, epoch, low, high, reason)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE reject (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        epoch TEXT,
        seq INTEGER,
        reason TEXT NOT NULL,
        received_ns INTEGER NOT NULL,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX reject_of_device ON reject (device)",
)


@MIGRATIONS()
def m001_first_form(db: Database) -> None:
    """Make the first form of every table."""
    for statement in _FIRST:
        db.execute(statement)


# A run is one finding of the control about one target, from its first sample to its last (collector.control.log).
_CONTROLS: Final = (
    """CREATE TABLE control_run (
        id INTEGER PRIMARY KEY,
        test TEXT NOT NULL,
        target TEXT NOT NULL,
        target_name TEXT NOT NULL,
        first_utc_ns INTEGER NOT NULL,
        last_utc_ns INTEGER NOT NULL CHECK (last_utc_ns >= first_utc_ns),
        samples INTEGER NOT NULL,
        failure TEXT,
        failed_operation TEXT,
        view TEXT NOT NULL,
        UNIQUE (test, target, target_name, first_utc_ns)
    ) STRICT""",
    "CREATE INDEX control_run_ended ON control_run (last_utc_ns)",
    """CREATE TABLE control_gap (
        id INTEGER PRIMARY KEY,
        from_utc_ns INTEGER NOT NULL,
        to_utc_ns INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT""",
)


@MIGRATIONS()
def m002_controls(db: Database) -> None:
    """Make the tables of the control's log."""
    for statement in _CONTROLS:
        db.execute(statement)
