"""The outbox's accounts: its epochs and their counters, what was given up, the runs a collector was told of.

Each function is a few statements on a connection whose transaction the caller holds. An epoch's record with seq n
stands at key `base + n`, so that several epochs share the tables and every range of one epoch is a range of keys.
Nothing here may cost more because the backlog is long.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from firmware.exchange import MAX_ENDED, MAX_RUNS, Tombstone

SPAN: Final = 2**44
"""How many keys each epoch has: at ten records a second, 55,000 years."""
_REASON_LENGTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One epoch: `id` is 1 for the database's first; the highest is the one new records belong to."""

    id: int
    device: str
    epoch: str
    produced: int
    acknowledged: int
    quarantined: int
    given_up: int
    unstored: int

    @property
    def base(self) -> int:
        """The key of seq 0."""
        return (self.id - 1) * SPAN

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return self.produced - self.acknowledged - self.quarantined - self.given_up

    @property
    def is_possible(self) -> bool:
        """Say whether the counters can be as they are: a bit that fell over in one may make two records of one seq."""
        counted = (self.acknowledged, self.quarantined, self.given_up, self.unstored, self.waiting)
        return self.produced < SPAN and all(0 <= count < SPAN for count in counted)


_COLUMNS: Final = "id, device, epoch, produced, acknowledged, quarantined, given_up, unstored"


def current(connection: sqlite3.Connection) -> Account:
    """Return the epoch that new records belong to."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM state WHERE id = (SELECT max(id) FROM state)"  # noqa: S608 - our own words
    ).fetchone()
    return _account(row)


def by_id(connection: sqlite3.Connection, number: int) -> Account:
    """Return the epoch with this `id`."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM state WHERE id = ?", (number,)).fetchone()  # noqa: S608
    return _account(row)


