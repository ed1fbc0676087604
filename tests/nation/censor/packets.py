"""A frame read into the facts that rules go by: addresses, ports, flags, where the payload lies. Pure.

Lengths come from the IP header, since short Ethernet frames are padded. This file must never trust a length: a
packet that is cut off or odd is None, and is forwarded as it is.
"""

import struct
from dataclasses import dataclass
from typing import Final

ETHERNET: Final = 14
TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMP6: Final = 58
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_TCP_HEAD: Final = struct.Struct(">HHIIBB")
_PORTS: Final = struct.Struct(">HH")
_SKIPPED: Final = frozenset((0, 43, 60))
"""IPv6 extension headers with a length of their own: hop-by-hop, routing, destination options (RFC 8200)."""
_FRAGMENT: Final = 44
_NEIGHBOURS: Final = range(130, 138)
"""ICMPv6 types the link itself lives on: multicast listeners, routers, neighbours, redirects (RFC 2710, 4861)."""
_LISTENERS: Final = 143
_ECHOES: Final = frozenset(((ICMP, 8), (ICMP, 0), (ICMP6, 128), (ICMP6, 129)))


@dataclass(slots=True)
class Packet:
    """One IP packet in its Ethernet frame.

    `up` says that it comes from the inside. `sport` and `dport` are the ports, for an ICMP echo its identifier,
    else 0. `start`:`end` is the payload of TCP or UDP in `frame`; of others, what follows the IP header.
    `whole` is False for a fragment.
    """

    frame: bytes
    up: bool
    version: int
    proto: int
    source: bytes
    target: bytes
    sport: int = 0
    dport: int = 0
    network: int = ETHERNET
    transport: int = 0
    start: int = 0
    end: int = 0
    sequence: int = 0
    acknowledged: int = 0
    flags: int = 0
    kind: int = 0
    whole: bool = True

    @property
    def payload(self) -> bytes:
        """What it carries."""
        return self.frame[self.start : self.end]

    @property
    def length(self) -> int:
        """Bytes of IP, header and all."""
        return self.end - self.network

    @property
    def spent(self) -> int:
        """The sequence numbers a TCP segment uses up."""
        return self.end - self.start + bool(self.flags & SYN) + bool(self.flags & FIN)


def parse(frame: bytes, up: bool) -> Packet | None:
    """Return the IP packet in `frame`; None for other protocols, for what keeps the link alive, for nonsense."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        packet = _ipv4(frame, up)
    elif kind == b"\x86\xdd":
        packet = _ipv6(frame, up)
    else:
        return None
    if packet is None or not packet.whole:
        return packet
    if packet.proto == TCP:
        return _tcp(packet)
    if packet.proto == UDP:
        return _udp(packet)
    if packet.proto in (ICMP, ICMP6):
        return _icmp(packet)
    return packet


def _ipv4(frame: bytes, up: bool) -> Packet | None:
    if len(frame) < ETHERNET + 20:
        return None
    header = (frame[ETHERNET] & 15) * 4
    total = int.from_bytes(frame[16:18], "big")
    if frame[ETHERNET] >> 4 != 4 or header < 20 or total < header or ETHERNET + total > len(frame):
        return None
    fragment = int.from_bytes(frame[20:22], "big") & 0x3FFF
    start = ETHERNET + header
    return Packet(
        frame=frame,
        up=up,
        version=4,
        proto=frame[23],
        source=frame[26:30],
        target=frame[30:34],
        transport=start,
        start=start,
        end=ETHERNET + total,
        whole=fragment == 0,
    )


def _ipv6(frame: bytes, up: bool) -> Packet | None:
    if len(frame) < ETHERNET + 40 or frame[ETHERNET] >> 4 != 6:
        return None
    end = ETHERNET + 40 + int.from_bytes(frame[18:20], "big")
    if end > len(frame):
        return None
    proto, start, whole = frame[20], ETHERNET + 40, True
    while proto in _SKIPPED or proto == _FRAGMENT:
        if start + 8 > end:
            return None
        whole = whole and proto != _FRAGMENT
        step = 8 if proto == _FRAGMENT else (frame[start + 1] + 1) * 8
        proto, start = frame[start], start + step
        if start > end:
            return None
    return Packet(
        frame=frame,
        up=up,
        version=6,
        proto=proto,
        source=frame[22:38],
        target=frame[38:54],
        transport=start,
        start=start,
        end=end,
        whole=whole,
    )


def _tcp(packet: Packet) -> Packet | None:
    at = packet.transport
    if packet.end - at < 20:
        return None
    sport, dport, sequence, acknowledged, offset, flags = _TCP_HEAD.unpack_from(packet.frame, at)
    start = at + (offset >> 4) * 4
    if start < at + 20 or start > packet.end:
        return None
    packet.sport, packet.dport, packet.flags, packet.start = sport, dport, flags, start
    packet.sequence, packet.acknowledged = sequence, acknowledged
    return packet


def _udp(packet: Packet) -> Packet | None:
    at = packet.transport
    if packet.end - at < 8:
        return None
    packet.sport, packet.dport = _PORTS.unpack_from(packet.frame, at)
    packet.start = at + 8
    return packet


def _icmp(packet: Packet) -> Packet | None:
    at = packet.transport
    if packet.end - at < 8:
        return None
    packet.kind = packet.frame[at]
    if packet.proto == ICMP6 and (packet.kind in _NEIGHBOURS or packet.kind == _LISTENERS):
        return None
    if (packet.proto, packet.kind) in _ECHOES:
        packet.sport = packet.dport = int.from_bytes(packet.frame[at + 4 : at + 6], "big")
    return packet
