"""The outbox: the one queue between measuring and the collector, durable before it is counted.

A record gets its seq in the transaction that stores it: from 1, without a gap, never used again in this epoch.
A row leaves only by `acknowledge` (the collector has it on its own disk), into quarantine (it never will), or by
`evict` (there is no room), and then a tombstone says so until the collector knows. No count and no read here may
cost more because the backlog is long: everything is a primary-key range or a counter. Not asked here: what to send
when (`appliance.delivery.network.policy`), how (`appliance.delivery.network.sender`), what is worth least (`appliance.storage.tables.priority`). What
holds a transaction together is `appliance.storage.handle`.

One database holds several epochs when an earlier one was damaged, or its card copied: new records go into the last,
`past` gives the others, whose records keep the identity they have.

One `Outbox` is one SQLite connection and belongs to the thread that opened it (sqlite3 enforces it). The daemon's
thread opens the first and appends; the sender's thread makes its own with `again()` and reads and acknowledges.
"""

import contextlib
import logging
import secrets
import sqlite3
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from appliance.outbox import acks, conflict
from appliance.outbox.acks import AckImpossibleError
from appliance.outbox.damaged_copy import open_whole
from appliance.outbox.eviction.free_space import Evictor
from appliance.outbox.eviction.last_seen import LastSeenCache
from appliance.outbox.reclaim import Reclaim
from appliance.storage.errors import OutboxError, OutboxForeignError, OutboxNotReadyError, OutboxTooNewError
from appliance.storage.file import Recovered, open_or_begin, open_read_only, refuse_foreign
from appliance.storage.handle import Handle
from appliance.storage.opening import Recovery, is_large, not_ready
from appliance.storage.quota import Quota
from appliance.storage.shared import Shared
from appliance.storage.sidecar import SidecarFile
from appliance.storage.tables import delivered, ledger, rows
from appliance.storage.tables.delivered import Receipt
from appliance.storage.tables.ledger import SPAN, Account
from appliance.storage.tables.priority import facts_of
from appliance.storage.tables.rows import LAST_SEQ, ROUNDS_KEPT, WaitingRow
from firmware.model.record import Record, RecordIdentity
from firmware.wire.messages import Ack, Hello, Reject, Tombstone

__all__ = ["ROUNDS_KEPT", "AckImpossibleError", "Outbox", "OutboxCounts", "WaitingRow"]

