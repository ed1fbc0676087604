"""NTP's packet: what is asked says nothing of this host, and what is answered is read or refused."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.protocols.ntp_wire import (
    PACKET_BYTES,
    NtpError,
    NtpReply,
    decode_reply,
    encode_question,
    ntp_timestamp,
    sample,
    utc_ns,
)

SECOND = 1_000_000_000
NONCE = 1 << 63 | 12345
NOW_NS = 1_790_000_000 * SECOND


def reply(
    *,
    first: int = 4 << 3 | 4,
    stratum: int = 2,
    precision: int = -20,
    reference: bytes = b"GPS\0",
    origin: int = NONCE,
    transmitted: int = ntp_timestamp(NOW_NS),
) -> bytes:
    root = (0x8000, 0x4000)  # 0.5 s, 0.25 s in 16.16
    return struct.pack(
        ">BBbbII4sQQQQ",
        *(first, stratum, 6, precision, *root, reference),
        *(0, origin, ntp_timestamp(NOW_NS - 1000), transmitted),
    )


def test_the_question_holds_one_number_and_nothing_of_this_host() -> None:
    question = encode_question(NONCE)
    assert len(question) == PACKET_BYTES
    assert question[0] == 0x23
    assert question[1:40] == bytes(39)
    assert question[40:] == NONCE.to_bytes(8, "big")


def test_a_reply_is_read() -> None:
    found, echoed = decode_reply(reply(), nonces=frozenset({1, NONCE}))
    assert echoed == NONCE
    assert found.version == 4
    assert found.stratum == 2
    assert found.leap == 0
    assert found.root_delay_ns == SECOND // 2
    assert found.root_dispersion_ns == SECOND // 4
    assert found.precision_ns == 953
    assert found.reference == ""  # an address of the server's own server: none of our business
    assert abs(found.transmitted_utc_ns - NOW_NS) <= 1
    assert found.is_synchronised
    assert not found.is_kiss_of_death


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "0 bytes"),
        (reply()[:-1], "47 bytes"),
        (reply(first=4 << 3 | 3), "mode 3"),
        (reply(origin=NONCE + 1), "does not echo"),
        (reply(transmitted=0), "no transmit time"),
    ],
)
def test_what_is_no_reply_to_us(data: bytes, told: str) -> None:
    with pytest.raises(NtpError, match=told):
        decode_reply(data, nonces=frozenset({NONCE}))


@pytest.mark.parametrize(
    ("data", "synchronised", "kiss", "reference"),
    [
        (reply(stratum=1), True, False, "GPS"),
        (reply(stratum=0, reference=b"RATE", transmitted=0), False, True, "RATE"),
        (reply(stratum=16), False, False, ""),
        (reply(first=3 << 6 | 4 << 3 | 4), False, False, ""),
        (reply(first=1 << 6 | 4 << 3 | 4), True, False, ""),
    ],
)
def test_what_a_reply_is_worth(data: bytes, synchronised: bool, kiss: bool, reference: str) -> None:
    found, _ = decode_reply(data, nonces=frozenset({NONCE}))
    assert (found.is_synchronised, found.is_kiss_of_death, found.reference) == (synchronised, kiss, reference)


@example(2_085_978_496 * SECOND)  # the end of era 0, 7 February 2036
@example(2_085_978_495 * SECOND)
@given(st.integers(0, 4_000_000_000 * SECOND))
def test_times_survive_both_eras(utc: int) -> None:
    assert abs(utc_ns(ntp_timestamp(utc)) - utc) <= 1


@given(
    wrong_by=st.integers(-(10**18), 10**18),
    there=st.integers(0, 10**10),
    back=st.integers(0, 10**10),
    inside=st.integers(0, 10**9),
)
def test_the_offset_is_right_within_its_error(wrong_by: int, there: int, back: int, inside: int) -> None:
    """Whatever the two ways' shares of the delay, the true offset is within the error that is stated."""
    found = NtpReply(
        version=4,
        leap=0,
        stratum=1,
        precision_ns=0,
        root_delay_ns=0,
        root_dispersion_ns=0,
        reference="",
        received_utc_ns=NOW_NS + there,
        transmitted_utc_ns=NOW_NS + there + inside,
    )
    result = sample(
        found,
        sent_utc_ns=NOW_NS - wrong_by,
        received_utc_ns=NOW_NS + there + inside + back - wrong_by,
    )
    assert result.delay_ns == there + back
    assert abs(result.offset_ns - wrong_by) <= result.error_ns


@given(st.binary(max_size=64))
def test_no_bytes_break_it(data: bytes) -> None:
    with pytest.raises(NtpError):
        decode_reply(data, nonces=frozenset())
