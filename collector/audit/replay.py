"""The digest chain gone through entry by entry: whether each follows from the one before, and what rows it leaves behind.

What each row's last entry says of it is kept in a temporary database of its own, so that memory stays small however long
the chain is. It must never believe a digest that it has not made anew.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector.audit.account import Faults
from collector.store.chain import DELETED, GENESIS, NOTHING, Head, entry_digest
from collector.store.covered import COVERED, Covered

ENTRIES_A_PAGE: Final = 500
_COVERED: Final = {one.table: one for one in COVERED}


class Item(NamedTuple):
    """What the chain says last of one row; `digest` is `DELETED` where the row was deleted."""

    entry: int
    digest: str


@dataclass(slots=True)
class Replay:
    """The chain as far as it was read. `close` it."""

    faults: Faults
    wanted: Sequence[Head] = ()
    head: Head = NOTHING
    began_ns: int = 0
    rows_before: int = 0
    on_chain: set[tuple[int, str]] = field(default_factory=set)
    """Of the wanted heads those that lie on it."""
    named: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The first and last entry that names each device."""
    first_broken: int | None = None
    _wanted: frozenset[tuple[int, str]] = frozenset()
    _items: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect("", isolation_level=None))

    def __post_init__(self) -> None:
        self._wanted = frozenset((one.number, one.digest) for one in self.wanted)
        self._items.execute("PRAGMA synchronous = OFF")
        self._items.execute("PRAGMA journal_mode = OFF")
        self._items.execute(
            """CREATE TABLE item (key TEXT PRIMARY KEY, of TEXT NOT NULL, entry INTEGER NOT NULL, digest TEXT NOT NULL,
               seen INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID"""
        )

    def close(self) -> None:
        """Drop the temporary database."""
        self._items.close()

    def catch_up(self, connection: sqlite3.Connection) -> bool:
        """Read a page of entries that follow; return whether there may be more."""
        page = connection.execute(
            "SELECT number, at_ns, kind, content, digest FROM chain WHERE number > ? ORDER BY number LIMIT ?",
            (self.head.number, ENTRIES_A_PAGE),
        ).fetchall()
        self._items.execute("BEGIN")
        for number, at_ns, kind, content, digest in page:
            self._entry(number, at_ns, kind, content, digest)
        self._items.execute("COMMIT")
        return len(page) == ENTRIES_A_PAGE

    def item(self, key: str, *, seen: bool = False) -> Item | None:
        """Return what is said last of a row; `seen` notes that the row was looked at."""
        found = self._items.execute("SELECT entry, digest FROM item WHERE key = ?", (key,)).fetchone()
        if found is not None and seen:
            self._items.execute("UPDATE item SET seen = 1 WHERE key = ?", (key,))
        return None if found is None else Item._make(found)

    def unseen(self, table: str, after: str, limit: int) -> list[str]:
        """Return rows of a table that should be there and were not looked at, by key."""
        found = self._items.execute(
            "SELECT key FROM item WHERE of = ? AND seen = 0 AND digest <> ? AND key > ? ORDER BY key LIMIT ?",
            (table, DELETED, after, limit),
        )
        return [key for (key,) in found]

    def _entry(self, number: int, at_ns: int, kind: str, content: str, digest: str) -> None:
        if number != self.head.number + 1:
            first, last = self.head.number + 1, number - 1
            which = f"entry {first:,} is" if first == last else f"entries {first:,}–{last:,} are"
            self._broken(first, f"{which} gone from the digest chain")
        made = entry_digest(self.head.digest, number, at_ns, kind, content)
        if made != digest:
            self._broken(number, f"entry {number:,} of the digest chain is not what was written")
        self.head = Head(number=number, digest=digest, at_ns=at_ns)
        if (number, digest) in self._wanted and made == digest:
            self.on_chain.add((number, digest))
        lines = content.removesuffix("\n").split("\n") if content else []
        if number == 1:
            self.began_ns = at_ns
        if kind == GENESIS:
            self.rows_before += len(lines)
        for line in lines:
            self._line(number, line)

    def _line(self, number: int, line: str) -> None:
        key, _, digest = line.rpartition(" ")
        one, whose = _named(key)
        if one is None:
            self._broken(
                number, f"entry {number:,} of the digest chain has a line that is none: {line[:80]!r}"
            )
            return
        if one.whose in {"device", "id"} and whose:
            self.named[whose] = (self.named.get(whose, (number, number))[0], number)
        before = self.item(key)
        if before is not None and before.digest != DELETED:
            if one.is_fixed and digest not in {before.digest, DELETED}:
                self._broken(
                    number,
                    f"entry {number:,} changes {key}, which entry {before.entry:,} has and nothing changes",
                )
            if one.is_kept and digest == DELETED:
                self._broken(
                    number,
                    f"entry {number:,} deletes {key}, which entry {before.entry:,} has and nothing deletes",
                )
        self._items.execute(
            """INSERT INTO item (key, of, entry, digest) VALUES (?, ?, ?, ?)
               ON CONFLICT (key) DO UPDATE SET entry = excluded.entry, digest = excluded.digest""",
            (key, one.table, number, digest),
        )

    def _broken(self, number: int, what: str) -> None:
        self.faults.add(what)
        if self.first_broken is None or number < self.first_broken:
            self.first_broken = number


def _named(key: str) -> tuple[Covered | None, str]:
    """Return which table a line speaks of, and whose row."""
    try:
        parts = json.loads(key)
    except ValueError:
        return None, ""
    match parts:
        case [str(table), str(whose), *rest] if (
            table in _COVERED and len(rest) == _COVERED[table].key_columns
        ):
            return _COVERED[table], whose
        case _:
            return None, ""
