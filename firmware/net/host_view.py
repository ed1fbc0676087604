"""What a host's network looks like at one moment: interfaces, addresses, default routes, resolvers. Pure.

A host's own addresses identify a person: they are here to decide by, and must never enter a record.
`Host.label` is how an address gets into one.
"""

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface. `kind` is `loopback`, `ethernet`, `wifi`, `mobile`, `tunnel` or `other`."""

    name: str
    kind: str
    up: bool
    carrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceAddress:
    """One of this host's own addresses; `scope` is `loopback`, `link_local`, `private`, `cgnat` or `global`."""

    interface: str
    family: int
    address: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoute:
    """One default route; `gateway` is None on a point-to-point link, which needs none."""

    interface: str
    family: int
    gateway: str | None
    metric: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolvers:
    """The configured resolvers, in order.

    `stub` says a local stub stood before them and was passed by; `loopback` that the only ones known are on
    this machine itself, so that asking them says less.
    """

    addresses: tuple[str, ...] = ()
    stub: bool = False
    loopback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the host's network looked like at one moment."""

    interfaces: tuple[Interface, ...] = ()
    addresses: tuple[InterfaceAddress, ...] = ()
    routes: tuple[DefaultRoute, ...] = ()
    resolver_config: Resolvers = Resolvers()

    @property
    def resolvers(self) -> tuple[str, ...]:
        """The configured resolvers' addresses, in order; empty when there is none."""
        return self.resolver_config.addresses

    def default_route(self, family: int) -> DefaultRoute | None:
        """Return the default route of family 4 or 6 with the lowest metric, or None."""
        routes = [route for route in self.routes if route.family == family]
        return min(routes, key=lambda route: route.metric, default=None)

    def gateways(self) -> tuple[str, ...]:
        """Return the default routes' next hops, IPv4 first; a link-local one with its `%interface`."""
        routes = (self.default_route(4), self.default_route(6))
        return tuple(
            f"{route.gateway}%{route.interface}" if is_link_local(route.gateway) else route.gateway
            for route in routes
            if route is not None and route.gateway is not None
        )

    def interface(self, name: str) -> Interface | None:
        """Return the interface called `name`, or None."""
        return next((interface for interface in self.interfaces if interface.name == name), None)

    def uplink(self) -> str:
        """Return the kind of the default route's interface (IPv4 first), "" without a default route."""
        route = self.default_route(4) or self.default_route(6)
        return "" if route is None else self._kind(route.interface)

    def uplink_from(self, source: str) -> str:
        """Return the kind of the interface that has the address `source`, "" where none has."""
        name = next((own.interface for own in self.addresses if own.address == source), None)
        return "" if name is None else self._kind(name)

    def label(self, address: str) -> str:
        """Return `address` as a record may hold it: `@gateway` and `@self` for what is the host's own."""
        bare = address.partition("%")[0]
        if bare in {own.address for own in self.addresses if own.scope != "loopback"}:
            return "@self"
        return "@gateway" if bare in {gateway.partition("%")[0] for gateway in self.gateways()} else address

    def _kind(self, name: str) -> str:
        interface = self.interface(name)
        return "other" if interface is None or interface.kind == "loopback" else interface.kind


def is_link_local(address: str) -> bool:
    """Return whether an address is an IPv6 link-local one, which is nothing without its interface."""
    return ":" in address and scope_of(address) == "link_local"


def scope_of(address: str) -> str:
    """Return `loopback`, `link_local`, `private`, `cgnat` or `global` (RFC 1918, 3927, 4193, 4291, 6598)."""
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
        if packed == b"\0" * 15 + b"\1":
            return "loopback"
        if packed[0] == 0xFE and packed[1] & 0xC0 == 0x80:
            return "link_local"
        return "private" if packed[0] & 0xFE == 0xFC else "global"
    first, second = socket.inet_pton(socket.AF_INET, address)[:2]
    if first == 127:
        return "loopback"
    if (first, second) == (169, 254):
        return "link_local"
    if first == 10 or (first, second) == (192, 168) or (first == 172 and 16 <= second < 32):
        return "private"
    return "cgnat" if first == 100 and 64 <= second < 128 else "global"
