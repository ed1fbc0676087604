"""`python -m tests.bench.recognition`: a damaged outbox's rows put into tables by their form, beside what the schema leads to.

One bit of a copy of an outbox with something in every table is flipped, half of the times in a page that leads to others (the
schema's, or one of pointers). Then two readers are asked for every row: the salvage, which looks at each page for itself and tells
a row's table by its columns and checksums; and SQLite, which goes from the schema page to each table's root and down. The
truth is what the tables held before, read by plain SQLite.
"""

import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from appliance.storage.recovery import salvage
from appliance.storage.tables import checked, migrations
from tests.drills import flip_scene

TABLES: Final = ("waiting", "quarantine", "tombstone", "round", "run", "boot", "sync_point", "delivered")
TIMES: Final = 400
_LEADING: Final = frozenset({0x02, 0x05})
_PAGE_BYTES: Final = 4096
Row: TypeAlias = "tuple[object, ...]"


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of the flips. `rows` is how many stood there, over all flips."""

    flips: int = 0
    rows: int = 0
    by_form: int = 0
    in_another_table: int = 0
    by_schema: int = 0
    by_schema_alone: int = 0
    flips_schema_lost: int = 0


def compare(times: int, seed: int) -> Found:
    """Flip `times` bits, each in another copy; return how many of the rows either reader found where they stood."""
    draw, found = random.Random(seed), Found()
    with tempfile.TemporaryDirectory() as place:
        truth = flip_scene.build(Path(place) / "scene")
        whole = Path(place) / "scene" / "outbox.sqlite3"
        stood = _tables(whole)
        every = {row for rows in stood.values() for row in rows}
        for number in range(times):
            copy = Path(place) / f"{number}.sqlite3"
            shutil.copy(whole, copy)
            _flip(copy, draw)
            salvaged, led_to = _salvaged(copy, truth.device), _tables(copy)
            found.flips += 1
            found.rows += len(every)
            for table in TABLES:
                found.by_form += len(stood[table] & salvaged[table])
                found.by_schema += len(stood[table] & led_to[table])
                found.by_schema_alone += len((stood[table] & led_to[table]) - salvaged[table])
                others = {row for name in TABLES if name != table for row in stood[name]}
                found.in_another_table += len((salvaged[table] - stood[table]) & others)
            found.flips_schema_lost += any(stood[table] - led_to[table] for table in TABLES)
            copy.unlink()
    return found


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    pages = range(len(content) // _PAGE_BYTES)
    leading = [page for page in pages if page == 0 or content[page * _PAGE_BYTES] in _LEADING]
    page = draw.choice(leading) if draw.random() < 0.5 else draw.choice(pages)
    content[page * _PAGE_BYTES + draw.randrange(_PAGE_BYTES)] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _salvaged(path: Path, device: str) -> dict[str, set[Row]]:
    with closing(sqlite3.connect("", isolation_level=None)) as copy:
        copy.text_factory = checked.text
        migrations.apply(copy)
        salvage.move(copy, path, salvage.survey(path, device=device, noted=None), utc_ns=0)
        return {table: set(_rows(copy, table)) for table in TABLES}


def _tables(path: Path) -> dict[str, set[Row]]:
    """Return what SQLite reads of each table, as far as it comes."""
    found: dict[str, set[Row]] = {table: set() for table in TABLES}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = checked.text
        for table in TABLES:
            try:
                for row in _rows(connection, table):
                    found[table].add(row)
            except (sqlite3.Error, UnicodeDecodeError):  # an error whose text quotes the schema
                continue
    return found


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[Row]:
    yield from connection.execute(f"SELECT rowid, * FROM {table}")


def main(times: int = TIMES, seed: int = 1) -> None:
    """Print both readers' shares."""
    found = compare(times, seed)
    share = found.rows / 100
    print(
        f"{found.flips} flips, {found.rows:,} rows that stood there, {found.rows // found.flips} in each copy"
    )
    print(
        f"by their form, page by page: {found.by_form / share:.2f} % found, {found.in_another_table} in another table"
    )
    print(
        f"by the schema, as SQLite goes: {found.by_schema / share:.2f} % found; "
        f"after {found.flips_schema_lost} of the flips it led to fewer rows than there were; "
        f"{found.by_schema_alone} rows that their form did not tell"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
