"""Servers' halves on the wire: whole there and back, and nothing else taken for one."""

import json
import zlib

import pytest

from firmware.model.jsontypes import NewerVersionError, RecordError
from firmware.model.record import ClockQuality, ClockReading
from firmware.model.server_half import SCHEMA, Direction, HalfEnd, ServerHalf, to_json
from firmware.wire.envelope import Envelope, seal
from firmware.wire.server_halves import (
    MAX_JSON_BYTES,
    HalvesAccount,
    HalvesAsked,
    bearer,
    decode_account,
    decode_bearer,
    decode_half,
    encode_account,
    encode_asked,
    encode_half,
)

HALF = ServerHalf(
    server="measurement",
    software="tidegauge 1",
    epoch="0123456789abcdef",
    number=5,
    device="abcd0123efgh4567",
    nonce="ab" * 16,
    test="udp",
    direction=Direction.UDP,
    boot_id="b",
    start=ClockReading(boottime_ns=1, utc_ns=2, quality=ClockQuality.HOLDOVER, error_ns=3),
    end=HalfEnd.REFUSED,
    status=429,
    reason="enough",
    tcp={"every_us": 1, "names": ["elapsed_us"], "points": [[0]]},
)


def changed(**keys: object) -> bytes:
    return zlib.compress(json.dumps(to_json(HALF) | keys).encode())


def test_a_half_comes_back_as_it_was() -> None:
    assert decode_half(encode_half(HALF)) == HALF


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not zlib",
        encode_half(HALF)[:-5],
        zlib.compress(b"not json"),
        zlib.compress(b"\xff\xfe"),
        zlib.compress(b"[" * 60_000),
        zlib.compress(b" " * (MAX_JSON_BYTES + 1)),
        changed(nonce="short"),
        changed(end="perhaps"),
        changed(number=-1),
        changed(direction="sideways"),
    ],
)
def test_what_is_no_half_is_refused(payload: bytes) -> None:
    with pytest.raises(RecordError):
        decode_half(payload)


def test_a_half_of_newer_software_asks_for_an_upgrade() -> None:
    with pytest.raises(NewerVersionError, match="upgrade"):
        decode_half(changed(schema=SCHEMA + 1))


def test_a_half_of_before_it_was_judged_is_read() -> None:
    before = {key: value for key, value in to_json(HALF).items() if key != "limit"} | {"schema": 1}
    assert decode_half(zlib.compress(json.dumps(before).encode())) == HALF
    with pytest.raises(RecordError, match="limit"):
        decode_half(zlib.compress(json.dumps(before | {"schema": 2}).encode()))


def test_what_a_collector_asks_and_how_a_log_stands_come_back_as_they_were() -> None:
    asked = HalvesAsked(from_s=10, until_s=70, epoch="0123456789abcdef", upto=9)
    envelope = Envelope(key_id=bytes(8), signature=bytes(64), payload=encode_asked(asked))
    assert decode_bearer(bearer(seal(envelope))) == (envelope, asked)
    account = HalvesAccount(epoch="0123456789abcdef", last=9, evicted=2, unwritten=1, more=True)
    assert decode_account(encode_account(account)) == account


@pytest.mark.parametrize(
    "asked",
    [
        HalvesAsked(from_s=10, until_s=10),
        HalvesAsked(from_s=10, until_s=700),
        HalvesAsked(from_s=10, until_s=70, epoch="../etc"),
        HalvesAsked(from_s=10, until_s=70, upto=-1),
    ],
)
def test_what_asks_for_too_much_is_refused(asked: HalvesAsked) -> None:
    envelope = Envelope(key_id=bytes(8), signature=bytes(64), payload=encode_asked(asked))
    with pytest.raises(RecordError):
        decode_bearer(bearer(seal(envelope)))
