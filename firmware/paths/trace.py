"""Follows a path: sends what the table of hops asks for, puts what comes into it, until it has enough. The hands.

This file must never decide which probe goes next or when to stop: that is `firmware.paths.hops`.
"""

from dataclasses import dataclass, field

from firmware.net.access import Net
from firmware.paths.hops import HopTable
from firmware.paths.probes import PathProbes, ProbeArrival
from firmware.paths.syn_probes import SynProbes


@dataclass(slots=True)
class DatagramTrace:
    """A trace by UDP or ICMP, many probes in flight. Which probe went for which hop and query is kept here."""

    net: Net
    probes: PathProbes
    table: HopTable
    _places: dict[int, tuple[int, int]] = field(default_factory=dict)
    _last: dict[tuple[int, int], int] = field(default_factory=dict)

    async def run(self) -> None:
        """Fill the table until it has enough or the deadline. Raises `MeasurementFailedError` (`write`, `read`)."""
        net, table = self.net, self.table
        while net.now_ns() < net.deadline_ns:
            table.expire(net.now_ns())
            if table.done():
                return
            place = table.next_probe(net.now_ns())
            if place is not None:
                await self._send(place)
                continue
            arrival = await self.probes.receive(deadline_ns=table.wake_ns(net.now_ns()))
            if arrival is not None:
                self._note(arrival)

    async def _send(self, place: tuple[int, int]) -> None:
        which = await self.probes.send(place[0])
        self._places[which], self._last[place] = place, which
        self.table.sent(*place, self.net.now_ns())

    def _note(self, arrival: ProbeArrival) -> None:
        """Fill a slot. Where the arrival does not say which, and several wait, go on one at a time."""
        if arrival.which is not None:
            place = self._places[arrival.which]
            self.table.answered(*place, self.probes.answer(arrival.which, arrival))
            return
        only = self.table.only_flying()
        if only is not None:
            self.table.answered(*only, self.probes.answer(self._last[only], arrival))
        elif not self.table.single:
            self.table.go_single(self.net.now_ns())


async def trace_by_syn(net: Net, probes: SynProbes, table: HopTable) -> None:
    """Fill the table by connects, one after another, until it has enough or the deadline.

    Raises `MeasurementFailedError` (operation `connect`) where no SYN could be sent.
    """
    table.single = True
    while net.now_ns() < net.deadline_ns:
        table.expire(net.now_ns())
        if table.done():
            return
        place = table.next_probe(net.now_ns())
        if place is None:
            await net.loop.sleep_until(min(table.wake_ns(net.now_ns()), net.deadline_ns))
            continue
        start_ns = net.now_ns()
        until_ns = min(start_ns + table.limits.timeout_ns, net.deadline_ns)
        answer = await probes.probe(place[0], deadline_ns=until_ns)
        table.sent(*place, start_ns)
        if answer is not None:
            table.answered(*place, answer)
