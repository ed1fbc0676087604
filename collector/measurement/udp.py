"""UDP beside TLS on the same port: sessions opened and read over TLS, datagrams taken in and flows sent.

    POST /v1/udp?bytes=N&nonce=HEX    {"session": HEX, "key": HEX, "port": N, "expires_s": S}
    GET  /v1/udp?session=HEX          what came here, and what was sent: also where no datagram comes back
    DELETE /v1/udp?session=HEX        the same, and the session ends

The forms of datagrams are `firmware.wire.measurement_udp`'s, what follows of one is `udp_session`'s; a token or a device's id is never in
one, since anybody on the way reads it. A datagram of no session is not answered: not even a scan learns that something listens here.
"""

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import dataclass, field, replace
from typing import Final

from collector.measurement.http1 import HttpExchange, RequestHead
from collector.measurement.limits import Allowances, Lease
from collector.measurement.recording import HalfRecorder, HalfTicket, RecordedTest
from collector.measurement.refusals import RefusedError, refused
from collector.measurement.transfers import TransferLimits
from collector.measurement.udp_session import Address, FlowOrder, UdpSession
from firmware.model.jsontypes import JsonObject
from firmware.model.server_half import Direction, HalfEnd
from firmware.net.kernel import SO_TIMESTAMPING_NEW, parse_ancillary
from firmware.wire.measurement_udp import KEY_BYTES, LEAST_ASKED_BYTES, MAX_BYTES, SESSION_BYTES, session_of

MAX_RATE: Final = 125_000_000
"""A flow's rate at most, bytes/s: a gigabit."""
_STAMP_FLAGS: Final = 8 | 16  # RX_SOFTWARE, SOFTWARE
_ANCILLARY_BYTES: Final = 256
_AT_ONCE: Final = 64
"""Datagrams taken in before others are served."""
_TICK_S: Final = 0.005
_UDP: Final = RecordedTest(test="udp", direction=Direction.UDP)
_BUFFER_BYTES: Final = 4 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class _Open:
    session: UdpSession
    lease: Lease
    ending: asyncio.TimerHandle
    ticket: HalfTicket | None


