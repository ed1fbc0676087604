"""The outbox: the one queue between measuring and the collector, durable before it is counted.

A record gets its seq in the transaction that stores it: from 1, without a gap, never used again in this epoch.
A row leaves only by `acknowledge` (the collector has it on its own disk), into quarantine (it never will), or by
`give_up` (there is no room), and then a tombstone says so until the collector knows. No count and no read here may
cost more because the backlog is long: everything is a primary-key range or a counter. Not asked here: what to send
when (`appliance.sync.policy`), how (`appliance.sync.sender`), what is worth least (`appliance.outbox.eviction`).

One database holds several epochs when an earlier one was damaged, or its card copied: new records go into the last,
`past` gives the others, whose records keep the identity they have.

One `Outbox` is one SQLite connection and belongs to the thread that opened it (sqlite3 enforces it). The daemon's
thread opens the first and appends; the sender's thread makes its own with `again()` and reads and acknowledges.
"""

import contextlib
import functools
import json
import logging
import secrets
import sqlite3
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from appliance.outbox import aside, ledger, rows, split
from appliance.outbox.eviction import Memory, facts_of, rows_to_give_up
from appliance.outbox.file import (
    Healed,
    OutboxError,
    OutboxFullError,
    connect,
    open_or_begin,
    open_read_only,
    refuse_read_only,
    translate,
)
from appliance.outbox.ledger import SPAN, Account
from appliance.outbox.room import Room
from appliance.outbox.rows import LAST_SEQ, ROUNDS_KEPT, Row
from appliance.outbox.shared import Shared
from firmware.exchange import Ack, Hello, Reject, Tombstone
from firmware.record import Identity, Record, from_json

__all__ = ["ROUNDS_KEPT", "AckImpossibleError", "Counts", "Outbox", "Row"]

SPOILT: Final = "damaged on the card: its checksum does not fit"
NO_ROOM: Final = "no room"
TOO_OLD: Final = "too old"
AGE_EVERY_NS: Final = 3_600_000_000_000
_BUNCH: Final = 250
"""Records given up in one transaction: its log must fit where the ballast was."""
_log: Final = logging.getLogger(__name__)
_T = TypeVar("_T")


