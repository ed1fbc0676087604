"""A forged NTP answer (RFC 5905), which carries back the question's own number. Pure: the time is an argument."""

import struct
from typing import Final

_LENGTH: Final = 48
_CLIENT: Final = 3
_SINCE_1900_S: Final = 2_208_988_800
_WRAP: Final = 1 << 64


def answer(question: bytes, utc_ns: int, *, stratum: int, kiss: str) -> bytes | None:
    """Return the answer of a server whose clock says `utc_ns`; None where the question is none."""
    if len(question) < _LENGTH or question[0] & 7 != _CLIENT:
        return None
    version, nonce = question[0] >> 3 & 7, question[40:48]
    leap = 3 if stratum in (0, 16) else 0
    reference = kiss.encode() if kiss else b"GPS\0"
    seconds, rest_ns = divmod(utc_ns, 10**9)
    stamp = struct.pack(">Q", ((seconds + _SINCE_1900_S << 32) + (rest_ns << 32) // 10**9) % _WRAP)
    head = struct.pack(">BBbbII4s", leap << 6 | version << 3 | 4, stratum, 0, -20, 0, 66, reference)
    return head + stamp + nonce + stamp + stamp
