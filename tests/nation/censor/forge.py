"""Packets made up in another's name: frames with right lengths and checksums, so that real kernels take them. Pure.

Every function answers a packet that was seen: `back` goes to its sender, `on` goes to its target, with the
Ethernet addresses turned accordingly. Sources: RFC 791, 8200, 9293, 768, 792, 4443, 1071 (checksums).
"""

import ipaddress
import struct
import zlib
from collections.abc import Sequence
from typing import Final

from tests.nation.censor.contents import Question
from tests.nation.censor.packets import ACK, FIN, ICMP, ICMP6, PSH, RST, SYN, TCP, UDP, Packet

_TTL: Final = 64
_WINDOW: Final = 65535
_SEGMENT: Final = 1400
_STEP: Final = 1460
_ERROR_MAX: Final = {4: 576 - 20 - 8, 6: 1280 - 40 - 8}
_ERRORS: Final = {
    4: {"net": (3, 0), "host": (3, 1), "port": (3, 3), "admin": (3, 13), "too_big": (3, 4), "ttl": (11, 0)},
    6: {"net": (1, 0), "host": (1, 3), "port": (1, 4), "admin": (1, 1), "too_big": (2, 0), "ttl": (3, 0)},
}
"""ICMP type and code of each error (RFC 792, 1191, 1812, 4443)."""
_ECHO: Final = {(ICMP, 8): 0, (ICMP6, 128): 129}
"""The type of the answer to each echo request."""
_RCODES: Final = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
_WRAP: Final = 1 << 32
_BROADCAST: Final = b"\xff" * 4


def checksum(data: bytes) -> int:
    """Return the Internet checksum of `data`.

    The sum with end-around carry is the remainder by 65535 of the data read as one number, but that a remainder
    of nothing stands for 65535 unless all of the data is zero.
    """
    number = int.from_bytes(data, "big") << (8 * (len(data) % 2))
    return 0xFFFF - (number % 0xFFFF or (0xFFFF if number else 0))


def transport_checksum(source: bytes, target: bytes, proto: int, segment: bytes) -> int:
    """Return the checksum of a TCP, UDP or ICMPv6 `segment` whose own checksum field is zero."""
    if len(source) == 4:
        pseudo = source + target + struct.pack(">BBH", 0, proto, len(segment))
    else:
        pseudo = source + target + struct.pack(">II", len(segment), proto)
    return checksum(pseudo + segment)


def frame(macs: bytes, source: bytes, target: bytes, proto: int, body: bytes) -> bytes:
    """Return `body` in IP and Ethernet; `macs` are the two addresses, the target's first."""
    if len(source) == 4:
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, _TTL, proto, 0, source, target)
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        return macs + b"\x08\x00" + head + body
    head = struct.pack(">IHBB16s16s", 6 << 28, len(body), proto, _TTL, source, target)
    return macs + b"\x86\xdd" + head + body


def back_macs(packet: Packet) -> bytes:
    """Return the Ethernet addresses of a frame to the packet's sender."""
    return packet.frame[6:12] + packet.frame[0:6]


def tcp(
    packet: Packet, *, back: bool, flags: int, sequence: int, acknowledged: int, data: bytes = b""
) -> bytes:
    """Return a TCP segment of the packet's flow."""
    source, target, sport, dport = _ends(packet, back=back)
    body = struct.pack(
        ">HHIIBBHHH", sport, dport, sequence % _WRAP, acknowledged % _WRAP, 5 << 4, flags, _WINDOW, 0, 0
    )
    body += data
    total = transport_checksum(source, target, TCP, body)
    body = body[:16] + struct.pack(">H", total) + body[18:]
    return frame(back_macs(packet) if back else packet.frame[:12], source, target, TCP, body)


def udp(packet: Packet, data: bytes) -> bytes:
    """Return a UDP datagram back to the packet's sender."""
    source, target, sport, dport = _ends(packet, back=True)
    body = struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data
    total = transport_checksum(source, target, UDP, body) or 0xFFFF
    return frame(back_macs(packet), source, target, UDP, body[:6] + struct.pack(">H", total) + body[8:])


def resets(packet: Packet, *, back: bool, times: int, first: int) -> list[bytes]:
    """Return resets, to the packet's sender in its peer's name (`back`) or to its target in its sender's.

    `first` is the first one's sequence number: only what the receiver expects next ends a connection (RFC 5961).
    """
    answered = packet.sequence + packet.spent if back else packet.acknowledged
    flags = RST | ACK if back or packet.flags & ACK else RST
    return [
        tcp(packet, back=back, flags=flags, sequence=first + step * _STEP, acknowledged=answered)
        for step in range(times)
    ]


