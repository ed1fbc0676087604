"""TCP: connect and say how that went, send, receive. Every wait is the loop's, every failure a failure word.

The time of a connect is the kernel's own round-trip sample of the handshake (TCP_INFO), or this process's
where the kernel retransmitted and its sample would lie: the kernel stamps no SYN. From then on sends and
receives carry the kernel's stamps: a send its last byte's, a receive the last segment's of what it returns. A
segment that came before we read may be joined by the next, and then has that one's stamp; so what comes first
after a send is looked at by itself, and how many segments had come by then is noted. This file must never
resolve a name, and never let an `OSError` out.
"""

import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

from firmware.model.failures import Failure, MeasurementFailedError, from_os_error
from firmware.model.record import Phase, Stamp
from firmware.net import kernel, stamps, syn
from firmware.net.kernel import IcmpError, TcpInfo
from firmware.net.loop import ERROR, READABLE, WRITABLE, Loop, boottime_ns
from firmware.net.stamps import ArrivalStamp, Departure

_RECVERR: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, kernel.IP_RECVERR),
    socket.AF_INET6: (socket.IPPROTO_IPV6, kernel.IPV6_RECVERR),
}


_ID_MASK: Final = 0xFFFF_FFFF
"""The kernel numbers a stream's bytes in 32 bits."""


class Traffic:
    """Payload bytes of TCP and UDP (and of ICMP echo) sent and received; headers and handshakes not counted."""

    __slots__ = ("bytes_down", "bytes_up")

    def __init__(self) -> None:
        self.bytes_up = 0
        self.bytes_down = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectAttempt:
    """How one TCP connect went.

    `elapsed_ns` is this process's time to success or failure; `tcp_info` what the kernel knew at that moment;
    `icmp` the ICMP error that came for it: the kernel ends a connect at the first, whatever it says (TTL exceeded
    too), so that it is a hint only beside a time-out.
    """

    address: str
    port: int
    failure: str | None
    elapsed_ns: int
    tcp_info: TcpInfo
    icmp: IcmpError | None = None


class StreamOwner(Protocol):
    """What a stream needs of the `Net` that opened it."""

    loop: Loop
    deadline_ns: int
    traffic: Traffic
    clock_stepped: bool
    icmp_errors: list[IcmpError]
    began_ns: int
    slot_ns: int
    first_sent: Departure | None

    async def begin(self, lead_ns: int = 0) -> None:
        """Wait for the task's slot, or for so long before."""


