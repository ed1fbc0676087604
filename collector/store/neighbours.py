"""What was stored around one record: the conclusion of its round, the rounds on either side, earlier looks at its target.

Reads only, through `Queries.reading`. All of it is found by the order in which the device stored things, which no wall
clock can turn round. This file must never judge.
"""

import json
from typing import Final

from collector.store.answers import RecordRow, RoundRow
from collector.store.queries import (
    RECORD_COLUMNS,
    ROUND_COLUMNS,
    Queries,
    record_row,
    round_of,
    round_row,
)
from firmware.judgement.round.from_records import standing

BESIDE: Final = 2
"""So many rounds are looked at on either side: a record made while a round ran is stored before that round's end."""
MAX_EARLIER: Final = 20
SPAN_SEQS: Final = 20_000
"""How far back earlier looks at a target are looked for: days of a device."""


class NeighbourQueries:
    """Questions about one record's surroundings. Every method may be called from any thread and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def conclusion(self, row: RecordRow) -> tuple[str, int] | None:
        """Return the identity (epoch, seq) of the last conclusion of a record's round; None where none is here."""
        with self._queries.reading() as connection:
            found = connection.execute(
                """SELECT epoch, seq FROM record WHERE device = ? AND epoch = ? AND round_id = ? AND boot_id = ?
                   AND test = 'ladder' ORDER BY seq DESC LIMIT 1""",
                (row.device, row.epoch, row.round_id, row.boot_id),
            ).fetchone()
            return None if found is None else (str(found[0]), int(found[1]))

    def rounds_beside(self, row: RecordRow) -> tuple[RoundRow, ...]:
        """Return the conclusions stored next before and next after a record in its boot, in no order, each as last revised."""
        with self._queries.reading() as connection:
            stored = [
                round_row(found)
                for side in ("seq < ? ORDER BY seq DESC", "seq > ? ORDER BY seq")
                for found in connection.execute(
                    f"{ROUND_COLUMNS} WHERE device = ? AND epoch = ? AND test = 'ladder' AND boot_id = ?"
                    f" AND {side} LIMIT ?",
                    (row.device, row.epoch, row.boot_id, row.seq, BESIDE),
                ).fetchall()
            ]
            stored.sort(key=lambda one: one.seq, reverse=True)
            return tuple(standing(stored, round_of))

    def earlier(self, row: RecordRow) -> tuple[RecordRow, ...]:
        """Return what the device measured of the same target before, beside its rounds, the last first."""
        with self._queries.reading() as connection:
            found = connection.execute(
                f"{RECORD_COLUMNS} WHERE device = ? AND epoch = ? AND seq BETWEEN ? AND ? AND rung IS NULL"
                " AND test = ? AND target = ? AND target_name = ? ORDER BY seq DESC LIMIT ?",
                (
                    *(row.device, row.epoch, row.seq - SPAN_SEQS, row.seq - 1),
                    *(row.test, row.target, row.target_name, MAX_EARLIER),
                ),
            ).fetchall()
            return tuple(record_row(one) for one in found)

    def last_beside(self, device: str, tests: tuple[str, ...], limit: int) -> tuple[RecordRow, ...]:
        """Return the last measurement of each of a device's pages beside its rounds, the last stored first."""
        with self._queries.reading() as connection:
            newest = connection.execute(
                "SELECT epoch FROM epoch WHERE device = ? ORDER BY first_seen_ns DESC, epoch LIMIT 1",
                (device,),
            ).fetchone()
            if newest is None:
                return ()
            (top,) = connection.execute(
                "SELECT coalesce(max(seq), 0) FROM record WHERE device = ? AND epoch = ?", (device, newest[0])
            ).fetchone()
            found = connection.execute(
                """SELECT max(seq) FROM record WHERE device = ? AND epoch = ? AND seq > ? AND rung IS NULL
                   AND round_id IS NULL AND test IN (SELECT value FROM json_each(?))
                   GROUP BY test, target, target_name ORDER BY max(seq) DESC LIMIT ?""",
                (device, newest[0], top - SPAN_SEQS, json.dumps(tests), limit),
            ).fetchall()
        rows = (self._queries.record(device, newest[0], seq) for (seq,) in found)
        return tuple(row for row in rows if row is not None)
