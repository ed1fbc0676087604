"""The digest chain: an entry for each transaction, over every row it wrote, each entry's digest over the one before.

    digest(n) = SHA-256(digest(n-1) LF n LF at_ns LF kind LF content)      digest(0) = 64 times "0"

`content` has a line for each row that was written: its name (`collector.store.covered`), a blank, and its digest, or "-"
for one that was deleted. Who keeps a number and its digest elsewhere can say later whether all up to there is as it was:
`collector.audit.chain`. Rows are noticed by temporary triggers of the writer's own connection, so that what is written can
never be forgotten here. This file must never change or delete an entry, nor write one outside of its rows' transaction.
"""

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from collector.store import writing
from collector.store.covered import Covered, Value, row_digest

ROWS_AN_ENTRY: Final = 2000
"""How many rows that were there before the chain began go into one of its first entries."""
TELL_EVERY_S: Final = 3600.0
GENESIS: Final = "genesis"
DELETED: Final = "-"
NO_DIGEST: Final = "0" * 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An entry's number and digest, which stand for all up to it; `at_ns` is the collector's clock (UTC)."""

    number: int
    digest: str
    at_ns: int = 0

    def __str__(self) -> str:
        """Return it as people write it down: `NUMBER:DIGEST`."""
        return f"{self.number}:{self.digest}"


NOTHING: Final = Head(number=0, digest=NO_DIGEST)


def entry_digest(previous: str, number: int, at_ns: int, kind: str, content: str) -> str:
    """Return the hexadecimal digest of an entry."""
    return hashlib.sha256(f"{previous}\n{number}\n{at_ns}\n{kind}\n{content}".encode()).hexdigest()


def head(connection: sqlite3.Connection) -> Head:
    """Return the last entry. Raises `sqlite3.Error`."""
    row = connection.execute(
        "SELECT number, digest, at_ns FROM chain ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return NOTHING if row is None else Head(number=row[0], digest=row[1], at_ns=row[2])


class Chain:
    """What one writer's `connection` adds to the chain: all it writes into `tables`, in `transaction`s of the chain's."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        tables: Sequence[Covered],
        *,
        kind: str,
        now_ns: Callable[[], int] = time.time_ns,
        tell_every_s: float | None = None,
    ) -> None:
        self._connection = connection
        self._tables = {one.table: one for one in tables}
        self._kind = kind
        self._now_ns = now_ns
        self._tell_every_s = tell_every_s
        self._told_s: float | None = None
        self._changes: dict[str, Sequence[Value] | None] = {}
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function("tidegauge_wrote", -1, self._wrote)
        connection.create_function("tidegauge_deleted", -1, self._deleted)
        for one in tables:
            _watch(connection, one)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do what stands in the block, and the entry over it, wholly or not at all, durably. Raises `sqlite3.Error`."""
        self._changes.clear()
        with writing.transaction(self._connection):
            yield
            present = self._append()
        self._tell(present)

    def _append(self) -> Head | None:
        if not self._changes:
            return None
        content = "".join(
            f"{key} {DELETED if row is None else row_digest(row)}\n" for key, row in self._changes.items()
        )
        self._changes.clear()
        return _add(self._connection, head(self._connection), self._now_ns(), self._kind, content)

    def _tell(self, present: Head | None) -> None:
        """Tell the log the last entry now and then: whoever keeps the log keeps the chain."""
        if present is None or self._tell_every_s is None:
            return
        now_s = time.monotonic()
        if self._told_s is None or now_s - self._told_s >= self._tell_every_s:
            self._told_s = now_s
            log.info("digest %s", present)

    def _wrote(self, table: str, *row: Value) -> None:
        self._changes[self._tables[table].key(row)] = row

    def _deleted(self, table: str, *row: Value) -> None:
        self._changes[self._tables[table].key(row)] = None


def begin(connection: sqlite3.Connection, tables: Sequence[Covered], at_ns: int) -> None:
    """Make the first entries, over what is there; the caller holds the transaction, and has made the table."""
    last, rows = NOTHING, 0
    content: list[str] = []
    for line in _lines(connection, tables):
        content.append(line)
        rows += 1
        if len(content) == ROWS_AN_ENTRY:
            last = _add(connection, last, at_ns, GENESIS, "".join(content))
            content.clear()
    last = _add(connection, last, at_ns, GENESIS, "".join(content))
    if rows:
        log.warning(
            "the digest chain begins with the %d rows that are there: it says nothing of what was changed before; digest %s",
            rows,
            last,
        )


def _lines(connection: sqlite3.Connection, tables: Iterable[Covered]) -> Iterator[str]:
    for one in tables:
        # The names are ours.
        for row in connection.execute(f"SELECT {', '.join(one.columns)} FROM {one.table}"):  # noqa: S608
            yield f"{one.key(row)} {row_digest(row)}\n"


def _add(connection: sqlite3.Connection, last: Head, at_ns: int, kind: str, content: str) -> Head:
    number = last.number + 1
    added = Head(number=number, digest=entry_digest(last.digest, number, at_ns, kind, content), at_ns=at_ns)
    connection.execute(
        "INSERT INTO chain (number, at_ns, kind, content, digest) VALUES (?, ?, ?, ?, ?)",
        (number, at_ns, kind, content, added.digest),
    )
    return added


def _watch(connection: sqlite3.Connection, one: Covered) -> None:
    """Have every row that this connection writes into a table, or deletes from it, told to the chain."""
    for event, row, function in (
        ("INSERT", "NEW", "tidegauge_wrote"),
        ("UPDATE", "NEW", "tidegauge_wrote"),
        ("DELETE", "OLD", "tidegauge_deleted"),
    ):
        values = ", ".join(f"{row}.{column}" for column in one.columns)
        connection.execute(
            f"CREATE TEMP TRIGGER chain_{event.lower()}_{one.table} AFTER {event} ON main.{one.table}"
            f" BEGIN SELECT {function}('{one.table}', {values}); END"
        )
