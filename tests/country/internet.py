"""The networks: how packets travel, what TCP and DNS make of their losses, as the kernel's timers have it.

A SYN goes out at 0, 1, 3, 7, 15 and 31 s, a server repeats its answer likewise; data are sent again after
RFC 6298's time-out, which doubles. A rule may stand at each place of the way (`tests.country.rules`). Congestion control
and selective acknowledgements are left out: what is asked here is small. This file must never know what a verdict is.
"""

import random
from collections.abc import Iterable
from typing import Final

from firmware.model.failures import Failure
from tests.country import hosts as far
from tests.country.hosts import Hosts
from tests.country.lines import Line
from tests.country.passages import (
    LOST,
    SECOND,
    VANTAGE,
    Answered,
    Connecting,
    Flow,
    Passage,
    met,
    packet_of,
    sendings,
    ways,
)
from tests.country.resolver import Resolver
from tests.country.rules import Act, Kind, Packet, Place, Rule

SYN_AT_S: Final = (0.0, 1.0, 3.0, 7.0, 15.0, 31.0)
"""When Linux sends a SYN, and again (tcp_syn_retries 6)."""
SYN_BYTES: Final = 60
HEADERS: Final = 52
_BORDER_MS: Final = 6.0
"""One way from a provider's core to the border."""
_LEAST_RTO_S: Final = 0.2
_IN_ROUTER: Final = 0.95
"""The share of names that a router with a cache has in it."""
_ROUTER_S: Final = 0.001


