"""DNS messages: a query to bytes, bytes to a reply, a reply to its failure word. Pure.

Header, question and answers are read here; authority and additional records say nothing that a measurement asks
for and are left alone. Why no library does it: docs/decisions/0009. This file must never open a socket, pick a random
number, or trust what came in: injected answers are often malformed, and that is a finding, not a crash.

A query is what a stub resolver sends: recursion desired, no EDNS, so that a censor sees nothing unusual.
Sources: RFC 1035, RFC 3597, RFC 6895; failure words from OONI df-007.
"""

import struct
from dataclasses import dataclass
from typing import Final

from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject
from firmware.protocols import dns_rdata
from firmware.protocols.bogons import is_bogon, is_special_use_name
from firmware.protocols.dns_names import DnsFormatError, read_name, write_name

RECORD_TYPES: Final = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "DS": 43,
    "DNSKEY": 48,
    "SVCB": 64,
    "HTTPS": 65,
    "CAA": 257,
}
"""The record types that can be asked for, and their numbers (IANA DNS parameters)."""

MAX_ANSWERS: Final = 32
"""Records read of one reply; `DnsMessage.answer_count` still counts them all."""
MAX_VALUE: Final = 300

_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!2H")
_RECORD: Final = struct.Struct("!HHIH")
_TYPE_NAMES: Final = {number: name for name, number in RECORD_TYPES.items()}
_CLASS_IN: Final = 1
_RECURSION_DESIRED: Final = 0x0100
_RESPONSE: Final = 0x8000
_AUTHORITATIVE: Final = 0x0400
_TRUNCATED: Final = 0x0200
_RECURSION_AVAILABLE: Final = 0x0080
_RCODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_FAILURE_BY_RCODE: Final = {
    "SERVFAIL": Failure.DNS_SERVFAIL,
    "NXDOMAIN": Failure.DNS_NXDOMAIN,
    "REFUSED": Failure.DNS_REFUSED,
}


class ReplyError(ValueError):
    """Bytes that are no DNS message. The message says what is wrong with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRecord:
    """One resource record of a reply's answer section; `value` is its presentation form."""

    name: str
    type: str
    value: str
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsMessage:
    """A DNS message that came in. `question` is its (name in lower case, type number), None if it has none."""

    query_id: int
    is_response: bool
    rcode: str
    authoritative: bool
    recursion_available: bool
    truncated: bool
    question: tuple[str, int] | None
    answers: tuple[ResourceRecord, ...]
    answer_count: int
    size: int

    def values(self, record_type: str) -> tuple[str, ...]:
        """Return the answers' values of one type, in order."""
        return tuple(answer.value for answer in self.answers if answer.type == record_type)

    def to_json(self) -> JsonObject:
        """Return what a record keeps of a reply."""
        return {
            "rcode": self.rcode,
            "aa": self.authoritative,
            "ra": self.recursion_available,
            "tc": self.truncated,
            "answers": [
                {"type": answer.type, "value": answer.value, "ttl": answer.ttl} for answer in self.answers
            ],
            "answer_count": self.answer_count,
            "bytes": self.size,
        }


