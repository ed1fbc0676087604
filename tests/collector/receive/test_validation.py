"""Every kind of payload gets the decision it should, and none makes the decision fail."""

import json
import random
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.messages import Delivery
from collector.receive.validation import MAX_SEQ, MAX_WORDS, Validation, answer, validate
from collector.store.arrivals import (
    Accounted,
    BatchArrived,
    HelloArrived,
    PresenceArrived,
    RefusedArrived,
)
from firmware.model import record as records
from firmware.model.record import SCHEMA
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import (
    MAX_BATCH_BYTES,
    Tombstone,
    decode_ack,
    encode_batch,
    encode_hello,
    topic,
)
from tests.collector.scripted_device import DEVICE, EPOCH, OTHER, batch_of, hello_of
from tests.firmware.records import records as any_record

LIVE = topic(DEVICE, "up", "live")
HELLO = topic(DEVICE, "up", "hello")


def judged(payload: bytes, *, on: str = LIVE) -> Validation:
    return validate(Delivery(topic=on, payload=payload, received_ns=7))


def packed(changes: Mapping[str, Any], *seqs: int) -> bytes:
    body = json.loads(zlib.decompress(encode_batch(batch_of(seqs or (1, 2)))))
    return zlib.compress(json.dumps({**body, **changes}, separators=(",", ":")).encode())


def reason_of(judgement: Validation) -> str:
    assert isinstance(judgement.arrival, RefusedArrived | BatchArrived)
    return judgement.arrival.refusals[0].reason


def test_a_sound_batch_is_taken_whole() -> None:
    judgement = judged(encode_batch(batch_of([4, 5])))
    arrival = judgement.arrival
    assert isinstance(arrival, BatchArrived)
    assert [row.seq for row in arrival.rows] == [4, 5]
    assert (judgement.to, judgement.epoch, judgement.rejects, judgement.pause_s) == (DEVICE, EPOCH, (), 0.0)


@given(st.lists(any_record, min_size=1, max_size=3))
def test_what_a_device_makes_is_taken_and_kept_word_for_word(made: list[records.Record]) -> None:
    batch = replace(batch_of(range(1, len(made) + 1)), records=tuple(records.to_json(one) for one in made))
    judgement = judged(encode_batch(batch))
    assert isinstance(judgement.arrival, BatchArrived)
    assert [records.from_json(json.loads(row.body)) for row in judgement.arrival.rows] == made


@given(st.sampled_from([LIVE, HELLO, topic(DEVICE, "st", ""), "p1/up", "", "p1/dn/x/ack"]), st.binary())
def test_no_payload_on_any_topic_makes_it_raise(where: str, payload: bytes) -> None:
    for form in (payload, zlib.compress(payload)):
        judgement = judged(form, on=where)
        assert isinstance(judgement.arrival, RefusedArrived)
        assert judgement.arrival.refusals[0].reason


@given(
    st.dictionaries(
        st.sampled_from(["v", "device", "epoch", "seqs", "same", "columns", "tombstones"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(EPOCH),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
            max_leaves=5,
        ),
    )
)
def test_no_twisted_batch_makes_it_raise(changes: dict[str, Any]) -> None:
    judgement = judged(packed(changes))
    assert isinstance(judgement.arrival, BatchArrived | RefusedArrived)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"columns": {"zone": ["local"]}}, "columns: zone"),
        ({"same": []}, "same"),
        ({"tombstones": [[5, 1, 1, "x"]]}, "tombstones"),
        ({"tombstones": [[1, 1, 1, "\ud800"]]}, "Unicode"),
        ({"tombstones": [[1, 1, 1, "x"]] * 1001}, "tombstones"),
    ],
    ids=["short-column", "same", "tombstone", "surrogate", "many-tombstones"],
)
def test_a_whole_batch_that_is_not_acceptable_is_rejected_by_its_seqs(
    changes: dict[str, Any], word: str
) -> None:
    judgement = judged(packed(changes))
    assert isinstance(judgement.arrival, BatchArrived)
    assert judgement.arrival.rejected == (1, 2)
    assert word in judgement.arrival.refusals[0].reason
    assert [reject.seq for reject in judgement.rejects] == [1, 2]
    assert judgement.pause_s == 0.0


