"""What the audit asks of the store, a page at a time, each in a read transaction of its own.

Between two pages the collector goes on storing: an epoch is looked at as it was when its `Snapshot` was taken, up to the
record and the message that were the last ones then. It must never hold a transaction for long, since the collector's
log could not be folded into the database meanwhile, and never write.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from collector.store import asked_columns
from collector.store.arrivals import IngestRow
from collector.store.completeness import EpochCoverage
from collector.store.covered import COVERED
from collector.store.queries import Queries
from firmware.model.seqs import SeqRanges

SEQS_A_PAGE: Final = 20_000
MESSAGES_A_PAGE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An epoch as the store accounts for it, and the last record and message there were at that moment."""

    device: str
    coverage: EpochCoverage
    answered: SeqRanges
    """What acks name."""
    last_record: int
    last_message: int
    hello: "tuple[int, int, bytes] | None"
    """Of the hello that is kept: the seq it named, when it came, and the message."""
    unnamed: int = 0
    """How many more ended epochs the device said it holds, in the last hello, if that was this epoch's."""


class StoredMessage(NamedTuple):
    """A kept message."""

    number: int
    leaf: str
    received_ns: int
    data: bytes


class StoredRecord(NamedTuple):
    """A record as it stands in the store."""

    row: IngestRow
    received_ns: int
    message: int | None
    number: int
    """Its place in the order of arrival."""


_AFTER: Final = "SELECT device, epoch FROM {} WHERE (device, epoch) > (?, ?) ORDER BY device, epoch LIMIT 1"
_COLUMNS: Final = ", ".join(("seq", "body", "received_ns", "envelope", "id", *asked_columns.NAMES))
_OF_DEVICE: Final = (
    ("device", "id"),
    *(
        (table, "device")
        for table in ("epoch", "coverage", "record", "envelope", "hello", "tombstone", "reject", "run")
    ),
    *((table, "device") for table in ("boot", "sync_point", "turn", "unnamed_epochs", "server_half")),
)
_RECORDS: Final = (
    f"SELECT {_COLUMNS} FROM record"  # noqa: S608  # names of our own
    " WHERE device = ? AND epoch = ? AND seq IN (SELECT value FROM json_each(?)) AND id <= ?"
)


def has_evidence(queries: Queries) -> bool:
    """Return whether the database has the digest chain and every table that it covers."""
    with queries.reading() as connection:
        there = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        return there.issuperset(("chain", *(one.table for one in COVERED)))


def epochs(queries: Queries, device: str | None) -> Iterator[tuple[str, str]]:
    """Yield every (device, epoch) that any table knows, in order: one that a table has lost shows all the same."""
    after = ("", "") if device is None else (device, "")
    while True:
        with queries.reading() as connection:
            found = [
                connection.execute(_AFTER.format(table), after).fetchone()
                for table in ("epoch", "coverage", "record", "envelope", "hello")
            ]
        following = min((one for one in found if one is not None), default=None)
        if following is None or (device is not None and following[0] != device):
            return
        after = following
        yield following


