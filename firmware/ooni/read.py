"""A file of measurements, read one at a time: JSON Lines or one measurement over many lines, gzip or not.

Yields for each what it is, or `Damage`: the line and what is wrong. After a damage it reads on. One object is never
held back for the next, so that a file of any length costs the memory of its longest object. This file must never
raise for what stands in the file, only where it cannot be read at all (`OSError`).
"""

import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.ooni.keys import shown

MAX_BYTES: Final = 64 * 1024 * 1024
"""The longest measurement that is read; OONI's own collector refuses far shorter ones."""

_GZIP: Final = b"\x1f\x8b"
_MARK: Final = b"\xef\xbb\xbf"
_ALLOWED: Final = "allowed is a measurement, one a line or over several"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that could not be read: where it began or broke, and what is wrong with it."""

    line: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One JSON object and the line it begins on."""

    line: int
    value: JsonObject


class _BrokenError(ValueError):
    """Text that is no JSON; `line` counts from 0 within it."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.line = line


def documents(stream: IO[bytes]) -> Iterator[Document | Damage]:
    """Yield every object of the file, and a `Damage` for everything in it that is none."""
    held: list[bytes] = []  # the lines of an object that its first line does not end
    start = held_bytes = 0
    for number, line in _lines(stream):
        if held and isinstance(line, bytes) and not line.startswith(b"{"):
            held.append(line)
            held_bytes += len(line)
            if line.startswith(b"}") or held_bytes > MAX_BYTES:
                yield from _end(held, start)
                held = []
            continue
        yield from _end(held, start)
        held, start = [], number
        if isinstance(line, Damage):
            yield line
        elif line.strip():
            try:
                yield _document(number, _loads(line))
            except _BrokenError as error:
                if line.startswith(b"{"):
                    held, held_bytes = [line], len(line)  # it may go on: the lines that follow tell
                else:
                    yield Damage(line=number, what=str(error))
    yield from _end(held, start)


def _end(held: list[bytes], start: int) -> Iterator[Document | Damage]:
    """Read an object over several lines; where it is none, each of its lines is read for itself."""
    if not held:
        return
    try:
        yield _document(start, _loads(b"".join(held)))
    except _BrokenError as error:
        if held[0].strip() == b"{":
            yield Damage(line=start + error.line, what=str(error))
            return
        for number, line in enumerate(held, start):
            yield from _alone(number, line)


def _alone(number: int, line: bytes) -> Iterator[Document | Damage]:
    if not line.strip():
        return
    try:
        yield _document(number, _loads(line))
    except _BrokenError as error:
        yield Damage(line=number, what=str(error))


def _document(number: int, value: JsonValue) -> Document | Damage:
    if isinstance(value, dict):
        return Document(line=number, value=value)
    return Damage(line=number, what=f"found {shown(value)}; {_ALLOWED}")


def _loads(text: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(text.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise _BrokenError(
            f"found bytes that are not UTF-8 at column {error.start + 1}; {_ALLOWED}",
            text.count(b"\n", 0, error.start),
        ) from error
    except json.JSONDecodeError as error:
        where = f"at column {error.colno}"
        raise _BrokenError(f"found no JSON {where} ({error.msg}); {_ALLOWED}", error.lineno - 1) from error
    except RecursionError as error:
        raise _BrokenError(f"found JSON too deep to be a measurement; {_ALLOWED}") from error
    except ValueError as error:  # a number of thousands of digits, NaN, Infinity
        raise _BrokenError(f"found a number that is none ({error}); {_ALLOWED}") from error
    return value


def _refuse(word: str) -> JsonValue:
    raise ValueError(word)


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | Damage]]:
    """Yield numbered lines, unpacked where the stream is gzip; a stream that breaks off ends in a `Damage`."""
    reader = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    is_packed = reader.peek(len(_GZIP)).startswith(_GZIP)
    source = io.BufferedReader(gzip.GzipFile(fileobj=reader)) if is_packed else reader
    for number in itertools.count(1):
        try:
            line = source.readline(MAX_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield (
                number,
                Damage(line=number, what=f"found a broken gzip stream ({error}); nothing after it is read"),
            )
            return
        if not line:
            return
        if len(line) > MAX_BYTES:
            told = f"found more than {MAX_BYTES:,} bytes on one line; nothing after it is read"
            yield number, Damage(line=number, what=told)
            return
        yield number, line.removeprefix(_MARK) if number == 1 else line
