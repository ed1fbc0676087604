"""What a censor reads in packets, against what OpenSSL, dnspython and plain HTTP write; and never a crash."""

import ipaddress

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nation.censor import contents, forge
from tests.nation.censor_tests.hellos import hello

LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@given(NAMES)
def test_the_name_in_a_hello(name: str) -> None:
    whole = hello(name)
    assert contents.server_name(whole) == name
    assert contents.looks_like(whole, ("tls",), tcp=True)
    for end in range(0, len(whole), 11):
        # As soon as the name is there it is read, however much is still to come: a long hello comes in two packets.
        read = end >= whole.index(b"\0" + len(name).to_bytes(2, "big") + name.encode()) + 3 + len(name)
        assert contents.server_name(whole[:end]) == (name if read else None)


def test_a_hello_without_a_name_has_an_empty_one() -> None:
    assert contents.server_name(hello(None)) == ""


def test_a_hello_in_two_records_is_put_together() -> None:
    whole = hello("x.com")
    body = whole[5:]
    pieces = [body[:50], body[50:]]
    split = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    assert contents.server_name(split) == "x.com"


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (b"GET / HTTP/1.1\r\nHost: www.X.com\r\n\r\n", "www.x.com"),
        (b"GET / HTTP/1.1\r\nAccept: */*\r\nHOST:x.com:8080\r\n\r\n", "x.com"),
        (b"POST / HTTP/1.1\r\nhost:  x.com. \r\n\r\n", "x.com"),
        (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "2001:db8::1"),
        (b"GET / HTTP/1.1\r\nHost: x.co", None),
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (b"\r\nHost: x.com\r\n", None),
        (b"", None),
    ],
)
def test_the_host_of_a_request(request_: bytes, name: str | None) -> None:
    assert contents.host(request_) == name


@given(NAMES, st.sampled_from(("A", "AAAA", "HTTPS", "TXT")), st.booleans())
def test_a_question_as_dnspython_writes_it(name: str, kind: str, edns: bool) -> None:
    query = dns.message.make_query(name.upper(), kind, use_edns=0 if edns else None)
    wire = query.to_wire()
    asked = contents.question(wire)
    assert asked is not None
    assert (asked.name, asked.type, asked.id) == (name, kind, query.id)
    assert contents.framed_question(len(wire).to_bytes(2, "big") + wire) == asked
    assert contents.question(dns.message.make_response(query).to_wire()) is None


@given(
    NAMES,
    st.sampled_from(("A", "AAAA", "TXT")),
    st.sampled_from(("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED")),
    st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), max_size=5),
    st.integers(0, 2**31 - 1),
)
def test_an_answer_as_dnspython_reads_it(
    name: str,
    kind: str,
    rcode: str,
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
    ttl_s: int,
) -> None:
    query = dns.message.make_query(name, kind)
    asked = contents.question(query.to_wire())
    assert asked is not None
    answer = dns.message.from_wire(forge.dns_answer(asked, rcode, [str(one) for one in addresses], ttl_s))
    assert query.is_response(answer)
    assert answer.flags & dns.flags.RA
    assert dns.rcode.to_text(answer.rcode()) == rcode
    version = {"A": 4, "AAAA": 6}.get(kind)
    fitting = {str(one) for one in addresses if one.version == version and rcode == "NOERROR"}
    assert {str(ipaddress.ip_address(item.to_text())) for rrset in answer.answer for item in rrset} == fitting
    assert all(rrset.ttl == ttl_s for rrset in answer.answer)


@given(st.binary(max_size=300), st.sampled_from((b"", b"\x16\x03\x01", b"GET ", b"\x16\x03\x01\x00\x30\x01")))
def test_no_bytes_break_a_reader(data: bytes, start: bytes) -> None:
    for read in (contents.server_name, contents.host, contents.question, contents.framed_question):
        read(start + data)
    contents.looks_like(start + data, ("dns", "http", "tls"), tcp=True)


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("x.com", "x.com", True),
        ("x.com", "X.com.", True),
        ("www.x.com", "x.com", False),
        ("x.com", "*.x.com", True),
        ("a.b.x.com", "*.x.com", True),
        ("ax.com", "*.x.com", False),
        ("anything", "*", True),
        ("", "*", False),
        ("", "x.com", False),
    ],
)
def test_names(name: str, pattern: str, matches: bool) -> None:
    assert contents.names_match(name, (pattern,)) is matches
    assert contents.names_match(name, ("other.org", pattern)) is matches


def test_what_looks_like_what() -> None:
    query = dns.message.make_query("x.com", "A").to_wire()
    framed = len(query).to_bytes(2, "big") + query
    everything = ("dns", "http", "tls")
    assert contents.looks_like(framed, everything, tcp=True)
    assert not contents.looks_like(query, everything, tcp=True)
    assert contents.looks_like(query, everything, tcp=False)
    assert contents.looks_like(b"GET / HTTP/1.1", everything, tcp=True)
    assert not contents.looks_like(b"GET / HTTP/1.1", ("dns", "tls"), tcp=True)
    assert not contents.looks_like(bytes(range(100, 200)), everything, tcp=True)
