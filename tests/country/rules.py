"""What happens to a packet on its way: rules of censors, faults of networks and servers, all in one form. Pure.

A rule says which packets it is about, from when to when, and what it does to them. `tests.country.faults` makes rules
of a truth. This file must never know what a verdict is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FOREVER_S: Final = 1e12


class Place(StrEnum):
    """Where on the way a rule stands: it sees what passes there."""

    HOME = "home"
    """In the home's own network: the router, the Wi-Fi."""
    PROVIDER = "provider"
    """At the provider: all that leaves the home's network."""
    RESOLVER = "resolver"
    """In the provider's resolver: the names it is asked for."""
    BORDER = "border"
    """Where the country's networks meet those abroad."""
    SERVER = "server"
    """At the far end: everyone meets it, the vantage too."""
    VANTAGE = "vantage"
    """At the collector's own line, which its vantage has too."""


class Act(StrEnum):
    """What is done to a packet."""

    DROP = "drop"
    RESET = "reset"
    """A forged reset: of a SYN a refusal."""
    FORGE = "forge"
    """A forged answer to a DNS query, which leads to a page that says it is blocked; the query goes on."""
    PARK = "park"
    """A resolver's answer that leads to a page of the provider's own, whatever the name."""
    DENY = "deny"
    """A resolver's NXDOMAIN for the name."""
    SERVFAIL = "servfail"
    PORTAL = "portal"
    """A sign-in page for clear text, nothing for all else."""
    PAGE = "page"
    """A block page for clear text."""
    STRANGER = "stranger"
    """Another certificate than the server's."""
    UNAVAILABLE = "unavailable"
    """The server answers 503."""
    SLOW = "slow"
    """The packet is late by `extra_ms`."""


class Kind(StrEnum):
    """What a packet is."""

    SYN = "syn"
    HELLO = "hello"
    """A TLS ClientHello, which shows a name."""
    REQUEST = "request"
    """An HTTP request in clear text, which shows a name."""
    DATA = "data"
    """What follows on a TCP stream, either way, and the answer to a SYN."""
    QUERY = "query"
    """A DNS query, which shows a name."""
    DATAGRAM = "datagram"
    ECHO = "echo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet. `home` is whose it is (-1: the collector's), `host` the far end, `name` what it shows in clear."""

    home: int
    host: str
    kind: Kind
    up: bool
    size: int
    port: int
    family: int = 4
    abroad: bool
    name: str = ""
    flow: int = 0
    """A number of the flow it belongs to, for rules that stop some flows and not others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """From `since_s` to `until_s`, at `place`: `act` on the packets that it matches. None matches all.

    `share` is of packets, or with `by_flow` of flows. `late_s` is how long a reset takes. `homes` are those whose
    packets pass it; the vantage passes only what is at the server or at itself.
    """

    place: Place
    act: Act
    since_s: float = 0.0
    until_s: float = FOREVER_S
    homes: frozenset[int] | None = None
    abroad: bool | None = None
    hosts: frozenset[str] | None = None
    spared: frozenset[str] = frozenset()
    """Hosts that it leaves alone."""
    names: frozenset[str] | None = None
    kinds: frozenset[Kind] | None = None
    family: int | None = None
    ports: frozenset[int] | None = None
    up: bool | None = None
    share: float = 1.0
    by_flow: bool = False
    larger_than: int = 0
    late_s: float = 0.0
    extra_ms: float = 0.0
    extra_loss: float = 0.0

    def is_on(self, now_s: float) -> bool:
        """Return whether it is at work."""
        return self.since_s <= now_s < self.until_s

    def matches(self, packet: Packet) -> bool:
        """Return whether it is about a packet, its share apart."""
        return (
            (self.homes is None or packet.home in self.homes)
            and (self.abroad is None or packet.abroad is self.abroad)
            and (self.hosts is None or packet.host in self.hosts)
            and packet.host not in self.spared
            and (self.names is None or packet.name in self.names)
            and (self.kinds is None or packet.kind in self.kinds)
            and (self.family is None or packet.family == self.family)
            and (self.ports is None or packet.port in self.ports)
            and (self.up is None or packet.up is self.up)
            and packet.size > self.larger_than
        )
