"""The outbox: the one queue between measuring and the collector, durable before it is counted.

A record gets its seq in the transaction that stores it: from 1, without a gap, never used again in this epoch.
A row leaves only by `acknowledge` (the collector has it on its own disk) or into quarantine (it never will).
No count and no read here may cost more because the backlog is long: everything is a primary-key range or a
counter. Not asked here: what to send when (`appliance.sync.policy`), and how (`appliance.sync.sender`).

One `Outbox` is one SQLite connection and belongs to the thread that opened it (sqlite3 enforces it). The daemon's
thread opens the first and appends; the sender's thread makes its own with `again()` and reads and acknowledges.
"""

import contextlib
import json
import sqlite3
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from appliance.outbox.file import (
    OutboxError,
    connect,
    open_or_begin,
    open_read_only,
    translate,
)
from firmware.exchange import Ack, Hello, Reject
from firmware.record import Identity, Record, from_json, to_json

ROUNDS_KEPT: Final = 60
"""How many rounds' conclusions stay after they were acknowledged."""
LADDER_TEST: Final = "ladder"
_REASON_LENGTH: Final = 500
_LAST_SEQ: Final = 2**62
_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class AckImpossibleError(OutboxError):
    """An ack speaks of records this outbox never made."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record that waits: its seq and its JSON text."""

    seq: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """`produced` = `waiting` + `acknowledged` + `quarantined`; `unstored` were measured and could not be stored."""

    produced: int
    waiting: int
    acknowledged: int
    quarantined: int
    unstored: int


