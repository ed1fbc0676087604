"""What one device said over time: its rounds with what lies between them, and how long its verdict has held.

Reads only, through `Queries.reading`, so that an answer is of one moment. A round's ladder is the one that the
device itself concluded from (kept in its ladder record); only where that is not there are its measurements
counted. This file must never fill what is not here: what lies between two rounds is told, not guessed.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from collector.store.answers import RecordRow, RoundRow
from collector.store.queries import (
    RECORD_COLUMNS,
    ROUND_COLUMNS,
    Queries,
    record_row,
    round_of,
    round_row,
    rung_cells,
)
from collector.store.retiming import Timelines, reading_at, retimed, retimed_records
from firmware.clock.retiming import Timeline
from firmware.judgement import ladder
from firmware.judgement.ladder import Ladder, RungProgress, RungState
from firmware.judgement.round.from_records import MOST_REVISIONS, standing
from firmware.model.jsontypes import RecordError
from firmware.model.record import ClockReading, Record, from_json
from firmware.model.statement import Statement, prose
from firmware.model.statement import from_json as from_statement

MAX_ROUNDS: Final = 500
"""The most rounds one call returns."""
MAX_RECORDS: Final = 500
"""The most records one call returns."""

_READ_KEPT: Final = 400
"""Conclusions that need not be read again: who judges one round after the other reads those before it each time."""

MISSED_TARGET: Final = "round"
"""The target of a `gap` record that stands for rounds, as a device writes it."""


NOT_REVISED: Final = """NOT EXISTS (SELECT 1 FROM record AS later WHERE later.device = record.device
    AND later.epoch = record.epoch AND later.test = 'ladder' AND later.seq BETWEEN record.seq + 1 AND record.seq + 1000
    AND later.boot_id = record.boot_id AND later.start_boottime_ns = record.start_boottime_ns)"""
"""That a `ladder` record is the last of its round: a revision comes within a minute, and so within some hundred records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRound:
    """One round: its row, the ladder record itself, and the ladder it concluded from."""

    row: RoundRow
    record: Record
    ladder: Ladder


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedRounds:
    """Rounds that the device says it did not measure: `count` of them, from when, and why.

    `start_utc_ns` is when by the device's wall clock, `due` by all that is known now.
    """

    epoch: str
    seq: int
    boot_id: str
    boottime_ns: int
    start_utc_ns: int
    count: int
    reason: Statement
    due: ClockReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Some rounds of a device, oldest first, the missed ones since, and the round `before` the first of them."""

    device: str
    rounds: tuple[StoredRound, ...]
    missed: tuple[MissedRounds, ...]
    before: RoundRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictStreak:
    """How long the present verdict has held: the first round of the streak, how many, and the round before it.

    `before` is None when no round with another verdict is here: then the streak may have begun earlier.
    """

    first: RoundRow
    rounds: int
    before: RoundRow | None


class DeviceHistory:
    """Questions of one device's past. Every method may be called from any thread and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def rounds(self, device: str, limit: int, *, until: tuple[str, int] | None = None) -> Rounds:
        """Return the last `limit` rounds, or the last ones up to the round `until` (epoch, seq), itself included."""
        limit = max(1, min(limit, MAX_ROUNDS))
        with self._queries.reading() as connection:
            rows = _rows(connection, device, limit + 1, until, self._queries.timelines)
            shown = tuple(reversed(rows[:limit]))
            return Rounds(
                device=device,
                rounds=tuple(_round(connection, row) for row in shown),
                missed=_missed(connection, device, shown, self._queries.timelines),
                before=rows[limit] if len(rows) > limit else None,
            )

    def verdict_streak(self, device: str) -> VerdictStreak | None:
        """Return how long the device's present verdict has held; None without a round."""
        with self._queries.reading() as connection:
            timelines = self._queries.timelines
            newest = _rows(connection, device, 1, None, timelines)
            return _verdict_streak(connection, newest[0], timelines) if newest else None

    def last_records(self, device: str, limit: int) -> tuple[RecordRow, ...]:
        """Return the device's last records in order of arrival, the last one first."""
        with self._queries.reading() as connection:
            found = connection.execute(
                f"{RECORD_COLUMNS} WHERE device = ? ORDER BY id DESC LIMIT ?",
                (device, max(1, min(limit, MAX_RECORDS))),
            ).fetchall()
            return retimed_records(connection, [record_row(row) for row in found], self._queries.timelines)


def _rows(
    connection: sqlite3.Connection,
    device: str,
    limit: int,
    until: tuple[str, int] | None,
    timelines: Timelines,
) -> tuple[RoundRow, ...]:
    """Return rounds, newest first, each as it was last revised: epochs by when they were first heard of, then by seq."""
    epochs = _epochs(connection, device)
    top = 2**63 - 1
    if until is not None:
        if until[0] not in epochs:
            return ()
        epochs, top = epochs[epochs.index(until[0]) :], until[1]
    found: list[RoundRow] = []
    for epoch in epochs:
        rows = connection.execute(
            f"{ROUND_COLUMNS} WHERE device = ? AND epoch = ? AND test = 'ladder' AND seq <= ?"
            " ORDER BY seq DESC LIMIT ?",
            (device, epoch, top, limit - len(found) + MOST_REVISIONS),
        ).fetchall()
        found.extend(standing(map(round_row, rows), round_of)[: limit - len(found)])
        top = 2**63 - 1
        if len(found) >= limit:
            break
    return retimed(connection, found, timelines)


