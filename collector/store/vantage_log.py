"""The vantage's log in the database: streaks appended and continued, gaps noted, and the streaks around one moment.

`VantageLog` writes, on a connection of its own, in transactions of a few rows, so that ingest never waits long;
`VantageQueries` reads through `Queries`. It must never touch what devices sent. The tables are called `control_run` and
`control_gap`.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from collector.errors import StoreError
from collector.store import second_looks, writing
from collector.store.chain import Chain
from collector.store.covered import OBSERVED, SECOND
from collector.store.queries import Queries
from collector.store.second_looks import FOREVER_NS, SecondLook
from collector.store.vantage_streaks import NS, Key, Sample, VantageStreak, continued
from firmware.judgement.site import vantage_json
from firmware.model import statement
from firmware.model.jsontypes import RecordError
from firmware.model.statement import Statement

MAX_STREAKS: Final = 1_000_000
"""Streaks kept in all, whatever their age: about a gigabyte."""
DAY_NS: Final = 24 * 3600 * NS
LATER: Final = "later_ms"
"""Where the kept view says when its streak was sampled."""
_STREAK: Final = """SELECT test, target, target_name, first_utc_ns, last_utc_ns, samples, failure, failed_operation, view
    FROM control_run"""
_OF_KEY: Final = f"{_STREAK} WHERE test = ? AND target = ? AND target_name = ?"
_INSERT: Final = """INSERT INTO control_run (test, target, target_name, first_utc_ns, last_utc_ns, samples, failure,
    failed_operation, view) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (test, target, target_name, first_utc_ns) DO UPDATE SET
        last_utc_ns = excluded.last_utc_ns, samples = excluded.samples, view = excluded.view"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which the vantage did not look, and why."""

    from_utc_ns: int
    to_utc_ns: int
    reason: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """A device as far as the vantage needs to know it; `plan` is a label, "" where no round came yet."""

    device: str
    country: str
    plan: str
    online: bool


class VantageLog:
    """The writing end. Used by one thread; `close` it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._chain = Chain(connection, (*OBSERVED, *SECOND), kind="observed")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the database at `path`, which `Store.open` has made. Raises `StoreError`."""
        return writing.holding(writing.connect_beside(path, "cache_size = -2048"), cls)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def add(
        self, samples: Iterable[Sample], *, every_s: float, second: Iterable[SecondLook] = ()
    ) -> tuple[VantageStreak, ...]:
        """Append samples, each continuing its target's last streak or beginning one; return those streaks.

        `second` are looks from elsewhere (`collector.store.second_looks`), kept with them.
        Raises `StoreError`: then none is kept.
        """
        try:
            with self._chain.transaction():
                streaks = tuple(self._add(sample, every_s) for sample in samples)
                second_looks.add(self._connection, second, every_s=every_s)
        except sqlite3.Error as error:
            raise StoreError(f"the vantage's log took nothing ({error})") from error
        return streaks

    def note_gap(self, gap: Gap) -> None:
        """Note that nothing was measured in a time. Raises `StoreError`."""
        self._do("INSERT INTO control_gap (from_utc_ns, to_utc_ns, reason) VALUES (?, ?, ?)", gap)

    def last_utc_ns(self) -> int | None:
        """Return when the last sample was taken, None before the first. Raises `StoreError`."""
        try:
            (last,) = self._connection.execute("SELECT max(last_utc_ns) FROM control_run").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the vantage's log cannot be read ({error})") from error
        return None if last is None else int(last)

    def thin(self, *, now_utc_ns: int, days: int, most: int = MAX_STREAKS) -> None:
        """Forget streaks and gaps that ended more than `days` ago, and the oldest past `most`. Raises `StoreError`."""
        before_ns = now_utc_ns - days * DAY_NS
        try:
            with self._chain.transaction():
                self._connection.execute("DELETE FROM control_run WHERE last_utc_ns < ?", (before_ns,))
                self._connection.execute("DELETE FROM control_gap WHERE to_utc_ns < ?", (before_ns,))
                second_looks.thin(self._connection, before_ns)
                self._connection.execute(
                    """DELETE FROM control_run WHERE last_utc_ns <=
                       (SELECT last_utc_ns FROM control_run ORDER BY last_utc_ns DESC LIMIT 1 OFFSET ?)""",
                    (most,),
                )
        except sqlite3.Error as error:
            raise StoreError(f"the vantage's log could not be thinned ({error})") from error

    def _add(self, sample: Sample, every_s: float) -> VantageStreak:
        # What a clock that ran ahead dated later than now is no streak of now, and keeps none from being begun.
        row = self._connection.execute(
            f"{_OF_KEY} AND first_utc_ns <= ? ORDER BY first_utc_ns DESC LIMIT 1",
            (*_of(sample.key), sample.utc_ns),
        ).fetchone()
        before = None if row is None else _streak(row)
        if before is not None and sample.utc_ns <= before.last_utc_ns:
            # The clock was set back into this streak: that ends where it is, and this is heard again when time has caught up.
            return before
        streak = continued(before, sample, every_s=every_s)
        self._connection.execute(
            _INSERT,
            (
                *_of(streak.key),
                streak.first_utc_ns,
                streak.last_utc_ns,
                streak.samples,
                streak.failure,
                streak.failed_operation,
                json.dumps(
                    vantage_json.to_json(streak.view) | {LATER: [*streak.later_ms]}, separators=(",", ":")
                ),
            ),
        )
        return streak

    def _do(self, sql: str, gap: Gap) -> None:
        try:
            with self._chain.transaction():
                self._connection.execute(sql, (gap.from_utc_ns, gap.to_utc_ns, statement.to_text(gap.reason)))
        except sqlite3.Error as error:
            raise StoreError(f"the vantage's log took nothing ({error})") from error


