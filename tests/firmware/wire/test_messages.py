"""What device and collector say to each other survives the wire; what is not well said is refused by name."""

import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model import record as records_json
from firmware.model.jsontypes import JsonValue, NewerVersionError, RecordError
from firmware.model.record import ClockQuality, Record
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import (
    MAX_BATCH_RECORDS,
    MAX_ENDED,
    MAX_INFLATED_BYTES,
    Ack,
    Batch,
    Hello,
    Presence,
    Reject,
    Tombstone,
    Transition,
    decode_ack,
    decode_batch,
    decode_hello,
    decode_presence,
    device_of,
    encode_ack,
    encode_batch,
    encode_hello,
    encode_presence,
    topic,
)
from tests.firmware.records import records, tcp_record

DEVICE = "k3f9a7c2m1x8q5z0"
EPOCH = "0123456789abcdef"
HELLO = Hello(
    device=DEVICE, epoch=EPOCH, low=7, high=42, waiting=36, software="tidegauge 0.1.0", country="ir"
)
ACK = Ack(
    epoch=EPOCH,
    upto=41,
    ranges=SeqRanges.of([43, 44, 50]),
    rejects=(Reject(seq=42, reason="zone: found 'moon'"),),
    retry_after_s=2.5,
)


def batch_of(*numbers: int) -> Batch:
    return Batch(
        device=DEVICE,
        epoch=EPOCH,
        seqs=numbers,
        records=tuple(records_json.to_json(tcp_record(number)) for number in numbers),
        tombstones=(Tombstone(low=1, high=3, count=2, reason="disk full"),),
    )


def repacked(batch: Batch, **changes: JsonValue) -> bytes:
    body = json.loads(zlib.decompress(encode_batch(batch)))
    return zlib.compress(json.dumps({**body, **changes}).encode())


@pytest.mark.parametrize(
    "transition",
    [1, [], [1, 2, "holdover", "ok"], [1, 2, "moon", "ok", "r"], [-1, 2, "holdover", "ok", "r"],
     [1, 2, "holdover", "v" * 65, "r"], [1, "2", "holdover", "ok", "r"]],
)  # fmt: skip
def test_a_headline_of_another_form_is_refused(transition: JsonValue) -> None:
    hello = json.loads(encode_hello(HELLO))
    hello["headline"] = [transition]
    with pytest.raises(RecordError, match="hello: headline: found"):
        decode_hello(json.dumps(hello).encode())


def test_hello_and_ack_and_back() -> None:
    assert decode_hello(encode_hello(HELLO)) == HELLO
    transition = Transition(
        since_utc_ns=1, error_ns=None, quality=ClockQuality.HOLDOVER, verdict="ok", rule_id="r"
    )
    headed = replace(HELLO, headline=(transition, replace(transition, error_ns=5)))
    assert decode_hello(encode_hello(headed)) == headed
    assert decode_ack(encode_ack(ACK)) == ACK


ENDED = st.tuples(st.from_regex("[0-9a-f]{16}", fullmatch=True), st.integers(1, 2**62))


@given(st.lists(ENDED, max_size=MAX_ENDED), st.integers(0, 2**31))
def test_ended_epochs_and_back(ended: list[tuple[str, int]], beyond: int) -> None:
    hello = replace(HELLO, ended=tuple(ended), ended_beyond=beyond)
    assert decode_hello(encode_hello(hello)) == hello


def test_a_hello_without_ended_epochs_has_no_word_of_them() -> None:
    assert b"ended" not in encode_hello(HELLO)


def test_of_too_many_ended_epochs_those_beyond_are_counted() -> None:
    hello = replace(HELLO, ended=tuple((f"{n:016x}", n) for n in range(1, MAX_ENDED + 4)), ended_beyond=2)
    read = decode_hello(encode_hello(hello))
    assert (read.ended, read.ended_beyond) == (hello.ended[:MAX_ENDED], 5)


@pytest.mark.parametrize("ended", [1, [], [EPOCH], ["xyz", 1], [EPOCH, 0], [EPOCH, "1"], [EPOCH, 2**63]])
def test_an_ended_epoch_of_another_form_is_refused(ended: JsonValue) -> None:
    hello = {**json.loads(encode_hello(HELLO)), "ended": [ended]}
    with pytest.raises(RecordError, match="hello: ended: found"):
        decode_hello(json.dumps(hello).encode())


