"""One packet's way and one flow over it: which places it passes, what became of it, when it is sent again. Pure values.

This file must never know what a verdict is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from firmware.model.failures import Failure
from tests.country import hosts as far
from tests.country.hosts import Server
from tests.country.rules import Act, Kind, Packet, Place

VANTAGE: Final = -1
"""The collector's own line, as a home's number."""
SECOND: Final = -2
"""Its second vantage, which goes out by the same line and from an address that platforms treat like the country's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What became of a packet: when it arrived, or what was done to it and when its sender meets that; or neither."""

    arrives_s: float | None = None
    act: Act | None = None
    act_s: float = 0.0


LOST: Final = Passage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """How a TCP connect went. `retransmissions` are SYNs sent again by then."""

    at_s: float
    failure: str | None
    retransmissions: int
    rtt_s: float


@dataclass(slots=True, kw_only=True)
class Flow:
    """One TCP connection: whose, with whom, how long a round trip took, and how long it waits before it sends again."""

    home: int
    server: Server
    port: int
    family: int
    number: int
    rto_s: float
    rtt_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back over a flow: each segment's arrival and size, and what was done to the flow instead, if anything."""

    segments: tuple[tuple[float, int], ...] = ()
    complete: bool = False
    act: Act | None = None
    act_s: float = 0.0


def ways(packet: Packet) -> tuple[Place, ...]:
    """Return the places that a packet passes, from its home on."""
    if packet.home in (VANTAGE, SECOND):
        return (Place.VANTAGE, Place.SERVER)
    if packet.host == far.GATEWAY:
        return (Place.HOME,)
    if packet.host == far.COLLECTOR:
        return (Place.HOME, Place.PROVIDER, Place.BORDER, Place.VANTAGE)
    near = (Place.HOME, Place.PROVIDER)
    return (*near, Place.BORDER, Place.SERVER) if packet.abroad else (*near, Place.SERVER)


def packet_of(flow: Flow, kind: Kind, *, up: bool, size: int, name: str = "") -> Packet:
    return Packet(
        home=flow.home,
        host=flow.server.host,
        kind=kind,
        up=up,
        size=size,
        port=flow.port,
        family=flow.family,
        abroad=flow.server.abroad,
        name=name,
        flow=flow.number,
    )


def met(passage: Passage) -> Iterable[tuple[float, str | None]]:
    """Return when a SYN's sender meets what was done to it, and what that is to them."""
    if passage.act is Act.RESET:
        return [(passage.act_s, Failure.CONNECTION_REFUSED)]
    # Whoever answers in the server's place accepts the connection.
    return [(passage.act_s, None)] if passage.act in (Act.PAGE, Act.PORTAL, Act.STRANGER) else []


def sendings(now_s: float, rto_s: float, deadline_s: float) -> Iterator[float]:
    """Yield when something is sent, and sent again."""
    at_s = now_s
    while at_s < deadline_s:
        yield at_s
        at_s, rto_s = at_s + rto_s, 2 * rto_s
