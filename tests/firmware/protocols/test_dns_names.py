"""Names are read and written as dnspython does, and what leads nowhere is refused."""

import dns.exception
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.protocols.dns_names import MAX_POINTERS, DnsFormatError, read_name, write_name

labels = st.lists(st.binary(min_size=1, max_size=63), max_size=6).filter(
    lambda found: sum(map(len, found)) + len(found) < 255
)


@given(labels)
def test_any_name_is_read_as_dnspython_prints_it(found: list[bytes]) -> None:
    name = dns.name.Name([*found, b""])
    wire = name.to_wire() or b""
    assert read_name(b"xx" + wire + b"yy", 2, len(wire) + 4) == (name.to_text(), 2 + len(wire))


@given(st.binary(max_size=80), st.integers(0, 40), st.lists(st.integers(0, 79), max_size=6))
def test_any_bytes_are_a_name_or_refused_as_dnspython_does(
    noise: bytes, start: int, pointers: list[int]
) -> None:
    """With pointers planted: forward, backward, at themselves."""
    wire = bytearray(noise)
    for place in pointers:
        if place + 1 < len(wire):
            wire[place : place + 2] = (0xC0, pointers[0])
    try:
        expected, size = dns.name.from_wire(bytes(wire), start)
    except (dns.exception.DNSException, IndexError):
        with pytest.raises(DnsFormatError):
            read_name(bytes(wire), start, len(wire))
        return
    assert read_name(bytes(wire), start, len(wire)) == (expected.to_text(), start + size)


@given(st.from_regex(r"[a-z0-9_-]{1,70}(\.[a-z0-9_-]{1,70}){0,5}\.?", fullmatch=True) | st.just("."))
def test_a_name_is_written_as_dnspython_does(name: str) -> None:
    try:
        expected = dns.name.from_text(name).to_wire()
    except dns.exception.DNSException:
        with pytest.raises(DnsFormatError):
            write_name(name)
        return
    assert write_name(name) == expected


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64, ".".join(["a" * 50] * 6)])
def test_what_is_no_name_is_not_written(name: str) -> None:
    with pytest.raises(DnsFormatError):
        write_name(name)


@pytest.mark.parametrize(
    ("wire", "start", "told"),
    [
        (b"\xc0\x00", 0, "points at itself or ahead"),
        (b"\xc0\x02\x00", 0, "points at itself or ahead"),
        (b"\x01a\xc0\x00", 0, "points at itself or ahead"),  # round and round
        (b"\x01a\xc0\x00\x01b\xc0\x01", 4, "unknown kind"),  # into the middle of a label
        (b"\x05ab\xc0\x00\x00", 3, "past its end"),  # what it leads to overlaps with it
        (b"\x40a\x00", 0, "unknown kind"),
        (b"\x80a\x00", 0, "unknown kind"),
        (b"\x03ab", 0, "past its end"),
        (b"\x01a", 0, "past its end"),
        (b"\xc0", 0, "past its end"),
        (b"", 0, "past its end"),
        ((b"\x3f" + b"a" * 63) * 4 + b"\x00", 0, "more than 255"),
    ],
)
def test_what_is_no_name_is_refused(wire: bytes, start: int, told: str) -> None:
    with pytest.raises(DnsFormatError, match=told):
        read_name(wire, start, len(wire))


def test_a_chain_of_pointers_is_followed_only_so_far() -> None:
    wire = b"\0\0" + b"".join((0xC000 | 2 * place).to_bytes(2, "big") for place in range(1000))
    assert read_name(wire, 2 * MAX_POINTERS, len(wire)) == (".", 2 * MAX_POINTERS + 2)
    with pytest.raises(DnsFormatError, match="pointers"):
        read_name(wire, 2 * MAX_POINTERS + 2, len(wire))
