"""Where each row stands in an SQLite file: read page by page from the roots down, by sqlite.org/fileformat2.html alone.

For drills that damage one row and no other: what they then expect follows from where they put the damage. It must never
use what `appliance.outbox` knows of pages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCHEMA: Final = "sqlite_master"
_LEAF: Final = 0x0D
_INTERIOR: Final = 0x05


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row: `rowid`, the bytes of its cell, and those of the pointer to it, as offsets in the file."""

    table: str
    rowid: int
    start: int
    size: int
    pointer: int

    @property
    def places(self) -> tuple[int, ...]:
        """Every byte of it: the pointer's two first."""
        return (self.pointer, self.pointer + 1, *range(self.start, self.start + self.size))


def cells(path: Path) -> dict[str, list[Cell]]:
    """Return the rows of every table that has any, ascending, and those of the schema under `SCHEMA`."""
    data = path.read_bytes()
    page_bytes = int.from_bytes(data[16:18], "big")
    found = {SCHEMA: list(_walk(data, page_bytes, 1, SCHEMA))}
    for cell in found[SCHEMA]:
        kind, name, _, root = _columns(data, cell)[:4]
        if kind == b"table":
            table = name.decode()
            found[table] = list(_walk(data, page_bytes, int.from_bytes(root, "big"), table))
    return {table: rows for table, rows in found.items() if rows}


def _walk(data: bytes, page_bytes: int, number: int, table: str) -> Iterator[Cell]:
    base = (number - 1) * page_bytes
    head = base + (100 if number == 1 else 0)
    kind, count = data[head], int.from_bytes(data[head + 3 : head + 5], "big")
    assert kind in {_LEAF, _INTERIOR}, f"page {number} of {table} is no table's"
    for index in range(count):
        pointer = head + (8 if kind == _LEAF else 12) + 2 * index
        start = base + int.from_bytes(data[pointer : pointer + 2], "big")
        if kind == _INTERIOR:
            yield from _walk(data, page_bytes, int.from_bytes(data[start : start + 4], "big"), table)
            continue
        length, at = varint(data, start)
        rowid, at = varint(data, at)
        assert length <= page_bytes - 35, f"row {rowid} of {table} reaches over its page"
        yield Cell(table=table, rowid=rowid, start=start, size=at + length - start, pointer=pointer)
    if kind == _INTERIOR:
        yield from _walk(data, page_bytes, int.from_bytes(data[head + 8 : head + 12], "big"), table)


def _columns(data: bytes, cell: Cell) -> list[bytes]:
    """Return what stands in each column, as bytes."""
    _, at = varint(data, cell.start)
    _, at = varint(data, at)
    length, cursor = varint(data, at)
    body, end = at + length, at + length
    found = []
    while cursor < end:
        kind, cursor = varint(data, cursor)
        size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if kind < 10 else (kind - 12) // 2
        found.append(bytes([kind - 8]) if kind in {8, 9} else data[body : body + size])
        body += size
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + index + 1
    raise AssertionError
