"""What a measurement is given in the place of sockets: its way to `tests.country.internet`, and whose way it is.

The measurements themselves are the product's, with its names, time-outs and second tries; only what the kernel and
OpenSSL would do is done here (`tests.country.streams`, `tests.country.flows`). This file must never decide what to ask.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net import host as host_module
from firmware.net.access import CONNECT_TIMEOUT_S, Net
from firmware.net.datagrams import DatagramFlow
from firmware.net.host_view import Host
from firmware.net.kernel import TcpInfo
from firmware.net.loop import Loop
from firmware.net.stamps import Departure
from firmware.net.streams import ConnectAttempt, TcpStream
from firmware.protocols import names as names_module
from firmware.protocols import tls_stream as tls_module
from firmware.worker import runner
from tests.country.flows import VirtualFlow
from tests.country.internet import Internet
from tests.country.streams import OFFSET, VirtualStream, VirtualTls
from tests.country.virtual_time import BOOTED_NS, NS, VirtualClock, VirtualLoop, since_s
from tests.country.way import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that measures: its home's number, and how it sees its own network now."""

    home: int
    view: Callable[[], Host]


class Machines:
    """Which machine each of the loop's tasks belongs to, and the networks they share."""

    def __init__(self, clock: VirtualClock, loop: VirtualLoop, internet: Internet) -> None:
        self.clock = clock
        self.loop = loop
        self.internet = internet
        self.by_job: dict[object, Machine] = {}
        self._ways: dict[object, Way] = {}

    def net(
        self, loop: Loop, *, deadline_ns: int, slot_ns: int = 0, host: Host | None = None
    ) -> "VirtualNet":
        """Return a task's way to the network, in the place of `Net`."""
        job = loop.current()
        net = VirtualNet(self, self.by_job[job], loop, deadline_ns=deadline_ns, slot_ns=slot_ns, host=host)
        self._ways[job] = net.way
        return net

    def end(self, job: object) -> Way | None:
        """Forget a task that has ended; return its way over the networks, None where it needed none."""
        self.by_job.pop(job, None)
        return self._ways.pop(job, None)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have the product's measurements reach these networks."""
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(runner, "Net", self.net))
            stack.enter_context(mock.patch.object(tls_module, "TlsStream", VirtualTls))
            stack.enter_context(mock.patch.object(names_module, "read_text", _no_text))
            stack.enter_context(mock.patch.object(host_module, "read_host", _no_host))
            yield


# Functions, where `mock` would note each of a million calls.
def _no_text(_path: object) -> str:
    return ""


def _no_host(_root: str = "") -> Host:
    return Host()


class VirtualNet(Net):
    """One task's way to the network."""

    def __init__(
        self,
        machines: Machines,
        machine: Machine,
        loop: Loop,
        *,
        deadline_ns: int,
        slot_ns: int,
        host: Host | None,
    ) -> None:
        super().__init__(loop, deadline_ns=deadline_ns, slot_ns=slot_ns, host=host)
        self.machines = machines
        self.machine = machine
        self.way = Way(machines.internet, machine.home)

    @property
    def host(self) -> Host:
        """The home's network as it is now."""
        return self.machine.view()

    @property
    def clock(self) -> VirtualClock:
        """The country's clock."""
        return self.machines.clock

    @property
    def home(self) -> int:
        """Whose task it is."""
        return self.machine.home

    @property
    def now_s(self) -> float:
        """The time since the country's beginning."""
        return self.machines.clock.since_s

    def uplink(self) -> str:
        """Return the kind of the home's interface."""
        return self.host.uplink()

    def departure(self) -> Departure:
        """Return a send as of now."""
        return Departure(self.now_ns(), OFFSET)

    async def connect_tcp(
        self,
        address: str,
        port: int,
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        due_ns: int = 0,
        max_segment: int = 0,
    ) -> TcpStream:
        """Connect, and keep the account, as `Net.connect_tcp` does."""
        self.socket_address(address, port)
        await self.begin()
        if due_ns:
            await self.loop.sleep_until(due_ns)
        departure = self.departure()
        self.first_sent = self.first_sent or departure
        deadline_ns = min(departure.user_ns + round(timeout_s * 1e9), self.deadline_ns)
        if self.host.default_route(6 if ":" in address else 4) is None:
            self._note(address, port, Failure.NETWORK_UNREACHABLE, departure, retransmissions=0)
            raise MeasurementFailedError(Failure.NETWORK_UNREACHABLE, operation="connect")
        told, flow = self.way.connect(address, port, self.now_s, since_s(deadline_ns))
        await self.loop.sleep_until(BOOTED_NS + round(told.at_s * NS))
        self._note(
            address,
            port,
            told.failure,
            departure,
            retransmissions=told.retransmissions,
            is_cut_short=self.deadline_ns < departure.user_ns + round(timeout_s * 1e9),
        )
        if flow is None:
            raise MeasurementFailedError(self.attempts[-1].failure or "", operation="connect")
        # Of a SYN that went out again the kernel tells no round trip: then it is all the time since the first.
        took_ns = self.now_ns() - departure.user_ns if told.retransmissions else round(told.rtt_s * NS)
        stamp = Stamp.USER if told.retransmissions else Stamp.TCP_INFO
        connect = Phase(ns=max(1, took_ns), stamp=stamp)
        return VirtualStream(self, flow, address, connect, told.retransmissions, max_segment=max_segment)

    def _note(
        self,
        address: str,
        port: int,
        failure: str | None,
        departure: Departure,
        *,
        retransmissions: int,
        is_cut_short: bool = False,
    ) -> None:
        attempt = ConnectAttempt(
            address=address,
            port=port,
            failure=failure,
            elapsed_ns=self.now_ns() - departure.user_ns,
            tcp_info=TcpInfo(returned_bytes=256, rtt_us=None, total_retrans=retransmissions),
        )
        self.note(attempt, is_cut_short=is_cut_short)

    def open_udp(self, address: str, port: int, *, source_port: int = 0) -> DatagramFlow:
        """Open a flow; nothing is sent."""
        return self._flow(address, port)

    def open_icmp(self, address: str) -> DatagramFlow:
        """Open a flow of echo requests."""
        return self._flow(address, 0)

    def _flow(self, address: str, port: int) -> DatagramFlow:
        self.socket_address(address, port)
        if self.host.default_route(6 if ":" in address else 4) is None:
            raise MeasurementFailedError(Failure.NETWORK_UNREACHABLE, operation="connect")
        return VirtualFlow(self, address, port)
