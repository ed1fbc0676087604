"""From what a broker delivered to what is stored and answered: the decision, pure.

`validate` reads one delivery and says what of it is to be stored and what is to be answered; `answer` makes the
ack once the store has committed. Neither touches a clock, a socket or the database, and no payload, however
made, may raise out of them.

Who sent it is the topic's device: the broker lets a device write to its own branch only. A payload that names
another device is refused and accounts for nothing. In a payload an incarnation is called `run`.

What a payload that is not acceptable is answered with:

    a record that is not one                  rejected by its seq: the device sets it aside
    a batch that is whole but not acceptable  every seq it names is rejected (too large, columns that do not fit)
    a payload damaged on the way              nothing of it can be told, not even its seqs: an ack without
                                              rejects that asks for a pause; what is sent again is made anew
    made by newer software                    nothing is rejected, a pause is asked for: it waits for an upgrade
    a topic that is not ours                  no answer: there is nobody to answer
"""

import re
import zlib
from dataclasses import dataclass, replace
from typing import Final

from collector.messages import Delivery, OutgoingMessage
from collector.receive.ack_size import fitted
from collector.receive.record_rows import fits_store, kept, to_row, to_rows
from collector.store.arrivals import (
    Accounted,
    Arrival,
    BatchArrived,
    HelloArrived,
    IngestRow,
    PresenceArrived,
    Refusal,
    RefusedArrived,
)
from firmware.model.jsontypes import NewerVersionError, RecordError
from firmware.wire import messages
from firmware.wire.messages import Ack, Batch, Hello, Reject
from firmware.wire.table import RecordTable

MAX_REASON: Final = 300
"""A reason is cut to this many characters."""
DAMAGED_PAUSE_S: Final = 30.0
NEWER_PAUSE_S: Final = 300.0

MAX_SEQ: Final = 2**62
"""No device counts so far: a higher seq is nonsense, and must not overflow the database's integers."""
MAX_BODIES_BYTES: Final = 4 * 1024 * 1024
"""What the records of one batch may be together, as JSON: columns that are the same for all multiply."""

MAX_WORDS: Final = 100
"""What a device says of its software and its country is cut to this many characters: every page shows it."""