def _epochs(connection: sqlite3.Connection, device: str) -> list[str]:
    """Return the device's epochs, newest first."""
    found = connection.execute(
        "SELECT epoch FROM epoch WHERE device = ? ORDER BY first_seen_ns DESC, epoch", (device,)
    ).fetchall()
    return [str(epoch) for (epoch,) in found]


def _round(connection: sqlite3.Connection, row: RoundRow) -> StoredRound:
    record, kept = _read(row.body)
    return StoredRound(row=row, record=record, ladder=_counted(connection, row) if kept is None else kept)


@lru_cache(maxsize=_READ_KEPT)
def _read(body: str) -> tuple[Record, Ladder | None]:
    """Return a conclusion and the ladder in it; None for one in another form, from other software."""
    record = from_json(json.loads(body))
    try:
        return record, ladder.from_json(record.outcome.detail.get("ladder"))
    except RecordError:
        return record, None


def _counted(connection: sqlite3.Connection, row: RoundRow) -> Ladder:
    """Return the ladder that a round's measurements come to."""
    return Ladder(
        rungs=tuple(
            RungState(
                rung=cell.rung,
                state=RungProgress(cell.state),
                reached=cell.reached,
                tried=cell.tried,
                waiting=0,
                best_ns=None,
                failures=cell.failures,
            )
            for cell in rung_cells(connection, row)
        )
    )


def _missed(
    connection: sqlite3.Connection, device: str, shown: Sequence[RoundRow], timelines: Timelines
) -> tuple[MissedRounds, ...]:
    """Return what was missed since the first of the rounds shown."""
    found: list[MissedRounds] = []
    for epoch in dict.fromkeys(row.epoch for row in shown):
        lowest = min(row.seq for row in shown if row.epoch == epoch)
        highest = max(row.seq for row in shown if row.epoch == epoch)
        rows = connection.execute(
            """SELECT seq, body FROM record WHERE device = ? AND epoch = ? AND seq BETWEEN ? AND ?
               AND test = 'gap' AND target = ? ORDER BY seq""",
            (device, epoch, lowest, highest, MISSED_TARGET),
        ).fetchall()
        if rows:
            timeline = timelines.of(connection, device)
            found.extend(
                _missed_rounds(epoch, int(seq), from_json(json.loads(body)), timeline) for seq, body in rows
            )
    return tuple(found)


def _missed_rounds(epoch: str, seq: int, record: Record, timeline: Timeline) -> MissedRounds:
    count = record.outcome.detail.get("count")
    return MissedRounds(
        epoch=epoch,
        seq=seq,
        boot_id=record.boot_id,
        boottime_ns=record.start.boottime_ns,
        start_utc_ns=record.start.utc_ns,
        count=count if isinstance(count, int) and count > 0 else 1,
        reason=_reason(record),
        due=reading_at(record.start, record.boot_id, timeline),
    )


def _reason(record: Record) -> Statement:
    reason = record.outcome.detail.get("reason")
    try:
        return from_statement(reason, where="record: reason")
    except RecordError:
        return prose(record.outcome.failure or "")


def _verdict_streak(connection: sqlite3.Connection, newest: RoundRow, timelines: Timelines) -> VerdictStreak:
    epochs = _epochs(connection, newest.device)
    first, count = newest, 0
    for epoch in epochs[epochs.index(newest.epoch) :]:
        found = connection.execute(
            f"""SELECT seq FROM record WHERE device = ? AND epoch = ? AND test = 'ladder' AND verdict IS NOT ?
                AND {NOT_REVISED} ORDER BY seq DESC LIMIT 1""",  # noqa: S608 - a text of our own
            (newest.device, epoch, newest.verdict),
        ).fetchone()
        changed = 0 if found is None else int(found[0])
        in_streak = connection.execute(
            """SELECT count(*), min(seq) FROM record WHERE device = ? AND epoch = ? AND test = 'ladder' AND seq > ?
               AND verdict IS ?""",
            (newest.device, epoch, changed, newest.verdict),
        ).fetchone()
        count += int(in_streak[0])
        if in_streak[1] is not None:
            first = _one(connection, newest.device, epoch, int(in_streak[1]), timelines)
        if changed:
            before = _one(connection, newest.device, epoch, changed, timelines)
            return VerdictStreak(first=first, rounds=count, before=before)
    return VerdictStreak(first=first, rounds=count, before=None)


def _one(connection: sqlite3.Connection, device: str, epoch: str, seq: int, timelines: Timelines) -> RoundRow:
    row = connection.execute(
        f"{ROUND_COLUMNS} WHERE device = ? AND epoch = ? AND seq = ?", (device, epoch, seq)
    ).fetchone()
    return retimed(connection, [round_row(row)], timelines)[0]