def knows(queries: Queries, device: str) -> bool:
    """Return whether any table has a row of a device."""
    with queries.reading() as connection:
        return any(
            connection.execute(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", (device,)).fetchone()  # noqa: S608
            for table, column in _OF_DEVICE
        )


def arrivals(queries: Queries) -> Iterator[tuple[int, int | None]]:
    """Yield the number and the message of every record, in order of arrival, a page at a time."""
    after = 0
    while True:
        with queries.reading() as connection:
            page = connection.execute(
                "SELECT id, envelope FROM record WHERE id > ? ORDER BY id LIMIT ?", (after, SEQS_A_PAGE)
            ).fetchall()
        if not page:
            return
        after = page[-1][0]
        yield from page


def snapshot(queries: Queries, device: str, epoch: str) -> Snapshot:
    """Return the epoch as it stands now."""
    where = (device, epoch)
    with queries.reading() as connection:
        first_seen_ns, high = connection.execute(
            "SELECT first_seen_ns, high FROM epoch WHERE device = ? AND epoch = ?", where
        ).fetchone() or (0, 0)
        kinds: dict[str, list[tuple[int, int]]] = {}
        for kind, low, top in connection.execute(
            "SELECT kind, low, high FROM coverage WHERE device = ? AND epoch = ? ORDER BY kind, low", where
        ):
            kinds.setdefault(kind, []).append((low, top))
        (last_record,) = connection.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()
        (last_message,) = connection.execute("SELECT coalesce(max(id), 0) FROM envelope").fetchone()
        hello = connection.execute(
            "SELECT high, received_ns, data FROM hello WHERE device = ? AND epoch = ?", where
        ).fetchone()
        (unnamed,) = connection.execute(
            "SELECT count FROM unnamed_epochs WHERE device = ? AND epoch = ?", where
        ).fetchone() or (0,)
    return Snapshot(
        device=device,
        coverage=EpochCoverage(
            epoch=epoch,
            first_seen_ns=first_seen_ns,
            high=high,
            stored=_ranges(kinds, "stored"),
            tombstoned=_ranges(kinds, "tombstoned"),
            rejected=_ranges(kinds, "rejected"),
        ),
        answered=_ranges(kinds, "accounted"),
        last_record=last_record,
        last_message=last_message,
        hello=hello,
        unnamed=unnamed,
    )


def high(queries: Queries, device: str, epoch: str) -> int | None:
    """Return the highest seq that the account knows of an epoch, None where it knows nothing of it."""
    with queries.reading() as connection:
        found = connection.execute(
            "SELECT high FROM epoch WHERE device = ? AND epoch = ?", (device, epoch)
        ).fetchone()
    return None if found is None else int(found[0])


def seqs(queries: Queries, taken: Snapshot) -> Iterator[tuple[int, ...]]:
    """Yield the seqs of the epoch's records, ascending, a page at a time."""
    after = 0
    while True:
        with queries.reading() as connection:
            page = connection.execute(
                """SELECT seq, id FROM record WHERE device = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?""",
                (taken.device, taken.coverage.epoch, after, SEQS_A_PAGE),
            ).fetchall()
        if not page:
            return
        after = page[-1][0]
        yield tuple(seq for seq, number in page if number <= taken.last_record)


def messages(queries: Queries, taken: Snapshot) -> Iterator[StoredMessage]:
    """Yield the messages kept of the epoch, in order of arrival."""
    after = 0
    while True:
        with queries.reading() as connection:
            page = connection.execute(
                """SELECT id, leaf, received_ns, data FROM envelope
                   WHERE device = ? AND epoch = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?""",
                (taken.device, taken.coverage.epoch, after, taken.last_message, MESSAGES_A_PAGE),
            ).fetchall()
        if not page:
            return
        after = page[-1][0]
        yield from map(StoredMessage._make, page)


def records(queries: Queries, taken: Snapshot, wanted: Sequence[int]) -> dict[int, StoredRecord]:
    """Return the records with these seqs, as far as they are there."""
    with queries.reading() as connection:
        found: list[tuple[Any, ...]] = connection.execute(
            _RECORDS,
            (taken.device, taken.coverage.epoch, json.dumps(list(wanted)), taken.last_record),
        ).fetchall()
    return {
        seq: StoredRecord(IngestRow(seq=seq, body=body, asked=tuple(asked)), received_ns, message, number)
        for seq, body, received_ns, message, number, *asked in found
    }


def links(queries: Queries, taken: Snapshot) -> Iterator[tuple[int, int | None]]:
    """Yield each record's seq and the message it names, ascending."""
    after = 0
    while True:
        with queries.reading() as connection:
            page = connection.execute(
                "SELECT seq, envelope, id FROM record WHERE device = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
                (taken.device, taken.coverage.epoch, after, SEQS_A_PAGE),
            ).fetchall()
        if not page:
            return
        after = page[-1][0]
        yield from ((seq, message) for seq, message, number in page if number <= taken.last_record)


def message(queries: Queries, taken: Snapshot, number: int) -> StoredMessage | None:
    """Return one message of the epoch."""
    with queries.reading() as connection:
        found = connection.execute(
            "SELECT id, leaf, received_ns, data FROM envelope WHERE id = ? AND device = ? AND epoch = ?",
            (number, taken.device, taken.coverage.epoch),
        ).fetchone()
    return None if found is None else StoredMessage._make(found)


def _ranges(kinds: dict[str, list[tuple[int, int]]], kind: str) -> SeqRanges:
    return SeqRanges(tuple(kinds.get(kind, ())))
