"""A measurement server's halves on its own disk until a collector has them: durable, numbered, signed, bounded.

    DATA/halves.sqlite3     under_way   what has begun, before anything of it is known but that
                            half        what has ended, as the envelope that proves it
                            meta        the log's random name, its last number, and how many were evicted

What was under way when the server died is ended as `lost` at the next start. Where there is no more room the oldest of the device
that has the most here make way, so that no device pushes out another's. Used by one thread at a time. This file must never
give a number twice, nor let go of a half that no collector has but for want of room.
"""

import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from collector.errors import MeasurementServerError
from firmware.model import server_half
from firmware.model.server_half import HalfEnd, ServerHalf
from firmware.wire.bundle import BundleMessage
from firmware.wire.server_halves import HALF_LEAF, HalvesAccount, encode_half

FILE_NAME: Final = "halves.sqlite3"
PAGE_BYTES: Final = 512 * 1024
"""How much is given at once."""
_SPARE: Final = 16
"""Where room is made, one in so many bytes is: it is not made anew for each half."""
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS under_way (id INTEGER PRIMARY KEY, begun TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS half (
        number INTEGER PRIMARY KEY, device TEXT NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS half_of_device ON half (device, size);
"""

Sign = Callable[[bytes], bytes]
"""Returns the envelope of a half that is to be signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfPage:
    """Halves that follow, ascending, and how the log stands."""

    halves: tuple[BundleMessage, ...]
    account: HalvesAccount


class HalfLog:
    """The log in `directory`; it holds `most_bytes` of halves at most."""

    def __init__(self, connection: sqlite3.Connection, sign: Sign, most_bytes: int) -> None:
        self._connection = connection
        self._sign = sign
        self._most_bytes = most_bytes
        self.epoch = self._meta("epoch") or os.urandom(8).hex()
        self._bytes = self._count()
        with connection:
            self._put("epoch", self.epoch)
            for number, begun in connection.execute("SELECT id, begun FROM under_way ORDER BY id").fetchall():
                self._end(number, replace(server_half.from_json(json.loads(begun)), end=HalfEnd.LOST))

    @classmethod
    def open(cls, directory: Path, sign: Sign, *, most_bytes: int) -> Self:
        """Open the log, made where there is none; what was under way is lost. Raises `MeasurementServerError`."""
        path = directory / FILE_NAME
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(path, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_SCHEMA)
            return cls(connection, sign, most_bytes)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise MeasurementServerError(
                f"{path}: it cannot be used ({error}); move it away, and a new one is begun"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def begin(self, half: ServerHalf) -> int:
        """Note durably that a transfer has begun; return what it is ended by. Raises `sqlite3.Error`."""
        begun = json.dumps(server_half.to_json(half))
        with self._connection:
            inserted = self._connection.execute("INSERT INTO under_way (begun) VALUES (?)", (begun,))
        assert inserted.lastrowid is not None
        return inserted.lastrowid

    def end(self, begun: int, half: ServerHalf) -> None:
        """Write durably what became of it. Raises `sqlite3.Error`."""
        try:
            with self._connection:
                self._end(begun, half)
        except sqlite3.Error:
            self._bytes = self._count()  # what was counted was undone
            raise

    def collected(self, epoch: str, upto: int) -> None:
        """Let go of what a collector has stored. Raises `sqlite3.Error`."""
        if epoch != self.epoch:
            return
        with self._connection:
            self._delete("number <= ?", upto)

    def page(self, after: int, *, unwritten: int = 0) -> HalfPage:
        """Return the halves that follow `after`, as many as go at once. Raises `sqlite3.Error`."""
        found: list[BundleMessage] = []
        size, more = 0, False
        for (data,) in self._connection.execute(
            "SELECT data FROM half WHERE number > ? ORDER BY number", (after,)
        ):
            if found and size + len(data) > PAGE_BYTES:
                more = True
                break
            found.append(BundleMessage(leaf=HALF_LEAF, payload=data))
            size += len(data)
        account = HalvesAccount(
            epoch=self.epoch,
            last=int(self._meta("last") or 0),
            evicted=int(self._meta("evicted") or 0),
            unwritten=unwritten,
            more=more,
        )
        return HalfPage(halves=tuple(found), account=account)

    def _count(self) -> int:
        return int(self._connection.execute("SELECT coalesce(sum(size), 0) FROM half").fetchone()[0])

    def _end(self, begun: int, half: ServerHalf) -> None:
        number = int(self._meta("last") or 0) + 1
        data = self._sign(encode_half(replace(half, epoch=self.epoch, number=number)))
        self._connection.execute("DELETE FROM under_way WHERE id = ?", (begun,))
        self._put("last", str(number))
        self._connection.execute(
            "INSERT INTO half (number, device, size, data) VALUES (?, ?, ?, ?)",
            (number, half.device, len(data), data),
        )
        self._bytes += len(data)
        if self._bytes > self._most_bytes:
            self._make_room()

    def _make_room(self) -> None:
        evicted = int(self._meta("evicted") or 0)
        while self._bytes > self._most_bytes - self._most_bytes // _SPARE:
            found = self._connection.execute(
                "SELECT device FROM half GROUP BY device ORDER BY sum(size) DESC LIMIT 1"
            ).fetchone()
            if found is None:
                break
            evicted += self._delete(
                "number IN (SELECT number FROM half WHERE device = ? ORDER BY number LIMIT 8)", found[0]
            )
        self._put("evicted", str(evicted))

    def _delete(self, which: str, value: object) -> int:
        (size,) = self._connection.execute(
            f"SELECT coalesce(sum(size), 0) FROM half WHERE {which}",  # noqa: S608 - words of our own
            (value,),
        ).fetchone()
        gone = self._connection.execute(f"DELETE FROM half WHERE {which}", (value,)).rowcount  # noqa: S608 - as above
        self._bytes -= size
        return gone

    def _meta(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, name: str, value: str) -> None:
        self._connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
