"""Datagrams with the kernel's own stamps: UDP and ICMP echo, one connected socket each.

Transmit stamps and ICMP errors come through the socket's error queue, which is drained on every wake-up: a
queue that holds only stamps is no failure and must never spin. A stamp that the kernel cannot have taken when
it says (receive stamping was still being switched on) is thrown away here. Times are CLOCK_REALTIME where the
kernel took them, which is why each send and each arrival also notes how far that clock is from
CLOCK_MONOTONIC_RAW: a step between the two is found, and told.
"""

import contextlib
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol, Self

from firmware.model.failures import UNKNOWN_PREFIX, Failure, MeasurementFailedError, from_os_error
from firmware.model.record import Phase
from firmware.net import kernel, stamps
from firmware.net.kernel import Ancillary, IcmpError
from firmware.net.loop import READABLE, WRITABLE, Loop, boottime_ns
from firmware.net.stamps import ArrivalStamp, Departure, WallTimes
from firmware.net.streams import Traffic

_MAX_DATAGRAM: Final = 65535
_MAX_EMPTY_WAKES: Final = 100
"""A descriptor that keeps waking us with nothing to read is broken: end the flow rather than spin."""

_BUFFER: Final = bytearray(_MAX_DATAGRAM)
"""Every receive of the process goes through this one buffer: there is one thread, and no wait while it is in use."""

