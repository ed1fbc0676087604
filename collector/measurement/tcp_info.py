"""TCP_INFO of one connection as names and numbers (Linux, include/uapi/linux/tcp.h), without a C extension.

Names are those of M-Lab's tcp-info (https://github.com/m-lab/tcp-info, LinuxTCPInfo), which ndt7 and throughput1 send. What a kernel returns
grows with it: a field that it does not have is left out. Times are µs but where the kernel has ms (RTO and the Last… ones are left out
for that). This file must never open a socket.
"""

import socket
import struct
from collections.abc import Mapping
from typing import Final, Protocol

_FIELDS: Final = (
    ("State", 0, "B"),
    ("CAState", 1, "B"),
    ("SndMSS", 16, "I"),
    ("RcvMSS", 20, "I"),
    ("Unacked", 24, "I"),
    ("Sacked", 28, "I"),
    ("Lost", 32, "I"),
    ("Retrans", 36, "I"),
    ("PMTU", 60, "I"),
    ("RTT", 68, "I"),
    ("RTTVar", 72, "I"),
    ("SndSsThresh", 76, "I"),
    ("SndCwnd", 80, "I"),
    ("RcvSpace", 96, "I"),
    ("TotalRetrans", 100, "I"),
    ("PacingRate", 104, "Q"),
    ("BytesAcked", 120, "Q"),
    ("BytesReceived", 128, "Q"),
    ("SegsOut", 136, "I"),
    ("SegsIn", 140, "I"),
    ("NotsentBytes", 144, "I"),
    ("MinRTT", 148, "I"),
    ("DataSegsIn", 152, "I"),
    ("DataSegsOut", 156, "I"),
    ("DeliveryRate", 160, "Q"),
    ("BusyTime", 168, "Q"),
    ("RWndLimited", 176, "Q"),
    ("SndBufLimited", 184, "Q"),
    ("Delivered", 192, "I"),
    ("BytesSent", 200, "Q"),
    ("BytesRetrans", 208, "Q"),
    ("ReordSeen", 220, "I"),
    ("RcvOooPack", 224, "I"),
)
_BYTES: Final = 256
_TCP_CONGESTION: Final = 13


class HasOptions(Protocol):
    """What can be asked for a socket's options: a socket, or asyncio's view of one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return an option's bytes."""


def parse(raw: bytes) -> dict[str, int]:
    """Return what `getsockopt(TCP_INFO)` gave, by name."""
    return {
        name: struct.unpack_from("=" + form, raw, at)[0]
        for name, at, form in _FIELDS
        if len(raw) >= at + struct.calcsize("=" + form)
    }


def of(sock: HasOptions) -> Mapping[str, int]:
    """Return what the kernel says of a connection now. Raises `OSError` where it is closed."""
    return parse(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES))


def congestion_control(sock: HasOptions) -> str:
    """Return which congestion control the connection's sender goes by. Raises `OSError` where it is closed."""
    return sock.getsockopt(socket.IPPROTO_TCP, _TCP_CONGESTION, 16).rstrip(b"\0").decode("ascii", "replace")