@given(st.lists(records, max_size=5), st.randoms(use_true_random=False))
def test_batch_and_back(made: list[Record], random: object) -> None:
    bodies = tuple(records_json.to_json(record) for record in made)
    batch = Batch(
        device=DEVICE, epoch=EPOCH, seqs=tuple(range(9, 9 + len(bodies))), records=bodies, tombstones=()
    )
    back = decode_batch(encode_batch(batch))
    assert replace(back, records=tuple(back.records)) == batch


def test_true_is_not_one_in_a_column() -> None:
    batch = Batch(device=DEVICE, epoch=EPOCH, seqs=(1, 2), records=({"x": 1}, {"x": True}))
    back = decode_batch(encode_batch(batch))
    assert [type(record["x"]) for record in back.records] == [int, bool]


def test_records_of_different_form_do_not_share_a_batch() -> None:
    with pytest.raises(ValueError, match="same keys"):
        encode_batch(Batch(device=DEVICE, epoch=EPOCH, seqs=(1, 2), records=({"a": 1}, {"b": 1})))


def test_fifty_records_fit_a_batch_with_room_to_spare() -> None:
    assert len(encode_batch(batch_of(*range(1, 51)))) < 50 * 62


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "cut short"),
        (b"not zlib", "not zlib data"),
        (encode_batch(batch_of(1))[:-5], "cut short"),
        (zlib.compress(b"[1"), "not JSON"),
        (zlib.compress(b"[" * 100_000), "not JSON"),
        (zlib.compress(b"1"), "a JSON object belongs here"),
        (zlib.compress(b" " * (MAX_INFLATED_BYTES + 1)), "inflates past"),
        (repacked(batch_of(1), v=2), "upgrade"),
        (repacked(batch_of(1), device="../../etc/passwd"), "device: found"),
        (repacked(batch_of(1), epoch="xyz"), "epoch: found 'xyz'"),
        (repacked(batch_of(1), seqs=[0]), "seqs: found 0"),
        (repacked(batch_of(1, 2), seqs=[1, 1]), "stands twice"),
        (repacked(batch_of(1, 2), seqs=[1, 2, 3]), "one value for each of the 3 seqs"),
        (repacked(batch_of(1), seqs=list(range(1, MAX_BATCH_RECORDS + 2))), "allowed is up to 1000"),
        (repacked(batch_of(1), tombstones=[[5, 4, 1, "x"]]), "tombstones"),
        (repacked(batch_of(1), same=[]), "same: found"),
        (repacked(batch_of(1), columns={"test": ["tcp"]}), "stands in `same`, too"),
    ],
)
def test_a_bad_batch_is_refused_by_name(payload: bytes, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        decode_batch(payload)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranges": [[4, 2]]}, "ranges"),
        ({"ranges": [4]}, "two values"),
        ({"rejects": [[1, 2]]}, "rejects"),
        ({"retry_after_s": -1}, "retry_after_s"),
        ({"retry_after_s": "soon"}, "retry_after_s"),
        ({"upto": -1}, "upto"),
        ({"epoch": ""}, "epoch"),
    ],
)
def test_a_bad_ack_is_refused_by_name(changes: dict[str, JsonValue], message: str) -> None:
    body = {**json.loads(encode_ack(ACK)), **changes}
    with pytest.raises(RecordError, match=message):
        decode_ack(json.dumps(body).encode())


@given(st.binary(max_size=200))
def test_no_bytes_make_a_decoder_raise_anything_else(payload: bytes) -> None:
    for decode in (decode_hello, decode_batch, decode_ack):
        with pytest.raises(RecordError):
            decode(payload)


@pytest.mark.parametrize("online", [True, False])
def test_presence_and_back(*, online: bool) -> None:
    assert decode_presence(encode_presence(Presence(online=online))) == Presence(online=online)


@pytest.mark.parametrize("payload", [b"online", b'{"online":1}', b"{}", b"\xff"])
def test_a_bad_presence_is_refused(payload: bytes) -> None:
    with pytest.raises(RecordError):
        decode_presence(payload)


def test_what_newer_software_says_is_told_apart_from_nonsense() -> None:
    with pytest.raises(NewerVersionError, match="upgrade"):
        decode_hello(b'{"v":2}')


def test_topics() -> None:
    assert topic(DEVICE, "up", "live") == f"p1/up/{DEVICE}/live"
    assert topic(DEVICE, "st", "") == f"p1/st/{DEVICE}"
    assert device_of(topic(DEVICE, "up", "hello")) == DEVICE
    for wrong in ("p2/up/x/hello", "p1/up", f"p1/up/{DEVICE}/a/b", "p1/up/UPPER/hello", ""):
        with pytest.raises(RecordError, match="topic"):
            device_of(wrong)
