"""DNS messages: what stands in them is read as dnspython reads it, what is broken is named, and nothing crashes."""

import struct

import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.failures import Failure
from firmware.protocols import dns_wire
from firmware.protocols.dns_wire import (
    ReplyError,
    build_query,
    failure_of,
    mismatch,
    parse_reply,
    query_id_of,
)
from tests.servers.dns import reply


def query(name: str = "www.example.org", record_type: str = "A", query_id: int = 7) -> dns.message.Message:
    return dns.message.from_wire(build_query(name, record_type, query_id))


def test_a_query_looks_like_a_stub_resolvers() -> None:
    wire = build_query("www.example.org", "AAAA", 0x1234)
    assert wire == (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"  # id, recursion desired, one question, no EDNS
        b"\x03www\x07example\x03org\x00\x00\x1c\x00\x01"
    )


@pytest.mark.parametrize(("record_type", "number"), dns_wire.RECORD_TYPES.items())
def test_every_type_is_asked_for_by_its_number(record_type: str, number: int) -> None:
    assert int(query(record_type=record_type).question[0].rdtype) == number


def test_the_root_can_be_asked_for() -> None:
    assert query(".", "SOA").question[0].name.to_text() == "."


def test_a_reply_is_read() -> None:
    read = parse_reply(reply(query(), "93.184.216.34", "93.184.216.35", ttl=60))
    assert read.values("A") == ("93.184.216.34", "93.184.216.35")
    assert (read.query_id, read.rcode, read.recursion_available, read.truncated) == (
        7,
        "NOERROR",
        True,
        False,
    )
    assert [answer.ttl for answer in read.answers] == [60, 60]
    assert read.question == ("www.example.org", 1)


def test_only_so_many_answers_are_kept_and_all_are_counted() -> None:
    read = parse_reply(reply(query(), *(f"8.8.{number}.8" for number in range(100))))
    assert (len(read.answers), read.answer_count) == (dns_wire.MAX_ANSWERS, 100)


@pytest.mark.parametrize(
    ("wire", "failure"),
    [
        (reply(query(), "93.184.216.34"), None),
        (reply(query(), rcode="NXDOMAIN"), Failure.DNS_NXDOMAIN),
        (reply(query(), rcode="SERVFAIL"), Failure.DNS_SERVFAIL),
        (reply(query(), rcode="REFUSED"), Failure.DNS_REFUSED),
        (reply(query(), rcode="NOTIMP"), Failure.DNS_SERVER_MISBEHAVING),
        (reply(query()), Failure.DNS_NO_ANSWER),
        (reply(query(), "other.example.org.", record_type="CNAME"), Failure.DNS_NO_ANSWER),
        (reply(query(), "10.10.34.34"), Failure.DNS_BOGON),
        (reply(query(), "93.184.216.34", "127.0.0.1"), Failure.DNS_BOGON),
    ],
)
def test_a_reply_has_its_failure_word(wire: bytes, failure: str | None) -> None:
    assert failure_of(parse_reply(wire), "www.example.org", "A") == failure


def test_a_private_name_may_have_a_private_address() -> None:
    read = parse_reply(reply(query("router.home.arpa"), "192.168.1.1"))
    assert failure_of(read, "router.home.arpa", "A") is None


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (build_query("www.example.org", "A", 7), "not_a_response"),
        (reply(query("other.example.org"), "8.8.8.8"), "wrong_question"),
        (reply(query(record_type="AAAA")), "wrong_question"),
        (reply(query("WWW.Example.ORG"), "8.8.8.8"), None),
        (b"\x00\x07\x81\x82" + bytes(8), None),  # SERVFAIL with the question left out
        (b"\x00\x07\x81\x80" + bytes(8), "no_question"),
    ],
)
def test_what_answers_another_question_is_told_apart(wire: bytes, reason: str | None) -> None:
    assert mismatch(parse_reply(wire), "www.example.org", "A") == reason


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\x00\x07\x81\x80",
        reply(query(), "8.8.8.8")[:20],
        reply(query(), "8.8.8.8")[:-2],
        b"\x00\x07\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",  # a name that points at itself
    ],
)
def test_what_is_no_message_is_an_error(wire: bytes) -> None:
    with pytest.raises(ReplyError):
        parse_reply(wire)


def test_replies_with_the_same_records_in_another_order_are_the_same() -> None:
    one, other = (
        parse_reply(reply(query(), *values, ttl=ttl))
        for values, ttl in ((("8.8.8.8", "8.8.4.4"), 60), (("8.8.4.4", "8.8.8.8"), 90))
    )
    assert dns_wire.same_answer(one, other)
    assert not dns_wire.same_answer(one, parse_reply(reply(query(), "10.10.34.34")))


def test_an_address_record_of_another_class_is_no_address() -> None:
    wire = reply(query(), "93.184.216.34").replace(b"\xc0\x0c\x00\x01\x00\x01", b"\xc0\x0c\x00\x01\x00\x04")
    read = parse_reply(wire)
    assert [answer.type for answer in read.answers] == ["CLASS4 A"]
    assert failure_of(read, "www.example.org", "A") == Failure.DNS_NO_ANSWER


def test_a_type_that_is_not_on_our_list_keeps_its_number() -> None:
    read = parse_reply(reply(query(), "\\# 2 abcd", record_type="TYPE65400"))
    assert [answer.type for answer in read.answers] == ["TYPE65400"]


