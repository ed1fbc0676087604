"""Targets and options as people write them, and what they are told when they write something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.net.targets import HostPort, Options, TargetError, family_of, parse_host, parse_host_port

names = st.from_regex(
    r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,20}[a-z0-9])?){0,3}", fullmatch=True
)
hosts = names | st.ip_addresses().map(str)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", None),
        ("example.org.", "example.org", None),
        ("_dns.resolver.arpa", "_dns.resolver.arpa", None),
        ("example.org:443", "example.org", 443),
        ("198.51.100.7", "198.51.100.7", None),
        ("198.51.100.7:80", "198.51.100.7", 80),
        ("2001:db8::1", "2001:db8::1", None),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:53", "2001:db8::1", 53),
        ("fe80::1%eth0", "fe80::1%eth0", None),
        ("[fe80::1%eth0]:53", "fe80::1%eth0", 53),
        ("ایران.ir", "xn--mgba3a4f16a.ir", None),
    ],
)
def test_what_is_understood(text: str, host: str, port: int | None) -> None:
    assert parse_host_port(text) == HostPort(host, port)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found ''"),
        ("a b", "allowed is a host name"),
        ("-a.org", "allowed is a host name"),
        ("a..org", "allowed is a host name"),
        (f"{'a' * 64}.org", "at most 63 characters"),
        (".".join(["a" * 60] * 5), "253 in all"),
        ("1.2.3", "looks like an IPv4 address"),
        ("256.1.1.1", "looks like an IPv4 address"),
        ("example.org:", "nothing after the colon"),
        ("example.org:0", "allowed is a whole number from 1 to 65535"),
        ("example.org:65536", "allowed is a whole number from 1 to 65535"),
        ("example.org:٤٤٣", "allowed is a whole number"),
        ("example.org:99999999999999999999", "allowed is a whole number"),
        ("2001:db8::1:zz", "written [ADDRESS]:PORT"),
        ("[2001:db8::1", "allowed is [IPV6-ADDRESS]"),
        ("[2001:db8::1]x", "allowed is [IPV6-ADDRESS]"),
        ("[198.51.100.7]:80", "allowed in brackets is an IPv6 address"),
        ("fe80::1%", "written [ADDRESS]:PORT"),
        ("https://example.org", "is a URL"),
        ("example.org/path", "allowed is a host name"),
        ("é" * 64, "IDNA"),
    ],
)
def test_what_is_refused_says_why(text: str, told: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_host_port(text)
    assert told in str(caught.value)


def test_a_port_may_have_a_default_or_be_required() -> None:
    assert parse_host_port("example.org", default_port=53).known_port == 53
    assert parse_host_port("example.org:5353", default_port=53).known_port == 5353
    with pytest.raises(TargetError, match="has no port"):
        parse_host_port("example.org", port_required=True)
    with pytest.raises(TargetError, match="found no port"):
        _ = HostPort("example.org").known_port


@given(hosts, st.none() | st.integers(1, 65535))
def test_what_is_written_is_read_back(host: str, port: int | None) -> None:
    assert parse_host_port(str(HostPort(host, port))) == HostPort(host, port)


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_a_target_error(text: str) -> None:
    try:
        host = parse_host(text)
    except TargetError:
        return
    assert host.isascii()
    assert " " not in host


@pytest.mark.parametrize(
    ("text", "family"),
    [("127.0.0.1", 4), ("::1", 6), ("fe80::1%2", 6), ("127.1", None), ("a", None), ("\0", None), ("", None)],
)
def test_families(text: str, family: int | None) -> None:
    assert family_of(text) == family


def test_options_are_read_with_their_defaults() -> None:
    options = Options("ping", {"count": "5", "family": 6, "fast": "true", "word": "b", "text": "x"})
    assert options.integer("count", 3, low=1, high=9) == 5
    assert options.integer("other", 3, low=1, high=9) == 3
    assert options.families() == (6,)
    assert options.flag("fast", default=False)
    assert not options.flag("slow", default=False)
    assert options.word("word", "a", ("a", "b")) == "b"
    assert options.text("text", "") == "x"
    options.finish()


@pytest.mark.parametrize("value", [0, 10, "many", 1.5, True, "", "1" * 30])
def test_a_number_outside_is_refused_by_name(value: str | float) -> None:
    with pytest.raises(
        TargetError, match=r"ping: option count: found .*; allowed is a whole number from 1 to 9"
    ):
        Options("ping", {"count": value}).integer("count", 3, low=1, high=9)


def test_other_options_are_refused_by_name() -> None:
    with pytest.raises(TargetError, match="option family: found '5'; allowed is one of any, 4, 6"):
        Options("ping", {"family": "5"}).families()
    with pytest.raises(TargetError, match="option fast: found 1; allowed is true or false"):
        Options("ping", {"fast": 1}).flag("fast", default=True)
    with pytest.raises(TargetError, match="option text: found 1; allowed is text"):
        Options("ping", {"text": 1}).text("text", "")
    options = Options("ping", {"cuont": 3})
    options.integer("count", 3, low=1, high=9)
    with pytest.raises(TargetError, match="found option 'cuont'; the options of ping are: count"):
        options.finish()
