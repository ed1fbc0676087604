"""DNS messages: what stands in them is read, what is broken is named, and nothing crashes."""

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.failures import Failure
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
