"""What a capture saw: frames read, and each question paired with its answer. Pure; times CLOCK_REALTIME in ns.

The pairing goes by the protocol's own identifiers and by nothing that a prober says. It must never guess: an
answer without its question, or a question asked twice, gives no exchange.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

_ETHERNET: Final = 14
_IRTT_MAGIC: Final = b"\x14\xa7\x5b"
_IRTT_OPEN_OR_CLOSE: Final = 1 | 4
_SYN, _RST, _ACK = 2, 4, 16
_CHANGE_CIPHER_SPEC: Final = b"\x14\x03\x03\x00\x01\x01"
_APPLICATION_DATA: Final = 0x17
_TIMESTAMP: Final = 8
_RECORD: Final = struct.Struct("=qBHH")
SNAP_BYTES: Final = 160
"""Bytes of a frame that are kept: all headers and the start of the payload."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: when, which way, its length on the wire, its first bytes."""

    at_ns: int
    outgoing: bool
    length: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question to `address` and its answer. `repeated` says that the question was sent more than once.

    `sender_clock` is what a SYN's timestamp option says its sender's clock was (RFC 7323), None for anything else.
    """

    kind: str
    address: str
    sent_ns: int
    received_ns: int
    repeated: bool = False
    sender_clock: int | None = None

    @property
    def rtt_ns(self) -> int:
        """The time between."""
        return self.received_ns - self.sent_ns


def pack(frame: Frame) -> bytes:
    """Return a frame as the capture's file holds it."""
    data = frame.data[:SNAP_BYTES]
    return _RECORD.pack(frame.at_ns, frame.outgoing, frame.length, len(data)) + data


def unpack(raw: bytes) -> Iterator[Frame]:
    """Read a capture's file."""
    place = 0
    while place < len(raw):
        at_ns, outgoing, length, size = _RECORD.unpack_from(raw, place)
        place += _RECORD.size
        yield Frame(at_ns, bool(outgoing), length, raw[place : place + size])
        place += size


@dataclass(slots=True)
class _Stream:
    """One TCP connection, as far as it is seen."""

    address: str
    syn_ns: int
    syns: int = 1
    clock: int | None = None
    accepted: bool = False
    hello_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0
    finished: bool = False


@dataclass(slots=True)
class _Pairing:
    questions: dict[tuple[object, ...], list[int]] = field(default_factory=dict)
    streams: dict[tuple[str, int, int], _Stream] = field(default_factory=dict)
    found: list[Exchange] = field(default_factory=list)

    def asked(self, key: tuple[object, ...], at_ns: int) -> None:
        self.questions.setdefault(key, []).append(at_ns)

    def answered(self, kind: str, address: str, key: tuple[object, ...], at_ns: int) -> None:
        waiting = self.questions.get(key)
        if waiting:
            self.found.append(Exchange(kind, address, waiting.pop(0), at_ns))


def exchanges(frames: Iterable[Frame]) -> list[Exchange]:
    """Return every question that was answered, in the order asked."""
    pairing = _Pairing()
    for frame in frames:
        data = frame.data
        if len(data) < _ETHERNET + 20 or data[12:14] != b"\x08\x00":
            continue
        header = (data[_ETHERNET] & 15) * 4
        source, target = data[_ETHERNET + 12 : _ETHERNET + 16], data[_ETHERNET + 16 : _ETHERNET + 20]
        address = socket.inet_ntoa(target if frame.outgoing else source)
        (total,) = struct.unpack_from(">H", data, _ETHERNET + 2)
        body = data[_ETHERNET + header :]
        protocol = data[_ETHERNET + 9]
        if protocol == socket.IPPROTO_ICMP and len(body) >= 8:
            _icmp(pairing, frame, address, body)
        elif protocol == socket.IPPROTO_UDP and len(body) >= 8:
            _udp(pairing, frame, address, body)
        elif protocol == socket.IPPROTO_TCP and len(body) >= 20:
            _tcp(pairing, frame, address, body, total - header)
    return sorted(pairing.found, key=lambda exchange: exchange.sent_ns)


