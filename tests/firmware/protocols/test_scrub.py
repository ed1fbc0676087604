"""What a server says of its visitor is blanked; what it says of itself stays."""

import pytest

from firmware.protocols.scrub import MAX_HEADERS, scrub, scrub_headers, scrub_url

OWN = frozenset({"192.168.1.7", "2a00:1450:4001::99", "84.32.1.9"})
SERVER = "93.184.216.34"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("you are 84.32.1.9", "you are @address"),
        ("you are 8.8.4.4, I am 93.184.216.34", "you are @address, I am 93.184.216.34"),
        ("192.168.1.7 behind 10.10.34.34", "@address behind 10.10.34.34"),
        ("2A00:1450:4001:0::99", "@address"),
        ("for=[2a00:1450:4001::1]", "for=[@address]"),
        ("::ffff:84.32.1.9", "::ffff:84.32.1.9".replace("84.32.1.9", "@address")),
        ("mac aa:bb:cc:dd:ee:ff AA-BB-CC-DD-EE-FF", "mac @address @address"),
        ("aa%3Abb%3Acc%3Add%3Aee%3Aff", "@address"),
        ("Sat, 21 Nov 2026 07:22:21 GMT", "Sat, 21 Nov 2026 07:22:21 GMT"),
        ("nginx/1.18.0 (Ubuntu) std::string a:b", "nginx/1.18.0 (Ubuntu) std::string a:b"),
        ('"33a64df551425fcc55e4d42a148795d9f25f89d4"', '"33a64df551425fcc55e4d42a148795d9f25f89d4"'),
        ("999.1.1.1", "999.1.1.1"),
    ],
)
def test_text(text: str, kept: str) -> None:
    assert scrub(text, own=OWN, server=SERVER) == kept


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://10.10.34.34/?ip=84.32.1.9", "http://10.10.34.34/?ip=@address"),
        ("http://8.8.8.8/8.8.8.8", "http://8.8.8.8/@address"),
        ("http://84.32.1.9/", "http://@address/"),
        ("http://[2a00:1450:4001::99]/", "http://@address/"),
        ("http://84.32.1.9:8080/", "http://@address:8080/"),
        ("/login?mac=aa:bb:cc:dd:ee:ff", "/login?mac=@address"),
        ("http://a.example?ip=84.32.1.9", "http://a.example?ip=@address"),
    ],
)
def test_urls(url: str, kept: str) -> None:
    assert scrub_url(url, own=OWN, server=SERVER) == kept


def test_headers() -> None:
    headers = [
        ("Set-Cookie", "NID=123; x"),
        ("Location", "http://8.8.8.8/"),
        ("X-IP", "84.32.1.9"),
        ("B", "y" * 999),
    ]
    assert scrub_headers(headers, own=OWN, server=SERVER) == [
        ["Set-Cookie", "NID"],
        ["Location", "http://8.8.8.8/"],
        ["X-IP", "@address"],
        ["B", "y" * 300],
    ]
    assert len(scrub_headers(headers * 99, own=OWN, server=SERVER)) == MAX_HEADERS
