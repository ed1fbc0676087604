"""The collector's database, as steps that lead from one form to the next; applied in order, each once.

A step that was released is never edited: a change is a new step. This file must never read or change data
that a step does not need to move.

    device     who has been heard
    epoch      one outbox database of a device, and what its hello said of it
    record     what was measured; (device, epoch, seq) is its identity, `id` the order of arrival
    coverage   which seqs are accounted for, as ranges: by kind, and `accounted`, the union of the kinds
    tombstone  what a device gave up, and why
    reject     what was not accepted, with the reason and what arrived, bounded
    control_run, control_gap   what the vantage saw from outside, and when it did not look
    second_run  what a second vantage, or a country's devices, saw of the same targets
    run        the starts of a device's software, by which a copied card is found out
    boot, sync_point   what places a device's boots in time
    turn       what a device's last hello said ahead of its records: its headline
    envelope   the messages as they came, signature and all; a record names the one that brought it
    hello      of each epoch the hello that said it gave the highest seq, as it came
    scope_said  what was said of countries: each change, and each revision of an earlier one; never edited
    scope_now   what holds of each country, and on what it rests by now
    unnamed_epochs  how many ended epochs a device's last hello had no room to name
    chain      the digest of everything written into the others, entry by entry (collector.store.chain)
"""

import time
from typing import Final

from sqlite_utils.db import Database
from sqlite_utils.migrations import Migrations

from collector.store import chain
from collector.store.asked_columns import COLUMNS, FIRST, AskedColumn
from collector.store.covered import FIRST_COVERED

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


# A run is one finding of the vantage about one target, from its first sample to its last (collector.vantage.log).
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
    """Make the tables of the vantage's log."""
    for statement in _CONTROLS:
        db.execute(statement)


# A boot is placed in time by its sync points, by the boot before it, and by when its records arrived at the latest:
# `latest_start_ns` is the least of arrival minus boottime, that is, the boot began before it.
_RUNS_AND_BOOTS: Final = (
    """CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        run TEXT NOT NULL,
        first INTEGER NOT NULL,
        UNIQUE (device, epoch, run)
    ) STRICT""",
    "ALTER TABLE epoch ADD COLUMN clash INTEGER",
    """CREATE TABLE boot (
        device TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        first_boottime_ns INTEGER NOT NULL,
        last_boottime_ns INTEGER NOT NULL,
        latest_start_ns INTEGER NOT NULL,
        previous_boot_id TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (device, boot_id)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sync_point (
        device TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        boottime_ns INTEGER NOT NULL,
        utc_ns INTEGER NOT NULL,
        error_ns INTEGER NOT NULL,
        PRIMARY KEY (device, boot_id, boottime_ns, utc_ns, error_ns)
    ) STRICT, WITHOUT ROWID""",
    """INSERT INTO boot (device, boot_id, first_boottime_ns, last_boottime_ns, latest_start_ns)
       SELECT device, boot_id, min(start_boottime_ns), max(start_boottime_ns), min(received_ns - start_boottime_ns)
       FROM record WHERE start_boottime_ns >= 0 GROUP BY device, boot_id""",
    """INSERT OR IGNORE INTO sync_point
       SELECT record.device, record.boot_id, json_extract(point.value, '$[0]'), json_extract(point.value, '$[1]'),
              json_extract(point.value, '$[2]')
       FROM record, json_each(record.body, '$.detail.sync_points') AS point WHERE record.test = 'ladder'""",
)


@MIGRATIONS()
def m003_runs_and_boots(db: Database) -> None:
    """Make the tables of what tells copied cards apart, and of what places boots in time."""
    for statement in _RUNS_AND_BOOTS:
        db.execute(statement)