_FAMILY_OPTIONS: Final = {
    socket.AF_INET: (
        (socket.IPPROTO_IP, kernel.IP_RECVERR),
        (socket.IPPROTO_IP, kernel.IP_RECVTTL),
    ),
    socket.AF_INET6: (
        (socket.IPPROTO_IPV6, kernel.IPV6_RECVERR),
        (socket.IPPROTO_IPV6, kernel.IPV6_RECVHOPLIMIT),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """One that arrived, and when; `ttl` as it arrived (hop limit for IPv6)."""

    data: bytes
    ttl: int | None
    arrival: ArrivalStamp

    @property
    def received_ns(self) -> int:
        """This process's CLOCK_BOOTTIME of the receive."""
        return self.arrival.user_ns

    @property
    def stamp_ns(self) -> int | None:
        """The kernel's CLOCK_REALTIME of its arrival, None where there is none or it was false."""
        return self.arrival.stamp_ns


class DatagramOwner(Protocol):
    """What a flow needs of the `Net` that opened it."""

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


class DatagramFlow:
    """A connected datagram socket. A context manager, or `close` it. `receive` is for one coroutine at a time."""

    def __init__(self, owner: DatagramOwner, sock: socket.socket, remote: tuple[str, int]) -> None:
        self.remote = remote
        self.local: tuple[str, int] = sock.getsockname()[:2]
        self.last_error: tuple[IcmpError, Datagram] | None = None
        """The last ICMP error `receive` raised, and its arrival, which `rtt` takes like any other."""
        self._owner = owner
        self._socket = sock
        self._sent: dict[int, Departure] = {}
        self._first_id = 0
        self._pending: deque[tuple[IcmpError, Datagram]] = deque()
        self._lead = owner.loop.lead(f"{sock.family}/{sock.proto}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the flow; again does nothing."""
        self._socket.close()

    def set_option(self, level: int, option: int, value: int) -> None:
        """Set a socket option, one of `firmware.paths.options`. Raises `MeasurementFailedError` (`connect`)."""
        try:
            self._socket.setsockopt(level, option, value)
        except OSError as error:
            raise MeasurementFailedError(from_os_error(error), operation="connect") from error

    def get_option(self, level: int, option: int) -> int | None:
        """Return a socket option, None where the kernel has no answer."""
        try:
            return self._socket.getsockopt(level, option)
        except OSError:
            return None

    async def send(self, data: bytes, *, due_ns: int = 0) -> int:
        """Send one datagram; return its id, for `rtt`. Raises `MeasurementFailedError` (operation `write`).

        It leaves at `due_ns` (CLOCK_BOOTTIME), a task's first at its slot, as exactly as this machine can.
        Raises only for this datagram: an ICMP error about an earlier one is kept for `receive`. One that this
        machine itself raised, since the datagram is bigger than its link takes, is in `last_error`.
        """
        aim_ns = await self._wait_to_send(due_ns)
        while True:
            departure = stamps.depart(aim_ns)
            try:
                self._socket.send(data)
            except BlockingIOError:
                aim_ns = 0
                limit_ns = self._owner.deadline_ns
                if not await self._owner.loop.wait(self._socket.fileno(), WRITABLE, deadline_ns=limit_ns):
                    raise MeasurementFailedError(Failure.TIMEOUT, operation="write") from None
                continue
            except OSError as error:
                told = len(self._pending)
                self._drain()
                self._renumber()
                if len(self._pending) > told:
                    if not self._pending[-1][0].is_local:
                        continue  # it was about an earlier datagram; this one was not sent
                    self.last_error = self._pending.pop()
                raise MeasurementFailedError(from_os_error(error), operation="write") from error
            sent_id = len(self._sent)
            self._sent[sent_id] = departure
            self._owner.first_sent = self._owner.first_sent or departure
            self._owner.traffic.bytes_up += len(data)
            return sent_id

    @property
    def lead_ns(self) -> int:
        """How long before its moment a send must begin, as far as is known."""
        return self._lead.ns

    async def _wait_to_send(self, due_ns: int) -> int:
        """Wait until a send must begin; return when that was, 0 where there was nothing to wait for."""
        begun = bool(self._owner.began_ns)
        aim_ns = (due_ns if begun or due_ns else self._owner.slot_ns) - self._lead.ns
        is_ahead = boottime_ns() < aim_ns
        if not begun:
            await self._owner.begin(self._lead.ns)
        if due_ns:
            await self._owner.loop.sleep_exactly_until(aim_ns)
        return aim_ns if is_ahead else 0

    async def receive(self, *, deadline_ns: int) -> Datagram | None:
        """Return the next datagram, or None when none came until `deadline_ns` or the task's own deadline.

        Raises `MeasurementFailedError` (operation `read`) for an ICMP error; `last_error` then holds it. A
        datagram that is there goes before an error.
        """
        limit_ns = min(deadline_ns, self._owner.deadline_ns)
        empty_wakes = 0
        while empty_wakes <= _MAX_EMPTY_WAKES:
            until_ns = 0 if self._pending else limit_ns  # an error is told at once, after what is there
            mask = await self._owner.loop.wait(self._socket.fileno(), READABLE, deadline_ns=until_ns)
            datagram = self._take() if mask & READABLE else None
            entries = self._drain()
            if datagram is not None:
                return datagram
            self._raise_pending("read")
            if not mask:
                return None
            empty_wakes = 0 if entries else empty_wakes + 1
        raise MeasurementFailedError(f"{UNKNOWN_PREFIX}the socket wakes with nothing", operation="read")

    def rtt(self, sent_id: int, arrival: Datagram) -> Phase:
        """Return the time from a send to an arrival and its class.

        From the kernel's stamps where both ends have one (`snd`, else `sched`) and CLOCK_REALTIME did not step
        between; else this process's times (`user`).
        """
        self._look_for_step(sent_id, arrival)
        return stamps.between(self._sent[sent_id], arrival.arrival)

    def wall_times(self, sent_id: int, arrival: Datagram) -> WallTimes:
        """Return a send and an arrival on CLOCK_REALTIME, both of one class, the best there is, as in `rtt`."""
        self._look_for_step(sent_id, arrival)
        return stamps.wall_times(self._sent[sent_id], arrival.arrival)

    def egress_queue_ns(self, sent_id: int) -> int | None:
        """Return how long the packet stood in this device's own queue (SND − SCHED), None if not both are known."""
        return self.departure(sent_id).egress_queue_ns

    def departure(self, sent_id: int) -> Departure:
        """Return when a send left, as far as is known now."""
        self._drain()
        return self._sent[sent_id]

    def _look_for_step(self, sent_id: int, arrival: Datagram) -> None:
        """Read the stamps that have come, and note a step of CLOCK_REALTIME."""
        self._owner.clock_stepped |= stamps.stepped(self.departure(sent_id), arrival.arrival)

    def _take(self) -> Datagram | None:
        for _ in range(2):  # an error about an earlier send is reported once, before a datagram that is there
            ready_realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
            try:
                size, ancillary, _, _ = self._socket.recvmsg_into([_BUFFER], kernel.ANCILLARY_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                continue  # what it is about is on the error queue
            self._owner.traffic.bytes_down += size
            return _arrival(bytes(_BUFFER[:size]), kernel.parse_ancillary(ancillary), ready_realtime_ns)
        return None

    def _drain(self) -> int:
        """Take all there is off the error queue: stamps to their sends, errors to `_pending`; return how many."""
        entries = 0
        while True:
            ready_realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
            try:
                size, ancillary, _, _ = self._socket.recvmsg_into(
                    [_BUFFER], kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE
                )
            except OSError:
                break
            entries += 1
            entry = kernel.parse_ancillary(ancillary)
            self._note_stamp(entry)
            if entry.error is not None:
                self._owner.icmp_errors.append(entry.error)
                self._pending.append((entry.error, _arrival(bytes(_BUFFER[:size]), entry, ready_realtime_ns)))
        return entries

    def _raise_pending(self, operation: str) -> None:
        """Raise for the first error not yet told, one a call."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._drain()
        if self._pending:
            self.last_error = self._pending.popleft()
            raise MeasurementFailedError(self.last_error[0].failure, operation=operation)
        if number:
            raise MeasurementFailedError(from_os_error(OSError(number, "")), operation=operation)

    def _renumber(self) -> None:
        """Begin the kernel's numbering anew: whether a send that failed took a number differs between kernels."""
        self._first_id = len(self._sent)
        flags = kernel.STAMP_FLAGS
        for value in (flags & ~kernel.OPT_ID, flags):
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING_NEW, value)

    def _note_stamp(self, entry: Ancillary) -> None:
        if entry.transmit is not None and entry.stamp_ns is not None:
            sent = self._sent.get(self._first_id + entry.transmit.sent_id)
            if sent is not None:
                sent.stamps.setdefault(entry.transmit.kind, entry.stamp_ns)
                if entry.transmit.kind == kernel.SCHED and sent.cost_ns is not None:
                    self._lead.learn(sent.cost_ns)


def _arrival(data: bytes, entry: Ancillary, ready_realtime_ns: int) -> Datagram:
    return Datagram(data=data, ttl=entry.ttl, arrival=stamps.arrive(entry, ready_realtime_ns))


def prepare(sock: socket.socket) -> bool:
    """Ask for stamps, TTLs and ICMP errors; say whether the kernel gives stamps."""
    for level, option in _FAMILY_OPTIONS[sock.family]:
        sock.setsockopt(level, option, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING_NEW, kernel.STAMP_FLAGS)
    except OSError:
        return False  # before Linux 5.1: every sample will say `user`
    return True