class VantageQueries:
    """The reading end. Every method may be called from any thread, and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def around(self, key: Key, utc_ns: int) -> tuple[VantageStreak, ...]:
        """Return the last streak that began by `utc_ns` and the first that began after it: the nearest is one of them."""
        found = []
        with self._queries.reading() as connection:
            for side in ("<= ? ORDER BY first_utc_ns DESC", "> ? ORDER BY first_utc_ns"):
                found += connection.execute(
                    f"{_OF_KEY} AND first_utc_ns {side} LIMIT 1", (*_of(key), utc_ns)
                ).fetchall()
        return tuple(_streak(row) for row in found)

    def within(self, key: Key, first_ns: int, last_ns: int, *, limit: int = 100) -> tuple[VantageStreak, ...]:
        """Return the streaks that touch a time, oldest first, up to `limit` of them."""
        with self._queries.reading() as connection:
            rows = connection.execute(
                f"{_OF_KEY} AND first_utc_ns <= ? AND last_utc_ns >= ? ORDER BY first_utc_ns LIMIT ?",
                (*_of(key), last_ns, first_ns, limit),
            ).fetchall()
        return tuple(_streak(row) for row in rows)

    def last(self, *, since_utc_ns: int = 0, until_utc_ns: int = FOREVER_NS) -> tuple[VantageStreak, ...]:
        """Return the last streak of every target that was heard last between two times, the one heard last first."""
        with self._queries.reading() as connection:
            rows = connection.execute(
                f"{_STREAK} WHERE last_utc_ns BETWEEN ? AND ? ORDER BY last_utc_ns DESC, id DESC",
                (since_utc_ns, until_utc_ns),
            ).fetchall()
        newest: dict[Key, VantageStreak] = {}
        for row in rows:
            key = Key(test=row[0], target=row[1], target_name=row[2])
            if key not in newest:
                newest[key] = _streak(row)
        return tuple(newest.values())

    def own_line(self, *, since_utc_ns: int, until_utc_ns: int = FOREVER_NS) -> tuple[int | None, int | None]:
        """Return when the vantage last looked and was connected itself, and when it last looked and was not (UTC, ns)."""
        with self._queries.reading() as connection:
            found = dict(
                connection.execute(
                    """SELECT json_extract(view, '$.reachable'), max(last_utc_ns) FROM control_run
                       WHERE last_utc_ns BETWEEN ? AND ? GROUP BY 1""",
                    (since_utc_ns, until_utc_ns),
                ).fetchall()
            )
        return found.get(1), found.get(0)

    def heard(self, *, since_utc_ns: int) -> tuple[KnownDevice, ...]:
        """Return the devices heard since, each with the country of its hello and the plan of its last round."""
        with self._queries.reading() as connection:
            devices = connection.execute(
                "SELECT id, country, online FROM device WHERE last_seen_ns >= ?", (since_utc_ns,)
            ).fetchall()
            return tuple(
                KnownDevice(
                    device=device,
                    country=country,
                    plan=_plan(connection, device),
                    online=bool(online),
                )
                for device, country, online in devices
            )

    def gaps(self, *, limit: int = 100) -> tuple[Gap, ...]:
        """Return the last times in which the vantage did not look, newest first."""
        with self._queries.reading() as connection:
            rows = connection.execute(
                "SELECT from_utc_ns, to_utc_ns, reason FROM control_gap ORDER BY id DESC LIMIT ?", (limit,)
            ).fetchall()
        return tuple(
            Gap(from_utc_ns=row[0], to_utc_ns=row[1], reason=statement.of_text(row[2])) for row in rows
        )


def _plan(connection: sqlite3.Connection, device: str) -> str:
    """Return the label of the plan that a device's last round was measured by."""
    row = connection.execute(
        """SELECT json_extract(body, '$.context.plan') FROM record
           WHERE device = ?1 AND test = 'ladder' AND epoch =
               (SELECT epoch FROM epoch WHERE device = ?1 ORDER BY last_seen_ns DESC LIMIT 1)
           ORDER BY seq DESC LIMIT 1""",
        (device,),
    ).fetchone()
    return row[0] if row is not None and isinstance(row[0], str) else ""


def _of(key: Key) -> tuple[str, str, str]:
    return key.test, key.target, key.target_name


def _streak(row: Sequence[object]) -> VantageStreak:
    match row:
        case [
            str(test),
            str(target),
            str(name),
            int(first),
            int(last),
            int(samples),
            failure,
            operation,
            str(view),
        ]:
            try:
                kept = json.loads(view)
                seen = vantage_json.from_json(kept, age_s=0.0)
            except (ValueError, RecordError) as error:
                raise StoreError(f"control_run: a view of another form ({error})") from error
            return VantageStreak(
                key=Key(test=test, target=target, target_name=name),
                first_utc_ns=first,
                last_utc_ns=last,
                samples=samples,
                failure=None if failure is None else str(failure),
                failed_operation=None if operation is None else str(operation),
                view=replace(seen, age_s=0.0),
                later_ms=tuple(kept.get(LATER, ())),
            )
        case _:
            raise StoreError(f"control_run: a row of another form: {row!r}")
