"""The datagrams of a UDP session: read as they were written, and by nobody without the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire.measurement_udp import (
    FIELDS,
    LEAST_ASKED_BYTES,
    MAX_BYTES,
    DatagramKind,
    least_bytes,
    read,
    session_of,
    write,
)

SESSION, KEY = b"session1", b"k" * 32
VALUES: dict[DatagramKind, tuple[int | bytes, ...]] = {
    DatagramKind.ECHO: (7,),
    DatagramKind.ECHOED: (7, 8, 2**63, 2**64 - 1),
    DatagramKind.CONFIRM: (),
    DatagramKind.ADDRESS: (b"c" * 16,),
    DatagramKind.FLOW: (b"c" * 16, 1, 100_000, 1200, 50_000),
    DatagramKind.DATA: (1, 2, 3),
    DatagramKind.GOT: (1, 2, 3, 1),
    DatagramKind.SENT: (2**32 - 1,),
    DatagramKind.ASK: (0,),
    DatagramKind.TOLD: (0, 1, 2, 3, 4, 5),
}


@pytest.mark.parametrize("kind", list(DatagramKind))
@pytest.mark.parametrize("size", [0, 200, MAX_BYTES])
def test_each_is_read_as_it_was_written(kind: DatagramKind, size: int) -> None:
    data = write(SESSION, KEY, kind, *VALUES[kind], size=size)
    assert len(data) == max(size, least_bytes(kind))
    assert session_of(data) == SESSION
    got = read(data, KEY)
    assert got is not None
    assert (got.kind, got.values, got.size) == (kind, VALUES[kind], len(data))


def test_every_kind_has_its_fields_and_what_is_asked_has_room_for_its_answer() -> None:
    assert set(FIELDS) == set(DatagramKind) == set(VALUES)
    answers = (DatagramKind.ECHOED, DatagramKind.ADDRESS, DatagramKind.TOLD)
    assert max(map(least_bytes, answers)) == LEAST_ASKED_BYTES


@given(at=st.integers(0, 199), bit=st.integers(0, 7))
def test_one_bit_changed_is_not_read(at: int, bit: int) -> None:
    data = bytearray(write(SESSION, KEY, DatagramKind.ECHO, 7, size=200))
    data[at] ^= 1 << bit
    assert read(bytes(data), KEY) is None


@given(st.binary(max_size=1500))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert read(data, KEY) is None


def test_a_kind_or_a_length_that_is_none_is_refused_though_its_mac_holds() -> None:
    from firmware.wire import measurement_udp

    for text in (SESSION + b"\x63" + bytes(50), SESSION + bytes((DatagramKind.TOLD,)) + bytes(9)):
        assert read(text + measurement_udp._mac(KEY, text), KEY) is None
    with pytest.raises(ValueError, match="at most"):
        write(SESSION, KEY, DatagramKind.ECHO, 7, size=MAX_BYTES + 1)