# The proof of what is stored (collector.store.provenance). A record from before has none, and says so by NULL.
_EVIDENCE: Final = (
    """CREATE TABLE envelope (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        leaf TEXT NOT NULL,
        received_ns INTEGER NOT NULL,
        data BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX envelope_of_epoch ON envelope (device, epoch)",
    """CREATE TABLE hello (
        device TEXT NOT NULL,
        epoch TEXT NOT NULL,
        high INTEGER NOT NULL,
        received_ns INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (device, epoch)
    ) STRICT, WITHOUT ROWID""",
    "ALTER TABLE record ADD COLUMN envelope INTEGER",
)


@MIGRATIONS()
def m004_evidence(db: Database) -> None:
    """Make room for the messages as they came."""
    for statement in _EVIDENCE:
        db.execute(statement)


@MIGRATIONS()
def m005_headlines(db: Database) -> None:
    """Make the table of what devices said ahead of their records; `place` 0 is the newest turn."""
    db.execute(
        """CREATE TABLE turn (
            device TEXT NOT NULL,
            place INTEGER NOT NULL,
            since_utc_ns INTEGER NOT NULL,
            error_ns INTEGER,
            quality TEXT NOT NULL,
            verdict TEXT NOT NULL,
            rule_id TEXT NOT NULL,
            heard_ns INTEGER NOT NULL,
            PRIMARY KEY (device, place)
        ) STRICT, WITHOUT ROWID"""
    )


# What many devices say together (collector.store.scopes). `revises` names the row that a reconciled verdict speaks of.
_SCOPES: Final = (
    """CREATE TABLE scope_said (
        id INTEGER PRIMARY KEY,
        country TEXT NOT NULL,
        said_ns INTEGER NOT NULL,
        revises INTEGER REFERENCES scope_said (id),
        verdict TEXT NOT NULL,
        rule_id TEXT NOT NULL,
        since_ns INTEGER,
        since_error_ns INTEGER,
        evidence TEXT NOT NULL,
        overturned_by TEXT NOT NULL,
        basis TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX scope_said_of_country ON scope_said (country, id)",
    "CREATE INDEX scope_said_revises ON scope_said (revises) WHERE revises IS NOT NULL",
    """CREATE TABLE scope_now (
        country TEXT PRIMARY KEY,
        said INTEGER NOT NULL REFERENCES scope_said (id),
        judged_ns INTEGER NOT NULL,
        evidence TEXT NOT NULL,
        basis TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
)


@MIGRATIONS()
def m005_scopes(db: Database) -> None:
    """Make the tables of what was said of countries."""
    for statement in _SCOPES:
        db.execute(statement)


@MIGRATIONS()
def m006_unnamed_epochs(db: Database) -> None:
    """Make the table of how many epochs nobody has named yet; `epoch` is the one whose hello said so."""
    db.execute(
        """CREATE TABLE unnamed_epochs (
            device TEXT PRIMARY KEY,
            epoch TEXT NOT NULL,
            count INTEGER NOT NULL CHECK (count > 0)
        ) STRICT, WITHOUT ROWID"""
    )


@MIGRATIONS()
def m007_digest_chain(db: Database) -> None:
    """Make the digest chain, and begin it with what is there."""
    db.execute(
        """CREATE TABLE chain (
            number INTEGER PRIMARY KEY,
            at_ns INTEGER NOT NULL,
            kind TEXT NOT NULL,
            content TEXT NOT NULL,
            digest TEXT NOT NULL
        ) STRICT"""
    )
    chain.begin(db.conn, FIRST_COVERED, time.time_ns())


@MIGRATIONS()
def m008_second_looks(db: Database) -> None:
    """Make the table of what was seen from where platforms treat whoever asks like a country's devices."""
    db.execute(
        """CREATE TABLE second_run (
            id INTEGER PRIMARY KEY,
            stand TEXT NOT NULL,
            country TEXT NOT NULL,
            test TEXT NOT NULL,
            target TEXT NOT NULL,
            target_name TEXT NOT NULL,
            first_utc_ns INTEGER NOT NULL,
            last_utc_ns INTEGER NOT NULL CHECK (last_utc_ns >= first_utc_ns),
            failure TEXT,
            later_ms TEXT NOT NULL,
            UNIQUE (stand, country, test, target, target_name, first_utc_ns)
        ) STRICT"""
    )
    db.execute("CREATE INDEX second_run_ended ON second_run (last_utc_ns)")


# What measurement servers said of tests (collector.store.server_halves); the index finds the device's record of one.
_HALVES: Final = (
    """CREATE TABLE server_half (
        id INTEGER PRIMARY KEY,
        server TEXT NOT NULL,
        epoch TEXT NOT NULL,
        number INTEGER NOT NULL,
        device TEXT NOT NULL,
        nonce TEXT NOT NULL,
        ending TEXT NOT NULL,
        start_utc_ns INTEGER NOT NULL,
        received_ns INTEGER NOT NULL,
        data BLOB NOT NULL,
        UNIQUE (server, epoch, number)
    ) STRICT""",
    "CREATE INDEX server_half_of_test ON server_half (device, nonce)",
    """CREATE TABLE server_log (
        server TEXT NOT NULL,
        epoch TEXT NOT NULL,
        upto INTEGER NOT NULL,
        last INTEGER NOT NULL,
        evicted INTEGER NOT NULL,
        unwritten INTEGER NOT NULL,
        asked_ns INTEGER NOT NULL,
        PRIMARY KEY (server, epoch)
    ) STRICT, WITHOUT ROWID""",
    """CREATE INDEX record_of_nonce ON record (device, iif(json_valid(body), json_extract(body, '$.detail.nonce'), NULL))
        WHERE instr(body, '"nonce"') > 0""",
)


@MIGRATIONS()
def m009_server_halves(db: Database) -> None:
    """Make the tables of servers' halves, and find records by the nonce that they name."""
    for statement in _HALVES:
        db.execute(statement)


def _asked_step(column: AskedColumn) -> None:
    """Add the step that makes `column`, and fills it from the records that are there: it reads each once."""
    name, way = column.name, ".".join(filter(None, ("$", column.key, column.within)))

    @MIGRATIONS(name=f"record_{name}")
    def _(db: Database) -> None:
        db.execute(f"ALTER TABLE record ADD COLUMN {name} {column.sql_type}")
        db.execute(
            f"UPDATE record SET {name} = iif(json_type(body, ?) IS NULL, ?, json_extract(body, ?))",  # noqa: S608
            (way, column.default, way),
        )


# What a record's declaration has come to ask for since the table was made.
for _column in COLUMNS:
    if _column.name not in FIRST:
        _asked_step(_column)
