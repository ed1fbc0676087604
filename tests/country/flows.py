"""Datagram flows over `tests.country.internet`: DNS, NTP, echo. This file must never decide what to ask."""

import heapq
import time
from typing import Final, Protocol

from firmware.model.record import Phase, Stamp
from firmware.net.datagrams import Datagram, DatagramFlow
from firmware.net.loop import Loop
from firmware.net.stamps import ArrivalStamp, Departure, WallTimes
from firmware.net.streams import Traffic
from tests.country.streams import OFFSET
from tests.country.virtual_time import BOOTED_NS, NS, VirtualClock, since_s
from tests.country.way import Way
from tests.servers.ntp import truthful

_NTP_PORT: Final = 123


class FlowNet(Protocol):
    """What a flow needs of the task's way to the network."""

    loop: Loop
    deadline_ns: int
    traffic: Traffic
    first_sent: Departure | None

    @property
    def way(self) -> Way:
        """Its way over the networks."""

    @property
    def clock(self) -> VirtualClock:
        """The country's clock."""

    @property
    def home(self) -> int:
        """Whose task it is."""

    @property
    def now_s(self) -> float:
        """The time since the country's beginning."""

    def now_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""

    def departure(self) -> Departure:
        """Return a send as of now."""

    async def begin(self, lead_ns: int = 0) -> None:
        """Wait for the task's slot."""


class VirtualFlow(DatagramFlow):
    """A connected datagram flow."""

    def __init__(self, net: FlowNet, address: str, port: int) -> None:
        self.remote = (address, port)
        self.local = ("192.168.1.20", 40_000)
        self.last_error = None
        self._net = net
        self._departures: list[Departure] = []
        self._coming: list[tuple[float, int, bytes]] = []

    def close(self) -> None:
        """Nothing is held."""

    @property
    def lead_ns(self) -> int:
        """No send needs a lead here."""
        return 0

    async def send(self, data: bytes, *, due_ns: int = 0) -> int:
        """Send one datagram; return its number."""
        net = self._net
        await net.begin()
        if due_ns:
            await net.loop.sleep_until(due_ns)
        departure = net.departure()
        self._departures.append(departure)
        net.first_sent = net.first_sent or departure
        net.traffic.bytes_up += len(data)
        address, port = self.remote
        for at_s, reply in net.way.datagram(address, port, data, net.now_s):
            told = _time_of(net.clock, data) if port == _NTP_PORT else reply
            heapq.heappush(self._coming, (at_s, len(self._coming), told))
        return len(self._departures) - 1

    async def receive(self, *, deadline_ns: int) -> Datagram | None:
        """Return the next datagram by a moment, or None."""
        net = self._net
        limit_ns = min(deadline_ns, net.deadline_ns)
        if not self._coming or self._coming[0][0] >= since_s(limit_ns):
            await net.loop.sleep_until(limit_ns)
            return None
        at_s, _, data = heapq.heappop(self._coming)
        await net.loop.sleep_until(BOOTED_NS + round(at_s * NS))
        net.traffic.bytes_down += len(data)
        return Datagram(data=data, ttl=60, arrival=ArrivalStamp(net.now_ns(), None, OFFSET))

    def rtt(self, sent_id: int, arrival: Datagram) -> Phase:
        """Return the time from a send to an arrival."""
        return Phase(ns=arrival.received_ns - self._departures[sent_id].user_ns, stamp=Stamp.USER)

    def wall_times(self, sent_id: int, arrival: Datagram) -> WallTimes:
        """Return both moments on the wall clock."""
        ahead_ns = self._net.clock.utc_ns() - self._net.clock.boottime_ns()
        sent_ns = self._departures[sent_id].user_ns
        return WallTimes(sent_ns + ahead_ns, arrival.received_ns + ahead_ns, Stamp.USER)

    def egress_queue_ns(self, sent_id: int) -> int | None:
        """No queue is known."""
        return None

    def departure(self, sent_id: int) -> Departure:
        """Return when a send left."""
        return self._departures[sent_id]


def _time_of(clock: VirtualClock, question: bytes) -> bytes:
    """Return a good NTP server's answer, by the virtual clock."""
    # The helper goes by this machine's clock: what that is off by is made up for.
    return truthful(question, ahead_ns=clock.utc_ns() - time.time_ns())
