"""What a measurement is given in the place of sockets: streams, TLS and datagrams over `tests.country.internet`.

The measurements themselves are the product's, with its names, time-outs and second tries; only what the kernel and
OpenSSL would do is done here. This file must never decide what to ask.
"""

import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Self
from unittest import mock

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net import host as host_module
from firmware.net.access import CONNECT_TIMEOUT_S, Net
from firmware.net.datagrams import Datagram, DatagramFlow
from firmware.net.host_view import Host
from firmware.net.kernel import ClockOffset, TcpInfo
from firmware.net.loop import Loop
from firmware.net.stamps import ArrivalStamp, Departure, WallTimes
from firmware.net.streams import ConnectAttempt, TcpStream
from firmware.protocols import names as names_module
from firmware.protocols import tls_stream as tls_module
from firmware.protocols.tls_bio import OPERATION
from firmware.protocols.tls_stream import Flight, Handshake, TlsStream
from firmware.worker import runner
from tests.country import hosts as far
from tests.country.internet import Flow, Internet, Passage
from tests.country.rules import Act, Kind
from tests.country.virtual_time import BOOTED_NS, NS, VirtualClock, VirtualLoop
from tests.servers.ntp import truthful

HELLO_BYTES: Final = 560
SERVER_FLIGHT: Final = (1448, 1448, 1100)
"""A server's answer to a ClientHello: its certificates."""
_ALERT_BYTES: Final = 7
_OFFSET: Final = ClockOffset(0, 1, 0)
_ROOM: Final = 1448
_NTP_PORT: Final = 123


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

    def net(
        self, loop: Loop, *, deadline_ns: int, slot_ns: int = 0, host: Host | None = None
    ) -> "VirtualNet":
        """Return a task's way to the network, in the place of `Net`."""
        machine = self.by_job[loop.current()]
        return VirtualNet(self, machine, loop, deadline_ns=deadline_ns, slot_ns=slot_ns, host=host)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have the product's measurements reach these networks."""
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(runner, "Net", self.net))
            stack.enter_context(mock.patch.object(tls_module, "TlsStream", VirtualTls))
            stack.enter_context(mock.patch.object(names_module, "read_text", return_value=""))
            stack.enter_context(mock.patch.object(host_module, "read_host", return_value=Host()))
            yield


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

    @property
    def host(self) -> Host:
        """The home's network as it is now."""
        return self.machine.view()

    @property
    def now_s(self) -> float:
        """The time since the country's beginning."""
        return self.machines.clock.since_s

    def uplink(self) -> str:
        """Return the kind of the home's interface."""
        return self.host.uplink()

    def departure(self) -> Departure:
        """Return a send as of now."""
        return Departure(self.now_ns(), _OFFSET)

    async def connect_tcp(
        self, address: str, port: int, *, timeout_s: float = CONNECT_TIMEOUT_S, due_ns: int = 0
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
        told, flow = self.machines.internet.connect(
            self.machine.home, address, port, self.now_s, _since_s(deadline_ns)
        )
        await self.loop.sleep_until(BOOTED_NS + round(told.at_s * NS))
        self._note(address, port, told.failure, departure, retransmissions=told.retransmissions)
        if flow is None:
            raise MeasurementFailedError(told.failure or "", operation="connect")
        stamp = Stamp.USER if told.retransmissions else Stamp.TCP_INFO
        return VirtualStream(
            self, flow, address, Phase(ns=max(1, round(told.rtt_s * NS)), stamp=stamp), told.retransmissions
        )

    def _note(
        self, address: str, port: int, failure: str | None, departure: Departure, *, retransmissions: int
    ) -> None:
        self.attempts.append(
            ConnectAttempt(
                address=address,
                port=port,
                failure=failure,
                elapsed_ns=self.now_ns() - departure.user_ns,
                tcp_info=TcpInfo(returned_bytes=256, rtt_us=None, total_retrans=retransmissions),
            )
        )

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


class VirtualStream(TcpStream):
    """A connected stream. What is asked over it is answered by the host at its end, or by who stands in between."""

    def __init__(
        self, net: VirtualNet, flow: Flow, address: str, connect: Phase, retransmissions: int
    ) -> None:
        self.connect = connect
        self.local = ("192.168.1.20", 40_000)
        self.remote = (address, flow.port)
        self.sent: Departure | None = None
        self.first_arrival: ArrivalStamp | None = None
        self.last_arrival: ArrivalStamp | None = None
        self.segments = 0
        self.net = net
        self.flow = flow
        self.again = retransmissions
        self._answers: list[tuple[float, bytes | str]] = []

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Nothing is held."""

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Send a request in clear text."""
        self.sent, self.first_arrival = self.net.departure(), None
        self.net.traffic.bytes_up += len(data)
        name, path = _asked(data)
        until_s = _since_s(self.net.deadline_ns)
        passage = self.net.machines.internet.ask(
            self.flow, Kind.REQUEST, len(data), name=name, now_s=self.net.now_s, deadline_s=until_s
        )
        self._answers = self._answer(passage, name, path, until_s)

    def _answer(
        self, passage: Passage, name: str, path: str, until_s: float
    ) -> list[tuple[float, bytes | str]]:
        """Return what comes back for a request, and when; a word is how the stream ends instead."""
        arrived_s, act, act_s = passage.arrives_s, passage.act, passage.act_s
        if act in (Act.PAGE, Act.PORTAL):
            return [
                (act_s, far.sign_in_page() if act is Act.PORTAL else far.page_of(name, path, forged=True)),
                (act_s, b""),
            ]
        if act is Act.UNAVAILABLE:
            return [(act_s, far.page_of(name, path, status=503))]
        if act is not None:
            return [(act_s, Failure.CONNECTION_RESET)]
        if arrived_s is None:
            return []
        data = far.page_of(name, path, forged=self.flow.server.host == far.STRANGER)
        sizes = [len(data[place : place + _ROOM]) for place in range(0, len(data), _ROOM)]
        answered = self.net.machines.internet.answer(self.flow, sizes, arrived_s + 0.005, until_s)
        found: list[tuple[float, bytes | str]] = []
        place = 0
        for at_s, size in answered.segments:
            found.append((at_s, data[place : place + size]))
            place += size
        return [*found, (answered.act_s, Failure.CONNECTION_RESET)] if answered.act is not None else found

    async def receive(self, max_bytes: int = 65536, *, deadline_ns: int | None = None) -> bytes:
        """Return what came next. Raises `MeasurementFailedError` (operation `read`)."""
        limit_ns = self.net.deadline_ns if deadline_ns is None else min(deadline_ns, self.net.deadline_ns)
        if not self._answers or self._answers[0][0] >= _since_s(limit_ns):
            await self.net.loop.sleep_until(limit_ns)
            raise MeasurementFailedError(Failure.TIMEOUT, operation="read")
        at_s, what = self._answers.pop(0)
        await self.net.loop.sleep_until(BOOTED_NS + round(at_s * NS))
        if isinstance(what, str):
            raise MeasurementFailedError(what, operation="read")
        self.last_arrival = ArrivalStamp(self.net.now_ns(), None, _OFFSET)
        self.first_arrival = self.first_arrival or self.last_arrival
        self.net.traffic.bytes_down += len(what)
        return what

    def elapsed(self, sent: Departure, arrival: ArrivalStamp) -> Phase:
        """Return the time from a send to an arrival."""
        return Phase(ns=max(0, arrival.user_ns - sent.user_ns), stamp=Stamp.USER)

    def retransmissions(self) -> int | None:
        """Return how often a SYN was sent again."""
        return self.again

    def settle(self) -> int:
        """Return that no stamps came."""
        return 0


class VirtualTls(TlsStream):
    """TLS over a virtual stream: who answers is known, so that no certificate has to be made."""

    def __init__(self, net: Net, stream: TcpStream, *, server_name: str, alpn: tuple[str, ...]) -> None:
        assert isinstance(net, VirtualNet)
        assert isinstance(stream, VirtualStream)
        self.story = Handshake(address=net.host.label(stream.remote[0]), server_name=server_name)
        self.virtual_net = net
        self.tcp = stream
        self.first_arrival = None

    @property
    def sent(self) -> Departure | None:
        """The last send."""
        return self.tcp.sent

    @property
    def last_arrival(self) -> ArrivalStamp | None:
        """When the last bytes came."""
        return self.tcp.last_arrival

    def elapsed(self, sent: Departure, arrival: ArrivalStamp) -> Phase:
        """Return the time between."""
        return self.tcp.elapsed(sent, arrival)

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Send a request that nobody between can read."""
        await self.tcp.send_all(data, deadline_ns=deadline_ns)
        self.first_arrival = None

    async def receive(self, *, deadline_ns: int | None = None) -> bytes:
        """Return what came next."""
        data = await self.tcp.receive(deadline_ns=deadline_ns)
        self.first_arrival = self.first_arrival or self.tcp.last_arrival
        return data

    async def handshake(self, *, timeout_s: float = tls_module.HANDSHAKE_TIMEOUT_S) -> None:
        """Agree on a session, or raise as `TlsStream.handshake` does."""
        net, story = self.virtual_net, self.story
        story.hello = self.tcp.sent = net.departure()
        net.traffic.bytes_up += HELLO_BYTES
        story.flights.append(Flight("up", HELLO_BYTES, story.hello))
        deadline_ns = min(net.now_ns() + round(timeout_s * NS), net.deadline_ns)
        failure, at_s = self._end(_since_s(deadline_ns))
        await net.loop.sleep_until(min(BOOTED_NS + round(at_s * NS), deadline_ns))
        story.retransmissions = self.tcp.again
        if failure is not None:
            story.failure, story.reason = failure, "virtual"
            raise MeasurementFailedError(failure, operation=OPERATION)
        last = ArrivalStamp(net.now_ns(), None, _OFFSET)
        self.tcp.last_arrival = last
        story.finish_ns = 0
        story.phases["tls_handshake"] = self.tcp.elapsed(story.hello, last)

    def _end(self, until_s: float) -> tuple[str | None, float]:
        """Return the handshake's failure and when it ended."""
        internet, flow, name = self.virtual_net.machines.internet, self.tcp.flow, self.story.server_name
        now_s = self.virtual_net.now_s
        passage = internet.ask(flow, Kind.HELLO, HELLO_BYTES, name=name, now_s=now_s, deadline_s=until_s)
        if passage.act in (Act.PORTAL, Act.PAGE, Act.STRANGER):
            return self._met(passage.act, passage.act_s)
        if passage.act is not None and passage.act is not Act.UNAVAILABLE:
            return (
                (Failure.CONNECTION_RESET, passage.act_s)
                if passage.act_s < until_s
                else (Failure.TIMEOUT, until_s)
            )
        if flow.server.host == far.STRANGER and passage.arrives_s is not None:
            return Failure.CONNECTION_RESET, passage.arrives_s
        at_s = passage.act_s if passage.act is not None else passage.arrives_s
        if at_s is None:
            return Failure.TIMEOUT, until_s
        answered = internet.answer(flow, SERVER_FLIGHT, at_s + 0.004, until_s)
        self._tell_answer(answered.segments)
        if answered.act is not None:
            return Failure.CONNECTION_RESET, answered.act_s
        if not answered.complete:
            return Failure.TIMEOUT, until_s
        proven = name == flow.server.host
        return None if proven else Failure.SSL_INVALID_HOSTNAME, answered.segments[-1][0]

    def _met(self, act: Act, at_s: float) -> tuple[str | None, float]:
        """Return how a handshake ends with somebody who is not the server."""
        if act is Act.STRANGER:
            self._tell_answer(((at_s, 1200),))
            return Failure.SSL_UNKNOWN_AUTHORITY, at_s
        return Failure.CONNECTION_RESET, at_s

    def _tell_answer(self, segments: tuple[tuple[float, int], ...]) -> None:
        story = self.story
        if not segments or story.hello is None:
            return
        size = sum(one for _, one in segments)
        first = ArrivalStamp(BOOTED_NS + round(segments[0][0] * NS), None, _OFFSET)
        story.first_segments, story.answer_start = 1, b"\x16\x03\x03"
        story.flights.append(Flight("down", size, first))
        story.phases["tls_first_flight"] = self.tcp.elapsed(story.hello, first)
        self.virtual_net.traffic.bytes_down += size


class VirtualFlow(DatagramFlow):
    """A connected datagram flow."""

    def __init__(self, net: VirtualNet, address: str, port: int) -> None:
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
        for at_s, reply in net.machines.internet.datagram(net.machine.home, address, port, data, net.now_s):
            told = _time_of(net.machines.clock, data) if port == _NTP_PORT else reply
            heapq.heappush(self._coming, (at_s, len(self._coming), told))
        return len(self._departures) - 1

    async def receive(self, *, deadline_ns: int) -> Datagram | None:
        """Return the next datagram by a moment, or None."""
        net = self._net
        limit_ns = min(deadline_ns, net.deadline_ns)
        if not self._coming or self._coming[0][0] >= _since_s(limit_ns):
            await net.loop.sleep_until(limit_ns)
            return None
        at_s, _, data = heapq.heappop(self._coming)
        await net.loop.sleep_until(BOOTED_NS + round(at_s * NS))
        net.traffic.bytes_down += len(data)
        return Datagram(data=data, ttl=60, arrival=ArrivalStamp(net.now_ns(), None, _OFFSET))

    def rtt(self, sent_id: int, arrival: Datagram) -> Phase:
        """Return the time from a send to an arrival."""
        return Phase(ns=arrival.received_ns - self._departures[sent_id].user_ns, stamp=Stamp.USER)

    def wall_times(self, sent_id: int, arrival: Datagram) -> WallTimes:
        """Return both moments on the wall clock."""
        ahead_ns = self._net.machines.clock.utc_ns() - self._net.machines.clock.boottime_ns()
        sent_ns = self._departures[sent_id].user_ns
        return WallTimes(sent_ns + ahead_ns, arrival.received_ns + ahead_ns, Stamp.USER)

    def egress_queue_ns(self, sent_id: int) -> int | None:
        """No queue is known."""
        return None

    def departure(self, sent_id: int) -> Departure:
        """Return when a send left."""
        return self._departures[sent_id]


def _since_s(boottime_ns: int) -> float:
    return (boottime_ns - BOOTED_NS) / NS


def _asked(data: bytes) -> tuple[str, str]:
    """Return the host and the path that a request asks for."""
    lines = data.decode("latin-1").split("\r\n")
    path = lines[0].split(" ")[1] if " " in lines[0] else "/"
    host = next((line[6:] for line in lines if line.lower().startswith("host: ")), "")
    return host.split(":")[0], path


def _time_of(clock: VirtualClock, question: bytes) -> bytes:
    """Return a good NTP server's answer, by the virtual clock."""
    # The helper goes by this machine's clock: what that is off by is made up for.
    return truthful(question, ahead_ns=clock.utc_ns() - time.time_ns())
