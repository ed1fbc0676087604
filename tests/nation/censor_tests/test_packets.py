"""Forged packets are read back as they were meant, sums are right, and no bytes break the reader."""

import ipaddress
import struct

from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.nation.censor import forge, offload
from tests.nation.censor.packets import (
    ACK,
    ETHERNET,
    FIN,
    ICMP,
    ICMP6,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    Packet,
    parse,
)
from tests.nation.censor_tests.checksums import is_sound, ones_sum

MACS = bytes.fromhex("020000000002020000000001")
PORTS = st.integers(1, 65535)
NUMBERS = st.integers(0, 2**32 - 1)
DATA = st.binary(max_size=3000)


@st.composite
def packets(draw: st.DrawFn, proto: int = TCP, data: st.SearchStrategy[bytes] = DATA) -> Packet:
    """Return a packet as a host would send it, up."""
    size = draw(st.sampled_from((4, 16)))
    source, target = (
        draw(st.binary(min_size=size, max_size=size)),
        draw(st.binary(min_size=size, max_size=size)),
    )
    ports = struct.pack(">HH", draw(PORTS), draw(PORTS))
    body = draw(data)
    if proto == TCP:
        rest = (
            draw(NUMBERS),
            draw(NUMBERS),
            5 << 4,
            draw(st.sampled_from((ACK, PSH | ACK, FIN | ACK))),
            100,
            0,
            0,
        )
        body = ports + struct.pack(">IIBBHHH", *rest) + body
    else:
        body = ports + struct.pack(">HH", 8 + len(body), 0) + body
    found = parse(forge.frame(MACS, source, target, proto, body), True)
    assert found is not None
    return found


@given(st.binary(max_size=2000))
@example(b"\xff\xff")
@example(b"\x12\x34\xed\xcb")
@example(b"\0\0")
def test_the_checksum_is_the_one_of_rfc_1071(data: bytes) -> None:
    assert forge.checksum(data) == 0xFFFF - ones_sum(data)


@given(packets(), st.booleans(), NUMBERS, NUMBERS, DATA)
def test_a_forged_segment_is_read_back(
    packet: Packet, back: bool, sequence: int, acknowledged: int, data: bytes
) -> None:
    frame = forge.tcp(
        packet, back=back, flags=PSH | ACK, sequence=sequence, acknowledged=acknowledged, data=data
    )
    found = parse(frame, not back)
    assert found is not None
    ends = (found.source, found.target, found.sport, found.dport)
    there = (packet.source, packet.target, packet.sport, packet.dport)
    assert ends == ((there[1], there[0], there[3], there[2]) if back else there)
    assert (found.sequence, found.acknowledged, found.payload) == (sequence, acknowledged, data)
    assert found.frame[:12] == (MACS[6:] + MACS[:6] if back else MACS)
    assert is_sound(frame)


@given(packets(), st.integers(1, 9), NUMBERS)
def test_resets_step_from_the_first_number(packet: Packet, times: int, first: int) -> None:
    frames = forge.resets(packet, back=True, times=times, first=first)
    read = [parse(frame, False) for frame in frames]
    assert [one.sequence for one in read if one] == [(first + 1460 * n) % 2**32 for n in range(times)]
    assert all(one and one.flags & RST and is_sound(one.frame) for one in read)
    assert {one.acknowledged for one in read if one} == {(packet.sequence + packet.spent) % 2**32}


@given(packets(UDP), DATA)
def test_a_forged_datagram_is_read_back(packet: Packet, data: bytes) -> None:
    frame = forge.udp(packet, data)
    found = parse(frame, False)
    assert found is not None
    assert (found.payload, found.sport, found.dport) == (data, packet.dport, packet.sport)
    assert is_sound(frame)
    assert frame[found.transport + 6 : found.transport + 8] != b"\0\0"  # that would mean: no checksum


@given(packets(), st.sampled_from(("admin", "host", "net", "port")))
def test_an_icmp_error_quotes_the_packet(packet: Packet, what: str) -> None:
    target = ipaddress.ip_address(packet.target)
    assume(not target.is_multicast and packet.target != b"\xff" * 4)
    frame = forge.icmp_error(packet, what, ["10.1.1.1", "2001:db8::1"])
    assert frame is not None
    found = parse(frame, False)
    assert found is not None
    assert found.proto == (ICMP if packet.version == 4 else ICMP6)
    assert found.target == packet.source
    assert found.length <= (576 if packet.version == 4 else 1280)
    quoted = frame[found.transport + 8 : found.end]
    assert packet.frame[packet.network :].startswith(quoted)
    assert len(quoted) >= min(packet.length, 500)
    assert is_sound(frame)