OWNERS = ("www.example.org.", "example.org.", "a.b.www.example.org.", ".", r"a\.b\032c.org.")
VALUES = (
    ("A", "93.184.216.34"),
    ("AAAA", "2606:2800:220:1::1946"),
    ("CNAME", "other.www.example.org."),
    ("NS", "ns.example.org."),
    ("PTR", "example.org."),
    ("SOA", "ns.example.org. host.example.org. 1 2 3 4 5"),
    ("MX", "10 mail.example.org."),
    ("TXT", '"v=spf1 -all" "two"'),
    ("SRV", "1 2 443 www.example.org."),
    ("DS", "1 8 2 e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"),
    ("CAA", '0 issue "ca.example.org"'),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Return a reply by dnspython, names compressed, with records in every section."""
    answer = dns.message.make_response(
        dns.message.make_query(draw(st.sampled_from(OWNERS)), "A"), recursion_available=draw(st.booleans())
    )
    for section in (answer.answer, answer.authority, answer.additional):
        for owner, (record_type, value) in draw(
            st.lists(st.tuples(st.sampled_from(OWNERS), st.sampled_from(VALUES)), max_size=4)
        ):
            ttl = draw(st.integers(0, 2**31 - 1))
            section.append(dns.rrset.from_text(owner, ttl, "IN", record_type, value))
    if draw(st.booleans()):
        answer.use_edns(0, payload=1232)
    return answer.to_wire()


@given(messages(), st.integers(0, 65535))
def test_any_reply_is_read_as_dnspython_reads_it(wire: bytes, query_id: int) -> None:
    wire = struct.pack("!H", query_id) + wire[2:]
    _same_as_dnspython(wire)


@given(st.data())
def test_a_damaged_reply_that_is_still_one_is_read_as_dnspython_reads_it(data: st.DataObject) -> None:
    """Bits turned, cut short, and counts that lie: where dnspython finds nothing wrong, both find the same."""
    wire = bytearray(data.draw(messages()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(2, len(wire) - 1))
        wire[place] = data.draw(st.sampled_from([wire[place] ^ 1, wire[place] ^ 0x80, 0, 1, 0xC0, 0xFF]))
    damaged = bytes(wire[: data.draw(st.integers(max(12, len(wire) - 30), len(wire)))])
    _read_or_refuse(damaged)
    _same_as_dnspython(damaged)


def _same_as_dnspython(wire: bytes) -> None:
    try:
        expected = dns.message.from_wire(wire, one_rr_per_rrset=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, NotImplementedError):
        return
    if expected.opcode() != 0 or len(expected.question) > 1:  # updates mean other things by the same bytes
        return
    read = parse_reply(wire)
    assert read.query_id == expected.id
    assert read.answer_count == len(expected.answer)
    if expected.question:
        asked = expected.question[0]
        assert read.question == (asked.name.to_text().removesuffix(".").lower(), int(asked.rdtype))
    assert [(one.name, one.ttl) for one in read.answers] == [
        (one.name.to_text().removesuffix(".").lower(), one.ttl) for one in expected.answer
    ]
    for found, one in zip(read.answers, expected.answer, strict=True):
        if one.rdclass == dns.rdataclass.IN and found.value[:1] != "\\":
            assert found.type == dns.rdatatype.to_text(one.rdtype)
            assert found.value == one[0].to_text()


@pytest.mark.parametrize("claimed", [0, 1, 2, 3, 200, 65535])
def test_a_count_that_lies_adds_nothing(claimed: int) -> None:
    wire = bytearray(reply(query(), "93.184.216.34", "93.184.216.35"))
    wire[6:8] = struct.pack("!H", claimed)
    read = parse_reply(bytes(wire))
    assert read.values("A") == ("93.184.216.34", "93.184.216.35")[:claimed]
    assert read.answer_count == claimed


def test_of_several_records_one_that_cannot_be_read_is_left_out() -> None:
    wire = reply(query(), "93.184.216.34", "93.184.216.35").replace(
        b"\x00\x04\x5d\xb8\xd8\x22", b"\x00\x05\x5d\xb8\xd8\x22\x00"
    )
    read = parse_reply(wire)
    assert (read.values("A"), read.answer_count) == (("93.184.216.35",), 2)


def test_only_so_many_records_are_looked_at_readable_or_not() -> None:
    """A message holds thousands, and each name may be a chain of pointers: that must not hold the worker up."""
    whole = reply(query(), "93.184.216.34")
    broken, sound = b"\xc0\x0c\x00\x01\x00\x01\0\0\0\0\x00\x00", whole[-16:]
    head = whole[:6] + struct.pack("!H", dns_wire.MAX_ANSWERS + 1) + whole[8:-16]
    with pytest.raises(ReplyError, match="answers cannot be read"):
        parse_reply(head + broken * dns_wire.MAX_ANSWERS + sound)
    read = parse_reply(head + broken * (dns_wire.MAX_ANSWERS - 1) + sound)
    assert read.values("A") == ("93.184.216.34",)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(wire: bytes) -> None:
    _read_or_refuse(wire)


@given(st.data())
def test_no_damage_to_a_real_reply_crashes_the_reader(data: st.DataObject) -> None:
    wire = bytearray(reply(query(), "93.184.216.34", "93.184.216.35"))
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(wire[: data.draw(st.integers(0, len(wire)))]))


def _read_or_refuse(wire: bytes) -> None:
    try:
        read = parse_reply(wire)
    except ReplyError:
        return
    assert read.query_id == query_id_of(wire)
    assert read.size == len(wire)
    failure_of(read, "www.example.org", "A")
    mismatch(read, "www.example.org", "A")
