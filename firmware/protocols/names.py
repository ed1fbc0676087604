"""Host names to addresses, as every probe resolves them: /etc/hosts first, then the configured resolvers.

The system's getaddrinfo would block the worker's one thread and hide what was answered, so this asks the
resolvers of resolv.conf itself, over UDP, in their order, with resolv.conf's attempts and time-out; A and AAAA
side by side. Names are absolute: no search domain is tried. Literal addresses pass through at no cost.

An answer that cannot be true (a private address for a public name) is still an address: the probe goes where
a browser would go, and the query in its record carries `dns_bogon_error`. This file must never cache, and must
never let a resolver's own private address into a record.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Phase
from firmware.net.access import Net
from firmware.net.files import FilePath, read_text
from firmware.net.host_view import Host
from firmware.net.targets import family_of, parse_host_port
from firmware.protocols.bogons import is_bogon
from firmware.protocols.dns_exchange import OPERATION, PORT, Exchange, Patience, Question, Server, ask
from firmware.protocols.resolver_files import ResolverOptions, parse_hosts, parse_resolver_options

ISP: Final = "@isp"
"""How a record names a resolver whose address is the host's own business."""

HOSTS_FILE: Final = "/etc/hosts"
RESOLV_CONF: Final = "/etc/resolv.conf"

TYPE_OF_FAMILY: Final = {4: "A", 6: "AAAA"}
"""The record that holds an address of each family."""
_CONCLUSIVE: Final = frozenset({None, Failure.DNS_NXDOMAIN, Failure.DNS_NO_ANSWER, Failure.DNS_BOGON})
"""After any other failure the next resolver is asked, as the C library does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a name came to. `source` is `literal`, `hosts` or `dns`; `queries` go into the probe's record.

    `addresses` stand in the order of the families asked for, within one in the resolver's. `failure` is None
    exactly when there are any. `phase` is the slowest of the answers that were waited for, None without DNS.
    """

    host: str
    addresses: tuple[str, ...] = ()
    source: str = "dns"
    queries: tuple[JsonObject, ...] = ()
    failure: str | None = None
    phase: Phase | None = None


async def resolve(net: Net, host: str, *, families: Sequence[int] = (4, 6)) -> Resolved:
    """Return the addresses of `host`. Raises `MeasurementFailedError` (operation `resolve`) when there are none."""
    resolved = await lookup(net, host, families=families)
    if resolved.failure is not None:
        raise MeasurementFailedError(resolved.failure, operation=OPERATION)
    return resolved


async def lookup(
    net: Net,
    host: str,
    *,
    families: Sequence[int] = (4, 6),
    hosts_file: FilePath = HOSTS_FILE,
    window_ns: int = 0,
) -> Resolved:
    """Return the addresses of `host`, or why there are none, with the queries made either way.

    `window_ns` is how long to listen on for further answers after the first.
    """
    if (family := family_of(host)) is not None:
        if family in families:
            return Resolved(host=host, addresses=(host,), source="literal")
        return Resolved(host=host, source="literal", failure=Failure.ADDRESS_FAMILY_NOT_SUPPORTED)
    listed = parse_hosts(read_text(hosts_file), host)
    known = _in_order(listed, families)
    if known:
        return Resolved(host=host, addresses=known, source="hosts")
    asked = await net.loop.gather(
        ask_system(net, Question(name=host, record_type=TYPE_OF_FAMILY[family]), window_ns=window_ns)
        for family in families
    )
    last = [exchanges[-1] for exchanges in asked if exchanges]
    addresses = tuple(value for exchange in last for value in exchange.values())
    return Resolved(
        host=host,
        addresses=addresses,
        queries=tuple(
            exchange.to_json(label(net.host, exchange.server.address))
            for exchanges in asked
            for exchange in exchanges
        ),
        failure=None if addresses else _why_none(last),
        phase=max(
            (exchange.phases["resolve"] for exchange in last if "resolve" in exchange.phases),
            key=lambda phase: phase.ns,
            default=None,
        ),
    )


async def ask_system(
    net: Net, question: Question, *, window_ns: int, resolv_conf: FilePath = RESOLV_CONF
) -> tuple[Exchange, ...]:
    """Ask the configured resolvers in order until one concludes; return every exchange, the telling one last.

    Empty when no resolver is configured.
    """
    options = system_options(resolv_conf)
    patience = Patience(attempts=1, timeout_ns=options.timeout_s * 1_000_000_000, window_ns=window_ns)
    exchanges: list[Exchange] = []
    for _ in range(options.attempts):
        for server in system_servers(net.host):
            exchanges.append(await ask(net, server, question, patience))
            if exchanges[-1].failure in _CONCLUSIVE:
                return tuple(exchanges)
    return tuple(exchanges)


def system_servers(host: Host) -> tuple[Server, ...]:
    """Return the configured resolvers, in order."""
    found = (parse_host_port(resolver, default_port=PORT) for resolver in host.resolvers)
    return tuple(Server(address=place.host, port=place.known_port) for place in found)


def system_options(resolv_conf: FilePath = RESOLV_CONF) -> ResolverOptions:
    """Read how hard this host tries to resolve."""
    return parse_resolver_options(read_text(resolv_conf))


def label(host: Host, address: str) -> str:
    """Return a configured resolver's address as a record may hold it: `@isp` for one inside the host's network.

    That is a private, loopback or link-local address, and one that shares an IPv6 /64 with the host.
    """
    if is_bogon(address) or host.label(address) != address:
        return ISP
    own = {_first_half(found.address) for found in host.addresses if found.family == 6}
    return ISP if family_of(address) == 6 and _first_half(address) in own else address


def _why_none(last: Sequence[Exchange]) -> str:
    """Choose the word for a name without addresses: the first that says more than "none of this family"."""
    if not last:
        return Failure.NO_RESOLVER
    words = [exchange.failure for exchange in last if exchange.failure is not None]
    telling = [word for word in words if word != Failure.DNS_NO_ANSWER]
    return (telling or words or [Failure.DNS_NO_ANSWER])[0]


def _in_order(addresses: Sequence[str], families: Sequence[int]) -> tuple[str, ...]:
    return tuple(address for family in families for address in addresses if family_of(address) == family)


def _first_half(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8]
