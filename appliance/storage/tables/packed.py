"""A record's JSON text as it stands on the card: deflated against another record of its kind.

A record is some 1,700 bytes, of which all but 250 stand in every other record of its kind: the names of its keys, the
words of its test. `dictionary_1.txt` beside this file has one of each kind in a line, and each is deflated against that, by
itself: one that is damaged costs no other. What comes of it is text again (base64 behind a mark), so that a row is what it
was to SQLite, to its checksum, which is over the text that is stored, and to a salvage. A text that begins with a brace is
as it was measured: rows of earlier versions, and what packing would make no shorter.

The dictionary must never change: what was packed with it could not be read any more. A better one is another file and another mark.
"""

import base64
import binascii
import functools
import json
import zlib
from pathlib import Path
from typing import Final

MARK: Final = "z1"
"""Behind it stands the dictionary's line as a letter, and then the text."""
_DICTIONARY: Final = Path(__file__).with_name("dictionary_1.txt")
_FALLBACK: Final = ("tls", False)
"""What all records have in common this one has too."""
_LEVEL: Final = 3
_WINDOW_BITS: Final = 12
"""4 KiB: the dictionary's line and a record like it. A larger window and table are as small in what they make, and slower."""
_MEMORY: Final = 4
_HEAD: Final = len(MARK) + 1


@functools.cache
def dictionary() -> tuple[bytes, ...]:
    """Return what records are packed against, line by line."""
    return tuple(_DICTIONARY.read_bytes().splitlines())


@functools.cache
def _line_of(test: str, failed: bool) -> int:  # noqa: FBT001 - a key
    """Return the dictionary's line for such records."""
    kinds: dict[tuple[str, bool], int] = {}
    for number, line in enumerate(dictionary()):
        told = json.loads(line)
        kinds.setdefault((told["test"], told["failure"] is not None), number)
    return kinds.get((test, failed), kinds.get((test, not failed), kinds[_FALLBACK]))


@functools.cache
def _begun(line: int) -> "zlib._Compress":
    """Return a compressor that has read the dictionary's line: a copy of it is made in three quarters of the time."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, 0, dictionary()[line])


def pack(body: str, *, test: str, failed: bool) -> str:
    """Return the text to store for the JSON text of a record of `test`, which `failed` or not."""
    line = _line_of(test, failed)
    deflate = _begun(line).copy()
    packed = binascii.b2a_base64(deflate.compress(body.encode()) + deflate.flush(), newline=False).decode()
    return f"{MARK}{chr(65 + line)}{packed}" if len(packed) + _HEAD < len(body) else body


def unpack(stored: str) -> str:
    """Return the record's JSON text. Raises `ValueError` for a text that `pack` did not make."""
    if not stored.startswith(MARK):
        return stored
    line = ord(stored[_HEAD - 1 : _HEAD] or "\0") - 65
    if not 0 <= line < len(dictionary()):
        raise ValueError("cannot be unpacked: packed against what is not known here")
    inflate = zlib.decompressobj(zdict=dictionary()[line])
    try:
        body = inflate.decompress(base64.b64decode(stored[_HEAD:], validate=True)).decode()
    except zlib.error as error:
        raise ValueError(f"cannot be unpacked: {error}") from error
    if not inflate.eof:
        raise ValueError("cannot be unpacked: it ends in its midst")
    return body
