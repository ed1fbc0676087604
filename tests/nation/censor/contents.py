"""What TCP and UDP carry, as far as a censor looks: a ClientHello's server name, an HTTP Host, a DNS question. Pure.

Sources: RFC 8446 and 6066 (TLS), RFC 9112 (HTTP), RFC 1035 (DNS). This file must never fail on bytes: what is
not what it looks for is None.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

_METHODS: Final = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PATCH ",
    b"TRACE ",
)
_HOST: Final = re.compile(rb"\r?\nhost:[ \t]*([^\r\n]*)\r?\n", re.IGNORECASE)
_SERVER_NAME: Final = 0
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_TYPES: Final = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
}
_DNS_HEAD: Final = struct.Struct(">6H")


@dataclass(frozen=True, slots=True)
class Question:
    """A DNS query's first question: id, flags, name in lower case without the last dot, type, the question's bytes."""

    id: int
    flags: int
    name: str
    type: str
    wire: bytes


class _CutError(Exception):
    """The bytes end before what they promise."""


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise _CutError
        self.at += count
        return self.data[self.at - count : self.at]

    def vector(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "big"))


def server_name(data: bytes) -> str | None:
    """Return the name in the ClientHello that `data` begins with; empty where it has none, None for no ClientHello.

    A ClientHello in several records is put together. Of one that is cut off what is there is read, as boxes on the way do: with
    the keys of a post-quantum exchange in it a hello is longer than a packet, and the name stands in the first.
    """
    if len(data) < 6 or data[0] != _HANDSHAKE or data[1] != 3 or data[5] != _CLIENT_HELLO:
        return None
    try:
        hello = _Cursor(_handshake(data))
        hello.take(4 + 2 + 32)
        hello.vector(1)  # session
        hello.vector(2)  # cipher suites
        hello.vector(1)  # compression
        without = "" if len(hello.data) == 4 + int.from_bytes(hello.data[1:4], "big") else None
        if hello.at == len(hello.data):
            return without
        hello.take(2)
        extensions = _Cursor(hello.data[hello.at :])
        while extensions.at < len(extensions.data):
            number = int.from_bytes(extensions.take(2), "big")
            body = extensions.vector(2)
            if number == _SERVER_NAME:
                names = _Cursor(_Cursor(body).vector(2))
                names.take(1)
                return names.vector(2).decode("latin-1").lower().rstrip(".")
    except _CutError:
        return None
    return without


def _handshake(data: bytes) -> bytes:
    """Return the first handshake message, header and all, of the records in `data`, as far as it is there."""
    records = _Cursor(data)
    message = b""
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        if records.at >= len(data):
            break
        if records.take(1)[0] != _HANDSHAKE:
            raise _CutError
        records.take(2)
        size = int.from_bytes(records.take(2), "big")
        message += records.take(min(size, len(data) - records.at))
    return message[: 4 + int.from_bytes(message[1:4], "big")]


def host(data: bytes) -> str | None:
    """Return the Host of the HTTP request that `data` begins with, its port taken off; None for no such thing."""
    if not data.startswith(_METHODS):
        return None
    found = _HOST.search(data)
    if found is None:
        return None
    value = found[1].strip().decode("latin-1").lower()
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0].rstrip(".")


def question(data: bytes) -> Question | None:
    """Return what the DNS query `data` asks; None for an answer, another opcode, or nonsense."""
    if len(data) < _DNS_HEAD.size + 5:
        return None
    number, flags, questions, answers, authorities, _ = _DNS_HEAD.unpack_from(data)
    if flags & 0xF840 or questions != 1 or answers or authorities:  # QR, opcode, the zero bit
        return None
    cursor = _Cursor(data)
    labels = []
    try:
        cursor.take(_DNS_HEAD.size)
        while label := _label(cursor):
            labels.append(label)
        record_type = int.from_bytes(cursor.take(2), "big")
        cursor.take(2)
    except _CutError:
        return None
    return Question(
        id=number,
        flags=flags,
        name=b".".join(labels).decode("latin-1").lower(),
        type=_TYPES.get(record_type, f"TYPE{record_type}"),
        wire=data[_DNS_HEAD.size : cursor.at],
    )


def framed_question(data: bytes) -> Question | None:
    """Return what the first query in a DNS-over-TCP stream asks; None as `question`, or where it is cut off."""
    try:
        return question(_Cursor(data).vector(2))
    except _CutError:
        return None


def _label(cursor: _Cursor) -> bytes:
    size = cursor.take(1)[0]
    if size > 63:  # a pointer has no place in a lone question
        raise _CutError
    return cursor.take(size)


def looks_like(data: bytes, protocols: tuple[str, ...], *, tcp: bool) -> bool:
    """Return whether a packet's data could begin one of `protocols` (dns, http, tls)."""
    tls = data[:1] in (b"\x16", b"\x14", b"\x15", b"\x17") and data[1:2] == b"\x03"
    query = (framed_question(data) if tcp else question(data)) is not None
    return (
        ("tls" in protocols and tls)
        or ("http" in protocols and data.startswith(_METHODS))
        or ("dns" in protocols and query)
    )


def names_match(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether `name` is one of `patterns`: itself, `*.x.com` for x.com and all below, `*` for any name."""
    for written in patterns:
        pattern = written.lower().rstrip(".")
        if pattern == "*" and name:
            return True
        if pattern.startswith("*."):
            if name == pattern[2:] or name.endswith(pattern[1:]):
                return True
        elif name == pattern:
            return True
    return False