def build_query(name: str, record_type: str, query_id: int) -> bytes:
    """Return a query's wire form. `name` is ASCII, as `firmware.net.targets.parse_host` returns it, or `.`."""
    header = _HEADER.pack(query_id, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + write_name(name) + _QUESTION.pack(RECORD_TYPES[record_type], _CLASS_IN)


def query_id_of(wire: bytes) -> int | None:
    """Return a message's id without reading the rest; None for fewer bytes than a header has."""
    return int(_HEADER.unpack_from(wire)[0]) if len(wire) >= _HEADER.size else None


def parse_reply(wire: bytes) -> DnsMessage:
    """Read a message. Raises `ReplyError`; a record that cannot be read is left out, no more."""
    if len(wire) < _HEADER.size:
        raise ReplyError(f"{len(wire)} bytes, a DNS message has at least {_HEADER.size}")
    query_id, flags, question_count, answer_count, _, _ = _HEADER.unpack_from(wire)
    try:
        question, place = _read_questions(wire, question_count)
    except DnsFormatError as error:
        raise ReplyError(f"its question cannot be read: {error}") from error
    answers = _read_answers(wire, place, min(answer_count, MAX_ANSWERS))
    if answer_count and not answers and not flags & _TRUNCATED:
        raise ReplyError("its answers cannot be read")
    return DnsMessage(
        query_id=query_id,
        is_response=bool(flags & _RESPONSE),
        rcode=_RCODES.get(flags & 0xF, f"RCODE{flags & 0xF}"),
        authoritative=bool(flags & _AUTHORITATIVE),
        recursion_available=bool(flags & _RECURSION_AVAILABLE),
        truncated=bool(flags & _TRUNCATED),
        question=question,
        answers=answers,
        answer_count=answer_count,
        size=len(wire),
    )


def mismatch(reply: DnsMessage, name: str, record_type: str) -> str | None:
    """Return why `reply` does not answer this question, its id apart; None when it does.

    A failing server may leave the question out (RFC 1035 4.1.1 permits it for an error): that still answers.
    """
    if not reply.is_response:
        return "not_a_response"
    if reply.question is None:
        return "no_question" if reply.rcode == "NOERROR" else None
    if reply.question != (_normal(name), RECORD_TYPES[record_type]):
        return "wrong_question"
    return None


def failure_of(reply: DnsMessage, name: str, record_type: str) -> str | None:
    """Return the failure word of a reply to this question, None for an answer of the type asked for."""
    if reply.rcode != "NOERROR":
        return _FAILURE_BY_RCODE.get(reply.rcode, Failure.DNS_SERVER_MISBEHAVING)
    values = reply.values(record_type)
    if not values:
        return Failure.DNS_NO_ANSWER
    if record_type in ("A", "AAAA") and not is_special_use_name(name) and any(map(is_bogon, values)):
        return Failure.DNS_BOGON
    return None


def same_answer(first: DnsMessage, second: DnsMessage) -> bool:
    """Return whether two replies tell the same: response code and set of values; TTLs and order may differ."""

    def told(reply: DnsMessage) -> tuple[str, frozenset[tuple[str, str]]]:
        return reply.rcode, frozenset((answer.type, answer.value) for answer in reply.answers)

    return told(first) == told(second)


def _normal(name: str) -> str:
    return name.removesuffix(".").lower()


def _read_questions(wire: bytes, count: int) -> tuple[tuple[str, int] | None, int]:
    """Return the first question and the place after the last. Raises `DnsFormatError`."""
    first: tuple[str, int] | None = None
    place = _HEADER.size
    for _ in range(count):
        name, place = read_name(wire, place, len(wire))
        if place + _QUESTION.size > len(wire):
            raise DnsFormatError("the message ends within a question")
        record_type, _ = _QUESTION.unpack_from(wire, place)
        place += _QUESTION.size
        first = first or (_normal(name), record_type)
    return first, place


def _read_answers(wire: bytes, place: int, count: int) -> tuple[ResourceRecord, ...]:
    """Return up to `count` records, but not those whose data are malformed, nor what follows a broken frame."""
    answers: list[ResourceRecord] = []
    for _ in range(count):
        try:
            name, place = read_name(wire, place, len(wire))
        except DnsFormatError:
            break
        if place + _RECORD.size > len(wire):
            break
        record_type, record_class, ttl, size = _RECORD.unpack_from(wire, place)
        start = place + _RECORD.size
        place = start + size
        if place > len(wire):
            break
        try:
            value = _value(record_type, record_class, wire, start, place)
        except DnsFormatError:
            continue
        answers.append(
            ResourceRecord(
                name=_normal(name), type=_type_name(record_type, record_class), value=value, ttl=ttl
            )
        )
    return tuple(answers)


def _value(record_type: int, record_class: int, wire: bytes, start: int, end: int) -> str:
    if record_class != _CLASS_IN:
        return dns_rdata.opaque(wire[start:end])[:MAX_VALUE]
    return dns_rdata.to_text(record_type, wire, start, end)[:MAX_VALUE]


def _type_name(record_type: int, record_class: int) -> str:
    """Return the type's name, with the class before it where that is not IN: an A record of HESIOD is no address."""
    name = _TYPE_NAMES.get(record_type, f"TYPE{record_type}")
    return name if record_class == _CLASS_IN else f"CLASS{record_class} {name}"
