"""What the Linux kernel tells a socket: stamps, ICMP errors, TCP_INFO, as numbers and parsers. Pure.

Sources: Documentation/networking/timestamping.rst, ip(7), and the kernel's uapi headers. This file must never
open a socket or read a clock.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from firmware.model.failures import Failure, from_os_error

SO_TIMESTAMPING_NEW: Final = 65
_TX_SOFTWARE: Final = 1 << 1
_RX_SOFTWARE: Final = 1 << 3
_SOFTWARE: Final = 1 << 4
OPT_ID: Final = 1 << 7
_TX_SCHED: Final = 1 << 8
_OPT_TSONLY: Final = 1 << 11
STAMP_FLAGS: Final = _TX_SOFTWARE | _TX_SCHED | _RX_SOFTWARE | _SOFTWARE | OPT_ID | _OPT_TSONLY
"""Every stamp there is without hardware, numbered by send, without the packet's own bytes coming back."""
KEEPER_FLAGS: Final = _RX_SOFTWARE | _SOFTWARE

IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
_IP_TTL: Final = 2
IP_RECVTTL: Final = 12
IPV6_RECVHOPLIMIT: Final = 51
_IPV6_HOPLIMIT: Final = 52

_ORIGIN_LOCAL: Final = 1
_ORIGIN_ICMP: Final = 2
_ORIGIN_ICMP6: Final = 3
_ORIGIN_STAMP: Final = 4
SND: Final = 0
"""`ee_info` of a transmit stamp taken on handing the packet to the driver."""
SCHED: Final = 1
"""`ee_info` of a transmit stamp taken before the device's own queue."""

RESET_ON_CLOSE: Final = struct.pack("=ii", 1, 0)
"""SO_LINGER: on, for no time."""

_STAMPS: Final = struct.Struct("=6q")
_ERROR: Final = struct.Struct("=IBBBBII")
_INT: Final = struct.Struct("=i")

ANCILLARY_BYTES: Final = 512
"""Room for a stamp, a TTL and an extended error with its offender's address, with some to spare."""

_SOL_IP: Final = socket.IPPROTO_IP
_SOL_IPV6: Final = socket.IPPROTO_IPV6

AncillaryData: TypeAlias = "Iterable[tuple[int, int, bytes]]"


@dataclass(frozen=True, slots=True)
class TransmitStamp:
    """One transmit stamp: of the `sent_id`-th send of its socket (from 0), `kind` SND or SCHED."""

    sent_id: int
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpError:
    """An error about a packet we sent. `icmp_type` and `icmp_code` are None when this machine itself raised it.

    `offender` is the address of who sent the error, "" if unknown; `info` the MTU for fragmentation needed.
    """

    failure: str
    errno: int
    family: int
    icmp_type: int | None
    icmp_code: int | None
    offender: str
    info: int = 0

    @property
    def is_port_unreachable(self) -> bool:
        """Whether the far end itself answered that nothing listens there."""
        return (self.family, self.icmp_type, self.icmp_code) in ((4, 3, 3), (6, 1, 4))

    @property
    def is_ttl_exceeded(self) -> bool:
        """Whether a router says that the packet had passed as many routers as it might."""
        return (self.family, self.icmp_type, self.icmp_code) in _TTL_EXCEEDED

    @property
    def is_too_big(self) -> bool:
        """Whether a router says that the packet was too big for the next link, whose MTU is `info` (0: unsaid)."""
        return (self.family, self.icmp_type, self.icmp_code) in ((4, 3, 4), (6, 2, 0))

    @property
    def is_local(self) -> bool:
        """Whether this machine itself raised it, about the very packet that was not sent."""
        return self.icmp_type is None


@dataclass(slots=True)
class Ancillary:
    """What came beside one message: the kernel's stamp (CLOCK_REALTIME, ns), the TTL, why it is on the error queue."""

    stamp_ns: int | None = None
    ttl: int | None = None
    transmit: TransmitStamp | None = None
    error: IcmpError | None = None


def parse_ancillary(data: AncillaryData) -> Ancillary:
    """Read the control messages of one recvmsg. What is unknown or cut short is left out."""
    found = Ancillary()
    for level, kind, payload in data:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING_NEW and len(payload) >= _STAMPS.size:
            seconds, nanoseconds = _STAMPS.unpack_from(payload)[:2]
            found.stamp_ns = seconds * 1_000_000_000 + nanoseconds if seconds or nanoseconds else None
        elif (level, kind) in ((_SOL_IP, IP_RECVERR), (_SOL_IPV6, IPV6_RECVERR)):
            _extended_error(payload, found, family=4 if level == _SOL_IP else 6)
        elif (level, kind) in ((_SOL_IP, _IP_TTL), (_SOL_IPV6, _IPV6_HOPLIMIT)) and len(payload) >= _INT.size:
            found.ttl = _INT.unpack_from(payload)[0]
    return found


