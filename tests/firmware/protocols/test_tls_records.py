"""Bytes of a body and what carries them, both ways."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.protocols.tls_records import payload_of, wire_bytes_of


def test_a_body_and_its_records() -> None:
    assert wire_bytes_of(1) == 23
    assert wire_bytes_of(16_384) == 16_406
    assert wire_bytes_of(16_385) == 16_429
    assert [payload_of(wire, 20_000) for wire in (-5, 0, 22, 23, 16_406, 16_428, 16_429, 99_999)] == [
        *(0, 0, 0, 1, 16_384, 16_384, 16_385, 20_000)
    ]


@given(count=st.integers(1, 16 * 2**20))
def test_all_of_the_wire_is_all_of_the_body(count: int) -> None:
    assert payload_of(wire_bytes_of(count), count) == count
    assert payload_of(wire_bytes_of(count) - 1, count) == count - 1
