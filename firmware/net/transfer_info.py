"""What TCP_INFO says of a whole transfer (Linux, include/uapi/linux/tcp.h): times in ns, None where the kernel has no such field. Pure."""

import struct
from dataclasses import dataclass
from typing import Final

from firmware.model.jsontypes import JsonObject

_PACKET_HEADERS: Final = {4: 52, 6: 72}
"""IP, TCP and its time stamps, by family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferInfo:
    """One reading.

    `rwnd_limited_ns` is how long our sending waited for the other side's window, `sndbuf_limited_ns` for our own buffer,
    `busy_ns` how long anything was under way; `bytes_acked` counts the SYN as one, and what TLS adds.
    """

    rtt_ns: int | None
    min_rtt_ns: int | None
    retransmissions: int | None
    bytes_sent: int | None
    bytes_retransmitted: int | None
    bytes_acked: int | None
    bytes_received: int | None
    segments_out: int | None
    segments_in: int | None
    busy_ns: int | None
    rwnd_limited_ns: int | None
    sndbuf_limited_ns: int | None

    def to_json(self, family: int) -> JsonObject:
        """Return what a record keeps: no counts that its own `bytes_up` and `bytes_down` have, but what it all took on the wire."""
        return {
            "rtt_ns": self.rtt_ns,
            "min_rtt_ns": self.min_rtt_ns,
            "retransmissions": self.retransmissions,
            "bytes_retransmitted": self.bytes_retransmitted,
            "busy_ns": self.busy_ns,
            "rwnd_limited_ns": self.rwnd_limited_ns,
            "sndbuf_limited_ns": self.sndbuf_limited_ns,
            "wire_bytes": self.wire_bytes(family),
        }

    def wire_bytes(self, family: int) -> int | None:
        """Return what the connection cost both ways, packets' headers included; of what was lost on its way here nothing is known."""
        if None in (self.bytes_sent, self.bytes_received, self.segments_out, self.segments_in):
            return None
        segments = (self.segments_out or 0) + (self.segments_in or 0)
        return (self.bytes_sent or 0) + (self.bytes_received or 0) + segments * _PACKET_HEADERS[family]


def parse_transfer_info(raw: bytes) -> TransferInfo:
    """Read what `getsockopt(TCP_INFO)` returned; it grows with the kernel, so each field is guarded."""

    def field(form: str, offset: int, unit: int = 1) -> int | None:
        if len(raw) < offset + struct.calcsize(form):
            return None
        return int(struct.unpack_from(form, raw, offset)[0]) * unit

    least_us = field("=I", 148)
    return TransferInfo(
        rtt_ns=field("=I", 68, 1000),
        min_rtt_ns=None if least_us in (None, _UNKNOWN) else (least_us or 0) * 1000,
        retransmissions=field("=I", 100),
        bytes_sent=field("=Q", 200),
        bytes_retransmitted=field("=Q", 208),
        bytes_acked=field("=Q", 120),
        bytes_received=field("=Q", 128),
        segments_out=field("=I", 136),
        segments_in=field("=I", 140),
        busy_ns=field("=Q", 168, 1000),
        rwnd_limited_ns=field("=Q", 176, 1000),
        sndbuf_limited_ns=field("=Q", 184, 1000),
    )


_UNKNOWN: Final = 0xFFFF_FFFF
"""What the kernel has as the least round trip before it has a sample."""
