"""Pairing questions with answers as a capture saw them: by the protocols' own identifiers."""

import socket
import struct

import pytest

from tests.bench.timing.connect_parts import way_down_ns
from tests.bench.timing.figures import quantile
from tests.bench.timing.wire import Exchange, Frame, exchanges, pack, unpack

HERE, THERE = "10.0.0.1", "10.0.0.2"
SYN, SYN_ACK, PUSH = 2, 18, 24


def frame(at_ns: int, body: bytes, *, protocol: int, outgoing: bool) -> Frame:
    source, target = (HERE, THERE) if outgoing else (THERE, HERE)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    data = bytes(12) + b"\x08\x00" + head + ends + body
    return Frame(at_ns, outgoing, len(data), data)


def echo(at_ns: int, sequence: int, *, reply: bool = False, identifier: int = 7) -> Frame:
    body = struct.pack(">BBHHH", 0 if reply else 8, 0, 0, identifier, sequence)
    return frame(at_ns, body, protocol=socket.IPPROTO_ICMP, outgoing=not reply)


def udp(at_ns: int, payload: bytes, *, reply: bool = False) -> Frame:
    ports = (2112, 5000) if reply else (5000, 2112)
    body = struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload
    return frame(at_ns, body, protocol=socket.IPPROTO_UDP, outgoing=not reply)


def tcp(at_ns: int, flags: int, payload: bytes = b"", *, reply: bool = False, options: bytes = b"") -> Frame:
    ports = (443, 5000) if reply else (5000, 443)
    words = 5 + len(options) // 4
    body = struct.pack(">HHIIBBHHH", *ports, 0, 0, words << 4, flags, 0, 0, 0) + options + payload
    return frame(at_ns, body, protocol=socket.IPPROTO_TCP, outgoing=not reply)


def test_echoes_are_paired_by_identifier_and_sequence() -> None:
    frames = [echo(1, 1), echo(2, 2), echo(5, 2, reply=True), echo(7, 1, reply=True), echo(9, 3, reply=True)]
    assert exchanges(frames) == [Exchange("icmp", THERE, 1, 7), Exchange("icmp", THERE, 2, 5)]


def test_an_answer_to_another_socket_is_none_of_this_one() -> None:
    assert exchanges([echo(1, 1), echo(5, 1, reply=True, identifier=8)]) == []


def test_irtt_is_paired_by_its_own_numbers_and_its_opening_is_no_probe() -> None:
    magic = b"\x14\xa7\x5b"
    first, second = (bytes(8) + struct.pack("<I", number) for number in (0, 1))
    frames = [
        udp(1, magic + b"\x01" + bytes(12)),
        udp(2, magic + b"\x03" + bytes(12), reply=True),
        udp(10, magic + b"\x00" + first),
        udp(11, magic + b"\x00" + second),
        udp(15, magic + b"\x02" + second, reply=True),
        udp(17, magic + b"\x02" + first, reply=True),
    ]
    assert [(one.sent_ns, one.received_ns) for one in exchanges(frames)] == [(10, 17), (11, 15)]


def test_a_tls_connection_has_its_connect_its_first_flight_and_its_whole_handshake() -> None:
    change = b"\x14\x03\x03\x00\x01\x01"
    frames = [
        tcp(1, SYN),
        tcp(5, SYN_ACK, reply=True),
        tcp(6, PUSH, b"\x16hello"),
        tcp(11, PUSH, b"\x16hello", reply=True),
        tcp(12, PUSH, b"\x17more", reply=True),
        tcp(13, PUSH, change),
        tcp(14, PUSH, change + b"\x17finished"),
        tcp(15, PUSH, b"\x17request"),
    ]
    assert [(one.kind, one.sent_ns, one.received_ns) for one in exchanges(frames)] == [
        ("tcp", 1, 5),
        ("tls", 6, 11),
        ("tls_answer", 6, 12),
        ("tls_handshake", 6, 14),
    ]


def test_a_repeated_syn_is_told() -> None:
    assert exchanges([tcp(1, SYN), tcp(2, SYN), tcp(5, SYN_ACK, reply=True)])[0].repeated


@pytest.mark.parametrize(
    ("options", "clock"),
    [
        (b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x01\x02\x03\x00\x00\x00\x00\x01\x03\x03\x07", 0x10203),
        (b"\x02\x04\x05\xb4", None),
        (b"\x08\x0a\x00\x00", None),
        (b"\x02\x00\x00\x00", None),
        (b"", None),
    ],
)
def test_a_syns_timestamp_is_its_senders_clock(options: bytes, clock: int | None) -> None:
    frames = [tcp(1, SYN, options=options), tcp(5, SYN_ACK, reply=True)]
    assert exchanges(frames)[0].sender_clock == clock


@pytest.mark.parametrize("clock_us", [0, 77, 2**32 - 5, 2**40 + 3])
def test_the_way_down_is_told_over_the_wrap_of_the_clock(clock_us: int) -> None:
    assert way_down_ns(clock_us * 1000 + 8_250, clock_us % 2**32) == 8_250


def test_a_capture_file_holds_what_was_put_in() -> None:
    frames = [echo(1, 1), tcp(6, PUSH, b"hello")]
    assert list(unpack(b"".join(map(pack, frames)))) == frames


def test_quantiles_are_values_that_occurred() -> None:
    assert [quantile([4, 1, 3, 2], share) for share in (0.5, 0.9, 0.99)] == [2, 4, 4]
