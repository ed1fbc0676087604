"""Refusals as a kernel's sockets feel them: ICMP and ICMPv6 errors of each kind, TCP resets, from a router's address."""

import contextlib
import errno
import select
import socket
import struct
from typing import Any

import pytest

from tests import namespaces
from tests.nation.censor_tests import lab
from tests.servers.tcp import TcpServer, stay_silent

pytestmark = pytest.mark.namespace

_IP_RECVERR, _IPV6_RECVERR = 11, 25
_EXTENDED = struct.Struct("=IBBBBII")


def refusals(answer: str) -> list[Any]:
    """Return, for IPv4 and IPv6: the error of a TCP connect, of a UDP send, and the ICMP (type, code, router)."""
    lab.street()
    rules = (
        f'[[rule]]\ndo = "reject"\nanswer = "{answer}"\nrouter = ["10.0.0.77", "2001:db8::77"]\n'
        "match = { port = [9, 80] }"
    )
    found = []
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            for address in (lab.SERVER4, lab.SERVER6):
                stack.enter_context(TcpServer(stay_silent, address=address, port=80))
        stack.enter_context(lab.censored(rules))
        for server in (lab.SERVER4, lab.SERVER6):
            try:
                lab.connect(server, 80).close()
                tcp = "connected"
            except OSError as error:
                tcp = errno.errorcode[error.errno or 0]
            found.append([tcp, *_udp(server, patience_s=1 if answer == "reset" else 30)])
    return found


def _udp(server: str, *, patience_s: int) -> list[Any]:
    six = ":" in server
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        sock.connect((server, 9))
        sock.send(b"?")
        poller = select.poll()
        poller.register(sock, 0)
        if not poller.poll(1000 * patience_s):
            return ["silence"]
        _, ancillary, _, _ = sock.recvmsg(100, 200, socket.MSG_ERRQUEUE)
    data = ancillary[0][2]
    number, _, kind, code, _, _, _ = _EXTENDED.unpack_from(data)
    offender = data[_EXTENDED.size :]
    router = (
        socket.inet_ntop(socket.AF_INET6, offender[8:24])
        if six
        else socket.inet_ntop(socket.AF_INET, offender[4:8])
    )
    return [errno.errorcode[number], kind, code, router]


@pytest.mark.parametrize(
    ("answer", "four", "six"),
    [
        ("admin", ["EHOSTUNREACH", "EHOSTUNREACH", 3, 13], ["EACCES", "EACCES", 1, 1]),
        ("host", ["EHOSTUNREACH", "EHOSTUNREACH", 3, 1], ["EHOSTUNREACH", "EHOSTUNREACH", 1, 3]),
        ("net", ["ENETUNREACH", "ENETUNREACH", 3, 0], ["ENETUNREACH", "ENETUNREACH", 1, 0]),
        ("port", ["ECONNREFUSED", "ECONNREFUSED", 3, 3], ["ECONNREFUSED", "ECONNREFUSED", 1, 4]),
    ],
)
def test_each_kind_of_refusal(answer: str, four: list[Any], six: list[Any]) -> None:
    assert namespaces.call(refusals, answer) == [[*four, "10.0.0.77"], [*six, "2001:db8::77"]]


def test_a_reset_refuses_tcp_and_leaves_udp_in_silence() -> None:
    assert namespaces.call(refusals, "reset") == [["ECONNREFUSED", "silence"]] * 2


def pings() -> list[Any]:
    """Ping through a censor that rejects ICMP to one address family at a time."""
    lab.street()
    found = []
    with lab.censored("") as censor:
        for match, dark in (("tcp", ""), ("icmp", "10.0.0.0/24"), ("icmp", "::/0")):
            to = f', to = "{dark}"' if dark else ""
            censor.change(f'[[rule]]\ndo = "drop"\nmatch = {{ proto = "{match}"{to} }}')
            found.append(
                [
                    _ping(server, patience_s=0.7 if dark and (":" in dark) == (":" in server) else 30)
                    for server in (lab.SERVER4, lab.SERVER6)
                ]
            )
    return found


def _ping(server: str, *, patience_s: float) -> bool:
    six = ":" in server
    family, proto = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    with socket.socket(family, socket.SOCK_DGRAM, proto) as sock:
        sock.settimeout(patience_s)
        sock.connect((server, 0))
        try:
            sock.send(struct.pack(">BBHHH", 128 if six else 8, 0, 0, 0, 1))
            return bool(sock.recv(100))
        except OSError:
            return False


def pings_opened() -> list[Any]:
    namespaces.open_ping()
    return pings()


def test_ping_is_told_apart_by_family() -> None:
    assert namespaces.call(pings_opened) == [[True, True], [False, True], [True, False]]
