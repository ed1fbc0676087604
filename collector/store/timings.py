"""What places a device's boots in time, kept beside its records: spans, the boot before, sync points.

Written in the transaction that stores the records, one row a boot and batch. It must never judge a point: what is
to be believed is decided where times are asked for (`firmware.clock.retiming`), with all that is known by then.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from collector.store.arrivals import BatchArrived, IngestRow
from collector.store.asked_columns import asked
from collector.store.bounds import DeviceLimits
from firmware.clock.retiming import Boot, SyncPoint, Timeline

_UPSERT = """INSERT INTO boot VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device, boot_id) DO UPDATE SET
    first_boottime_ns = min(first_boottime_ns, excluded.first_boottime_ns),
    last_boottime_ns = max(last_boottime_ns, excluded.last_boottime_ns),
    latest_start_ns = min(latest_start_ns, excluded.latest_start_ns),
    previous_boot_id = CASE previous_boot_id WHEN '' THEN excluded.previous_boot_id ELSE previous_boot_id END"""

_BOOTS = """SELECT boot_id, first_boottime_ns, last_boottime_ns, latest_start_ns, previous_boot_id FROM boot
    WHERE device = ?"""


_TELL_OF_BOOTS: Final = frozenset({"ladder", "gap"})
_WHERE: Final = asked("boot_id", "start_boottime_ns", "test")


def note(connection: sqlite3.Connection, batches: Iterable[BatchArrived], bounds: DeviceLimits) -> None:
    """Note the boots and sync points of what is being stored, as far as `bounds` let a device have more of them."""
    for batch in batches:
        for boot in _boots(batch):
            known = connection.execute(
                "SELECT 1 FROM boot WHERE device = ? AND boot_id = ?", boot[:2]
            ).fetchone()
            if known is None:
                if not bounds.has_room("boot", batch.device):
                    continue
                bounds.added("boot", batch.device, 1)
            connection.execute(_UPSERT, boot)
        points = [
            (batch.device, boot_id, point.boottime_ns, point.utc_ns, point.error_ns)
            for row in batch.rows
            for boot_id, _, test in (_WHERE(row.asked),)
            if test == "ladder"
            for point in _points(row)
        ]
        if points and bounds.has_room("sync_point", batch.device, len(points)):
            new = connection.executemany("INSERT OR IGNORE INTO sync_point VALUES (?, ?, ?, ?, ?)", points)
            bounds.added("sync_point", batch.device, new.rowcount)


class Version(NamedTuple):
    """What a device's timeline was made of: as long as it is the same, so is the timeline.

    Points are only ever added, so that their number says which there are.
    """

    points: int
    boots: tuple[tuple[str, int, int, int, str], ...]


def version(connection: sqlite3.Connection, device: str) -> Version:
    """Return what a device's timeline would be made of now."""
    (points,) = connection.execute("SELECT count(*) FROM sync_point WHERE device = ?", (device,)).fetchone()
    return Version(points=points, boots=tuple(connection.execute(_BOOTS, (device,))))


def timeline(connection: sqlite3.Connection, device: str) -> Timeline:
    """Return what is known of when a device's boots were."""
    points: dict[str, list[SyncPoint]] = {}
    for boot_id, boottime_ns, utc_ns, error_ns in connection.execute(
        "SELECT boot_id, boottime_ns, utc_ns, error_ns FROM sync_point WHERE device = ?", (device,)
    ):
        points.setdefault(boot_id, []).append(
            SyncPoint(boottime_ns=boottime_ns, utc_ns=utc_ns, error_ns=error_ns)
        )
    rows = connection.execute(_BOOTS, (device,))
    return Timeline.of(
        Boot(
            boot_id=boot_id,
            first_ns=first_ns,
            last_ns=last_ns,
            points=tuple(points.get(boot_id, ())),
            latest_start_ns=latest_ns,
            previous=previous,
        )
        for boot_id, first_ns, last_ns, latest_ns, previous in rows
    )


def _boots(batch: BatchArrived) -> Iterator[tuple[str, str, int, int, int, str]]:
    starts: dict[str, list[int]] = {}
    previous: dict[str, str] = {}
    for row in batch.rows:
        boot_id, start_ns, test = _WHERE(row.asked)
        starts.setdefault(boot_id, []).append(start_ns)
        if test in _TELL_OF_BOOTS and '"previous_boot_id":"' in row.body:
            previous[boot_id] = _previous(row)
    for boot_id, times_ns in starts.items():
        low, high = min(times_ns), max(times_ns)
        # The newest of them had not begun when the batch was received, give or take nothing: it is there.
        yield batch.device, boot_id, low, high, batch.received_ns - high, previous.get(boot_id, "")


def _previous(row: IngestRow) -> str:
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(row.body)["detail"]["previous_boot_id"]
        return found if isinstance(found, str) else ""
    return ""


def _points(row: IngestRow) -> Iterator[SyncPoint]:
    if '"sync_points":[[' not in row.body:
        return
    with suppress(ValueError, KeyError, TypeError):
        for item in json.loads(row.body)["detail"]["sync_points"]:
            match item:
                case [int(boottime_ns), int(utc_ns), int(error_ns)] if (
                    0 <= boottime_ns < 2**62 and 0 <= utc_ns < 2**62 and 0 <= error_ns < 2**62
                ):
                    yield SyncPoint(boottime_ns=boottime_ns, utc_ns=utc_ns, error_ns=error_ns)
                case _:
                    continue
