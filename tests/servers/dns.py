"""A DNS server on loopback, UDP and TCP on one port, whose answers are one function of the query.

It answers as many times as told, forged answers first if told so: that is how an injecting censor looks from
the client.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from typing import Self, TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.servers.tcp import TcpServer

Answers: TypeAlias = "Iterable[bytes | float]"
"""Datagrams to send in order; a float is a pause in seconds."""
Respond: TypeAlias = Callable[[dns.message.Message, str], Answers]
"""From a query and its transport (`udp` or `tcp`) to the answers. Over TCP the bytes are framed for you."""

_LENGTH = struct.Struct("!H")


class DnsServer:
    """Answers with `respond` on `address`, a port of its own. `queries` are (name, type, transport), as asked."""

    def __init__(self, respond: Respond, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.queries: list[tuple[str, str, str]] = []
        self._respond = respond
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._tcp = TcpServer(self._serve_tcp, address=address, port=port)
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        self._udp.bind((address, self._tcp.port))
        self._thread = threading.Thread(target=self._serve_udp, name="dns")
        self._closing = False

    @property
    def address(self) -> str:
        """The address it listens on."""
        return self._tcp.address

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._tcp.port

    @property
    def place(self) -> str:
        """`ADDRESS:PORT`, as the `dns` measurement's option takes it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def __enter__(self) -> Self:
        self._tcp.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with socket.socket(self._udp.family, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._udp.getsockname())
        self._thread.join()
        self._udp.close()
        self._tcp.__exit__()

    def _serve_udp(self) -> None:
        while True:
            data, client = self._udp.recvfrom(65535)
            if self._closing:
                return
            for answer in self._answers(data, "udp"):
                self._udp.sendto(answer, client)

    def _serve_tcp(self, connection: socket.socket) -> None:
        while head := connection.recv(2):
            query = connection.recv(_LENGTH.unpack(head)[0])
            for answer in self._answers(query, "tcp"):
                connection.sendall(_LENGTH.pack(len(answer)) + answer)

    def _answers(self, data: bytes, transport: str) -> Iterable[bytes]:
        query = dns.message.from_wire(data)
        asked = query.question[0]
        self.queries.append((asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype), transport))
        for answer in self._respond(query, transport):
            if isinstance(answer, float):
                time.sleep(answer)
            else:
                yield answer


def reply(
    query: dns.message.Message,
    *values: str,
    record_type: str = "A",
    rcode: str = "NOERROR",
    truncated: bool = False,
    query_id: int | None = None,
    ttl: int = 300,
) -> bytes:
    """Return an answer to `query` with `values` of `record_type`, recursion available; `query_id` forges the id."""
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(dns.rcode.from_text(rcode))
    if truncated:
        answer.flags |= dns.flags.TC
    name = query.question[0].name
    for value in values:  # one set each: dnspython writes the records of a set in random order
        answer.answer.append(dns.rrset.from_text(name, ttl, "IN", record_type, value))
    if query_id is not None:
        answer.id = query_id
    return answer.to_wire()


def zone(addresses: "dict[str, tuple[str, ...]]") -> Respond:
    """Return a resolver that knows `addresses` (name without the last dot → IPv4 and IPv6), NXDOMAIN otherwise."""

    def respond(query: dns.message.Message, transport: str) -> Answers:
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        record_type = dns.rdatatype.to_text(query.question[0].rdtype)
        if name not in addresses:
            yield reply(query, rcode="NXDOMAIN")
            return
        family = {"A": ".", "AAAA": ":"}.get(record_type)
        values = [value for value in addresses[name] if family is not None and family in value]
        yield reply(query, *values, record_type=record_type)

    return respond
