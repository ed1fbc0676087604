"""The datagrams between a device and a measurement server: echo and bulk flows, authenticated both ways. Pure.

    session  8 bytes     which session it is of, as it was opened over TLS
    kind     1 byte      what it is
    fields               by kind, big-endian, as `FIELDS` has them
    padding              zeros, up to the size its sender wants
    mac      8 bytes     BLAKE2s (RFC 7693) over all before, keyed with the session's key

A device's ECHO, CONFIRM and ASK are answered by a datagram of the same size, so that an answer is never larger than what it
answers (RFC 9000 section 8.1 allows three times as much). A FLOW, which is answered by many, holds the cookie that CONFIRM was answered with:
who has it receives what is sent to that address. Times are ns since 1970 by the sender's clock.

This file must never draw a key, and never decide what is answered.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SESSION_BYTES: Final = 8
KEY_BYTES: Final = 32
COOKIE_BYTES: Final = 16
MAC_BYTES: Final = 8
MAX_BYTES: Final = 1452
"""What fits an Ethernet path over IPv6 in one packet: nothing is ever cut into fragments by us."""


class DatagramKind(IntEnum):
    """What a datagram is: odd ones are a device's, even ones a server's."""

    ECHO = 1
    """number: to be answered with ECHOED."""
    ECHOED = 2
    """number of the ECHO; how many have come; when it came, and when this left."""
    CONFIRM = 3
    """To be answered with ADDRESS."""
    ADDRESS = 4
    """The cookie of the address that it is sent to."""
    FLOW = 5
    """cookie; number of the flow; how many bytes of DATA; size of each; bytes a second."""
    DATA = 6
    """number of the flow; number of this; when it left."""
    GOT = 7
    """number of the flow; number of this; how many DATA have come; 1 to end the flow, which ends too where none of these comes for 2 s."""
    SENT = 9
    """number: one of a flow to the server, which is counted."""
    ASK = 11
    """number: to be answered with TOLD."""
    TOLD = 12
    """number of the ASK; SENT that have come: how many, their bytes, the highest number; when the first and the last came."""


FIELDS: Final = {
    DatagramKind.ECHO: struct.Struct(">I"),
    DatagramKind.ECHOED: struct.Struct(">IIQQ"),
    DatagramKind.CONFIRM: struct.Struct(">"),
    DatagramKind.ADDRESS: struct.Struct(f">{COOKIE_BYTES}s"),
    DatagramKind.FLOW: struct.Struct(f">{COOKIE_BYTES}sIIHI"),
    DatagramKind.DATA: struct.Struct(">IIQ"),
    DatagramKind.GOT: struct.Struct(">IIIB"),
    DatagramKind.SENT: struct.Struct(">I"),
    DatagramKind.ASK: struct.Struct(">I"),
    DatagramKind.TOLD: struct.Struct(">IIQIQQ"),
}
OVERHEAD_BYTES: Final = SESSION_BYTES + 1 + MAC_BYTES


def least_bytes(kind: DatagramKind) -> int:
    """Return how large a datagram of `kind` is without padding."""
    return OVERHEAD_BYTES + FIELDS[kind].size


LEAST_ASKED_BYTES: Final = max(
    least_bytes(kind) for kind in (DatagramKind.ECHOED, DatagramKind.ADDRESS, DatagramKind.TOLD)
)
"""How large an ECHO, a CONFIRM and an ASK must be: their answers are as large, and have to hold what they hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDatagram:
    """A datagram whose mac holds: `values` are the fields of its kind, `size` is what it took of the wire (UDP's payload)."""

    kind: DatagramKind
    values: tuple[int | bytes, ...]
    size: int


def session_of(data: bytes) -> bytes | None:
    """Return which session a datagram names; None where it is none of these."""
    return data[:SESSION_BYTES] if OVERHEAD_BYTES <= len(data) <= MAX_BYTES else None


def write(session: bytes, key: bytes, kind: DatagramKind, *values: int | bytes, size: int = 0) -> bytes:
    """Return a datagram, padded to `size`. Raises `ValueError` for a size that no packet holds."""
    if size > MAX_BYTES:
        raise ValueError(f"a datagram has at most {MAX_BYTES} bytes")
    head = session + bytes((kind,)) + FIELDS[kind].pack(*values)
    text = head.ljust(size - MAC_BYTES, b"\0")
    return text + _mac(key, text)


def read(data: bytes, key: bytes) -> SessionDatagram | None:
    """Return what `data` is; None where its mac does not hold under `key`, or it is no datagram of these."""
    if not OVERHEAD_BYTES <= len(data) <= MAX_BYTES:
        return None
    text, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
    if not hmac.compare_digest(_mac(key, text), mac):
        return None
    try:
        kind = DatagramKind(text[SESSION_BYTES])
        values = FIELDS[kind].unpack_from(text, SESSION_BYTES + 1)
    except (ValueError, struct.error):
        return None
    return SessionDatagram(kind=kind, values=values, size=len(data))


def _mac(key: bytes, text: bytes) -> bytes:
    return hashlib.blake2s(text, digest_size=MAC_BYTES, key=key).digest()