def accounts(connection: sqlite3.Connection) -> list[Account]:
    """Return every epoch this database has held, oldest first."""
    return [_account(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM state ORDER BY id")]  # noqa: S608


def ended(connection: sqlite3.Connection, before: int) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return the epochs before the one with id `before` that are not accounted for, and how many there was no room for.

    As (epoch, produced): those of which a record waits, or a tombstone. Of any other the collector has answered for
    every seq. The newest first, which it is the least likely to have heard of, then those that made the most.
    """
    rows = connection.execute(
        "SELECT epoch, produced FROM state WHERE id < ? AND (produced > acknowledged + quarantined + given_up"
        " OR EXISTS (SELECT 1 FROM tombstone WHERE low > (state.id - 1) * ? AND low < state.id * ?))"
        " ORDER BY id DESC",
        (before, SPAN, SPAN),
    ).fetchall()
    told = [*rows[:1], *sorted(rows[1:], key=lambda row: -row[1])][:MAX_ENDED]
    return tuple((epoch, produced) for epoch, produced in told), len(rows) - len(told)


def _account(row: tuple[int, str, str, int, int, int, int, int]) -> Account:
    return Account(
        id=row[0],
        device=row[1],
        epoch=row[2],
        produced=row[3],
        acknowledged=row[4],
        quarantined=row[5],
        given_up=row[6],
        unstored=row[7],
    )


def write(connection: sqlite3.Connection, account: Account, *, created_utc_ns: int) -> None:
    """Put an epoch's account, new or changed."""
    connection.execute(
        "INSERT INTO state (id, device, epoch, created_utc_ns, produced, acknowledged, quarantined, given_up, unstored)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET produced = excluded.produced,"
        " acknowledged = excluded.acknowledged, quarantined = excluded.quarantined,"
        " given_up = excluded.given_up, unstored = excluded.unstored",
        (
            account.id,
            account.device,
            account.epoch,
            created_utc_ns,
            account.produced,
            account.acknowledged,
            account.quarantined,
            account.given_up,
            account.unstored,
        ),
    )


# What was given up.


def bury(connection: sqlite3.Connection, base: int, low: int, high: int, reason: str) -> None:
    """Note that every seq from `low` to `high` was given up; a neighbour for the same reason becomes one with it."""
    first, last = base + low, base + high
    reason = reason[:_REASON_LENGTH]
    before = connection.execute(
        "SELECT low FROM tombstone WHERE low = (SELECT max(low) FROM tombstone WHERE low < ?)"
        " AND high = ? AND reason = ?",
        (first, first - 1, reason),
    ).fetchone()
    after = connection.execute(
        "SELECT high FROM tombstone WHERE low = ? AND reason = ?", (last + 1, reason)
    ).fetchone()
    if after is not None:
        connection.execute("DELETE FROM tombstone WHERE low = ?", (last + 1,))
        last = after[0]
    if before is not None:
        connection.execute("UPDATE tombstone SET high = ? WHERE low = ?", (last, before[0]))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO tombstone (low, high, reason) VALUES (?, ?, ?)", (first, last, reason)
        )


def settle(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Forget what was given up from key `first` to `last`: the collector knows."""
    if last < first:
        return
    cut(connection, first)
    cut(connection, last + 1)
    connection.execute("DELETE FROM tombstone WHERE low BETWEEN ? AND ?", (first, last))


def cut(connection: sqlite3.Connection, key: int) -> None:
    """Make two of a tombstone that reaches over `key`: the second begins there."""
    row = connection.execute(
        "SELECT low, high, reason FROM tombstone WHERE low = (SELECT max(low) FROM tombstone WHERE low < ?)"
        " AND high >= ?",
        (key, key),
    ).fetchone()
    if row is not None:
        connection.execute("UPDATE tombstone SET high = ? WHERE low = ?", (key - 1, row[0]))
        connection.execute(
            "INSERT INTO tombstone (low, high, reason) VALUES (?, ?, ?)", (key, row[1], row[2])
        )


def tombstones(connection: sqlite3.Connection, base: int, limit: int) -> list[Tombstone]:
    """Return the first `limit` of what an epoch gave up and the collector does not know of."""
    rows = connection.execute(
        "SELECT low, high, reason FROM tombstone WHERE low > ? AND low < ? ORDER BY low LIMIT ?",
        (base, base + SPAN, limit),
    )
    return [
        Tombstone(low=low - base, high=high - base, count=high - low + 1, reason=reason)
        for low, high, reason in rows
    ]


def holes(
    connection: sqlite3.Connection, first: int, last: int, *, counted: tuple[str, ...]
) -> list[tuple[int, int]]:
    """Return the ranges of keys from `first` to `last` without a row in the tables `counted` and without a tombstone."""
    here = "".join(
        f"SELECT seq, seq FROM {table} WHERE seq BETWEEN ?1 AND ?2 UNION ALL "  # noqa: S608 - our own words
        for table in counted
    )
    found: list[tuple[int, int]] = []
    cursor = first
    rows = connection.execute(
        f"{here}SELECT low, high FROM tombstone WHERE low BETWEEN ?1 AND ?2 ORDER BY 1",  # noqa: S608
        (first, last),
    )
    for low, high in rows:
        if low > cursor:
            found.append((cursor, low - 1))
        cursor = max(cursor, high + 1)
    if cursor <= last:
        found.append((cursor, last))
    return found


# Age.


def mark_age(connection: sqlite3.Connection, *, passed_s: int, key: int) -> int:
    """Note that the device has been running for `passed_s` more, when `key` was the last; return its age then."""
    (before,) = connection.execute("SELECT coalesce(max(ran_s), 0) FROM age_mark").fetchone()
    connection.execute("INSERT INTO age_mark (ran_s, seq) VALUES (?, ?)", (before + passed_s, key))
    return int(before + passed_s)


def last_before(connection: sqlite3.Connection, ran_s: int) -> int:
    """Return the last key there was when the device had run for `ran_s`; 0 for none. Older marks are forgotten."""
    (key,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM age_mark WHERE ran_s <= ?", (ran_s,)
    ).fetchone()
    connection.execute("DELETE FROM age_mark WHERE ran_s < ? AND seq < ?", (ran_s, key))
    return int(key)


# Runs.


def note_run(connection: sqlite3.Connection, account: Account, run: str, first: int) -> None:
    """Note that the collector is about to be told of this run."""
    known = connection.execute(
        "SELECT 1 FROM run WHERE epoch = ? AND run = ?", (account.epoch, run)
    ).fetchone()
    if known is None:
        connection.execute(
            "INSERT INTO run (epoch, run, first, confirmed) VALUES (?, ?, ?, 0)", (account.epoch, run, first)
        )


def runs(connection: sqlite3.Connection, epoch: str) -> list[tuple[str, int]]:
    """Return the runs to tell of: newest first, down to the last one that was confirmed."""
    rows = connection.execute(
        "SELECT run, first, confirmed FROM run WHERE epoch = ? ORDER BY id DESC", (epoch,)
    ).fetchall()
    told: list[tuple[str, int]] = []
    for run, first, confirmed in rows:
        if confirmed:
            # Always among them, however many starts nobody answered.
            return [*told[: MAX_RUNS - 1], (run, first)]
        told.append((run, first))
    return told[:MAX_RUNS]


def confirm_run(connection: sqlite3.Connection, epoch: str, run: str) -> None:
    """Note that the collector knows `run`: those before it need not be told any more."""
    connection.execute("UPDATE run SET confirmed = 1 WHERE epoch = ? AND run = ?", (epoch, run))
    connection.execute(
        "DELETE FROM run WHERE epoch = ?1 AND id < (SELECT max(id) FROM run WHERE epoch = ?1 AND run = ?2)",
        (epoch, run),
    )