class AckImpossibleError(OutboxError):
    """An ack speaks of records this outbox never made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """`produced` = `waiting` + `acknowledged` + `quarantined` + `given_up`, over all epochs of this database.

    `unstored` were measured and could not be stored.
    """

    produced: int
    waiting: int
    acknowledged: int
    quarantined: int
    unstored: int
    given_up: int = 0


class Outbox:
    """The outbox's database, seen from one thread.

    `device` and `epoch` with a seq are a record's identity. `set_aside` is where a damaged predecessor was put
    when this one was opened, else None.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        shared: Shared,
        number: int | None = None,
        owner: bool = False,
        healed: Healed | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._shared = shared
        self._owner = owner
        self._generation = shared.generation
        self._number = number
        self._memory: tuple[int, Memory] | None = None
        self._confirmed = False
        self._noted = ""
        self._aged_ns: int | None = None
        self._is_tight = False
        self.healed = healed
        account = self._account()
        self.device = account.device
        self.epoch = account.epoch

    @classmethod
    def open(
        cls, path: Path, *, device: str, utc_ns: Callable[[], int] = time.time_ns, room: Room | None = None
    ) -> Self:
        """Open the outbox of `device`, made if it is missing; a damaged one is set aside and a new epoch begins.

        Raises `OutboxTooNewError`, `OutboxForeignError`, `OutboxReadOnlyError`, `OutboxFullError`, `OutboxError`.
        """
        shared = Shared(room=room or Room(path=path), run=secrets.token_hex(8), device=device, utc_ns=utc_ns)
        connection, healed = open_or_begin(
            path, device=device, utc_ns=utc_ns(), make_space=shared.room.release
        )
        opened = cls._around(connection, path, shared=shared, owner=True, healed=healed)
        shared.room.restore()
        opened.bound_log()
        return opened

    @classmethod
    def look(cls, path: Path) -> Self:
        """Open an outbox only to read it, also while a daemon holds it: what is spoilt is passed over. Raises `OutboxError`."""
        return cls._around(open_read_only(path), path, shared=Shared(room=Room(path=path), looks=True))

    def again(self) -> Self:
        """Return the same outbox on a connection of the calling thread's own. May be called from any thread."""
        with self._shared.opening(self._path):
            try:
                connection = connect(self._path)
            except sqlite3.Error as error:
                raise translate(error, self._path) from error
            opened = self._around(connection, self._path, shared=self._shared)
            opened.bound_log()
            return opened

    def bound_log(self) -> None:
        """Let the log grow to half of the ballast, so that with its help a full disk can always take it in."""
        with self._translated():
            (size,) = self._connection.execute("PRAGMA page_size").fetchone()
            pages = max(16, self._shared.room.ballast_bytes // 2 // size)
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def past(self) -> list[Self]:
        """Return the ended epochs of which something waits, oldest first, on this connection (do not close them)."""
        with self._translated():
            ended = ledger.accounts(self._connection)[:-1]
            return [
                type(self)(
                    self._connection, self._path, shared=self._shared, number=account.id, owner=self._owner
                )
                for account in ended
                if account.waiting or ledger.tombstones(self._connection, account.base, 1)
            ]

    @classmethod
    def _around(
        cls,
        connection: sqlite3.Connection,
        path: Path,
        *,
        shared: Shared,
        owner: bool = False,
        healed: Healed | None = None,
    ) -> Self:
        try:
            opened = cls(connection, path, shared=shared, owner=owner, healed=healed)
        except BaseException:
            connection.close()
            raise
        shared.opened()
        return opened

    def close(self) -> None:
        """Close this connection (from the thread that opened it)."""
        self._connection.close()
        self._shared.closed()

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
        bodies = [rows.body_of(record) for record in records]
        return self._with_log_reused(lambda: self._append(records, bodies, given_up))

    def _append(self, records: Sequence[Record], bodies: Sequence[str], given_up: int) -> list[Identity]:
        with self._transaction():
            account = ledger.current(self._connection)
            memory = self._remembered(account)
            if self._noted != account.epoch:
                ledger.note_run(self._connection, account, self._shared.run, account.produced + 1)
            first = account.base + account.produced + 1
            worths = [memory.add(first + index, facts_of(record)) for index, record in enumerate(records)]
            rows.insert(self._connection, records, bodies, worths, first=first, utc_ns=self._shared.utc_ns())
            self._connection.execute(
                "UPDATE state SET produced = ?, unstored = unstored + ? WHERE id = ?",
                (account.produced + len(records), given_up, account.id),
            )
        self._memory = (account.id, memory)
        self._noted = account.epoch
        return [
            Identity(device=self.device, epoch=account.epoch, seq=account.produced + 1 + i)
            for i in range(len(records))
        ]

    def newest(
        self, limit: int, *, below: int = LAST_SEQ, above: int = 0, max_bytes: int = 2**30
    ) -> list[Row]:
        """Return up to `limit` waiting rows with above < seq < below, highest seq first.

        Reading stops after the row whose body takes the sum past `max_bytes` (UTF-8 estimated by characters).
        """
        return self._read("ORDER BY seq DESC", above, below, limit, max_bytes)

    def oldest(
        self, limit: int, *, above: int = 0, below: int = LAST_SEQ, max_bytes: int = 2**30
    ) -> list[Row]:
        """Return up to `limit` waiting rows with above < seq < below, lowest seq first; `max_bytes` as in `newest`."""
        return self._read("ORDER BY seq", above, below, limit, max_bytes)

    def acknowledge(self, ack: Ack) -> int:
        """Let go of what `ack` says is durable, quarantine what it rejects; return how many rows left.

        One transaction. An ack of another epoch removes nothing; so does one that came before. Raises
        `AckImpossibleError` for one that speaks of a seq never given: removing on its word could lose records.
        An ack that tells of a clash removes nothing: a new epoch begins (`epoch` names it then), into which goes
        what this device alone has; the rest waits in the `past` one, under the identity it has.
        """
        return self._with_ballast(lambda: self._acknowledge(ack))

    def _acknowledge(self, ack: Ack) -> int:
        with self._transaction():
            account = self._account()
            self.epoch = account.epoch
            if ack.epoch != account.epoch:
                return 0
            if ack.clash is not None:
                if self._number is None:
                    self._begin_after_clash(account, ack.clash)
                return 0
            produced = account.produced
            highest = max([ack.upto, *(high for _, high in ack.ranges), *(one.seq for one in ack.rejects)])
            if highest > produced and self._number is None:
                raise AckImpossibleError(
                    f"the collector has record {highest:,} of this epoch, but only {produced:,} were ever made here",
                    where=self._path,
                    remedy="The card was copied or restored: the next hello settles it, and a new epoch begins",
                )
            quarantined = sum(
                self._set_aside_row(account, reject, said_by="collector")
                for reject in ack.rejects
                if reject.seq > 0
            )
            removed = 0
            for low, high in ((1, ack.upto), *ack.ranges):
                last = min(high, produced)
                removed += rows.delete(self._connection, account.base + low, account.base + last)
                ledger.settle(self._connection, account.base + low, account.base + last)
            if removed or quarantined:
                self._connection.execute(
                    "UPDATE state SET acknowledged = acknowledged + ?, quarantined = quarantined + ? WHERE id = ?",
                    (removed, quarantined, account.id),
                )
            if ack.run == self._shared.run and not self._confirmed:
                ledger.confirm_run(self._connection, account.epoch, ack.run)
                self._confirmed = True
        return removed + quarantined

    def quarantine(self, seq: int, reason: str) -> bool:
        """Set one waiting row aside because it can never be sent. Return whether it was waiting.

        A tombstone tells the collector, for which the seq would otherwise be missing for ever.
        """
        return self._with_ballast(lambda: self._quarantine_own(seq, reason))

    def _quarantine_own(self, seq: int, reason: str) -> bool:
        with self._transaction():
            account = self._account()
            moved = self._set_aside_row(account, Reject(seq=seq, reason=reason), said_by="device")
            if moved:
                ledger.bury(self._connection, account.base, seq, seq, reason)
                self._connection.execute(
                    "UPDATE state SET quarantined = quarantined + 1 WHERE id = ?", (account.id,)
                )
        return bool(moved)

    def tombstones(self, limit: int) -> list[Tombstone]:
        """Return up to `limit` of what was given up and the collector does not know of yet, lowest first."""
        with self._translated():
            return ledger.tombstones(self._connection, self._account().base, limit)

    def give_up(self, wanted: int, reason: str = NO_ROOM) -> int:
        """Give up the `wanted` least valuable records, oldest first among equals; return how many went.

        Each is in a tombstone from then on. May take several transactions, each of them whole.
        """
        gone = 0
        while gone < wanted:
            bunch = min(_BUNCH, wanted - gone)
            count = self._with_ballast(functools.partial(self._give_up, bunch, reason))
            if count is None:
                break
            gone += count
        return gone

    def keep_room(self) -> int:
        """Give up what does not fit in the room there is; return how many records went."""
        with self._translated():
            (size,) = self._connection.execute("PRAGMA page_size").fetchone()
            (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
            (spare,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            rows = sum(account.waiting for account in ledger.accounts(self._connection))
        allowed = self._shared.room.allowed_bytes(pages * size)
        if allowed < self._shared.room.cap_bytes and aside.forget(self._path, keep=0):
            allowed = self._shared.room.allowed_bytes(pages * size)
        was_tight, self._is_tight = self._is_tight, allowed < self._shared.room.cap_bytes
        if self._is_tight and not was_tight:
            return 0  # others fill the disk, perhaps for a while: the next look decides
        wanted = rows_to_give_up(used_bytes=(pages - spare) * size, cap_bytes=allowed, rows=rows)
        return self.give_up(wanted) if wanted else 0

    def keep_age(self, now_ns: int) -> int:
        """Give up what is too old at `now_ns` (CLOCK_BOOTTIME), looking once an hour; return how many records went."""
        limit_s = self._shared.room.max_age_s
        if not limit_s or (self._aged_ns is not None and now_ns - self._aged_ns < AGE_EVERY_NS):
            return 0
        passed_s = 0 if self._aged_ns is None else (now_ns - self._aged_ns) // 1_000_000_000
        with self._transaction():
            account = ledger.current(self._connection)
            last = account.base + account.produced
            ran_s = ledger.mark_age(self._connection, passed_s=passed_s, key=last)
            key = ledger.last_before(self._connection, ran_s - limit_s)
        self._aged_ns = now_ns
        gone = 0
        while True:
            with self._transaction():
                count = rows.give_up_upto(self._connection, key, wanted=_BUNCH, reason=TOO_OLD)
            gone += count
            if count < _BUNCH:
                return gone

    def take_ballast(self) -> bool:
        """Take ballast on again, where there is space for it; return whether there is ballast."""
        self._shared.room.restore()
        return self._shared.room.ballast.exists()

    @property
    def run(self) -> str:
        """The name of this start of the software; "" for an ended epoch."""
        return self._shared.run if self._number is None else ""

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged predecessor was put when this one was opened, else None."""
        return None if self.healed is None else self.healed.aside

    @property
    def is_damaged(self) -> bool:
        """Say whether some thread has found the database damaged."""
        return self._shared.damaged

    def heal(self) -> Healed | None:
        """Set the damaged database aside and begin a new one with what could be read of it.

        None when the sender still has the old one open (it lets go at its next step): ask again. Only for the
        thread and the object that opened the outbox first. Raises `OutboxError` when no new one can be made.
        """
        if not self._shared.may_replace():
            return None
        self._connection.close()
        try:
            self._connection, healed = open_or_begin(
                self._path,
                device=self._shared.device,
                utc_ns=self._shared.utc_ns(),
                make_space=self._shared.room.release,
                damaged=True,
            )
        finally:
            self._shared.replaced()
        self._generation = self._shared.generation
        self._memory = None
        self._confirmed = False
        self._noted = ""
        self.healed = healed
        self.epoch = self._account().epoch
        return healed

    def counts(self) -> Counts:
        """Return how many records were made, wait, were acknowledged, rejected, given up, or could not be stored."""
        with self._translated():
            every = ledger.accounts(self._connection)
        return Counts(
            produced=sum(account.produced for account in every),
            waiting=sum(account.waiting for account in every),
            acknowledged=sum(account.acknowledged for account in every),
            quarantined=sum(account.quarantined for account in every),
            unstored=sum(account.unstored for account in every),
            given_up=sum(account.given_up for account in every),
        )

    def hello(self, *, software: str, country: str) -> Hello:
        """Return what the outbox has to say of this epoch on connecting."""
        with self._translated():
            number = "(SELECT max(id) FROM state)" if self._number is None else str(self._number)
            span = f"BETWEEN ({number} - 1) * {SPAN} AND {number} * {SPAN} - 1"
            # One statement, so that the numbers are of one moment.
            row = self._connection.execute(
                "SELECT id, epoch, produced, produced - acknowledged - quarantined - given_up,"  # noqa: S608
                f" (SELECT min(seq) FROM waiting WHERE seq {span}),"
                f" (SELECT min(low) FROM tombstone WHERE low {span}) FROM state WHERE id = {number}"
            ).fetchone()
            base = (row[0] - 1) * SPAN
            self.epoch = row[1]
            lowest = min((key - base for key in row[4:] if key is not None), default=row[2] + 1)
            noted = [] if self._number is not None else ledger.runs(self._connection, row[1])
            ended, beyond = ((), 0) if self._number is not None else ledger.ended(self._connection, row[0])
        own = self._shared.run
        if self._number is None and own and own not in [run for run, _ in noted]:
            noted = [(own, row[2] + 1), *noted]
        return Hello(
            device=self.device,
            epoch=row[1],
            low=lowest,
            high=row[2],
            waiting=row[3],
            software=software,
            country=country,
            runs=tuple(noted),
            past=self._number is not None,
            ended=ended,
            ended_beyond=beyond,
        )

    def note_run(self) -> None:
        """Note durably that the collector is about to be told of this run of the software."""
        with self._transaction():
            account = self._account()
            ledger.note_run(self._connection, account, self._shared.run, account.produced + 1)

    def recent_rounds(self, limit: int) -> list[Record]:
        """Return the last rounds' conclusions (their `ladder` records), newest first, sent or not."""
        rows = self._all("SELECT body FROM round ORDER BY seq DESC LIMIT ?", (limit,))
        found: list[Record] = []
        for (body,) in rows:
            with contextlib.suppress(ValueError):  # a bit that fell over on the card
                found.append(from_json(json.loads(body)))
        return found

    def _give_up(self, wanted: int, reason: str) -> int | None:
        with self._transaction():
            memory = self._remembered(ledger.current(self._connection))
            return rows.give_up(self._connection, memory, wanted=wanted, reason=reason)

    def _remembered(self, account: Account) -> Memory:
        """Return a copy of what was last said of each target, which may be thrown away if storing fails."""
        if self._memory is not None and self._memory[0] == account.id:
            return self._memory[1].copy()
        return rows.remembered(self._connection, account)

    def _read(self, order: str, above: int, below: int, limit: int, max_bytes: int) -> list[Row]:
        account = self._account()
        while True:
            with self._translated():
                found, spoilt = rows.read(
                    self._connection,
                    account,
                    order,
                    above=above,
                    below=below,
                    limit=limit,
                    max_bytes=max_bytes,
                )
            for seq in spoilt:
                if self._shared.looks:
                    _log.warning("record %d of epoch %s: %s", seq, account.epoch, SPOILT)
                else:
                    self.quarantine(seq, SPOILT)
            if found or not spoilt:
                return found
            above, below = (above, min(spoilt)) if order.endswith("DESC") else (max(spoilt), below)

    def _set_aside_row(self, account: Account, reject: Reject, *, said_by: str) -> int:
        return rows.quarantine(
            self._connection, account, reject, said_by=said_by, utc_ns=self._shared.utc_ns()
        )

    def _begin_after_clash(self, account: Account, fork: int) -> None:
        ledger.note_run(self._connection, account, self._shared.run, account.produced + 1)
        self.epoch = split.begin(self._connection, account, fork, utc_ns=self._shared.utc_ns())
        self._confirmed = False

    def _account(self) -> Account:
        """Return the account of the epoch this object speaks for."""
        with self._translated():
            if self._number is None:
                return ledger.current(self._connection)
            return ledger.by_id(self._connection, self._number)

    def _with_ballast(self, action: Callable[[], _T]) -> _T:
        """Do `action`; on a full disk throw the ballast overboard and do it again."""
        try:
            return self._with_log_reused(action)
        except OutboxFullError:
            if not self._shared.room.release():
                raise
        # First the log into the database, for which the ballast was as large as a log: then neither has to grow.
        self._begin_log_anew()
        return self._with_log_reused(action)

    def _with_log_reused(self, action: Callable[[], _T]) -> _T:
        """Do `action`; on a full disk drop what was set aside, begin the log anew in the space it has, and do it again."""
        try:
            return action()
        except OutboxFullError:
            aside.forget(self._path, keep=0)
            self._begin_log_anew()
        return action()

    def _begin_log_anew(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def _all(self, sql: str, parameters: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Let SQLite's errors out as the outbox's; refuse a database that was replaced by another."""
        self._shared.refuse_replaced(self._generation, self._path, owner=self._owner)
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            translated = translate(error, self._path)
            self._shared.note(translated)
            raise translated from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for what stands in the block, as one transaction; for the tables beside the queue."""
        with self._transaction():
            yield self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do what stands in the block wholly or not at all, and durably, with SQLite's errors translated."""
        self._shared.refuse_replaced(self._generation, self._path, owner=self._owner)
        refuse_read_only(self._path)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._rollback()
            translated = translate(error, self._path)
            self._shared.note(translated)
            raise translated from error
        except BaseException:
            self._rollback()
            raise

    def _rollback(self) -> None:
        # SQLite itself rolls back on some errors (a full disk, an I/O error): then there is nothing left to undo.
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
