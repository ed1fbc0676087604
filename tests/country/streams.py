"""Streams and TLS over `tests.country.internet`: what is asked is sent, and what comes back is read when it comes.

Who answers is known, so no certificate is made: a handshake ends as it would with the server's own, another's, or none.
This file must never decide what to ask.
"""

from typing import Final, Protocol, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net.access import Net
from firmware.net.host_view import Host
from firmware.net.kernel import ClockOffset
from firmware.net.loop import Loop
from firmware.net.stamps import ArrivalStamp, Departure
from firmware.net.streams import TcpStream, Traffic
from firmware.protocols.tls_bio import OPERATION
from firmware.protocols.tls_stream import HANDSHAKE_TIMEOUT_S, Flight, Handshake, TlsStream
from tests.country import hosts as far
from tests.country.internet import HEADERS
from tests.country.passages import Flow, Passage
from tests.country.rules import Act, Kind
from tests.country.virtual_time import BOOTED_NS, NS, since_s
from tests.country.way import Way

HELLO_BYTES: Final = 560
SERVER_FLIGHT: Final = (1448, 1448, 1100)
"""A server's answer to a ClientHello: its certificates."""
_FINISHED_BYTES: Final = 132
"""A client's last word in a handshake, with its headers."""
_TICKETS_BYTES: Final = 560
"""What a server says thereupon: two tickets of a session to go on from."""
OFFSET: Final = ClockOffset(0, 1, 0)
"""Both clocks go alike here."""
_ROOM: Final = 1448
_CLEAR: Final = 80


class StreamNet(Protocol):
    """What a stream needs of the task's way to the network."""

    loop: Loop
    deadline_ns: int
    traffic: Traffic

    @property
    def way(self) -> Way:
        """Its way over the networks."""

    @property
    def host(self) -> Host:
        """The home's network."""

    @property
    def now_s(self) -> float:
        """The time since the country's beginning."""

    def now_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""

    def departure(self) -> Departure:
        """Return a send as of now."""


class VirtualStream(TcpStream):
    """A connected stream. What is asked over it is answered by the host at its end, or by who stands in between."""

    def __init__(
        self,
        net: StreamNet,
        flow: Flow,
        address: str,
        connect: Phase,
        retransmissions: int,
        *,
        max_segment: int = 0,
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
        self.max_segment = max_segment or _ROOM
        self.is_closed = False
        self._answers: list[tuple[float, bytes | str]] = []

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Say farewell, for which nobody waits."""
        if not self.is_closed:
            self.is_closed = True
            now_s = self.net.now_s
            for up in (True, False, True):
                self.net.way.beside(self.flow, HEADERS, now_s, up=up)

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Send a request in clear text."""
        self.sent, self.first_arrival = self.net.departure(), None
        self.net.traffic.bytes_up += len(data)
        name, path = _asked(data)
        until_s = since_s(self.net.deadline_ns)
        passage = self.net.way.ask(
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
        hosts, server = self.net.way.hosts, self.flow.server.host
        moved = self.flow.port == _CLEAR and server in hosts.secure
        data = far.page_of(name, path, forged=server == far.STRANGER, moved=moved)
        sizes = [len(data[place : place + _ROOM]) for place in range(0, len(data), _ROOM)]
        answered = self.net.way.answer(self.flow, sizes, arrived_s + 0.005, until_s)
        found: list[tuple[float, bytes | str]] = []
        place = 0
        for at_s, size in answered.segments:
            found.append((at_s, data[place : place + size]))
            place += size
        return [*found, (answered.act_s, Failure.CONNECTION_RESET)] if answered.act is not None else found

    async def receive(self, max_bytes: int = 65536, *, deadline_ns: int | None = None) -> bytes:
        """Return what came next. Raises `MeasurementFailedError` (operation `read`)."""
        limit_ns = self.net.deadline_ns if deadline_ns is None else min(deadline_ns, self.net.deadline_ns)
        if not self._answers or self._answers[0][0] >= since_s(limit_ns):
            await self.net.loop.sleep_until(limit_ns)
            raise MeasurementFailedError(Failure.TIMEOUT, operation="read")
        at_s, what = self._answers.pop(0)
        await self.net.loop.sleep_until(BOOTED_NS + round(at_s * NS))
        if isinstance(what, str):
            raise MeasurementFailedError(what, operation="read")
        self.last_arrival = ArrivalStamp(self.net.now_ns(), None, OFFSET)
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
        assert isinstance(stream, VirtualStream)
        self.story = Handshake(address=net.host.label(stream.remote[0]), server_name=server_name)
        self.virtual_net = stream.net
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

    async def handshake(self, *, timeout_s: float = HANDSHAKE_TIMEOUT_S) -> None:
        """Agree on a session, or raise as `TlsStream.handshake` does."""
        net, story = self.virtual_net, self.story
        story.hello = self.tcp.sent = net.departure()
        net.traffic.bytes_up += HELLO_BYTES
        story.flights.append(Flight("up", HELLO_BYTES, story.hello))
        deadline_ns = min(net.now_ns() + round(timeout_s * NS), net.deadline_ns)
        failure, at_s = self._end(since_s(deadline_ns))
        await net.loop.sleep_until(min(BOOTED_NS + round(at_s * NS), deadline_ns))
        story.retransmissions = self.tcp.again
        if failure is not None:
            story.failure, story.reason = failure, "virtual"
            raise MeasurementFailedError(failure, operation=OPERATION)
        last = ArrivalStamp(net.now_ns(), None, OFFSET)
        self.tcp.last_arrival = last
        net.way.beside(self.tcp.flow, _FINISHED_BYTES, net.now_s, up=True)
        net.way.beside(self.tcp.flow, _TICKETS_BYTES, net.now_s + self.tcp.flow.rtt_s, up=False)
        net.way.beside(self.tcp.flow, HEADERS, net.now_s + self.tcp.flow.rtt_s, up=True)
        story.finish_ns = 0
        story.phases["tls_handshake"] = self.tcp.elapsed(story.hello, last)

    def _end(self, until_s: float) -> tuple[str | None, float]:
        """Return the handshake's failure and when it ended."""
        way, flow, name = self.virtual_net.way, self.tcp.flow, self.story.server_name
        now_s = self.virtual_net.now_s
        passage = way.ask(flow, Kind.HELLO, HELLO_BYTES, name=name, now_s=now_s, deadline_s=until_s)
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
        room = self.tcp.max_segment
        flight = [min(room, size - place) for size in SERVER_FLIGHT for place in range(0, size, room)]
        answered = way.answer(flow, flight, at_s + 0.004, until_s)
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
        first = ArrivalStamp(BOOTED_NS + round(segments[0][0] * NS), None, OFFSET)
        story.first_segments, story.answer_start = 1, b"\x16\x03\x03"
        story.flights.append(Flight("down", size, first))
        story.phases["tls_first_flight"] = self.tcp.elapsed(story.hello, first)
        self.virtual_net.traffic.bytes_down += size


def _asked(data: bytes) -> tuple[str, str]:
    """Return the host and the path that a request asks for."""
    lines = data.decode("latin-1").split("\r\n")
    path = lines[0].split(" ")[1] if " " in lines[0] else "/"
    host = next((line[6:] for line in lines if line.lower().startswith("host: ")), "")
    return host.split(":")[0], path
