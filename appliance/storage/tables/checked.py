"""What is read from a row, and whether it is what was written: the one place where the outbox believes a value or does not.

A worn card flips bits, and SQLite has no checksum of its own. So each row that may harm by a wrong value has a mark, the
CRC-32 of its key and its values; text is read whatever its bytes are, and a mark then says that they are not its own. What a
row that does not fit costs, its reader decides: damage, which is recovered, or nothing, where it is a convenience
(docs/decisions/0024-rows-carry-their-checksums.md). It must never raise for what stands in a row.
"""

import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

Value: TypeAlias = "int | float | str | bytes | None"
_FLAG: Final = 1 << 32
"""Above the CRC: with it no one bit makes a mark NULL, which is what rows older than marks have, nor an older mark a newer."""
_KEY_BYTES: Final = 8
_KEY_BITS: Final = 56


def text(data: bytes) -> str:
    """Return text of SQLite's as it stands, what is no UTF-8 in it escaped: a connection's `text_factory`."""
    return str(data, "utf-8", "surrogateescape")


def mark(*values: Value) -> int:
    """Return the mark of a row with these values."""
    return _FLAG | zlib.crc32("\x1f".join(map(str, values)).encode("utf-8", "surrogateescape"))


def body_mark(key: int, body: bytes) -> int:
    """Return the mark of a record: of its key too, for a record under another number is another's."""
    return _FLAG | zlib.crc32(body, zlib.crc32(key.to_bytes(_KEY_BYTES, "big", signed=True)))


def whole(key: int, body: Value, found: Value) -> str | None:
    """Return a record's text where it is what was stored at `key`, else None. `found` is its mark, None in the oldest rows.

    A type that changed alone costs nothing: the same bytes are the same text.
    """
    content = _content(body)
    if content is None or not (found is None or _fits(key, content, found)):
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def moved_from(key: int, body: Value, found: Value) -> int | None:
    """Return the key that a record was stored at, where one bit of it has changed since; None where that is not so."""
    content = _content(body)
    if content is None or not isinstance(found, int) or found < _FLAG:
        return None
    for other in (key ^ (1 << bit) for bit in range(_KEY_BITS)):
        if body_mark(other, content) == found:
            return other
    return None


def restored(values: tuple[Value, ...], found: Value) -> tuple[Value, ...] | None:
    """Return what stood in a row of mark `found`, where at most one bit of it or of the mark has changed; else None.

    No two of such changes have the same CRC-32, in rows as short as an account (any three bits of one differ).
    """
    if not isinstance(found, int):
        return None
    own = mark(*values)
    if own == found or (own ^ found).bit_count() == 1:
        return values
    return next((before for before in _one_bit_off(values) if mark(*before) == found), None)


def _one_bit_off(values: tuple[Value, ...]) -> Iterator[tuple[Value, ...]]:
    """Give what these whole numbers and texts may have been before one bit of one of them flipped."""
    for index, value in enumerate(values):
        for before in _before(value):
            yield (*values[:index], before, *values[index + 1 :])


def _before(value: Value) -> Iterator[Value]:
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(_KEY_BITS))
    elif isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        for at, byte in enumerate(data):
            yield from (text(data[:at] + bytes([byte ^ (1 << bit)]) + data[at + 1 :]) for bit in range(8))


def _fits(key: int, content: bytes, found: Value) -> bool:
    if not isinstance(found, int):
        return False
    return found == (body_mark(key, content) if found >= _FLAG else zlib.crc32(content))


def _content(body: Value) -> bytes | None:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")
    return body if isinstance(body, bytes) else None