# The head of a batch, as `firmware.wire.messages.encode_batch` writes it: enough to reject by seq what is too large.
_HEAD: Final = re.compile(
    rb'\{"v":1,"device":"([a-z0-9]{16})","epoch":"([0-9a-f]{16})",(?:"run":"([0-9a-f]{0,16})",)?"seqs":\[([0-9,]{1,100000})\]'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What to store and how to answer: to which device (None: nobody) and epoch (None: its newest one)."""

    arrival: Arrival
    to: str | None = None
    epoch: str | None = None
    rejects: tuple[Reject, ...] = ()
    pause_s: float = 0.0


def validate(delivery: Delivery) -> Validation:
    """Decide what becomes of one delivery."""
    try:
        device = messages.device_of(delivery.topic)
    except RecordError as error:
        return _refused(delivery, "", str(error))
    _, branch, _, *leaf = delivery.topic.split("/")
    match branch, leaf:
        case "up", ["hello"]:
            return _hello(delivery, device)
        case "up", ["live" | "bulk"]:
            return _batch(delivery, device)
        case "st", []:
            return _presence(delivery, device)
        case _:
            reason = f"topic {delivery.topic[:100]!r}: nothing is expected there"
            return _refused(delivery, device, reason, answered=False)


def answer(
    judgement: Validation, accounted: Accounted, epoch: str, *, pause_s: float = 0.0
) -> OutgoingMessage:
    """Return the ack to a judged delivery, now that `accounted` is durable of `epoch`.

    `pause_s` is what the collector asks of everyone because it is behind.
    """
    assert judgement.to is not None
    rejects = judgement.rejects
    if isinstance(judgement.arrival, BatchArrived):
        # Of a batch out of order nothing was stored, its rejects neither: told, they would be in nobody's account.
        rejects = tuple(one for one in rejects if one.seq <= accounted.upto or one.seq in accounted.ranges)
    own = {one.seq for one in rejects}
    ack = Ack(
        epoch=epoch,
        upto=accounted.upto,
        ranges=accounted.ranges,
        rejects=(*rejects, *(one for one in accounted.rejects if one.seq not in own)),
        retry_after_s=max(judgement.pause_s, accounted.pause_s, pause_s),
        incarnation=accounted.incarnation,
        conflict=accounted.conflict,
    )
    return OutgoingMessage(topic=messages.topic(judgement.to, "dn", "ack"), payload=fitted(ack))


def unreadable(delivery: Delivery, reason: str) -> Validation:
    """Set aside a delivery that could not be handled at all."""
    return _refused(delivery, "", reason)


def _hello(delivery: Delivery, device: str) -> Validation:
    try:
        hello = _decoded_hello(delivery.payload)
    except NewerVersionError as error:
        return _refused(delivery, device, str(error), pause_s=NEWER_PAUSE_S)
    except RecordError as error:
        return _refused(delivery, device, str(error), pause_s=DAMAGED_PAUSE_S)
    if hello.device != device:
        return _refused(
            delivery, device, f"hello: names device {hello.device} on this device's branch", answered=False
        )
    return Validation(
        arrival=HelloArrived(hello=hello, received_ns=delivery.received_ns), to=device, epoch=hello.epoch
    )


def _decoded_hello(payload: bytes) -> Hello:
    if len(payload) > messages.MAX_BATCH_BYTES:
        raise RecordError(f"hello: {len(payload)} bytes")
    hello = messages.decode_hello(payload)
    told = (word for transition in hello.headline for word in (transition.verdict, transition.rule_id))
    highest = max((hello.high, *(high for _, high in hello.ended)))
    if highest > MAX_SEQ or not fits_store((hello.software, hello.country, *told)):
        raise RecordError("hello: a seq past all counting, or text that is not Unicode")
    return replace(hello, software=hello.software[:MAX_WORDS], country=hello.country[:MAX_WORDS])


def _presence(delivery: Delivery, device: str) -> Validation:
    try:
        online = messages.decode_presence(delivery.payload).online
    except RecordError as error:
        return _refused(delivery, device, str(error), answered=False)
    return Validation(arrival=PresenceArrived(device=device, online=online, received_ns=delivery.received_ns))


def _batch(delivery: Delivery, device: str) -> Validation:
    try:
        batch = _decoded(delivery.payload)
    except NewerVersionError as error:
        return _refused(delivery, device, str(error), pause_s=NEWER_PAUSE_S)
    except RecordError as error:
        return _whole_batch_refused(delivery, device, str(error))
    if batch.device != device:
        return _forged(delivery, device, batch.device, batch.epoch, batch.seqs)
    return _sorted_out(delivery, batch)


def _decoded(payload: bytes) -> Batch:
    if len(payload) > messages.MAX_BATCH_BYTES:
        raise RecordError(
            f"batch: {len(payload)} bytes, and {messages.MAX_BATCH_BYTES} are the most that is taken"
        )
    batch = messages.decode_batch(payload)
    if len(batch.tombstones) > messages.MAX_BATCH_RECORDS:
        raise RecordError(f"batch: tombstones: found {len(batch.tombstones)}")
    if max((*batch.seqs, *(one.high for one in batch.tombstones)), default=0) > MAX_SEQ:
        raise RecordError("batch: a seq past all counting")
    if not fits_store(one.reason for one in batch.tombstones):
        raise RecordError("batch: tombstones: text that is not Unicode")
    return batch


def _sorted_out(delivery: Delivery, batch: Batch) -> Validation:
    """Tell the records that are taken from those that are not."""
    rows: list[IngestRow] = []
    refusals: list[Refusal] = []
    newer = ""
    size = 0
    sound = to_rows(batch.seqs, RecordTable.of(batch.records), room=MAX_BODIES_BYTES)
    for seq, record in zip(batch.seqs, batch.records, strict=True) if sound is None else ():
        try:
            rows.append(to_row(seq, record, room=MAX_BODIES_BYTES - size))
            size += len(rows[-1].body)
        except NewerVersionError as error:
            newer = str(error)
        except RecordError as error:
            payload = kept(record) if size < MAX_BODIES_BYTES else b""
            size += len(payload)
            refusals.append(Refusal(epoch=batch.epoch, seq=seq, reason=_short(str(error)), payload=payload))
    rejects = tuple(Reject(seq=one.seq, reason=one.reason) for one in refusals if one.seq is not None)
    if newer:
        refusals.append(Refusal(epoch=batch.epoch, seq=None, reason=_short(newer), payload=delivery.payload))
    return Validation(
        arrival=BatchArrived(
            device=batch.device,
            epoch=batch.epoch,
            received_ns=delivery.received_ns,
            topic=delivery.topic,
            rows=tuple(rows) if sound is None else sound,
            tombstones=batch.tombstones,
            rejected=tuple(reject.seq for reject in rejects),
            refusals=tuple(refusals),
            incarnation=batch.incarnation,
        ),
        to=batch.device,
        epoch=batch.epoch,
        rejects=rejects,
        pause_s=NEWER_PAUSE_S if newer else 0.0,
    )


def _whole_batch_refused(delivery: Delivery, device: str, reason: str) -> Validation:
    """Reject every seq of a batch that is whole but not acceptable; of a damaged one nothing can be told."""
    head = _head(delivery.payload)
    if head is None:
        return _refused(delivery, device, reason, pause_s=DAMAGED_PAUSE_S)
    named, epoch, incarnation, seqs = head
    if named != device:
        return _forged(delivery, device, named, epoch, seqs)
    short = _short(reason)
    return Validation(
        arrival=BatchArrived(
            device=device,
            epoch=epoch,
            received_ns=delivery.received_ns,
            topic=delivery.topic,
            rejected=seqs,
            refusals=(Refusal(epoch=epoch, seq=None, reason=short, payload=delivery.payload),),
            incarnation=incarnation,
        ),
        to=device,
        epoch=epoch,
        rejects=tuple(Reject(seq=seq, reason=short) for seq in seqs),
    )


def _forged(delivery: Delivery, device: str, named: str, epoch: str, seqs: tuple[int, ...]) -> Validation:
    """Refuse a batch that names another device: it is answered to its sender, and counts for nobody."""
    reason = f"batch: names device {named} on this device's branch"
    return replace(
        _refused(delivery, device, reason),
        epoch=epoch,
        rejects=tuple(Reject(seq=seq, reason=reason) for seq in seqs),
    )


def _refused(
    delivery: Delivery, device: str, reason: str, *, answered: bool = True, pause_s: float = 0.0
) -> Validation:
    refusal = Refusal(epoch=None, seq=None, reason=_short(reason), payload=delivery.payload)
    return Validation(
        arrival=RefusedArrived(
            device=device,
            received_ns=delivery.received_ns,
            topic=_short(delivery.topic),
            refusals=(refusal,),
        ),
        to=device if answered and device else None,
        pause_s=pause_s,
    )


def _head(payload: bytes) -> tuple[str, str, str, tuple[int, ...]] | None:
    """Return device, epoch, incarnation and seqs of a batch whose compressed data is sound, however bad the rest; or None."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(payload, messages.MAX_INFLATED_BYTES)
    except zlib.error:
        return None
    found = _HEAD.match(text) if inflater.eof or inflater.unconsumed_tail else None
    if found is None:
        return None
    numbers = [int(number) for number in found[4].split(b",") if 0 < len(number) < 20]
    seqs = tuple(dict.fromkeys(seq for seq in numbers if 0 < seq <= MAX_SEQ))[: messages.MAX_BATCH_RECORDS]
    return (found[1].decode(), found[2].decode(), (found[3] or b"").decode(), seqs) if seqs else None


def _short(text: str) -> str:
    """Return `text` cut short and fit to be stored, sent and printed, whatever a device wrote into it."""
    cut = text if len(text) <= MAX_REASON else text[:MAX_REASON] + "…"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)
