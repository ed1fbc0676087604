"""Who is where: the hosts that a plan asks, their names and addresses, what they answer; and a home as its device sees it.

Names and addresses are made from the plan; a pinned address is the plan's own. This file must never know what is
wrong in the country.
"""

import socket
import struct
from dataclasses import dataclass, replace
from typing import Final

from firmware.model.plan import Plan, PlannedTarget, PlannedTask
from firmware.model.record import Zone
from firmware.net.host_view import DefaultRoute, Host, Interface, InterfaceAddress, Resolvers
from firmware.net.targets import family_of
from firmware.protocols.dns_names import read_name
from firmware.protocols.dns_wire import RECORD_TYPES

RESOLVER: Final = "resolver"
"""The provider's resolver, as a host."""
RESOLVER_ADDRESS: Final = "10.0.0.53"
GATEWAY: Final = "gateway"
GATEWAY_ADDRESS: Final = "192.168.1.1"
COLLECTOR: Final = "collector.example"
PUBLIC_RESOLVER: Final = "dns.google"
STRANGER: Final = "block-page"
"""Where a forged answer leads."""
STRANGER_ADDRESS: Final = "10.10.34.35"
UNROUTED: Final = "block-page-of-another-network"
"""Where forged answers for other names lead: to a network that the provider has no way to."""
UNROUTED_ADDRESS: Final = "10.10.34.34"
PARKED: Final = "parked-page"
"""Where a provider's resolver leads that gives every name its own page: to nobody that any censor's list knows."""
PARKED_ADDRESS: Final = "100.64.0.80"
_PUBLIC_RESOLVER_ADDRESS: Final = "8.8.8.8"
_HEADER: Final = struct.Struct("!6H")
_NXDOMAIN: Final = 3
_SERVFAIL: Final = 2
_AUTHORITY: Final = b"\x01a\xc0\x0c\x04info\xc0\x0c" + struct.pack("!5I", 2026010801, 3600, 900, 604800, 300)
_START_OF_AUTHORITY: Final = struct.pack("!HHHIH", 0xC00C, 6, 1, 300, len(_AUTHORITY)) + _AUTHORITY
"""A SOA record of the name that was asked for."""
_TYPES: Final = {number: name for name, number in RECORD_TYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One host: its name, its addresses by family, how far it is from the border (one way), whether it is abroad."""

    host: str
    addresses: tuple[str, ...]
    abroad: bool
    delay_ms: float

    def address(self, family: int) -> str | None:
        """Return its address of a family."""
        return next((one for one in self.addresses if family_of(one) == family), None)


class Hosts:
    """All hosts of a country's plan, by name and by address."""

    def __init__(self, plan: Plan) -> None:
        self.by_name: dict[str, Server] = {}
        self.by_address: dict[str, Server] = {}
        self.of_target: dict[str, str] = {}
        """The host that a target of the plan is, by the target's name."""
        self.secure: set[str] = set()
        """Hosts that send who asks in clear text on to their own HTTPS."""
        asked: list[PlannedTarget | PlannedTask] = [*plan.targets, *plan.tasks]
        for number, one in enumerate(asked):
            if one.zone is not Zone.LOCAL and not one.target.startswith("@"):
                self._add_target(number, one)
        for one in asked:
            if one.test == "dns" and one.zone is Zone.LOCAL:
                # The name that the provider's resolver is asked for is there.
                self._add(Server(host=one.target, addresses=("185.200.10.10",), abroad=False, delay_ms=4))
        self._add(Server(host=RESOLVER, addresses=(RESOLVER_ADDRESS,), abroad=False, delay_ms=1))
        self._add(Server(host=GATEWAY, addresses=(GATEWAY_ADDRESS,), abroad=False, delay_ms=0))
        self._add(Server(host=STRANGER, addresses=(STRANGER_ADDRESS,), abroad=False, delay_ms=2))
        self._add(Server(host=UNROUTED, addresses=(UNROUTED_ADDRESS,), abroad=False, delay_ms=2))
        self._add(Server(host=PARKED, addresses=(PARKED_ADDRESS,), abroad=False, delay_ms=2))
        self._add(
            Server(host=PUBLIC_RESOLVER, addresses=(_PUBLIC_RESOLVER_ADDRESS,), abroad=True, delay_ms=35)
        )
        self._add(Server(host=COLLECTOR, addresses=("198.51.100.7",), abroad=True, delay_ms=45))

    def _add_target(self, number: int, one: PlannedTarget | PlannedTask) -> None:
        place = one.target.removeprefix("https://").removeprefix("http://").split("/")[0]
        head, _, port = place.rpartition(":")
        name = (head if port.isdigit() else place).strip("[]")
        if one.test == "dns":
            name = str(one.options.get("resolver", ""))
        pinned = name if family_of(name) is not None else ""
        told = str(one.options.get("sni") or one.options.get("host") or "")
        host = told or (f"host-{one.name}" if pinned else name)
        if one.test == "tls" or one.target.startswith("https:"):
            self.secure.add(host)
        abroad = one.zone is Zone.INTERNATIONAL
        net = 20 + number
        own = pinned or (
            f"93.{net}.{7 * number % 250}.{10 + number}" if abroad else f"185.{net}.10.{10 + number}"
        )
        six = f"2a0{number % 10}:{net:x}::{10 + number:x}"
        addresses = (own,) if pinned else (own, six)
        self.of_target[one.name] = host
        delay_ms = 20 + 13 * number % 70 if abroad else 2 + number % 9
        self._add(Server(host=host, addresses=addresses, abroad=abroad, delay_ms=delay_ms))

    def _add(self, server: Server) -> None:
        known, given = self.by_name.get(server.host), server.addresses
        if known is not None:
            more = tuple(one for one in server.addresses if one not in known.addresses)
            # A name has one address of a family, as it was first given; a pinned one of another family is its too.
            free = tuple(one for one in more if known.address(family_of(one) or 4) is None)
            server = replace(known, addresses=(*known.addresses, *free))
        self.by_name[server.host] = server
        # A host is at every address that a target is pinned to, also where its name has another.
        self.by_address.update(dict.fromkeys((*server.addresses, *given), server))

    def values(self, name: str, record_type: str) -> tuple[str, ...]:
        """Return the true answer to a DNS question for addresses; empty: there is none."""
        server = self.by_name.get(name)
        address = None if server is None else server.address({"A": 4, "AAAA": 6}.get(record_type, 0))
        return () if address is None else (address,)

    def answer(self, query: bytes, name: str, record_type: str) -> bytes:
        """Return the true answer to a query, in wire form."""
        if record_type == "SOA":
            return _answer(query, [_START_OF_AUTHORITY])
        is_known = name in self.by_name
        return answer_to(query, self.values(name, record_type)) if is_known else nxdomain(query)


def forged(query: bytes, record_type: str, *, to: str = "") -> bytes:
    """Return a forged answer, which leads to a stranger or, for every other name, to no network, unless told otherwise."""
    name, _ = question_of(query)
    address = to or (STRANGER_ADDRESS if len(name) % 2 else UNROUTED_ADDRESS)
    return answer_to(query, (address,) if record_type == "A" else ())


def question_of(query: bytes) -> tuple[str, str]:
    """Return the name and the type that a DNS query asks for."""
    name, place = read_name(query, _HEADER.size, len(query))
    (number,) = struct.unpack_from("!H", query, place)
    return name.removesuffix(".").lower(), _TYPES.get(number, "")


def answer_to(query: bytes, values: tuple[str, ...] = (), *, rcode: int = 0) -> bytes:
    """Return a DNS answer in wire form: addresses, or a response code."""
    return _answer(query, list(map(_record, values)), rcode=rcode)


def _answer(query: bytes, records: list[bytes], *, rcode: int = 0) -> bytes:
    (query_id,) = struct.unpack_from("!H", query)
    head = _HEADER.pack(query_id, 0x8180 | rcode, 1, len(records), 0, 0)
    return head + query[_HEADER.size :] + b"".join(records)


def nxdomain(query: bytes) -> bytes:
    """Return the answer that a name does not exist."""
    return answer_to(query, rcode=_NXDOMAIN)


def servfail(query: bytes) -> bytes:
    """Return the answer of a resolver that failed."""
    return answer_to(query, rcode=_SERVFAIL)


def _record(address: str) -> bytes:
    is_six = ":" in address
    data = socket.inet_pton(socket.AF_INET6 if is_six else socket.AF_INET, address)
    return struct.pack("!HHHIH", 0xC00C, 28 if is_six else 1, 1, 300, len(data)) + data


def page_of(host: str, path: str, *, forged: bool = False, status: int = 200, moved: bool = False) -> bytes:
    """Return what a server sends to a request in clear text, or over TLS; `moved`: it sends on to its HTTPS."""
    if forged:
        body = b'<html><body><iframe src="http://10.10.34.35:80"></iframe></body></html>'
        return _response(403, "Forbidden", body)
    if status != 200:
        return _response(status, "Service Unavailable", b"<title>Maintenance</title>")
    if moved and path == "/":
        return f"HTTP/1.1 301 Moved Permanently\r\nLocation: https://{host}/\r\nContent-Length: 0\r\n\r\n".encode()
    if path == "/generate_204":
        return b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    return _response(200, "OK", f"<html><title>{host}</title>{'text ' * 400}</html>".encode())


def sign_in_page() -> bytes:
    """Return a captive portal's answer to any request."""
    return b"HTTP/1.1 302 Found\r\nLocation: http://192.168.1.1/login\r\nContent-Length: 0\r\n\r\n"


def _response(status: int, reason: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def home_host(
    *, families: tuple[int, ...], carrier: bool = True, address: bool = True, kind: str = "ethernet"
) -> Host:
    """Return a home's network as its device sees it."""
    addresses, routes = [], []
    if carrier and address:
        addresses.append(
            InterfaceAddress(interface="net0", family=4, address="192.168.1.20", scope="private")
        )
        routes.append(DefaultRoute(interface="net0", family=4, gateway=GATEWAY_ADDRESS, metric=0))
        if 6 in families:
            addresses.append(
                InterfaceAddress(interface="net0", family=6, address="2a0f:1::20", scope="global")
            )
            routes.append(DefaultRoute(interface="net0", family=6, gateway="fe80::1", metric=0))
    return Host(
        interfaces=(Interface(name="net0", kind=kind, up=True, carrier=carrier),),
        addresses=tuple(addresses),
        routes=tuple(routes),
        resolver_config=Resolvers(addresses=(RESOLVER_ADDRESS,) if routes else ()),
    )
