"""TCP_INFO of one connection as names and numbers (Linux, include/uapi/linux/tcp.h), without a C extension. Pure.

Names are those of M-Lab's tcp-info (https://github.com/m-lab/tcp-info, LinuxTCPInfo), which ndt7 and throughput1 send. What a kernel returns
grows with it: a field that it does not have is left out. Times are µs but where the kernel has ms (RTO and the Last… ones are left out
for that). What every probe asks for while it is timed is `firmware.net.kernel.TcpInfo`. This file must never open a socket.
"""

import struct
from typing import Final

_FIELDS: Final = {
    "State": struct.Struct("=B"),
    "CAState": struct.Struct("=1xB"),
    "SndMSS": struct.Struct("=16xI"),
    "RcvMSS": struct.Struct("=20xI"),
    "Unacked": struct.Struct("=24xI"),
    "Sacked": struct.Struct("=28xI"),
    "Lost": struct.Struct("=32xI"),
    "Retrans": struct.Struct("=36xI"),
    "PMTU": struct.Struct("=60xI"),
    "RTT": struct.Struct("=68xI"),
    "RTTVar": struct.Struct("=72xI"),
    "SndSsThresh": struct.Struct("=76xI"),
    "SndCwnd": struct.Struct("=80xI"),
    "RcvSpace": struct.Struct("=96xI"),
    "TotalRetrans": struct.Struct("=100xI"),
    "PacingRate": struct.Struct("=104xQ"),
    "BytesAcked": struct.Struct("=120xQ"),
    "BytesReceived": struct.Struct("=128xQ"),
    "SegsOut": struct.Struct("=136xI"),
    "SegsIn": struct.Struct("=140xI"),
    "NotsentBytes": struct.Struct("=144xI"),
    "MinRTT": struct.Struct("=148xI"),
    "DataSegsIn": struct.Struct("=152xI"),
    "DataSegsOut": struct.Struct("=156xI"),
    "DeliveryRate": struct.Struct("=160xQ"),
    "BusyTime": struct.Struct("=168xQ"),
    "RWndLimited": struct.Struct("=176xQ"),
    "SndBufLimited": struct.Struct("=184xQ"),
    "Delivered": struct.Struct("=192xI"),
    "BytesSent": struct.Struct("=200xQ"),
    "BytesRetrans": struct.Struct("=208xQ"),
    "ReordSeen": struct.Struct("=220xI"),
    "RcvOooPack": struct.Struct("=224xI"),
}
"""Each field's form, with what stands before it."""


def parse(raw: bytes) -> dict[str, int]:
    """Return what `getsockopt(TCP_INFO)` gave, by name."""
    return {name: found for name in _FIELDS if (found := value(raw, name)) is not None}


def value(raw: bytes, name: str) -> int | None:
    """Return one field of it, None where the kernel does not have it."""
    form = _FIELDS[name]
    return int(form.unpack_from(raw)[0]) if len(raw) >= form.size else None