def test_errors_what_is_for_many_and_pieces_are_not_answered_with_errors() -> None:
    unreachable = forge.frame(MACS, bytes(4), bytes(4), ICMP, bytes((3, 1)) + bytes(30))
    datagram = struct.pack(">HHHH", 1000, 9, 12, 0) + b"data"
    to_many = [
        forge.frame(MACS, bytes((10, 0, 0, 1)), bytes(target), UDP, datagram)
        for target in ((224, 0, 0, 251), (255,) * 4)
    ]
    piece = bytearray(forge.frame(MACS, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), UDP, datagram))
    piece[20] |= 0x20
    for frame in (unreachable, *to_many, bytes(piece)):
        found = parse(frame, True)
        assert found is not None
        assert forge.icmp_error(found, "host", []) is None


@given(packets(), st.binary(min_size=1, max_size=9000))
def test_a_response_is_whole_and_ends(packet: Packet, data: bytes) -> None:
    read = [parse(frame, False) for frame in forge.response(packet, data, finish=True)]
    found = [one for one in read if one is not None]
    assert b"".join(one.payload for one in found) == data
    at = packet.acknowledged
    for one in found:
        assert one.sequence == at % 2**32
        at += len(one.payload)
    assert [bool(one.flags & FIN) for one in found] == [False] * (len(found) - 1) + [True]


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_reader(data: bytes, up: bool) -> None:
    for kind in (b"\x08\x00\x45", b"\x86\xdd\x60", b"\x08\x06"):
        found = parse(MACS + kind + data, up)
        if found is not None:
            assert found.network <= found.transport <= found.start <= found.end <= len(found.frame)


@given(packets(), st.integers(1, 60))
def test_padding_is_not_payload(packet: Packet, padding: int) -> None:
    found = parse(packet.frame + bytes(padding), True)
    assert found is not None
    assert found.payload == packet.payload


def test_what_keeps_a_link_alive_is_never_looked_at() -> None:
    for kind in (133, 134, 135, 136, 137, 143):
        body = struct.pack(">BBH", kind, 0, 0) + bytes(20)
        assert parse(forge.frame(MACS, bytes(16), bytes(16), ICMP6, body), True) is None
    assert parse(MACS + b"\x08\x06" + bytes(28), True) is None


def test_extension_headers_are_walked() -> None:
    segment = struct.pack(">HHIIBBHHH", 1000, 443, 1, 2, 5 << 4, ACK, 0, 0, 0) + b"data"
    hop_by_hop = bytes((TCP, 0)) + bytes(6)
    found = parse(forge.frame(MACS, bytes(16), bytes(16), 0, hop_by_hop + segment), True)
    assert found is not None
    assert (found.proto, found.dport, found.payload) == (TCP, 443, b"data")


@given(packets(data=st.binary(min_size=1, max_size=20_000)), st.integers(500, 1460), st.booleans())
def test_a_large_packet_is_cut_as_a_card_would(packet: Packet, size: int, ecn: bool) -> None:
    kind = (1 if packet.version == 4 else 4) | (0x80 if ecn else 0)
    header = offload.HEADER.pack(1, kind, packet.start, size, packet.transport, 16)
    frames = offload.finished(header, packet.frame)
    read = [parse(frame, True) for frame in frames]
    found = [one for one in read if one is not None]
    assert b"".join(one.payload for one in found) == packet.payload
    assert all(len(one.payload) <= size and is_sound(one.frame) for one in found)
    assert [one.sequence for one in found] == [
        (packet.sequence + n * size) % 2**32 for n in range(len(found))
    ]
    assert all(not one.flags & (FIN | PSH) for one in found[:-1])
    assert found[-1].flags == packet.flags


@given(packets(UDP))
def test_an_unfinished_checksum_is_filled_in(packet: Packet) -> None:
    at = packet.transport + 6
    length = packet.end - packet.transport
    if packet.version == 4:
        pseudo = packet.source + packet.target + struct.pack(">BBH", 0, UDP, length)
    else:
        pseudo = packet.source + packet.target + struct.pack(">II", length, UDP)
    frame = packet.frame[:at] + struct.pack(">H", ones_sum(pseudo)) + packet.frame[at + 2 :]
    header = offload.HEADER.pack(1, 0, 0, 0, packet.transport, 6)
    (made,) = offload.finished(header, frame)
    assert is_sound(made)
    assert made[ETHERNET:at] == packet.frame[ETHERNET:at]


def test_a_finished_frame_is_left_alone() -> None:
    assert offload.finished(offload.PLAIN, b"anything") == [b"anything"]


def test_syn_and_fin_use_a_number_each() -> None:
    base = parse(
        forge.frame(MACS, bytes(4), bytes(4), TCP, struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 80, SYN, 0, 0, 0)),
        True,
    )
    assert base is not None
    assert base.spent == 1