@dataclass(slots=True)
class UdpEndpoint:
    """The socket and the sessions on it. `start` it on the loop, `stop` it there."""

    sock: socket.socket
    limits: TransferLimits
    allowances: Allowances
    recorder: HalfRecorder | None = None
    _open: dict[bytes, _Open] = field(default_factory=dict)
    _flows: set[asyncio.Task[None]] = field(default_factory=set)
    _secret: bytes = field(default_factory=lambda: os.urandom(KEY_BYTES), repr=False)

    def start(self) -> None:
        """Begin to take datagrams in."""
        self.sock.settimeout(0.0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING_NEW, _STAMP_FLAGS)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        asyncio.get_running_loop().add_reader(self.sock, self._readable)

    async def stop(self) -> None:
        """End every session and flow."""
        asyncio.get_running_loop().remove_reader(self.sock)
        for task in self._flows:
            task.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)
        for name in tuple(self._open):
            self._end(name, HalfEnd.STOPPED)

    async def open(self, exchange: HttpExchange, head: RequestHead, device: str) -> None:
        """Open a session. Raises `RefusedError`, `OSError`."""
        count = head.number("bytes", low=2 * LEAST_ASKED_BYTES, high=self.limits.max_bytes)
        nonce = head.nonce
        now_s = time.monotonic()
        try:
            lease = self.allowances.admit(device, nonce, count, now_s=now_s)
        except RefusedError as error:
            if self.recorder is not None:
                self.recorder.refused(device, nonce, _UDP, error.refusal)
            raise
        ticket = None
        if self.recorder is not None:
            ticket = self.recorder.writer.begin(self.recorder.begun(device, nonce, _UDP, asked_bytes=count))
        session = UdpSession(
            device=device,
            nonce=nonce,
            name=os.urandom(SESSION_BYTES),
            key=os.urandom(KEY_BYTES),
            secret=self._secret,
            max_bytes=count,
            max_rate=MAX_RATE,
            ends_s=now_s + self.limits.max_s,
        )
        ending = asyncio.get_running_loop().call_later(
            self.limits.max_s, self._end, session.name, HalfEnd.TIMED_OUT
        )
        self._open[session.name] = _Open(session=session, lease=lease, ending=ending, ticket=ticket)
        told: JsonObject = {
            "session": session.name.hex(),
            "key": session.key.hex(),
            "port": self.sock.getsockname()[1],
            "expires_s": self.limits.max_s,
        }
        await exchange.answer_json(told)

    async def look(self, exchange: HttpExchange, head: RequestHead, device: str) -> None:
        """Tell what came of a session so far. Raises `RefusedError`, `OSError`."""
        await exchange.answer_json(counts(self._of(head, device).session))

    async def close(self, exchange: HttpExchange, head: RequestHead, device: str) -> None:
        """Tell it, and end the session. Raises `RefusedError`, `OSError`."""
        session = self._of(head, device).session
        self._end(session.name, HalfEnd.DONE)
        await exchange.answer_json(counts(session))

    def _of(self, head: RequestHead, device: str) -> _Open:
        try:
            found = self._open.get(bytes.fromhex(head.query.get("session", "")))
        except ValueError:
            found = None
        if found is None or found.session.device != device:
            raise refused(404, "this device has no such session open")
        return found

    def _end(self, name: bytes, end: HalfEnd) -> None:
        found = self._open.pop(name)
        session = found.session
        found.ending.cancel()
        session.ends_s = 0.0
        self.allowances.release(found.lease, session.spent)
        if self.recorder is not None and found.ticket is not None:
            half = replace(
                found.ticket.half,
                end=end,
                bytes_sent=session.bytes_out,
                bytes_received=session.bytes_in,
                udp=counts(session),
            )
            self.recorder.writer.end(found.ticket, half)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, address = self.sock.recvmsg(MAX_BYTES + 1, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of something sent before
            name = session_of(data)
            found = None if name is None else self._open.get(name)
            if found is not None:
                self._take(found.session, data, ancillary, address)

    def _take(
        self,
        session: UdpSession,
        data: bytes,
        ancillary: list[tuple[int, int, bytes]],
        address: tuple[str, int],
    ) -> None:
        now_ns = time.time_ns()
        stamp_ns = parse_ancillary(ancillary).stamp_ns
        reaction = session.take(
            data,
            (address[0], address[1]),
            came_ns=stamp_ns or now_ns,
            now_ns=now_ns,
            now_s=time.monotonic(),
        )
        if reaction.answer is not None:
            self._send(reaction.answer, address)
        if reaction.flow is not None:
            task = asyncio.create_task(self._flow(session, reaction.flow, address))
            self._flows.add(task)
            task.add_done_callback(self._flows.discard)

    async def _flow(self, session: UdpSession, order: FlowOrder, address: Address) -> None:
        """Send a flow at its rate, in bursts of what a tick of the loop owes, until it has ended."""
        began_s, number = time.monotonic(), 0
        most = order.count_bytes // order.size
        while number < most:
            now_s = time.monotonic()
            owed = min(most, int((now_s - began_s) * order.rate / order.size) + 1)
            for _ in range(min(owed - number, _AT_ONCE)):
                datagram = session.data(order, number, now_ns=time.time_ns(), now_s=now_s)
                if datagram is None:
                    return
                self._send(datagram, address)
                number += 1
            await asyncio.sleep(_TICK_S if number >= owed else 0)
        session.flow_ended = True

    def _send(self, datagram: bytes, address: Address) -> None:
        # A full queue or an unreachable address loses it, as any router on the way might.
        with contextlib.suppress(OSError):
            self.sock.sendto(datagram, address)


def counts(session: UdpSession) -> JsonObject:
    """Return what is told of a session: times are UTC, ns; 0 where none came."""
    return {
        "echoes": session.echoes,
        "sent": session.sent,
        "sent_bytes": session.sent_bytes,
        "first_ns": session.first_ns,
        "last_ns": session.last_ns,
        "flow": session.flow,
        "flow_sent": session.flow_sent,
        "flow_got": session.flow_got,
        "bytes_in": session.bytes_in,
        "bytes_out": session.bytes_out,
    }
