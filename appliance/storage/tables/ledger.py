"""The outbox's accounts: its epochs and their counters, what was given up, the incarnations a collector was told of.

Each function is a few statements on a connection whose transaction the caller holds. An epoch's record with seq n
stands at key `base + n`, so that several epochs share the tables and every range of one epoch is a range of keys.
Nothing here may cost more because the backlog is long. Table and column of an incarnation are called `run`.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.storage.tables import checked
from appliance.storage.tables.checked import Value
from firmware.wire.messages import MAX_ENDED, MAX_INCARNATIONS, Tombstone

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
        """Return whether the counters can be as they are: a bit that fell over in one may make two records of one seq."""
        counted = (self.acknowledged, self.quarantined, self.given_up, self.unstored, self.waiting)
        return self.produced < SPAN and all(0 <= count < SPAN for count in counted)

    @property
    def mark(self) -> int:
        """The mark of its row."""
        return checked.mark(
            self.id,
            self.device,
            self.epoch,
            self.produced,
            self.acknowledged,
            self.quarantined,
            self.given_up,
            self.unstored,
        )


COLUMNS: Final = "id, device, epoch, produced, acknowledged, quarantined, given_up, unstored, crc"


def current(connection: sqlite3.Connection) -> Account:
    """Return the epoch that new records belong to."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM state WHERE id = (SELECT max(id) FROM state)"  # noqa: S608 - our own words
    ).fetchone()
    return account_of(row)


def by_id(connection: sqlite3.Connection, number: int) -> Account:
    """Return the epoch with this `id`."""
    row = connection.execute(f"SELECT {COLUMNS} FROM state WHERE id = ?", (number,)).fetchone()  # noqa: S608
    return account_of(row)


def accounts(connection: sqlite3.Connection) -> list[Account]:
    """Return every epoch this database has held, oldest first."""
    return [account_of(row) for row in connection.execute(f"SELECT {COLUMNS} FROM state ORDER BY id")]  # noqa: S608


def ended(connection: sqlite3.Connection, before: int) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return the epochs before the one with id `before` that are not accounted for, and how many there was no room for.

    As (epoch, produced): those of which a record waits, or a tombstone. Of any other the collector has answered for
    every seq. The newest first, which it is the least likely to have heard of, then those that made the most.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM state WHERE id < ? AND (produced > acknowledged + quarantined + given_up"  # noqa: S608
        " OR EXISTS (SELECT 1 FROM tombstone WHERE low > (state.id - 1) * ? AND low < state.id * ?))"
        " ORDER BY id DESC",
        (before, SPAN, SPAN),
    ).fetchall()
    open_epochs = [account_of(row) for row in rows]
    named = [*open_epochs[:1], *sorted(open_epochs[1:], key=lambda account: -account.produced)][:MAX_ENDED]
    return tuple((account.epoch, account.produced) for account in named), len(open_epochs) - len(named)


def account_of(row: Sequence[Value] | None) -> Account:
    """Return the account in a row of `COLUMNS`. Raises `sqlite3.DatabaseError` where it is not as it was written."""
    match row:
        case (
            int(number),
            str(device),
            str(epoch),
            int(produced),
            int(acknowledged),
            int(quarantined),
            int(given_up),
            int(unstored),
            int(found),
        ):
            account = Account(
                id=number,
                device=device,
                epoch=epoch,
                produced=produced,
                acknowledged=acknowledged,
                quarantined=quarantined,
                given_up=given_up,
                unstored=unstored,
            )
            if account.mark == found:
                return account
    raise sqlite3.DatabaseError("an epoch's account is not as it was written")


def write(connection: sqlite3.Connection, account: Account, *, created_utc_ns: int) -> None:
    """Put an epoch's account, new or changed."""
    connection.execute(
        "INSERT INTO state (id, device, epoch, created_utc_ns, produced, acknowledged, quarantined, given_up, unstored,"
        " crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET produced = excluded.produced,"
        " acknowledged = excluded.acknowledged, quarantined = excluded.quarantined,"
        " given_up = excluded.given_up, unstored = excluded.unstored, crc = excluded.crc",
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
            account.mark,
        ),
    )


def count(connection: sqlite3.Connection, account: Account) -> None:
    """Put the counters of an epoch that is there."""
    connection.execute(
        "UPDATE state SET produced = ?, acknowledged = ?, quarantined = ?, given_up = ?, unstored = ?, crc = ?"
        " WHERE id = ?",
        (
            account.produced,
            account.acknowledged,
            account.quarantined,
            account.given_up,
            account.unstored,
            account.mark,
            account.id,
        ),
    )


