"""Boxes on the way that answer in another's place: a sign-in page, a transparent proxy, one that intercepts TLS, a NAT64.

Each takes connections of its namespace's passing traffic by policy routing (a rule that calls every address local),
and reads from the accepted socket whom the client meant. TCP only: a NAT64 here translates no ping. Namespaces only.
"""

import contextlib
import functools
import itertools
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from tests import namespaces
from tests.nation.censor import contents
from tests.servers.http import http, page, redirect
from tests.servers.tcp import Behaviour, TcpServer
from tests.servers.tls import over_tls

SIGN_IN: Final = "http://login.hotel.xn/sign-in"
_TABLE: Final = 200
_IP_TRANSPARENT: Final = 19
_PREFERENCES: Final = (99, 100, 101)
"""Of the rules by which what passes is taken."""
_PATIENCE_S: Final = 60.0
_NAT64: Final = "64:ff9b::/96"


@contextlib.contextmanager
def sign_in(node: str, interface: str) -> Iterator[None]:
    """Answer every HTTP request that comes in by `interface` with a way to a sign-in page, and let nothing else by."""
    _take(node, [interface], ports=(80,))
    for family in ("", "-6 "):
        # Names are let through, as sign-in pages let them.
        namespaces.ip(f"{family}rule add pref 99 iif {interface} ipproto udp dport 53 lookup main", node=node)
        namespaces.ip(f"{family}rule add pref 101 iif {interface} blackhole", node=node)
    with _listening(node, 80, http(lambda _request: redirect(SIGN_IN))):
        yield


@contextlib.contextmanager
def proxy(node: str, interfaces: Iterable[str], ports: tuple[int, ...] = (80, 443, 1883)) -> Iterator[None]:
    """Take every connection to `ports` and make one of its own to where it was going: all leave from one address."""
    _take(node, interfaces, ports=ports)
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(_listening(node, port, relay(lambda meant: meant)))
        yield


@contextlib.contextmanager
def proxy_at(node: str, address: str, to: str, ports: tuple[int, ...] = (80, 443)) -> Iterator[None]:
    """Listen at an address of its own and carry every connection to `to`."""
    namespaces.ip(f"addr add {address}/32 dev lo", node=node)
    with contextlib.ExitStack() as stack:
        with namespaces.inside(node):
            for port in ports:
                stack.enter_context(TcpServer(relay(lambda _meant: to), address=address, port=port))
        yield


@contextlib.contextmanager
def intercept(
    node: str, interfaces: Iterable[str], *, names: tuple[str, ...], context: Callable[[str], ssl.SSLContext]
) -> Iterator[None]:
    """Take TLS connections to `names` (empty: all) with what `context` gives for the name asked for, and serve a block page.

    Connections that ask for other names are carried on untouched.
    """
    _take(node, interfaces, ports=(443,))
    made = functools.cache(context)
    carried = relay(lambda meant: meant)
    blocked = http(lambda _request: page(b"<html><title>Forbidden</title></html>", status=403))

    def behaviour(near: socket.socket) -> None:
        near.settimeout(_PATIENCE_S)
        asked = contents.server_name(_peeked(near))
        if asked is None or (names and not contents.names_match(asked, names)):
            carried(near)
            return
        with contextlib.suppress(ssl.SSLError):  # the client does not want it
            over_tls(made(asked or near.getsockname()[0].removeprefix("::ffff:")), blocked)(near)

    with _listening(node, 443, behaviour):
        yield


def _peeked(near: socket.socket) -> bytes:
    """Return the first bytes of a connection, which stay to be read."""
    return near.recv(16_384, socket.MSG_PEEK)


def let_by(node: str) -> None:
    """Let connections by again that a sign-in page, a proxy or an interceptor in `node` takes; those it has go on."""
    for family, preference in itertools.product(("", "-6 "), _PREFERENCES):
        with contextlib.suppress(AssertionError):  # until there is none left
            while True:
                namespaces.ip(f"{family}rule del pref {preference}", node=node)


@contextlib.contextmanager
def nat64(node: str, ports: tuple[int, ...] = (80, 443)) -> Iterator[None]:
    """Take connections to the NAT64's prefix and make them to the IPv4 address inside."""
    namespaces.ip(f"-6 route add local {_NAT64} dev lo", node=node)
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(_listening(node, port, relay(_inside), families=(6,)))
        yield


def relay(to: Callable[[str], str]) -> Behaviour:
    """Return a behaviour: connect to `to(the address the client meant)`, same port, and carry bytes both ways."""

    def behaviour(near: socket.socket) -> None:
        meant, port = near.getsockname()[:2]
        with socket.create_connection((to(meant.removeprefix("::ffff:")), port), timeout=30) as far:
            far.settimeout(None)
            ends = {near: far, far: near}
            while ready := select.select(list(ends), [], [], 60)[0]:
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        ends[one].shutdown(socket.SHUT_WR)
                        return
                    ends[one].sendall(data)

    return behaviour


def _take(node: str, interfaces: Iterable[str], *, ports: tuple[int, ...]) -> None:
    incoming = tuple(interfaces)
    for family, everything in (("", "0.0.0.0/0"), ("-6 ", "::/0")):
        namespaces.ip(f"{family}route add local {everything} dev lo table {_TABLE}", node=node)
        for interface, port in itertools.product(incoming, ports):
            taken = f"iif {interface} ipproto tcp dport {port}"
            namespaces.ip(f"{family}rule add pref 100 {taken} lookup {_TABLE}", node=node)


@contextlib.contextmanager
def _listening(
    node: str, port: int, behaviour: Behaviour, families: tuple[int, ...] = (4, 6)
) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with namespaces.inside(node):
            for family in families:
                address = "0.0.0.0" if family == 4 else "::"
                server = stack.enter_context(TcpServer(behaviour, address=address, port=port))
                if (
                    family == 4
                ):  # else the kernel does not answer in the name of an address that is not its own
                    server._listener.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        yield


def _inside(address: str) -> str:
    return str(IPv4Address(int(IPv6Address(address)) & 0xFFFFFFFF))
