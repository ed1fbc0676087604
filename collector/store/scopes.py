"""What was said of countries, as a log: each change, each revision of an earlier one, and what holds at present.

`ScopeLog` writes, on a connection of its own; `ScopeQueries` reads through `Queries`. A row of `scope_said` is never
changed: what is known better later is one more row that names the one it revises. This file must never judge.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from collector.errors import StoreError
from collector.store import writing
from collector.store.chain import Chain
from collector.store.covered import ASSESSED
from collector.store.queries import Queries
from firmware.model import statement
from firmware.model.jsontypes import JsonObject
from firmware.model.statement import Statement

MAX_SAID: Final = 500
"""The most changes one call returns."""

_SAID: Final = """SELECT id, country, said_ns, revises, verdict, rule_id, since_ns, since_error_ns, evidence,
    overturned_by, basis FROM scope_said"""
_INSERT: Final = """INSERT INTO scope_said (country, said_ns, revises, verdict, rule_id, since_ns, since_error_ns,
    evidence, overturned_by, basis) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_NOW: Final = """INSERT INTO scope_now VALUES (?, ?, ?, ?, ?) ON CONFLICT (country) DO UPDATE SET
    said = excluded.said, judged_ns = excluded.judged_ns, evidence = excluded.evidence, basis = excluded.basis"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One verdict on a country as it was said at `said_ns` (the collector's clock, UTC).

    `since_ns` is since when it holds, with its error; None for an error: it may have begun any time before, None for
    the time itself: the devices do not tell. `revises` is the id of the verdict that this is said of once reconciled,
    0 for one said live. `basis` counts what it rests on. `overturned_by` is what older software wrote of that; the
    catalogue says it by the rule. `id` is 0 until it is kept.
    """

    country: str
    said_ns: int
    verdict: str
    rule_id: str
    evidence: tuple[Statement, ...]
    overturned_by: str = ""
    since_ns: int | None = None
    since_error_ns: int | None = None
    basis: JsonObject = field(default_factory=dict)
    revises: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What holds of a country: the change that began it, when it was last judged, and on what it rests by now."""

    assessment: Assessment
    judged_ns: int
    evidence: tuple[Statement, ...]
    basis: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One live verdict, until when it was the last, and what was said of that time afterwards, oldest first."""

    assessment: Assessment
    until_ns: int | None
    revisions: tuple[Assessment, ...]


class ScopeLog:
    """The writing end. Used by one thread; `close` it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._chain = Chain(connection, ASSESSED, kind="assessed")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the database at `path`, which `Store.open` has made. Raises `StoreError`."""
        return writing.holding(writing.connect_beside(path), cls)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def keep(self, holding: Sequence[tuple[Assessment, bool]], judged_ns: int) -> None:
        """Note what holds of each country, as a change where the flag says so. Raises `StoreError`: then nothing is."""

        def write() -> None:
            for assessment, is_change in holding:
                ident = self._append(assessment) if is_change else assessment.id
                present = (
                    ident,
                    judged_ns,
                    _evidence_text(assessment.evidence),
                    json.dumps(assessment.basis),
                )
                self._connection.execute(_NOW, (assessment.country, *present))

        self._in_one(write)

    def revise(self, revisions: Sequence[Assessment]) -> None:
        """Append what is said once later records are reconciled. Raises `StoreError`: then nothing is."""

        def write() -> None:
            for assessment in revisions:
                self._append(assessment)

        self._in_one(write)

    def _append(self, assessment: Assessment) -> int:
        cursor = self._connection.execute(
            _INSERT,
            (
                assessment.country,
                assessment.said_ns,
                assessment.revises or None,
                assessment.verdict,
                assessment.rule_id,
                assessment.since_ns,
                assessment.since_error_ns,
                _evidence_text(assessment.evidence),
                assessment.overturned_by,
                json.dumps(assessment.basis),
            ),
        )
        return cursor.lastrowid or 0

    def _in_one(self, write: Callable[[], None]) -> None:
        try:
            with self._chain.transaction():
                write()
        except sqlite3.Error as error:
            raise StoreError(f"the log of scope verdicts took nothing ({error})") from error


class ScopeQueries:
    """The reading end. Every method may be called from any thread, and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def holding(self) -> tuple[Holding, ...]:
        """Return what holds of each country, by its letters."""
        with self._queries.reading() as connection:
            rows = connection.execute(
                "SELECT said, judged_ns, evidence, basis FROM scope_now ORDER BY country"
            ).fetchall()
            return tuple(
                Holding(
                    assessment=_said(connection.execute(f"{_SAID} WHERE id = ?", (ident,)).fetchone()),
                    judged_ns=judged_ns,
                    evidence=_evidence_of(evidence),
                    basis=json.loads(basis),
                )
                for ident, judged_ns, evidence, basis in rows
            )

    def changes(
        self, country: str | None = None, *, since_ns: int = 0, limit: int = 100
    ) -> tuple[Change, ...]:
        """Return the live verdicts of a country, or of all, said since a time, newest first, with their revisions."""
        where = "revises IS NULL AND said_ns >= ?" + ("" if country is None else " AND country = ?")
        values: list[str | int] = [since_ns, *([] if country is None else [country])]
        with self._queries.reading() as connection:
            rows = connection.execute(
                f"{_SAID} WHERE {where} ORDER BY id DESC LIMIT ?",
                (*values, max(1, min(limit, MAX_SAID))),
            ).fetchall()
            return tuple(_change(connection, _said(row)) for row in rows)

    def last_id(self) -> int:
        """Return the cursor of the last record that arrived, 0 before the first."""
        with self._queries.reading() as connection:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()
            return int(last)

    def late_since(self, after_id: int, late_ns: int) -> int | None:
        """Return the start of the earliest round that arrived after a cursor and more than `late_ns` after its start."""
        with self._queries.reading() as connection:
            (start,) = connection.execute(
                """SELECT min(CASE clock_quality WHEN 'unsynchronised' THEN 0 ELSE start_utc_ns END) FROM record
                   WHERE id > ? AND test = 'ladder' AND received_ns - start_utc_ns > ?""",
                (after_id, late_ns),
            ).fetchone()
            return None if start is None else int(start)


def _evidence_text(evidence: Sequence[Statement]) -> str:
    return json.dumps([statement.to_json(one) for one in evidence])


def _evidence_of(text: str) -> tuple[Statement, ...]:
    return tuple(statement.from_json(one, where="scope: evidence") for one in json.loads(text))


def _change(connection: sqlite3.Connection, assessment: Assessment) -> Change:
    after = connection.execute(
        "SELECT min(said_ns) FROM scope_said WHERE country = ? AND revises IS NULL AND id > ?",
        (assessment.country, assessment.id),
    ).fetchone()
    revisions = connection.execute(f"{_SAID} WHERE revises = ? ORDER BY id", (assessment.id,)).fetchall()
    return Change(assessment=assessment, until_ns=after[0], revisions=tuple(_said(row) for row in revisions))


def _said(row: Sequence[Any]) -> Assessment:
    ident, country, said_ns, revises, verdict, rule_id, since, error, evidence, overturned_by, basis = row
    return Assessment(
        id=ident,
        country=country,
        said_ns=said_ns,
        revises=revises or 0,
        verdict=verdict,
        rule_id=rule_id,
        since_ns=since,
        since_error_ns=error,
        evidence=_evidence_of(evidence),
        overturned_by=overturned_by,
        basis=json.loads(basis),
    )
