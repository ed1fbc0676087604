"""Measurement servers' halves of tests in the database: as they were signed, how each server's log stands, and the join with devices.

    server_half    a half, as the envelope that proves it; what is asked for beside it in columns
    server_log     of each log of a server: up to which number it was collected, what the server says of it, when it last did

A half and a device's record are of one test where device and nonce are the same; which of the two is missing, if one is, is an answer
too. Written on a connection of its own, under the digest chain. This file must never change a half, or delete one.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from collector.errors import StoreError
from collector.store import writing
from collector.store.answers import RecordRow
from collector.store.chain import Chain
from collector.store.covered import HALVES
from collector.store.queries import MAX_PAGE, RECORD_COLUMNS, Queries, record_row
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.server_half import ServerHalf
from firmware.wire.envelope import unseal
from firmware.wire.server_halves import HalvesAccount, half_text

ASKED_EVERY_NS: Final = 600 * 1_000_000_000
"""How often it is noted that a server was asked and had nothing new."""
HAS_NONCE: Final = "instr(body, '\"nonce\"') > 0"
NONCE: Final = "iif(json_valid(body), json_extract(body, '$.detail.nonce'), NULL)"
"""A record's nonce; with `HAS_NONCE` beside it, the index of the migration answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHalf:
    """A half and the envelope that proves it."""

    half: ServerHalf
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfRow:
    """A stored half. `id` is the order in which they came and the cursor; `record` its device's, as (epoch, seq), where one is here."""

    id: int
    server: str
    epoch: str
    number: int
    device: str
    nonce: str
    ending: str
    start_utc_ns: int
    received_ns: int
    data: bytes
    record: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLogRow:
    """One log of a server: collected up to `upto` of `last`, of which `stored` are here; UTC, ns."""

    server: str
    epoch: str
    upto: int
    stored: int
    last: int
    evicted: int
    unwritten: int
    asked_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfFilter:
    """Which halves are wanted; None asks for all. `has_record` says whether the device's record is to be here."""

    device: str | None = None
    nonce: str | None = None
    server: str | None = None
    has_record: bool | None = None


