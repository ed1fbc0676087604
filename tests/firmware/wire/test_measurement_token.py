"""The measurement token: read as it was written, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import NewerVersionError, RecordError
from firmware.wire.envelope import Envelope, seal
from firmware.wire.measurement_token import MAX_LIFETIME_S, decode, encode, payload

DEVICE = "abcd0123efgh4567"


def token(signed: bytes) -> str:
    return encode(DEVICE, seal(Envelope(key_id=b"k" * 8, signature=b"s" * 64, payload=signed)))


@given(from_s=st.integers(0, 2**40), lasts_s=st.integers(1, MAX_LIFETIME_S))
def test_it_is_read_as_it_was_written(from_s: int, lasts_s: int) -> None:
    text = token(payload(from_s=from_s, until_s=from_s + lasts_s))
    read = decode(text)
    assert (read.device, read.from_s, read.until_s) == (DEVICE, from_s, from_s + lasts_s)
    assert (read.envelope.key_id, read.envelope.signature) == (b"k" * 8, b"s" * 64)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@given(st.text(max_size=500))
def test_any_text_is_read_or_refused(text: str) -> None:
    for one in (text, f"{DEVICE}.{text}"):
        with pytest.raises(RecordError):
            decode(one)


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"[]",
        b'{"v":1,"from":5,"until":5}',
        b'{"v":1,"from":0,"until":172801}',
        b'{"v":1,"from":0}',
        b'{"v":1,"from":"0","until":5}',
    ],
)
def test_another_span_is_refused(signed: bytes) -> None:
    with pytest.raises(RecordError):
        decode(token(signed))


def test_a_later_version_is_told_apart() -> None:
    with pytest.raises(NewerVersionError):
        decode(token(b'{"v":2,"from":0,"until":5}'))


@pytest.mark.parametrize("lasts_s", [0, -1, MAX_LIFETIME_S + 1])
def test_no_token_is_made_that_none_would_take(lasts_s: int) -> None:
    with pytest.raises(ValueError, match="at most"):
        payload(from_s=0, until_s=lasts_s)