MAX_CONFLICTS: Final = 4
"""Signed acks may begin so many epochs in one incarnation: more than two cards' worth, and too few to do harm."""
SPOILT: Final = "damaged on the card: its checksum does not fit"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCounts:
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

    `device` and `epoch` with a seq are a record's identity. `quarantined_file` is where a damaged predecessor was put
    when this one was opened, else None.
    """

    def __init__(
        self, handle: Handle, *, number: int | None = None, recovered: Recovered | None = None
    ) -> None:
        self._handle = handle
        self._shared = handle.shared
        self._number = number
        self._recovery = Recovery(handle.path, handle.shared)
        self._last_seen = LastSeenCache()
        self._confirmed = False
        self._noted = ""
        self.space = Evictor(handle, self._last_seen)
        self.reclaim = Reclaim(handle)
        self.recovered = recovered
        self.device, self.epoch = handle.shared.device, ""
        if self.is_open:
            account = self._account()
            self.device, self.epoch = account.device, account.epoch

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: str,
        utc_ns: Callable[[], int] = time.time_ns,
        quota: Quota | None = None,
        patient: bool = False,
    ) -> Self:
        """Open the outbox of `device`, made if it is missing; a damaged one is quarantined and a new epoch begins.

        Raises `OutboxTooNewError`, `OutboxForeignError`, `OutboxReadOnlyError`, `OutboxFullError`, `OutboxError`. With
        `patient` only the first two: what else the disk refuses leaves it shut, until `retry_open` has opened it, and so
        does a database so large that to check it takes long.
        """
        shared = Shared(
            quota=quota or Quota(path=path),
            sidecar=SidecarFile(path),
            incarnation=secrets.token_hex(8),
            device=device,
            utc_ns=utc_ns,
        )
        if patient and is_large(path):
            refuse_foreign(path, device=device)
            shut = cls._shut(path, shared, not_ready(path))
            with contextlib.suppress(OutboxNotReadyError):
                shut.retry_open()
            return shut
        try:
            connection, recovered = open_or_begin(
                path,
                device=device,
                utc_ns=utc_ns(),
                make_space=shared.quota.release,
                noted=shared.sidecar,
            )
        except (OutboxTooNewError, OutboxForeignError):
            raise
        except OutboxError as error:
            if not patient:
                raise
            return cls._shut(path, shared, error)
        shared.quota.restore()
        return cls._around(Handle(connection, path, shared, owner=True), recovered=recovered)

    @classmethod
    def _shut(cls, path: Path, shared: Shared, reason: OutboxError) -> Self:
        shared.shut = reason
        return cls(Handle(sqlite3.connect(":memory:"), path, shared, owner=True))

    @property
    def is_open(self) -> bool:
        """Return whether there is a database to read and write; if not, everything but `retry_open` raises `OutboxError`."""
        return self._shared.shut is None

    def retry_open(self) -> None:
        """Open what could not be opened at start; only for the thread that tried. Raises `OutboxError` where it still cannot be.

        `OutboxNotReadyError` while it is being checked.
        """
        connection, self.recovered = self._recovery.recover(damaged=False)
        self._shared.quota.restore()
        self._handle.connection.close()
        self._shared.is_open_at_last()
        self._handle.renew(connection)
        self._handle.bound_log()
        self.epoch = self._account().epoch

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for a check or a recovery that is under way; return whether there is none any more."""
        return self._recovery.wait(timeout_s)

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open an outbox only to read it, also while a daemon holds it: what is spoilt is passed over. Raises `OutboxError`."""
        shared = Shared(quota=Quota(path=path), sidecar=SidecarFile(path), looks=True)
        return cls._around(Handle(open_read_only(path), path, shared, owner=False))

    @classmethod
    def open_for_export(cls, path: Path) -> Self:
        """Do as `look`, for who reads all of it; of a damaged one, what can be read is read from a copy. Raises `OutboxError`."""
        shared = Shared(quota=Quota(path=path), sidecar=SidecarFile(path), looks=True)
        return cls._around(Handle(open_whole(path), path, shared, owner=False))

    def clone(self) -> Self:
        """Return the same outbox on a connection of the calling thread's own. May be called from any thread."""
        return self._around(self._handle.clone())

    def past(self) -> list[Self]:
        """Return the ended epochs of which something waits, oldest first, on this connection (do not close them)."""
        with self._handle.translated():
            connection = self._handle.connection
            return [
                type(self)(self._handle, number=account.id)
                for account in ledger.accounts(connection)[:-1]
                if account.waiting or ledger.tombstones(connection, account.base, 1)
            ]

    @classmethod
    def _around(cls, handle: Handle, *, recovered: Recovered | None = None) -> Self:
        try:
            if not handle.shared.looks:
                handle.bound_log()
            return cls(handle, recovered=recovered)
        except BaseException:
            handle.close()
            raise

    def close(self) -> None:
        """Close this connection (from the thread that opened it)."""
        self._handle.close()
        self._shared.sidecar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def append(self, records: Sequence[Record], *, given_up: int = 0) -> list[RecordIdentity]:
        """Store `records` in one transaction and return their identities, in order. They are on the disk then.

        `given_up` records were measured and could not be stored since the last append that worked: they are
        counted in the same transaction. Raises `OutboxFullError` or another `OutboxError`: then nothing is stored
        or counted, and the caller still has it all. A record with a number that JSON does not know (NaN) is a
        fault of the program: `ValueError`.
        """
        bodies = [rows.body_of(record) for record in records]
        return self._handle.with_log_reused(lambda: self._append(records, bodies, given_up))

    def _append(
        self, records: Sequence[Record], bodies: Sequence[str], given_up: int
    ) -> list[RecordIdentity]:
        with self._handle.transaction() as connection:
            account = ledger.current(connection)
            memory = self._last_seen.lend(connection, account)
            if self._noted != account.epoch:
                ledger.note_incarnation(connection, account, self._shared.incarnation, account.produced + 1)
            first = account.base + account.produced + 1
            rankings = [memory.add(first + index, facts_of(record)) for index, record in enumerate(records)]
            rows.insert(connection, records, bodies, rankings, first=first, utc_ns=self._shared.utc_ns())
            ledger.count(
                connection,
                replace(
                    account,
                    produced=account.produced + len(records),
                    unstored=account.unstored + given_up,
                ),
            )
        self._last_seen.keep(account, memory)
        self._noted = account.epoch
        ends_round = any(record.test == rows.LADDER_TEST for record in records)
        if not self._shared.sidecar.note(account, account.produced + len(records), ends_round=ends_round):
            self._note_epochs()
        return [
            RecordIdentity(device=self.device, epoch=account.epoch, seq=account.produced + 1 + i)
            for i in range(len(records))
        ]

    def newest(
        self, limit: int, *, below: int = LAST_SEQ, above: int = 0, max_bytes: int = 2**30
    ) -> list[WaitingRow]:
        """Return up to `limit` waiting rows with above < seq < below, highest seq first.

        Reading stops after the row whose body takes the sum past `max_bytes` (UTF-8 estimated by characters).
        """
        return self._read("ORDER BY seq DESC", above, below, limit, max_bytes)

    def oldest(
        self, limit: int, *, above: int = 0, below: int = LAST_SEQ, max_bytes: int = 2**30
    ) -> list[WaitingRow]:
        """Return up to `limit` waiting rows with above < seq < below, lowest seq first; `max_bytes` as in `newest`."""
        return self._read("ORDER BY seq", above, below, limit, max_bytes)

    def acknowledge(self, ack: Ack, receipt: Receipt | None = None) -> int:
        """Let go of what `ack` says is durable, quarantine what it rejects; return how many rows left.

        One transaction. An ack of another epoch removes nothing; so does one that came before. Raises
        `AckImpossibleError` for one that speaks of a seq never given: removing on its word could lose records.
        An ack that tells of a sequence conflict removes nothing: a new epoch begins (`epoch` names it then), into which goes
        what this device alone has; the rest waits in the `past` one, under the identity it has.

        With a `receipt` what leaves is kept until the authority has vouched for who signed (`reclaim`).
        """
        left, is_all = 0, False
        while not is_all:
            gone, is_all = self._handle.with_reserve(lambda: self._acknowledge(ack, receipt))
            left += gone
        if (
            receipt is not None
            and ack.conflict is None
            and self.reclaim.owes
            and ack.epoch == self.epoch
            and self._is_to_this_card(ack)
        ):
            self.reclaim.taken_over(self._account(), ack, receipt)
        return left

    def _is_to_this_card(self, ack: Ack) -> bool:
        """Return whether an ack answers an incarnation of this card; of an ended epoch all cards have the same, and it counts."""
        if self._number is not None:
            return True
        with self._handle.translated():
            return acks.is_to_this_card(
                self._handle.connection, self._account(), ack, incarnation=self._shared.incarnation
            )

    def _acknowledge(self, ack: Ack, receipt: Receipt | None) -> tuple[int, bool]:
        before = self.epoch
        taken = self._take(ack, receipt)
        if ack.conflict is not None and self.epoch != before:
            self._note_epochs()
        return taken

    def _note_epochs(self) -> None:
        """Have the sidecar name every epoch, after the commit that changed them."""
        with self._handle.translated():
            self._shared.sidecar.write(ledger.accounts(self._handle.connection))

    def _take(self, ack: Ack, receipt: Receipt | None) -> tuple[int, bool]:
        with self._handle.transaction() as connection:
            account = self._account()
            self.epoch = account.epoch
            if ack.epoch != account.epoch:
                return 0, True
            if not self._is_to_this_card(ack):
                return 0, True
            if ack.conflict is not None:
                if self._number is None and self._may_begin(receipt):
                    self._begin_after_conflict(account, ack.conflict)
                return 0, True
            if self._number is None:
                acks.refuse_impossible(account, ack, self._handle.path)
            taken = acks.take(connection, account, ack, utc_ns=self._shared.utc_ns(), receipt=receipt)
            if ack.incarnation == self._shared.incarnation and not self._confirmed:
                ledger.confirm_incarnation(connection, account.epoch, ack.incarnation)
                self._confirmed = True
        return taken

    def quarantine(self, seq: int, reason: str) -> bool:
        """Quarantine one waiting row because it can never be sent. Return whether it was waiting.

        A tombstone tells the collector, for which the seq would otherwise be missing for ever.
        """
        return self._handle.with_reserve(lambda: self._quarantine(seq, reason))

    def _quarantine(self, seq: int, reason: str) -> bool:
        with self._handle.transaction() as connection:
            account = self._account()
            moved = rows.quarantine(
                connection,
                account,
                Reject(seq=seq, reason=reason),
                said_by="device",
                utc_ns=self._shared.utc_ns(),
            )
            if moved:
                ledger.add_tombstone(connection, account.base, seq, seq, reason)
                ledger.count(connection, replace(account, quarantined=account.quarantined + 1))
        return bool(moved)

    def tombstones(self, limit: int) -> list[Tombstone]:
        """Return up to `limit` of what was given up and the collector does not know of yet, lowest first."""
        with self._handle.translated():
            return ledger.tombstones(self._handle.connection, self._account().base, limit)

    def evict(self, wanted: int) -> int:
        """Evict the `wanted` least valuable records: see `Evictor.evict`."""
        return self.space.evict(wanted)

    @property
    def incarnation(self) -> str:
        """The name of this start of the software; "" for an ended epoch."""
        return self._shared.incarnation if self._number is None else ""

    @property
    def quarantined_file(self) -> Path | None:
        """Where a damaged predecessor was put when this one was opened, else None."""
        return None if self.recovered is None else self.recovered.aside

    @property
    def generation(self) -> int:
        """Which database it is: another number after one has taken another's place, or was opened late."""
        return self._shared.generation

    @property
    def is_damaged(self) -> bool:
        """Return whether some thread has found the database damaged."""
        return self._shared.damaged

    def recover(self) -> Recovered | None:
        """Quarantine the damaged database and begin a new one with what could be read of it.

        None when the sender still has the old one open (it lets go at its next step): ask again. So it is where
        `OutboxNotReadyError` is raised: a large one is recovered in a thread of its own. Only for the thread and the
        object that opened the outbox first. Raises `OutboxError` when no new one can be made.
        """
        if not self._recovery.is_at_work:
            if not self._shared.may_replace():
                return None
            self._handle.close_damaged()
        # Where this fails the database stays known as damaged, and it is tried again.
        connection, recovered = self._recovery.recover(damaged=True)
        self._shared.replaced()
        self._handle.renew(connection)
        self._last_seen.forget()
        self._confirmed = False
        self._noted = ""
        self.recovered = recovered
        self.epoch = self._account().epoch
        return recovered

    def counts(self) -> OutboxCounts:
        """Return how many records were made, wait, were acknowledged, rejected, given up, or could not be stored."""
        with self._handle.translated():
            every = ledger.accounts(self._handle.connection)
        return OutboxCounts(
            produced=sum(account.produced for account in every),
            waiting=sum(account.waiting for account in every),
            acknowledged=sum(account.acknowledged for account in every),
            quarantined=sum(account.quarantined for account in every),
            unstored=sum(account.unstored for account in every),
            given_up=sum(account.given_up for account in every),
        )

    def hello(self, *, software: str, country: str) -> Hello:
        """Return what the outbox has to say of this epoch on connecting."""
        with self._handle.translated():
            number = "(SELECT max(id) FROM state)" if self._number is None else str(self._number)
            span = f"BETWEEN ({number} - 1) * {SPAN} AND {number} * {SPAN} - 1"
            # One statement, so that the numbers are of one moment.
            row = self._handle.connection.execute(
                f"SELECT {ledger.COLUMNS},"  # noqa: S608
                f" (SELECT min(seq) FROM waiting WHERE seq {span}),"
                f" (SELECT min(low) FROM tombstone WHERE low {span}) FROM state WHERE id = {number}"
            ).fetchone()
            account = ledger.account_of(row and row[:-2])
            self.epoch = account.epoch
            lowest = min(
                (key - account.base for key in row[-2:] if key is not None), default=account.produced + 1
            )
            if not 1 <= lowest <= account.produced + 1 or account.waiting < 0:
                raise self._handle.noted(sqlite3.DatabaseError(f"the lowest that waits would be {lowest}"))
            noted = (
                []
                if self._number is not None
                else ledger.incarnations(self._handle.connection, account.epoch)
            )
            ended, beyond = (
                ((), 0) if self._number is not None else ledger.ended(self._handle.connection, account.id)
            )
        own = self._shared.incarnation
        if self._number is None and own and own not in [incarnation for incarnation, _ in noted]:
            noted = [(own, account.produced + 1), *noted]
        return Hello(
            device=self.device,
            epoch=account.epoch,
            low=lowest,
            high=account.produced,
            waiting=account.waiting,
            software=software,
            country=country,
            incarnations=tuple(noted),
            past=self._number is not None,
            ended=ended,
            ended_beyond=beyond,
        )

    def note_incarnation(self) -> None:
        """Note durably that the collector is about to be told of this incarnation of the software."""
        with self._handle.transaction() as connection:
            account = self._account()
            ledger.note_incarnation(connection, account, self._shared.incarnation, account.produced + 1)

    def recent_rounds(self, limit: int) -> list[Record]:
        """Return the last rounds' conclusions (their `ladder` records), newest first, sent or not.

        A convenience: what is damaged is passed over, and what the disk refuses is as if there were none.
        """
        with contextlib.suppress(OutboxError), self._handle.translated():
            return rows.recent_rounds(self._handle.connection, limit)
        return []

    def boots_and_points(self) -> tuple[list[str], dict[str, list[tuple[int, int, int]]], dict[str, int]]:
        """Return the boots in their order, of each the points of its clock ((boottime, utc, error), in ns), and its last ack."""
        with self._handle.translated():
            names, points = rows.boots_and_points(self._handle.connection)
        with self._handle.translated():
            return names, points, delivered.last_moments(self._handle.connection)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for what stands in the block, as one transaction; for the tables beside the queue."""
        with self._handle.transaction() as connection:
            yield connection

    def _read(self, order: str, above: int, below: int, limit: int, max_bytes: int) -> list[WaitingRow]:
        account = self._account()
        while True:
            with self._handle.translated():
                found, spoilt = rows.read(
                    self._handle.connection,
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
                elif not self.quarantine(seq, SPOILT):
                    raise self._handle.noted(sqlite3.DatabaseError(f"record {seq} is not where it stands"))
            if not found and not spoilt and above <= 0 and below >= LAST_SEQ:
                with self._handle.translated():
                    rows.refuse_hidden(self._handle.connection, account.id)
            if found or not spoilt:
                return found
            above, below = (above, min(spoilt)) if order.endswith("DESC") else (max(spoilt), below)

    def _may_begin(self, receipt: Receipt | None) -> bool:
        """Return whether a conflict may begin an epoch: whoever has a collector's key could begin one after the other."""
        if receipt is None:
            return True
        self._shared.conflicts += 1
        if self._shared.conflicts > MAX_CONFLICTS:
            _log.warning("a sequence conflict was ignored: there were %d since the start", MAX_CONFLICTS)
        return self._shared.conflicts <= MAX_CONFLICTS

    def _begin_after_conflict(self, account: Account, last_shared: int) -> None:
        connection = self._handle.connection
        ledger.note_incarnation(connection, account, self._shared.incarnation, account.produced + 1)
        self.epoch = conflict.begin(connection, account, last_shared, utc_ns=self._shared.utc_ns())
        self._confirmed = False

    def _account(self) -> Account:
        """Return the account of the epoch this object speaks for."""
        with self._handle.translated():
            if self._number is None:
                return ledger.current(self._handle.connection)
            return ledger.by_id(self._handle.connection, self._number)