def test_a_batch_that_is_too_large_is_rejected_by_its_seqs() -> None:
    noise = random.Random(5).randbytes(MAX_BATCH_BYTES).hex()
    payload = encode_batch(batch_of([1, 2], detail={"noise": noise}))
    assert len(payload) > MAX_BATCH_BYTES
    assert [reject.seq for reject in judged(payload).rejects] == [1, 2]


def test_a_bomb_with_a_sound_head_is_rejected_by_its_seqs() -> None:
    payload = packed({"same": {"detail": {"zeros": "0" * 5_000_000}}})
    assert len(payload) < MAX_BATCH_BYTES
    judgement = judged(payload)
    assert "inflates past" in reason_of(judgement)
    assert [reject.seq for reject in judgement.rejects] == [1, 2]


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00", b"not zlib", encode_batch(batch_of([1]))[:-1], zlib.compress(b"not json")],
    ids=["empty", "zero", "text", "cut-short", "not-json"],
)
def test_of_a_damaged_batch_nothing_is_rejected_and_a_pause_is_asked(payload: bytes) -> None:
    judgement = judged(payload)
    assert isinstance(judgement.arrival, RefusedArrived)
    assert judgement.arrival.refusals[0].payload == payload
    assert (judgement.to, judgement.epoch, judgement.rejects) == (DEVICE, None, ())
    assert judgement.pause_s > 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"zone": "moon"}, "moon"),
        ({"runtime_ns": -1}, "runtime_ns"),
        ({"failure": "it broke"}, "it broke"),
        ({"target": "\ud800"}, "JSON"),
        ({"detail": {"x": "y" * 70_000}}, "70"),
        ({"start_utc_ns": 2**63}, "start_utc_ns"),
        ({"phases": {"\ud800": 1}}, "phases"),
    ],
    ids=["word", "range", "failure", "surrogate", "large", "64-bit", "surrogate-key"],
)
def test_a_bad_record_is_rejected_and_its_neighbour_taken(changes: dict[str, Any], word: str) -> None:
    batch = batch_of([1, 2])
    body = json.loads(zlib.decompress(encode_batch(batch)))
    spoilt = {**batch.records[0], **changes}
    body["same"] = {}
    body["columns"] = {key: [spoilt[key], batch.records[1][key]] for key in batch.records[1]}
    judgement = judged(zlib.compress(json.dumps(body).encode()))
    arrival = judgement.arrival
    assert isinstance(arrival, BatchArrived)
    assert [row.seq for row in arrival.rows] == [2]
    (reject,) = judgement.rejects
    assert reject.seq == 1
    assert word in reject.reason
    assert arrival.refusals[0].payload
    # The reason can be stored, sent and printed, whatever stood in the record.
    assert reject.reason.isprintable()
    assert decode_ack(answer(judgement, Accounted(upto=2, ranges=SeqRanges()), EPOCH).payload).upto == 2


def test_columns_that_multiply_do_not_fill_the_disk() -> None:
    payload = packed(
        {
            "same": {**batch_of([1]).records[0], "detail": {"x": "y" * 60_000}},
            "columns": {},
            "seqs": list(range(1, 1001)),
        }
    )
    judgement = judged(payload)
    assert isinstance(judgement.arrival, BatchArrived)
    taken = sum(len(row.body) for row in judgement.arrival.rows)
    assert taken < 5_000_000
    assert len(judgement.arrival.rows) + len(judgement.rejects) == 1000


def test_what_newer_software_made_waits_for_an_upgrade() -> None:
    batch = judged(packed({"v": 2}))
    assert (batch.rejects, batch.pause_s > 0, batch.to) == ((), True, DEVICE)
    record = judged(encode_batch(batch_of([1], schema=SCHEMA + 1)))
    assert isinstance(record.arrival, BatchArrived)
    assert (record.arrival.rows, record.arrival.rejected, record.rejects) == ((), (), ())
    assert record.pause_s > 0
    assert "upgrade the collector" in record.arrival.refusals[0].reason


