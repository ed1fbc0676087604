"""What a network card would have done: fill in a checksum, cut an oversize packet into segments. Pure.

The kernel hands packets between namespaces as their sender left them, often as one of 64 KiB with an unfinished
checksum, and says so in a header before the frame (linux/virtio_net.h). A packet no rule concerns goes on with
that header untouched; what rules look at is finished here first. This file must never change what is carried.
"""

import struct
from typing import Final

from tests.nation.censor.forge import checksum
from tests.nation.censor.packets import ETHERNET, FIN, PSH, TCP

HEADER: Final = struct.Struct("=BBHHHH")
"""flags, kind, header length, segment size, where the checksum starts, where in there it stands."""
PLAIN: Final = bytes(HEADER.size)
_UNFINISHED: Final = 1
_ECN: Final = 0x80
_WRAP: Final = 1 << 32


def finished(header: bytes, frame: bytes) -> list[bytes]:
    """Return the frames as they would be on a wire."""
    flags, kind, _, size, start, offset = HEADER.unpack(header)
    if not flags & _UNFINISHED:
        return [frame]
    if kind & ~_ECN and size and len(frame) > start:
        return _segments(frame, start, offset, size)
    return [_summed(frame, start, offset)]


def _summed(frame: bytes, start: int, offset: int) -> bytes:
    """Return the frame with its checksum; the pseudo header's sum stands in its place already."""
    at = start + offset
    total = checksum(frame[start : _end(frame)])
    if total == 0 and offset == 6:  # UDP: 0 says that there is none
        total = 0xFFFF
    return frame[:at] + total.to_bytes(2, "big") + frame[at + 2 :]


def _end(frame: bytes) -> int:
    if frame[12:14] == b"\x08\x00":
        return min(len(frame), ETHERNET + int.from_bytes(frame[16:18], "big"))
    return min(len(frame), ETHERNET + 40 + int.from_bytes(frame[18:20], "big"))


def _segments(frame: bytes, start: int, offset: int, size: int) -> list[bytes]:
    is_tcp = offset == 16
    body = start + ((frame[start + 12] >> 4) * 4 if is_tcp else 8)
    head, data = frame[:body], frame[body:]
    made = []
    for number, at in enumerate(range(0, len(data), size)):
        piece = data[at : at + size]
        made.append(_segment(head, piece, start, number, at, last=at + size >= len(data), is_tcp=is_tcp))
    return made


def _segment(
    head: bytes, piece: bytes, start: int, number: int, at: int, *, last: bool, is_tcp: bool
) -> bytes:
    new = bytearray(head)
    length = len(head) + len(piece)
    if head[12:14] == b"\x08\x00":
        struct.pack_into(">H", new, 16, length - ETHERNET)
        identity = (int.from_bytes(head[18:20], "big") + number) & 0xFFFF
        struct.pack_into(
            ">HHH", new, 18, identity, int.from_bytes(head[20:22], "big"), new[22] << 8 | new[23]
        )
        struct.pack_into(">H", new, 24, 0)
        struct.pack_into(">H", new, 24, checksum(bytes(new[ETHERNET:start])))
        addresses = bytes(new[26:34])
    else:
        struct.pack_into(">H", new, 18, length - ETHERNET - 40)
        addresses = bytes(new[22:54])
    if is_tcp:
        sequence = int.from_bytes(head[start + 4 : start + 8], "big")
        struct.pack_into(">I", new, start + 4, (sequence + at) % _WRAP)
        if not last:
            new[start + 13] &= ~(FIN | PSH)
        place = start + 16
    else:
        struct.pack_into(">H", new, start + 4, length - start)
        place = start + 6
    proto = TCP if is_tcp else 17
    struct.pack_into(">H", new, place, 0)
    pseudo = addresses + struct.pack(">II", length - start, proto)
    total = checksum(pseudo + bytes(new[start:]) + piece)
    struct.pack_into(">H", new, place, total if is_tcp or total else 0xFFFF)
    return bytes(new) + piece


__all__ = ["HEADER", "PLAIN", "finished"]
