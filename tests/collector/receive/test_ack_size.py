"""Answers go by every way, whatever was asked, and leave no reject out."""

from pathlib import Path

import pytest

from collector.messages import Delivery, OutgoingMessage
from collector.receive.ack_size import MAX_ACK_BYTES, NO_REASON, fitted
from collector.receive.inbox import Inbox
from collector.receive.ingest import IngestThread
from collector.receive.validation import MAX_SEQ
from collector.store.database import Store
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import (
    MAX_BATCH_RECORDS,
    Ack,
    Batch,
    Reject,
    Tombstone,
    decode_ack,
    encode_ack,
    encode_batch,
    topic,
)
from tests.collector.scripted_device import DEVICE, EPOCH, batch_of

FIRST = MAX_SEQ - 10_000_000
"""The longest numbers there are."""
COUNT = MAX_BATCH_RECORDS


def apart(base: int) -> tuple[int, ...]:
    """Return as many seqs as a batch may have, none beside another."""
    return tuple(range(base, base + 2 * COUNT, 2))


def test_an_ack_that_fits_is_left_as_it_is() -> None:
    ack = Ack(epoch=EPOCH, upto=5, ranges=SeqRanges(((7, 9),)), rejects=(Reject(seq=9, reason="é" * 300),))
    assert fitted(ack) == encode_ack(ack)


@pytest.mark.parametrize("reason", ["é" * 300, '"' * 300])
def test_of_one_that_does_not_every_reject_is_told_and_the_lowest_ranges(reason: str) -> None:
    seqs = apart(FIRST)
    rejects = tuple(Reject(seq=seq, reason=reason) for seq in (*seqs, *range(FIRST - 256, FIRST)))
    ack = Ack(epoch=EPOCH, upto=1, ranges=SeqRanges.of(seqs), rejects=rejects, retry_after_s=3.0)
    told = decode_ack(fitted(ack))
    assert len(fitted(ack)) <= MAX_ACK_BYTES
    assert [one.seq for one in told.rejects] == [one.seq for one in rejects]
    assert {one.reason for one in told.rejects} == {NO_REASON}
    assert told.ranges.ranges == ack.ranges.ranges[: len(told.ranges.ranges)]
    assert (told.ranges, told.upto, told.retry_after_s) != (SeqRanges(), 0, 0.0)


def test_reasons_are_cut_before_they_are_left_out() -> None:
    ack = Ack(
        epoch=EPOCH, upto=9, rejects=tuple(Reject(seq=seq, reason="why " * 70) for seq in range(1, 400))
    )
    assert {one.reason for one in decode_ack(fitted(ack)).rejects} == {("why " * 70)[:40]}


@pytest.mark.parametrize("broken", [False, True], ids=["scattered seqs and tombstones", "all rejected"])
def test_no_batch_is_answered_with_more_than_the_ways_take(tmp_path: Path, broken: bool) -> None:
    answers: list[OutgoingMessage] = []
    store = Store.open(tmp_path / "collector.sqlite3")
    (record,) = batch_of([1]).records
    tombstones = [Tombstone(low=seq, high=seq, count=1, reason="space") for seq in apart(FIRST + 5 * COUNT)]
    batch = Batch(
        device=DEVICE,
        epoch=EPOCH,
        seqs=apart(FIRST),
        records=[{**record, "target": ["é" * 5000]} if broken else record] * COUNT,
        tombstones=tuple(tombstones),
    )
    delivery = Delivery(topic=topic(DEVICE, "up", "bulk"), payload=encode_batch(batch), received_ns=1)
    IngestThread(store, Inbox(max_messages=1, max_bytes=1), answers.append).handle([delivery])
    store.close()
    (answer,) = answers
    assert len(answer.payload) <= MAX_ACK_BYTES
    assert len(decode_ack(answer.payload).rejects) == (COUNT if broken else 0)


def test_a_batch_out_of_order_has_no_reject_that_is_in_nobodys_account(tmp_path: Path) -> None:
    """A device that set such a record aside would never send it again, and the account would miss it for ever."""
    answers: list[OutgoingMessage] = []
    store = Store.open(tmp_path / "collector.sqlite3")
    batch = Batch(device=DEVICE, epoch=EPOCH, seqs=(1,), records=({"no": "record"},), incarnation="a" * 16)
    delivery = Delivery(topic=topic(DEVICE, "up", "live"), payload=encode_batch(batch), received_ns=1)
    IngestThread(store, Inbox(max_messages=1, max_bytes=1), answers.append).handle([delivery])
    store.close()
    (answer,) = answers
    assert decode_ack(answer.payload) == Ack(epoch=EPOCH, upto=0)
