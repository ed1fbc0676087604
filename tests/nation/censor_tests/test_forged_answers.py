"""What is forged beside resets and names, as a kernel and our own clients take it: TCP, ICMP, NTP."""

import contextlib
import socket
import struct
import time
from typing import Any

import pytest

from firmware.protocols.ntp_wire import decode_reply, encode_question
from tests import namespaces
from tests.nation.censor_tests import lab
from tests.servers.ntp import NtpServer, truthful
from tests.servers.tcp import TcpServer, say

pytestmark = pytest.mark.namespace

_YEAR_S = 365 * 86_400


def accepted(then: str, text: str) -> list[Any]:
    """Return what a client meets at a port where nothing listens, and one beside it that the rule leaves alone."""
    lab.street()
    says = f'say = "{text}"\n' if text else ""
    rules = f'[[rule]]\nmatch = {{ port = 81 }}\ndo = "accept"\nthen = "{then}"\n{says}'
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(say(b"truly"), address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        for address in (lab.SERVER4, lab.SERVER6):
            with lab.connect(address, 81) as one:
                one.sendall(b"hello")
                one.settimeout(1.5)
                try:
                    said = one.recv(100)
                    found.append([said.decode(), one.recv(100).decode() if said else ""])
                except OSError as error:
                    found.append(type(error).__name__)
        found.append(lab.ask(lab.SERVER4, 80, b"hello"))
    return found


@pytest.mark.parametrize(
    ("then", "text", "met"),
    [
        ("silence", "", "TimeoutError"),
        ("reset", "", "ConnectionResetError"),
        ("close", "", ["", ""]),
        ("close", "forged", ["forged", ""]),
    ],
)
def test_a_connection_is_accepted_by_nobody(then: str, text: str, met: Any) -> None:
    assert namespaces.call(accepted, then, text) == [met, met, "truly"]


def echoes() -> list[Any]:
    """Ping an address that nobody has, and one that answers."""
    namespaces.open_ping()
    lab.street()
    namespaces.ip("route add 10.9.9.0/24 via 10.0.0.2")
    namespaces.ip("-6 route add 2001:db8:9::/48 via 2001:db8::2")
    found = []
    with lab.censored('[[rule]]\nmatch = { to = ["10.9.9.0/24", "2001:db8:9::/48"] }\ndo = "echo"'):
        for target in ("10.9.9.9", "2001:db8:9::9", lab.SERVER4):
            six = ":" in target
            family = socket.AF_INET6 if six else socket.AF_INET
            proto = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
            with socket.socket(family, socket.SOCK_DGRAM, proto) as sock:
                sock.settimeout(30)
                sock.connect((target, 0))
                sock.send(struct.pack(">BBHHH", 128 if six else 8, 0, 0, 0, 7) + b"payload")
                data, sender = sock.recvfrom(100)
            found.append([sender[0], data[0], data[6:].hex()])
    return found


def test_a_ping_is_answered_in_a_name_that_is_nobodys() -> None:
    payload = (b"\0\7" + b"payload").hex()
    assert namespaces.call(echoes) == [
        ["10.9.9.9", 0, payload],
        ["2001:db8:9::9", 129, payload],
        [lab.SERVER4, 0, payload],
    ]


def times(extra: str) -> list[Any]:
    """Ask a true server the time through a rule; return how far ahead each answer is in s, and its stratum."""
    lab.street()
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        server = lab.on_server(
            lambda: NtpServer(lambda question: [truthful(question)], address=lab.SERVER4, port=123)
        )
        stack.enter_context(lab.serving(server))
        stack.enter_context(lab.censored(f'[[rule]]\ndo = "time"\n{extra}'))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.connect((lab.SERVER4, 123))
            nonce = 7_000_000_007
            sock.send(encode_question(nonce))
            with contextlib.suppress(TimeoutError):
                while len(found) < 2:
                    data = sock.recv(100)
                    reply, _ = decode_reply(data, nonces=frozenset({nonce}))
                    ahead_s = (reply.transmitted_utc_ns - time.time_ns()) / 1e9
                    found.append([round(ahead_s), reply.stratum])
    return found


def test_the_time_is_forged_and_races_the_true_one() -> None:
    forged, true = namespaces.call(times, f"ahead_s = {_YEAR_S}")
    assert forged[0] == pytest.approx(_YEAR_S, abs=5)
    assert forged[1] == 2
    assert true[0] == pytest.approx(0, abs=5)
    assert true[1] == 1


def test_a_forged_time_may_come_alone() -> None:
    ((ahead_s, _),) = namespaces.call(times, "ahead_s = -3600\nsuppress = true")
    assert ahead_s == pytest.approx(-3600, abs=5)


def too_big() -> list[Any]:
    """Return how large a datagram the kernel still takes for a path, after an error that says 1,000 and is a lie."""
    lab.street()
    found: list[Any] = []
    rules = '[[rule]]\ndo = "reject"\nanswer = "too_big"\nmtu = 1000\nswallow = false\nmatch = { larger_than = 900 }'
    with (
        lab.censored(rules),
        lab.on_server(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as heard,
    ):
        heard.bind((lab.SERVER4, 9))
        heard.settimeout(30)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_IP, 10, 2)  # IP_MTU_DISCOVER, always with DF
            sock.connect((lab.SERVER4, 9))
            sock.send(bytes(1200))
            found.append(len(heard.recv(2000)))
            for _ in range(100):
                if sock.getsockopt(socket.SOL_IP, 14) < 1500:  # IP_MTU
                    break
                time.sleep(0.05)
            found.append(sock.getsockopt(socket.SOL_IP, 14))
    return found


def test_an_error_may_lie_about_the_path_while_the_packet_goes_on() -> None:
    assert namespaces.call(too_big) == [1200, 1000]
