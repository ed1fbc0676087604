"""Probes of one flow that go only so far: written, told apart when they come back, read as answers.

Constant in every probe of a flow (so that routers which share load by it send all of them the same way):
addresses, protocol, ports (UDP), type, code, identifier and checksum (ICMP), the UDP checksum, length, and what
the kernel sets for the flow. Different: TTL, the IP header's id and checksum (the kernel's), and a sequence
number, which stands beside its complement so that no checksum changes. It is the ICMP header's own, so that
every router quotes it; in UDP it is in the payload, which old routers do not quote: then `which` is None.

This file must never decide which probe goes next.
"""

import struct
from dataclasses import dataclass, field
from typing import Final, Protocol

from firmware.model.failures import MeasurementFailedError
from firmware.model.record import Phase
from firmware.net.access import Datagram, DatagramFlow
from firmware.net.kernel import IcmpError
from firmware.paths.hops import HopKind, HopReply
from firmware.paths.options import TTL

_ICMP: Final = struct.Struct(">BBHHH")
_ECHO_REQUEST: Final = {4: 8, 6: 128}
_ECHO_REPLY: Final = {4: 0, 6: 129}
_MARK: Final = struct.Struct(">HH")
_MAX_SEQUENCE: Final = 0xFFFF
_PADDING: Final = b"tidegauge"
MIN_PAYLOAD: Final = 4
"""Bytes behind the UDP or ICMP header that a probe needs at least."""


class ProbeForm(Protocol):
    """How a probe of one method is written, and its sequence number read from what came back."""

    def write(self, sequence: int, payload_bytes: int) -> bytes:
        """Return a probe with `payload_bytes` behind its UDP or ICMP header."""

    def sequence_of(self, data: bytes) -> int | None:
        """Return the sequence number in a reply or in what an error quotes, None where there is none of ours."""


@dataclass(frozen=True, slots=True)
class IcmpForm:
    """ICMP echo; identifier and checksum are the kernel's to write.

    `balance` is a word of the payload that the checksum depends on: with the identifier's complement in it the
    checksum is the same for every identifier.
    """

    family: int
    balance: int = 0

    def write(self, sequence: int, payload_bytes: int) -> bytes:
        """Return an echo request."""
        balance = struct.pack(">HH", _MAX_SEQUENCE - sequence, self.balance)
        head = _ICMP.pack(_ECHO_REQUEST[self.family], 0, 0, 0, sequence)
        return head + _padded(balance, payload_bytes)

    def sequence_of(self, data: bytes) -> int | None:
        """Return the sequence number of an echo request or its reply."""
        if len(data) < _ICMP.size:
            return None
        kind, _, _, _, sequence = _ICMP.unpack_from(data)
        return int(sequence) if kind in (_ECHO_REQUEST[self.family], _ECHO_REPLY[self.family]) else None


@dataclass(frozen=True, slots=True)
class UdpForm:
    """A UDP datagram that carries its sequence number and the number's complement."""

    def write(self, sequence: int, payload_bytes: int) -> bytes:
        """Return a datagram's payload."""
        return _padded(_MARK.pack(sequence, _MAX_SEQUENCE - sequence), payload_bytes)

    def sequence_of(self, data: bytes) -> int | None:
        """Return the sequence number if its complement is beside it."""
        if len(data) < _MARK.size:
            return None
        sequence, complement = _MARK.unpack_from(data)
        return int(sequence) if sequence + complement == _MAX_SEQUENCE else None


def _padded(start: bytes, size: int) -> bytes:
    return (start + _PADDING * (size // len(_PADDING) + 1))[: max(size, len(start))]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeArrival:
    """Something came: for which probe (None: it does not say), and what. `answer.rtt` is only right for `which`."""

    which: int | None
    error: IcmpError | None
    datagram: Datagram


@dataclass(slots=True)
class PathProbes:
    """Sends probes with a TTL over one flow and receives what comes of them. `which` counts the sends from 0."""

    flow: DatagramFlow
    form: ProbeForm
    family: int
    payload_bytes: int
    _sent_ids: dict[int, int] = field(default_factory=dict)

    async def send(self, ttl: int | None) -> int:
        """Send one that may pass `ttl` routers less one (None: the kernel's own TTL); return its number.

        Raises `MeasurementFailedError` (operation `write`).
        """
        if ttl is not None:
            self.flow.set_option(*TTL[self.family], ttl)
        which = len(self._sent_ids)
        self._sent_ids[which] = -1
        self._sent_ids[which] = await self.flow.send(
            self.form.write(which & _MAX_SEQUENCE, self.payload_bytes)
        )
        return which

    async def receive(self, *, deadline_ns: int) -> ProbeArrival | None:
        """Return what comes next, an answer or an ICMP error; None when nothing did until then.

        Raises `MeasurementFailedError` only where the socket itself is broken.
        """
        try:
            datagram = await self.flow.receive(deadline_ns=deadline_ns)
        except MeasurementFailedError:
            if self.flow.last_error is None:
                raise
            error, datagram = self.flow.last_error
            self.flow.last_error = None
            return ProbeArrival(which=self._which(datagram), error=error, datagram=datagram)
        return (
            None
            if datagram is None
            else ProbeArrival(which=self._which(datagram), error=None, datagram=datagram)
        )

    def answer(self, which: int, arrival: ProbeArrival) -> HopReply:
        """Read an arrival as the answer to probe `which`."""
        error, target = arrival.error, self.flow.remote[0]
        rtt = self.flow.rtt(self._sent_ids[which], arrival.datagram)
        if error is None:
            return HopReply(address=target, kind=HopKind.REACHED, rtt=rtt, ttl=arrival.datagram.ttl)
        return error_answer(error, target, rtt, arrival.datagram.ttl)

    def _which(self, datagram: Datagram) -> int | None:
        sequence = self.form.sequence_of(datagram.data)
        return sequence if sequence in self._sent_ids else None


def error_answer(error: IcmpError, target: str, rtt: Phase | None, ttl: int | None) -> HopReply:
    """Read an ICMP error: passed, the target's own port unreachable, or the end of the way."""
    bare = target.partition("%")[0]
    if error.is_ttl_exceeded:
        kind = HopKind.PASSED
    elif error.is_port_unreachable and error.offender == bare:
        kind = HopKind.REACHED
    else:
        kind = HopKind.ENDED
    known = error.icmp_type is not None and error.icmp_code is not None
    return HopReply(
        address=error.offender,
        kind=kind,
        rtt=rtt,
        ttl=ttl,
        failure=error.failure,
        icmp=(error.icmp_type or 0, error.icmp_code or 0) if known else None,
        mtu=error.info if error.is_too_big else 0,
    )
