"""Rows out of a damaged SQLite file and its log, page by page, without SQLite: whatever still is a row is found.

SQLite reads a table from its root down, and stops where the way is broken; here every page is looked at for itself, in
its last sound form (`appliance.storage.recovery.wal` says which frames are). Where the log is damaged every other form of its pages
is looked at too, and what stands there is not `is_sound`: a page may be an old one, or have bit flips. Formats:
sqlite.org/fileformat2.html, sections 1.3 to 1.6 and 2.1. It must never write, and never hold more than one page and its
overflow in memory.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

from appliance.storage.recovery import wal
from appliance.storage.tables import checked

RawValue: TypeAlias = "int | float | str | bytes | None"
_MAGIC: Final = b"SQLite format 3\0"
_PAGE_BYTES: Final = 4096
_LEAF: Final = 0x0D
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MAX_ROW_BYTES: Final = 4 * 1024 * 1024


class _BrokenError(Exception):
    """What stands here is not a row."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file: its rowid and its columns (an INTEGER PRIMARY KEY is None in there).

    Where it is not `is_sound` it is to be believed by its own checksum only: it may be damaged, or older than another.
    """

    rowid: int
    values: tuple[RawValue, ...]
    is_sound: bool = True


def rows(path: Path, *, all_forms: bool = False) -> Iterator[RawRow]:
    """Yield every row of every table that can be read from the database at `path` and its log, the sound ones first.

    With `all_forms` also what stands in other forms of the log's pages, as of a damaged log always: of one that was cut
    the file may have newer ones.
    """
    with _File(path) as file:
        free = file.free_pages()
        for number in range(1, file.count + 1):
            if number not in free:
                yield from _leaf(file, file.page(number), is_first=number == 1)
        for number, image in file.other_forms() if all_forms or not file.log.is_whole else ():
            for row in _leaf(file, image, is_first=number == 1):
                yield RawRow(row.rowid, row.values, is_sound=False)


def log_of(path: Path) -> wal.Log:
    """Return the log of the database at `path`, which may be gone."""
    with _File(path) as file:
        return file.log


class _File:
    """A database file under its log: pages by their number, from 1. Either may be gone."""

    def __init__(self, path: Path) -> None:
        self._fd = _open(path)
        header = _pread(self._fd, 100, 0)
        size = int.from_bytes(header[16:18], "big")
        size = 65536 if size == 1 else size
        sound = header.startswith(_MAGIC) and size >= 512 and size & (size - 1) == 0
        self.page_bytes = size if sound else _PAGE_BYTES
        self.usable = self.page_bytes - (header[20] if sound else 0)
        self._sound = sound
        self.log = wal.read(path, self.page_bytes)
        self._pages = self.log.pages
        self._log_fd = _open(wal.wal_path(path)) if self.log.frames else -1
        in_file = 0 if self._fd < 0 else os.fstat(self._fd).st_size // self.page_bytes
        self.count = max(in_file, max(self._pages, default=0))
        if self.log.is_whole and self.log.size_pages:
            self.count = min(self.count, self.log.size_pages)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (self._fd, self._log_fd):
            if fd >= 0:
                os.close(fd)

    def page(self, number: int) -> bytes:
        """Return a page, b"" where it cannot be read."""
        frame = self._pages.get(number)
        if frame is not None:
            return _pread(self._log_fd, self.page_bytes, frame.offset)
        return self._in_file(number)

    def other_forms(self) -> Iterator[tuple[int, bytes]]:
        """Yield every form but the last sound one of each page that the log speaks of, with its number."""
        for frame in self.log.frames:
            if frame is not self._pages.get(frame.page):
                yield frame.page, _pread(self._log_fd, self.page_bytes, frame.offset)
        for number in self._pages:
            yield number, self._in_file(number)

    def _in_file(self, number: int) -> bytes:
        return _pread(self._fd, self.page_bytes, (number - 1) * self.page_bytes)

    def free_pages(self) -> frozenset[int]:
        """Return the pages that hold nothing any more (what is in them is old), as far as their list is whole."""
        free: set[int] = set()
        trunk = int.from_bytes(self.page(1)[32:36], "big") if self._sound else 0
        while 0 < trunk <= self.count and trunk not in free:
            free.add(trunk)
            page = self.page(trunk)
            count = int.from_bytes(page[4:8], "big")
            if len(page) < self.page_bytes or count > (self.usable - 8) // 4:
                break
            free.update(struct.unpack_from(f">{count}I", page, 8))
            trunk = int.from_bytes(page[0:4], "big")
        return frozenset(free)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _pread(fd: int, count: int, offset: int) -> bytes:
    """Return what can be read there; b"" where nothing can."""
    try:
        return os.pread(fd, count, offset) if fd >= 0 else b""
    except OSError:
        return b""


def _leaf(file: _File, page: bytes, *, is_first: bool) -> Iterator[RawRow]:
    """Yield the rows of one page, if it is a table's leaf; the first one has the database's header before it."""
    start = 100 if is_first else 0
    if len(page) < file.page_bytes or page[start] != _LEAF:
        return
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for index in range(min(count, (file.usable - start - 8) // 2)):
        pointer = start + 8 + 2 * index
        try:
            yield _row(file, page, int.from_bytes(page[pointer : pointer + 2], "big"))
        except (_BrokenError, ValueError):
            continue


def _row(file: _File, page: bytes, offset: int) -> RawRow:
    length, offset = _varint(page, offset)
    rowid, offset = _varint(page, offset)
    if not 0 < length <= _MAX_ROW_BYTES:
        raise _BrokenError
    most, least = file.usable - 35, (file.usable - 12) * 32 // 255 - 23
    local = length
    if length > most:
        local = least + (length - least) % (file.usable - 4)
        local = local if local <= most else least
    payload = page[offset : offset + local]
    if local < length:
        payload += _overflow(
            file, int.from_bytes(page[offset + local : offset + local + 4], "big"), length - local
        )
    if len(payload) != length:
        raise _BrokenError
    return RawRow(rowid if rowid < 2**63 else rowid - 2**64, tuple(_columns(payload)))


def _overflow(file: _File, number: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        page = file.page(number) if 0 < number <= file.count else b""
        if len(page) < file.page_bytes:
            raise _BrokenError
        parts.append(page[4 : 4 + min(length, file.usable - 4)])
        length -= len(parts[-1])
        number = int.from_bytes(page[:4], "big")
    return b"".join(parts)


def _columns(payload: bytes) -> Iterator[RawValue]:
    end, cursor = _varint(payload, 0)
    if not 0 < end <= len(payload):
        raise _BrokenError
    body = end
    while cursor < end:
        kind, cursor = _varint(payload, cursor)
        value, body = _value(payload, kind, body)
        yield value


def _value(payload: bytes, kind: int, offset: int) -> tuple[RawValue, int]:
    if kind == 0:
        return None, offset
    if kind in {8, 9}:
        return kind - 8, offset
    length = _INTEGER_BYTES.get(kind, 8 if kind == 7 else (kind - 12) // 2)
    data = payload[offset : offset + length]
    if kind in {10, 11} or len(data) != length:
        raise _BrokenError
    after = offset + length
    if kind in _INTEGER_BYTES:
        return int.from_bytes(data, "big", signed=True), after
    if kind == 7:
        return float(struct.unpack(">d", data)[0]), after
    return (checked.text(data) if kind % 2 else data), after


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        if offset + index >= len(data):
            raise _BrokenError
        byte = data[offset + index]
        if index == 8:
            return (value << 8) | byte, offset + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, offset + index + 1
    raise _BrokenError
