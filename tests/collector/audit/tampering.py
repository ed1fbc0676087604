"""Every way to change one thing in a collector's database: each column of a row of each table, a row gone, a row made up.

Known by construction: what is done is returned, and a query of the rows before and after shows that it was done.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NOT_OURS: Final = ("_sqlite_migrations", "chain")
"""What holds nothing that was received or said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """One change: `column` is "" where a row is deleted or inserted. `rng` says which row and which value."""

    table: str
    how: str
    column: str = ""

    def __str__(self) -> str:
        return f"{self.how} {self.table}" + (f".{self.column}" if self.column else "")


def tables(path: Path) -> dict[str, list[str]]:
    """Return each table that holds what was received or said, and its columns, as the database itself names them."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        return {
            name: [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in names
            if name not in NOT_OURS
        }


def every_tampering(path: Path) -> Iterator[Tampering]:
    """Yield each of them."""
    for table, columns in tables(path).items():
        for column in columns:
            yield Tampering(table=table, how="change", column=column)
        yield Tampering(table=table, how="delete")
        yield Tampering(table=table, how="insert")


def tamper(path: Path, what: Tampering, rng: random.Random) -> dict[str, Any]:
    """Do it to a row that is drawn; return that row as it was (of an insertion, as it is)."""
    columns = tables(path)[what.table]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM {what.table}").fetchall()
        row = dict(zip(columns, rng.choice(rows), strict=True))
        where = " AND ".join(f"{name} IS ?" for name in columns)
        if what.how == "delete":
            connection.execute(f"DELETE FROM {what.table} WHERE {where}", tuple(row.values()))
        elif what.how == "change":
            _first_that_goes(
                connection,
                f"UPDATE {what.table} SET {what.column} = ? WHERE {where}",
                [(value, *row.values()) for value in _others(rng, row[what.column])],
            )
        else:
            row = _inserted(connection, rng, what.table, row)
        connection.commit()
        after = connection.execute(f"SELECT {', '.join(columns)} FROM {what.table}").fetchall()
    assert sorted(after, key=repr) != sorted(rows, key=repr), f"{what} did nothing"
    return row


def _inserted(
    connection: sqlite3.Connection, rng: random.Random, table: str, row: dict[str, Any]
) -> dict[str, Any]:
    """Insert a copy of `row` that differs in one column, and where it must in more, until it fits."""
    marks = ", ".join("?" * len(row))
    for _ in range(20):
        made = dict(row)
        for column in rng.sample(list(row), len(row)):
            made[column] = rng.choice(_others(rng, row[column]))
            try:
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", tuple(made.values()))
            except sqlite3.IntegrityError:
                continue
            return made
    raise AssertionError(f"{table} takes no row")


def _first_that_goes(connection: sqlite3.Connection, sql: str, values: list[tuple[Any, ...]]) -> None:
    for one in values:
        try:
            done = connection.execute(sql, one)
        except sqlite3.IntegrityError:
            continue
        assert done.rowcount == 1, (sql, done.rowcount)
        return
    raise AssertionError(f"{sql} takes none of {values}")


def _others(rng: random.Random, value: Any) -> list[Any]:
    """Return other values of the same kind; of a constraint some will be refused."""
    match value:
        case None:
            return [7, "x"]
        case int():
            return [*rng.sample([value + 1, value - 1], 2), value + 1_000_003, value + 3]
        case bytes():
            at = rng.randrange(len(value))
            return [value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]]
        case _:
            kinds = [one for one in ("stored", "accounted", "tombstoned", "rejected") if one != value]
            other = ("z" if not value.startswith("z") else "y") + value[1:]
            return rng.sample([f"{value}x", other], 2) + kinds