# What was given up.


def add_tombstone(connection: sqlite3.Connection, base: int, low: int, high: int, reason: str) -> None:
    """Note that every seq from `low` to `high` was given up; a neighbour for the same reason becomes one with it."""
    first, last = base + low, base + high
    reason = reason[:_REASON_LENGTH]
    before = _tombstone(connection, "low = (SELECT max(low) FROM tombstone WHERE low < ?)", first)
    after = _tombstone(connection, "low = ?", last + 1)
    if after is not None and after[2] == reason:
        connection.execute("DELETE FROM tombstone WHERE low = ?", (last + 1,))
        last = after[1]
    if before is not None and before[1:] == (first - 1, reason):
        first = before[0]
    put_tombstone(connection, first, last, reason)


def _tombstone(connection: sqlite3.Connection, where: str, key: int) -> tuple[int, int, str] | None:
    """Return the keys and the reason of one tombstone, None where there is none. Raises `sqlite3.DatabaseError`."""
    row = connection.execute(f"SELECT low, high, reason, crc FROM tombstone WHERE {where}", (key,)).fetchone()  # noqa: S608
    return None if row is None else tombstone_of(row)


def tombstone_of(row: Sequence[Value]) -> tuple[int, int, str]:
    """Return what is in a row of low, high, reason and mark. Raises `sqlite3.DatabaseError` where it is not as written."""
    match row:
        case (int(low), int(high), str(reason), int(found)) if found == checked.mark(low, high, reason):
            return low, high, reason
    raise sqlite3.DatabaseError("a tombstone is not as it was written")


def put_tombstone(connection: sqlite3.Connection, low: int, high: int, reason: str) -> None:
    """Put one, in the place of one that begins at the same key."""
    connection.execute(
        "INSERT OR REPLACE INTO tombstone (low, high, reason, crc) VALUES (?, ?, ?, ?)",
        (low, high, reason, checked.mark(low, high, reason)),
    )


def shift_tombstones(connection: sqlite3.Connection, first: int, last: int, by: int) -> None:
    """Move those that begin from key `first` to `last`."""
    rows = connection.execute(
        "SELECT low, high, reason, crc FROM tombstone WHERE low BETWEEN ? AND ?", (first, last)
    ).fetchall()
    connection.execute("DELETE FROM tombstone WHERE low BETWEEN ? AND ?", (first, last))
    for low, high, reason in map(tombstone_of, rows):
        put_tombstone(connection, low + by, high + by, reason)


