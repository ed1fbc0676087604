"""Rounds with the time they were at, by all that is known now: the device's own word, or better.

A boot with sync points is placed by them, before and after; one whose device knew its error is left with that; one
that never knew is bounded by its neighbours and by its arrival. It must never narrow what is not known: where the
device's wall clock lies inside the bounds it stays, with the distance to the farther one as its error.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from collector.store import timings
from collector.store.answers import RoundRow
from firmware.clock import SYNCHRONISED_FOR_NS
from firmware.record import ClockQuality
from firmware.timing import Timeline


def retimed(connection: sqlite3.Connection, rows: Sequence[RoundRow]) -> tuple[RoundRow, ...]:
    """Return `rows` with their start re-timed."""
    timelines = {device: timings.timeline(connection, device) for device in {row.device for row in rows}}
    return tuple(placed(row, timelines[row.device]) for row in rows)


def placed(row: RoundRow, timeline: Timeline) -> RoundRow:
    """Return one round with its start re-timed."""
    bounds = timeline.at(row.boot_id, row.start_boottime_ns)
    if bounds is None:
        return row
    distance_ns = timeline.distance_ns(row.boot_id, row.start_boottime_ns)
    if distance_ns is not None:
        near = distance_ns <= SYNCHRONISED_FOR_NS
        return replace(
            row,
            start_utc_ns=bounds.utc_ns,
            clock_quality=str(ClockQuality.SYNCHRONISED if near else ClockQuality.HOLDOVER),
            clock_error_ns=bounds.error_ns,
        )
    if row.clock_error_ns is not None and row.clock_quality != ClockQuality.UNSYNCHRONISED:
        return row
    if bounds.low_ns <= row.start_utc_ns <= bounds.high_ns:
        farther_ns = max(row.start_utc_ns - bounds.low_ns, bounds.high_ns - row.start_utc_ns)
        return replace(row, clock_error_ns=farther_ns)
    return replace(row, start_utc_ns=bounds.utc_ns, clock_error_ns=bounds.error_ns)