def _extended_error(payload: bytes, found: Ancillary, *, family: int) -> None:
    if len(payload) < _ERROR.size:
        return
    number, origin, icmp_type, icmp_code, _, info, data = _ERROR.unpack_from(payload)
    if origin == _ORIGIN_STAMP:
        found.transmit = TransmitStamp(data, info)
        return
    from_network = origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6)
    found.error = IcmpError(
        failure=icmp_failure(family, icmp_type, icmp_code, number) if from_network else _by_errno(number),
        errno=number,
        family=family,
        icmp_type=icmp_type if from_network else None,
        icmp_code=icmp_code if from_network else None,
        offender=_offender(payload[_ERROR.size :]) if from_network else "",
        info=info,
    )


def _offender(address: bytes) -> str:
    """Read the sockaddr that follows an extended error."""
    if len(address) >= 8 and address[:2] == struct.pack("=H", socket.AF_INET):
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    if len(address) >= 24 and address[:2] == struct.pack("=H", socket.AF_INET6):
        return socket.inet_ntop(socket.AF_INET6, address[8:24])
    return ""


_FROM_ICMP: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ECONNREFUSED, errno.EACCES, errno.EPROTO}
)


def stream_hints(soft_errno: int, mtu_before: int | None, mtu_now: int | None) -> list[IcmpError]:
    """Return what the kernel still knows of ICMP errors about an open TCP stream: no type, no code, no router.

    A stream outlives them, as it does in every browser: the errno of the last unreachable (`SO_ERROR`), and the
    path's MTU (TCP_INFO) if it shrank, are all it keeps. 0 and None stand for nothing.
    """
    found: list[IcmpError] = []

    def hint(number: int, info: int = 0) -> None:
        prohibited = number == errno.EACCES  # what only ICMPv6's kinds of it become
        found.append(
            IcmpError(
                failure=Failure.ADMINISTRATIVELY_PROHIBITED if prohibited else _by_errno(number),
                errno=number,
                family=0,
                icmp_type=None,
                icmp_code=None,
                offender="",
                info=info,
            )
        )

    if soft_errno in _FROM_ICMP:
        hint(soft_errno)
    if mtu_before is not None and mtu_now is not None and mtu_now < mtu_before:
        hint(errno.EMSGSIZE, mtu_now)
    return found


_PROHIBITED: Final = frozenset({(4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1), (6, 1, 5), (6, 1, 6)})
_TTL_EXCEEDED: Final = frozenset({(4, 11, 0), (6, 3, 0)})


def icmp_failure(family: int, icmp_type: int, icmp_code: int, number: int) -> str:
    """Return the failure word of an ICMP error (RFC 792, 1812, 4443) that the kernel turned into errno `number`.

    The errno alone hides the most telling ones: administratively prohibited arrives as EHOSTUNREACH or EACCES,
    TTL exceeded as EHOSTUNREACH.
    """
    if (family, icmp_type, icmp_code) in _PROHIBITED:
        return Failure.ADMINISTRATIVELY_PROHIBITED
    if (family, icmp_type, icmp_code) in _TTL_EXCEEDED:
        return Failure.TTL_EXCEEDED
    return _by_errno(number)


def _by_errno(number: int) -> str:
    known = number if number in errno.errorcode else errno.EIO
    return from_os_error(OSError(known, os.strerror(known)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """The fields used of `struct tcp_info`; None where the kernel returned too few bytes to hold one."""

    returned_bytes: int
    rtt_us: int | None
    total_retrans: int | None
    data_segs_in: int | None = None
    pmtu: int | None = None


TCP_INFO_BYTES: Final = 256


def parse_tcp_info(raw: bytes) -> TcpInfo:
    """Read what `getsockopt(TCP_INFO)` returned; it grows with the kernel, so each field is guarded."""

    def field(offset: int) -> int | None:
        return int(struct.unpack_from("=I", raw, offset)[0]) if len(raw) >= offset + 4 else None

    return TcpInfo(
        returned_bytes=len(raw),
        rtt_us=field(68),
        total_retrans=field(100),
        data_segs_in=field(152),
        pmtu=field(60),
    )


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """CLOCK_REALTIME − CLOCK_MONOTONIC_RAW at one moment, good to ± `error_ns`; `raw_ns` is that moment."""

    offset_ns: int
    error_ns: int
    raw_ns: int

    @property
    def realtime_ns(self) -> int:
        """CLOCK_REALTIME at that moment."""
        return self.raw_ns + self.offset_ns


MAX_SLEW: Final = 0.001
"""Faster than this the clock was stepped, or slewed too fast to time by: 500 ppm of slew and 500 of frequency."""


def clock_stepped(before: ClockOffset, after: ClockOffset) -> bool:
    """Return whether CLOCK_REALTIME moved between two readings by more than it may and still time a probe."""
    allowed_ns = before.error_ns + after.error_ns + MAX_SLEW * (after.raw_ns - before.raw_ns)
    return abs(after.offset_ns - before.offset_ns) > allowed_ns
