"""When what a device measured was, by all that is known now: the device's own word, or better.

A boot with sync points is placed by them, before and after; one whose device knew its error is left with that; one
that never knew is bounded by its neighbours and by its arrival. It must never narrow what is not known: where the
device's wall clock lies inside the bounds it stays, with the distance to the farther one as its error.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from collector.store import timings
from collector.store.answers import RecordRow, RoundRow
from firmware.clock.clocks import SYNCHRONISED_FOR_NS
from firmware.clock.retiming import Timeline
from firmware.model.record import ClockQuality, ClockReading

POINTS_KEPT: Final = 200_000
"""Timelines are kept until they have so many sync points between them: some 50 MB."""


class Timelines:
    """The timelines of devices, each kept as long as nothing new is known of its boots. For any thread.

    One is worked out for all of a device's records that are asked for together, and none for those asked for again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[timings.Version, Timeline]] = OrderedDict()
        self._points = 0

    def of(self, connection: sqlite3.Connection, device: str) -> Timeline:
        """Return what is known of when a device's boots were, as this connection sees the store."""
        version = timings.version(connection, device)
        with self._lock:
            kept = self._kept.get(device)
            if kept is not None and kept[0] == version:
                self._kept.move_to_end(device)
                return kept[1]
        made = timings.timeline(connection, device)
        with self._lock:
            self._drop(device)
            while self._kept and self._points + version.points > POINTS_KEPT:
                self._drop(next(iter(self._kept)))
            self._kept[device] = (version, made)
            self._points += version.points
        return made

    def _drop(self, device: str) -> None:
        dropped = self._kept.pop(device, None)
        if dropped is not None:
            self._points -= dropped[0].points


def retimed(
    connection: sqlite3.Connection, rows: Sequence[RoundRow], timelines: Timelines
) -> tuple[RoundRow, ...]:
    """Return `rows` with their start re-timed."""
    of = {device: timelines.of(connection, device) for device in {row.device for row in rows}}
    return tuple(placed(row, of[row.device]) for row in rows)


def retimed_records(
    connection: sqlite3.Connection, rows: Sequence[RecordRow], timelines: Timelines
) -> tuple[RecordRow, ...]:
    """Return `rows` with their `start` re-timed; what the device itself said is left in the other columns."""
    of = {device: timelines.of(connection, device) for device in {row.device for row in rows}}
    return tuple(replace(row, start=reading_at(row.start, row.boot_id, of[row.device])) for row in rows)


def placed(row: RoundRow, timeline: Timeline) -> RoundRow:
    """Return one round with its start re-timed."""
    told = ClockReading(
        boottime_ns=row.start_boottime_ns,
        utc_ns=row.start_utc_ns,
        quality=ClockQuality(row.clock_quality),
        error_ns=row.clock_error_ns,
    )
    start = reading_at(told, row.boot_id, timeline)
    if start is told:
        return row
    return replace(
        row, start_utc_ns=start.utc_ns, clock_quality=str(start.quality), clock_error_ns=start.error_ns
    )


def reading_at(told: ClockReading, boot_id: str, timeline: Timeline) -> ClockReading:
    """Return a moment of a boot as it is known now; `told` is what the device's clock said of it."""
    bounds = timeline.at(boot_id, told.boottime_ns)
    if bounds is None:
        return told
    distance_ns = timeline.distance_ns(boot_id, told.boottime_ns)
    if distance_ns is not None:
        near = distance_ns <= SYNCHRONISED_FOR_NS
        return ClockReading(
            boottime_ns=told.boottime_ns,
            utc_ns=bounds.utc_ns,
            quality=ClockQuality.SYNCHRONISED if near else ClockQuality.HOLDOVER,
            error_ns=bounds.error_ns,
        )
    if told.error_ns is not None and told.quality is not ClockQuality.UNSYNCHRONISED:
        return told
    if bounds.low_ns <= told.utc_ns <= bounds.high_ns:
        farther_ns = max(told.utc_ns - bounds.low_ns, bounds.high_ns - told.utc_ns)
        return replace(told, error_ns=farther_ns)
    return replace(told, utc_ns=bounds.utc_ns, error_ns=bounds.error_ns)
