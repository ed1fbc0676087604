"""What a probe is given to reach the network: streams, datagrams, the host's own view, a deadline.

Everything here is on `firmware.net.loop.Loop`, counts what it carries, and raises only `MeasurementFailedError`.
It must never resolve a name (that is `firmware.protocols.names`), and never wait past the task's deadline.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from firmware.model.failures import Failure, MeasurementFailedError, from_os_error
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Phase
from firmware.net import datagrams, streams
from firmware.net.datagrams import Datagram, DatagramFlow
from firmware.net.host import Host, read_host, uplink_towards
from firmware.net.kernel import IcmpError
from firmware.net.loop import Loop, boottime_ns
from firmware.net.stamps import Departure
from firmware.net.streams import ConnectAttempt, TcpStream, Traffic
from firmware.net.targets import family_of

UdpFlow: TypeAlias = DatagramFlow

CONNECT_TIMEOUT_S = 20.0
"""One network injected its reset 12.2 s after the SYN (Iran, November 2019): 10 s would mislabel it."""

__all__ = ["ConnectAttempt", "Datagram", "DatagramFlow", "Net", "TcpStream", "Traffic", "UdpFlow"]


class Net:
    """One task's way to the network. `deadline_ns` is CLOCK_BOOTTIME: every wait ends there at the latest."""

    def __init__(self, loop: Loop, *, deadline_ns: int, slot_ns: int = 0, host: Host | None = None) -> None:
        self.loop = loop
        self.deadline_ns = deadline_ns
        self.slot_ns = slot_ns
        """When the task is due: nothing is sent before."""
        self.began_ns = 0
        """When the task began: at its slot, or as late as it was; 0 while it has not."""
        self.first_sent: Departure | None = None
        """The task's first packet."""
        self.traffic = Traffic()
        self.clock_stepped = False
        """Whether CLOCK_REALTIME was seen to step during a sample of this task."""
        self.attempts: list[ConnectAttempt] = []
        """Every TCP connect of this task, in order, failures too."""
        self.icmp_errors: list[IcmpError] = []
        """Every ICMP error that came back for this task."""
        self.connected_after: int | None = None
        """How many bytes had been received when the first TCP connection of this task was accepted; None before."""
        self.on_connect: Callable[[], None] | None = None
        """Called when a TCP connection has been accepted."""
        self.source = ""
        """The address of this host that all leaves from; "": as the routes have it. What is of the other family is not sent."""
        self.last_remote = ""
        """The address last opened or connected to."""
        self._host = host

    @property
    def host(self) -> Host:
        """The host's interfaces, routes and resolvers, read once at the task's first question."""
        if self._host is None:
            self._host = read_host()
        return self._host

    def now_ns(self) -> int:
        """Return CLOCK_BOOTTIME in ns."""
        return boottime_ns()

    async def begin(self, lead_ns: int = 0) -> None:
        """Wait for the slot, exactly, the first time: what can be made ready is made ready before.

        The first packet of every flow waits here by itself, and goes on `lead_ns` sooner, to leave at the slot.
        """
        if not self.began_ns:
            await self.loop.sleep_exactly_until(self.slot_ns - lead_ns)
            if self.began_ns == 0:  # else another flow's first packet waited as well, and was sooner
                self.began_ns = max(boottime_ns(), self.slot_ns)

    async def connect_tcp(
        self,
        address: str,
        port: int,
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        due_ns: int = 0,
        max_segment: int = 0,
    ) -> TcpStream:
        """Connect to a literal address, at `due_ns` (CLOCK_BOOTTIME) if given.

        `max_segment` is the most bytes that a segment carries, either way; 0: what the path's MTU allows.
        Raises `MeasurementFailedError` (operation `connect`): a time-out after `timeout_s` and no sooner; a connect that
        the task's deadline cut short is `interrupted`, which says nothing of the network.
        """
        family, remote = self.socket_address(address, port)
        start_ns = max(boottime_ns(), self.slot_ns, due_ns)
        deadline_ns = min(start_ns + round(timeout_s * 1e9), self.deadline_ns)
        try:
            stream, attempt = await streams.connect(
                self,
                remote,
                family,
                deadline_ns=deadline_ns,
                due_ns=due_ns,
                max_segment=max_segment,
                source=self.source,
            )
        except OSError as error:
            raise MeasurementFailedError(from_os_error(error), operation="connect") from error
        self.note(attempt, is_cut_short=deadline_ns < start_ns + round(timeout_s * 1e9))
        if attempt.icmp is not None:
            self.icmp_errors.append(attempt.icmp)
        if stream is None:
            raise MeasurementFailedError(self.attempts[-1].failure or "", operation="connect")
        return stream

    def note(self, attempt: ConnectAttempt, *, is_cut_short: bool) -> None:
        """Keep the account of a connect, which had less than its time where it `is_cut_short`; call `on_connect` if it stands."""
        if attempt.failure == Failure.TIMEOUT and attempt.icmp is None and is_cut_short:
            attempt = replace(attempt, failure=Failure.INTERRUPTED)
        self.attempts.append(attempt)
        if attempt.failure is None:
            if self.connected_after is None:
                self.connected_after = self.traffic.bytes_down
            if self.on_connect is not None:
                self.on_connect()

    def open_udp(self, address: str, port: int, *, source_port: int = 0) -> UdpFlow:
        """Open a UDP flow to a literal address; nothing is sent. 0: the kernel chooses the source port.

        Raises `MeasurementFailedError` (operation `connect`).
        """
        return self._open(address, port, socket.IPPROTO_UDP, source_port)

    def open_icmp(self, address: str) -> DatagramFlow:
        """Open a datagram ICMP flow, which carries echo requests and their replies only.

        Raises `MeasurementFailedError` (operation `connect`), `permission_denied` where
        net.ipv4.ping_group_range does not admit this process's group.
        """
        version = family_of(address)
        return self._open(address, 0, socket.IPPROTO_ICMPV6 if version == 6 else socket.IPPROTO_ICMP)

    def uplink(self) -> str:
        """Return the kind of interface the kernel routes the last remote over; else the default route's; else ""."""
        if self.last_remote:
            return uplink_towards(self.host, self.last_remote)
        return self.host.uplink()

    def outcome(
        self,
        *,
        phases: Mapping[str, Phase],
        detail: Mapping[str, JsonValue],
        error: MeasurementFailedError | None = None,
    ) -> Outcome:
        """Make the task's outcome from what was gathered, with the traffic so far and what ended it, if anything."""
        return Outcome(
            failure=None if error is None else error.failure,
            failed_operation=None if error is None else error.operation,
            phases=phases,
            bytes_up=self.traffic.bytes_up,
            bytes_down=self.traffic.bytes_down,
            detail=detail,
        )

    def _open(self, address: str, port: int, protocol: int, source_port: int = 0) -> DatagramFlow:
        family, remote = self.socket_address(address, port)
        sock: socket.socket | None = None
        try:
            sock = socket.socket(
                family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol
            )
            datagrams.prepare(sock)
            if source_port or self.source:
                sock.bind((self.source, source_port))
            sock.connect(remote)
            return DatagramFlow(self, sock, (address, port))
        except OSError as error:
            if sock is not None:
                sock.close()
            raise MeasurementFailedError(from_os_error(error), operation="connect") from error

    def socket_address(self, address: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
        """Return the family and socket address of a literal address, which becomes `last_remote`."""
        family = family_of(address)
        if family is None:
            raise ValueError(f"{address!r} is not a literal address: resolve it first")
        self.last_remote = address
        if self.source and family != family_of(self.source):
            raise MeasurementFailedError(Failure.NETWORK_UNREACHABLE, operation="connect")
        if family == 4:
            return socket.AF_INET, (address, port)
        bare, _, zone = address.partition("%")
        return socket.AF_INET6, (bare, port, 0, _scope(zone))


def _scope(zone: str) -> int:
    if not zone:
        return 0
    if zone.isdigit():
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError as error:
        raise MeasurementFailedError(from_os_error(error), operation="connect") from error
