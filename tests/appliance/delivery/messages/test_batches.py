"""Batches: as full as allowed, never fuller, and never something the collector would refuse unread."""

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.delivery.messages.batches import Packed, TooLarge, pack
from firmware.model.record import Outcome, to_json
from firmware.wire.messages import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, decode_batch
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
EPOCH = "0123456789abcdef"


def body(number: int, noise: int = 0) -> str:
    """Return a record's JSON with `noise` characters that do not compress."""
    text = random.Random(number).randbytes((noise + 1) // 2).hex()[:noise]
    record = dataclasses.replace(tcp_record(number), outcome=Outcome(detail={"noise": text}))
    return json.dumps(to_json(record))


def do(
    rows: list[tuple[int, str]], max_bytes: int = MAX_BATCH_BYTES, bytes_a_record: float = 100.0
) -> Packed | TooLarge:
    return pack(rows, device=DEVICE, epoch=EPOCH, max_bytes=max_bytes, bytes_a_record=bytes_a_record)


@settings(max_examples=60, deadline=None)
@given(
    noises=st.lists(st.integers(0, 6000), min_size=1, max_size=60),
    max_bytes=st.integers(1024, MAX_BATCH_BYTES),
    guess=st.floats(10, 20_000),
)
def test_a_batch_holds_the_first_rows_and_keeps_its_bound(
    noises: list[int], max_bytes: int, guess: float
) -> None:
    rows = [(1000 - index, body(index, noise)) for index, noise in enumerate(noises)]
    packed = do(rows, max_bytes, guess)
    assert isinstance(packed, Packed)
    assert len(packed.payload) <= max_bytes or len(packed.seqs) == 1
    assert packed.seqs == tuple(sorted(seq for seq, _ in rows[: len(packed.seqs)]))
    batch = decode_batch(packed.payload)
    assert batch.seqs == packed.seqs
    assert batch.records[-1] == json.loads(rows[0][1])


@pytest.mark.parametrize("guess", [10.0, 100.0, 5000.0])
def test_a_batch_is_well_filled_whatever_was_guessed(guess: float) -> None:
    packed = do([(seq, body(seq, 40)) for seq in range(1, 1001)], bytes_a_record=guess)
    assert isinstance(packed, Packed)
    assert MAX_BATCH_BYTES / 2 < len(packed.payload) <= MAX_BATCH_BYTES


def test_never_more_records_than_the_collector_takes() -> None:
    text = body(1)
    packed = do([(seq, text) for seq in range(1, 1501)], bytes_a_record=1.0)
    assert isinstance(packed, Packed)
    assert len(packed.seqs) <= MAX_BATCH_RECORDS
    assert decode_batch(packed.payload).seqs == packed.seqs


def test_never_more_than_the_collector_inflates() -> None:
    rows = [(seq, body(1)[:-1] + f', "pad": "{"x" * 40_000}{seq}"}}') for seq in range(1, 101)]
    packed = do(rows, bytes_a_record=1.0)
    assert isinstance(packed, Packed)
    assert len(packed.seqs) < 100
    assert decode_batch(packed.payload).seqs == packed.seqs


def test_a_row_larger_than_asked_goes_alone() -> None:
    packed = do([(9, body(9, 8000)), (8, body(8))], max_bytes=1024)
    assert isinstance(packed, Packed)
    assert packed.seqs == (9,)


@pytest.mark.parametrize("noise", [40_000, 2_200_000], ids=["compressed", "inflated"])
def test_a_row_that_can_never_be_sent_is_named(noise: int) -> None:
    result = do([(9, body(9, noise)), (8, body(8))])
    assert isinstance(result, TooLarge)
    assert result.seq == 9
    assert "too large to send" in result.reason


def test_records_of_two_forms_do_not_share_a_batch() -> None:
    other = json.loads(body(2))
    other["new_key"] = 1
    packed = do([(1, body(1)), (2, json.dumps(other))])
    assert isinstance(packed, Packed)
    assert packed.seqs == (1,)
