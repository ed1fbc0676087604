"""The checksums of a frame, added up the slow way: what the censor's own are held against."""

import struct

from tests.nation.censor.packets import ICMP, parse


def is_sound(frame: bytes) -> bool:
    """Return whether every checksum in a frame is right, added up the slow way."""
    found = parse(frame, True)
    assert found is not None
    whole = frame[found.transport : found.end]
    if found.version == 4:
        head = frame[found.network : found.transport]
        if ones_sum(head) != 0xFFFF:
            return False
        if found.proto == ICMP:
            return ones_sum(whole) == 0xFFFF
        pseudo = found.source + found.target + struct.pack(">BBH", 0, found.proto, len(whole))
    else:
        pseudo = found.source + found.target + struct.pack(">II", len(whole), found.proto)
    return ones_sum(pseudo + whole) == 0xFFFF


def ones_sum(data: bytes) -> int:
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total