class Outbox:
    """The outbox's database, seen from one thread.

    `device` and `epoch` with a seq are a record's identity. `set_aside` is where a damaged predecessor was put
    when this one was opened, else None.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, set_aside: Path | None, utc_ns: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._path = path
        self._utc_ns = utc_ns
        self.set_aside = set_aside
        row = self._one("SELECT device, epoch FROM state WHERE id = 1")
        self.device = str(row[0])
        self.epoch = str(row[1])

    @classmethod
    def open(cls, path: Path, *, device: str, utc_ns: Callable[[], int] = time.time_ns) -> Self:
        """Open the outbox of `device`, made if it is missing; a damaged one is set aside and a new epoch begins.

        Raises `OutboxTooNewError`, `OutboxForeignError`, `OutboxReadOnlyError`, `OutboxFullError`, `OutboxError`.
        """
        connection, aside = open_or_begin(path, device=device, utc_ns=utc_ns())
        return cls._around(connection, path, set_aside=aside, utc_ns=utc_ns)

    @classmethod
    def look(cls, path: Path) -> Self:
        """Open an outbox only to read it, also while a daemon holds it. Raises `OutboxError`."""
        return cls._around(open_read_only(path), path, set_aside=None, utc_ns=time.time_ns)

    def again(self) -> Self:
        """Return the same outbox on a connection of the calling thread's own. May be called from any thread."""
        try:
            connection = connect(self._path)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        return self._around(connection, self._path, set_aside=None, utc_ns=self._utc_ns)

    @classmethod
    def _around(
        cls, connection: sqlite3.Connection, path: Path, *, set_aside: Path | None, utc_ns: Callable[[], int]
    ) -> Self:
        try:
            return cls(connection, path, set_aside=set_aside, utc_ns=utc_ns)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close this connection (from the thread that opened it)."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def append(self, records: Sequence[Record], *, given_up: int = 0) -> list[Identity]:
        """Store `records` in one transaction and return their identities, in order. They are on the disk then.

        `given_up` records were measured and could not be stored since the last append that worked: they are
        counted in the same transaction. Raises `OutboxFullError` or another `OutboxError`: then nothing is stored
        or counted, and the caller still has it all. A record with a number that JSON does not know (NaN) is a
        fault of the program: `ValueError`.
        """
        bodies = [_body(record) for record in records]
        with self._transaction():
            (produced,) = self._one("SELECT produced FROM state WHERE id = 1")
            first = produced + 1
            self._insert(records, bodies, first)
            self._connection.execute(
                "UPDATE state SET produced = ?, unstored = unstored + ? WHERE id = 1",
                (produced + len(records), given_up),
            )
        return [Identity(device=self.device, epoch=self.epoch, seq=first + i) for i in range(len(records))]

    def newest(
        self, limit: int, *, below: int = _LAST_SEQ, above: int = 0, max_bytes: int = 2**30
    ) -> list[Row]:
        """Return up to `limit` waiting rows with above < seq < below, highest seq first.

        Reading stops after the row whose body takes the sum past `max_bytes` (UTF-8 estimated by characters).
        """
        return self._read("ORDER BY seq DESC", above, below, limit, max_bytes)

    def oldest(
        self, limit: int, *, above: int = 0, below: int = _LAST_SEQ, max_bytes: int = 2**30
    ) -> list[Row]:
        """Return up to `limit` waiting rows with above < seq < below, lowest seq first; `max_bytes` as in `newest`."""
        return self._read("ORDER BY seq", above, below, limit, max_bytes)

    def acknowledge(self, ack: Ack) -> int:
        """Let go of what `ack` says is durable, quarantine what it rejects; return how many rows left.

        One transaction. An ack of another epoch removes nothing; so does one that came before. Raises
        `AckImpossibleError` for one that speaks of a seq never given: removing on its word could lose records.
        """
        if ack.epoch != self.epoch:
            return 0
        with self._transaction():
            (produced,) = self._one("SELECT produced FROM state WHERE id = 1")
            highest = max([ack.upto, *(high for _, high in ack.ranges), *(one.seq for one in ack.rejects)])
            if highest > produced:
                raise AckImpossibleError(
                    f"the collector has record {highest:,} of this epoch, but only {produced:,} were ever made here",
                    where=self._path,
                    remedy="The card was copied or restored: move the outbox away, so that a new epoch begins",
                )
            quarantined = sum(
                self._quarantine(reject, said_by="collector") for reject in ack.rejects if reject.seq > 0
            )
            removed = self._delete(1, ack.upto)
            removed += sum(self._delete(low, high) for low, high in ack.ranges)
            if removed or quarantined:
                self._connection.execute(
                    "UPDATE state SET acknowledged = acknowledged + ?, quarantined = quarantined + ? WHERE id = 1",
                    (removed, quarantined),
                )
        return removed + quarantined

    def quarantine(self, seq: int, reason: str) -> bool:
        """Set one waiting row aside because it can never be sent. Return whether it was waiting."""
        with self._transaction():
            moved = self._quarantine(Reject(seq=seq, reason=reason), said_by="device")
            self._connection.execute("UPDATE state SET quarantined = quarantined + ? WHERE id = 1", (moved,))
        return bool(moved)

    def counts(self) -> Counts:
        """Return how many records were made, wait, were acknowledged, rejected, or could not be stored."""
        produced, acknowledged, quarantined, unstored = self._one(
            "SELECT produced, acknowledged, quarantined, unstored FROM state WHERE id = 1"
        )
        return Counts(
            produced=produced,
            waiting=produced - acknowledged - quarantined,
            acknowledged=acknowledged,
            quarantined=quarantined,
            unstored=unstored,
        )

    def hello(self, *, software: str, country: str) -> Hello:
        """Return what the outbox has to say of itself on connecting."""
        # One statement, so that the numbers are of one moment.
        produced, waiting, lowest = self._one(
            "SELECT produced, produced - acknowledged - quarantined, (SELECT min(seq) FROM waiting)"
            " FROM state WHERE id = 1"
        )
        return Hello(
            device=self.device,
            epoch=self.epoch,
            low=produced + 1 if lowest is None else lowest,
            high=produced,
            waiting=waiting,
            software=software,
            country=country,
        )

    def recent_rounds(self, limit: int) -> list[Record]:
        """Return the last rounds' conclusions (their `ladder` records), newest first, sent or not."""
        rows = self._all("SELECT body FROM round ORDER BY seq DESC LIMIT ?", (limit,))
        return [from_json(json.loads(body)) for (body,) in rows]

    def _insert(self, records: Sequence[Record], bodies: Sequence[str], first: int) -> None:
        stored_utc_ns = self._utc_ns()
        self._connection.executemany(
            "INSERT INTO waiting (seq, body, test, rung, failure, verdict, start_utc_ns, stored_utc_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    first + index,
                    body,
                    record.test,
                    record.rung,
                    record.outcome.failure,
                    None if record.verdict is None else record.verdict.verdict,
                    record.start.utc_ns,
                    stored_utc_ns,
                )
                for index, (record, body) in enumerate(zip(records, bodies, strict=True))
            ],
        )
        rounds = [
            (first + index, record.round_id, bodies[index])
            for index, record in enumerate(records)
            if record.test == LADDER_TEST
        ]
        if rounds:
            self._connection.executemany("INSERT INTO round (seq, round_id, body) VALUES (?, ?, ?)", rounds)
            self._connection.execute(
                "DELETE FROM round WHERE seq <= (SELECT seq FROM round ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (ROUNDS_KEPT,),
            )

    def _read(self, order: str, above: int, below: int, limit: int, max_bytes: int) -> list[Row]:
        rows: list[Row] = []
        total = 0
        try:
            cursor = self._connection.execute(
                f"SELECT seq, body FROM waiting WHERE seq > ? AND seq < ? {order} LIMIT ?",  # noqa: S608 - our own words
                (above, below, limit),
            )
            for seq, body in cursor:
                rows.append(Row(seq, body))
                total += len(body)
                if total > max_bytes:
                    break
            cursor.close()
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        return rows

    def _quarantine(self, reject: Reject, *, said_by: str) -> int:
        self._connection.execute(
            "INSERT INTO quarantine (seq, body, reason, said_by, moved_utc_ns)"
            " SELECT seq, body, ?, ?, ? FROM waiting WHERE seq = ?",
            (reject.reason[:_REASON_LENGTH], said_by, self._utc_ns(), reject.seq),
        )
        return self._delete(reject.seq, reject.seq)

    def _delete(self, low: int, high: int) -> int:
        return self._connection.execute("DELETE FROM waiting WHERE seq BETWEEN ? AND ?", (low, high)).rowcount

    def _one(self, sql: str) -> tuple[Any, ...]:
        (row,) = self._all(sql)
        return row

    def _all(self, sql: str, parameters: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do what stands in the block wholly or not at all, and durably, with SQLite's errors translated."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise translate(error, self._path) from error
        except BaseException:
            self._rollback()
            raise

    def _rollback(self) -> None:
        # SQLite itself rolls back on some errors (a full disk, an I/O error): then there is nothing left to undo.
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _body(record: Record) -> str:
    """Return a record's JSON text, in characters that any reader of UTF-8 takes."""
    text = _ENCODE(to_json(record))
    # Half a surrogate pair can reach us inside what a server said; left in, it could never be stored or sent.
    return text.encode("utf-8", "replace").decode()
