"""NTP's client packet and what a reply says, by RFC 5905, with nothing about this host in the question. Pure.

The question carries a random number where a client's own time would stand (draft-ietf-ntp-data-minimization);
a reply must echo it, so one that was not asked for is never believed.
"""

import struct
from dataclasses import dataclass
from typing import Final

_PACKET: Final = struct.Struct(">BBbbII4sQQQQ")
PACKET_BYTES: Final = _PACKET.size
_CLIENT: Final = 4 << 3 | 3
"""Leap 0, version 4, mode 3."""
_SERVER: Final = 4
_UNIX_FROM_NTP_S: Final = 2_208_988_800
_LEAP_UNKNOWN: Final = 3
_MAX_STRATUM: Final = 15


class NtpError(ValueError):
    """A datagram that is no answer to our question, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NtpReply:
    """A server's reply. Times are UTC in ns since 1970, root delay and dispersion in ns.

    `reference` is the kiss code of stratum 0, the clock's name of stratum 1, "" above (there it is an address
    of the server's own server, or a hash of one).
    """

    version: int
    leap: int
    stratum: int
    precision_ns: int
    root_delay_ns: int
    root_dispersion_ns: int
    reference: str
    received_utc_ns: int
    transmitted_utc_ns: int

    @property
    def is_kiss_of_death(self) -> bool:
        """Whether the server asks to be left alone (RFC 5905 7.4)."""
        return self.stratum == 0

    @property
    def is_synchronised(self) -> bool:
        """Whether the server says that its own clock is right."""
        return self.leap != _LEAP_UNKNOWN and 1 <= self.stratum <= _MAX_STRATUM


@dataclass(frozen=True, slots=True, kw_only=True)
class NtpSample:
    """What the four times say: how far the local clock is behind (ns), give or take `error_ns`; the round trip."""

    offset_ns: int
    delay_ns: int
    error_ns: int


def encode_question(nonce: int) -> bytes:
    """Return a client packet with a 64-bit number, never 0, where the transmit time would stand."""
    return _PACKET.pack(_CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, nonce)


def decode_reply(data: bytes, *, nonces: frozenset[int]) -> tuple[NtpReply, int]:
    """Return a reply to one of our questions and that question's number. Raises `NtpError`."""
    if len(data) < PACKET_BYTES:
        raise NtpError(f"{len(data)} bytes; an NTP packet has {PACKET_BYTES}")
    fields = _PACKET.unpack_from(data)
    first, stratum, _, precision, root_delay, root_dispersion, reference = fields[:7]
    _, origin, received, transmitted = fields[7:]
    if first & 0x7 != _SERVER:
        raise NtpError(f"mode {first & 0x7}; a server's is {_SERVER}")
    if origin not in nonces:
        raise NtpError("it does not echo our number")
    reply = NtpReply(
        version=first >> 3 & 0x7,
        leap=first >> 6,
        stratum=stratum,
        precision_ns=_precision_ns(precision),
        root_delay_ns=_short_ns(root_delay),
        root_dispersion_ns=_short_ns(root_dispersion),
        reference=_reference(reference) if stratum <= 1 else "",
        received_utc_ns=utc_ns(received),
        transmitted_utc_ns=utc_ns(transmitted),
    )
    if transmitted == 0 and not reply.is_kiss_of_death:
        raise NtpError("it has no transmit time")
    return reply, origin


def sample(reply: NtpReply, *, sent_utc_ns: int, received_utc_ns: int) -> NtpSample:
    """Combine the four times (RFC 5905 8): the error is half the round trip and the server's own root distance."""
    there_ns = reply.received_utc_ns - sent_utc_ns
    back_ns = reply.transmitted_utc_ns - received_utc_ns
    delay_ns = (received_utc_ns - sent_utc_ns) - (reply.transmitted_utc_ns - reply.received_utc_ns)
    root_ns = reply.root_delay_ns // 2 + reply.root_dispersion_ns + reply.precision_ns
    return NtpSample(
        offset_ns=(there_ns + back_ns) // 2, delay_ns=delay_ns, error_ns=max(delay_ns, 0) // 2 + 1 + root_ns
    )


def utc_ns(timestamp: int) -> int:
    """Read a 64-bit NTP timestamp as UTC in ns since 1970.

    The era is told by the first bit (RFC 4330 3): set is 1968–2036, not set 2036–2104. The local clock, which
    may stand at 1970, is not asked.
    """
    seconds = timestamp >> 32
    if not seconds & 1 << 31:
        seconds += 1 << 32
    return (seconds - _UNIX_FROM_NTP_S) * 1_000_000_000 + ((timestamp & 0xFFFFFFFF) * 1_000_000_000 >> 32)


def ntp_timestamp(utc: int) -> int:
    """Return UTC in ns since 1970 as a 64-bit NTP timestamp: what a server writes."""
    seconds, nanoseconds = divmod(utc, 1_000_000_000)
    return (seconds + _UNIX_FROM_NTP_S & 0xFFFFFFFF) << 32 | (nanoseconds << 32) // 1_000_000_000


def _short_ns(value: int) -> int:
    return value * 1_000_000_000 >> 16


def _precision_ns(exponent: int) -> int:
    """2^exponent seconds, in ns; what is beyond any clock (±32) is cut there."""
    return int(1e9 * 2.0 ** max(-32, min(exponent, 5)))


def _reference(raw: bytes) -> str:
    return "".join(chr(byte) for byte in raw if 32 < byte < 127)
