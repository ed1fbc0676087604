"""Messages and results survive any cutting of the stream; what is no message ends it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.task import Result
from firmware.worker.framing import MAX_FRAME_BYTES, Decoder, FramingError, Message, encode
from tests.firmware.records import big, json_objects, outcomes, words

results = st.builds(
    Result,
    task_id=words,
    test_version=words,
    target=words,
    uplink=words,
    start_boottime_ns=big,
    start_utc_ns=big,
    runtime_ns=big,
    outcome=outcomes,
)


@given(st.lists(json_objects | results, max_size=5), st.lists(st.integers(1, 20), min_size=1))
def test_messages_survive_any_cutting(messages: list[Message], cuts: list[int]) -> None:
    stream = b"".join(encode(message) for message in messages)
    decoder = Decoder()
    found: list[Message] = []
    place = turn = 0
    while place < len(stream):
        size = cuts[turn % len(cuts)]
        found.extend(decoder.feed(stream[place : place + size]))
        place, turn = place + size, turn + 1
    assert found == messages
    assert decoder.is_empty


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (struct.pack(">I", MAX_FRAME_BYTES + 1), "found a length of"),
        (struct.pack(">I", 2) + b"[]", "not a JSON object"),
        (struct.pack(">I", 3) + b"{x}", "not JSON"),
        (struct.pack(">I", 2) + b"\xff\xff", "not JSON"),
        (struct.pack(">I", 200_000) + b"[" * 200_000, "not JSON"),
        (struct.pack(">I", 0), "not JSON"),
    ],
)
def test_what_is_no_message_is_an_error(stream: bytes, told: str) -> None:
    with pytest.raises(FramingError, match=told):
        list(Decoder().feed(stream))


def test_half_a_message_waits() -> None:
    decoder = Decoder()
    assert list(decoder.feed(encode({"a": 1})[:-1])) == []
    assert not decoder.is_empty


def test_a_message_too_large_is_refused_before_it_is_sent() -> None:
    with pytest.raises(FramingError, match="allowed are"):
        encode({"a": "x" * MAX_FRAME_BYTES})
