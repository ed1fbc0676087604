"""The networks: what TCP and DNS make of packets that are lost or wait, as the kernel's timers have it.

A SYN goes out at 0, 1, 3, 7, 15 and 31 s, a server repeats its answer likewise; data are sent again after
RFC 6298's time-out, which doubles. A rule may stand at each place of the way (`tests.country.rules`). Congestion control
and selective acknowledgements are left out: what is asked here is small. This file must never know what a verdict is.
"""

from collections.abc import Iterable
from typing import Final

from firmware.model.failures import Failure
from tests.country import hosts as far
from tests.country.hosts import Hosts
from tests.country.lines import Line
from tests.country.network import Network
from tests.country.passages import LOST, Answered, Connecting, Flow, Passage, met, packet_of, sendings
from tests.country.resolver import Resolver
from tests.country.rules import Act, Kind, Packet, Place, Rule

SYN_AT_S: Final = (0.0, 1.0, 3.0, 7.0, 15.0, 31.0)
"""When Linux sends a SYN, and again (tcp_syn_retries 6)."""
SYN_BYTES: Final = 60
HEADERS: Final = 52
"""Of a segment; an acknowledgement is no more."""
_LEAST_RTO_S: Final = 0.2
_IN_ROUTER: Final = 0.95
"""The share of names that a router with a cache has in it."""
_ROUTER_S: Final = 0.001
_ACKED: Final = 2
"""Of so many segments one is acknowledged (RFC 9293, 3.8.6.3)."""


class Internet(Network):
    """The networks of one country, and the way abroad."""

    def __init__(self, hosts: Hosts, lines: dict[int, Line], rules: Iterable[Rule], *, seed: str) -> None:
        super().__init__(hosts, lines, rules, seed=seed)
        self._resolver = Resolver(
            hosts, self._rules[Place.RESOLVER], reaches_abroad=self._reaches_abroad, seed=seed
        )
        self._flows = 0

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
            elif passage.arrives_s is not None and server.host == far.UNROUTED:
                ends = self._unreachable(flow, passage.arrives_s)
            elif passage.arrives_s is not None:
                ends = self._accepted(flow, passage.arrives_s, deadline_s)
            else:
                continue
            for end in ends:
                if end[0] < best[0]:
                    best, rtt_s = end, end[0] - sent_s
        at_s, failure = best
        again = max(0, sum(now_s + offset_s < at_s for offset_s in SYN_AT_S) - 1)
        flow.rtt_s, flow.rto_s = rtt_s, max(rtt_s + _LEAST_RTO_S, 3 * rtt_s)
        told = Connecting(at_s=at_s, failure=failure, retransmissions=again, rtt_s=rtt_s)
        if failure:
            return told, None
        self.beside(flow, HEADERS, at_s, up=True)
        return told, flow

    def beside(self, flow: Flow, size: int, at_s: float, *, up: bool) -> float:
        """Have a packet that nobody waits for take its place in the line's queue: an acknowledgement, a farewell.

        It comes to that queue at `at_s`; return when it leaves it.
        """
        left_s = self._lines[flow.home].leaves_s(size, at_s, up=up)
        return at_s if left_s is None else left_s

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

    def _unreachable(self, flow: Flow, arrived_s: float) -> Iterable[tuple[float, str | None]]:
        """Yield when a router's word arrives that there is no way to that network, if it does."""
        told = self.send(packet_of(flow, Kind.DATA, up=False, size=SYN_BYTES), arrived_s)
        if told.arrives_s is not None:
            yield told.arrives_s, Failure.NETWORK_UNREACHABLE

    def ask(
        self, flow: Flow, kind: Kind, size: int, *, name: str, now_s: float, deadline_s: float
    ) -> Passage:
        """Send `size` bytes in one segment over a flow, again and again until they arrive; return what becomes of it.

        What waits in a queue for longer than the sender's time-out goes out again, too, for nothing.
        """
        found, acknowledged_s = LOST, 0.0
        for at_s in sendings(now_s, flow.rto_s, deadline_s):
            if found is LOST:
                found = self.send(packet_of(flow, kind, up=True, size=size + HEADERS, name=name), at_s)
                if found.act is not None:
                    break
                if found.arrives_s is not None:
                    # It comes back as long after as the line and what is beyond take.
                    at_queue_s = found.arrives_s + flow.rtt_s / 2
                    acknowledged_s = self.beside(flow, HEADERS, at_queue_s, up=False)
            elif at_s < acknowledged_s:
                self.beside(flow, size + HEADERS, at_s, up=True)
            else:
                break
        return found

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
            if count % _ACKED == 1:
                acknowledged_s = self.beside(flow, HEADERS, latest_s, up=True) + flow.rtt_s / 2
                if count == 1 and acknowledged_s > from_s + flow.rto_s:
                    self.beside(flow, size + HEADERS, from_s + flow.rto_s, up=False)
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
