"""Tries sizes on a path until the search has what it needs: one packet after another, a small one after a silence.

This file must never decide which size comes next: that is `firmware.paths.mtu_search`.
"""

from dataclasses import dataclass
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Phase
from firmware.net.access import DatagramFlow, Net
from firmware.net.host_view import Host
from firmware.net.path_labels import path_labels
from firmware.net.targets import family_of
from firmware.paths.hops import HopKind, HopReply
from firmware.paths.mtu_search import MtuSearch
from firmware.paths.options import IP_HEADER, MTU, MTU_DISCOVER, PMTUDISC_PROBE, TRANSPORT_HEADER
from firmware.paths.probes import IcmpForm, PathProbes, UdpForm

SMALL: Final = 60
"""A packet that every path takes."""
_SMALL_TRIES: Final = 3
_SMALL_WAIT_NS: Final = 1_100_000_000
"""A Linux host that has answered too many answers one a second."""
_LEAST_WAIT_NS: Final = 250_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How often a size is tried, the longest wait for an answer, the biggest size, and all bytes at most."""

    count: int
    timeout_ns: int
    max_size: int
    max_bytes: int


class MtuProbe:
    """One search over one open flow; `run` it once, then ask."""

    def __init__(self, net: Net, flow: DatagramFlow, method: str, tries: Tries) -> None:
        self.rtt: Phase | None = None
        self.is_answered = False
        """Whether a small packet was answered at all."""
        self._net = net
        self._tries = tries
        self._search = MtuSearch(good=SMALL, ceiling=tries.max_size)
        self._family = family_of(flow.remote[0]) or 4
        self._target = flow.remote[0]
        self._probes = PathProbes(
            flow=flow,
            form=IcmpForm(self._family) if method == "icmp" else UdpForm(),
            family=self._family,
            payload_bytes=0,
        )
        self._flow = flow
        self._tried: list[JsonValue] = []
        self._hints: list[tuple[int, str]] = []
        self._black_hole = False
        self._end = "found"
        self._said: str | None = None
        self._spent = 0
        self._kernel_mtu: int | None = None

    async def run(self) -> None:
        """Search to the end, the deadline or the bytes. Raises `MeasurementFailedError` for what is broken here."""
        self._flow.set_option(*MTU_DISCOVER[self._family], PMTUDISC_PROBE)
        self.is_answered = await self._small_is_answered()
        if not self.is_answered:
            self._end = "unanswered"
        while self._end == "found" and (size := self._search.next_size()) is not None:
            await self._try(size)
        self._kernel_mtu = self._flow.get_option(*MTU[self._family])

    @property
    def is_found(self) -> bool:
        """Whether the MTU is known."""
        return self._end == "found"

    @property
    def why(self) -> str:
        """The failure word for an MTU that is not known: what somebody said, else silence."""
        return self._said or Failure.TIMEOUT

    def to_json(self, host: Host) -> JsonObject:
        """Return what a record keeps; the routers' names are a path's (`firmware.net.path_labels`)."""
        answered = self.is_answered
        routers = [router for _, router in self._hints if router]
        labels = path_labels(
            host, self._target, [(2, routers)]
        )  # how far they are is not known: past the gateway
        return {
            "mtu": self._search.mtu if self.is_found else None,
            "at_least": self._search.good if answered else None,
            "below": self._search.bad,
            "kernel_mtu": self._kernel_mtu,
            "hints": [
                {"mtu": mtu, "from": labels.get(router, "@self")}
                for mtu, router in dict.fromkeys(self._hints)
            ],
            "black_hole": self._black_hole,
            "tried": self._tried,
            "end": self._end,
        }

    async def _try(self, size: int) -> None:
        """Try one size until it is clear what becomes of it."""
        for _ in range(self._tries.count):
            if self._net.now_ns() >= self._net.deadline_ns or self._spent + 2 * size > self._tries.max_bytes:
                self._end = "deadline" if self._net.now_ns() >= self._net.deadline_ns else "bytes"
                return
            answer = await self._ask(size, self._patience_ns())
            if answer is not None:
                self._note(size, answer)
                return
            if not await self._small_is_answered():
                self._end = "unanswered"
                return
        self._tried.append([size, "silent"])
        self._black_hole = True
        self._search.stopped(size)

    def _note(self, size: int, answer: HopReply) -> None:
        if answer.kind is HopKind.REACHED:
            self._tried.append([size, "passed"])
            self._search.passed(size)
        elif answer.failure == Failure.MESSAGE_SIZE:
            self._tried.append([size, "too_big"])
            self._search.stopped(size, answer.mtu)
            self._hints.append((answer.mtu, answer.address))
        else:
            self._end, self._said = "unanswered", answer.failure

    async def _small_is_answered(self) -> bool:
        """Send the small packet until it is answered, or often enough."""
        for _ in range(_SMALL_TRIES):
            if self._net.now_ns() >= self._net.deadline_ns:
                break
            start_ns = self._net.now_ns()
            answer = await self._ask(SMALL, max(self._patience_ns(), _SMALL_WAIT_NS))
            if answer is None:
                continue
            if answer.kind is HopKind.REACHED:
                if self.rtt is None:
                    self.rtt = answer.rtt
                return True
            self._said = answer.failure
            await self._net.loop.sleep_until(min(start_ns + _SMALL_WAIT_NS, self._net.deadline_ns))
        return False

    async def _ask(self, size: int, patience_ns: int) -> HopReply | None:
        """Send one packet of `size`; return what comes for it, or what this device's own link says of it."""
        self._probes.payload_bytes = size - IP_HEADER[self._family] - TRANSPORT_HEADER
        self._spent += size
        try:
            which = await self._probes.send(None)
        except MeasurementFailedError as error:
            if error.failure != Failure.MESSAGE_SIZE:
                raise
            said = self._flow.last_error
            self._flow.last_error = None
            mtu = said[0].info if said is not None else 0
            return HopReply(address="", kind=HopKind.ENDED, rtt=None, failure=error.failure, mtu=mtu)
        deadline_ns = min(self._net.now_ns() + patience_ns, self._net.deadline_ns)
        while self._net.now_ns() < deadline_ns:
            arrival = await self._probes.receive(deadline_ns=deadline_ns)
            if arrival is not None and arrival.which in (which, None):
                self._spent += len(arrival.datagram.data) + IP_HEADER[self._family] + TRANSPORT_HEADER
                return self._probes.answer(which, arrival)
        return None

    def _patience_ns(self) -> int:
        """Return how long to wait: a few times what the small packet took."""
        if self.rtt is None:
            return self._tries.timeout_ns
        return min(self._tries.timeout_ns, max(4 * self.rtt.ns, _LEAST_WAIT_NS))
