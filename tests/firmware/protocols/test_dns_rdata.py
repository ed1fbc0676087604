r"""What a record holds is printed as dnspython prints it; of types without a reader nothing is lost."""

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.protocols import dns_rdata
from firmware.protocols.dns_names import DnsFormatError

KNOWN = sorted(dns_rdata._READERS)
IN = dns.rdataclass.IN


def printed(record_type: int, data: bytes) -> str:
    return dns.rdata.from_wire(IN, dns.rdatatype.RdataType(record_type), data, 0, len(data)).to_text()


@pytest.mark.parametrize(
    ("record_type", "text"),
    [
        ("A", "93.184.216.34"),
        ("AAAA", "2606:2800:220:1::1946"),
        ("AAAA", "::ffff:1.2.3.4"),
        ("NS", "ns.example.org."),
        ("CNAME", "."),
        ("PTR", r"a\.b\032c.example.org."),
        ("DNAME", "example.net."),
        ("SOA", "ns.example.org. host.example.org. 2026112101 7200 900 1209600 300"),
        ("MX", "10 mail.example.org."),
        ("SRV", "1 2 443 web.example.org."),
        ("TXT", r'"v=spf1 -all" "" "quo\"te \\ \200\000"'),
        ("DS", "20326 8 2 e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"),
        ("CAA", '0 issue "letsencrypt.org; a=\\"b\\""'),
    ],
)
def test_each_type_reads_as_it_is_written_in_a_zone(record_type: str, text: str) -> None:
    data = dns.rdata.from_text("IN", record_type, text).to_wire()
    assert data is not None
    number = int(dns.rdatatype.from_text(record_type))
    assert dns_rdata.to_text(number, data, 0, len(data)) == printed(number, data)


@pytest.mark.parametrize("record_type", KNOWN)
@given(data=st.binary(max_size=60))
def test_any_data_are_read_or_refused_as_dnspython_does(record_type: int, data: bytes) -> None:
    try:
        expected = printed(record_type, data)
    except (dns.exception.DNSException, ValueError):
        expected = None
    try:
        found = dns_rdata.to_text(record_type, data, 0, len(data))
    except DnsFormatError:
        assert expected is None
        return
    if (
        expected is not None
    ):  # dnspython has opinions on what a tag or a digest may be: a finding stays a finding
        assert found.replace(" ", "") == expected.replace(" ", "")


def test_names_in_data_may_point_back_into_the_message() -> None:
    wire = b"\x03www\x07example\x03org\x00" + b"\x00\x0a\x04mail\xc0\x04"
    assert dns_rdata.to_text(15, wire, 17, len(wire)) == "10 mail.example.org."


@pytest.mark.parametrize(
    ("record_type", "data"),
    [
        (1, b""),
        (1, b"abc"),
        (1, b"abcde"),
        (28, b"a" * 15),
        (5, b"\x01a\x00\x00"),
        (5, b"\x01a"),
        (6, b"\x00\x00" + b"a" * 19),
        (6, b"\x00\x00" + b"a" * 21),
        (15, b"\x00"),
        (16, b""),
        (16, b"\x05abc"),
        (33, b"\0\0\0\0\0\0"),
        (43, b"abc"),
        (48, b"abc"),
        (257, b"\0"),
        (257, b"\0\x05abc"),
    ],
)
def test_data_that_are_not_of_their_type_are_refused(record_type: int, data: bytes) -> None:
    with pytest.raises(DnsFormatError):
        dns_rdata.to_text(record_type, data + b"\0\0\0\0", 0, len(data))


@given(st.integers(0, 65535).filter(lambda number: number not in KNOWN), st.binary(max_size=40))
def test_of_other_types_the_data_are_kept_as_they_are(record_type: int, data: bytes) -> None:
    text = dns_rdata.to_text(record_type, b"\xc0\x00" + data, 2, 2 + len(data))
    assert text.split()[:2] == [r"\#", str(len(data))]
    assert bytes.fromhex("".join(text.split()[2:])) == data
