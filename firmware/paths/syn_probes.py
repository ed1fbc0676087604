"""TCP connects that go only so far: the kernel's own SYN with a TTL, and what comes back for it. No capability.

Since Linux 5.9 an ICMP error about a SYN is on the socket's error queue with the router that sent it. The flow
is constant: addresses and both ports, and in IPv6 the flow label, which is 0. The kernel chooses the rest, which differs:
initial sequence number, timestamps, IP id. Two sockets cannot have one flow at a time, so probes of one flow go
one after another. A connection that comes about is reset at once. Nobody stamps a SYN as it leaves; an ICMP error about
it has the kernel's stamp of its arrival, so that the time of one has our own system call in it and nothing of how
late this process looked. This file must never send a payload.
"""

import contextlib
import errno
import socket
import time
from dataclasses import dataclass, replace
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError, from_os_error
from firmware.model.record import Phase, Stamp
from firmware.net import kernel, stamps, syn
from firmware.net.access import Net
from firmware.net.loop import WRITABLE
from firmware.net.stamps import Departure
from firmware.net.streams import connect_phase
from firmware.paths.hops import HopKind, HopReply
from firmware.paths.options import IPV6_AUTOFLOWLABEL, TTL
from firmware.paths.probes import error_answer

_OPTIONS: Final = {
    4: (
        (socket.IPPROTO_IP, kernel.IP_RECVERR, 1),
        (socket.IPPROTO_IP, kernel.IP_RECVTTL, 1),
    ),
    6: (
        (socket.IPPROTO_IPV6, kernel.IPV6_RECVERR, 1),
        (socket.IPPROTO_IPV6, kernel.IPV6_RECVHOPLIMIT, 1),
        (
            socket.IPPROTO_IPV6,
            IPV6_AUTOFLOWLABEL,
            0,
        ),  # a label of the kernel's own is another for each socket
    ),
}


@dataclass(slots=True)
class SynProbes:
    """Connects to one address and port from one source port, which the first probe chooses."""

    net: Net
    address: str
    port: int
    source_port: int = 0

    async def probe(self, ttl: int, *, deadline_ns: int) -> HopReply | None:
        """Connect with a TTL; return who answered, None when nobody did until then.

        Raises `MeasurementFailedError` (operation `connect`) where no SYN could be sent.
        """
        family, remote = self.net.socket_address(self.address, self.port)
        version = 6 if family == socket.AF_INET6 else 4
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
            try:
                for level, option, value in _OPTIONS[version]:
                    sock.setsockopt(level, option, value)
                sock.setsockopt(*TTL[version], ttl)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, kernel.RESET_ON_CLOSE)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("::" if version == 6 else "", self.source_port))
                self.source_port = sock.getsockname()[1]
                with contextlib.suppress(OSError):  # before Linux 5.1
                    sock.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING_NEW, kernel.KEEPER_FLAGS)
                sent = await syn.depart(self.net, family)
                number = sock.connect_ex(remote)
            except OSError as error:
                raise MeasurementFailedError(from_os_error(error), operation="connect") from error
            if number not in (0, errno.EINPROGRESS):
                raise MeasurementFailedError(from_os_error(OSError(number, "")), operation="connect")
            mask = await self.net.loop.wait(sock.fileno(), WRITABLE, deadline_ns=deadline_ns)
            return self._answer(sock, sent) if mask else None

    def _answer(self, sock: socket.socket, sent: Departure) -> HopReply | None:
        elapsed_ns = self.net.now_ns() - sent.user_ns
        info = kernel.parse_tcp_info(
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, kernel.TCP_INFO_BYTES)
        )
        # After a second the kernel sends its SYN again: who answered is known then, when it was asked is not.
        rtt = None if info.total_retrans else Phase(ns=elapsed_ns, stamp=Stamp.USER)
        ready_realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        found = _queued(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if found is not None and found.error is not None:
            self.net.icmp_errors.append(found.error)
            arrival = stamps.arrive(found, ready_realtime_ns)
            self.net.clock_stepped |= stamps.stepped(sent, arrival)
            since_ns, is_stamped = stamps.since_call(sent, arrival)
            rtt = rtt and Phase(ns=since_ns, stamp=Stamp.USER)
            answer = error_answer(found.error, self.address, rtt, found.ttl)
            return replace(answer, kernel_arrival=is_stamped and rtt is not None)
        if number == 0:
            return HopReply(
                address=self.address, kind=HopKind.REACHED, rtt=rtt and connect_phase(info, elapsed_ns)
            )
        failure = from_os_error(OSError(number, ""))
        if failure == Failure.CONNECTION_REFUSED:
            return HopReply(address=self.address, kind=HopKind.REACHED, rtt=rtt, failure=failure)
        return HopReply(address="", kind=HopKind.ENDED, rtt=rtt, failure=failure)


def _queued(sock: socket.socket) -> kernel.Ancillary | None:
    try:
        _, ancillary, _, _ = sock.recvmsg(512, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    return kernel.parse_ancillary(ancillary)
