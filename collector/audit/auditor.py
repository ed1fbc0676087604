"""The audit of one epoch: rows against the account, rows against the messages that brought them, messages against keys.

    1  every seq the account calls stored has a row, and every row is in the account
    2  every kept message bears a signature that holds (`collector.audit.seals`)
    3  every row is, in each of its columns, what its message says when it is judged anew
    4  every tombstone and every rejected seq of the account is in a message
    5  the highest seq is at least what the device's signed hello says, be it the epoch's own or a later one's; a hello
       is kept where a message says that there was one, and the epochs it names are known
    6  what acks answer for is what the account has

What is derived from records (boots, sync points) is not looked at. Memory is that of the gaps, one page of seqs and one
message. It must never change the store, and never take the store's word for what a message says.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from collector.audit import reading
from collector.audit.account import EpochAudit, Faults
from collector.audit.reading import Snapshot, StoredMessage, StoredRecord
from collector.audit.seals import Seals, payload_of
from collector.messages import Delivery
from collector.receive.validation import validate
from collector.store import asked_columns
from collector.store.arrivals import BatchArrived, IngestRow
from collector.store.completeness import of_epoch
from collector.store.queries import Queries
from firmware.model.jsontypes import RecordError
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Hello, decode_hello, topic

Progress = Callable[[str], None]


def audit(
    queries: Queries, seals: Seals, *, device: str | None = None, progress: Progress = lambda _: None
) -> Iterator[EpochAudit]:
    """Audit every epoch there is, or those of one device. Raises `StoreError`, `TrustError`."""
    for name, epoch in reading.epochs(queries, device):
        yield _Epoch(queries, seals, progress, reading.snapshot(queries, name, epoch)).audited()


@dataclass(slots=True)
class _Epoch:
    """The audit of one epoch, under way."""

    queries: Queries
    seals: Seals
    progress: Progress
    taken: Snapshot
    faults: Faults = field(default_factory=Faults)
    there: int = 0
    borne_out: int = 0
    proved: int = 0
    messages: int = 0
    message_bytes: int = 0
    signed: int = 0
    after_hello: bool = False
    told_tombstoned: list[tuple[int, int]] = field(default_factory=list)
    told_rejected: list[tuple[int, int]] = field(default_factory=list)

    def audited(self) -> EpochAudit:
        here = self._rows_against_account()
        for one in reading.messages(self.queries, self.taken):
            self._message(one)
        if self.borne_out < self.there:
            self._name_unproved()
        self._account_against_messages()
        self._answered_against_account()
        high = self._high()
        return EpochAudit(
            device=self.taken.device,
            account=of_epoch(replace(self.taken.coverage, stored=here, high=high)),
            proved=self.proved,
            messages=self.messages,
            message_bytes=self.message_bytes,
            signed=self.signed,
            faults=self.faults,
            unnamed=self.taken.unnamed,
        )

    def _rows_against_account(self) -> SeqRanges:
        """Return the seqs that have a row."""
        found: list[tuple[int, int]] = []
        for page in reading.seqs(self.queries, self.taken):
            for seq in page:
                if found and found[-1][1] + 1 == seq:
                    found[-1] = (found[-1][0], seq)
                else:
                    found.append((seq, seq))
            self.there += len(page)
        here, said = SeqRanges(tuple(found)), self.taken.coverage.stored
        for low, high in said.minus(here):
            self.faults.add("stored once, and its record is gone", low, high)
        for low, high in here.minus(said):
            self.faults.add("a record that the account does not know", low, high)
        return here

    def _message(self, one: StoredMessage) -> None:
        self.messages += 1
        self.message_bytes += len(one.data)
        if self.messages % 64 == 0:
            self.progress(
                f"{self.taken.device} {self.taken.coverage.epoch}: {self.proved:,} of {self.there:,} records proved"
            )
        wrong = self.seals.fault(self.taken.device, one.leaf, one.data, one.received_ns)
        if wrong:
            self.faults.add(f"message {one.number}: {wrong}")
            return
        self.signed += self.seals.checked
        said = _judged(self.taken, one)
        if isinstance(said, str):
            self.faults.add(f"message {one.number}: {said}")
            return
        self.after_hello = self.after_hello or said.incarnation != ""
        rows = {row.seq: row for row in said.rows}
        found = reading.records(self.queries, self.taken, tuple(rows))
        last = 0
        for seq, row in rows.items():
            stored = found.get(seq)
            if stored is not None and stored.message == one.number:
                self._row(row, stored, one)
                if stored.number < last:
                    self.faults.add(f"it does not stand in the order of message {one.number}", seq)
                last = stored.number
            elif stored is not None and stored.message is not None and stored.message > one.number:
                self.faults.add(
                    f"message {one.number} brought it, and it is said to be of message {stored.message}", seq
                )
        for tombstone in said.tombstones:
            if tombstone.count == tombstone.high - tombstone.low + 1:
                self.told_tombstoned.append((tombstone.low, tombstone.high))
        self.told_rejected.extend(SeqRanges.of(said.rejected))

    def _row(self, said: IngestRow, stored: StoredRecord, one: StoredMessage) -> None:
        differs = [] if stored.row == said else _differing(said, stored.row)
        if stored.received_ns != one.received_ns:
            differs.append("received_ns")
        self.borne_out += 1
        if differs:
            self.faults.add(f"not what message {one.number} says: {', '.join(differs)}", said.seq)
        else:
            self.proved += 1

    def _name_unproved(self) -> None:
        """Return which records no message confirms; only for an epoch that has some."""
        said: dict[int, frozenset[int]] = {}
        low, high = 0, -1
        for seq, number in reading.links(self.queries, self.taken):
            if number is not None and number not in said:
                if len(said) > 64:
                    said.clear()
                said[number] = self._borne_out_by(number)
            if number is not None and seq in said[number]:
                continue
            if seq != high + 1 and high >= low > 0:
                self.faults.add("no message bears it out", low, high)
                low = seq
            low, high = low or seq, seq
        if low:
            self.faults.add("no message bears it out", low, high)

    def _borne_out_by(self, number: int) -> frozenset[int]:
        one = reading.message(self.queries, self.taken, number)
        if one is None or self.seals.fault(self.taken.device, one.leaf, one.data, one.received_ns):
            return frozenset()
        said = _judged(self.taken, one)
        return frozenset(() if isinstance(said, str) else (row.seq for row in said.rows))

    def _account_against_messages(self) -> None:
        coverage = self.taken.coverage
        for low, high in coverage.tombstoned.minus(SeqRanges.over(self.told_tombstoned)):
            self.faults.add("called given up, and no message says so", low, high)
        for low, high in coverage.rejected.minus(SeqRanges.over(self.told_rejected)):
            self.faults.add("called rejected, and no message has it", low, high)

    def _answered_against_account(self) -> None:
        """Compare what acks name with the account: by a range too many a device would let go of what is not here."""
        coverage = self.taken.coverage
        accounted = coverage.stored.union(coverage.tombstoned).union(coverage.rejected)
        for low, high in self.taken.answered.minus(accounted):
            self.faults.add("answered for, and in no account", low, high)
        for low, high in accounted.minus(self.taken.answered):
            self.faults.add("in the account, and not answered for", low, high)

    def _high(self) -> int:
        """Return the highest seq by the account and by the signed hello, which must not pass it."""
        high = self.taken.coverage.high
        if self.taken.hello is None:
            if self.after_hello:  # a batch that names an incarnation counts only after a hello that does
                self.faults.add("its messages came after a hello, and none is kept")
            return high
        _, received_ns, data = self.taken.hello
        wrong = self.seals.fault(self.taken.device, "hello", data, received_ns)
        try:
            hello = decode_hello(payload_of(data))
        except RecordError as error:
            self.faults.add(f"the hello that is kept: {error}")
            return high
        said = {**dict(hello.ended), hello.epoch: hello.high}.get(self.taken.coverage.epoch)
        if wrong or hello.device != self.taken.device or said is None:
            self.faults.add(f"the hello that is kept: {wrong or 'it is of another epoch'}")
            return high
        if hello.epoch == self.taken.coverage.epoch:
            self._named(hello)
        if said > high:
            self.faults.add(f"the device said it gave {said:,} seqs, the account knows of {high:,}")
        return max(high, said)

    def _named(self, hello: Hello) -> None:
        """Look for the ended epochs that the kept hello names: one that never spoke stands in no other message."""
        for epoch, said in () if hello.past else hello.ended:
            known = reading.high(self.queries, hello.device, epoch)
            if known is None or known < said:
                found = "knows of none" if known is None else f"knows of {known:,}"
                self.faults.add(f"the device said that epoch {epoch} gave {said:,} seqs, the account {found}")


def _judged(taken: Snapshot, one: StoredMessage) -> BatchArrived | str:
    """Judge a message anew, as it was when it came; return what is wrong where it is no batch of this epoch."""
    try:
        payload = payload_of(one.data)
    except RecordError as error:
        return str(error)
    where = topic(taken.device, "up", one.leaf)
    arrival = validate(Delivery(topic=where, payload=payload, received_ns=one.received_ns)).arrival
    if not isinstance(arrival, BatchArrived) or arrival.epoch != taken.coverage.epoch:
        return "it is not a batch of this epoch"
    return arrival


def _differing(said: IngestRow, stored: IngestRow) -> list[str]:
    """Return the columns in which a record differs from what was said; JSON written otherwise is the same."""
    pairs = zip(asked_columns.NAMES, said.asked, stored.asked, strict=True)
    differs = [name for name, one, other in pairs if one != other]
    return differs if _same_json(said.body, stored.body) else [*differs, "body"]


def _same_json(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False
