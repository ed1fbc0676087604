"""Reads what is kept of a packet from its IP and TCP headers. Pure; a packet that is not whole or no TCP is None."""

import struct
from collections.abc import Iterator
from typing import Final

from firmware.judgement.throttling.sent_packets import HeaderSeen

_IPV6_BYTES: Final = 40
_NO_MORE: Final = 0
_PADDING: Final = 1
_SACK: Final = 5


def read_headers(raw: bytes, *, at_ns: int, is_sent: bool, whole_bytes: int) -> HeaderSeen | None:
    """Return what headers say; `whole_bytes` is how long the packet was, for one so large that its header cannot say it."""
    if len(raw) < _IPV6_BYTES:
        return None
    if raw[0] >> 4 == 4:
        begins, ends = 4 * (raw[0] & 15), struct.unpack_from("!H", raw, 2)[0]
    else:
        payload = struct.unpack_from("!H", raw, 4)[0]
        begins, ends = _IPV6_BYTES, payload and payload + _IPV6_BYTES
    if len(raw) < begins + 20:
        return None
    sequence, acknowledged, offset, flags = struct.unpack_from("!IIBB", raw, begins + 4)
    header = 4 * (offset >> 4)
    if header < 20 or len(raw) < begins + header:
        return None
    return HeaderSeen(
        at_ns=at_ns,
        is_sent=is_sent,
        sequence=sequence,
        acknowledged=acknowledged,
        payload_bytes=0 if flags & 2 else max(0, (ends or whole_bytes) - begins - header),
        sacks=tuple(_sacks(raw[begins + 20 : begins + header])),
    )


def _sacks(options: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(options) and options[at] != _NO_MORE:
        if options[at] == _PADDING:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            return
        if options[at] == _SACK and (size - 2) % 8 == 0:
            yield from struct.iter_unpack("!II", options[at + 2 : at + size])
        at += size