class Internet:
    """The networks of one country, and the way abroad. `lines` are by home; -1 is the collector's."""

    def __init__(self, hosts: Hosts, lines: dict[int, Line], rules: Iterable[Rule], *, seed: str) -> None:
        self.hosts = hosts
        self._lines = lines
        self._rules: dict[Place, list[Rule]] = {place: [] for place in Place}
        for rule in rules:
            self._rules[rule.place].append(rule)
        self._rng = random.Random(f"{seed}/internet")
        self._resolver = Resolver(
            hosts, self._rules[Place.RESOLVER], reaches_abroad=self._reaches_abroad, seed=seed
        )
        self._flows = 0

    def line(self, home: int) -> Line:
        """Return a home's line."""
        return self._lines[home]

    # Packets.

    def send(self, packet: Packet, now_s: float) -> Passage:
        """Send one packet; return what becomes of it."""
        places = ways(packet)
        late_s = 0.0
        for place in places if packet.up else reversed(places):
            passage, extra_s = self._at(place, packet, now_s + late_s)
            late_s += extra_s
            if passage is not None:
                return passage
        if packet.host != far.GATEWAY and self._lines[packet.home].loses(now_s, up=packet.up):
            return LOST
        return Passage(arrives_s=now_s + late_s + self._delay_s(packet))

    def _at(self, place: Place, packet: Packet, now_s: float) -> tuple[Passage | None, float]:
        """Return what is done to a packet at a place, None for nothing, and by how much it is late there."""
        late_s = 0.0
        for number, rule in enumerate(self._rules[place]):
            if not (rule.is_on(now_s) and rule.matches(packet) and self._is_hit(rule, number, packet)):
                continue
            if rule.act is Act.SLOW:
                late_s += rule.extra_ms / 1000
                if self._rng.random() < rule.extra_loss:
                    return LOST, late_s
            elif rule.act is Act.DROP:
                return LOST, late_s
            else:
                back_s = 2 * self._way_s(place, packet)
                return Passage(act=rule.act, act_s=now_s + late_s + max(back_s, rule.late_s)), late_s
        return None, late_s

    def _is_hit(self, rule: Rule, number: int, packet: Packet) -> bool:
        if rule.share >= 1:
            return True
        if rule.by_flow:
            return random.Random(f"{number}/{rule.place}/{packet.flow}").random() < rule.share
        return self._rng.random() < rule.share

    def _delay_s(self, packet: Packet) -> float:
        """Return how long a packet is on its way, one way."""
        if packet.host == far.GATEWAY:
            return 0.0005
        server = self.hosts.by_name[packet.host]
        beyond_ms = server.delay_ms + (
            _BORDER_MS if packet.abroad and packet.home not in (VANTAGE, SECOND) else 0
        )
        return self._lines[packet.home].delay_s(packet.size, up=packet.up) + beyond_ms / 1000

    def _way_s(self, place: Place, packet: Packet) -> float:
        """Return how far a place is, one way."""
        if place is Place.HOME:
            return 0.001
        near_s = self._lines[packet.home].delay_s(HEADERS, up=True)
        return {
            Place.BORDER: near_s + _BORDER_MS / 1000,
            Place.SERVER: near_s + _BORDER_MS / 1000 + self.hosts.by_name[packet.host].delay_ms / 1000,
        }.get(place, near_s)

    # TCP.

    def connect(
        self, home: int, address: str, port: int, now_s: float, deadline_s: float
    ) -> tuple[Connecting, Flow | None]:
        """Connect, as Linux does, until `deadline_s`; return how it went, and the flow where it stands."""
        server = self.hosts.by_address.get(address)
        family = 6 if ":" in address else 4
        self._flows += 1
        if server is None:
            return Connecting(at_s=deadline_s, failure=Failure.TIMEOUT, retransmissions=5, rtt_s=0), None
        flow = Flow(home=home, server=server, port=port, family=family, number=self._flows, rto_s=1.0)
        best: tuple[float, str | None] = (deadline_s, Failure.TIMEOUT)
        rtt_s = 0.0
        for offset_s in SYN_AT_S:
            sent_s = now_s + offset_s
            if sent_s >= best[0]:
                break
            passage = self.send(packet_of(flow, Kind.SYN, up=True, size=SYN_BYTES), sent_s)
            if passage.act is not None:
                ends = met(passage)
            elif passage.arrives_s is not None:
                ends = self._accepted(flow, passage.arrives_s, deadline_s)
            else:
                continue
            for end in ends:
                if end[0] < best[0]:
                    best, rtt_s = end, end[0] - sent_s
        at_s, failure = best
        again = max(0, sum(now_s + offset_s < at_s for offset_s in SYN_AT_S) - 1)
        flow.rto_s = max(rtt_s + _LEAST_RTO_S, 3 * rtt_s)
        told = Connecting(at_s=at_s, failure=failure, retransmissions=again, rtt_s=rtt_s)
        return told, None if failure else flow

    def _accepted(
        self, flow: Flow, arrived_s: float, deadline_s: float
    ) -> Iterable[tuple[float, str | None]]:
        """Yield when the answer to a SYN arrives, the server repeating it until one does."""
        for offset_s in SYN_AT_S[:5]:
            if arrived_s + offset_s >= deadline_s:
                return
            passage = self.send(packet_of(flow, Kind.DATA, up=False, size=SYN_BYTES), arrived_s + offset_s)
            if passage.arrives_s is not None:
                yield passage.arrives_s, None
                return

    def ask(
        self, flow: Flow, kind: Kind, size: int, *, name: str, now_s: float, deadline_s: float
    ) -> Passage:
        """Send `size` bytes in one segment over a flow, again and again until they arrive; return what becomes of it."""
        for at_s in sendings(now_s, flow.rto_s, deadline_s):
            passage = self.send(packet_of(flow, kind, up=True, size=size + HEADERS, name=name), at_s)
            if passage is not LOST:
                return passage
        return LOST

    def answer(self, flow: Flow, sizes: Iterable[int], from_s: float, deadline_s: float) -> Answered:
        """Send segments back over a flow, each again until it arrives; return those that come by the deadline."""
        found: list[tuple[float, int]] = []
        count, latest_s = 0, from_s
        for size in sizes:
            count += 1
            for at_s in sendings(from_s, flow.rto_s, deadline_s):
                passage = self.send(packet_of(flow, Kind.DATA, up=False, size=size + HEADERS), at_s)
                if passage.act is not None:
                    return Answered(segments=tuple(found), act=passage.act, act_s=passage.act_s)
                if passage.arrives_s is not None:
                    latest_s = max(latest_s, passage.arrives_s)
                    if latest_s < deadline_s:
                        found.append((latest_s, size))
                    break
            if len(found) < count:
                break  # what comes behind a hole is not read
        return Answered(segments=tuple(found), complete=len(found) == count)

    # Datagrams.

    def datagram(
        self, home: int, address: str, port: int, data: bytes, now_s: float
    ) -> list[tuple[float, bytes]]:
        """Send a datagram; return what comes back for it, and when."""
        server = self.hosts.by_address.get(address)
        if server is None:
            return []
        self._flows += 1
        flow = Flow(
            home=home,
            server=server,
            port=port,
            family=6 if ":" in address else 4,
            number=self._flows,
            rto_s=1.0,
        )
        kind = Kind.QUERY if port == 53 else Kind.ECHO if port == 0 else Kind.DATAGRAM
        name, record_type = far.question_of(data) if kind is Kind.QUERY else ("", "")
        asked = packet_of(flow, kind, up=True, size=len(data) + 28, name=name)
        if kind is Kind.QUERY and server.host == far.RESOLVER and self._is_in_router(asked, now_s):
            resolved = self._resolver.answer(home, name, record_type, data, now_s + _ROUTER_S)
            return [] if resolved is None else [resolved]
        passage = self.send(asked, now_s)
        if passage.act is Act.FORGE:
            return [(passage.act_s, far.forged(data, record_type))]
        if passage.arrives_s is None:
            return []
        at_s, reply = passage.arrives_s, data
        if kind is Kind.QUERY and server.host == far.RESOLVER:
            resolved = self._resolver.answer(home, name, record_type, data, at_s)
            if resolved is None:
                return []
            at_s, reply = resolved
        elif kind is Kind.QUERY:
            reply = self.hosts.answer(data, name, record_type)
        elif kind is Kind.ECHO:
            reply = bytes([0]) + data[1:]
        back = self.send(packet_of(flow, Kind.DATA, up=False, size=len(reply) + 28), at_s)
        return [] if back.arrives_s is None else [(back.arrives_s, reply)]

    def _is_in_router(self, asked: Packet, now_s: float) -> bool:
        """Return whether a home's router answers a query from its cache: most, as long as it meets its provider."""
        if not self._lines[asked.home].router_resolves or self._rng.random() >= _IN_ROUTER:
            return False
        return all(self._at(place, asked, now_s)[0] is None for place in (Place.HOME, Place.PROVIDER))

    def _reaches_abroad(self, home: int, now_s: float) -> bool:
        """Return whether what the provider's resolver of a home asks abroad passes the border."""
        asked = Packet(
            home=home, host=far.PUBLIC_RESOLVER, kind=Kind.DATAGRAM, up=True, size=80, port=53, abroad=True
        )
        return self._at(Place.BORDER, asked, now_s)[0] is None
