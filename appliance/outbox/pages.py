"""Rows out of a damaged SQLite file, page by page, without SQLite: whatever still is a row is found.

SQLite reads a table from its root down, and stops where the way is broken; here every page is looked at for itself.
The write-ahead log counts as far as its last whole commit. Formats: sqlite.org/fileformat2.html, sections 1.3 to
1.6, 2.1 and 4. It must never write, and never hold more than one page and its overflow in memory.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

RawValue: TypeAlias = "int | float | str | bytes | None"
_MAGIC: Final = b"SQLite format 3\0"
_PAGE_BYTES: Final = 4096
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_LEAF: Final = 0x0D
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MAX_ROW_BYTES: Final = 4 * 1024 * 1024


class _BrokenError(Exception):
    """What stands here is not a row."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file: its rowid and its columns (an INTEGER PRIMARY KEY is None in there)."""

    rowid: int
    values: tuple[RawValue, ...]


def rows(path: Path) -> Iterator[RawRow]:
    """Yield every row of every table that can be read from the database at `path` and its log."""
    with _File(path) as file:
        free = file.free_pages()
        for number in range(1, file.count + 1):
            if number not in free:
                yield from _leaf(file, number)


class _File:
    """A database file under its log: pages by their number, from 1."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        header = os.pread(self._fd, 100, 0)
        size = int.from_bytes(header[16:18], "big")
        sound = header.startswith(_MAGIC) and size >= 512 and size & (size - 1) == 0
        self.page_bytes = size if sound else _PAGE_BYTES
        self.usable = self.page_bytes - (header[20] if sound else 0)
        self._sound = sound
        self._log = _read_log(path.with_name(path.name + "-wal"), self.page_bytes)
        self._log_fd = -1
        if self._log:
            self._log_fd = os.open(path.with_name(path.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        self.count = max(os.fstat(self._fd).st_size // self.page_bytes, max(self._log, default=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if self._log_fd >= 0:
            os.close(self._log_fd)

    def page(self, number: int) -> bytes:
        """Return a page, b"" where it cannot be read."""
        try:
            if number in self._log:
                return os.pread(self._log_fd, self.page_bytes, self._log[number])
            return os.pread(self._fd, self.page_bytes, (number - 1) * self.page_bytes)
        except OSError:
            return b""

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


def _read_log(path: Path, page_bytes: int) -> dict[int, int]:
    """Return where in the log each page's last committed form stands; frames past the last commit do not count."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return {}
    committed: dict[int, int] = {}
    try:
        header = os.pread(fd, _WAL_HEADER, 0)
        if len(header) < _WAL_HEADER:
            return {}
        magic, _, size, _, salt_1, salt_2, sum_1, sum_2 = struct.unpack(">8I", header)
        if magic not in {0x377F0682, 0x377F0683} or size != page_bytes:
            return {}
        order = ">" if magic & 1 else "<"
        sums = _checksum(header[:24], order, (0, 0))
        if sums != (sum_1, sum_2):
            return {}
        pending: dict[int, int] = {}
        offset = _WAL_HEADER
        while True:
            frame = os.pread(fd, _FRAME_HEADER + size, offset)
            if len(frame) < _FRAME_HEADER + size:
                break
            number, commit, found_1, found_2, sum_1, sum_2 = struct.unpack(">6I", frame[:_FRAME_HEADER])
            sums = _checksum(frame[:8], order, sums)
            sums = _checksum(frame[_FRAME_HEADER:], order, sums)
            if (found_1, found_2) != (salt_1, salt_2) or sums != (sum_1, sum_2):
                break
            pending[number] = offset + _FRAME_HEADER
            if commit:
                committed.update(pending)
                pending.clear()
            offset += _FRAME_HEADER + size
    except OSError:
        pass
    finally:
        os.close(fd)
    return committed


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for one, two in struct.iter_unpack(f"{order}II", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


def _leaf(file: _File, number: int) -> Iterator[RawRow]:
    """Yield the rows of one page, if it is a table's leaf."""
    page = file.page(number)
    start = 100 if number == 1 else 0
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
    return (data.decode() if kind % 2 else data), after


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
