"""Names in DNS messages: bytes to text and back. Pure.

Text is the presentation form of RFC 1035 5.1, read with its last dot; the root is `.`. Compression pointers may only
lead back, never into the name being read, and only so many times: this file must never loop on what came in, nor
read past the end it is given.
"""

from typing import Final

MAX_NAME_BYTES: Final = 255
MAX_LABEL_BYTES: Final = 63
MAX_POINTERS: Final = 126
"""A name has at most 127 labels, so more pointers than labels only cost whoever follows them."""

_POINTER: Final = 0xC0
_ESCAPED: Final = frozenset(b'"().;\\@$')
_PRINTED: Final = range(0x21, 0x7F)


class DnsFormatError(ValueError):
    """Bytes that are not what RFC 1035 has there. The message says what is wrong with them."""


def read_name(wire: bytes, start: int, end: int) -> tuple[str, int]:
    """Read the name at `start`, which must end before `end`; return it and the place of the byte after it.

    What pointers lead to may stand anywhere before the name. Raises `DnsFormatError`.
    """
    labels: list[str] = []
    place, first, after, size, pointers = start, start, -1, 1, 0
    while length := _byte(wire, place, end):
        if length <= MAX_LABEL_BYTES:
            place += 1
            if place + length > end:
                raise DnsFormatError("a name goes on past its end")
            size += 1 + length
            if size > MAX_NAME_BYTES:
                raise DnsFormatError(f"a name of more than {MAX_NAME_BYTES} bytes")
            labels.append(escaped(wire[place : place + length], also=_ESCAPED))
            place += length
        elif length >= _POINTER:
            target = (length & 0x3F) << 8 | _byte(wire, place + 1, end)
            if after < 0:
                after = place + 2
            if target >= first:
                raise DnsFormatError("a name points at itself or ahead")
            pointers += 1
            if pointers > MAX_POINTERS:
                raise DnsFormatError(f"a name of more than {MAX_POINTERS} pointers")
            end = first
            place = first = target
        else:
            raise DnsFormatError(f"a label of an unknown kind (0x{length:02x})")
    return ".".join([*labels, ""]) or ".", place + 1 if after < 0 else after


def write_name(name: str) -> bytes:
    """Return an ASCII name's wire form, the last dot optional, `.` for the root. Raises `DnsFormatError`."""
    bare = name.removesuffix(".")
    labels = bare.encode("ascii").split(b".") if bare else []
    if not all(0 < len(label) <= MAX_LABEL_BYTES for label in labels):
        raise DnsFormatError(f"{name!r} has a label that is empty or of more than {MAX_LABEL_BYTES} bytes")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > MAX_NAME_BYTES:
        raise DnsFormatError(f"{name!r} takes more than {MAX_NAME_BYTES} bytes")
    return wire


def escaped(octets: bytes, *, also: frozenset[int], spaces: bool = False) -> str:
    r"""Return octets as text: a backslash before those in `also`, `\DDD` for what cannot be printed (a space, unless `spaces`)."""
    return "".join(
        "\\" + chr(octet)
        if octet in also
        else chr(octet)
        if octet in _PRINTED or (spaces and octet == 0x20)
        else f"\\{octet:03d}"
        for octet in octets
    )


def _byte(wire: bytes, place: int, end: int) -> int:
    if place >= end:
        raise DnsFormatError("a name goes on past its end")
    return wire[place]