def _icmp(pairing: _Pairing, frame: Frame, address: str, body: bytes) -> None:
    kind, code, _, identifier, sequence = struct.unpack_from(">BBHHH", body)
    key = ("icmp", address, identifier, sequence)
    if frame.outgoing and (kind, code) == (8, 0):
        pairing.asked(key, frame.at_ns)
    elif not frame.outgoing and (kind, code) == (0, 0):
        pairing.answered("icmp", address, key, frame.at_ns)


def _udp(pairing: _Pairing, frame: Frame, address: str, body: bytes) -> None:
    source, target = struct.unpack_from(">HH", body)
    payload = body[8:]
    ports = (source, target) if frame.outgoing else (target, source)
    identifier = b""
    if payload[:3] == _IRTT_MAGIC:
        if payload[3] & _IRTT_OPEN_OR_CLOSE:
            return
        identifier = payload[4:16]  # connection and sequence number
    key = ("udp", address, *ports, identifier)
    if frame.outgoing:
        pairing.asked(key, frame.at_ns)
    else:
        pairing.answered("udp", address, key, frame.at_ns)


def _tcp(pairing: _Pairing, frame: Frame, address: str, body: bytes, length: int) -> None:
    source, target = struct.unpack_from(">HH", body)
    header, flags = (body[12] >> 4) * 4, body[13]
    key = (address, *((source, target) if frame.outgoing else (target, source)))
    if frame.outgoing and flags & (_SYN | _ACK) == _SYN:
        seen = pairing.streams.get(key)
        if seen is None or seen.accepted:
            pairing.streams[key] = _Stream(address, frame.at_ns, clock=_timestamp(body[20:header]))
        else:
            seen.syns += 1
        return
    stream = pairing.streams.get(key)
    if stream is None or flags & _RST:
        return
    if not frame.outgoing and flags & (_SYN | _ACK) == _SYN | _ACK:
        if not stream.accepted:
            stream.accepted = True
            pairing.found.append(
                Exchange(
                    "tcp",
                    address,
                    stream.syn_ns,
                    frame.at_ns,
                    repeated=stream.syns > 1,
                    sender_clock=stream.clock,
                )
            )
    elif length > header:
        _tls(pairing, frame, stream, body[header:])


def _timestamp(options: bytes) -> int | None:
    """Return the sender's clock from a TCP header's options."""
    place = 0
    while place < len(options) and options[place] != 0:
        if options[place] == _TIMESTAMP and place + 6 <= len(options):
            return int.from_bytes(options[place + 2 : place + 6], "big")
        step = 1 if options[place] == 1 else options[place + 1] if place + 1 < len(options) else 0
        if not step:
            return None
        place += step
    return None


def _tls(pairing: _Pairing, frame: Frame, stream: _Stream, payload: bytes) -> None:
    """Note the ClientHello, the first bytes back, the last ones, and the client's Finished (TLS 1.3, RFC 8446)."""
    if frame.outgoing and not stream.hello_ns:
        stream.hello_ns = frame.at_ns
    elif not frame.outgoing and stream.hello_ns and not stream.finished:
        stream.last_ns = frame.at_ns
        if not stream.first_ns:
            stream.first_ns = frame.at_ns
            pairing.found.append(Exchange("tls", stream.address, stream.hello_ns, frame.at_ns))
    elif frame.outgoing and stream.first_ns and not stream.finished:
        payload = payload.removeprefix(_CHANGE_CIPHER_SPEC)
        if payload and payload[0] == _APPLICATION_DATA:
            stream.finished = True
            pairing.found.append(Exchange("tls_answer", stream.address, stream.hello_ns, stream.last_ns))
            pairing.found.append(Exchange("tls_handshake", stream.address, stream.hello_ns, frame.at_ns))
