"""The outbox: the one queue between measuring and the collector, durable before it is counted.

A record gets its seq in the transaction that stores it: from 1, without a gap, never used again in this epoch.
A row leaves only by `acknowledge` (the collector has it on its own disk), into quarantine (it never will), or by
`evict` (there is no room), and then a tombstone says so until the collector knows. No count and no read here may
cost more because the backlog is long: everything is a primary-key range or a counter. Not asked here: what to send
when (`appliance.delivery.network.policy`), how (`appliance.delivery.network.sender`), what is worth least (`appliance.storage.tables.priority`). What
holds a transaction together is `appliance.storage.handle`, how its database is opened `appliance.outbox.opened`.

One database holds several epochs when an earlier one was damaged, or its card copied: new records go into the last,
`past` gives the others, whose records keep the identity they have.

The daemon's thread opens the first `Outbox` and appends; the sender's thread makes its own with `clone()` and reads and
acknowledges.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from appliance.outbox import acks, conflict, greeting, reading
from appliance.outbox.acks import AckImpossibleError
from appliance.outbox.counts import OutboxCounts, counts_of
from appliance.outbox.eviction.free_space import Evictor
from appliance.outbox.eviction.last_seen import LastSeenCache
from appliance.outbox.opened import OpenedOutbox
from appliance.outbox.reclaim import Reclaim
from appliance.storage.errors import OutboxError
from appliance.storage.file import Recovered
from appliance.storage.handle import Handle
from appliance.storage.tables import delivered, ledger, rows
from appliance.storage.tables.delivered import Receipt
from appliance.storage.tables.ledger import Account
from appliance.storage.tables.priority import facts_of
from appliance.storage.tables.rows import LAST_SEQ, ROUNDS_KEPT, WaitingRow
from firmware.model.record import Record, RecordIdentity
from firmware.wire.messages import Ack, Hello, Reject, Tombstone

__all__ = ["ROUNDS_KEPT", "AckImpossibleError", "Outbox", "OutboxCounts", "WaitingRow"]

MAX_CONFLICTS: Final = 4
"""Signed acks may begin so many epochs in one incarnation: more than two cards' worth, and too few to do harm."""
_log: Final = logging.getLogger(__name__)


class Outbox(OpenedOutbox):
    """The outbox, seen from one thread; how it is opened, recovered and closed, `OpenedOutbox` says.

    `device` and `epoch` with a seq are a record's identity. `quarantined_file` is where a damaged predecessor was put
    when this one was opened, else None.
    """

    def __init__(
        self, handle: Handle, *, number: int | None = None, recovered: Recovered | None = None
    ) -> None:
        super().__init__(handle, number=number, recovered=recovered)
        self._last_seen = LastSeenCache()
        self._confirmed = False
        self._noted = ""
        self.space = Evictor(handle, self._last_seen)
        self.reclaim = Reclaim(handle)

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

    def _forget(self) -> None:
        self._last_seen.forget()
        self._confirmed = False
        self._noted = ""

    def counts(self) -> OutboxCounts:
        """Return how many records were made, wait, were acknowledged, rejected, given up, or could not be stored."""
        with self._handle.translated():
            return counts_of(ledger.accounts(self._handle.connection))

    def hello(self, *, software: str, country: str) -> Hello:
        """Return what the outbox has to say of this epoch on connecting."""
        said = greeting.hello_of(self._handle, self._number, self.device, software=software, country=country)
        self.epoch = said.epoch
        return said

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
        return reading.read(
            self._handle,
            self._account(),
            order,
            above=above,
            below=below,
            limit=limit,
            max_bytes=max_bytes,
            quarantine=self.quarantine,
        )

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
