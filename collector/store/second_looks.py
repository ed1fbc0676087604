"""What was seen of targets from where platforms treat whoever asks like a country's devices, kept as streaks.

A second vantage, or the country's devices themselves (`firmware.judgement.site.evidence.Stand`). A streak is one finding from one
stand about one target of one country, with the time of each look. Written in the vantage log's transaction, read through
`Queries`. This file must never make a look later than it was.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.errors import StoreError
from collector.store.queries import Queries
from collector.store.vantage_streaks import NS, SAMPLES_MISSED, STREAK_LONGEST_NS, Key
from firmware.judgement.site.evidence import Stand

FOREVER_NS: Final = 2**63 - 1
_MS: Final = 1_000_000
_STREAK: Final = "SELECT stand, country, test, target, target_name, first_utc_ns, last_utc_ns, failure, later_ms FROM second_run"
_OF_KEY: Final = f"{_STREAK} WHERE stand = ? AND country = ? AND test = ? AND target = ? AND target_name = ?"
_OF_DEVICE: Final = _OF_KEY.replace("country = ?", "country = (SELECT country FROM device WHERE id = ?)")
_INSERT: Final = """INSERT INTO second_run (stand, country, test, target, target_name, first_utc_ns, last_utc_ns, failure, later_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (stand, country, test, target, target_name, first_utc_ns) DO UPDATE SET
        last_utc_ns = excluded.last_utc_ns, later_ms = excluded.later_ms"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """One look from `stand` at a target, for `country`: `failure` is why no connection was had, None where it proved itself."""

    stand: Stand
    country: str
    key: Key
    utc_ns: int
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streak:
    of: SecondLook
    """As it was looked at first."""
    last_utc_ns: int
    later_ms: tuple[int, ...] = ()

    def takes(self, look: SecondLook, every_s: float) -> bool:
        """Return whether a look goes on with it."""
        return (
            look.failure == self.of.failure
            and look.utc_ns - self.last_utc_ns <= SAMPLES_MISSED * every_s * NS
            and look.utc_ns - self.of.utc_ns < STREAK_LONGEST_NS
        )

    def last_by(self, utc_ns: int) -> int:
        """Return when it was looked at last by `utc_ns`, by which it had begun, rather too early."""
        if self.last_utc_ns <= utc_ns:
            return self.last_utc_ns
        later = (self.of.utc_ns + ms * _MS for ms in self.later_ms)
        return max((one for one in later if one + _MS <= utc_ns), default=self.of.utc_ns)


def add(connection: sqlite3.Connection, looks: Iterable[SecondLook], *, every_s: float) -> None:
    """Write looks, each going on with the last streak of its stand and target or beginning one. Raises `sqlite3.Error`."""
    for look in looks:
        row = connection.execute(f"{_OF_KEY} ORDER BY first_utc_ns DESC LIMIT 1", _of(look)).fetchone()
        before = None if row is None else _read(row)
        if before is not None and look.utc_ns <= before.last_utc_ns:
            continue  # known, or the clock was set back
        streak = _Streak(of=look, last_utc_ns=look.utc_ns)
        if before is not None and before.takes(look, every_s):
            later = (*before.later_ms, (look.utc_ns - before.of.utc_ns) // _MS)
            streak = _Streak(of=before.of, last_utc_ns=look.utc_ns, later_ms=later)
        connection.execute(
            _INSERT,
            (
                *_of(look),
                streak.of.utc_ns,
                streak.last_utc_ns,
                look.failure,
                json.dumps(streak.later_ms, separators=(",", ":")),
            ),
        )


def thin(connection: sqlite3.Connection, before_utc_ns: int) -> None:
    """Forget streaks that ended before a time. Raises `sqlite3.Error`."""
    connection.execute("DELETE FROM second_run WHERE last_utc_ns < ?", (before_utc_ns,))


class SecondQueries:
    """The reading end. Every method may be called from any thread, and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def by(self, device: str, key: Key, utc_ns: int) -> tuple[SecondLook, ...]:
        """Return the last look at a target by `utc_ns` from each stand, for the country of a device."""
        found = []
        with self._queries.reading() as connection:
            for stand in Stand:
                row = connection.execute(
                    f"{_OF_DEVICE} AND first_utc_ns <= ? ORDER BY first_utc_ns DESC LIMIT 1",
                    (stand, device, key.test, key.target, key.target_name, utc_ns),
                ).fetchone()
                if row is not None:
                    streak = _read(row)
                    found.append(_look(streak, streak.last_by(utc_ns)))
        return tuple(found)

    def last(self, *, since_utc_ns: int = 0, until_utc_ns: int = FOREVER_NS) -> tuple[SecondLook, ...]:
        """Return the last look at every target between two times, from each stand for each country, the last first."""
        with self._queries.reading() as connection:
            rows = connection.execute(
                f"{_STREAK} WHERE last_utc_ns BETWEEN ? AND ? ORDER BY last_utc_ns DESC, id DESC",
                (since_utc_ns, until_utc_ns),
            ).fetchall()
        newest: dict[tuple[object, ...], SecondLook] = {}
        for row in rows:
            streak = _read(row)
            newest.setdefault(_of(streak.of), _look(streak, streak.last_utc_ns))
        return tuple(newest.values())


def _look(streak: _Streak, utc_ns: int) -> SecondLook:
    of = streak.of
    return SecondLook(stand=of.stand, country=of.country, key=of.key, utc_ns=utc_ns, failure=of.failure)


def _of(look: SecondLook) -> tuple[str, str, str, str, str]:
    return str(look.stand), look.country, look.key.test, look.key.target, look.key.target_name


def _read(row: Sequence[object]) -> _Streak:
    match row:
        case [
            str(stand), str(country), str(test), str(target), str(name), int(first), int(last), failure, str(later),
        ]:  # fmt: skip
            look = SecondLook(
                stand=Stand(stand),
                country=country,
                key=Key(test=test, target=target, target_name=name),
                utc_ns=first,
                failure=None if failure is None else str(failure),
            )
            return _Streak(of=look, last_utc_ns=last, later_ms=tuple(json.loads(later)))
        case _:
            raise StoreError(f"second_run: a row of another form: {row!r}")
