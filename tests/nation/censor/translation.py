"""Address translation (NAT) of one link: packets from the inside get an outer address, and answers find back. Pure.

A source (address, port, protocol) keeps one outer port whomever it sends to, and whoever sends to that port reaches it
(RFC 4787, endpoint-independent). Errors of ICMP are translated with what they quote. This file must never touch IPv6.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.nation.censor import forge
from tests.nation.censor.carriage import Translate
from tests.nation.censor.packets import ICMP, TCP, UDP, Packet, parse

_FIRST_PORT: Final = 1024
_PORTS: Final = 65536 - _FIRST_PORT
_ECHOES: Final = (0, 8)
_QUOTES: Final = (3, 4, 11, 12)
"""Types of ICMP errors, which quote the packet they are about."""
_LOCAL: Final = (ipaddress.ip_network("224.0.0.0/4"), ipaddress.ip_network("255.255.255.255/32"))
_Source: TypeAlias = tuple[int, bytes, int]
"""Protocol, address, port (of a ping its identifier)."""


@dataclass(slots=True)
class _Mapping:
    source: _Source
    port: int
    used_ns: int


class Translator:
    """One link's. `how` is what the rule says."""

    def __init__(self, how: Translate) -> None:
        self._how = how
        self._outer = ipaddress.IPv4Address(how.address).packed
        self._by_source: dict[_Source, _Mapping] = {}
        self._by_port: dict[tuple[int, int], _Mapping] = {}
        self._next = 0

    def out(self, frame: bytes, now_ns: int) -> bytes | None:
        """Return what leaves for a frame from the inside; None where it is swallowed."""
        packet = parse(frame, up=True)
        if packet is None or packet.version != 4 or packet.source == self._outer or _is_local(packet.target):
            return frame
        if packet.proto == ICMP and packet.kind in _QUOTES:
            return self._error_out(packet)
        if not packet.whole or packet.proto not in (TCP, UDP, ICMP):
            return None
        mapping = self._mapping((packet.proto, packet.source, packet.sport), now_ns)
        if mapping is None:
            return None
        return _rewritten(packet, source=self._outer, sport=mapping.port)

    def back(self, frame: bytes, now_ns: int) -> bytes | None:
        """Return what goes in for a frame from the outside; None where it is swallowed."""
        packet = parse(frame, up=False)
        if packet is None or packet.version != 4 or packet.target != self._outer:
            return frame
        if packet.proto == ICMP and packet.kind in _QUOTES:
            return self._error_back(packet, now_ns)
        mapping = self._alive((packet.proto, packet.dport), now_ns) if packet.whole else None
        if mapping is None:
            return None
        _, address, port = mapping.source
        return _rewritten(packet, target=address, dport=port)

    def _mapping(self, source: _Source, now_ns: int) -> _Mapping | None:
        """Return a source's port, a new one where it has none; None where all are in use."""
        known = self._by_source.get(source)
        if known is not None and self._is_alive(known, now_ns):
            known.used_ns = now_ns
            return known
        if len(self._by_source) >= self._how.most:
            self._forget(now_ns)
        port = self._free_port(source[0])
        if port is None:
            return None
        made = _Mapping(source, port, now_ns)
        self._by_source[source] = self._by_port[source[0], port] = made
        return made

    def _free_port(self, proto: int) -> int | None:
        if len(self._by_source) >= self._how.most:
            return None
        while (proto, _FIRST_PORT + self._next) in self._by_port:
            self._next = (self._next + 1) % _PORTS
        port = _FIRST_PORT + self._next
        self._next = (self._next + 1) % _PORTS
        return port

    def _forget(self, now_ns: int) -> None:
        """Let go of those that are idle."""
        for mapping in list(self._by_source.values()):
            self._is_alive(mapping, now_ns)

    def _drop(self, mapping: _Mapping) -> None:
        del self._by_source[mapping.source]
        del self._by_port[mapping.source[0], mapping.port]

    def _alive(self, key: tuple[int, int], now_ns: int) -> _Mapping | None:
        known = self._by_port.get(key)
        return known if known is not None and self._is_alive(known, now_ns) else None

    def _is_alive(self, mapping: _Mapping, now_ns: int) -> bool:
        """Return whether a mapping is in use; forget it where it is not."""
        limit_s = self._how.tcp_idle_s if mapping.source[0] == TCP else self._how.idle_s
        if now_ns - mapping.used_ns <= limit_s * 1e9:
            return True
        if self._by_source.get(mapping.source) is mapping:
            self._drop(mapping)
        return False

    def _error_out(self, packet: Packet) -> bytes:
        quoted = _quoted(packet)
        known = None if quoted is None else self._by_source.get((quoted.proto, quoted.target, quoted.dport))
        inner = packet.frame[packet.transport + 8 : packet.end]
        if quoted is not None and known is not None:
            inner = _quote(inner, quoted, target=self._outer, dport=known.port)
        return _error(packet, inner, source=self._outer, target=packet.target)

    def _error_back(self, packet: Packet, now_ns: int) -> bytes | None:
        quoted = _quoted(packet)
        known = None if quoted is None else self._alive((quoted.proto, quoted.sport), now_ns)
        if quoted is None or known is None:
            return None
        _, address, port = known.source
        inner = packet.frame[packet.transport + 8 : packet.end]
        inner = _quote(inner, quoted, source=address, sport=port)
        return _error(packet, inner, source=packet.source, target=address)