def settle(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Forget what was given up from key `first` to `last`: the collector knows."""
    if last < first:
        return
    cut(connection, first)
    cut(connection, last + 1)
    connection.execute("DELETE FROM tombstone WHERE low BETWEEN ? AND ?", (first, last))


def cut(connection: sqlite3.Connection, key: int) -> None:
    """Make two of a tombstone that reaches over `key`: the second begins there."""
    found = _tombstone(connection, "low = (SELECT max(low) FROM tombstone WHERE low < ?)", key)
    if found is not None and found[1] >= key:
        low, high, reason = found
        put_tombstone(connection, low, key - 1, reason)
        put_tombstone(connection, key, high, reason)


def tombstones(connection: sqlite3.Connection, base: int, limit: int) -> list[Tombstone]:
    """Return the first `limit` of what an epoch gave up and the collector does not know of."""
    rows = connection.execute(
        "SELECT low, high, reason, crc FROM tombstone WHERE low > ? AND low < ? ORDER BY low LIMIT ?",
        (base, base + SPAN, limit),
    )
    return [
        Tombstone(low=low - base, high=high - base, count=high - low + 1, reason=reason)
        for low, high, reason in map(tombstone_of, rows)
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
    before = max((ran_s for ran_s, _ in _age_marks(connection)), default=0)
    ran_s = before + passed_s
    connection.execute(
        "INSERT INTO age_mark (ran_s, seq, crc) VALUES (?, ?, ?)", (ran_s, key, checked.mark(ran_s, key))
    )
    return ran_s


def last_before(connection: sqlite3.Connection, ran_s: int) -> int:
    """Return the last key there was when the device had run for `ran_s`; 0 for none. Older marks are forgotten."""
    key = max((seq for passed_s, seq in _age_marks(connection) if passed_s <= ran_s), default=0)
    connection.execute("DELETE FROM age_mark WHERE ran_s < ? AND seq < ?", (ran_s, key))
    return key


def _age_marks(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return the notes of the device's age that are as they were written: one an hour. By any other, all would be too old."""
    rows = connection.execute("SELECT ran_s, seq, crc FROM age_mark").fetchall()
    return [(ran_s, seq) for ran_s, seq, found in rows if found == checked.mark(ran_s, seq)]


# Incarnations.


def note_incarnation(connection: sqlite3.Connection, account: Account, incarnation: str, first: int) -> None:
    """Note that the collector is about to be told of this incarnation."""
    if incarnation not in [noted for noted, _, _ in _incarnations(connection, account.epoch)]:
        put_incarnation(connection, account.epoch, incarnation, first)


def put_incarnation(
    connection: sqlite3.Connection, epoch: str, incarnation: str, first: int, *, confirmed: int = 0
) -> None:
    """Put an incarnation after all others."""
    connection.execute(
        "INSERT INTO run (epoch, run, first, confirmed, crc) VALUES (?, ?, ?, ?, ?)",
        (epoch, incarnation, first, confirmed, checked.mark(epoch, incarnation, first, confirmed)),
    )


def _incarnations(connection: sqlite3.Connection, epoch: str) -> list[tuple[str, int, int]]:
    """Return an epoch's incarnations, oldest first, as (incarnation, first, confirmed). Raises `sqlite3.DatabaseError`.

    All incarnations are looked at: of one that has lost its epoch's name nobody knows whose it is.
    """
    found: list[tuple[str, int, int]] = []
    for row in connection.execute("SELECT epoch, run, first, confirmed, crc FROM run ORDER BY id"):
        if row[4] != checked.mark(*row[:4]):
            raise sqlite3.DatabaseError("an incarnation is not as it was written")
        if row[0] == epoch:
            found.append(row[1:4])
    return found


def every_incarnation(connection: sqlite3.Connection, epoch: str) -> list[tuple[str, int]]:
    """Return the incarnations that made an epoch on this card, newest first, as far as they are kept."""
    return [(incarnation, first) for incarnation, first, _ in reversed(_incarnations(connection, epoch))]


def incarnations(connection: sqlite3.Connection, epoch: str) -> list[tuple[str, int]]:
    """Return the incarnations to tell of: newest first, down to the last one that was confirmed."""
    told: list[tuple[str, int]] = []
    for incarnation, first, confirmed in reversed(_incarnations(connection, epoch)):
        if confirmed:
            # Always among them, however many starts nobody answered.
            return [*told[: MAX_INCARNATIONS - 1], (incarnation, first)]
        told.append((incarnation, first))
    return told[:MAX_INCARNATIONS]


def incarnations_from(connection: sqlite3.Connection, epoch: str, seq: int) -> list[tuple[str, int]]:
    """Return the incarnations that may have made an epoch's records from `seq` on, oldest first, as (incarnation, first)."""
    every = [(incarnation, first) for incarnation, first, _ in _incarnations(connection, epoch)]
    begun = [index for index, (_, first) in enumerate(every) if first <= seq]
    return every[begun[-1] if begun else 0 :]


def confirm_incarnation(connection: sqlite3.Connection, epoch: str, incarnation: str) -> None:
    """Note that the collector knows `incarnation`: those before it need not be told any more.

    They stay all the same, as many as a hello can name: it may turn out that whoever said so was no collector.
    """
    first = next((first for one, first, _ in _incarnations(connection, epoch) if one == incarnation), None)
    if first is None:
        return
    _confirm(connection, epoch, incarnation, first, confirmed=1)
    connection.execute(
        "DELETE FROM run WHERE epoch = ?1 AND id <= (SELECT id FROM run WHERE epoch = ?1"
        " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (epoch, MAX_INCARNATIONS),
    )


def unconfirm_incarnations(connection: sqlite3.Connection) -> None:
    """Tell of every incarnation again: whoever confirmed them counts no longer."""
    for epoch in [account.epoch for account in accounts(connection)]:
        for incarnation, first, confirmed in _incarnations(connection, epoch):
            if confirmed:
                _confirm(connection, epoch, incarnation, first, confirmed=0)


def _confirm(
    connection: sqlite3.Connection, epoch: str, incarnation: str, first: int, *, confirmed: int
) -> None:
    connection.execute(
        "UPDATE run SET confirmed = ?, crc = ? WHERE epoch = ? AND run = ?",
        (confirmed, checked.mark(epoch, incarnation, first, confirmed), epoch, incarnation),
    )