def test_a_batch_that_names_another_device_is_answered_to_its_sender() -> None:
    for payload in (
        encode_batch(batch_of([1, 2], device=OTHER)),
        packed({"device": OTHER, "same": 1}),
    ):
        judgement = judged(payload)
        arrival = judgement.arrival
        assert isinstance(arrival, RefusedArrived)
        assert (arrival.device, judgement.to) == (DEVICE, DEVICE)
        assert [reject.seq for reject in judgement.rejects] == [1, 2]


def test_an_ended_epoch_of_more_than_can_be_counted_is_refused() -> None:
    hello = replace(hello_of(1, 2), ended=(("1" * 16, MAX_SEQ + 1),))
    assert isinstance(judged(encode_hello(hello), on=HELLO).arrival, RefusedArrived)


@pytest.mark.parametrize("seqs", [[MAX_SEQ + 1], [2**63 - 1], [0], [True], ["1"], []])
def test_seqs_that_are_none_account_for_nothing(seqs: list[Any]) -> None:
    judgement = judged(packed({"seqs": seqs}))
    assert isinstance(judgement.arrival, RefusedArrived)
    assert judgement.rejects == ()


def test_a_seq_that_stands_twice_is_rejected_once() -> None:
    assert [reject.seq for reject in judged(packed({"seqs": [1, 1]})).rejects] == [1]


def test_a_hello_is_noted_and_answered_for_its_epoch() -> None:
    judgement = judged(encode_hello(hello_of(3, 9)), on=HELLO)
    assert isinstance(judgement.arrival, HelloArrived)
    assert (judgement.to, judgement.epoch) == (DEVICE, EPOCH)


def test_what_a_hello_says_for_pages_to_show_is_cut_and_no_reason_to_refuse_it() -> None:
    long = replace(hello_of(1, 5), software="s" * 7000, country="c" * 7000)
    arrival = judged(encode_hello(long), on=HELLO).arrival
    assert isinstance(arrival, HelloArrived)
    assert arrival.hello == replace(long, software="s" * MAX_WORDS, country="c" * MAX_WORDS)


def test_a_hello_under_another_name_is_not_answered() -> None:
    judgement = judged(encode_hello(hello_of(3, 9, device=OTHER)), on=HELLO)
    assert isinstance(judgement.arrival, RefusedArrived)
    assert judgement.to is None


@pytest.mark.parametrize("payload", [b"", b"{}", b"x" * 20_000, encode_hello(hello_of(1, 2**62 + 1))])
def test_a_bad_hello_is_refused(payload: bytes) -> None:
    assert isinstance(judged(payload, on=HELLO).arrival, RefusedArrived)


def test_presence() -> None:
    arrival = judged(b'{"online":false}', on=topic(DEVICE, "st", "")).arrival
    assert arrival == PresenceArrived(device=DEVICE, online=False, received_ns=7)


@pytest.mark.parametrize(
    "where", ["p1/up/short/live", "p2/up/k3f9a7c2m1x8q5z0/live", f"p1/up/{DEVICE}/cmd", f"p1/dn/{DEVICE}/ack"]
)
def test_a_topic_where_nothing_is_expected_is_not_answered(where: str) -> None:
    judgement = judged(encode_batch(batch_of([1])), on=where)
    assert isinstance(judgement.arrival, RefusedArrived)
    assert judgement.to is None


def test_an_answer_carries_the_longer_pause() -> None:
    judgement = judged(encode_batch(batch_of([1], schema=SCHEMA + 1)))
    sent = answer(judgement, Accounted(upto=0, ranges=SeqRanges()), EPOCH, pause_s=5.0)
    assert sent.topic == f"p1/dn/{DEVICE}/ack"
    assert decode_ack(sent.payload).retry_after_s == judgement.pause_s > 5.0


def test_tombstones_come_with_their_batch() -> None:
    given_up = Tombstone(low=1, high=3, count=3, reason="age")
    arrival = judged(encode_batch(replace(batch_of([4]), tombstones=(given_up,)))).arrival
    assert isinstance(arrival, BatchArrived)
    assert arrival.tombstones == (given_up,)
