"""The bundle: what goes in comes out, one that is damaged is read as far as it is sound and says where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import RecordError
from firmware.wire.bundle import MAGIC, MAX_PAYLOAD_BYTES, BundleMessage, decode, encode, frame

MESSAGES = st.lists(
    st.builds(
        BundleMessage, leaf=st.from_regex(r"[a-z]{1,16}", fullmatch=True), payload=st.binary(max_size=50)
    ),
    max_size=5,
)


@given(messages=MESSAGES)
def test_what_goes_in_comes_out(messages: list[BundleMessage]) -> None:
    bundle = decode(encode(messages))
    assert bundle.messages == tuple(messages)
    assert not bundle.fault


@given(messages=MESSAGES, cut=st.integers(min_value=0))
def test_one_cut_short_keeps_every_whole_message(messages: list[BundleMessage], cut: int) -> None:
    whole = encode(messages)
    at = len(MAGIC) + cut % (len(whole) - len(MAGIC) + 1)
    bundle = decode(whole[:at])
    assert bundle.messages == tuple(messages[: len(bundle.messages)])
    assert whole[: bundle.size] == encode(bundle.messages)
    assert bool(bundle.fault) == (bundle.size < at)


@given(messages=MESSAGES.filter(bool), at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(messages: list[BundleMessage], at: int, bit: int) -> None:
    damaged = bytearray(encode(messages))
    damaged[len(MAGIC) + at % (len(damaged) - len(MAGIC))] ^= 1 << bit
    bundle = decode(bytes(damaged))
    assert bundle.fault
    assert bundle.messages == tuple(messages[: len(bundle.messages)])


@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    decode(MAGIC + data)
    if not data.startswith(MAGIC):
        with pytest.raises(RecordError, match="does not begin as one"):
            decode(data)


@pytest.mark.parametrize(
    "message", [BundleMessage(leaf="", payload=b""), BundleMessage(leaf="LIVE", payload=b"")]
)
def test_what_is_no_message_is_our_own_mistake(message: BundleMessage) -> None:
    with pytest.raises(ValueError, match="small word"):
        frame(message)


def test_a_message_too_large_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="65536"):
        frame(BundleMessage(leaf="live", payload=bytes(MAX_PAYLOAD_BYTES + 1)))