def response(packet: Packet, data: bytes, *, finish: bool) -> list[bytes]:
    """Return segments that answer the packet's data with `data`, and end the connection if `finish`."""
    answered = packet.sequence + packet.spent
    pieces = [data[at : at + _SEGMENT] for at in range(0, len(data), _SEGMENT)] or [b""]
    made = []
    sequence = packet.acknowledged
    for number, piece in enumerate(pieces, start=1):
        flags = ACK | (PSH | (FIN if finish else 0) if number == len(pieces) else 0)
        made.append(tcp(packet, back=True, flags=flags, sequence=sequence, acknowledged=answered, data=piece))
        sequence += len(piece)
    return made


def acknowledgement(packet: Packet) -> bytes:
    """Return an acknowledgement of everything up to the packet, to its sender."""
    answered = packet.sequence + packet.spent
    return tcp(packet, back=True, flags=ACK, sequence=packet.acknowledged, acknowledged=answered)


def acceptance(packet: Packet) -> bytes:
    """Return the SYN and ACK that answer a SYN in its target's name."""
    first = zlib.crc32(packet.target + packet.source + packet.sport.to_bytes(2, "big"))
    return tcp(packet, back=True, flags=SYN | ACK, sequence=first, acknowledged=packet.sequence + 1)


def echo_reply(packet: Packet) -> bytes | None:
    """Return the answer to an echo request, in its target's name; None for anything else."""
    kind = _ECHO.get((packet.proto, packet.kind))
    if kind is None or not packet.whole:
        return None
    body = bytes((kind, 0, 0, 0)) + packet.frame[packet.transport + 4 : packet.end]
    if packet.version == 4:
        total = checksum(body)
    else:
        total = transport_checksum(packet.target, packet.source, ICMP6, body)
    body = body[:2] + struct.pack(">H", total) + body[4:]
    return frame(back_macs(packet), packet.target, packet.source, packet.proto, body)


def icmp_error(packet: Packet, what: str, routers: Sequence[str], *, mtu: int = 0) -> bytes | None:
    """Return the ICMP error `what` (a key of `_ERRORS`) to the packet's sender; None where none may be sent.

    `mtu` is what too_big says the path takes.
    """
    if packet.proto in (ICMP, ICMP6) and packet.kind not in (8, 128):
        return None  # errors are not answered with errors
    target = ipaddress.ip_address(packet.target)
    if target.is_multicast or packet.target == _BROADCAST or not packet.whole:
        return None  # nor what was for many, nor the pieces of one packet (RFC 1122, 4443)
    named = [ipaddress.ip_address(router) for router in routers]
    router = next((one.packed for one in named if one.version == packet.version), packet.target)
    kind, code = _ERRORS[packet.version][what]
    quoted = packet.frame[packet.network : packet.end][: _ERROR_MAX[packet.version]]
    body = struct.pack(">BBHI", kind, code, 0, mtu if what == "too_big" else 0) + quoted
    if packet.version == 4:
        proto, total = ICMP, checksum(body)
    else:
        proto, total = ICMP6, transport_checksum(router, packet.source, ICMP6, body)
    body = body[:2] + struct.pack(">H", total) + body[4:]
    return frame(back_macs(packet), router, packet.source, proto, body)


def dns_answer(asked: Question, rcode: str, addresses: Sequence[str], ttl_s: int) -> bytes:
    """Return a DNS answer to `asked`: the addresses that fit its type, or none."""
    version = {"A": 4, "AAAA": 6}.get(asked.type)
    fitting = [one for one in map(ipaddress.ip_address, addresses) if one.version == version]
    if rcode != "NOERROR":
        fitting = []
    flags = 0x8080 | asked.flags & 0x0100 | _RCODES[rcode]  # answer, recursion available; as desired
    head = struct.pack(">6H", asked.id, flags, 1, len(fitting), 0, 0)
    records = b"".join(
        struct.pack(">HHHIH", 0xC00C, 1 if one.version == 4 else 28, 1, ttl_s, len(one.packed)) + one.packed
        for one in fitting
    )
    return head + asked.wire + records


def _ends(packet: Packet, *, back: bool) -> tuple[bytes, bytes, int, int]:
    if back:
        return packet.target, packet.source, packet.dport, packet.sport
    return packet.source, packet.target, packet.sport, packet.dport


__all__ = [
    "acceptance",
    "acknowledgement",
    "checksum",
    "dns_answer",
    "echo_reply",
    "frame",
    "icmp_error",
    "resets",
    "response",
    "tcp",
    "transport_checksum",
    "udp",
]