def _is_local(target: bytes) -> bool:
    found = ipaddress.ip_address(target)
    return any(found in network for network in _LOCAL)


def _rewritten(
    packet: Packet,
    *,
    source: bytes | None = None,
    target: bytes | None = None,
    sport: int | None = None,
    dport: int | None = None,
) -> bytes:
    """Return the packet's frame with other ends, and its checksums as they must be then."""
    new = bytearray(packet.frame[: packet.end])
    at = packet.network
    new[at + 12 : at + 16] = source or packet.source
    new[at + 16 : at + 20] = target or packet.target
    new[at + 10 : at + 12] = b"\0\0"
    struct.pack_into(">H", new, at + 10, forge.checksum(bytes(new[at : packet.transport])))
    start = packet.transport
    if packet.proto == ICMP:
        struct.pack_into(">H", new, start + 4, packet.sport if sport is None else sport)
        if dport is not None:
            struct.pack_into(">H", new, start + 4, dport)
        struct.pack_into(">H", new, start + 2, 0)
        struct.pack_into(">H", new, start + 2, forge.checksum(bytes(new[start:])))
        return bytes(new)
    struct.pack_into(">H", new, start, packet.sport if sport is None else sport)
    struct.pack_into(">H", new, start + 2, packet.dport if dport is None else dport)
    place = start + (16 if packet.proto == TCP else 6)
    if packet.proto == UDP and new[place : place + 2] == b"\0\0":  # the sender left it out
        return bytes(new)
    struct.pack_into(">H", new, place, 0)
    ends = bytes(new[at + 12 : at + 16]), bytes(new[at + 16 : at + 20])
    total = forge.transport_checksum(*ends, packet.proto, bytes(new[start:]))
    struct.pack_into(">H", new, place, total or (0xFFFF if packet.proto == UDP else 0))
    return bytes(new)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quoted:
    """The packet that an ICMP error quotes: protocol, ends, ports, and where its transport begins."""

    proto: int
    source: bytes
    target: bytes
    sport: int
    dport: int
    header: int


def _quoted(packet: Packet) -> _Quoted | None:
    inner = packet.frame[packet.transport + 8 : packet.end]
    header = (inner[0] & 15) * 4 if inner else 0
    if header < 20 or len(inner) < header + 8:
        return None
    proto = inner[9]
    if proto == ICMP and inner[header] in _ECHOES:
        sport = dport = int.from_bytes(inner[header + 4 : header + 6], "big")
    elif proto in (TCP, UDP):
        sport, dport = struct.unpack_from(">HH", inner, header)
    else:
        return None
    return _Quoted(
        proto=proto, source=inner[12:16], target=inner[16:20], sport=sport, dport=dport, header=header
    )


def _quote(
    inner: bytes,
    quoted: _Quoted,
    *,
    source: bytes | None = None,
    target: bytes | None = None,
    sport: int | None = None,
    dport: int | None = None,
) -> bytes:
    """Return a quotation with other ends. What it quotes of a checksum stays: receivers go by ends and ports."""
    new = bytearray(inner)
    new[12:16] = source or quoted.source
    new[16:20] = target or quoted.target
    new[10:12] = b"\0\0"
    struct.pack_into(">H", new, 10, forge.checksum(bytes(new[: quoted.header])))
    if quoted.proto == ICMP:
        number = sport if sport is not None else dport if dport is not None else quoted.sport
        struct.pack_into(">H", new, quoted.header + 4, number)
    else:
        struct.pack_into(">H", new, quoted.header, quoted.sport if sport is None else sport)
        struct.pack_into(">H", new, quoted.header + 2, quoted.dport if dport is None else dport)
    return bytes(new)


def _error(packet: Packet, inner: bytes, *, source: bytes, target: bytes) -> bytes:
    body = packet.frame[packet.transport : packet.transport + 8] + inner
    body = body[:2] + b"\0\0" + body[4:]
    body = body[:2] + struct.pack(">H", forge.checksum(body)) + body[4:]
    return forge.frame(packet.frame[:12], source, target, ICMP, body)