class HalfStore:
    """The writing end; used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._chain = Chain(connection, HALVES, kind="halves")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the database at `path`, which `Store.open` has made. Raises `StoreError`."""
        return writing.holding(writing.connect_beside(path, "cache_size = -2048"), cls)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def collected(self, server: str) -> tuple[str, int]:
        """Return the log of a server that was heard last, and up to where it is here; ("", 0) where none is. Raises `StoreError`."""
        try:
            row = self._connection.execute(
                "SELECT epoch, upto FROM server_log WHERE server = ? ORDER BY asked_ns DESC LIMIT 1",
                (server,),
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be read ({error})") from error
        return ("", 0) if row is None else (str(row[0]), int(row[1]))

    def add(
        self, server: str, account: HalvesAccount, halves: Iterable[SignedHalf], *, received_ns: int
    ) -> None:
        """Store halves durably, each once, and how their log stands. Raises `StoreError`: then none is stored."""
        given = tuple(halves)
        try:
            with self._chain.transaction():
                self._connection.executemany(
                    """INSERT INTO server_half
                           (server, epoch, number, device, nonce, ending, start_utc_ns, received_ns, data)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (server, epoch, number) DO NOTHING""",
                    [
                        (
                            server,
                            one.half.epoch,
                            one.half.number,
                            one.half.device,
                            one.half.nonce,
                            str(one.half.end),
                            one.half.start.utc_ns,
                            received_ns,
                            one.data,
                        )
                        for one in given
                    ],
                )
                self._note(server, account, max((one.half.number for one in given), default=0), received_ns)
        except sqlite3.Error as error:
            raise StoreError(f"the database took no server's half ({error})") from error

    def _note(self, server: str, account: HalvesAccount, upto: int, now_ns: int) -> None:
        """Note how a log stands, where that is new or it is time."""
        told = (account.last, account.evicted, account.unwritten)
        known = self._connection.execute(
            "SELECT last, evicted, unwritten, upto, asked_ns FROM server_log WHERE server = ? AND epoch = ?",
            (server, account.epoch),
        ).fetchone()
        if known is not None:
            *before, upto_before, asked_ns = known
            upto = max(upto, upto_before)
            same = tuple(before) == told and upto == upto_before
            if same and 0 <= now_ns - asked_ns < ASKED_EVERY_NS:
                return
        self._connection.execute(
            """INSERT INTO server_log (server, epoch, upto, last, evicted, unwritten, asked_ns)
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (server, epoch) DO UPDATE SET
                   upto = excluded.upto, last = excluded.last, evicted = excluded.evicted,
                   unwritten = excluded.unwritten, asked_ns = excluded.asked_ns""",
            (server, account.epoch, upto, *told, now_ns),
        )


class HalfQueries:
    """The reading end. Every method may be called from any thread, and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def halves(self, wanted: HalfFilter, *, after: int = 0, limit: int = MAX_PAGE) -> tuple[HalfRow, ...]:
        """Return halves that came after the cursor `after`, in the order in which they came, each with its record."""
        clauses: list[str] = ["id > ?"]
        values: list[str | int] = [after]
        for name, value in (("device", wanted.device), ("nonce", wanted.nonce), ("server", wanted.server)):
            if value is not None:
                clauses.append(f"{name} = ?")
                values.append(value)
        if wanted.has_record is not None:
            clauses.append(f"{'' if wanted.has_record else 'NOT '}EXISTS ({_RECORD_OF_HALF})")
        with self._queries.reading() as connection:
            rows = connection.execute(
                f"{_HALF} WHERE {' AND '.join(clauses)} ORDER BY id LIMIT ?", (*values, limit)
            ).fetchall()
            return tuple(_row(row, _record_of(connection, row)) for row in rows)

    def of_test(self, device: str, nonce: str) -> tuple[HalfRow, ...]:
        """Return the halves of one test of a device: more than one where it was refused, or asked again."""
        return self.halves(HalfFilter(device=device, nonce=nonce))

    def records_without(
        self, *, device: str | None = None, after: int = 0, limit: int = 100
    ) -> tuple[tuple[RecordRow, str], ...]:
        """Return records that name a nonce of which no server's half is here, in order of arrival, each with its nonce."""
        of_device, values = ("", ()) if device is None else ("AND device = ?", (device,))
        with self._queries.reading() as connection:
            rows = connection.execute(
                f"{_WITHOUT_HALF} {of_device} ORDER BY id LIMIT ?", (after, *values, limit)
            ).fetchall()
        return tuple((record_row(row[:-1]), str(row[-1])) for row in rows)

    def logs(self) -> tuple[ServerLogRow, ...]:
        """Return how the log of every server stands, by name, the one heard last first."""
        with self._queries.reading() as connection:
            rows = connection.execute(
                """SELECT server, epoch, upto, last, evicted, unwritten, asked_ns,
                       (SELECT count(*) FROM server_half AS half
                        WHERE half.server = server_log.server AND half.epoch = server_log.epoch)
                   FROM server_log ORDER BY server, asked_ns DESC"""
            ).fetchall()
        return tuple(
            ServerLogRow(
                server=row[0],
                epoch=row[1],
                upto=row[2],
                last=row[3],
                evicted=row[4],
                unwritten=row[5],
                asked_ns=row[6],
                stored=row[7],
            )
            for row in rows
        )


def half_to_json(row: HalfRow) -> JsonObject:
    """Return a stored half for machines: as its server said it, which key signed that, and when it came. Raises `RecordError`."""
    envelope = unseal(row.data)
    said: JsonValue = json.loads(half_text(envelope.payload))
    return {
        "server": row.server,
        "epoch": row.epoch,
        "number": row.number,
        "key_id": envelope.key_id.hex(),
        "received_ns": row.received_ns,
        "half": said,
    }


_HALF: Final = "SELECT id, server, epoch, number, device, nonce, ending, start_utc_ns, received_ns, data FROM server_half"
_OF_NONCE: Final = f"FROM record WHERE {HAS_NONCE} AND device = {{device}} AND {NONCE} = {{nonce}}"
_RECORD_OF_HALF: Final = "SELECT 1 " + _OF_NONCE.format(
    device="server_half.device", nonce="server_half.nonce"
)
_WITHOUT_HALF: Final = (
    f"{RECORD_COLUMNS.replace(' FROM ', f', {NONCE} AS named FROM ')} WHERE {HAS_NONCE} AND id > ? AND named IS NOT NULL "  # noqa: S608
    "AND NOT EXISTS (SELECT 1 FROM server_half AS half WHERE half.device = record.device AND half.nonce = named)"
)
_ITS_RECORD: Final = f"SELECT epoch, seq {_OF_NONCE.format(device='?', nonce='?')} ORDER BY id LIMIT 1"


def _record_of(connection: sqlite3.Connection, half: Sequence[object]) -> tuple[str, int] | None:
    found = connection.execute(_ITS_RECORD, (half[4], half[5])).fetchone()
    return None if found is None else (str(found[0]), int(found[1]))


def _row(row: Sequence[object], record: tuple[str, int] | None) -> HalfRow:
    match row:
        case [
            int(number), str(server), str(epoch), int(place), str(device), str(nonce),
            str(ending), int(start_utc_ns), int(received_ns), bytes(data),
        ]:  # fmt: skip
            return HalfRow(
                id=number,
                server=server,
                epoch=epoch,
                number=place,
                device=device,
                nonce=nonce,
                ending=ending,
                start_utc_ns=start_utc_ns,
                received_ns=received_ns,
                data=data,
                record=record,
            )
        case _:
            raise StoreError(f"server_half: a row of another form: {row!r}")