class TcpStream:
    """A connected TCP stream. A context manager, or `close` it.

    `sent` is the last send, `first_arrival` what came first after it and `segments` how many segments had come
    by the time that was read: with 1 its stamp is that segment's own, with more it may be a later one's.
    `last_arrival` is the last segment of the last receive.
    """

    def __init__(
        self,
        owner: StreamOwner,
        sock: socket.socket,
        remote: tuple[str, int],
        connect: Phase,
        *,
        was_reset: bool,
    ) -> None:
        self.connect = connect
        """How long the handshake took, one round trip, and who took the time."""
        self.local: tuple[str, int] = sock.getsockname()[:2]
        self.remote = remote
        self.sent: Departure | None = None
        self.first_arrival: ArrivalStamp | None = None
        self.last_arrival: ArrivalStamp | None = None
        self.segments = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.on_arrival: Callable[[ArrivalStamp], None] | None = None
        """Called after each receive that brought something."""
        self.waited_ns = 0
        """How long was waited for the network, in all: the rest of the time went by here."""
        self._owner = owner
        self._socket = sock
        self._was_reset = was_reset
        self._departures: dict[int, Departure] = {}
        self._segments_before = 0
        self._mtu_at_first = self._tcp_info().pmtu
        stamps.stamp_stream(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the stream, and note what the kernel knows of ICMP errors meanwhile; again does nothing."""
        if self._socket.fileno() >= 0:
            soft_errno = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            mtu_now = self._tcp_info().pmtu
            self._owner.icmp_errors += kernel.stream_hints(soft_errno, self._mtu_at_first, mtu_now)
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Send every byte; `sent` is then the last one's. Raises `MeasurementFailedError` (operation `write`)."""
        self._raise_if_reset("write")
        view = memoryview(data)
        self.settle()
        self._departures.clear()
        self.first_arrival = None
        self._segments_before = self._tcp_info().data_segs_in or 0
        while view:
            departure = stamps.depart()
            try:
                sent = self._socket.send(view)
            except BlockingIOError:
                await self._wait(WRITABLE, deadline_ns, "write")
                continue
            except OSError as error:
                raise MeasurementFailedError(from_os_error(error), operation="write") from error
            self._owner.traffic.bytes_up += sent
            self.sent_bytes += sent
            self._departures[(self.sent_bytes - 1) & _ID_MASK] = self.sent = departure
            view = view[sent:]

    async def receive(self, max_bytes: int = 65536, *, deadline_ns: int | None = None) -> bytes:
        """Return what came, at least one byte; b"" at the end of the stream.

        Raises `MeasurementFailedError` (operation `read`), at the deadline with `generic_timeout_error`.
        """
        self._raise_if_reset("read")
        while True:
            try:
                if self.first_arrival is None:
                    self.first_arrival = self._look()
                data, self.last_arrival = self._read(max_bytes)
            except BlockingIOError:
                await self._wait(READABLE, deadline_ns, "read")
                continue
            except OSError as error:
                raise MeasurementFailedError(from_os_error(error), operation="read") from error
            self._owner.traffic.bytes_down += len(data)
            self.received_bytes += len(data)
            if data and self.on_arrival is not None:
                self.on_arrival(self.last_arrival)
            return data

    def elapsed(self, sent: Departure, arrival: ArrivalStamp) -> Phase:
        """Return the time from a send to an arrival, and its class. A step of CLOCK_REALTIME between is noted."""
        self.settle()
        self._owner.clock_stepped |= stamps.stepped(sent, arrival)
        return stamps.between(sent, arrival)

    def retransmissions(self) -> int | None:
        """Return how often this end sent anything again, None where the kernel does not say."""
        return self._tcp_info().total_retrans

    def raw_info(self) -> bytes:
        """Return the kernel's TCP_INFO as it is (`firmware.net.tcp_info` reads it)."""
        return _raw_info(self._socket)

    def reset_at_close(self) -> None:
        """Have the close be a reset: what waits in the kernel would else be sent for minutes over a slow line."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, kernel.RESET_ON_CLOSE)

    def settle(self) -> int:
        """Take the stamps that have come off the error queue, to their sends; return how many entries there were."""
        entries = 0
        while True:
            try:
                _, ancillary, _, _ = self._socket.recvmsg(1, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            except OSError:
                return entries
            entries += 1
            entry = kernel.parse_ancillary(ancillary)
            if entry.transmit is not None and entry.stamp_ns is not None:
                departure = self._departures.get(entry.transmit.sent_id)
                if departure is not None:  # a retransmission is stamped again: the first one counts
                    departure.stamps.setdefault(entry.transmit.kind, entry.stamp_ns)

    def _look(self) -> ArrivalStamp | None:
        """Return when the first byte that is there came, and leave it there; None at the end of the stream."""
        data, arrival = self._read(1, socket.MSG_PEEK)
        come = self._tcp_info().data_segs_in
        self.segments = 0 if come is None else come - self._segments_before
        return arrival if data else None

    def _read(self, max_bytes: int, flags: int = 0) -> tuple[bytes, ArrivalStamp]:
        data, ancillary, _, _ = self._socket.recvmsg(max_bytes, kernel.ANCILLARY_BYTES, flags)
        # Unlike a datagram's, a segment's stamp is never the time of the read: without one there is none.
        read_realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        return data, stamps.arrive(kernel.parse_ancillary(ancillary), read_realtime_ns)

    def _tcp_info(self) -> TcpInfo:
        return _tcp_info(self._socket)

    def _raise_if_reset(self, operation: str) -> None:
        """Raise once for a reset that came before anybody looked, which the connect took off the socket."""
        if self._was_reset:
            self._was_reset = False
            raise MeasurementFailedError(Failure.CONNECTION_RESET, operation=operation)

    async def _wait(self, events: int, deadline_ns: int | None, operation: str) -> None:
        limit_ns = (
            self._owner.deadline_ns if deadline_ns is None else min(deadline_ns, self._owner.deadline_ns)
        )
        mask = ERROR
        began_ns = boottime_ns()
        while mask and not mask & ~ERROR:  # stamps that have come wake us too
            mask = await self._owner.loop.wait(self._socket.fileno(), events, deadline_ns=limit_ns)
            if mask & ERROR and not self.settle():
                break  # a hang-up or an error, which the next call tells
        self.waited_ns += boottime_ns() - began_ns
        if not mask:
            raise MeasurementFailedError(Failure.TIMEOUT, operation=operation)


async def connect(
    owner: StreamOwner,
    remote: tuple[object, ...],
    family: socket.AddressFamily,
    *,
    deadline_ns: int,
    due_ns: int = 0,
    max_segment: int = 0,
    source: str = "",
) -> tuple[TcpStream | None, ConnectAttempt]:
    """Connect to the socket address `remote`, at `due_ns` if given. Returns the stream, or None and why in the attempt.

    `max_segment`, where it is not 0, is the most bytes that a segment carries, either way; `source`, where it is not "", the
    address of this host to connect from.
    """
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if max_segment:  # what a SYN promises, so it is set before the connect
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, max_segment)
        if source:
            sock.bind((source, 0))
        stream, attempt = await _connect(owner, sock, remote, deadline_ns, due_ns)
    except BaseException:
        sock.close()
        raise
    if stream is None:
        sock.close()
    return stream, attempt


async def _connect(
    owner: StreamOwner, sock: socket.socket, remote: tuple[object, ...], deadline_ns: int, due_ns: int
) -> tuple[TcpStream | None, ConnectAttempt]:
    level, option = _RECVERR[sock.family]
    sock.setsockopt(level, option, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    departure = await syn.depart(owner, sock.family, due_ns=due_ns)
    number = sock.connect_ex(remote)
    waited = True
    while number == errno.EINPROGRESS and waited:
        waited = bool(await owner.loop.wait(sock.fileno(), WRITABLE, deadline_ns=deadline_ns))
        number = _state(sock)
    elapsed_ns = boottime_ns() - departure.user_ns
    # A reset that answers the SYN is ECONNREFUSED; this one came after the handshake, before we looked.
    was_reset = number == errno.ECONNRESET
    info = _tcp_info(sock)
    failure: str | None = None
    icmp: IcmpError | None = None
    if number and not was_reset:
        icmp = _queued_error(sock)
    if number == errno.EINPROGRESS:
        failure = Failure.TIMEOUT
    elif number and not was_reset:
        failure = icmp.failure if icmp is not None else from_os_error(OSError(number, ""))
    attempt = ConnectAttempt(
        address=str(remote[0]),
        port=int(str(remote[1])),
        failure=failure,
        elapsed_ns=elapsed_ns,
        tcp_info=info,
        icmp=icmp,
    )
    if failure is not None:
        return None, attempt
    # From here on an ICMP error is a hint, as it is to every browser: left on, it would end the stream.
    sock.setsockopt(level, option, 0)
    far_end = (attempt.address, attempt.port)
    stream = TcpStream(owner, sock, far_end, connect_phase(info, elapsed_ns), was_reset=was_reset)
    return stream, attempt


def _tcp_info(sock: socket.socket) -> TcpInfo:
    return kernel.parse_tcp_info(_raw_info(sock))


def _raw_info(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, kernel.TCP_INFO_BYTES)


def _state(sock: socket.socket) -> int:
    """Return 0 when connected, EINPROGRESS while not yet, else why not."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        return number
    try:
        sock.getpeername()
    except OSError as error:
        return errno.EINPROGRESS if error.errno == errno.ENOTCONN else error.errno or errno.EIO
    return 0


def connect_phase(info: TcpInfo, elapsed_ns: int) -> Phase:
    """Choose the time of a handshake: the kernel's sample, unless a retransmission spoilt it or it is not there."""
    if info.rtt_us and info.total_retrans == 0:
        return Phase(ns=info.rtt_us * 1000, stamp=Stamp.TCP_INFO)
    return Phase(ns=elapsed_ns, stamp=Stamp.USER)


def _queued_error(sock: socket.socket) -> IcmpError | None:
    """Take the ICMP error that ended a connect off the error queue; None where there is none."""
    try:
        _, ancillary, _, _ = sock.recvmsg(512, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    return kernel.parse_ancillary(ancillary).error
