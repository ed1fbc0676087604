"""Forged DNS answers between real sockets: they race the true one or replace it, over UDP and TCP, IPv4 and IPv6."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from tests import namespaces
from tests.nation.censor.process import Censor
from tests.nation.censor_tests import lab
from tests.servers.dns import DnsServer, zone

pytestmark = pytest.mark.namespace

TRUE4, TRUE6 = "192.0.2.7", "2001:db8::7"
KNOWN: dict[str, tuple[str, ...]] = dict.fromkeys(("x.com", "www.x.com", "y.com"), (TRUE4, TRUE6))


@contextlib.contextmanager
def resolved(rules: str) -> Iterator[Censor]:
    """Run a server that knows all names behind a censor with these rules."""
    lab.street()
    servers = lab.on_server(
        lambda: [DnsServer(zone(KNOWN), address=address, port=53) for address in (lab.SERVER4, lab.SERVER6)]
    )
    with lab.serving(*servers), lab.censored(rules) as censor:
        yield censor


def answers(name: str, kind: str, server: str, *, count: int) -> list[list[str]]:
    """Ask over UDP; return the first `count` answers in the order they came, code and addresses."""
    query = dns.message.make_query(name, kind)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    found = []
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((server, 53))
        sock.send(query.to_wire())
        for _ in range(count):
            answer = dns.message.from_wire(sock.recv(4096))
            assert query.is_response(answer)
            found.append(_said(answer))
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            found.append(["and", str(len(sock.recv(4096)))])
    return found


def _said(answer: dns.message.Message) -> list[str]:
    values = [item.to_text() for rrset in answer.answer for item in rrset]
    return [dns.rcode.to_text(answer.rcode()), *values]


def races() -> list[Any]:
    rules = """
[[rule]]
name = "lie"
match = { qname = "*.x.com" }
do = "answer"
addresses = ["10.10.34.34", "d0::11"]
"""
    with resolved(rules) as censor:
        found = [
            answers("x.com", kind, server, count=2)
            for server in (lab.SERVER4, lab.SERVER6)
            for kind in ("A", "AAAA")
        ]
        free = answers("y.com", "A", lab.SERVER4, count=1)
        said = [event["qname"] for event in lab.did(censor.events(), "answered")]
    return [*found, free, said]


def test_a_forged_answer_comes_before_the_true_one() -> None:
    four, six = [["NOERROR", "10.10.34.34"], ["NOERROR", TRUE4]], [["NOERROR", "d0::11"], ["NOERROR", TRUE6]]
    assert namespaces.call(races) == [four, six, four, six, [["NOERROR", TRUE4]], ["x.com"] * 4]


def alone(line: str) -> list[Any]:
    with resolved(f'[[rule]]\nmatch = {{ qname = "x.com" }}\ndo = "answer"\nsuppress = true\n{line}'):
        return [answers("x.com", kind, lab.SERVER4, count=1) for kind in ("A", "AAAA")]


@pytest.mark.parametrize(
    ("line", "four", "six"),
    [
        ('rcode = "NXDOMAIN"', ["NXDOMAIN"], ["NXDOMAIN"]),
        ('rcode = "SERVFAIL"', ["SERVFAIL"], ["SERVFAIL"]),
        ('rcode = "REFUSED"', ["REFUSED"], ["REFUSED"]),
        ("", ["NOERROR"], ["NOERROR"]),
        ('addresses = "10.10.34.34"', ["NOERROR", "10.10.34.34"], ["NOERROR"]),
    ],
)
def test_an_answer_replaces_the_true_one(line: str, four: list[str], six: list[str]) -> None:
    assert namespaces.call(alone, line) == [[four], [six]]


def over_tcp() -> list[Any]:
    rules = '[[rule]]\nmatch = { qname = "x.com" }\ndo = "answer"\naddresses = ["10.10.34.34", "d0::11"]'
    with resolved(rules):
        made = []
        for name in ("x.com", "y.com"):
            for server in (lab.SERVER4, lab.SERVER6):
                answer = dns.query.tcp(dns.message.make_query(name, "A"), server, timeout=20)
                made.append(_said(answer))
    return made


def test_an_answer_is_forged_over_tcp() -> None:
    lie, truth = ["NOERROR", "10.10.34.34"], ["NOERROR", TRUE4]
    assert namespaces.call(over_tcp) == [lie, lie, truth, truth]
