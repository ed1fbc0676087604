"""What TCP_INFO says of a whole transfer (Linux, include/uapi/linux/tcp.h): times in ns, None where the kernel has no such field. Pure."""

from dataclasses import dataclass
from typing import Final

from firmware.model.jsontypes import JsonObject
from firmware.net import tcp_info

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
    """Read what `getsockopt(TCP_INFO)` returned."""
    told = tcp_info.parse(raw)

    def ns(name: str) -> int | None:
        return None if (us := told.get(name)) is None else us * 1000

    return TransferInfo(
        rtt_ns=ns("RTT"),
        min_rtt_ns=None if told.get("MinRTT") == _UNKNOWN else ns("MinRTT"),
        retransmissions=told.get("TotalRetrans"),
        bytes_sent=told.get("BytesSent"),
        bytes_retransmitted=told.get("BytesRetrans"),
        bytes_acked=told.get("BytesAcked"),
        bytes_received=told.get("BytesReceived"),
        segments_out=told.get("SegsOut"),
        segments_in=told.get("SegsIn"),
        busy_ns=ns("BusyTime"),
        rwnd_limited_ns=ns("RWndLimited"),
        sndbuf_limited_ns=ns("SndBufLimited"),
    )


_UNKNOWN: Final = 0xFFFF_FFFF
"""What the kernel has as the least round trip before it has a sample."""
