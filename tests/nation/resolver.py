"""A provider's resolver: answers what it has, asks the name servers abroad for the rest, and lies where told to.

Names inside the country it knows by itself. Others it asks for with a real packet that must leave the country, and
keeps the answer for as long as its TTL says: so it answers from its cache in a cut, and SERVFAIL for what is not
there. Each query has a thread, so that one that waits holds up no other. Loopback and namespaces only.
"""

import random
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self, TypeAlias

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from tests.servers.dns import reply

UPSTREAM_S: Final = 2.0
NAT64: Final = "64:ff9b::"

Book: TypeAlias = Mapping[str, tuple[str, ...]]
"""Name → its addresses, both families; no last dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """What a query for `name` (or any, with `*`) gets instead of the truth.

    `rcode` without `addresses` is the whole answer; `silent` sends none.
    """

    name: str
    rcode: str = "NOERROR"
    addresses: tuple[str, ...] = ()
    silent: bool = False

    def covers(self, name: str) -> bool:
        """Return whether `name` is lied about."""
        return self.name in ("*", name)


class Resolver:
    """Serves UDP port 53 of `addresses` while the `with` block runs. Make and enter it inside its namespace.

    `book` is what it knows by itself; the rest it asks `upstream` for (nobody where empty). `lies` and `dropped`
    (the share of queries that get no answer, drawn from `seed`) may be changed at any time. `dns64` makes it
    give every name without an IPv6 address one in the NAT64's prefix.
    """

    def __init__(
        self,
        addresses: tuple[str, ...],
        book: Book,
        upstream: str = "",
        *,
        dns64: bool = False,
        seed: int = 1,
    ) -> None:
        self.lies: tuple[Lie, ...] = ()
        self.dropped = 0.0
        self._book = book
        self._upstream = upstream
        self._dns64 = dns64
        self._lots = random.Random(seed)
        self._cache: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
        self._sockets = [self._bind(address) for address in addresses]
        self._threads = [
            threading.Thread(target=self._serve, args=(one,), name="resolver") for one in self._sockets
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            _wake(one)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def learn(self, names: Iterable[str]) -> None:
        """Have the addresses of `names` in the cache from now on. Call it inside the resolver's namespace."""
        for name in names:
            for kind in ("A", "AAAA"):
                self._find_plain(name, kind)

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    @staticmethod
    def _bind(address: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.bind((address, 53))
        return made

    def _serve(self, listener: socket.socket) -> None:
        while True:
            data, client = listener.recvfrom(4096)
            if not data:
                return
            threading.Thread(target=self._answer, args=(listener, data, client), daemon=True).start()

    def _answer(self, listener: socket.socket, data: bytes, client: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        if self._lots.random() < self.dropped:
            return
        lie = next((lie for lie in self.lies if lie.covers(name)), None)
        if lie is not None and lie.silent:
            return
        if lie is not None:
            values = _of_kind(lie.addresses, kind)
            answer = reply(query, *values, record_type=kind, rcode=lie.rcode)
        else:
            rcode, values = self._find(name, kind)
            answer = reply(query, *values, record_type=kind, rcode=rcode)
        try:
            listener.sendto(answer, client)
        except OSError:
            return  # closed meanwhile, or the way back is gone

    def _find(self, name: str, kind: str) -> tuple[str, tuple[str, ...]]:
        rcode, values = self._find_plain(name, kind)
        if self._dns64 and kind == "AAAA" and rcode == "NOERROR" and not values:
            rcode, fours = self._find_plain(name, "A")
            values = tuple(_in_nat64(four) for four in fours)
        return rcode, values

    def _find_plain(self, name: str, kind: str) -> tuple[str, tuple[str, ...]]:
        if name in self._book:
            return "NOERROR", _of_kind(self._book[name], kind)
        until_s, values = self._cache.get((name, kind), (0.0, ()))
        if time.monotonic() < until_s:
            return "NOERROR", values
        if not self._upstream:
            return "NXDOMAIN", ()
        try:
            heard = dns.query.udp(dns.message.make_query(name, kind), self._upstream, timeout=UPSTREAM_S)
        except (dns.exception.DNSException, OSError):
            return "SERVFAIL", ()
        rcode = dns.rcode.to_text(heard.rcode())
        found = [record.to_text() for answer in heard.answer for record in answer]
        if rcode == "NOERROR":
            ttl_s = min((answer.ttl for answer in heard.answer), default=60)
            self._cache[(name, kind)] = (time.monotonic() + ttl_s, tuple(found))
        return rcode, tuple(found)


def _of_kind(addresses: tuple[str, ...], kind: str) -> tuple[str, ...]:
    mark = {"A": ".", "AAAA": ":"}.get(kind)
    return tuple(
        one for one in addresses if mark is not None and mark in one and not (mark == "." and ":" in one)
    )


def _in_nat64(four: str) -> str:
    return str(IPv6Address(int(IPv6Address(NAT64)) + int(IPv4Address(four))))


def _wake(one: socket.socket) -> None:
    with socket.socket(one.family, socket.SOCK_DGRAM) as waker:
        waker.sendto(b"", one.getsockname())
